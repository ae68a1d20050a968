"""Activation patterns: gates, and the arrangement that they cut out of the data."""

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
