"""Class weights, warm starts, hidden features, frames, and what is refused."""

import copy
import importlib
import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_sample_weight

import cvxnn

FOUR = [
    cvxnn.ReLURegressor(n_patterns=50),
    cvxnn.ReLUClassifier(n_patterns=50),
    cvxnn.ReLURegressorCV(n_patterns=50, n_alphas=3, eps=0.2, cv=2),
    cvxnn.ReLUClassifierCV(n_patterns=50, n_alphas=3, eps=0.2, cv=2),
]


def identify(model):
    return type(model).__name__


@pytest.fixture(scope="module")
def wine():
    X, y = load_wine(return_X_y=True)
    return X, np.array(["red", "rose", "white"])[y]


@pytest.fixture(scope="module")
def diabetes():
    return load_diabetes(return_X_y=True)


@pytest.mark.parametrize(
    "class_weight", ["balanced", {"red": 3.0, "rose": 0.5, "white": 1.0}, {"rose": 4.0}]
)
@pytest.mark.parametrize("n_classes", [2, 3])
def test_class_weights_multiply_sample_weights(wine, class_weight, n_classes):
    X, y = wine
    if n_classes == 2:
        X, y = X[y != "white"], y[y != "white"]
        if isinstance(class_weight, dict):
            class_weight = {k: v for k, v in class_weight.items() if k != "white"}
    weight = np.random.default_rng(0).uniform(0.5, 2.0, len(X))
    by_class = cvxnn.ReLUClassifier(0.02, class_weight=class_weight, n_patterns=100, tol=1e-8)
    by_sample = cvxnn.ReLUClassifier(0.02, n_patterns=100, tol=1e-8)
    each = compute_sample_weight(class_weight, y)
    np.testing.assert_allclose(
        by_class.fit(X, y).decision_function(X),
        by_sample.fit(X, y, sample_weight=each).decision_function(X),
        rtol=1e-6,
        atol=1e-8,
    )
    if class_weight != "balanced":  # which counts weights
        by_class.fit(X, y, sample_weight=weight)
        by_sample.fit(X, y, sample_weight=weight * each)
        assert by_class.objective_ == pytest.approx(by_sample.objective_, rel=1e-7)


def test_balanced_classes_count_weights_as_rows(wine):
    X, y = wine
    weight = np.random.default_rng(0).integers(0, 4, len(X))
    rows = np.repeat(np.arange(len(X)), weight)
    model = cvxnn.ReLUClassifier(class_weight="balanced")
    weighted = clone(model).fit(X, y, sample_weight=weight).decision_function(X)
    repeated = clone(model).fit(X[rows], y[rows]).decision_function(X)
    np.testing.assert_array_equal(weighted, repeated)


def test_balanced_classes_help_the_rare_one():
    X, y = load_breast_cancer(return_X_y=True)
    rare = np.r_[np.flatnonzero(y == 1), np.flatnonzero(y == 0)[:15]]
    plain, balanced = (
        cvxnn.ReLUClassifier(alpha=0.05, class_weight=w).fit(X[rare], y[rare])
        for w in (None, "balanced")
    )
    score = [balanced_accuracy_score(y, model.predict(X)) for model in (plain, balanced)]
    assert score[1] > score[0]


@pytest.mark.parametrize(
    ("class_weight", "message"),
    [
        ("even", "class_weight"),
        ({"red": -1.0, "rose": 1.0, "white": 1.0}, "class_weight must be positive and finite"),
        ({"red": 0.0}, "class_weight must be positive and finite"),
        ({"red": np.nan}, "class_weight must be positive and finite"),
        ({"blue": 1.0}, "not in class_weight"),
        (2.0, "class_weight"),
    ],
)
def test_bad_class_weights_are_named(wine, class_weight, message):
    with pytest.raises(ValueError, match=message):
        cvxnn.ReLUClassifier(class_weight=class_weight).fit(*wine)


