"""All activation patterns of a data set: the cells of its arrangement of hyperplanes."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cvxnn._ext import core
from cvxnn._threads import effective_threads
from cvxnn._validation import Data, Float, check_count, check_data
from cvxnn.arrangements import PatternSet

_ROUNDING = 1e-14  # distance of unit rows that are one
_DEPENDENT = 1e-13  # singular values, relative, of columns that depend on others
_LEAST_SINGULAR = 1e-11  # and of those that do not, for all cells to be found
_LEAST_UNIT = -900  # exponent of a feature's; gates have to undo it
_APART = 1e-10  # distance of whitened rows that can be told apart
_TOO_CLOSE = "X has points that are too nearly dependent to tell their patterns apart"


@dataclass(frozen=True)
class _Arrangement:
    """The hyperplanes of data, in coordinates of their row space in which the data are white.

    An invertible map keeps cells, and white rows are as far apart as they can be.

    Attributes
    ----------
    hyperplanes : ndarray of shape (n_hyperplanes, rank)
        Distinct ones, as unit vectors.
    to_gates : ndarray of shape (n_features, rank)
        From points of a cell to its gates.
    bound : float
        The number of cells, at most.
    apart : bool
        Whether float64 tells the hyperplanes apart.
    """

    hyperplanes: Float
    to_gates: Float
    bound: float
    apart: bool


def _arrangement(data: Data) -> _Arrangement:
    rows = np.asarray(data, dtype=np.float64)
    rows = rows[rows.any(axis=1)]
    # Powers of two: units of samples and features change no bit.
    rows = np.ldexp(rows, -_exponents(rows, axis=1))
    units = np.maximum(_exponents(rows, axis=0), _LEAST_UNIT)
    rows = core.distinct_hyperplanes(np.ldexp(rows, -units), _ROUNDING)[0]
    if len(rows) == 0:
        return _Arrangement(np.empty((0, 1)), np.eye(data.shape[1], 1), 1.0, True)
    values, span = np.linalg.svd(rows, full_matrices=False)[1:]
    kept = values > _DEPENDENT * values[0]
    values, span = values[kept], span[kept]
    white = span.T / values
    resolution = max(_APART, 100.0 * np.finfo(np.float64).eps * values[0] / values[-1])
    hyperplanes, bound = core.distinct_hyperplanes(np.ascontiguousarray(rows @ white), resolution)
    apart = len(hyperplanes) == len(rows) and values[-1] >= _LEAST_SINGULAR * values[0]
    to_gates = np.ldexp(white, -units.T)
    return _Arrangement(np.ascontiguousarray(hyperplanes), to_gates, bound, apart)


def _exponents(rows: Float, axis: int) -> NDArray[np.intc]:
    """Return the exponents of the largest entries along an axis."""
    exponents: NDArray[np.intc] = np.frexp(np.abs(rows).max(axis, keepdims=True, initial=0.0))[1]
    return exponents


def pattern_bound(data: Data) -> float:
    """Return an upper bound of the number of patterns of checked data; infinity if they are lost.

    That is where float64 does not tell them apart.
    """
    arrangement = _arrangement(data)
    return arrangement.bound if arrangement.apart else math.inf


def enumerate_patterns(
    X: ArrayLike, *, max_patterns: int = 1_000_000, n_threads: int | None = None
) -> PatternSet:
    """Compute all activation patterns of a data set, each with a gate that produces it.

    These are the cells of the arrangement of the hyperplanes ``x_i @ u = 0``; over all of them the
    convex programs have the global optimum of the network of any width. The empty pattern is among
    them if some gate is active on no sample. For n points in general position of rank r there are
    ``2 * sum(comb(n - 1, k) for k in range(r))``; repeated, parallel or otherwise dependent points
    have fewer.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Data. For a bias, append a constant column.
    max_patterns : int, default=1_000_000
        Refuse if there may be more.
    n_threads : int or None, default=None
        Threads; None is OpenMP's setting. The result does not depend on them.

    Returns
    -------
    PatternSet
        In lexicographic order of the packed words; its ``complete`` is True.

    Raises
    ------
    ValueError
        If X is malformed, or if the formula above, with the distinct directions of X and its rank,
        exceeds ``max_patterns``; or if points are so nearly dependent that float64 cannot tell
        cells apart.

    References
    ----------
    T. Zaslavsky (1975), Facing up to arrangements, Mem. AMS 154 (deletion and restriction);
    M. Pilanci, T. Ergen (2020), Neural networks are convex regularizers, ICML, appendix A.

    Examples
    --------
    >>> import cvxnn, numpy as np
    >>> X = np.array([[0, 0, 1], [0, 1, 1], [1, 0, 1], [1, 1, 1]])  # a square, and a bias
    >>> cvxnn.enumerate_patterns(X).n_patterns  # linear threshold functions of two bits
    14
    """
    data = check_data(X)
    max_patterns = check_count(max_patterns, "max_patterns")
    arrangement = _arrangement(data)
    n_hyperplanes, rank = arrangement.hyperplanes.shape
    if arrangement.bound > max_patterns:
        raise ValueError(
            f"X may have {arrangement.bound:.6g} activation patterns ({n_hyperplanes} distinct "
            f"directions of rank {rank}), max_patterns is {max_patterns}: raise it, or sample gates"
        )
    if not arrangement.apart:
        raise ValueError(_TOO_CLOSE)
    try:
        points = core.cell_points(arrangement.hyperplanes, n_threads=effective_threads(n_threads))
    except RuntimeError as error:  # cells too thin
        raise ValueError(str(error)) from None
    gates = np.ascontiguousarray(arrangement.to_gates @ points)
    gates /= np.abs(gates).max(axis=0)
    words = np.empty((-(-len(data) // 64), gates.shape[1]), dtype=np.uint64)
    core.pack_patterns(data, gates, words, n_threads=effective_threads(n_threads))
    order = np.lexsort(words[::-1])
    words, gates = np.ascontiguousarray(words[:, order]), np.ascontiguousarray(gates[:, order])
    if (words[:, 1:] == words[:, :-1]).all(axis=0).any():
        raise ValueError(_TOO_CLOSE)
    words.flags.writeable = False
    gates.flags.writeable = False
    return PatternSet(words=words, gates=gates, n_samples=len(data), complete=True)
