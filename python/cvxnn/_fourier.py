"""Linear circular filters of the size of their inputs: group lassos in the Fourier basis."""

import math

import numpy as np
from numpy.typing import NDArray

from cvxnn._designs import BlockDesign
from cvxnn._validation import Data, Float


def _half(shape: tuple[int, ...]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return a frequency of each pair of opposite ones, and its opposite, in a flat spectrum."""
    index = np.arange(math.prod(shape))
    opposite = np.unravel_index(index, shape)
    other = np.ravel_multi_index([-k for k in opposite], shape, mode="wrap")
    kept = np.flatnonzero(index <= other)
    return kept, other[kept]


def fourier_design(X: Data) -> BlockDesign:
    """Return the design of linear circular filters of the size of X, with a weight a position.

    What such filters and weights make of a sample is its inner product with an image v. Their
    weight decay is the sum over frequencies of the norm, over channels, of the unitary Fourier
    transform of v, divided by the root of the number of frequencies (T. Ergen, M. Pilanci, 2021,
    Implicit convex regularizers of CNN architectures, ICLR). Opposite frequencies are one block,
    of real and imaginary parts.
    """
    n_samples, n_channels, *shape = X.shape
    spectrum = np.fft.fftn(X, axes=range(2, X.ndim), norm="ortho")
    kept, other = _half(tuple(shape))
    half = spectrum.reshape(n_samples, n_channels, -1)[:, :, kept].transpose(0, 2, 1)
    scale = np.where(kept < other, np.sqrt(2.0), 1.0)
    parts = np.stack([half.real, half.imag], axis=2) * scale[:, None, None]
    parts[:, kept == other, 1] = 0.0  # but for rounding
    matrix: Data = np.empty((n_samples, parts[0].size), dtype=X.dtype)
    matrix[:] = parts.reshape(n_samples, -1)
    return BlockDesign(
        matrix,
        len(kept),
        2 * n_channels,
        weights=scale / np.sqrt(math.prod(shape)),
    )


def fourier_filter(coefs: Float, shape: tuple[int, ...]) -> tuple[Float, Float]:
    """Return the balanced filter (n_channels, ...) and weights (n_positions,) of coefficients.

    These are (n_blocks, 2 * n_channels), of the blocks of `fourier_design`. One filter is enough:
    those of single frequencies add up without a price.
    """
    kept, other = _half(shape)
    size = math.prod(shape)
    scale = np.where(kept < other, np.sqrt(2.0), 1.0)[:, None]
    real, imaginary = np.split(coefs / scale, 2, axis=1)
    image = np.zeros((coefs.shape[1] // 2, size), dtype=complex)
    image[:, kept] = (real + 1j * imaginary).T
    image[:, other] = image[:, kept].conj()
    length = np.linalg.norm(image, axis=0)
    weights = np.sqrt(length / np.sqrt(size))
    direction = np.divide(image, length, out=np.zeros_like(image), where=length > 0.0)
    axes = range(1, len(shape) + 1)

    def in_space(values: NDArray[np.complex128]) -> Float:
        real: Float = np.fft.ifftn(values.reshape(-1, *shape), axes=axes, norm="ortho").real
        return real

    return in_space(direction * weights), in_space(weights.astype(complex)).reshape(-1)
