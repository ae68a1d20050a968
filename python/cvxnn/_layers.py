"""What a two-layer network computes, and what its training minimises."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cvxnn._ext import core
from cvxnn._threads import effective_threads
from cvxnn._validation import (
    Float,
    check_choice,
    check_layers,
    check_matrix,
    check_positive,
    check_sample_weight,
    check_samples,
    check_targets,
    check_vector,
    core_form,
)
from cvxnn.losses import Huber, resolve_loss

_ACTIVATIONS = ("gated_relu", "relu")


class Layers:
    """The arrays of a `Network`, checked, with its output and objective."""

    def __init__(
        self,
        coefs: Sequence[ArrayLike],
        intercepts: Sequence[ArrayLike],
        *,
        activation: str = "relu",
        gates: ArrayLike | None = None,
        gate_intercepts: ArrayLike | None = None,
        skip: ArrayLike | None = None,
        penalty_weights: ArrayLike | None = None,
    ) -> None:
        self.activation = check_choice(activation, "activation", _ACTIVATIONS)
        coefs, intercepts = check_layers(coefs, "coefs"), check_layers(intercepts, "intercepts")
        hidden = check_matrix(coefs[0], "coefs[0]", (None, None))
        n_features, width = hidden.shape
        output = check_matrix(coefs[1], "coefs[1]", (width, None))
        n_outputs = output.shape[1]
        if n_features == 0 or n_outputs == 0:
            raise ValueError("coefs must have at least one feature and one output")
        self.coefs_ = [hidden, output]
        self.intercepts_ = [
            check_vector(intercepts[0], "intercepts[0]", width, "width"),
            check_vector(intercepts[1], "intercepts[1]", n_outputs, "n_outputs"),
        ]
        if (self.activation == "gated_relu") != (gates is not None):
            raise ValueError("gates belong to activation='gated_relu', and to no other")
        if gates is None and gate_intercepts is not None:
            raise ValueError("gate_intercepts belong to activation='gated_relu', and to no other")
        self.gates_: Float | None = None
        self.gate_intercepts_: Float | None = None
        if gates is not None:
            self.gates_ = check_matrix(gates, "gates", (n_features, width))
            self.gate_intercepts_ = (
                np.zeros(width)
                if gate_intercepts is None
                else check_vector(gate_intercepts, "gate_intercepts", width, "width")
            )
        self.skip_ = None if skip is None else check_matrix(skip, "skip", (n_features, n_outputs))
        self.penalty_weights_ = (
            np.ones(width)
            if penalty_weights is None
            else check_vector(penalty_weights, "penalty_weights", width, "width")
        )
        if (self.penalty_weights_ < 0.0).any():
            raise ValueError(
                f"penalty_weights must be non-negative, got {self.penalty_weights_.min():g}"
            )

    @property
    def n_features_in_(self) -> int:
        """Number of features that `predict` wants."""
        return int(self.coefs_[0].shape[0])

    @property
    def width(self) -> int:
        """Number of neurons."""
        return int(self.coefs_[0].shape[1])

    @property
    def n_outputs_(self) -> int:
        """Number of outputs."""
        return int(self.coefs_[1].shape[1])

    def _forward(self, X: ArrayLike, n_threads: int | None) -> Float:
        data = check_samples(X)
        if data.shape[1] != self.n_features_in_:
            raise ValueError(
                f"X must have {self.n_features_in_} features, as the network has, "
                f"got {data.shape[1]}"
            )
        n_features, n_outputs = self.n_features_in_, self.n_outputs_
        output: Float = core.predict(
            core_form(data),
            self.coefs_[0],
            self.intercepts_[0],
            self.coefs_[1],
            self.intercepts_[1],
            np.empty((n_features, 0)) if self.gates_ is None else self.gates_,
            np.empty(0) if self.gate_intercepts_ is None else self.gate_intercepts_,
            np.empty((0, n_outputs)) if self.skip_ is None else self.skip_,
            n_threads=effective_threads(n_threads),
        )
        return output

    def predict(self, X: ArrayLike, *, n_threads: int | None = None) -> Float:
        """Return the outputs of the network.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Data.
        n_threads : int or None, default=None
            Threads; None is OpenMP's setting.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs), float64
            One column an output; one output is a vector. A row's result does not depend on its
            batch.

        Raises
        ------
        ValueError
            If X is malformed, not finite, or has another number of features.
        """
        output = self._forward(X, n_threads)
        return output[:, 0] if self.n_outputs_ == 1 else output

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

        It is ``sum_i s_i loss_i / n + alpha / 2 * sum_j w_j (||u_j||**2 + ||v_j||**2)`` with hidden
        weights u_j (bias included), output weights v_j, penalty weights w_j and sample weights s_i
        of mean one. Output biases and the skip connection are free.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Data.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets; -1 and +1 for classification losses, shares of classes for ``softmax``.
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
        alpha = check_positive(alpha, "alpha")
        value = training_loss(self._forward(X, None), y, loss, sample_weight)
        hidden = (self.coefs_[0] ** 2).sum(axis=0) + self.intercepts_[0] ** 2
        output = (self.coefs_[1] ** 2).sum(axis=1)
        return value + 0.5 * alpha * float(self.penalty_weights_ @ (hidden + output))


def training_loss(
    fit: Float, y: ArrayLike, loss: str | Huber, sample_weight: ArrayLike | None
) -> float:
    """Return the weighted mean loss of outputs (n_samples, n_outputs)."""
    spec = resolve_loss(loss)
    targets = check_targets(y, len(fit), labels=spec.labels, shares=spec.shares, several=True)
    if targets.shape[1] != fit.shape[1]:
        raise ValueError(f"y must have {fit.shape[1]} columns, got shape {np.shape(y)}")
    omega = check_sample_weight(sample_weight, len(fit))
    value: float = core.loss_value(spec.name, spec.delta, targets, omega, fit)
    return value


def named_arrays(network: Layers) -> dict[str, Float]:
    """Return the arrays that decide the output, by name; those that the network has."""
    arrays = {
        "coefs_0": network.coefs_[0],
        "coefs_1": network.coefs_[1],
        "intercepts_0": network.intercepts_[0],
        "intercepts_1": network.intercepts_[1],
        "gates": network.gates_,
        "gate_intercepts": network.gate_intercepts_,
        "skip": network.skip_,
    }
    return {name: array for name, array in arrays.items() if array is not None}


def stored_arrays(network: Layers) -> dict[str, NDArray[Any]]:
    """Return what a file of the network holds, by name."""
    return {
        "activation": np.array(network.activation),
        "penalty_weights": network.penalty_weights_,
        **named_arrays(network),
    }
