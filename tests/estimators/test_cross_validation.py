"""The estimators that choose their alpha: by which scores, on which folds, with what result."""

import numpy as np
import pytest
from sklearn.datasets import load_wine
from sklearn.metrics import accuracy_score, log_loss, mean_squared_error
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    LeaveOneGroupOut,
    StratifiedKFold,
    cross_val_score,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import cvxnn
from cvxnn.estimators._cross_validation import choose

SHORT = {"n_alphas": 6, "eps": 0.03, "n_patterns": 60, "cv": 3}


def plain(model):
    """Return the estimator that is given the alpha that another one chose."""
    kind = {
        cvxnn.ReLURegressorCV: cvxnn.ReLURegressor,
        cvxnn.ReLUClassifierCV: cvxnn.ReLUClassifier,
    }[type(model)]
    shared = {k: v for k, v in model.get_params().items() if k in kind().get_params()}
    return kind(alpha=model.alpha_, **shared)


@pytest.mark.parametrize("options", [{}, {"loss": "huber"}, {"standardize": False}])
def test_regressor_agrees_with_fits_by_hand(regression, options):
    X, y = regression
    model = cvxnn.ReLURegressorCV(**SHORT, **options, tol=1e-7).fit(X, y)
    assert model.mse_path_.shape == (6, 3)
    np.testing.assert_array_equal(model.mse_path_, -model.score_path_)
    for k, (train, test) in enumerate(KFold(3).split(X)):
        for j in (0, 3, 5):
            fit = cvxnn.ReLURegressor(model.alphas_[j], n_patterns=60, tol=1e-7, **options)
            error = mean_squared_error(y[test], fit.fit(X[train], y[train]).predict(X[test]))
            assert model.mse_path_[j, k] == pytest.approx(error, rel=1e-2)
    assert model.best_index_ == model.mse_path_.mean(axis=1).argmin()
    assert model.alpha_ == model.alphas_[model.best_index_]
    assert model.alphas_[-1] == pytest.approx(0.03 * model.alphas_[0])


@pytest.mark.parametrize("scoring", [None, "neg_log_loss"])
def test_classifier_agrees_with_fits_by_hand(classification, scoring):
    X, y = classification
    model = cvxnn.ReLUClassifierCV(**SHORT, scoring=scoring, tol=1e-7).fit(X, y)
    for k, (train, test) in enumerate(StratifiedKFold(3).split(X, y)):
        for j in (0, 3, 5):
            fit = cvxnn.ReLUClassifier(model.alphas_[j], n_patterns=60, tol=1e-7)
            odds = fit.fit(X[train], y[train]).predict_proba(X[test])
            score = (
                accuracy_score(y[test], odds.argmax(axis=1))
                if scoring is None
                else -log_loss(y[test], odds)
            )
            assert model.score_path_[j, k] == pytest.approx(score, rel=1e-2)
    assert model.best_index_ == model.score_path_.mean(axis=1).argmax()


def test_largest_alpha_empties_the_network_and_a_smaller_one_does_not(regression):
    X, y = regression
    model = cvxnn.ReLURegressorCV(**SHORT).fit(X, y)
    above, below = (
        cvxnn.ReLURegressor(ratio * model.alphas_[0], n_patterns=60).fit(X, y).network_.width
        for ratio in (1.001, 0.9)
    )
    assert above == 0
    assert below > 0


def test_several_targets_share_one_alpha(regression):
    X, y = regression
    Y = np.column_stack([y, np.abs(X[:, 0]), np.ones(len(y))])
    model = cvxnn.ReLURegressorCV(**SHORT).fit(X, Y)
    assert model.predict(X).shape == Y.shape
    np.testing.assert_allclose(model.predict(X)[:, 2], 1.0)
    for j, k in ((0, 0), (4, 2)):
        train, test = list(KFold(3).split(X))[k]
        fit = cvxnn.ReLURegressor(model.alphas_[j], n_patterns=60).fit(X[train], Y[train])
        error = mean_squared_error(Y[test], fit.predict(X[test]))
        assert model.mse_path_[j, k] == pytest.approx(error, rel=2e-2)


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_final_fit_is_that_of_the_plain_estimator(regression, classification, n_jobs):
    for kind, (X, y) in (
        (cvxnn.ReLURegressorCV, regression),
        (cvxnn.ReLUClassifierCV, classification),
    ):
        model = kind(**SHORT, n_jobs=n_jobs, random_state=4).fit(X, y)
        other = plain(model).fit(X, y)
        np.testing.assert_array_equal(model.predict(X), other.predict(X))
        for name in ("status_", "n_iter_", "objective_", "lower_bound_", "dual_gap_"):
            assert getattr(model, name) == getattr(other, name)
        assert model.n_patterns_ == other.n_patterns_
        assert model.coefs_ is model.network_.coefs_


