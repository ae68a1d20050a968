"""Classification with a choice of alpha."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from numpy.typing import ArrayLike

from cvxnn._problem import L1_RATIO, L2_RATIO
from cvxnn.arrangements import RandomState
from cvxnn.estimators._base import Gates, ReLUEstimator
from cvxnn.estimators._classifier import ReLUClassifier
from cvxnn.estimators._cross_validation import CrossValidatedClassifier, Scoring, Splitter


class ReLUClassifierCV(CrossValidatedClassifier, ReLUClassifier):
    """ReLU or gated ReLU network for classification, with alpha chosen by cross-validation.

    On the training part of each fold the path of all alphas is solved, each alpha from the one
    before, with a standardisation of its own: nothing of the held-out part leaks in. All folds have
    the same alphas, down from the largest that matters on all samples, and the same gates, but for
    those that a sampler reads off the rows. The network is then fitted to all samples, as
    `ReLUClassifier` with ``alpha_`` does.

    Parameters
    ----------
    n_alphas : int, default=30
        Number of alphas.
    eps : float, default=1e-3
        Ratio of the smallest alpha to the largest. Small alphas take most of the time; where
        ``best_index_`` is the last, a smaller ratio may do better.
    alphas : array-like or None, default=None
        Own values instead, in any order.
    cv : int, splitter, iterable of (train, test) or None, default=None
        Folds: their number (None is 5; stratified), a splitter of
        scikit-learn, or indices. With a number, samples of weight zero are in no fold.
    scoring : str, callable or None, default=None
        Score of a fold, greater is better: a name or scorer of scikit-learn, called with
        ``sample_weight`` if `fit` is or there are class weights, which multiply it. None is
        accuracy.
    selection : {'best', 'one_standard_error'}, default='best'
        Take the alpha of the best mean score, the largest of several; or the largest whose mean
        is within one standard error of it, for a smaller network. Of several numbers of patterns
        either rule takes the fewest first, then the largest alpha.
    n_jobs : int or None, default=None
        Folds at a time, in threads; None is 1 unless joblib's ``parallel_config`` says otherwise.
    n_patterns : int or sequence of int, default=500
        As for `ReLUClassifier`; or several numbers, for ``patterns="sample"`` without an
        array of gates: the pair of alpha and number is chosen. Fewer patterns are those of the
        first gates of one sample, and all numbers have the same alphas.
    activation, loss, penalty, l1_ratio, l2_ratio, patterns, gates, fit_intercept, standardize
        As for `ReLUClassifier`.
    class_weight, batch_norm, bn_rank
        As for `ReLUClassifier`.
    tol, max_iter
        As for `ReLUClassifier`, on folds too.
    time_limit : float or None, default=None
        Limit in seconds for each path and each class. Alphas that a path does not reach are not
        chosen.
    n_threads : int or None, default=None
        Threads, shared out among the jobs. The model is bitwise the same for any number.
    random_state, verbose
        As for `ReLUClassifier`.

    Attributes
    ----------
    alpha_ : float
        The chosen alpha.
    alphas_ : ndarray of shape (n_alphas,)
        All of them, descending.
    best_index_ : int
        Index of the chosen one.
    best_n_patterns_ : int
        The chosen ``n_patterns``; ``n_patterns_`` counts the distinct ones.
    score_path_ : ndarray of shape (n_alphas, n_folds) or (n_numbers, n_alphas, n_folds)
        Scores of the held-out parts; NaN where ``time_limit`` ended a path. The leading axis is
        for a sequence ``n_patterns``, in its order.
    classes_ : ndarray of shape (n_classes,)
        The labels.
    network_, batch_norm_, coefs_, intercepts_, gates_
        The network that was fitted to all samples, as for `ReLUClassifier`.
    objective_, lower_bound_, dual_gap_, status_, n_iter_
        Its certificate, as for `ReLUClassifier`.
    n_patterns_, n_features_in_, n_outputs_, feature_names_in_
        Sizes and names, as for `ReLUClassifier`.

    References
    ----------
    J. Friedman, T. Hastie, R. Tibshirani (2010), Regularization paths for generalized linear models
    via coordinate descent, J. Stat. Software 33, section 2.5.

    Examples
    --------
    >>> import cvxnn, numpy as np
    >>> X = np.random.default_rng(0).standard_normal((120, 2))
    >>> y = X[:, 0] * X[:, 1] > 0
    >>> model = cvxnn.ReLUClassifierCV(n_alphas=10, eps=0.01, n_patterns=100, cv=3).fit(X, y)
    >>> model.score_path_.shape, bool(model.score(X, y) > 0.9)
    ((10, 3), True)
    """

    _family: ClassVar[Any] = ReLUEstimator

    def __init__(
        self,
        *,
        n_alphas: int = 30,
        eps: float = 1e-3,
        alphas: ArrayLike | None = None,
        cv: Splitter = None,
        scoring: Scoring = None,
        selection: str = "best",
        n_jobs: int | None = None,
        activation: str = "relu",
        loss: str = "logistic",
        penalty: str | None = None,
        l1_ratio: float = L1_RATIO,
        l2_ratio: float = L2_RATIO,
        patterns: str = "sample",
        n_patterns: int | Sequence[int] = 500,
        gates: Gates = None,
        fit_intercept: bool = True,
        standardize: bool = True,
        batch_norm: bool | str = False,
        bn_rank: float | None = None,
        class_weight: Mapping[Any, float] | str | None = None,
        tol: float = 1e-4,
        max_iter: int = 1000,
        time_limit: float | None = None,
        n_threads: int | None = None,
        random_state: RandomState = 0,
        verbose: int = 0,
    ) -> None:
        super().__init__(
            n_alphas=n_alphas,
            eps=eps,
            alphas=alphas,
            cv=cv,
            scoring=scoring,
            selection=selection,
            n_jobs=n_jobs,
            activation=activation,
            loss=loss,
            penalty=penalty,
            l1_ratio=l1_ratio,
            l2_ratio=l2_ratio,
            patterns=patterns,
            n_patterns=n_patterns,
            gates=gates,
            fit_intercept=fit_intercept,
            standardize=standardize,
            batch_norm=batch_norm,
            bn_rank=bn_rank,
            tol=tol,
            max_iter=max_iter,
            time_limit=time_limit,
            n_threads=n_threads,
            random_state=random_state,
            verbose=verbose,
        )
        self.class_weight = class_weight
