"""What all estimators share: the parameters of a fit, its targets, and its certificate."""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence
from copy import copy
from typing import TYPE_CHECKING, Any, ClassVar

from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import validate_data

from cvxnn._paths import path_alphas
from cvxnn._problem import Callback
from cvxnn._validation import (
    Float,
    Samples,
    check_choice,
    check_count,
    check_flag,
    check_numeric,
    named,
    refuse_masked,
)
from cvxnn.arrangements import RandomState
from cvxnn.estimators._columns import Columns, Standardizer
from cvxnn.losses import Huber
from cvxnn.results import Certified

if TYPE_CHECKING:
    from typing_extensions import Self


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
    def _columns(
        self,
        X: Samples,
        y: NDArray[Any],
        weight: Float,
        random_state: RandomState,
        n_patterns: int | None = None,
    ) -> Columns:
        """Return the programs of checked data, over the first `n_patterns` gates or all."""

    @abstractmethod
    def _outputs(self, X: ArrayLike) -> Float:
        """Return the outputs of the fitted network."""

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "network_")

    def _check_shared(self) -> None:
        check_flag(self.fit_intercept, "fit_intercept")
        check_flag(self.standardize, "standardize")
        if not (isinstance(self.loss, Huber) and "huber" in self._losses):
            check_choice(self.loss, "loss", self._losses)

    @property
    def _joint(self) -> bool:
        """Whether all outputs are fitted at once."""
        return self.penalty is not None or self.loss == "softmax"

    def _checked_targets(self, y: ArrayLike) -> NDArray[Any]:
        """Return targets as an array; forgets names of features, and the fit before."""
        for fitted in ("network_", "classes_"):
            self.__dict__.pop(fitted, None)
        refuse_masked(y, "y")
        with named("y"):
            values: NDArray[Any] = validate_data(self, "no_validation", y, **self._target_options)
        # Strings of numbers are numbers, here as elsewhere.
        return check_numeric(values, "y") if self._target_options.get("y_numeric") else values

    def _settings(self) -> dict[str, Any]:
        """Return how to solve, beside the callback."""
        return {
            "tol": self.tol,
            "max_iter": self.max_iter,
            "time_limit": self.time_limit,
            "n_threads": self.n_threads,
            "verbose": self.verbose,
        }

    def _pattern_counts(self) -> list[int]:
        """Return the numbers of patterns to fit with, checked."""
        return [check_count(self.n_patterns, "n_patterns")]

    def _given_gates(self) -> str | None:
        """Return what patterns are of where no gates are sampled."""
        return None if self.gates is None else "an array of gates"

    def _solve(
        self,
        columns: Columns,
        alpha: float,
        *,
        callback: Callback | None = None,
        warm_start: bool = False,
    ) -> None:
        """Solve all columns at one alpha and set what a fit leaves behind."""
        last: Sequence[Any] = getattr(self, "_solutions", ()) if warm_start else ()
        starts = columns.starts_from(last)
        results = columns.solve([alpha], starts, callback=callback, **self._settings())[0]
        if warm_start:
            self._solutions = results
        self._keep(columns, results)
        self._warn_unless_optimal(stacklevel=4)

    @available_if(lambda self: hasattr(self, "alpha"))  # type: ignore[untyped-decorator]
    def solve_path(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        n_alphas: int = 100,
        eps: float = 1e-3,
        alphas: ArrayLike | None = None,
        callback: Callback | None = None,
    ) -> "list[Self]":
        """Fit along a path of regularisation strengths, each from the solution before.

        The patterns are those of `fit`, and ``alpha`` has no effect.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`.
        n_alphas : int, default=100
            Length of the path.
        eps : float, default=1e-3
            Ratio of its smallest alpha to the largest, at which the network is empty.
        alphas : array-like or None, default=None
            Own values instead, in any order.
        callback : callable or None, default=None
            As for `fit`.

        Returns
        -------
        list of estimators
            Fitted copies of this one, from the largest ``alpha`` to the smallest, each with its
            network and certificate. They end where ``time_limit``, here of a whole path, or the
            callback stopped one.

        Raises
        ------
        TypeError, ValueError
            If a parameter or an array is malformed.

        Warns
        -----
        ConvergenceWarning
            If a solve ended before its gap reached ``tol``.

        Examples
        --------
        >>> import cvxnn, numpy as np
        >>> X = np.random.default_rng(0).standard_normal((40, 1, 5, 5))
        >>> y = np.abs(X[:, 0, 1]).mean(axis=1)
        >>> path = cvxnn.ConvReLURegressor(n_patterns=20).solve_path(X, y, n_alphas=5, eps=0.05)
        >>> len(path), path[4].network_.width > path[0].network_.width
        (5, True)
        """
        model = copy(self)  # this estimator stays as it is
        model.__dict__.pop("_solutions", None)
        columns = model._columns(*model._check_training(X, y, sample_weight), self.random_state)
        strengths = path_alphas(
            lambda: columns.alpha_max(self.n_threads), n_alphas, eps, alphas
        ).tolist()
        starts = columns.starts_from(())
        path = columns.solve(strengths, starts, callback=callback, **self._settings())
        models = []
        for alpha, results in zip(strengths, path, strict=False):
            model = copy(model)
            model.alpha = alpha
            model._keep(columns, results)
            models.append(model)
        for model in models:
            if model.status_ != "optimal":
                model._warn_unless_optimal(stacklevel=3)
                break
        return models

    def _keep(self, columns: Columns, results: Sequence[Any]) -> None:
        """Set what a fit leaves behind."""
        self.network_ = columns.network(results)
        self.n_outputs_ = self.network_.n_outputs_
        self.n_patterns_ = columns.n_patterns(results)
        self._keep_certificate(results)

    def _keep_certificate(self, results: Sequence[Certified]) -> None:
        """Set what certifies the fit."""
        self.n_iter_ = max(result.n_iter for result in results)
        self.objective_ = sum(result.primal for result in results)
        self.lower_bound_ = sum(result.dual for result in results)
        self.dual_gap_ = self.objective_ - self.lower_bound_
        self.exact_ = all(result.exact for result in results)
        unfinished = [result.status for result in results if result.status != "optimal"]
        self.status_ = unfinished[0] if unfinished else "optimal"

    def _warn_unless_optimal(self, *, stacklevel: int) -> None:
        """Warn if a program missed its tolerance; `stacklevel` is that of the user's call."""
        if self.status_ != "optimal":
            warnings.warn(
                f"fit ended with status {self.status_!r}: the objective is {self.objective_:.6g}, "
                f"its lower bound {self.lower_bound_:.6g}, tol {self.tol:g}. The model is usable "
                "and its gap holds; a larger alpha, max_iter, time_limit or tol lets it finish.",
                ConvergenceWarning,
                stacklevel=stacklevel,
            )
