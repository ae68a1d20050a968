"""Heads of a network, the maps that they put out, and coordinates to train them in."""

from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from cvxnn._validation import Float

Index: TypeAlias = NDArray[np.int64]

_ROUNDING = 1e-12  # relative, of singular values


class Maps(Protocol):
    """A design that gives maps of neurons and is never formed."""

    @property
    def n_rows(self) -> int:
        """Rows of maps."""

    @property
    def n_blocks(self) -> int:
        """Number of blocks."""

    @property
    def n_inputs(self) -> int:
        """Hidden weights of a neuron."""

    @property
    def n_positions(self) -> int:
        """Positions of a map."""

    @property
    def gates(self) -> Float | None:
        """The gate of each block, if it has one."""

    def maps(self, hidden: Float, owner: Index) -> Float:
        """Return maps (n_rows, m, n_positions) of hidden weights (m, n_inputs)."""

    def adjoint(self, maps: Float, owner: Index) -> Float:
        """Apply the adjoint."""


@dataclass(frozen=True)
class FormedMaps:
    """A design whose blocks (n_blocks, n_rows, n_positions, n_inputs) are held in memory."""

    blocks: Float
    gates: Float | None = None

    @property
    def n_blocks(self) -> int:
        """Number of blocks."""
        return int(self.blocks.shape[0])

    @property
    def n_rows(self) -> int:
        """Rows of maps."""
        return int(self.blocks.shape[1])

    @property
    def n_positions(self) -> int:
        """Positions of a map."""
        return int(self.blocks.shape[2])

    @property
    def n_inputs(self) -> int:
        """Hidden weights of a neuron."""
        return int(self.blocks.shape[3])

    def maps(self, hidden: Float, owner: Index) -> Float:
        """Return maps (n_rows, m, n_positions) of hidden weights (m, n_inputs)."""
        maps = np.empty((self.n_rows, len(owner), self.n_positions))
        for block in np.unique(owner):
            mine = owner == block
            product = self.blocks[block].reshape(-1, self.n_inputs) @ hidden[mine].T
            maps[:, mine] = product.reshape(self.n_rows, self.n_positions, -1).transpose(0, 2, 1)
        return maps

    def adjoint(self, maps: Float, owner: Index) -> Float:
        """Apply the adjoint."""
        hidden = np.empty((len(owner), self.n_inputs))
        for block in np.unique(owner):
            mine = owner == block
            rows = maps[:, mine].transpose(1, 0, 2).reshape(int(mine.sum()), -1)
            hidden[mine] = rows @ self.blocks[block].reshape(-1, self.n_inputs)
        return hidden


@dataclass(frozen=True)
class Heads:
    """Neurons: hidden weights (m, n_inputs), output weights (m, n_positions, c), their blocks."""

    hidden: Float
    output: Float
    owner: Index
    intercept: Float

    def with_more(self, other: "Heads") -> "Heads":
        """Return the neurons of both, with this intercept."""
        return Heads(
            np.concatenate([self.hidden, other.hidden]),
            np.concatenate([self.output, other.output]),
            np.concatenate([self.owner, other.owner]),
            self.intercept,
        )

    def larger_than(self, share: float) -> "Heads":
        """Return the balanced neurons whose size is more than a share of the largest."""
        sizes = np.sum(self.hidden**2, axis=1)
        kept = sizes > share * sizes.max(initial=0.0)
        return Heads(self.hidden[kept], self.output[kept], self.owner[kept], self.intercept)

    def balanced(self) -> tuple["Heads", float]:
        """Return the fewest neurons of the same blocks, balanced, and the sum of nuclear norms."""
        parts, norm = [], 0.0
        shape = self.output.shape[1:]
        for block in np.unique(self.owner):
            mine = self.owner == block
            left, inner = np.linalg.qr(self.hidden[mine].T)
            right, outer = np.linalg.qr(self.output[mine].reshape(mine.sum(), -1).T)
            u, values, v = np.linalg.svd(inner @ outer.T)
            kept = values > _ROUNDING * values[0]
            scale = np.sqrt(values[kept])[:, None]
            norm += float(values.sum())
            parts.append(
                (
                    (left @ u[:, : len(kept)][:, kept]).T * scale,
                    (v[: len(kept)][kept] @ right.T) * scale,
                    np.full(len(scale), block),
                )
            )
        if not parts:
            return self, 0.0
        hidden, output, owner = (np.concatenate(part) for part in zip(*parts, strict=True))
        return Heads(hidden, output.reshape(-1, *shape), owner, self.intercept), norm


@dataclass(frozen=True)
class Coordinates:
    """Scaled coordinates of hidden weights, on axes of their block, and output weights."""

    owner: Index
    hidden_scale: Float  # (m, n_inputs)
    hidden_axes: Float | None  # (n_blocks, n_inputs, n_inputs), columns; None is the identity
    output_scale: Float  # (m, n_positions)
    output_axes: Float  # (m, n_positions, n_positions), columns

    def _turn(self, hidden: Float, *, back: bool) -> Float:
        if self.hidden_axes is None:
            return hidden
        turned = np.empty_like(hidden)
        for block in np.unique(self.owner):
            mine, axes = self.owner == block, self.hidden_axes[block]
            turned[mine] = hidden[mine] @ (axes if back else axes.T)
        return turned

    def weights(self, hidden: Float, output: Float) -> tuple[Float, Float]:
        """Return the weights of coordinates."""
        hidden = self._turn(hidden * self.hidden_scale, back=False)
        return hidden, self.output_axes @ (output * self.output_scale[:, :, None])

    def gradients(self, hidden: Float, output: Float) -> tuple[Float, Float]:
        """Apply the adjoint of `weights`."""
        hidden = self._turn(hidden, back=True) * self.hidden_scale
        turned = self.output_axes.transpose(0, 2, 1) @ output
        return hidden, turned * self.output_scale[:, :, None]

    def point(self, hidden: Float, output: Float) -> tuple[Float, Float]:
        """Return the coordinates of weights."""
        hidden, output = self.gradients(hidden, output)
        return hidden / self.hidden_scale**2, output / self.output_scale[:, :, None] ** 2
