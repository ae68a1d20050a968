"""What all estimators share: the parameters of a fit, its targets, and its certificate."""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import _check_sample_weight

from cvxnn._validation import Float, Samples, check_choice
from cvxnn.arrangements import RandomState
from cvxnn.estimators._columns import Standardizer
from cvxnn.losses import Huber
from cvxnn.results import Certified


class CertifiedEstimator(BaseEstimator, ABC):
    """An estimator that solves convex programs and keeps the certificate of its fit."""

    _losses: ClassVar[tuple[str, ...]]
    _target_options: ClassVar[dict[str, bool]]  # of validate_data

    def __init__(
        self,
        *,
        activation: str,
        loss: str | Huber,
        penalty: str | None,
        n_patterns: int | Sequence[int],
        gates: Any,
        fit_intercept: bool,
        standardize: bool,
        tol: float,
        max_iter: int,
        time_limit: float | None,
        n_threads: int | None,
        random_state: RandomState,
        verbose: int,
    ) -> None:
        self.activation = activation
        self.loss = loss
        self.penalty = penalty
        self.n_patterns: Any = n_patterns  # a sequence where the number is chosen
        self.gates = gates
        self.fit_intercept = fit_intercept
        self.standardize = standardize
        self.tol = tol
        self.max_iter = max_iter
        self.time_limit = time_limit
        self.n_threads = n_threads
        self.random_state = random_state
        self.verbose = verbose

    @abstractmethod
    def _check_training(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None
    ) -> tuple[Samples, NDArray[Any], Float]:
        """Check parameters and data; return X, y and weights as arrays."""

    @abstractmethod
    def _encode(
        self, X: Samples, y: NDArray[Any], weight: Float
    ) -> tuple[Samples, Float, Float, Standardizer]:
        """Return canonical rows, their targets as the loss wants them, weights, and target map."""

    @abstractmethod
    def _outputs(self, X: ArrayLike) -> Float:
        """Return the outputs of the fitted network."""

    def _check_loss(self) -> None:
        if not (isinstance(self.loss, Huber) and "huber" in self._losses):
            check_choice(self.loss, "loss", self._losses)

    @property
    def _joint(self) -> bool:
        """Whether all outputs are fitted at once."""
        return self.penalty is not None or self.loss == "softmax"

    def _checked_weight(self, data: Samples, sample_weight: ArrayLike | None) -> Float:
        weight: Float = _check_sample_weight(
            sample_weight, data, dtype=np.float64, ensure_non_negative=True
        )
        if not weight.any():
            raise ValueError("sample_weight must have a positive entry, got zeros only")
        return weight

    def _settings(self) -> dict[str, Any]:
        """Return how to solve, beside the callback."""
        return {
            "tol": self.tol,
            "max_iter": self.max_iter,
            "time_limit": self.time_limit,
            "n_threads": self.n_threads,
            "verbose": self.verbose,
        }

    def _keep_certificate(self, results: Sequence[Certified], *, stacklevel: int = 3) -> None:
        """Set what certifies the fit, and warn if a program did not reach its tolerance.

        `stacklevel` is that of the user's call, three for a caller that is `fit`.
        """
        self.n_iter_ = max(result.n_iter for result in results)
        self.objective_ = sum(result.primal for result in results)
        self.lower_bound_ = sum(result.dual for result in results)
        self.dual_gap_ = self.objective_ - self.lower_bound_
        self.exact_ = all(result.exact for result in results)
        unfinished = [result.status for result in results if result.status != "optimal"]
        self.status_ = unfinished[0] if unfinished else "optimal"
        if unfinished:
            warnings.warn(
                f"fit ended with status {self.status_!r}: the objective is {self.objective_:.6g}, "
                f"its lower bound {self.lower_bound_:.6g}, tol {self.tol:g}. The model is usable "
                "and its gap holds; a larger alpha, max_iter, time_limit or tol lets it finish.",
                ConvergenceWarning,
                stacklevel=stacklevel,
            )
