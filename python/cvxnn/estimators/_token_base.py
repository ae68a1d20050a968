"""What the estimators of tokens share: targets of either kind, gates, the choice of a solver."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import r2_score
from sklearn.utils.metaestimators import available_if

from cvxnn._designs import design_program
from cvxnn._factors import FactorProgram
from cvxnn._mixing import MIXINGS
from cvxnn._problem import make_problem
from cvxnn._token_design import TokenDesign, token_design
from cvxnn._token_layers import TOKEN_AXES, as_tokens, token_rows
from cvxnn._validation import (
    Data,
    Float,
    Samples,
    check_choice,
    check_magnitude,
    check_matrix,
    check_raw_weight,
    check_targets,
    check_tensor,
    named,
)
from cvxnn.arrangements import RandomState, sample_gates
from cvxnn.estimators._columns import Standardizer, canonical_rows
from cvxnn.estimators._targets import ClassifierTargets, RegressorTargets
from cvxnn.estimators._tensors import Neurons, TensorEstimator
from cvxnn.token_network import TokenNetwork

_SOLVERS = ("auto", "block", "factor")
_SMALL = 2**19  # bytes of a design below which first-order steps on blocks are as quick


class TokenEstimator(RegressorTargets, ClassifierTargets, TensorEstimator):
    """An estimator of tokens: a classifier if the loss is one of classification."""

    _axes: ClassVar[tuple[str, ...]] = TOKEN_AXES
    _losses: ClassVar[tuple[str, ...]] = ("squared", "logistic", "softmax")
    _mixing: ClassVar[str]
    class_weight = None

    def __init__(
        self,
        alpha: float = 0.003,
        *,
        activation: str = "gated_relu",
        loss: str = "squared",
        n_patterns: int = 20,
        gates: ArrayLike | None = None,
        pool_tokens: bool = True,
        solver: str = "auto",
        fit_intercept: bool = True,
        standardize: bool = True,
        tol: float = 1e-4,
        max_iter: int = 1000,
        time_limit: float | None = None,
        warm_start: bool = False,
        n_threads: int | None = None,
        random_state: RandomState = 0,
        verbose: int = 0,
    ) -> None:
        super().__init__(
            activation=activation,
            loss=loss,
            penalty=None,
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
        self.warm_start = warm_start
        self.pool_tokens = pool_tokens
        self.solver = solver

    @property
    def _classifies(self) -> bool:
        return self.loss in ("logistic", "softmax")

    @property
    def _target_options(self) -> dict[str, bool]:  # type: ignore[override]
        kind = ClassifierTargets if self._classifies else RegressorTargets
        return kind._target_options

    def _weight_shape(self, n_tokens: int, n_channels: int) -> tuple[int, int]:
        return MIXINGS[self._mixing].weight_shape(n_tokens, n_channels)

    def _channels(self, n_channels: int) -> NDArray[np.int64] | None:  # noqa: ARG002
        """Return the channels of the neurons that do not see all."""
        return None

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_choice(self.solver, "solver", _SOLVERS)
        if self._classifies and not self.pool_tokens:
            raise ValueError(f"loss={self.loss!r} needs pool_tokens=True: labels are of samples")
        if self.activation == "relu" and self.solver == "factor":
            raise ValueError(
                "solver must be 'auto' or 'block' for activation='relu', whose heads stay in the "
                "cones of their patterns, got 'factor'"
            )

    def _check_training(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None
    ) -> tuple[Data, NDArray[Any], Float]:
        if self._classifies:
            return ClassifierTargets._check_training(self, X, y, sample_weight)
        if self.pool_tokens:
            return TensorEstimator._check_training(self, X, y, sample_weight)
        self._check_parameters()
        data = check_tensor(X, self._axes)
        rows = token_rows(y, data.shape[:2])
        targets = check_targets(rows, len(rows), labels=False, shares=False, several=True)
        targets = targets.reshape(*data.shape[:2], *np.shape(y)[2:])
        return data, targets, check_raw_weight(sample_weight, len(data))

    def _encode(
        self, X: Samples, y: NDArray[Any], weight: Float
    ) -> tuple[Samples, Float, Float, Standardizer]:
        if self._classifies:
            return ClassifierTargets._encode(self, X, y, weight)
        if self.pool_tokens:
            return RegressorTargets._encode(self, X, y, weight)
        self._one_column, n_tokens = y.ndim == 2, y.shape[1]
        X, targets, weight = canonical_rows(X, y.reshape(len(X), -1), weight)
        targets = targets.reshape(len(X) * n_tokens, -1)
        target_map = Standardizer(
            targets,
            np.repeat(weight, n_tokens),
            center=self.fit_intercept,
            scale=self.standardize,
        )
        scaled = np.asarray(target_map.transform(targets, constant_column=False), dtype=np.float64)
        return X, scaled, weight, target_map

    def _design(self, X: Data, random_state: RandomState, n_patterns: int | None) -> TokenDesign:
        mixing = MIXINGS[self._mixing](as_tokens(X, self.fit_intercept), pooled=self.pool_tokens)
        shape = self._weight_shape(mixing.n_tokens, mixing.n_channels)
        gates = self._make_gates(shape, random_state)
        if gates is not None:
            gates = gates[:n_patterns]
        return token_design(mixing, self.activation, gates, self._channels(X.shape[2]))

    def _make_gates(self, shape: tuple[int, int], random_state: RandomState) -> Float | None:
        """Return own gates (n_gates, *shape), or Gaussian ones."""
        if self.activation == "linear":
            return None
        if self.gates is None:
            size = shape[0] * shape[1]
            n_gates = max(self._pattern_counts())
            drawn = sample_gates(size, n_gates, random_state=random_state)
            gates: Float = drawn.T.reshape(-1, *shape)
            return gates
        gates = check_matrix(self.gates, "gates", (None, *shape))
        if len(gates) == 0:
            raise ValueError("gates must hold at least one gate, got none")
        check_magnitude(gates, "gates")
        return gates

    def _programs(self, design: TokenDesign, targets: Float, weight: Float) -> Sequence[Any]:
        if not self.pool_tokens:
            weight = np.repeat(weight, design.mixing.n_tokens)
        options: dict[str, Any] = {
            "loss": self.loss,
            "sample_weight": weight,
            "fit_intercept": self.fit_intercept,
        }
        self.solver_ = self._chosen_solver(design, targets.shape[1])
        if self.solver_ == "block":
            blocks = design.block_design()
            return [design_program(blocks, targets, penalty="nuclear", **options)]
        maps = design.formed() if design.fits else design
        rows = design.mixing.tokens.reshape(design.n_rows, -1)
        problem = make_problem(
            rows, targets, design.n_blocks, weights=None, penalty="nuclear", several=True, **options
        )
        return [FactorProgram(problem, maps)]

    def _chosen_solver(self, design: TokenDesign, n_outputs: int) -> str:
        if self.solver != "auto":
            return self.solver
        vectors = design.n_positions * n_outputs == 1  # a group lasso, which has Newton steps
        small = design.fits and (vectors or design.nbytes <= _SMALL)
        return "block" if small or self.activation == "relu" else "factor"

    def _network(self, design: TokenDesign, neurons: Neurons) -> TokenNetwork:
        """Return the network, with what inputs are divided by in its weights."""
        channels = np.full(design.mixing.n_channels, 1.0 / neurons.input_scale)
        if self.fit_intercept:
            channels[-1] = 1.0
        scales = {
            "self_attention": (np.outer(channels, channels), channels[:, None]),
            "mlp_mixer": (np.ones((1, 1)), channels[:, None]),
            "fno": (channels[None, :], np.ones((1, 1))),
        }
        hidden_scale, output_scale = scales[self._mixing]
        gates = None
        if design.gates is not None and self.activation == "gated_relu":
            gates = design.gates[neurons.owner] * hidden_scale
        return TokenNetwork(
            self._mixing,
            [
                design.embed(neurons.hidden, neurons.owner) * hidden_scale,
                neurons.output * output_scale,
            ],
            neurons.intercept,
            activation=self.activation,
            gates=gates,
            pool_tokens=self.pool_tokens,
            constant_channel=self.fit_intercept,
        )

    @available_if(lambda self: self._classifies)  # type: ignore[untyped-decorator]
    def decision_function(self, X: ArrayLike) -> Float:
        """Return the outputs of the network; for classification losses only.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_tokens, n_channels)
            Tokens.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_classes)
            Positive favours ``classes_[1]`` for two classes; else one column a class.
        """
        return ClassifierTargets.decision_function(self, X)

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the predicted targets, or labels for a classification loss.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_tokens, n_channels)
            Tokens.

        Returns
        -------
        ndarray of shape (n_samples,), (n_samples, n_outputs) or (n_samples, n_tokens, n_outputs)
            In the shape of the targets of `fit`.
        """
        if self._classifies:
            return ClassifierTargets.predict(self, X)
        if self.pool_tokens:
            return RegressorTargets.predict(self, X)
        outputs = self._outputs(X)
        return outputs[:, :, 0] if self._one_column else outputs

    def score(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Return the accuracy, or for regression the coefficient of determination.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_tokens, n_channels)
            Tokens.
        y : array-like in the shape of the targets of `fit`
            Targets or labels.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weights; None is one.

        Returns
        -------
        float
        """
        if self._classifies:
            return ClassifierTargets.score(self, X, y, sample_weight)
        if self.pool_tokens:
            return RegressorTargets.score(self, X, y, sample_weight)
        outputs = self.predict(X)
        n_tokens = outputs.shape[1]
        weight = np.repeat(check_raw_weight(sample_weight, len(outputs)), n_tokens)
        rows = token_rows(y, outputs.shape[:2])
        fits = outputs.reshape(len(rows), -1)
        with named("y"):
            return float(r2_score(rows, fits, sample_weight=weight))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        if self._classifies:
            tags.estimator_type, tags.regressor_tags = "classifier", None
            tags.target_tags.multi_output = False
        else:
            tags.estimator_type, tags.classifier_tags = "regressor", None
        return tags
