"""Whitened data: what neurons with batch normalisation see."""

import numpy as np

from cvxnn._threads import blas_threads
from cvxnn._validation import Data, Float, check_count, check_fraction

# Relative to the largest singular value; directions below it are rounding of the data.
_RANK = 1e-10
_ROUNDING = 10  # units of the data's precision


def check_bn_rank(rank: float | None, placement: str | None) -> None:
    """Check a number of directions, an integer, or a share of the variance below one."""
    if rank is None:
        return
    if placement is None:
        raise ValueError(f"bn_rank belongs to batch_norm, got {rank!r}")
    if isinstance(rank, (float, np.floating)):
        check_fraction(rank, "bn_rank")
    else:
        check_count(rank, "bn_rank")


def rank_tolerance(values: Data) -> float:
    """Return the size of singular values, relative to the largest, that count as zero."""
    return max(_RANK, _ROUNDING * float(np.finfo(values.dtype).eps))


class Whitener:
    """The map of data to their leading directions, scaled to mean zero and variance one.

    A linear neuron of these directions and a constant is any neuron ``x @ w`` with batch
    normalisation: gamma is the norm of its weights on directions, beta its weight on the constant
    (Ergen et al. 2022, section 3). Moments are weighted and biased, as those of repeated rows.

    With `scale` the directions are those of features of unit variance. `rank` limits their number,
    or, below one, takes the fewest with at least this share of the variance.
    """

    @blas_threads(1)
    def __init__(
        self, values: Data, weight: Float, *, scale: bool = False, rank: float | None = None
    ) -> None:
        share = weight / weight.sum()
        self.mean: Float = share @ values
        centred = values - self.mean
        deviation = np.sqrt(share @ centred**2)
        # Below rounding of the mean a deviation is noise.
        spread = deviation > _ROUNDING * np.finfo(values.dtype).eps * np.abs(self.mean)
        if not spread.any():
            n_samples = f"{len(values)} sample" + ("s" if len(values) > 1 else "")
            raise ValueError(
                "X must have a feature that varies, for batch_norm, got constant features only "
                f"({n_samples} of positive weight)"
            )
        factor = np.divide(
            1.0, deviation if scale else 1.0, out=np.zeros_like(deviation), where=spread
        )
        scaled = np.sqrt(share)[:, None] * centred * factor
        _, singular, right = np.linalg.svd(scaled, full_matrices=False)
        kept = int(np.sum(singular > rank_tolerance(values) * singular[0]))
        if rank is not None:
            kept = min(kept, _count(singular[:kept], rank))
        singular, right = singular[:kept], right[:kept]
        # A singular vector has no sign of its own: gates would mean something else with another.
        largest = np.abs(right).argmax(axis=1)[:, None]
        right = right * np.sign(np.take_along_axis(right, largest, axis=1))
        self.matrix: Float = factor[:, None] * right.T / singular

    @property
    def n_columns(self) -> int:
        """Number of directions."""
        return int(self.matrix.shape[1])

    @blas_threads(1)
    def transform(self, values: Data, *, constant_column: bool) -> Data:
        """Return the values along the directions, with a column of ones after them if wanted."""
        out = np.ones((len(values), self.n_columns + constant_column), dtype=values.dtype)
        out[:, : self.n_columns] = (values - self.mean) @ self.matrix
        return out

    def fold(self, vectors: Float, *, constant_row: bool) -> tuple[Float, Float]:
        """Turn weights on mapped values into weights and offsets on the values themselves."""
        weights: Float = self.matrix @ vectors[: self.n_columns]
        offsets: Float = -(self.mean @ weights)
        return weights, offsets + vectors[self.n_columns] if constant_row else offsets

    def unit(self, vectors: Float) -> tuple[Float, Float]:
        """Return weights on the directions scaled to norm one, and their norms.

        Zeros become the first direction: a neuron whose variance is zero cannot be normalised.
        """
        norms = np.linalg.norm(vectors, axis=0)
        first = np.zeros_like(vectors)
        first[0] = 1.0
        return np.divide(vectors, norms, out=first, where=norms > 0.0), norms


def _count(singular: Float, rank: float) -> int:
    """Return the number of leading directions that `rank` asks for."""
    if rank >= 1:
        return int(rank)
    variance = np.cumsum(singular**2)
    return int(np.searchsorted(variance, rank * variance[-1])) + 1
