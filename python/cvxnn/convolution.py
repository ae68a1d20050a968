"""Convex programs of convolutional networks, as designs of blocks.

T. Ergen, M. Pilanci (2021), Implicit convex regularizers of CNN architectures, ICLR.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cvxnn._designs import BlockDesign, StackedCones
from cvxnn._patches import Pooling, Windows
from cvxnn._validation import Data, Float, check_gates
from cvxnn._whitening import Whitener
from cvxnn.arrangements import (
    PatternSet,
    RandomState,
    activation_patterns,
    distinct_patterns,
    sample_gates,
    unpack_words,
)

# Rows of the cones of max pooling, of all patterns: more take gigabytes, and hours.
_MOST_ROWS = 10_000_000
_ROUNDING = 100  # units of the data's precision: by so much equal patches may differ

_WORD = 64  # patterns are packed in words of as many bits


@dataclass(frozen=True)
class WhitenedWindows(Windows):
    """Windows whose patches are whitened: what filters with batch normalisation see."""

    whitener: Whitener

    def n_inputs(self, n_channels: int) -> int:  # noqa: ARG002  # directions are of all channels
        """Return the number of directions."""
        return self.whitener.n_columns

    def patches(self, X: Data, *, constant: bool) -> Data:
        """Return the whitened patches (n_samples, n_patches, n_inputs); see `Windows.patches`."""
        raw = super().patches(X, constant=False)
        seen = self.whitener.transform(raw.reshape(-1, raw.shape[2]), constant_column=constant)
        return seen.reshape(len(X), raw.shape[1], -1)


def patch_whitener(windows: Windows, X: Data, weight: Float, rank: float | None) -> Whitener:
    """Return the whitener of all patches of weighted samples; `rank` is as for `Whitener`."""
    patches = windows.patches(X, constant=False)
    shares = np.repeat(weight, patches.shape[1])
    return Whitener(patches.reshape(-1, patches.shape[2]), shares, rank=rank)


@dataclass(frozen=True)
class Convolution:
    """Filters at `windows`, whose maps are pooled; makes the designs of their programs.

    With `constant` a patch ends in a one, for the bias of the filters.
    """

    windows: Windows
    pooling: Pooling
    constant: bool
    n_threads: int | None

    def _n_inputs(self, X: Data) -> int:
        return self.windows.n_inputs(int(X.shape[1])) + self.constant

    def _members(self, X: Data) -> NDArray[np.intp]:
        return self.pooling.windows(self.windows.positions(X.shape[2:]))

    def gates(self, X: Data, n_gates: int, random_state: RandomState) -> Float:
        """Return Gaussian gates on patches."""
        return sample_gates(self._n_inputs(X), n_gates, random_state=random_state)

    def linear(self, X: Data) -> BlockDesign:
        """Return the design of linear filters: one block, of the pooled patches."""
        members = self._members(X)
        matrix = np.empty((len(X), len(members), self._n_inputs(X)), dtype=X.dtype)
        for strip, seen in self.windows.strips(X, constant=self.constant):
            np.mean(seen[:, members], axis=2, out=matrix[strip])
        return BlockDesign(matrix.reshape(len(X), -1), 1, matrix.shape[2])

    def gated(self, X: Data, gates: Float) -> BlockDesign:
        """Return the design of gated filters: pooled patches on which a gate is open.

        With max pooling a gate chooses a patch of each window, the one that it scores highest.
        """
        gates = check_gates(gates, self._n_inputs(X))
        if self.pooling.kind == "max":
            winners, gates = self._distinct_winners(X, gates)
            return BlockDesign(self._won(X, winners), gates.shape[1], gates.shape[0], gates=gates)
        patterns = self._patterns(X, gates)
        return BlockDesign(
            self._averaged(X, patterns),
            patterns.n_patterns,
            patterns.n_features,
            gates=patterns.gates,
        )

    def relu(self, X: Data, gates: Float) -> BlockDesign:
        """Return the design of ReLU filters: as gated ones, with the cones of their patterns.

        With max pooling these are the cones on which the chosen patches are the largest.
        """
        gates = check_gates(gates, self._n_inputs(X))
        if self.pooling.kind == "max":
            winners, gates = self._distinct_winners(X, gates)
            matrix = self._won(X, winners)
            cones = self._winning_cones(X, winners, matrix)
            return BlockDesign(matrix, gates.shape[1], gates.shape[0], cones, gates)
        seen = self.windows.patches(X, constant=self.constant)
        rows = seen.reshape(-1, seen.shape[2])
        patterns = activation_patterns(rows, gates, n_threads=self.n_threads)
        return BlockDesign(
            self._averaged(X, patterns),
            patterns.n_patterns,
            patterns.n_features,
            (rows, patterns),
            patterns.gates,
        )

    def _patterns(self, X: Data, gates: Float) -> PatternSet:
        """Return the patterns of gates on all patches, from strips of them."""
        strips = self.windows.strips(X, constant=self.constant)
        rows = (seen.reshape(-1, seen.shape[2]) for _, seen in strips)
        n_rows = len(X) * math.prod(self.windows.positions(X.shape[2:]))
        return distinct_patterns(_whole_words(rows), n_rows, gates, n_threads=self.n_threads)

    def _averaged(self, X: Data, patterns: PatternSet) -> Data:
        """Return the means, over each window, of the patches that are active in a pattern."""
        members = self._members(X)
        n_patterns, n_inputs = patterns.n_patterns, patterns.n_features
        matrix = np.empty((len(X), n_patterns, len(members), n_inputs), dtype=X.dtype)
        first = 0
        for strip, seen in self.windows.strips(X, constant=self.constant, n_maps=3 * n_patterns):
            last = first + seen.shape[0] * seen.shape[1]
            words = patterns.words[first // _WORD : -(-last // _WORD)]
            bits = unpack_words(words, last - first // _WORD * _WORD)
            active = bits[first % _WORD :].astype(X.dtype)
            first = last
            masks = active.reshape(*seen.shape[:2], n_patterns)[:, members]
            sums = np.matmul(masks.transpose(0, 1, 3, 2), seen[:, members])
            np.divide(sums.transpose(0, 2, 1, 3), members.shape[1], out=matrix[strip])
        return matrix.reshape(len(X), -1)

    def _winners(self, X: Data, gates: Float) -> NDArray[np.int32]:
        """Return which member (n_samples, n_windows, n_gates) has the highest score, or -1.

        That is where none is positive.
        """
        members = self._members(X)
        winners = np.empty((len(X), len(members), gates.shape[1]), dtype=np.int32)
        for strip, seen in self.windows.strips(
            X, constant=self.constant, n_maps=2 * gates.shape[1]
        ):
            scores = np.matmul(seen, gates)[:, members]
            winners[strip] = np.where(scores.max(axis=2) > 0.0, scores.argmax(axis=2), -1)
        return winners

    def _distinct_winners(self, X: Data, gates: Float) -> tuple[NDArray[np.int32], Float]:
        """Return the winners of gates that differ in them and have some, and these gates."""
        winners = self._winners(X, gates)
        columns = np.ascontiguousarray(winners.reshape(-1, gates.shape[1]).T)
        keys = columns.view(f"V{columns.itemsize * columns.shape[1]}")[:, 0]
        kept = np.sort(np.unique(keys, return_index=True)[1])
        kept = kept[(columns[kept] >= 0).any(axis=1)]
        if len(kept) == 0:
            raise ValueError("gates must be active on at least one patch, got only empty patterns")
        return winners[:, :, kept], np.ascontiguousarray(gates[:, kept])

    def _won(self, X: Data, winners: NDArray[np.int32]) -> Data:
        """Return the patches that win their windows, zero where none does."""
        members = self._members(X)
        n_gates = winners.shape[2]
        shape = (len(X), n_gates, len(members), self._n_inputs(X))
        matrix = np.empty(shape, dtype=X.dtype)
        for strip, seen in self.windows.strips(X, constant=self.constant, n_maps=2 * n_gates):
            which = winners[strip].transpose(0, 2, 1)
            patch = members[np.arange(len(members)), which]
            won = seen[np.arange(len(seen))[:, None, None], patch]
            np.multiply(won, (which >= 0)[..., None], out=matrix[strip])
        return matrix.reshape(len(X), -1)

    def _winning_cones(self, X: Data, winners: NDArray[np.int32], won: Data) -> StackedCones:
        """Return the cones on which members win, from their patches `won`.

        A winner scores no less than zero and than the others; where none wins, none is positive.
        """
        members = self._members(X)
        n_gates, n_inputs = winners.shape[2], self._n_inputs(X)
        n_rows = len(X) * members.size
        if n_gates * n_rows > _MOST_ROWS:
            raise ValueError(
                f"activation='relu' with pooling by 'max' needs {n_gates} cones of {n_rows} rows, "
                f"at most {_MOST_ROWS} in all: use fewer gates, a larger stride, or 'gated_relu'"
            )
        patches = won.reshape(len(X), n_gates, len(members), n_inputs).swapaxes(0, 1)
        rows = np.empty((n_gates, len(X), *members.shape, n_inputs), dtype=X.dtype)
        tiny = _ROUNDING * np.finfo(X.dtype).eps * np.abs(won).max()
        n_maps = 2 * n_gates * n_inputs
        for strip, seen in self.windows.strips(X, constant=self.constant, n_maps=n_maps):
            part, best = rows[:, strip], patches[:, strip]
            np.subtract(best[:, :, :, None], seen[:, members], out=part)
            part[np.abs(part).max(axis=-1) <= tiny] = 0.0
            # In place of the difference of a winner from itself, which is zero, comes its score.
            which = winners[strip].transpose(2, 0, 1)
            part[which[..., None] == np.arange(members.shape[1])] = best[which >= 0]
        starts = n_rows * np.arange(n_gates + 1, dtype=np.int64)
        return StackedCones(rows.reshape(-1, n_inputs), starts)


def _whole_words(parts: Iterable[Data]) -> Iterator[Data]:
    """Yield rows that come in parts again, in parts that fill whole words but for the last."""
    rest: Data | None = None
    for part in parts:
        rows = part if rest is None else np.concatenate([rest, part])
        n_whole = len(rows) // _WORD * _WORD
        if n_whole > 0:
            yield rows[:n_whole]
        rest = rows[n_whole:]
    if rest is not None and len(rest) > 0:
        yield rest
