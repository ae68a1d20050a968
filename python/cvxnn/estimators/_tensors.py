"""What estimators of inputs with more than two dimensions share: images, signals, tokens."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import block_diag
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from cvxnn._designs import design_program
from cvxnn._problem import Callback
from cvxnn._validation import (
    Data,
    Float,
    check_choice,
    check_positive,
    check_raw_weight,
    check_tensor,
    named,
)
from cvxnn.arrangements import RandomState
from cvxnn.batch_norm import BatchNormNetwork
from cvxnn.estimators._certified import CertifiedEstimator
from cvxnn.estimators._columns import Columns, Standardizer

if TYPE_CHECKING:
    from typing_extensions import Self

_ACTIVATIONS = ("gated_relu", "relu", "linear")
_PENALTIES = ("group", "nuclear", "columns")


@dataclass(frozen=True)
class Neurons:
    """The neurons of all programs of a fit: on scaled inputs, with outputs on the user's scale.

    Attributes
    ----------
    hidden : ndarray of shape (n_neurons, n_inputs)
        Hidden weights, of inputs that are divided by `input_scale`.
    output : ndarray of shape (n_neurons, n_positions, n_outputs)
        Output weights.
    owner : ndarray of shape (n_neurons,), int64
        The block of each neuron.
    intercept : ndarray of shape (n_outputs,)
        Output intercepts.
    input_scale : float
        What the inputs were divided by.
    """

    hidden: Float
    output: Float
    owner: NDArray[np.int64]
    intercept: Float
    input_scale: float


def _join(results: Sequence[Any], target_map: Standardizer, scale: float) -> Neurons:
    """Return the neurons of programs side by side, each feeding its own outputs."""
    hidden, output, owner = zip(*(result.neurons() for result in results), strict=True)
    n_positions = output[0].shape[1]
    positions = [block_diag(*(part[:, a] for part in output)) for a in range(n_positions)]
    intercept = np.concatenate([result.intercept for result in results])
    return Neurons(
        np.vstack(hidden),
        np.stack(positions, axis=1) * target_map.scale,
        np.concatenate(owner),
        intercept * target_map.scale + target_map.mean,
        scale,
    )


@dataclass(frozen=True)
class TensorColumns(Columns):
    """Programs over the blocks of one design, on scaled inputs."""

    design: Any
    input_scale: float
    make_network: Callable[[Any, Neurons], Any]  # of the architecture

    def _network(self, results: Sequence[Any]) -> Any:
        return self.make_network(self.design, _join(results, self.target_map, self.input_scale))

    def network(self, results: Sequence[Any]) -> Any:
        """Return one network on raw inputs: neurons side by side, feeding their own outputs."""
        network = self._network(results)
        return network.network() if isinstance(network, BatchNormNetwork) else network

    def normalised(self, results: Sequence[Any]) -> BatchNormNetwork | None:
        """Return the same network with its batch normalisation, None if it has none."""
        network = self._network(results)
        return network if isinstance(network, BatchNormNetwork) else None

    def n_patterns(self, results: Sequence[Any]) -> int:  # noqa: ARG002  # columns share a design
        """Return the number of blocks."""
        return int(self.design.n_blocks)


class TensorEstimator(CertifiedEstimator):
    """The steps of a fit to a design of blocks, which the architecture gives."""

    _axes: ClassVar[tuple[str, ...]]  # the shapes of X, see `check_tensor`
    alpha: float  # but for those that choose it
    warm_start: bool

    def _measure(self, X: Data, weight: Float) -> None:
        """Measure what the design needs of weighted samples, if anything."""

    @abstractmethod
    def _design(self, X: Data, random_state: RandomState, n_patterns: int | None) -> Any:
        """Return the design of scaled inputs, a `BlockDesign` or what `_programs` takes for one.

        It is over the first `n_patterns` gates or all.
        """

    @abstractmethod
    def _network(self, design: Any, neurons: Neurons) -> Any:
        """Return the network on raw inputs, a `BatchNormNetwork` where there is one."""

    def _programs(self, design: Any, targets: Float, weight: Float) -> Sequence[Any]:
        """Return the programs of a fit: one, or one for each output."""
        return [
            design_program(
                design,
                part,
                penalty=self.penalty or "nuclear",  # the weight decay of the network
                loss=self.loss,
                sample_weight=weight,
                fit_intercept=self.fit_intercept,
            )
            for part in ([targets] if self._joint else targets.T)
        ]

    def _check_parameters(self) -> None:
        check_choice(self.activation, "activation", _ACTIVATIONS)
        self._check_shared()
        if self.penalty is not None:
            check_choice(self.penalty, "penalty", _PENALTIES)
            if self.activation == "relu":
                check_choice(self.penalty, "penalty (for activation='relu')", ("nuclear",))
        if self.gates is not None and self.activation == "linear":
            raise ValueError("gates belong to activation='gated_relu' or 'relu', got 'linear'")
        self._pattern_counts()

    def _given_gates(self) -> str | None:
        return "activation='linear'" if self.activation == "linear" else super()._given_gates()

    def _check_training(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None
    ) -> tuple[Data, NDArray[Any], Float]:
        """Check parameters and data; return X, y and weights as arrays."""
        self._check_parameters()
        data = check_tensor(X, self._axes)
        values = self._checked_targets(y)
        with named("y"):
            check_consistent_length(data, values)
        return data, values, check_raw_weight(sample_weight, len(data))

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        callback: Callback | None = None,
    ) -> "Self":
        """Fit the network.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...), float64 or float32
            Inputs, of the shapes that the class states.
        y : array-like of shape (n_samples,), or for regression (n_samples, n_outputs)
            Targets, or labels of any type.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weights; a sample of weight zero is ignored.
        callback : callable or None, default=None
            Called with an `IterationInfo` at each evaluation of the gap; True stops the program at
            hand.

        Returns
        -------
        object
            The fitted estimator.

        Raises
        ------
        TypeError, ValueError
            If a parameter or an array is malformed.
        """
        check_positive(self.alpha, "alpha")
        columns = self._columns(*self._check_training(X, y, sample_weight), self.random_state)
        self._solve(columns, self.alpha, callback=callback, warm_start=self.warm_start)
        return self

    def _columns(
        self,
        X: Data,
        y: NDArray[Any],
        weight: Float,
        random_state: RandomState,
        n_patterns: int | None = None,
    ) -> TensorColumns:
        self.input_shape_ = X.shape[1:]
        self.n_features_in_ = int(np.prod(self.input_shape_))
        rows, targets, weight, target_map = self._encode(X.reshape(len(X), -1), y, weight)
        scale = _root_mean_square(rows, weight) if self.standardize else 1.0
        scaled = np.divide(rows, scale, dtype=rows.dtype)
        inputs = scaled.reshape(-1, *self.input_shape_)
        self._measure(inputs, weight)
        design = self._design(inputs, random_state, n_patterns)
        programs = self._programs(design, targets, weight)
        return TensorColumns(programs, target_map, design, scale, self._network)

    def _outputs(self, X: ArrayLike) -> Float:
        check_is_fitted(self)
        data = check_tensor(X, self._axes)
        if data.shape[1:] != self.input_shape_:
            raise ValueError(
                f"X must hold samples of shape {self.input_shape_}, as in fit, "
                f"got shape {data.shape}"
            )
        outputs: Float = self.network_.predict(data)
        return outputs

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        return tags


def _root_mean_square(rows: Data, weight: Float) -> float:
    """Return the size of an entry, one if all are zero."""
    squares = np.einsum("ij,ij->i", rows, rows, dtype=np.float64)
    scale = float(np.sqrt(weight @ squares / (weight.sum() * rows.shape[1])))
    return scale if scale > 0.0 else 1.0
