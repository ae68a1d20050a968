"""What both estimators share: standardise, sample patterns, solve, fold all into one network."""

import warnings
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from cvxnn._adaptive import AdaptiveProgram
from cvxnn._problem import Callback, make_problem
from cvxnn._programs import ACTIVATIONS, PatternProgram
from cvxnn._validation import Data, Float, check_choice, check_count, check_positive
from cvxnn.arrangements import (
    PatternSet,
    RandomState,
    activation_patterns,
    enumerate_patterns,
    sample_gates,
)
from cvxnn.losses import Huber
from cvxnn.network import Network
from cvxnn.results import SolveResult

_STARTS = 100  # of a round of patterns="adaptive"


def canonical_rows(X: Data, targets: Float, weight: Float) -> tuple[Data, Float, Float]:
    """Sort the rows, add up the weights of equal ones and drop those of weight zero.

    Row order, and repetition against weights, then cannot change even the last bit of a model.
    """
    kept = weight > 0.0
    X, targets, weight = X[kept] + X.dtype.type(0), targets[kept], weight[kept]  # -0.0 becomes 0.0
    octets = np.hstack([X.view(np.uint8), np.ascontiguousarray(targets).view(np.uint8)])
    _, first, group = np.unique(
        octets.view(f"V{octets.shape[1]}")[:, 0], return_index=True, return_inverse=True
    )
    merged = np.asarray(np.bincount(group, weights=weight), dtype=np.float64)
    return X[first], targets[first], merged


class Standardizer:
    """The map ``(x - mean) / scale``, by weighted moments; constant columns keep scale one."""

    def __init__(self, values: Data, weight: Float, *, center: bool, scale: bool) -> None:
        share = weight / weight.sum()
        n_columns = values.shape[1]
        mean = share @ values
        deviation = np.sqrt(share @ (values - mean) ** 2) if scale else np.ones(n_columns)
        # Below rounding of the mean a deviation is noise, not spread.
        spread = deviation > 10 * np.finfo(values.dtype).eps * np.abs(mean)
        self.mean = mean if center else np.zeros(n_columns)
        self.scale = np.where(spread & (deviation > 0), deviation, 1.0)

    def transform(self, values: Data, *, constant_column: bool) -> Data:
        """Return the mapped values, with a column of ones after them if wanted."""
        n_samples, n_columns = values.shape
        out = np.ones((n_samples, n_columns + constant_column), dtype=values.dtype)
        out[:, :n_columns] = (values - self.mean) / self.scale
        return out

    def fold(self, vectors: Float, *, constant_row: bool) -> tuple[Float, Float]:
        """Turn weights on mapped values into weights and offsets on the values themselves."""
        n_columns = len(self.mean)
        weights = vectors[:n_columns] / self.scale[:, None]
        offsets = -(self.mean @ weights)
        return weights, offsets + vectors[n_columns] if constant_row else offsets


