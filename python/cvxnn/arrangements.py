"""Activation patterns: gates, and the arrangement that they cut out of the data."""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cvxnn._ext import core
from cvxnn._threads import effective_threads
from cvxnn._validation import Float, check_count, check_data, check_gates

RandomState: TypeAlias = (
    int
    | np.integer[Any]
    | np.random.Generator
    | np.random.RandomState
    | np.random.SeedSequence
    | None
)


def _generator(random_state: RandomState) -> np.random.Generator:
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
    draws = _generator(random_state).standard_normal((n_gates, n_features))
    return np.ascontiguousarray(draws.T)


@dataclass(frozen=True, eq=False, repr=False)
class PatternSet:
    """Distinct, non-empty activation patterns of one data set, one bit a sample.

    Made by `activation_patterns`. Pattern p is the diagonal of
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
    """

    words: NDArray[np.uint64]
    gates: Float
    n_samples: int

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
        n_words, n_patterns = self.words.shape
        octets = self.words.astype("<u8", copy=False).view(np.uint8).reshape(n_words, n_patterns, 8)
        bits = np.unpackbits(octets, axis=2, bitorder="little")
        dense = bits.transpose(0, 2, 1).reshape(n_words * 64, n_patterns)[: self.n_samples]
        result: NDArray[np.bool_] = dense.astype(np.bool_)
        return result

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
    patterns depend on the values of X and gates only: not on dtype, threads, CPU or batch.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
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
    data = check_data(X)
    columns = check_gates(gates, data.shape[1])
    n_threads = effective_threads(n_threads)
    n_samples, n_gates = data.shape[0], columns.shape[1]
    words = np.empty((-(-n_samples // 64), n_gates), dtype=np.uint64)
    core.pack_patterns(data, columns, words, n_threads=n_threads)
    kept = core.unique_patterns(words, n_samples)
    if len(kept) == 0:
        raise ValueError("gates must be active on at least one sample, got only empty patterns")
    if len(kept) < n_gates:
        # The kept words stand at the front of the buffer: shrink it where it lies.
        n_words = words.shape[0]
        words.resize(n_words * len(kept), refcheck=False)
        words = words.reshape(n_words, len(kept))
        columns = np.ascontiguousarray(columns[:, kept])
    elif isinstance(gates, np.ndarray) and np.shares_memory(columns, gates):
        columns = columns.copy()  # the set must not change when the caller's gates do
    words.flags.writeable = False
    columns.flags.writeable = False
    return PatternSet(words=words, gates=columns, n_samples=n_samples)
