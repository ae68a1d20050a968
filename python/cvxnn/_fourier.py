"""Circular filters of the size of their inputs, in the Fourier basis."""

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


def _spectrum(coefs: Float, shape: tuple[int, ...]) -> NDArray[np.complex128]:
    """Return the Fourier transform (n_channels, n_positions) that has these coefficients."""
    kept, other = _half(shape)
    scale = np.where(kept < other, np.sqrt(2.0), 1.0)[:, None]
    real, imaginary = np.split(coefs / scale, 2, axis=1)
    spectrum = np.zeros((coefs.shape[1] // 2, math.prod(shape)), dtype=complex)
    spectrum[:, kept] = (real + 1j * imaginary).T
    spectrum[:, other] = spectrum[:, kept].conj()
    return spectrum


def _in_space(spectrum: NDArray[np.complex128], shape: tuple[int, ...]) -> Float:
    """Return the images (n_channels, ...) of flat spectra."""
    axes = range(1, len(shape) + 1)
    images: Float = np.fft.ifftn(spectrum.reshape(-1, *shape), axes=axes, norm="ortho").real
    return images


def fourier_image(coefs: Float, shape: tuple[int, ...]) -> Float:
    """Return the image (n_channels, ...) of coefficients of the blocks of `fourier_design`."""
    return _in_space(_spectrum(coefs, shape), shape)


def fourier_filter(coefs: Float, shape: tuple[int, ...]) -> tuple[Float, Float]:
    """Return the balanced filter (n_channels, ...) and weights (n_positions,) of coefficients.

    These are (n_blocks, 2 * n_channels), of the blocks of `fourier_design`. One filter is enough:
    those of single frequencies add up without a price.
    """
    spectrum = _spectrum(coefs, shape)
    length = np.linalg.norm(spectrum, axis=0)
    weights = np.sqrt(length / np.sqrt(math.prod(shape)))
    direction = np.divide(spectrum, length, out=np.zeros_like(spectrum), where=length > 0.0)
    weights_in_space = _in_space(weights.astype(complex), shape)
    return _in_space(direction * weights, shape), weights_in_space.reshape(-1)