def test_jobs_and_threads_change_no_bit(classification):
    X, y = classification
    paths = [
        cvxnn.ReLUClassifierCV(**SHORT, scoring="neg_log_loss", n_jobs=n_jobs, n_threads=n_threads)
        .fit(X, y)
        .score_path_
        for n_jobs, n_threads in ((None, 1), (2, None), (3, 2))
    ]
    np.testing.assert_array_equal(paths[0], paths[1])
    np.testing.assert_array_equal(paths[0], paths[2])


def test_units_of_features_do_not_leak_between_folds(regression):
    # The held-out part lies far away: a scale that saw it would be another one.
    X, y = regression
    X = X.copy()
    train, test = np.arange(100), np.arange(100, 200)
    X[test] *= 1e3
    model = cvxnn.ReLURegressorCV(**{**SHORT, "cv": [(train, test)]}, tol=1e-7).fit(X, y)
    fit = cvxnn.ReLURegressor(model.alphas_[3], n_patterns=60, tol=1e-7).fit(X[train], y[train])
    error = mean_squared_error(y[test], fit.predict(X[test]))
    assert model.mse_path_[3, 0] == pytest.approx(error, rel=1e-2)


def test_any_random_state_gives_all_folds_the_same_gates(regression):
    X, y = regression
    path = cvxnn.ReLURegressorCV(**SHORT, random_state=np.random.default_rng(3)).fit(X, y)
    again = cvxnn.ReLURegressorCV(**SHORT, random_state=np.random.default_rng(3), n_jobs=2)
    np.testing.assert_array_equal(path.score_path_, again.fit(X, y).score_path_)
    other = cvxnn.ReLURegressorCV(**SHORT, random_state=np.random.RandomState(5)).fit(X, y)
    assert (path.score_path_ != other.score_path_).any()
    fresh = cvxnn.ReLURegressorCV(**{**SHORT, "cv": [(range(200), range(200))] * 2})
    same = fresh.set_params(random_state=None).fit(X, y).score_path_
    np.testing.assert_array_equal(same[:, 0], same[:, 1])


def test_own_alphas_in_any_order(regression):
    X, y = regression
    model = cvxnn.ReLURegressorCV(alphas=[0.1, 1.0, 0.3], n_patterns=60, cv=3).fit(X, y)
    np.testing.assert_array_equal(model.alphas_, [1.0, 0.3, 0.1])
    assert model.score_path_.shape == (3, 3)


@pytest.mark.parametrize(
    ("patterns", "activation"), [("exact", "gated_relu"), ("exact", "relu"), ("adaptive", "relu")]
)
def test_other_patterns(patterns, activation):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 1))
    y = np.abs(X[:, 0]) + 0.1 * rng.standard_normal(40)
    options = {"patterns": patterns, "activation": activation}
    model = cvxnn.ReLURegressorCV(n_alphas=5, eps=0.01, cv=3, **options).fit(X, y)
    assert model.score(X, y) > 0.8
    single = cvxnn.ReLURegressor(model.alpha_, **options).fit(X, y)
    assert model.objective_ == pytest.approx(single.objective_, rel=1e-3)


@pytest.mark.parametrize(
    ("means", "errors", "best", "one"),
    [
        ([0.1, 0.5, 0.8, 0.9, 0.7], 0.15, 3, 2),
        ([0.1, 0.5, 0.8, 0.9, 0.7], 0.01, 3, 3),
        ([0.9, 0.9, 0.9], 0.1, 0, 0),
        ([np.nan, 0.5, 0.6, np.nan], 0.2, 2, 1),
    ],
)
def test_choice(means, errors, best, one):
    # Two folds with scores at +-e around the mean: the standard error is e.
    path = np.column_stack([np.subtract(means, errors), np.add(means, errors)])
    assert choose(path, "best") == best
    assert choose(path, "one_standard_error") == one


def test_one_fold_has_no_standard_error():
    assert choose(np.array([[0.1], [0.5], [0.4]]), "one_standard_error") == 1


