"""What convolutional estimators share: filters, pooling and a head."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from cvxnn._conv_layers import SHAPES
from cvxnn._designs import BlockDesign
from cvxnn._fourier import fourier_design, fourier_filter
from cvxnn._patches import PoolingChoice, Windows, check_pooling, check_windows
from cvxnn._validation import Data, Float
from cvxnn._whitening import Whitener, check_bn_rank
from cvxnn.arrangements import RandomState
from cvxnn.batch_norm import BatchNormNetwork
from cvxnn.conv_network import ConvNetwork
from cvxnn.convolution import Convolution, WhitenedWindows, patch_whitener
from cvxnn.estimators._columns import Columns
from cvxnn.estimators._tensors import Neurons, TensorEstimator


class ConvolutionalEstimator(TensorEstimator):
    """Filters, pooling and a head: parameters, design and network."""

    _axes: ClassVar[tuple[str, ...]] = SHAPES

    def __init__(
        self,
        *,
        kernel_size: int | tuple[int, ...],
        stride: int | tuple[int, ...],
        padding: int | tuple[int, ...],
        circular: bool,
        pooling: PoolingChoice,
        batch_norm: bool,
        bn_rank: float | None,
        **shared: Any,
    ) -> None:
        super().__init__(**shared)
        self.kernel_size = kernel_size
        self.stride = stride
        self.padding = padding
        self.circular = circular
        self.pooling = pooling
        self.batch_norm = batch_norm
        self.bn_rank = bn_rank

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if not isinstance(self.batch_norm, (bool, np.bool_)):
            raise TypeError(f"batch_norm must be a bool, got {type(self.batch_norm).__name__}")
        check_bn_rank(self.bn_rank, "before" if self.batch_norm else None)
        if self.batch_norm and self.activation == "linear":
            raise ValueError("batch_norm needs activation='gated_relu' or 'relu', got 'linear'")

    def _measure(self, X: Data, weight: Float) -> None:
        self._whitener: Whitener | None = None
        if self.batch_norm:
            self._whitener = patch_whitener(self._windows(), X, weight, self.bn_rank)

    def _windows(self) -> Windows:
        n_axes = len(self.input_shape_) - 1
        return check_windows(self.kernel_size, self.stride, self.padding, self.circular, n_axes)

    @property
    def _in_frequencies(self) -> bool:
        """Whether the program has a block a frequency: see `fourier_design`."""
        windows = self._windows()
        return (
            self.activation == "linear"
            and windows.circular
            and windows.kernel == self.input_shape_[1:]
            and set(windows.stride) == {1}
            and self.pooling is None
            and not self._joint
        )

    def _design(self, X: Data, random_state: RandomState, n_patterns: int | None) -> BlockDesign:
        if self._in_frequencies:
            return fourier_design(X)
        windows, pooling = self._windows(), check_pooling(self.pooling, X.ndim - 2)
        if self.activation == "linear":
            if pooling.kind == "max":
                raise ValueError(
                    "pooling by 'max' needs activation='gated_relu' or 'relu', got 'linear'"
                )
            # A constant in each patch would only be a penalised intercept of the output.
            return Convolution(windows, pooling, False, self.n_threads).linear(X)
        constant = bool(self.fit_intercept)
        if self._whitener is not None:  # the constant is for its shift
            windows, constant = WhitenedWindows(**vars(windows), whitener=self._whitener), True
        convolution = Convolution(windows, pooling, constant, self.n_threads)
        gates = self.gates
        if gates is None:
            n_gates = max(self._pattern_counts())
            gates = convolution.gates(X, n_gates, random_state)[:, :n_patterns]
        return (
            convolution.gated(X, gates)
            if self.activation == "gated_relu"
            else convolution.relu(X, gates)
        )

    def _keep(self, columns: Columns, results: Sequence[Any]) -> None:
        super()._keep(columns, results)
        self.batch_norm_ = columns.normalised(results)

    def _network(self, design: BlockDesign, neurons: Neurons) -> ConvNetwork | BatchNormNetwork:
        options: dict[str, Any] = {
            "activation": self.activation,
            "stride": self.stride,
            "padding": self.padding,
            "circular": self.circular,
            "pooling": self.pooling,
        }
        if self._in_frequencies:
            return self._network_of_frequencies(design, neurons, options)
        if self.activation == "gated_relu" and design.gates is not None:
            gates, gate_biases = self._fold(design.gates.T[neurons.owner], neurons.input_scale)
            options.update(gates=gates, gate_biases=gate_biases)
        if self._whitener is not None:
            return self._normalised(self._whitener, neurons, options)
        filters, biases = self._fold(neurons.hidden, neurons.input_scale)
        return ConvNetwork(filters, biases, neurons.output, neurons.intercept, **options)

    def _normalised(
        self, whitener: Whitener, neurons: Neurons, options: dict[str, Any]
    ) -> BatchNormNetwork:
        """Return the network of neurons on whitened patches, with its batch normalisation."""
        unit, gamma = whitener.unit(neurons.hidden[:, :-1].T)
        weights = np.vstack([unit, np.zeros(len(gamma))]).T
        filters, offsets = self._fold(weights, neurons.input_scale)
        biases = np.zeros(len(gamma))
        layers = ConvNetwork(filters, biases, neurons.output, neurons.intercept, **options)
        beta, variance = neurons.hidden[:, -1].copy(), np.ones(len(gamma))
        return BatchNormNetwork(layers, gamma, beta, -offsets, variance)

    def _fold(self, vectors: Float, scale: float) -> tuple[Float, Float]:
        """Turn weights of scaled patches (m, n_inputs) into filters and biases on raw inputs."""
        shape = (self.input_shape_[0], *self._windows().kernel)
        size = int(np.prod(shape))
        if self._whitener is not None:
            weights, offsets = self._whitener.fold(vectors.T, constant_row=True)
            return weights.T.reshape(-1, *shape) / scale, offsets
        filters = vectors[:, :size].reshape(-1, *shape) / scale
        constant = vectors.shape[1] > size
        return filters, vectors[:, size] if constant else np.zeros(len(vectors))

    def _network_of_frequencies(
        self, design: BlockDesign, neurons: Neurons, options: dict[str, Any]
    ) -> ConvNetwork:
        """Return a network of one filter an output, of all its frequencies."""
        n_channels, *shape = self.input_shape_
        n_outputs = len(neurons.intercept)
        filters = np.empty((n_outputs, n_channels, *shape))
        head = np.zeros((n_outputs, int(np.prod(shape)), n_outputs))
        for k in range(n_outputs):
            coefs = np.zeros((design.n_blocks, design.n_inputs))
            np.add.at(coefs, neurons.owner, neurons.hidden * neurons.output[:, 0, k, None])
            filters[k], head[k, :, k] = fourier_filter(coefs / neurons.input_scale, tuple(shape))
        return ConvNetwork(filters, np.zeros(n_outputs), head, neurons.intercept, **options)