@pytest.mark.parametrize("kind", [cvxnn.ReLURegressor, cvxnn.ReLUClassifier])
@pytest.mark.parametrize("activation", ["gated_relu", "relu"])
def test_warm_start_agrees_with_a_cold_fit(wine, kind, activation):
    X, y = wine
    y = X[:, 0] * X[:, 1] if kind is cvxnn.ReLURegressor else y
    options = {"activation": activation, "n_patterns": 20, "tol": 1e-7}
    warm = kind(alpha=0.3, warm_start=True, **options).fit(X, y)
    assert warm.set_params(alpha=0.1).fit(X, y).status_ == "optimal"
    cold = kind(alpha=0.1, **options).fit(X, y)
    assert warm.objective_ == pytest.approx(cold.objective_, rel=2e-7)
    difference = np.abs(warm.network_.predict(X) - cold.network_.predict(X))
    assert difference.max() < 1e-2 * np.abs(cold.network_.predict(X)).max()


@pytest.mark.parametrize(("activation", "n_patterns"), [("gated_relu", 500), ("relu", 20)])
def test_warm_start_begins_at_the_last_solution(diabetes, activation, n_patterns):
    X, y = diabetes
    options = {"activation": activation, "n_patterns": n_patterns, "tol": 1e-6}
    model = cvxnn.ReLURegressor(warm_start=True, **options).fit(X, y)
    cold = model.n_iter_
    first = []
    model.fit(X, y, callback=first.append)
    assert first[0].gap <= 1e-6 * first[0].primal
    assert model.n_iter_ < cold
    started_cold = []
    model.set_params(warm_start=False).fit(X, y, callback=started_cold.append)
    assert started_cold[0].gap > 1e-3 * started_cold[0].primal


@pytest.mark.parametrize(
    ("change", "rows", "columns"),
    [
        ({"n_patterns": 30}, slice(None), slice(None)),
        ({"random_state": 7}, slice(None), slice(None)),
        ({"fit_intercept": False}, slice(None), slice(None)),
        ({"activation": "relu", "n_patterns": 20}, slice(None), slice(None)),
        ({"loss": "huber"}, slice(None), slice(None)),
        ({}, slice(0, 300), slice(None)),
        ({}, slice(None), slice(0, 4)),
    ],
)
def test_warm_start_after_a_change(diabetes, change, rows, columns):
    X, y = diabetes
    model = cvxnn.ReLURegressor(warm_start=True, tol=1e-6, alpha=0.1).fit(X, y)
    X, y = X[rows, columns], y[rows]
    warm = model.set_params(**change).fit(X, y)
    cold = clone(model).fit(X, y)
    assert warm.objective_ == pytest.approx(cold.objective_, rel=2e-6)


def test_warm_start_on_moved_data_stays_in_the_cones():
    # The first column decides the order of rows: the patterns stay, the cones of ReLU blocks move.
    rng = np.random.default_rng(0)
    options = {"activation": "relu", "standardize": False, "fit_intercept": False}
    for seed in range(4):
        X = rng.standard_normal((40, 3))
        y = np.abs(X[:, 0]) + 0.1 * rng.standard_normal(40)
        moved = X * np.column_stack([np.ones(40), 1 + 1e-2 * rng.standard_normal((40, 2))])
        gates = cvxnn.sample_gates(3, 200, random_state=seed)
        stay = ((X @ gates > 0) == (moved @ gates > 0)).all(axis=0)
        model = cvxnn.ReLURegressor(
            alpha=0.02, gates=gates[:, stay][:, :6], warm_start=True, tol=1e-6, **options
        )
        model.fit(X, y).fit(moved, y)
        cold = clone(model).fit(moved, y)
        assert model.objective_ == pytest.approx(cold.objective_, rel=2e-6)
        assert model.network_.objective(moved, y, 0.02) <= model.objective_ * (1 + 1e-9)


def test_warm_start_with_another_number_of_targets(diabetes):
    X, y = diabetes
    model = cvxnn.ReLURegressor(warm_start=True).fit(X, y)
    assert model.fit(X, np.column_stack([y, -y])).predict(X).shape == (len(X), 2)
    assert model.fit(X, y).predict(X).shape == (len(X),)


