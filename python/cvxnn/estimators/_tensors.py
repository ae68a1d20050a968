"""What estimators of inputs with more than two dimensions share: images, signals, tokens."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import block_diag
from sklearn.utils.validation import check_consistent_length, check_is_fitted, validate_data

from cvxnn._designs import design_program
from cvxnn._problem import Callback
from cvxnn._validation import (
    Data,
    Float,
    check_choice,
    check_count,
    check_positive,
    check_tensor,
)
from cvxnn.arrangements import RandomState
from cvxnn.estimators._certified import CertifiedEstimator
from cvxnn.estimators._columns import Standardizer
from cvxnn.losses import Huber

if TYPE_CHECKING:
    from typing_extensions import Self

_ACTIVATIONS = ("gated_relu", "relu", "linear")
_PENALTIES = ("group", "nuclear", "columns")


class TensorNetwork(Protocol):
    """A network on samples of more than one dimension."""

    def predict(self, X: ArrayLike) -> Float:
        """Return the outputs, (n_samples,) or (n_samples, n_outputs)."""


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


class TensorEstimator(CertifiedEstimator):
    """The steps of a fit to a design of blocks, which the architecture gives."""

    _axes: ClassVar[tuple[str, ...]]  # the shapes of X, see `check_tensor`

    def __init__(
        self,
        alpha: float,
        *,
        activation: str,
        loss: str | Huber,
        penalty: str | None,
        n_patterns: int,
        gates: ArrayLike | None,
        fit_intercept: bool,
        standardize: bool,
        tol: float,
        max_iter: int,
        time_limit: float | None,
        n_threads: int | None,
        random_state: RandomState,
        verbose: int,
    ) -> None:
        super().__init__(
            activation=activation,
            loss=loss,
            penalty=penalty,
            n_patterns=n_patterns,
            gates=gates,
            fit_intercept=fit_intercept,
            standardize=standardize,
            tol=tol,
            max_iter=max_iter,
            time_limit=time_limit,
            n_threads=n_threads,
            random_state=random_state,
            verbose=verbose,
        )
        self.alpha = alpha

    def _measure(self, X: Data, weight: Float) -> None:
        """Measure what the design needs of weighted samples, if anything."""

    @abstractmethod
    def _design(self, X: Data) -> Any:
        """Return the design of scaled inputs, a `BlockDesign` or what `_programs` takes for one."""

    @abstractmethod
    def _network(self, design: Any, neurons: Neurons) -> TensorNetwork:
        """Return the network on raw inputs."""

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
        check_positive(self.alpha, "alpha")
        check_choice(self.activation, "activation", _ACTIVATIONS)
        self._check_loss()
        if self.penalty is not None:
            check_choice(self.penalty, "penalty", _PENALTIES)
            if self.activation == "relu":
                check_choice(self.penalty, "penalty (for activation='relu')", ("nuclear",))
        if self.gates is not None and self.activation == "linear":
            raise ValueError("gates belong to activation='gated_relu' or 'relu', got 'linear'")
        check_count(self.n_patterns, "n_patterns")

    def _check_training(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None
    ) -> tuple[Data, NDArray[Any], Float]:
        """Check parameters and data; return X, y and weights as arrays."""
        self._check_parameters()
        data = check_tensor(X, self._axes)
        values = validate_data(self, "no_validation", y, **self._target_options)
        check_consistent_length(data, values)
        return data, values, self._checked_weight(data, sample_weight)

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
        data, values, weight = self._check_training(X, y, sample_weight)
        self.input_shape_ = data.shape[1:]
        self.n_features_in_ = int(np.prod(self.input_shape_))
        rows, targets, weight, target_map = self._encode(
            data.reshape(len(data), -1), values, weight
        )
        scale = _root_mean_square(rows, weight) if self.standardize else 1.0
        scaled = np.divide(rows, scale, dtype=rows.dtype)
        inputs = scaled.reshape(-1, *self.input_shape_)
        self._measure(inputs, weight)
        design = self._design(inputs)
        programs = self._programs(design, targets, weight)
        how = {"callback": callback, "screening": True, "solver": "auto", **self._settings()}
        results = [program.solve([self.alpha], **how)[0] for program in programs]
        self.network_ = self._network(design, _join(results, target_map, scale))
        self.n_outputs_ = len(target_map.mean)
        self.n_patterns_ = design.n_blocks
        self._keep_certificate(results)
        return self

    def _outputs(self, X: ArrayLike) -> Float:
        check_is_fitted(self)
        data = check_tensor(X, self._axes)
        if data.shape[1:] != self.input_shape_:
            raise ValueError(
                f"X must hold samples of shape {self.input_shape_}, as in fit, "
                f"got shape {data.shape}"
            )
        return self.network_.predict(data)

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
