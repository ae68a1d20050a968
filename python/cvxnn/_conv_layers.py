"""What a convolutional network computes, and what its training minimises."""

import numpy as np
from numpy.typing import ArrayLike

from cvxnn._ext import core
from cvxnn._layers import training_loss
from cvxnn._patches import PoolingChoice, check_pooling, check_windows
from cvxnn._threads import effective_threads
from cvxnn._validation import (
    Float,
    check_choice,
    check_matrix,
    check_numeric,
    check_positive,
    check_tensor,
    check_vector,
)
from cvxnn.losses import Huber

_ACTIVATIONS = ("gated_relu", "linear", "relu")
SHAPES = ("n_samples, n_channels, length", "n_samples, n_channels, height, width")


class ConvLayers:
    """The arrays of a `ConvNetwork`, checked, with its output and objective."""

    def __init__(
        self,
        filters: ArrayLike,
        biases: ArrayLike,
        head: ArrayLike,
        intercepts: ArrayLike,
        *,
        activation: str = "relu",
        gates: ArrayLike | None = None,
        gate_biases: ArrayLike | None = None,
        stride: int | tuple[int, ...] = 1,
        padding: int | tuple[int, ...] = 0,
        circular: bool = False,
        pooling: PoolingChoice = "mean",
    ) -> None:
        self.activation = check_choice(activation, "activation", _ACTIVATIONS)
        shape = check_numeric(filters, "filters").shape
        if len(shape) not in (3, 4) or 0 in shape[1:]:
            raise ValueError(
                "filters must have shape (n_filters, n_channels, length) or "
                f"(n_filters, n_channels, height, width), got {shape}"
            )
        self.filters_ = check_matrix(filters, "filters", shape)
        n_axes = len(shape) - 2
        self.biases_ = check_vector(biases, "biases", shape[0], "n_filters")
        self.head_ = check_matrix(head, "head", (shape[0], None, None))
        if 0 in self.head_.shape[1:]:
            raise ValueError(
                f"head must have a position and an output or more, got shape {self.head_.shape}"
            )
        n_outputs = self.head_.shape[2]
        self.intercepts_ = check_vector(intercepts, "intercepts", n_outputs, "n_outputs")
        if (self.activation == "gated_relu") != (gates is not None):
            raise ValueError("gates belong to activation='gated_relu', and to no other")
        if gates is None and gate_biases is not None:
            raise ValueError("gate_biases belong to activation='gated_relu', and to no other")
        self.gates_: Float | None = None
        self.gate_biases_: Float | None = None
        if gates is not None:
            self.gates_ = check_matrix(gates, "gates", shape)
            self.gate_biases_ = (
                np.zeros(shape[0])
                if gate_biases is None
                else check_vector(gate_biases, "gate_biases", shape[0], "n_filters")
            )
        self.windows = check_windows(shape[2:], stride, padding, circular, n_axes)
        self.pool = check_pooling(pooling, n_axes)
        if self.pool.kind == "max" and self.activation == "linear":
            raise ValueError("pooling 'max' needs activation='gated_relu' or 'relu', got 'linear'")
        if self.pool.size is None and self.head_.shape[1] != 1:
            raise ValueError(
                "head must have one position for pooling over the whole map, "
                f"got {self.head_.shape[1]}"
            )

    @property
    def width(self) -> int:
        """Number of filters."""
        return int(self.filters_.shape[0])

    @property
    def n_channels(self) -> int:
        """Number of channels that `predict` wants."""
        return int(self.filters_.shape[1])

    @property
    def n_positions(self) -> int:
        """Number of positions of a pooled map."""
        return int(self.head_.shape[1])

    @property
    def n_outputs_(self) -> int:
        """Number of outputs."""
        return int(self.head_.shape[2])

    @property
    def pooled_by_gates(self) -> bool:
        """Whether a gate chooses the patch that stands for a window."""
        return self.gates_ is not None and self.pool.kind == "max"

    @property
    def stride(self) -> tuple[int, ...]:
        """Steps of the filters, along each axis of space."""
        return self.windows.stride

    @property
    def padding(self) -> tuple[int, ...]:
        """Zeros before and after each axis of space."""
        return self.windows.padding

    @property
    def circular(self) -> bool:
        """Whether filters wrap around."""
        return self.windows.circular

    @property
    def pooling(self) -> PoolingChoice:
        """How maps are pooled: a name for the whole map, a name and a size, or None."""
        kind, size = self.pool.kind, self.pool.size
        if size is None:
            return kind
        return None if kind == "mean" and set(size) == {1} else (kind, size)

    def _forward(self, X: ArrayLike, n_threads: int | None = None) -> Float:
        data = check_tensor(X, (SHAPES[self.filters_.ndim - 3],))
        if data.shape[1] != self.n_channels:
            raise ValueError(
                f"X must have {self.n_channels} channels, as the network has, got {data.shape[1]}"
            )
        members = self.pool.windows(self.windows.positions(data.shape[2:]))
        if len(members) != self.n_positions:
            raise ValueError(
                f"X must have a size that gives the {self.n_positions} pooled positions of the "
                f"network, {data.shape[2:]} gives {len(members)}"
            )
        n_axes, positions = data.ndim - 2, self.windows.positions(data.shape[2:])
        # A signal is an image of height one.
        images = data.reshape(*data.shape[:2], *(1,) * (2 - n_axes), *data.shape[2:])
        output: Float = core.conv_predict(
            np.ascontiguousarray(images),
            kernel=_both(self.windows.kernel, 1),
            stride=_both(self.windows.stride, 1),
            padding=_both(self.windows.padding, 0),
            map=_both(positions, 1),
            circular=self.windows.circular,
            activation=self.activation,
            max_pooling=self.pool.kind == "max",
            filters=_columns(self.filters_),
            biases=self.biases_,
            gates=_columns(self.filters_[:0] if self.gates_ is None else self.gates_),
            gate_biases=np.empty(0) if self.gate_biases_ is None else self.gate_biases_,
            members=np.ascontiguousarray(members, dtype=np.int64),
            head=np.ascontiguousarray(self.head_.transpose(1, 0, 2).reshape(-1, self.n_outputs_)),
            intercepts=self.intercepts_,
            n_threads=effective_threads(n_threads),
        )
        return output

    def predict(self, X: ArrayLike, *, n_threads: int | None = None) -> Float:
        """Return the outputs of the network.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_channels, length) or (..., height, width)
            Signals or images.
        n_threads : int or None, default=None
            Threads; None is OpenMP's setting.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs), float64
            One column an output; one output is a vector. A sample's result does not depend on its
            batch.

        Raises
        ------
        ValueError
            If X is malformed, not finite, or has another number of channels or of pooled positions.
        """
        outputs = self._forward(X, n_threads)
        return outputs[:, 0] if self.n_outputs_ == 1 else outputs

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

        It is ``sum_i s_i loss_i / n + alpha / 2 * sum_j (||u_j||**2 + ||w_j||**2)`` with filters
        u_j (bias included), their head weights w_j, and sample weights s_i of mean one. The output
        intercepts are free.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_channels, length) or (..., height, width)
            Signals or images.
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
        value = training_loss(self._forward(X), y, loss, sample_weight)
        arrays = (self.filters_, self.biases_, self.head_)
        return value + 0.5 * alpha * sum(float(np.sum(array**2)) for array in arrays)


def _both(sizes: tuple[int, ...], missing: int) -> tuple[int, ...]:
    """Return sizes along height and width, of which a signal has no height."""
    return (missing,) * (2 - len(sizes)) + sizes


def _columns(filters: Float) -> Float:
    """Return filters as columns, (n_inputs, n_filters)."""
    n_inputs = int(np.prod(filters.shape[1:]))
    return np.ascontiguousarray(filters.reshape(len(filters), n_inputs).T)


def conv_arrays(network: ConvLayers) -> dict[str, Float]:
    """Return the arrays that decide the output, by name; those that the network has."""
    arrays = {
        "filters": network.filters_,
        "biases": network.biases_,
        "head": network.head_,
        "intercepts": network.intercepts_,
        "gates": network.gates_,
        "gate_biases": network.gate_biases_,
    }
    return {name: array for name, array in arrays.items() if array is not None}