class ReLUEstimator(BaseEstimator):
    """Parameters and fitting that `ReLURegressor` and `ReLUClassifier` share."""

    def __init__(
        self,
        alpha: float,
        *,
        activation: str,
        loss: str | Huber,
        patterns: str,
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
        self.alpha = alpha
        self.activation = activation
        self.loss = loss
        self.patterns = patterns
        self.n_patterns = n_patterns
        self.gates = gates
        self.fit_intercept = fit_intercept
        self.standardize = standardize
        self.tol = tol
        self.max_iter = max_iter
        self.time_limit = time_limit
        self.n_threads = n_threads
        self.random_state = random_state
        self.verbose = verbose

    def _check_parameters(self) -> None:
        check_choice(self.activation, "activation", ACTIVATIONS)
        check_choice(self.patterns, "patterns", ("sample", "exact", "adaptive"))
        if self.patterns != "sample" and self.gates is not None:
            raise ValueError(f"gates belong to patterns='sample', got {self.patterns!r}")
        if self.patterns == "adaptive" and self.activation != "relu":
            raise ValueError("patterns='adaptive' needs activation='relu'")
        check_positive(self.alpha, "alpha")
        check_count(self.n_patterns, "n_patterns")

    def _make_patterns(self, data: Data) -> PatternSet | None:
        """Return the patterns that all columns share; None where each finds its own."""
        if self.patterns == "adaptive":
            return None
        if self.patterns == "exact":
            return enumerate_patterns(data, n_threads=self.n_threads)
        gates = self.gates
        if gates is None:
            gates = sample_gates(data.shape[1], self.n_patterns, random_state=self.random_state)
        return activation_patterns(data, gates, n_threads=self.n_threads)

    def _fit_columns(
        self,
        X: Data,
        targets: Float,
        weight: Float,
        target_map: Standardizer,
        callback: Callback | None,
    ) -> None:
        """Fit one network a column of targets, over the same patterns, and join them.

        The rows are canonical, the targets as the loss wants them.
        """
        input_map = Standardizer(
            X, weight, center=self.standardize and self.fit_intercept, scale=self.standardize
        )
        data = input_map.transform(X, constant_column=self.fit_intercept)
        patterns = self._make_patterns(data)
        results = [
            self._solve_column(data, column, weight, patterns, callback) for column in targets.T
        ]
        self.network_ = self._join(results, input_map, target_map)
        self.coefs_ = self.network_.coefs_
        self.intercepts_ = self.network_.intercepts_
        self.gates_ = self.network_.gates_
        self.n_outputs_ = len(results)
        self.n_patterns_ = max(result.patterns.n_patterns for result in results)
        self.n_iter_ = max(result.n_iter for result in results)
        self.objective_ = sum(result.primal for result in results)
        self.lower_bound_ = sum(result.dual for result in results)
        self.dual_gap_ = self.objective_ - self.lower_bound_
        unfinished = [result.status for result in results if result.status != "optimal"]
        self.status_ = unfinished[0] if unfinished else "optimal"
        if unfinished:
            warnings.warn(
                f"fit ended with status {self.status_!r}: the objective is {self.objective_:.6g}, "
                f"its lower bound {self.lower_bound_:.6g}, tol {self.tol:g}. The model is usable "
                "and its gap holds; a larger alpha, max_iter, time_limit or tol lets it finish.",
                ConvergenceWarning,
                stacklevel=3,
            )

    def _solve_column(
        self,
        data: Data,
        column: Float,
        weight: Float,
        patterns: PatternSet | None,
        callback: Callback | None,
    ) -> SolveResult:
        problem = make_problem(
            data,
            column,
            1 if patterns is None else patterns.n_patterns,
            loss=self.loss,
            sample_weight=weight,
            weights=None,
            fit_intercept=self.fit_intercept,
        )
        program: PatternProgram | AdaptiveProgram
        if patterns is None:
            program = AdaptiveProgram(
                problem,
                n_starts=_STARTS,
                random_state=self.random_state,
                n_threads=self.n_threads,
            )
        else:
            program = PatternProgram(problem, patterns, self.activation)
        return program.solve(
            [self.alpha],
            tol=self.tol,
            max_iter=self.max_iter,
            time_limit=self.time_limit,
            n_threads=self.n_threads,
            screening=True,
            solver="auto",
            callback=callback,
            verbose=self.verbose,
            init=None,
        )[0]

    def _join(
        self, results: list[SolveResult], input_map: Standardizer, target_map: Standardizer
    ) -> Network:
        """One network on raw inputs: neurons side by side, each feeding its own output."""
        networks = [result.network() for result in results]
        hidden = np.hstack([network.coefs_[0] for network in networks])
        output = np.zeros((hidden.shape[1], len(networks)))
        start = 0
        for k, network in enumerate(networks):
            output[start : start + network.width, k] = network.coefs_[1][:, 0]
            start += network.width
        bias = np.array([network.intercepts_[1][0] for network in networks])
        hidden, hidden_bias = input_map.fold(hidden, constant_row=self.fit_intercept)
        gates = gate_bias = None
        if self.activation == "gated_relu":
            joined = np.hstack([n.gates_ for n in networks if n.gates_ is not None])
            gates, gate_bias = input_map.fold(joined, constant_row=self.fit_intercept)
        return Network(
            [hidden, output * target_map.scale],
            [hidden_bias, bias * target_map.scale + target_map.mean],
            activation=self.activation,
            gates=gates,
            gate_intercepts=gate_bias,
        )

    def _validated(self, X: ArrayLike) -> Data:
        check_is_fitted(self)
        data: Data = validate_data(self, X, reset=False, dtype=[np.float64, np.float32], order="C")
        return data

    def _outputs(self, X: ArrayLike) -> Float:
        data = self._validated(X)
        return self.network_.predict(data, n_threads=self.n_threads)

    def _weight(self, sample_weight: ArrayLike | None, X: Data) -> Float:
        weight: Float = _check_sample_weight(
            sample_weight, X, dtype=np.float64, ensure_non_negative=True
        )
        if not weight.any():
            raise ValueError("sample_weight must have a positive entry, got zeros only")
        return weight

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = False
        return tags