def test_warm_start_leaves_adaptive_patterns_cold(diabetes):
    X, y = diabetes[0][:60, :2], diabetes[1][:60]
    model = cvxnn.ReLURegressor(
        alpha=0.2, activation="relu", patterns="adaptive", warm_start=True, tol=1e-5
    )
    once = model.fit(X, y).objective_
    assert model.fit(X, y).objective_ == once


@pytest.mark.parametrize("model", FOUR, ids=identify)
@pytest.mark.parametrize("activation", ["gated_relu", "relu"])
def test_hidden_features_make_the_outputs(wine, model, activation):
    X, y = wine
    y = X[:, 0] if "Regressor" in identify(model) else y
    model = clone(model).set_params(activation=activation, n_patterns=10).fit(X, y)
    hidden = model.transform(X)
    assert hidden.shape == (len(X), model.network_.width)
    assert hidden.dtype == np.float64
    outputs = (hidden @ model.coefs_[1] + model.intercepts_[1]).squeeze()
    np.testing.assert_allclose(outputs, model.network_.predict(X), rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(clone(model).fit_transform(X, y), hidden)


def test_hidden_features_have_names_and_frames(wine):
    X, y = wine
    model = cvxnn.ReLUClassifier(n_patterns=50).fit(X, y)
    names = model.get_feature_names_out()
    assert names[0] == "reluclassifier0"
    assert len(names) == model.network_.width
    frame = model.set_output(transform="pandas").transform(X)
    assert isinstance(frame, pd.DataFrame)
    assert list(frame.columns) == list(names)


def test_hidden_features_feed_another_model():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((400, 3))
    y = np.abs(X[:, 0]) - np.abs(X[:, 1])
    pipe = make_pipeline(cvxnn.ReLURegressor(alpha=0.003), Ridge(1e-3)).fit(X[:300], y[:300])
    assert pipe.score(X[300:], y[300:]) > 0.95
    assert Ridge().fit(X[:300], y[:300]).score(X[300:], y[300:]) < 0.2


def test_empty_network_has_no_hidden_features(diabetes):
    X, y = diabetes
    assert cvxnn.ReLURegressor(alpha=10.0).fit(X, y).transform(X).shape == (len(X), 0)


@pytest.mark.parametrize("model", FOUR, ids=identify)
def test_images_are_refused_with_advice(model):
    images, y = load_digits(return_X_y=True)
    images, y = images[:60].reshape(60, 8, 8), y[:60] % 2
    advice = (
        r"X must be 2-D .* got shape \(60, 8, 8\): flatten each sample, X.reshape\(len\(X\), -1\)"
    )
    with pytest.raises(ValueError, match=advice):
        clone(model).fit(images, y)
    fitted = clone(model).fit(images.reshape(60, -1), y)
    for method in ("predict", "transform"):
        with pytest.raises(ValueError, match=advice):
            getattr(fitted, method)(images)


@pytest.mark.parametrize("options", [{}, {"fit_intercept": False}, {"activation": "relu"}])
def test_network_undoes_the_scaling_of_raw_inputs(options):
    X, y = load_breast_cancer(return_X_y=True)
    model = cvxnn.ReLUClassifier(0.01, n_patterns=40, **options).fit(X, y)
    by_network = np.mean((model.network_.predict(X) > 0) == y)
    assert by_network == model.score(X, y)
    assert by_network > 0.95
    # By hand: the network holds no trace of a standardisation to be applied before.
    hidden = X @ model.coefs_[0] + model.intercepts_[0]
    active = hidden > 0
    if model.gates_ is not None:
        active = X @ model.gates_ + model.network_.gate_intercepts_ > 0
    outputs = (active * hidden) @ model.coefs_[1][:, 0] + model.intercepts_[1]
    np.testing.assert_allclose(outputs, model.decision_function(X), rtol=1e-9, atol=1e-9)


def through_skops(model):
    """Return the model from a file that runs no code; it asks to trust cvxnn's types alone."""
    dumped = skops.io.dumps(model)
    types = skops.io.get_untrusted_types(data=dumped)
    assert {name.split(".")[0] for name in types} == {"cvxnn"}
    return skops.io.loads(dumped, trusted=types)


@pytest.mark.parametrize("model", FOUR, ids=identify)
def test_fitted_models_survive_copies(wine, model, tmp_path):
    X, y = wine
    y = X[:, 0] if "Regressor" in identify(model) else y
    model = clone(model).fit(X, y)
    joblib.dump(model, tmp_path / "model.joblib")
    for other in (
        pickle.loads(pickle.dumps(model)),
        joblib.load(tmp_path / "model.joblib"),
        copy.deepcopy(model),
        through_skops(model),
    ):
        np.testing.assert_array_equal(other.predict(X), model.predict(X))
        assert other.get_params() == model.get_params()
    assert not hasattr(clone(model), "network_")


def test_warm_start_survives_pickling(diabetes):
    X, y = diabetes
    model = cvxnn.ReLURegressor(warm_start=True, tol=1e-6).fit(X, y)
    first = []
    pickle.loads(pickle.dumps(model)).fit(X, y, callback=first.append)
    assert first[0].gap <= 1e-6 * first[0].primal


@pytest.mark.parametrize("library", ["pandas", "polars"])
@pytest.mark.parametrize("model", FOUR, ids=identify)
def test_data_frames(wine, model, library):
    frames = importlib.import_module(library)
    X, y = wine
    y = X[:, 0] if "Regressor" in identify(model) else y
    names = [f"x{k}" for k in range(X.shape[1])]
    frame = frames.DataFrame(dict(zip(names, X.T, strict=True)))
    by_frame = clone(model).fit(frame, frames.Series(y))
    np.testing.assert_array_equal(by_frame.feature_names_in_, names)
    by_array = clone(model).fit(X, y)
    np.testing.assert_array_equal(by_frame.predict(frame), by_array.predict(X))
    with pytest.raises(ValueError, match="feature names"):
        by_frame.predict(frame[names[::-1]])


@pytest.mark.parametrize("model", FOUR[:2], ids=identify)
def test_rows_of_weight_zero_are_as_if_removed(wine, model):
    X, y = wine
    y = X[:, 0] if "Regressor" in identify(model) else y
    weight = np.random.default_rng(0).integers(0, 3, len(X)).astype(float)
    kept = weight > 0
    zero = clone(model).fit(X, y, sample_weight=weight)
    removed = clone(model).fit(X[kept], y[kept], sample_weight=weight[kept])
    np.testing.assert_array_equal(zero.predict(X), removed.predict(X))
    assert zero.objective_ == removed.objective_


@pytest.mark.parametrize("model", FOUR, ids=identify)
def test_bad_data_are_named(wine, model):
    X, y = wine
    y = X[:, 0] if "Regressor" in identify(model) else y
    bad = X.copy()
    bad[3, 2] = np.nan
    for wrong in (bad, np.where(np.isnan(bad), np.inf, bad)):
        with pytest.raises(ValueError, match=r"X contains (NaN|infinity)"):
            clone(model).fit(wrong, y)
    for weight in (np.zeros(len(X)), -np.ones(len(X)), np.ones(len(X) - 1)):
        with pytest.raises(ValueError, match=r"sample_weight|[sS]ample weights"):
            clone(model).fit(X, y, sample_weight=weight)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        clone(model).fit(X, y[:-1])


def test_searches_in_pipelines(wine):
    X, y = wine
    pipe = make_pipeline(StandardScaler(), cvxnn.ReLUClassifier(n_patterns=30))
    grid = {"reluclassifier__class_weight": [None, "balanced"], "reluclassifier__alpha": [0.01]}
    assert GridSearchCV(pipe, grid, cv=2).fit(X, y).best_score_ > 0.9
    features = make_pipeline(cvxnn.ReLUClassifier(n_patterns=30), LogisticRegression())
    assert features.fit(X, y).score(X, y) > 0.95
