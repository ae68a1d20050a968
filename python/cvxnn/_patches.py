"""Patches of images and signals, which filters see, and windows of maps, which pooling sees."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from cvxnn._validation import Data, check_choice, check_count

# Bytes of what is made of a strip of samples at a time, patches and masks: small beside a design,
# and large enough for BLAS.
_STRIP = 2**25

PoolingChoice: TypeAlias = str | tuple[str, int | Sequence[int]] | None


def _per_axis(value: Any, name: str, n_axes: int, least: int) -> tuple[int, ...]:
    """Return a count for each axis of space, of one for all or a sequence."""
    values = tuple(value) if isinstance(value, tuple | list | np.ndarray) else (value,) * n_axes
    if len(values) != n_axes:
        raise ValueError(
            f"{name} must be an integer or have {n_axes} of them, one for each axis after the "
            f"channels of X, got {value!r}"
        )
    return tuple(check_count(size, name, least=least) for size in values)


@dataclass(frozen=True)
class Windows:
    """Where the filters of a convolution stand, along each axis of space.

    Circular ones start at each position (each `stride`) and wrap around; they have no padding.
    """

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    circular: bool

    def positions(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of the map of a filter on inputs of a shape."""
        padded = tuple(
            size if self.circular else size + 2 * padding
            for size, padding in zip(shape, self.padding, strict=True)
        )
        if any(kernel > size for kernel, size in zip(self.kernel, padded, strict=True)):
            raise ValueError(
                f"kernel_size must be at most the size of X with its padding, {padded}, "
                f"got {self.kernel}"
            )
        return tuple(
            (size - (1 if self.circular else kernel)) // stride + 1
            for size, kernel, stride in zip(padded, self.kernel, self.stride, strict=True)
        )

    def widths(self) -> list[tuple[int, int]]:
        """Return by how much each axis of space is padded before and after it."""
        return [
            (0, kernel - 1) if self.circular else (padding, padding)
            for kernel, padding in zip(self.kernel, self.padding, strict=True)
        ]

    def n_inputs(self, n_channels: int) -> int:
        """Return the number of entries of a patch."""
        return n_channels * math.prod(self.kernel)

    def patches(self, X: Data, *, constant: bool) -> Data:
        """Return the patches (n_samples, n_patches, n_inputs) of X (n_samples, n_channels, ...).

        A patch has the order (channel, offsets); with `constant` a one comes last.
        """
        space = tuple(range(2, X.ndim))
        mode: Any = "wrap" if self.circular else "constant"
        padded = np.pad(X, [(0, 0), (0, 0), *self.widths()], mode=mode)
        views = np.lib.stride_tricks.sliding_window_view(padded, self.kernel, axis=space)
        steps = (slice(None), slice(None), *(slice(None, None, step) for step in self.stride))
        moved = np.moveaxis(views[steps], 1, X.ndim - 1)
        n_patches = math.prod(moved.shape[1 : X.ndim - 1])
        n_inputs = Windows.n_inputs(self, X.shape[1])  # raw ones, also where they are whitened
        out: Data = np.ones((len(X), n_patches, n_inputs + constant), dtype=X.dtype)
        out[:, :, :n_inputs] = moved.reshape(len(X), n_patches, n_inputs)
        return out

    def strips(self, X: Data, *, constant: bool, n_maps: int = 0) -> Iterator[tuple[slice, Data]]:
        """Yield samples, and their patches, in strips that fit the buffer with `n_maps` maps.

        A strip has one sample at least.
        """
        n_patches = math.prod(self.positions(X.shape[2:]))
        n_inputs = self.n_inputs(X.shape[1]) + constant
        size = max(_STRIP // (n_patches * (2 * n_inputs + n_maps) * X.itemsize), 1)
        for start in range(0, len(X), size):
            strip = slice(start, min(start + size, len(X)))
            yield strip, self.patches(X[strip], constant=constant)


def check_windows(
    kernel_size: Any, stride: Any, padding: Any, circular: bool, n_axes: int
) -> Windows:
    """Return the windows of filters on inputs with `n_axes` axes of space."""
    windows = Windows(
        _per_axis(kernel_size, "kernel_size", n_axes, 1),
        _per_axis(stride, "stride", n_axes, 1),
        _per_axis(padding, "padding", n_axes, 0),
        bool(circular),
    )
    if windows.circular and any(windows.padding):
        raise ValueError(f"circular=True wraps around, padding must be 0, got {padding!r}")
    if any(p >= f for p, f in zip(windows.padding, windows.kernel, strict=True)):
        raise ValueError(
            f"padding must be smaller than kernel_size, got {padding!r} and {kernel_size!r}"
        )
    return windows


@dataclass(frozen=True)
class Pooling:
    """How a map becomes fewer values: ``mean`` or ``max`` over windows side by side.

    The size of a window is None for the whole map. Borders that fill no window are dropped. No
    pooling is the mean over windows of size one.
    """

    kind: str
    size: tuple[int, ...] | None

    def windows(self, positions: tuple[int, ...]) -> NDArray[np.intp]:
        """Return the positions (n_windows, n_members), in a flattened map, of each window."""
        index = np.arange(math.prod(positions)).reshape(positions)
        size = positions if self.size is None else self.size
        counts = tuple(full // part for full, part in zip(positions, size, strict=True))
        if 0 in counts:
            raise ValueError(
                f"pooling must have windows of at most the size of a map, {positions}, got {size}"
            )
        kept = index[tuple(slice(n * part) for n, part in zip(counts, size, strict=True))]
        # Split each axis in (window, member), then bring the windows to the front.
        split = kept.reshape([n for pair in zip(counts, size, strict=True) for n in pair])
        axes = range(split.ndim)
        windows = split.transpose([*axes[::2], *axes[1::2]])
        return np.ascontiguousarray(windows.reshape(math.prod(counts), math.prod(size)))


def check_pooling(value: PoolingChoice, n_axes: int) -> Pooling:
    """Return the pooling that the user chose."""
    if value is None:
        return Pooling("mean", (1,) * n_axes)
    if isinstance(value, str):
        return Pooling(check_choice(value, "pooling", ("mean", "max")), None)
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise ValueError(
            "pooling must be None, 'mean', 'max', or one of these names with the size of a "
            f"window, as ('mean', 2), got {value!r}"
        )
    kind = check_choice(value[0], "pooling", ("mean", "max"))
    return Pooling(kind, _per_axis(value[1], "pooling", n_axes, 1))
