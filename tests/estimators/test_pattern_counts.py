"""The number of patterns chosen by cross-validation, together with alpha."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

import cvxnn

SHORT = {"alphas": [1.0, 0.3, 0.1, 0.03], "cv": 3, "random_state": 2}
COUNTS = [60, 10, 30]


@pytest.mark.parametrize("gates", [None, "feature_sparse", "quantile"])
@pytest.mark.parametrize("kind", [cvxnn.ReLURegressorCV, cvxnn.ReLUClassifierCV])
def test_the_best_of_single_runs(regression, classification, kind, gates):
    X, y = regression if kind is cvxnn.ReLURegressorCV else classification
    model = kind(**SHORT, n_patterns=COUNTS, gates=gates).fit(X, y)
    single = [kind(**SHORT, n_patterns=n, gates=gates).fit(X, y) for n in COUNTS]
    assert model.score_path_.shape == (3, 4, 3)
    for path, one in zip(model.score_path_, single, strict=True):
        np.testing.assert_array_equal(path, one.score_path_)
    scores = [one.score_path_.mean(axis=1).max() for one in single]
    equal = [k for k in range(3) if scores[k] == max(scores)]
    best = min(equal, key=lambda k: COUNTS[k])
    assert model.best_n_patterns_ == COUNTS[best] == single[best].best_n_patterns_
    assert model.n_patterns_ <= model.best_n_patterns_
    assert model.alpha_ == single[best].alpha_ == model.alphas_[model.best_index_]
    np.testing.assert_array_equal(model.predict(X), single[best].predict(X))
    assert model.objective_ == single[best].objective_


def test_the_same_choice_as_by_a_grid_search(regression):
    X, y = regression
    model = cvxnn.ReLURegressorCV(**SHORT, n_patterns=COUNTS, tol=1e-7).fit(X, y)
    grid = {"alpha": SHORT["alphas"], "n_patterns": COUNTS}
    plain = cvxnn.ReLURegressor(random_state=2, tol=1e-7)
    search = GridSearchCV(plain, grid, cv=3, scoring="neg_mean_squared_error").fit(X, y)
    assert search.best_params_ == {"alpha": model.alpha_, "n_patterns": model.best_n_patterns_}
    assert model.mse_path_.mean(axis=2).min() == pytest.approx(-search.best_score_, rel=1e-4)


def test_all_numbers_have_the_alphas_of_the_largest(regression):
    X, y = regression
    few = {"n_alphas": 3, "eps": 0.1, "cv": 2, "gates": "gaussian"}
    several = cvxnn.ReLURegressorCV(**few, n_patterns=[5, 80]).fit(X, y)
    largest = cvxnn.ReLURegressorCV(**few, n_patterns=80).fit(X, y)
    smallest = cvxnn.ReLURegressorCV(**few, n_patterns=5).fit(X, y)
    np.testing.assert_array_equal(several.alphas_, largest.alphas_)
    assert smallest.alphas_[0] < largest.alphas_[0]


def test_one_standard_error_takes_the_fewest_patterns(regression):
    X, y = regression
    model = cvxnn.ReLURegressorCV(**SHORT, n_patterns=COUNTS, selection="one_standard_error")
    path = model.fit(X, y).score_path_
    means = path.mean(axis=2)
    top = np.unravel_index(means.argmax(), means.shape)
    close = means >= means[top] - path[top].std(ddof=1) / np.sqrt(3)
    pairs = [(COUNTS[k], -model.alphas_[j]) for k, j in np.argwhere(close)]
    assert len(pairs) > 1
    assert (model.best_n_patterns_, -model.alpha_) == min(pairs)


def test_equal_scores_take_the_fewest_patterns_and_the_largest_alpha(regression):
    X, y = regression
    model = cvxnn.ReLURegressorCV(**SHORT, n_patterns=COUNTS, scoring=lambda *_: 1.0).fit(X, y)
    assert (model.best_n_patterns_, model.alpha_) == (10, 1.0)


def test_a_function_samples_once_and_its_first_gates_are_taken(regression):
    X, y = regression
    asked = []

    def gates(data, n_patterns, rng):
        asked.append(n_patterns)
        # Not nested: what it returns for 10 are not the first of what it returns for 60.
        return rng.standard_normal((data.shape[1], n_patterns))

    def first_gates(data, n_patterns, rng):
        return rng.standard_normal((data.shape[1], 60))[:, :n_patterns]

    several = cvxnn.ReLURegressorCV(**SHORT, n_patterns=[10, 60], gates=gates).fit(X, y)
    assert set(asked) == {60}
    single = cvxnn.ReLURegressorCV(**SHORT, n_patterns=10, gates=first_gates).fit(X, y)
    np.testing.assert_array_equal(several.score_path_[0], single.score_path_)


@pytest.mark.parametrize("counts", [(10, 30), range(10, 31, 20), np.array([10, 30])])
def test_any_sequence_and_any_number_of_jobs(regression, counts):
    X, y = regression
    model = cvxnn.ReLURegressorCV(**SHORT, n_patterns=[10, 30]).fit(X, y)
    other = clone(model).set_params(n_patterns=counts, n_jobs=2).fit(X, y)
    np.testing.assert_array_equal(model.score_path_, other.score_path_)
    np.testing.assert_array_equal(model.predict(X), other.predict(X))
    assert type(other.best_n_patterns_) is int


def test_a_sequence_of_one_has_its_axis(regression):
    X, y = regression
    model = cvxnn.ReLURegressorCV(**SHORT, n_patterns=[20]).fit(X, y)
    assert model.mse_path_.shape == (1, 4, 3)
    single = cvxnn.ReLURegressorCV(**SHORT, n_patterns=20).fit(X, y)
    np.testing.assert_array_equal(model.mse_path_[0], single.mse_path_)
    assert single.best_n_patterns_ == 20


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_patterns": []}, "n_patterns must have at least one number"),
        ({"n_patterns": [10, 0]}, "n_patterns must be >= 1, got 0"),
        ({"n_patterns": [10, 20.0]}, "n_patterns must be an integer, got float"),
        ({"n_patterns": [10, np.nan]}, "n_patterns must be an integer"),
        ({"n_patterns": [[10], [20, 30]]}, "n_patterns must be an integer, got list"),
        ({"n_patterns": "all"}, "n_patterns must be an integer, got str"),
        ({"n_patterns": np.array(5)}, "n_patterns must be an integer"),
        ({"n_patterns": [10, 20], "patterns": "exact"}, "several n_patterns"),
        ({"n_patterns": [10, 20], "gates": np.ones((11, 30))}, "an array of gates"),
    ],
)
def test_bad_numbers_are_named(regression, parameters, message):
    with pytest.raises((TypeError, ValueError), match=message):
        cvxnn.ReLURegressorCV(**SHORT, **parameters).fit(*regression)


def test_the_plain_estimators_take_one_number(regression):
    with pytest.raises(TypeError, match="n_patterns must be an integer, got list"):
        cvxnn.ReLURegressor(n_patterns=[10, 20]).fit(*regression)
