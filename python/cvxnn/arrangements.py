"""Activation patterns: gates, and the arrangement that they cut out of the data."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cvxnn._ext import core
from cvxnn._threads import effective_threads
from cvxnn._validation import (
    Data,
    Float,
    Samples,
    check_count,
    check_data,
    check_gates,
    check_indices,
    check_samples,
    core_form,
)

RandomState: TypeAlias = (
    int
    | np.integer[Any]
    | np.random.Generator
    | np.random.RandomState
    | np.random.SeedSequence
    | None
)


_ROUNDING = 1e-14  # distance of unit rows that are one
_DEPENDENT = 1e-13  # singular values, relative, of columns that depend on others
_LEAST_SINGULAR = 1e-11  # and of those that do not, for all cells to be found
_LEAST_UNIT = -900  # exponent of a feature's; gates have to undo it
_APART = 1e-10  # distance of whitened rows that can be told apart
_TOO_CLOSE = "X has points that are too nearly dependent to tell their patterns apart"
_SAME_SIDE = 1e-6  # relative score of a sample that may be on either side of a gate


def generator(random_state: RandomState) -> np.random.Generator:
    """Return a counter-based generator: the same draws on any machine."""
    if isinstance(random_state, np.random.Generator):
        return random_state
    if isinstance(random_state, np.random.RandomState):
        random_state = int(random_state.randint(2**31 - 1))
    elif random_state is not None and not isinstance(random_state, np.random.SeedSequence):
        random_state = check_count(random_state, "random_state", least=0, most=np.inf)
    return np.random.Generator(np.random.Philox(random_state))


def sample_gates(n_features: int, n_gates: int, *, random_state: RandomState = None) -> Float:
    """Sample Gaussian gate vectors.

    The generator is counter-based (Philox) and gates are drawn one after the other: the same seed
    gives the same gates on any machine, and fewer gates are the first ones of more.

    Parameters
    ----------
    n_features : int
        Length of a gate: the number of columns of X, a constant column for the bias included.
    n_gates : int
        Number of gates.
    random_state : int, Generator, RandomState, SeedSequence or None, default=None
        Seed or source of randomness; None draws a fresh seed.

    Returns
    -------
    ndarray of shape (n_features, n_gates), float64
        One gate a column.

    Raises
    ------
    TypeError, ValueError
        If a count is not a positive integer or the seed not one.

    References
    ----------
    M. Pilanci, T. Ergen (2020), Neural networks are convex regularizers, ICML, section 3.

    Examples
    --------
    >>> import cvxnn
    >>> cvxnn.sample_gates(3, 5, random_state=0).shape
    (3, 5)
    """
    n_features = check_count(n_features, "n_features")
    n_gates = check_count(n_gates, "n_gates")
    draws = generator(random_state).standard_normal((n_gates, n_features))
    return np.ascontiguousarray(draws.T)


@dataclass(frozen=True, eq=False, repr=False)
class PatternSet:
    """Distinct activation patterns of one data set, one bit a sample.

    Made by `activation_patterns` or `enumerate_patterns`. Pattern p is the diagonal of
    ``D_p = diag(1[X @ gates[:, p] > 0])``.

    Attributes
    ----------
    n_samples, n_patterns, n_features : int
        Sizes of the data and of the set.
    gates : ndarray of shape (n_features, n_patterns), float64
        One witness a pattern: a gate vector that produces it.
    words : ndarray of shape (ceil(n_samples / 64), n_patterns), uint64
        The packed bits: sample ``64 w + k`` of pattern p is bit k of ``words[w, p]``.
    nbytes : int
        Size of the packed bits.
    complete : bool
        Whether these are all patterns of the data.
    """

    words: NDArray[np.uint64]
    gates: Float
    n_samples: int
    complete: bool = False

    @property
    def n_patterns(self) -> int:
        """Number of patterns."""
        return int(self.words.shape[1])

    @property
    def n_features(self) -> int:
        """Number of features of the data."""
        return int(self.gates.shape[0])

    @property
    def nbytes(self) -> int:
        """Size of the packed bits in bytes."""
        return int(self.words.nbytes)

    def to_dense(self) -> NDArray[np.bool_]:
        """Return the patterns as a boolean array of shape (n_samples, n_patterns)."""
        return unpack_words(self.words, self.n_samples)

    def subset(self, indices: ArrayLike) -> "PatternSet":
        """Return some of the patterns, in the order of `indices`, as a set of their own.

        Parameters
        ----------
        indices : array-like of int
            Indices of patterns, or a mask of them.

        Returns
        -------
        PatternSet

        Raises
        ------
        TypeError, ValueError
            If `indices` are not integers, or no indices of patterns.
        """
        indices = check_indices(indices, "indices", self.n_patterns)
        return PatternSet(
            words=np.ascontiguousarray(self.words[:, indices]),
            gates=np.ascontiguousarray(self.gates[:, indices]),
            n_samples=self.n_samples,
        )

    def __len__(self) -> int:
        return self.n_patterns

    def __repr__(self) -> str:
        return (
            f"PatternSet(n_samples={self.n_samples}, n_patterns={self.n_patterns}, "
            f"n_features={self.n_features}, nbytes={self.nbytes})"
        )


def activation_patterns(
    X: ArrayLike, gates: ArrayLike, *, n_threads: int | None = None
) -> PatternSet:
    """Compute the distinct, non-empty activation patterns of gates on data.

    Pattern p of sample i is ``1[x_i @ g_p > 0]``. Duplicates keep their first gate; patterns
    without an active sample are dropped. Scores are summed in float64 in a fixed order, so the
    patterns depend on the values of X and gates only: not on dtype, sparsity, threads, CPU or
    batch.

    Parameters
    ----------
    X : array-like or sparse matrix of shape (n_samples, n_features)
        Data. For a bias, append a constant column: it takes part in the gates.
    gates : array-like of shape (n_features, n_gates)
        One gate a column; see `sample_gates`.
    n_threads : int or None, default=None
        Threads; None is OpenMP's setting.

    Returns
    -------
    PatternSet

    Raises
    ------
    ValueError
        If X or gates are malformed or not finite, or if no gate is active on any sample.

    References
    ----------
    M. Pilanci, T. Ergen (2020), Neural networks are convex regularizers, ICML, section 2.

    Examples
    --------
    >>> import cvxnn
    >>> X = [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]
    >>> patterns = cvxnn.activation_patterns(X, [[1.0, -1.0, 2.0], [0.0, 1.0, 0.0]])
    >>> patterns.to_dense().astype(int)
    array([[1, 0],
           [0, 1],
           [1, 0]])
    """
    data = check_samples(X)
    columns = check_gates(gates, data.shape[1])
    patterns = distinct_patterns([data], data.shape[0], columns, n_threads=n_threads)
    if isinstance(gates, np.ndarray) and np.shares_memory(patterns.gates, gates):
        # The set must not change when the caller's gates do.
        patterns = replace(patterns, gates=patterns.gates.copy())
    patterns.gates.flags.writeable = False
    return patterns


def distinct_patterns(
    parts: Iterable[Samples], n_samples: int, gates: Float, *, n_threads: int | None
) -> PatternSet:
    """Return the patterns of checked gates on rows that come in parts.

    Each part but the last has a multiple of 64 rows.
    """
    n_threads = effective_threads(n_threads)
    n_gates = gates.shape[1]
    words = np.empty((-(-n_samples // 64), n_gates), dtype=np.uint64)
    first = 0
    for rows in parts:
        last = first + -(-rows.shape[0] // 64)
        core.pack_patterns(core_form(rows), gates, words[first:last], n_threads=n_threads)
        first = last
    kept = core.unique_patterns(words, n_samples)
    if len(kept) == 0:
        raise ValueError(
            "gates must be active on at least one sample of X, got only empty patterns"
        )
    if len(kept) < n_gates:
        # The kept words stand at the front of the buffer: shrink it where it lies.
        n_words = words.shape[0]
        words.resize(n_words * len(kept), refcheck=False)
        words = words.reshape(n_words, len(kept))
        gates = np.ascontiguousarray(gates[:, kept])
    words.flags.writeable = False
    return PatternSet(words=words, gates=gates, n_samples=n_samples)


def unpack_words(words: NDArray[np.uint64], n_samples: int) -> NDArray[np.bool_]:
    """Return packed patterns as a boolean array of shape (n_samples, n_patterns)."""
    n_words, n_patterns = words.shape
    octets = words.astype("<u8", copy=False).view(np.uint8).reshape(n_words, n_patterns, 8)
    bits = np.unpackbits(octets, axis=2, bitorder="little")
    dense = bits.transpose(0, 2, 1).reshape(n_words * 64, n_patterns)[:n_samples]
    result: NDArray[np.bool_] = dense.astype(np.bool_)
    return result


def concatenate_patterns(first: PatternSet, second: PatternSet, most: int) -> PatternSet:
    """Return the patterns of both sets of the same data, duplicates dropped, `most` at most."""
    words = np.hstack([first.words, second.words])
    gates = np.hstack([first.gates, second.gates])
    kept = core.unique_patterns(words.copy(), first.n_samples)[:most]
    return PatternSet(
        words=np.ascontiguousarray(words[:, kept]),
        gates=np.ascontiguousarray(gates[:, kept]),
        n_samples=first.n_samples,
    )


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


def check_data_of(X: ArrayLike, patterns: PatternSet) -> Data:
    """Return dense X as the core wants it; it must have the shape of the data of the patterns."""
    data: Data = check_samples_of(check_data(X), patterns)
    return data


def check_data_behind(X: ArrayLike, patterns: PatternSet, indices: NDArray[np.int64]) -> Float:
    """Return X in float64; the gates at `indices` must have their patterns on it."""
    data = np.asarray(check_data_of(X, patterns), dtype=np.float64)
    gates = patterns.gates[:, indices]
    scores = data @ gates
    other = (scores > 0.0) != patterns.subset(indices).to_dense()
    sizes = np.linalg.norm(data, axis=1)[:, None] * np.linalg.norm(gates, axis=0)
    if (other & (np.abs(scores) > _SAME_SIDE * sizes)).any():
        raise ValueError("X must be the data that patterns were made from, got other values")
    return data


def check_samples_of(X: ArrayLike, patterns: PatternSet) -> Samples:
    """Return the same for X that may be sparse."""
    data = check_samples(X)
    if data.shape != (patterns.n_samples, patterns.n_features):
        raise ValueError(
            f"patterns were made from data of shape ({patterns.n_samples}, {patterns.n_features}), "
            f"X has shape {data.shape}"
        )
    return data


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