def test_one_standard_error_gives_a_smaller_network(regression):
    X, y = regression
    dense = {**SHORT, "n_alphas": 15}
    best = cvxnn.ReLURegressorCV(**dense).fit(X, y)
    smaller = cvxnn.ReLURegressorCV(**dense, selection="one_standard_error").fit(X, y)
    np.testing.assert_array_equal(best.score_path_, smaller.score_path_)
    assert smaller.alpha_ > best.alpha_
    assert smaller.network_.width < best.network_.width


def test_rows_of_weight_zero_are_as_if_removed(regression, classification):
    for kind, (X, y) in (
        (cvxnn.ReLURegressorCV, regression),
        (cvxnn.ReLUClassifierCV, classification),
    ):
        weight = np.random.default_rng(0).integers(0, 3, len(X)).astype(float)
        kept = weight > 0
        model = kind(**SHORT).fit(X, y, weight)
        removed = kind(**SHORT).fit(X[kept], y[kept], weight[kept])
        np.testing.assert_array_equal(model.score_path_, removed.score_path_)
        np.testing.assert_array_equal(model.predict(X), removed.predict(X))


def test_weights_are_repetitions(regression):
    X, y = regression
    X, y = X[:90], y[:90]
    weight = np.random.default_rng(0).integers(1, 4, 90)
    groups = np.repeat([0, 1, 2], 30)
    rows = np.repeat(np.arange(90), weight)
    folds, repeated = (list(LeaveOneGroupOut().split(g, groups=g)) for g in (groups, groups[rows]))
    weighted = cvxnn.ReLURegressorCV(**{**SHORT, "cv": folds}).fit(X, y, weight)
    longer = cvxnn.ReLURegressorCV(**{**SHORT, "cv": repeated}).fit(X[rows], y[rows])
    np.testing.assert_array_equal(weighted.alphas_, longer.alphas_)
    np.testing.assert_allclose(weighted.mse_path_, longer.mse_path_, rtol=1e-12)
    np.testing.assert_array_equal(weighted.predict(X), longer.predict(X))


def test_class_weights_count_in_scores():
    X, y = load_wine(return_X_y=True)
    names = np.array(["a", "b", "c"])[y]
    weights = {"a": 1.0, "b": 2.0, "c": 0.5}
    few = {**SHORT, "n_alphas": 3, "eps": 0.2}
    by_class = cvxnn.ReLUClassifierCV(**few, class_weight=weights).fit(X, names)
    by_sample = cvxnn.ReLUClassifierCV(**few).fit(X, names, [weights[name] for name in names])
    np.testing.assert_allclose(by_class.score_path_, by_sample.score_path_, rtol=1e-12)
    assert by_class.alpha_ == pytest.approx(by_sample.alpha_)


@pytest.mark.parametrize(
    ("kind", "scoring"),
    [(cvxnn.ReLURegressorCV, "neg_mean_squared_error"), (cvxnn.ReLUClassifierCV, "accuracy")],
)
@pytest.mark.parametrize("weighted", [False, True])
def test_default_score_is_that_of_scikit_learn(regression, classification, kind, scoring, weighted):
    X, y = classification if scoring == "accuracy" else regression
    weight = np.random.default_rng(1).uniform(size=len(y)) if weighted else None
    targets = [y] if scoring == "accuracy" else [y, np.column_stack([y, X[:, 0]])]
    for target in targets:
        own, theirs = (
            kind(**SHORT, scoring=name).fit(X, target, weight).score_path_
            for name in (None, scoring)
        )
        np.testing.assert_allclose(own, theirs, rtol=1e-12)


@pytest.mark.parametrize("kind", ["U", "S", "O"])
def test_targets_that_are_strings_of_numbers(regression, kind):
    X, y = regression
    model = cvxnn.ReLURegressorCV(**SHORT).fit(X, np.array([repr(float(v)) for v in y], dtype=kind))
    np.testing.assert_array_equal(
        model.mse_path_, cvxnn.ReLURegressorCV(**SHORT).fit(X, y).mse_path_
    )


def test_works_inside_scikit_learn_tools(classification):
    X, y = classification
    pipe = make_pipeline(StandardScaler(), cvxnn.ReLUClassifierCV(**SHORT))
    assert cross_val_score(pipe, X, y, cv=2).min() > 0.85
    search = GridSearchCV(cvxnn.ReLUClassifierCV(**SHORT), {"n_patterns": [20, 60]}, cv=2)
    assert search.fit(X, y).best_score_ > 0.85
