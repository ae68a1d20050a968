"""What a network on tokens computes, and what its training minimises."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cvxnn._ext import core
from cvxnn._mixing import MIXINGS
from cvxnn._validation import (
    Data,
    Float,
    check_choice,
    check_layers,
    check_matrix,
    check_numeric,
    check_positive,
    check_sample_weight,
    check_targets,
    check_tensor,
    check_vector,
)
from cvxnn.losses import Huber, resolve_loss

ACTIVATIONS = ("gated_relu", "relu", "linear")
TOKEN_AXES = ("n_samples, n_tokens, n_channels",)

_BATCH = 2**22  # scores of a head that are held at a time


class TokenLayers:
    """The arrays of a `TokenNetwork`, checked, with its output and objective."""

    def __init__(
        self,
        mixing: str,
        coefs: Sequence[ArrayLike],
        intercept: ArrayLike | None = None,
        *,
        activation: str = "linear",
        gates: ArrayLike | None = None,
        pool_tokens: bool = True,
        constant_channel: bool = False,
    ) -> None:
        self.mixing = check_choice(mixing, "mixing", tuple(MIXINGS))
        self.activation = check_choice(activation, "activation", ACTIVATIONS)
        self.pool_tokens, self.constant_channel = bool(pool_tokens), bool(constant_channel)
        coefs = check_layers(coefs, "coefs")
        hidden = check_matrix(coefs[0], "coefs[0]", (None, None, None))
        m, rows, columns = hidden.shape
        if self.mixing != "fno" and rows != columns:
            raise ValueError(f"coefs[0] must hold square matrices, got shape {hidden.shape}")
        positions = {"self_attention": rows, "mlp_mixer": None, "fno": 1}[self.mixing]
        output = check_matrix(coefs[1], "coefs[1]", (m, positions, None))
        self.coefs_ = [hidden, output]
        if 0 in (rows, columns, *output.shape[1:]) or self.n_channels == 0:
            raise ValueError("coefs must have at least one token, channel and output")
        self.intercept_ = (
            np.zeros(self.n_outputs_)
            if intercept is None
            else check_vector(intercept, "intercept", self.n_outputs_, "n_outputs")
        )
        if (self.activation == "gated_relu") != (gates is not None):
            raise ValueError("gates belong to activation='gated_relu', and to no other")
        self.gates_ = None if gates is None else check_matrix(gates, "gates", hidden.shape)

    @property
    def n_heads(self) -> int:
        """Number of heads."""
        return int(self.coefs_[0].shape[0])

    @property
    def n_outputs_(self) -> int:
        """Number of outputs of a token, or of the mean of all."""
        return int(self.coefs_[1].shape[2])

    @property
    def n_tokens(self) -> int | None:
        """Number of tokens that `predict` wants; None is any."""
        return None if self.mixing == "self_attention" else int(self.coefs_[0].shape[1])

    @property
    def n_channels(self) -> int:
        """Number of channels that `predict` wants."""
        of_mixer = self.coefs_[1].shape[1]
        d = of_mixer if self.mixing == "mlp_mixer" else self.coefs_[0].shape[2]
        return int(d) - self.constant_channel

    def _tokens(self, X: ArrayLike) -> Data:
        data = check_tensor(X, TOKEN_AXES)
        fits = data.shape[1] == self.n_tokens or self.n_tokens is None
        if not fits or data.shape[2] != self.n_channels:
            tokens = "any" if self.n_tokens is None else self.n_tokens
            raise ValueError(
                f"X must hold samples of shape ({tokens}, {self.n_channels}), as the network has, "
                f"got shape {data.shape}"
            )
        return data

    def _forward(self, X: ArrayLike) -> Float:
        """Return outputs (n_samples, n_outputs) or (n_samples, n_tokens, n_outputs)."""
        data = self._tokens(X)
        kind, (n_samples, n_tokens, _) = MIXINGS[self.mixing], data.shape
        n_batches = -(-n_samples * n_tokens * max(data.shape[1:]) // _BATCH)
        cuts = np.linspace(0, n_samples, min(n_batches, n_samples) + 1).astype(int)
        fits = []
        for first, last in itertools.pairwise(cuts):
            tokens = as_tokens(data[first:last], self.constant_channel)
            mixing = kind(tokens, pooled=self.pool_tokens)
            fits.append(
                mixing.outputs(self.coefs_[0], self.coefs_[1], self.activation, self.gates_)
            )
        fit: Float = np.concatenate(fits) + self.intercept_
        return fit if self.pool_tokens else fit.reshape(n_samples, n_tokens, self.n_outputs_)

    def predict(self, X: ArrayLike) -> Float:
        """Return the outputs of the network.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_tokens, n_channels)
            Tokens.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs), float64
            One column an output; one output is a vector. Without ``pool_tokens`` of shape
            (n_samples, n_tokens, n_outputs).

        Raises
        ------
        ValueError
            If X is malformed, not finite, or has other numbers of tokens or channels.
        """
        fit = self._forward(X)
        return fit[:, 0] if self.pool_tokens and self.n_outputs_ == 1 else fit

    def objective(
        self,
        X: ArrayLike,
        y: ArrayLike,
        alpha: float,
        *,
        loss: str | Huber = "squared",
        sample_weight: ArrayLike | None = None,
    ) -> float:
        """Return the regularised training objective of the network, the non-convex one.

        It is the mean loss plus ``alpha / 2 * sum_j (||W1_j||^2 + ||W2_j||^2)`` in Frobenius norms;
        the intercept is free. The mean is over samples, and over tokens without ``pool_tokens``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_tokens, n_channels)
            Tokens.
        y : array-like of shape (n_samples,), (n_samples, n_outputs) or the shape of `predict`
            Targets; -1 and +1 for the logistic loss, shares of classes for ``softmax``.
        alpha : float
            Regularisation strength.
        loss : str or Huber, default='squared'
            Loss.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weights of samples; None is one.

        Returns
        -------
        float

        Raises
        ------
        ValueError
            If an argument is malformed.
        """
        spec = resolve_loss(loss)
        alpha = check_positive(alpha, "alpha")
        fit = self._forward(X)
        omega = check_sample_weight(sample_weight, len(fit))
        if not self.pool_tokens:
            y = token_rows(y, fit.shape[:2])
            omega = np.repeat(omega, fit.shape[1]) / fit.shape[1]
            fit = fit.reshape(-1, self.n_outputs_)
        targets = check_targets(y, len(fit), labels=spec.labels, shares=spec.shares, several=True)
        if targets.shape[1] != self.n_outputs_:
            raise ValueError(f"y must have {self.n_outputs_} outputs, got {targets.shape[1]}")
        value: float = core.loss_value(spec.name, spec.delta, targets, omega, fit)
        return value + 0.5 * alpha * float(sum((weights**2).sum() for weights in self.coefs_))


def as_tokens(data: Data, constant_channel: bool) -> Float:
    """Return checked tokens in float64, with a channel of ones after the others if wanted."""
    tokens = np.ones((*data.shape[:2], data.shape[2] + constant_channel))
    tokens[:, :, : data.shape[2]] = data
    return tokens


def token_rows(y: ArrayLike, shape: tuple[int, int]) -> NDArray[Any]:
    """Return targets (n_samples, n_tokens[, n_outputs]) with a row a token."""
    targets = check_numeric(y, "y")
    if targets.ndim not in (2, 3) or targets.shape[:2] != shape:
        raise ValueError(
            f"y must have shape (n_samples, n_tokens, n_outputs) = ({shape[0]}, {shape[1]}, any) "
            f"for outputs of each token, got {targets.shape}"
        )
    return targets.reshape(shape[0] * shape[1], -1)
