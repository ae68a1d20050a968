"""Token mixing: what the neurons of attention, mixers and Fourier operators see and put out.

Tokens are (n, s, d). A neuron's scores are linear in its hidden weights; an activation makes some
of them zero; its map, at n_positions of each row, is linear in what is left. Rows are samples, or
for outputs of each token samples times tokens (Sahiner et al. 2022, Unraveling attention via convex
duality, ICML, sections 3-5).
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from cvxnn._validation import Float

_CHUNK = 2**22  # scores that are held at a time: what the caches of a core and its neighbours hold


class Mixing(ABC):
    """An architecture on given tokens.

    Scores have a layout of their own, with the neurons on `neuron_axis`; maps are (n_rows, m,
    n_positions).
    """

    neuron_axis: ClassVar[int]

    def __init__(self, tokens: Float, *, pooled: bool) -> None:
        self.tokens = tokens
        self.n_samples, self.n_tokens, self.n_channels = (int(size) for size in tokens.shape)
        self.pooled = pooled

    @staticmethod
    @abstractmethod
    def weight_shape(n_tokens: int, n_channels: int) -> tuple[int, int]:
        """Shape of a neuron's hidden weights."""

    @property
    def n_rows(self) -> int:
        """Number of rows of maps and outputs."""
        return self.n_samples * (1 if self.pooled else self.n_tokens)

    @property
    @abstractmethod
    def n_positions(self) -> int:
        """Number of positions of a map, each with output weights."""

    @property
    @abstractmethod
    def score_shape(self) -> tuple[int, ...]:
        """Shape of the scores of one neuron: their layout without its axis."""

    @property
    def n_scores(self) -> int:
        """Number of scores of one neuron."""
        return math.prod(self.score_shape)

    @abstractmethod
    def scores(self, weights: Float) -> Float:
        """Return the scores of hidden weights (m, *weight_shape)."""

    @abstractmethod
    def read_out(self, scores: Float) -> Float:
        """Return the maps of activated scores."""

    @abstractmethod
    def spread(self, maps: Float) -> Float:
        """Apply the adjoint of `read_out`, up to broadcasting along pooled tokens."""

    @abstractmethod
    def collect(self, scores: Float) -> Float:
        """Apply the adjoint of `scores`."""

    def seen(self) -> Float:
        """Return what a neuron sees, (n_scores, n_inputs): its scores are ``seen() @ w``."""
        shape = self.weight_shape(self.n_tokens, self.n_channels)
        units = np.eye(math.prod(shape)).reshape(-1, *shape)
        rows = np.moveaxis(self.scores(units), self.neuron_axis, -1)
        return np.ascontiguousarray(rows.reshape(self.n_scores, -1))

    def parts(self, n_neurons: int) -> Iterator[slice]:
        """Yield the neurons in parts whose scores fit into memory."""
        size = max(1, _CHUNK // max(1, self.n_scores))
        for start in range(0, n_neurons, size):
            yield slice(start, min(start + size, n_neurons))

    def active(self, gates: Float) -> NDArray[np.bool_]:
        """Return where gates (m, *weight_shape) let scores through."""
        parts = [self.scores(gates[part]) > 0.0 for part in self.parts(len(gates))]
        return np.concatenate(parts, axis=self.neuron_axis)

    def maps(
        self, weights: Float, masks: NDArray[np.bool_] | None, owner: NDArray[np.int64]
    ) -> Float:
        """Return the maps of neurons, neuron j under the mask of block owner[j]."""
        out = np.empty((self.n_rows, len(weights), self.n_positions))
        for part in self.parts(len(weights)):
            scores = self.scores(weights[part])
            if masks is not None:
                scores *= masks.take(owner[part], axis=self.neuron_axis)
            out[:, part] = self.read_out(scores)
        return out

    def adjoint(
        self, maps: Float, masks: NDArray[np.bool_] | None, owner: NDArray[np.int64]
    ) -> Float:
        """Apply the adjoint of `maps`: (n_rows, m, n_positions) to (m, *weight_shape)."""
        shape = self.weight_shape(self.n_tokens, self.n_channels)
        out = np.empty((maps.shape[1], *shape))
        for part in self.parts(len(out)):
            scores = self.spread(maps[:, part])
            if masks is not None:
                scores = scores * masks.take(owner[part], axis=self.neuron_axis)
            out[part] = self.collect(scores)
        return out

    def outputs(self, hidden: Float, output: Float, activation: str, gates: Float | None) -> Float:
        """Return the outputs (n_rows, n_outputs) of neurons, output (m, n_positions, n_outputs)."""
        fit = np.zeros((self.n_rows, output.shape[2]))
        for part in self.parts(len(hidden)):
            scores = self.scores(hidden[part])
            if activation == "relu":
                np.maximum(scores, 0.0, out=scores)
            elif gates is not None:
                scores *= self.scores(gates[part]) > 0.0
            fit += self.read_out(scores).reshape(self.n_rows, -1) @ output[part].reshape(
                -1, output.shape[2]
            )
        return fit


class SelfAttention(Mixing):
    """Scores X W_1 X' of pairs of tokens, maps act(X W_1 X') X. Scores are (n, s, m, s)."""

    neuron_axis = 2

    @staticmethod
    def weight_shape(n_tokens: int, n_channels: int) -> tuple[int, int]:  # noqa: ARG004
        """Shape of a neuron's hidden weights: keys and queries in one."""
        return n_channels, n_channels

    @property
    def n_positions(self) -> int:
        """Number of channels, which the values have."""
        return self.n_channels

    @property
    def score_shape(self) -> tuple[int, ...]:
        """Pairs of tokens."""
        return self.n_samples, self.n_tokens, self.n_tokens

    def _against(self, rows: Float, other: Float) -> Float:
        """Multiply (n, a, m, k) by (n, k, l) on the last axis."""
        n, a, m, k = rows.shape
        product: Float = (rows.reshape(n, a * m, k) @ other).reshape(n, a, m, -1)
        return product

    def scores(self, weights: Float) -> Float:
        """Return x_a' W_1 x_b."""
        m, d, _ = weights.shape
        queries = self.tokens @ weights.transpose(1, 0, 2).reshape(d, m * d)
        return self._against(
            queries.reshape(*self.tokens.shape[:2], m, d), self.tokens.transpose(0, 2, 1)
        )

    def read_out(self, scores: Float) -> Float:
        """Return sum_b S_ab x_b, or its mean over a."""
        if self.pooled:
            scores = scores.mean(axis=1, keepdims=True)
        m = scores.shape[2]
        return self._against(scores, self.tokens).reshape(self.n_rows, m, self.n_channels)

    def spread(self, maps: Float) -> Float:
        """Return the products of maps with x_b."""
        m = maps.shape[1]
        if self.pooled:
            maps = maps / self.n_tokens
        rows = maps.reshape(self.n_samples, -1, m, self.n_channels)
        return self._against(rows, self.tokens.transpose(0, 2, 1))

    def collect(self, scores: Float) -> Float:
        """Return sum_ab S_ab x_a x_b'."""
        m, d = scores.shape[2], self.n_channels
        values = self._against(scores, self.tokens)
        values = np.broadcast_to(values, (*self.tokens.shape[:2], m, d))
        sums: Float = self.tokens.reshape(-1, d).T @ values.reshape(-1, m * d)
        by_neuron: Float = sums.reshape(d, m, d).transpose(1, 0, 2)
        return by_neuron


class MLPMixer(Mixing):
    """Scores and maps W_1 X, which mixes tokens in each channel. Scores are (n, m, s, d)."""

    neuron_axis = 1

    @staticmethod
    def weight_shape(n_tokens: int, n_channels: int) -> tuple[int, int]:  # noqa: ARG004
        """Shape of a neuron's hidden weights: tokens out, tokens in."""
        return n_tokens, n_tokens

    @property
    def n_positions(self) -> int:
        """Number of channels."""
        return self.n_channels

    @property
    def score_shape(self) -> tuple[int, ...]:
        """Entries of the data."""
        return self.n_samples, self.n_tokens, self.n_channels

    def scores(self, weights: Float) -> Float:
        """Return W_1 X."""
        product: Float = weights.reshape(-1, self.n_tokens) @ self.tokens
        return product.reshape(self.n_samples, -1, self.n_tokens, self.n_channels)

    def read_out(self, scores: Float) -> Float:
        """Return the scores by row, or their mean over tokens."""
        maps: Float = scores.mean(axis=2) if self.pooled else scores.transpose(0, 2, 1, 3)
        return maps.reshape(self.n_rows, scores.shape[1], self.n_channels)

    def spread(self, maps: Float) -> Float:
        """Return maps in the layout of scores."""
        if self.pooled:
            maps = maps / self.n_tokens
        rows = maps.reshape(self.n_samples, -1, maps.shape[1], self.n_channels)
        scores: Float = rows.transpose(0, 2, 1, 3)
        return scores

    def collect(self, scores: Float) -> Float:
        """Return the products of scores with the tokens, summed over samples and channels."""
        s, m = self.n_tokens, scores.shape[1]
        scores = np.broadcast_to(scores, (self.n_samples, m, s, self.n_channels))
        sums: Float = np.tensordot(scores, self.tokens, axes=([0, 3], [0, 2]))
        return sums


class FourierOperator(Mixing):
    """Scores and maps circ(X) w_1, a circular convolution over tokens. Scores are (s, m, n).

    ``circ(X)[t, (k, r)] = X[(t - k) mod s, r]``; in Fourier space a product for each frequency.
    """

    neuron_axis = 1

    def __init__(self, tokens: Float, *, pooled: bool) -> None:
        super().__init__(tokens, pooled=pooled)
        self._spectra = np.fft.rfft(tokens, axis=1).transpose(1, 2, 0)  # (frequencies, d, n)

    @staticmethod
    def weight_shape(n_tokens: int, n_channels: int) -> tuple[int, int]:
        """Shape of a neuron's hidden weights: a kernel over tokens for each channel."""
        return n_tokens, n_channels

    @property
    def n_positions(self) -> int:
        """One."""
        return 1

    @property
    def score_shape(self) -> tuple[int, ...]:
        """Tokens of all samples."""
        return self.n_tokens, self.n_samples

    def seen(self) -> Float:
        """Return the rows of circ(X): copies of tokens, where transforms would round."""
        steps = np.arange(self.n_tokens)
        rows = self.tokens[:, (steps[:, None] - steps) % self.n_tokens].swapaxes(0, 1)
        return np.ascontiguousarray(rows.reshape(self.n_scores, -1))

    def scores(self, weights: Float) -> Float:
        """Return the convolutions, summed over channels."""
        kernels = np.fft.rfft(weights.transpose(1, 0, 2), axis=0)
        return self._back(kernels @ self._spectra)

    def _back(self, spectra: NDArray[Any]) -> Float:
        values: Float = np.fft.irfft(spectra, n=self.n_tokens, axis=0)
        return values

    def read_out(self, scores: Float) -> Float:
        """Return the scores by row, or their mean over tokens."""
        maps: Float = scores.mean(axis=0).T if self.pooled else scores.transpose(2, 0, 1)
        return maps.reshape(self.n_rows, scores.shape[1], 1)

    def spread(self, maps: Float) -> Float:
        """Return maps in the layout of scores."""
        if self.pooled:
            maps = maps / self.n_tokens
        scores: Float = maps.reshape(self.n_samples, -1, maps.shape[1]).transpose(1, 2, 0)
        return scores

    def collect(self, scores: Float) -> Float:
        """Return the correlations with the tokens, summed over samples."""
        scores = np.broadcast_to(scores, (self.n_tokens, *scores.shape[1:]))
        spectra = np.fft.rfft(scores, axis=0)
        kernels = self._back(spectra @ self._spectra.conj().transpose(0, 2, 1))
        by_neuron: Float = kernels.transpose(1, 0, 2)
        return by_neuron


MIXINGS: dict[str, type[Mixing]] = {
    "self_attention": SelfAttention,
    "mlp_mixer": MLPMixer,
    "fno": FourierOperator,
}
