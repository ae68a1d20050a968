"""The choice of alpha, and of the number of patterns, by cross-validation: paths on the folds."""

import numbers
import time
import warnings
from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import numpy as np
from joblib import effective_n_jobs
from numpy.typing import ArrayLike, NDArray
from sklearn import get_config
from sklearn.base import is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import get_scorer
from sklearn.model_selection import BaseCrossValidator, check_cv
from sklearn.utils import Bunch
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import _check_method_params

from cvxnn._paths import path_alphas
from cvxnn._problem import shown_log
from cvxnn._threads import effective_threads
from cvxnn._validation import Float, Samples, check_choice, check_count, check_indices, named
from cvxnn.arrangements import RandomState, generator
from cvxnn.estimators._certified import CertifiedEstimator
from cvxnn.estimators._targets import ClassifierTargets
from cvxnn.results import IterationInfo

if TYPE_CHECKING:
    from typing_extensions import Self

Scoring: TypeAlias = str | Callable[..., float] | None
Splitter: TypeAlias = int | BaseCrossValidator | Iterable[tuple[ArrayLike, ArrayLike]] | None
Fold: TypeAlias = tuple[NDArray[np.intp], NDArray[np.intp]]


class CrossValidatedEstimator(CertifiedEstimator):
    """What the estimators that choose their alpha have beside those that are given it."""

    _default_scoring: ClassVar[str]
    _family: ClassVar[Any]  # the class of the parameters beside those of the choice

    def __init__(
        self,
        *,
        n_alphas: int,
        eps: float,
        alphas: ArrayLike | None,
        cv: Splitter,
        scoring: Scoring,
        selection: str,
        n_jobs: int | None,
        **shared: Any,
    ) -> None:
        self._family.__init__(self, **shared)  # past the sibling, which has an alpha
        self.n_alphas = n_alphas
        self.eps = eps
        self.alphas = alphas
        self.cv = cv
        self.scoring = scoring
        self.selection = selection
        self.n_jobs = n_jobs

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        **params: Any,
    ) -> "Self":
        """Choose alpha, and `n_patterns` if several, and fit the network to all samples.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Inputs, as for the estimator that is given its alpha.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets of a regression, or labels of shape (n_samples,).
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weights, of training and of scores; a row of weight zero is ignored.
        **params : dict
            What the splitter and the scorer ask for, ``groups`` for one; needs scikit-learn's
            metadata routing.

        Returns
        -------
        object
            The fitted estimator.

        Raises
        ------
        ValueError
            If an argument is malformed, or no alpha has a score in every fold.
        """
        check_choice(self.selection, "selection", ("best", "one_standard_error"))
        data, values, weight = self._check_training(X, y, sample_weight)
        routed = self._routed(self._score_weight(values, weight, sample_weight), params)
        folds = self._folds(data, values, weight, routed["splitter"]["split"])
        seed = _fixed(self.random_state)
        counts = self._pattern_counts()
        columns = self._columns(data, values, weight, seed)  # of all gates: the largest alpha_max
        self.alphas_ = path_alphas(
            lambda: columns.alpha_max(self.n_threads), self.n_alphas, self.eps, self.alphas
        )
        with shown_log(self.verbose):
            scores = self._score_folds(data, values, weight, folds, seed, routed["scorer"]["score"])
        self.score_path_ = scores if self._several_counts else scores[0]
        # Fewest patterns first, then the largest alpha: the order in which rows are preferred.
        order = np.argsort(counts, kind="stable")
        best = choose(scores[order].reshape(-1, len(folds)), self.selection)
        self.best_index_ = best % len(self.alphas_)
        self.alpha_ = float(self.alphas_[self.best_index_])
        self.best_n_patterns_ = counts[order[best // len(self.alphas_)]]
        if self.best_n_patterns_ < max(counts):
            columns = self._columns(data, values, weight, seed, self.best_n_patterns_)
        self._solve(columns, self.alpha_)
        return self

    @property
    def _several_counts(self) -> bool:
        return isinstance(self.n_patterns, Sequence) or np.ndim(self.n_patterns) > 0

    def _pattern_counts(self) -> list[int]:
        if not self._several_counts:
            return super()._pattern_counts()
        counts = [check_count(count, "n_patterns") for count in self.n_patterns]
        if not counts:
            raise ValueError("n_patterns must have at least one number, got an empty sequence")
        if (given := self._given_gates()) is not None:
            raise ValueError(f"several n_patterns need gates that are sampled, got {given}")
        return counts

    @abstractmethod
    def _score_weight(
        self, y: NDArray[Any], weight: Float, sample_weight: ArrayLike | None
    ) -> Float | None:
        """Return the weights for the scorer, None where it need not know of any."""

    def _folds(
        self, X: Samples, y: NDArray[Any], weight: Float, split_params: dict[str, Any]
    ) -> list[Fold]:
        rows = np.arange(X.shape[0])
        if self.cv is None or isinstance(self.cv, numbers.Integral):
            rows = rows[weight > 0.0]  # the others must not move the borders of folds
        with named("cv"):
            splitter = check_cv(self.cv, y, classifier=is_classifier(self))
            splits = splitter.split(X[rows], y[rows], **split_params)
            pairs = [[check_indices(part, "cv", len(rows)) for part in pair] for pair in splits]
            folds = [(rows[train], rows[test]) for train, test in pairs]
        if not folds:
            raise ValueError("cv must give at least one fold, got none")
        for k, (train, test) in enumerate(folds):
            if not (weight[train].any() and weight[test].any()):
                raise ValueError(
                    f"cv must leave samples of positive weight on both sides of each fold, "
                    f"got {len(train)} and {len(test)} samples in fold {k}"
                )
            kept = train[weight[train] > 0.0]
            if is_classifier(self) and len(np.unique(y[kept])) < 2:
                raise ValueError(f"cv must train on two classes at least, got one in fold {k}")
        return folds

    def _score_folds(
        self,
        X: Samples,
        y: NDArray[Any],
        weight: Float,
        folds: list[Fold],
        seed: RandomState,
        score_params: dict[str, Any],
    ) -> Float:
        """Return the scores, an array of shape (number of counts, n_alphas, n_folds)."""
        jobs = min(effective_n_jobs(self.n_jobs), len(folds))
        n_threads = max(1, effective_threads(self.n_threads) // jobs)
        # scikit-learn's scorers check their input anew at each alpha: as long as a solve takes.
        scorer = _default_score if self.scoring is None else self._scorer()
        stop = _Stop()
        tasks = (
            delayed(_score_fold)(
                self._fold_model(n_threads, seed),
                (X[train], y[train], weight[train]),
                (X[test], y[test]),
                self.alphas_,
                scorer,
                _check_method_params(X, score_params, indices=test),
                stop,
            )
            for train, test in folds
        )
        try:
            scored = Parallel(n_jobs=self.n_jobs, prefer="threads")(tasks)
        except BaseException:
            stop.wait()
            raise
        unfinished = sum(count for _, count in scored)
        if unfinished:
            warnings.warn(
                f"{unfinished} solves on the folds ended before their tolerance, or not at all: a "
                "larger eps, max_iter, time_limit or tol lets them finish.",
                ConvergenceWarning,
                stacklevel=3,
            )
        return np.stack([scores for scores, _ in scored], axis=-1)

    @staticmethod
    @abstractmethod
    def _held_out_score(y: NDArray[Any], predicted: NDArray[Any], weight: Float | None) -> float:
        """Return what the default scoring gives."""

    def _fold_model(self, n_threads: int, seed: RandomState) -> "Self":
        parameters = {**self.get_params(deep=False), "n_threads": n_threads, "random_state": seed}
        model = type(self)(**parameters)
        model.n_features_in_ = self.n_features_in_
        return model

    def _scorer(self) -> Any:
        if self.scoring is not None:
            return get_scorer(self.scoring)
        scorer = get_scorer(self._default_scoring)
        if get_config()["enable_metadata_routing"]:
            scorer.set_score_request(sample_weight=True)
        return scorer

    def _routed(self, sample_weight: Float | None, params: dict[str, Any]) -> Any:
        """Return what each of splitter and scorer asked for."""
        if get_config()["enable_metadata_routing"]:
            return process_routing(self, "fit", sample_weight=sample_weight, **params)
        if params:
            raise ValueError(
                f"fit got {sorted(params)}, which are for splitter or scorer: they need "
                "sklearn.set_config(enable_metadata_routing=True)"
            )
        weights = {} if sample_weight is None else {"sample_weight": sample_weight}
        return Bunch(splitter=Bunch(split={}), scorer=Bunch(score=weights))

    def get_metadata_routing(self) -> MetadataRouter:
        """Return what `fit` passes on: to the splitter of ``cv`` and to the scorer.

        Returns
        -------
        MetadataRouter
        """
        # A number of folds asks for nothing, and an iterator must not be used up here.
        splitter = self.cv if hasattr(self.cv, "split") else check_cv()
        return (
            MetadataRouter(owner=self)
            .add_self_request(self)
            .add(
                splitter=splitter,
                method_mapping=MethodMapping().add(caller="fit", callee="split"),
            )
            .add(
                scorer=self._scorer(),
                method_mapping=MethodMapping().add(caller="fit", callee="score"),
            )
        )


class CrossValidatedRegressor(CrossValidatedEstimator):
    """The choice of alpha by squared errors, for what estimates targets."""

    _default_scoring: ClassVar[str] = "neg_mean_squared_error"

    def _score_weight(
        self,
        y: NDArray[Any],  # noqa: ARG002  # classes have weights, targets have none
        weight: Float,
        sample_weight: ArrayLike | None,
    ) -> Float | None:
        return None if sample_weight is None else weight

    @staticmethod
    def _held_out_score(y: NDArray[Any], predicted: NDArray[Any], weight: Float | None) -> float:
        errors = np.square(predicted - y).reshape(len(y), -1).mean(axis=1)
        return -float(np.average(errors, weights=weight))

    @property
    def mse_path_(self) -> Float:
        """Mean squared errors of the held-out parts, for ``scoring=None``."""
        if self.scoring is not None:
            raise AttributeError(f"mse_path_ belongs to scoring=None, got {self.scoring!r}")
        return -self.score_path_


class CrossValidatedClassifier(CrossValidatedEstimator, ClassifierTargets):
    """The choice of alpha by accuracy, for what estimates labels."""

    _default_scoring: ClassVar[str] = "accuracy"

    def _score_weight(
        self, y: NDArray[Any], weight: Float, sample_weight: ArrayLike | None
    ) -> Float | None:
        if self.class_weight is None:
            return None if sample_weight is None else weight
        kept = weight > 0.0
        weighted = np.zeros_like(weight)
        weighted[kept] = self._class_weighted(y[kept], weight[kept])
        return weighted

    @staticmethod
    def _held_out_score(y: NDArray[Any], predicted: NDArray[Any], weight: Float | None) -> float:
        return float(np.average(predicted == y, weights=weight))


def _fixed(random_state: RandomState) -> RandomState:
    """Return a seed that gives all folds the same gates."""
    if isinstance(random_state, (numbers.Integral, np.random.SeedSequence)):
        return random_state
    return int(generator(random_state).integers(2**63))


def _default_score(
    model: CrossValidatedEstimator,
    X: Samples,
    y: NDArray[Any],
    sample_weight: Float | None = None,
) -> float:
    return model._held_out_score(y, model.predict(X), sample_weight)


class _Stop:
    """The callback of all folds: Ctrl-C and errors reach one thread only, this ends the others."""

    def __init__(self) -> None:
        self.stopped = False
        self.running: list[None] = []  # one entry a fold; lists are safe between threads

    def __call__(self, info: IterationInfo) -> bool:  # noqa: ARG002  # what callbacks take
        return self.stopped

    def wait(self) -> None:
        """Tell the folds to end and wait until they have."""
        self.stopped = True
        while self.running:
            time.sleep(0.01)


def _score_fold(
    model: CrossValidatedEstimator,
    training: tuple[Samples, NDArray[Any], Float],
    held_out: tuple[Samples, NDArray[Any]],
    alphas: Float,
    scorer: Any,
    score_params: dict[str, Any],
    stop: _Stop,
) -> tuple[Float, int]:
    """Return the scores of one fold, a row a number of patterns, and how many did not finish."""
    counts = model._pattern_counts()
    scores = np.full((len(counts), len(alphas)), np.nan)
    unfinished = scores.size
    stop.running.append(None)
    try:
        for row, count in zip(scores, counts, strict=True):
            if stop.stopped:
                break
            first = count if count < max(counts) else None
            columns = model._columns(*training, model.random_state, first)
            start = columns.starts_from([])
            path = columns.solve(alphas, start, callback=stop, **model._settings())
            for k, results in enumerate(path):
                model.network_ = columns.network(results)
                row[k] = scorer(model, *held_out, **score_params)
                unfinished -= all(result.status == "optimal" for result in results)
    finally:
        stop.running.pop()
    return scores, unfinished


def choose(score_path: Float, selection: str) -> int:
    """Return the row to take, the first of those that the rule does not tell apart."""
    means = score_path.mean(axis=1)
    if np.isnan(means).all():
        raise ValueError(
            "no alpha has a score in every fold: scoring gave NaN, or time_limit is too short"
        )
    best = int(np.nanargmax(means))
    n_folds = score_path.shape[1]
    if selection == "best" or n_folds == 1:
        return best
    error = score_path[best].std(ddof=1) / np.sqrt(n_folds)
    return int(np.argmax(means >= means[best] - error))
