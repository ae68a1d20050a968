"""Networks that share their neurons among outputs, and the losses that come with them."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import make_blobs

import cvxnn

FAST = {"n_patterns": 30, "alpha": 0.01}
GATED = {**FAST, "activation": "gated_relu"}


@pytest.fixture(scope="module")
def blobs():
    return make_blobs(150, n_features=4, centers=4, cluster_std=2.5, random_state=3)


@pytest.mark.parametrize("penalty", [None, "group", "nuclear", "columns"])
def test_softmax(blobs, penalty):
    X, y = blobs
    names = np.array(["a", "b", "c", "d"])[y]
    model = cvxnn.ReLUClassifier(loss="softmax", penalty=penalty, **GATED).fit(X, names)
    assert model.status_ == "optimal"
    assert model.n_outputs_ == 4
    assert model.score(X, names) > 0.85
    shares = model.predict_proba(X)
    np.testing.assert_allclose(shares.sum(axis=1), 1.0, rtol=1e-12)
    np.testing.assert_array_equal(model.classes_[shares.argmax(axis=1)], model.predict(X))
    # The joint softmax loss of the training data is what the objective bounds from above.
    log_loss = -np.log(shares[np.arange(len(y)), y]).mean()
    assert 0.0 < log_loss < model.objective_
    np.testing.assert_allclose(model.network_.predict(X), model.decision_function(X))


def test_softmax_of_two_classes(blobs):
    X, y = blobs
    model = cvxnn.ReLUClassifier(loss="softmax", **FAST).fit(X, y > 1)
    scores = model.decision_function(X)
    assert scores.shape == (150,)
    np.testing.assert_array_equal(model.predict(X), scores > 0)
    np.testing.assert_allclose(model.predict_proba(X)[:, 1], 1 / (1 + np.exp(-scores)), rtol=1e-9)


@pytest.mark.parametrize("n_classes", [2, 4])
def test_hinge(blobs, n_classes):
    X, y = blobs
    y = y % n_classes
    model = cvxnn.ReLUClassifier(loss="hinge", **FAST).fit(X, y)
    assert model.status_ == "optimal"
    assert model.score(X, y) > 0.8
    assert not hasattr(model, "predict_proba")


@pytest.mark.parametrize(
    "penalty", ["group", "nuclear", "columns", "sparse_group", "feature", "elastic"]
)
def test_targets_at_once(penalty):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((80, 3))
    Y = np.column_stack([np.abs(X[:, 0]), 10.0 + 5.0 * np.abs(X[:, 0]), X[:, 1]])
    model = cvxnn.ReLURegressor(penalty=penalty, **GATED).fit(X, Y)
    assert model.status_ == "optimal"
    assert model.predict(X).shape == (80, 3)
    assert model.score(X, Y) > 0.8
    assert model.n_outputs_ == 3


def test_columns_are_networks_of_their_own():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 3))
    Y = np.column_stack([np.abs(X[:, 0]), np.abs(X[:, 1])])
    alone = cvxnn.ReLURegressor(tol=1e-8, **GATED).fit(X, Y)
    together = cvxnn.ReLURegressor(penalty="columns", tol=1e-8, **GATED).fit(X, Y)
    assert together.objective_ == pytest.approx(alone.objective_, rel=1e-7)
    np.testing.assert_allclose(together.predict(X), alone.predict(X), atol=1e-4)


def test_a_sample_of_weight_two_is_two_samples(blobs):
    X, y = blobs
    model = cvxnn.ReLUClassifier(loss="softmax", **FAST)
    weight = np.where(np.arange(150) < 30, 2.0, 1.0)
    weighted = clone(model).fit(X, y, weight)
    repeated = clone(model).fit(np.vstack([X, X[:30]]), np.r_[y, y[:30]])
    np.testing.assert_array_equal(weighted.coefs_[0], repeated.coefs_[0])


def test_warm_start_and_class_weights(blobs):
    X, y = blobs
    model = cvxnn.ReLUClassifier(
        loss="softmax", warm_start=True, class_weight="balanced", tol=1e-6, **FAST
    ).fit(X, y)
    cold = clone(model).set_params(alpha=0.008).fit(X, y)
    warm = model.set_params(alpha=0.008).fit(X, y)
    assert warm.objective_ == pytest.approx(cold.objective_, rel=1e-5)


@pytest.mark.parametrize("penalty", ["sparse_group", "feature"])
def test_sparse_penalties_select_features(penalty):
    rng = np.random.default_rng(5)
    X = rng.standard_normal((150, 6))
    y = np.abs(X[:, 0]) + 0.5 * X[:, 2]
    options = {"penalty": penalty, "l1_ratio": 0.9, "activation": "gated_relu", "n_patterns": 60}
    model = cvxnn.ReLURegressor(alpha=0.1, **options).fit(X, y)
    assert model.status_ == "optimal"
    used = np.flatnonzero(model.coefs_[0].any(axis=1))
    assert {0, 2} <= set(used)
    assert len(used) < 6
    chosen = cvxnn.ReLURegressorCV(n_alphas=4, eps=0.1, cv=3, **options).fit(X, y)
    assert chosen.get_params()["l1_ratio"] == 0.9
    assert chosen.score(X, y) > 0.5
    classifier = cvxnn.ReLUClassifier(alpha=0.02, **options).fit(X, y > y.mean())
    assert classifier.score(X, y > y.mean()) > 0.8
    several = cvxnn.ReLUClassifierCV(n_alphas=4, eps=0.1, cv=3, **options)
    assert several.fit(X, y > y.mean()).score(X, y > y.mean()) > 0.8


def test_the_elastic_penalty_reaches_every_estimator():
    rng = np.random.default_rng(5)
    X = rng.standard_normal((150, 6))
    y = np.abs(X[:, 0]) + 0.5 * X[:, 2]
    options = {"penalty": "elastic", "l2_ratio": 0.8, "n_patterns": 60, "random_state": 0}
    model = cvxnn.ReLURegressor(alpha=0.1, **options).fit(X, y)
    assert model.status_ == "optimal"
    less = clone(model).set_params(l2_ratio=0.1).fit(X, y)
    assert less.network_.width < model.network_.width
    chosen = cvxnn.ReLURegressorCV(n_alphas=4, eps=0.1, cv=3, **options).fit(X, y)
    assert chosen.get_params()["l2_ratio"] == 0.8
    assert chosen.score(X, y) > 0.5
    classifier = cvxnn.ReLUClassifier(alpha=0.02, **options).fit(X, y > y.mean())
    assert classifier.score(X, y > y.mean()) > 0.8
    several = cvxnn.ReLUClassifierCV(n_alphas=4, eps=0.1, cv=3, **options)
    assert several.fit(X, y > y.mean()).score(X, y > y.mean()) > 0.8
    for placement in ("before", "after"):
        normalised = clone(model).set_params(alpha=0.02, batch_norm=placement).fit(X, y)
        assert normalised.status_ == "optimal"
        assert normalised.score(X, y) > 0.8
    Y = np.column_stack([y, -y])
    both = clone(model).set_params(alpha=0.02, activation="relu").fit(X, Y)
    alone = clone(both).fit(X, y)
    assert both.status_ == "optimal"
    assert both.objective_ == pytest.approx(2 * alone.objective_, rel=1e-3)
    np.testing.assert_allclose(both.predict(X), np.column_stack([alone.predict(X)] * 2) * [1, -1])
    with pytest.raises(ValueError, match=r"^penalty must be one of .*, got 'elastic'"):
        cvxnn.ConvReLURegressor(penalty="elastic").fit(X.reshape(-1, 2, 3), y)


def test_cross_validation(blobs):
    X, y = blobs
    model = cvxnn.ReLUClassifierCV(
        loss="softmax", n_patterns=30, n_alphas=4, eps=0.1, cv=3, scoring="neg_log_loss"
    ).fit(X, y)
    assert model.score_path_.shape == (4, 3)
    assert model.score(X, y) > 0.85


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (cvxnn.ReLUClassifier(penalty="l1"), "^penalty must be one of"),
        (
            cvxnn.ReLUClassifier(penalty="group", activation="relu"),
            "^penalty=.* needs activation='gated_relu'.*'nuclear'",
        ),
        (cvxnn.ReLURegressor(loss="softmax"), "^loss must be one of"),
        (
            cvxnn.ReLUClassifier(penalty="feature", activation="relu"),
            "^penalty=.* needs activation='gated_relu'.*'nuclear'",
        ),
        (cvxnn.ReLUClassifier(l1_ratio=1.0), r"^l1_ratio must be in \[0, 1\), got 1"),
        (cvxnn.ReLUClassifier(l2_ratio=1.0), r"^l2_ratio must be in \[0, 1\), got 1"),
        (
            cvxnn.ReLUClassifier(penalty="elastic", activation="relu", loss="softmax"),
            "^penalty=.* needs activation='gated_relu'.*'nuclear'",
        ),
        (
            cvxnn.ReLUClassifier(penalty="elastic", activation="relu", patterns="adaptive"),
            "^penalty='elastic' needs patterns='sample' or 'exact', got 'adaptive'",
        ),
    ],
)
def test_bad_parameters(blobs, model, message):
    X, y = blobs
    with pytest.raises(ValueError, match=message):
        model.fit(X, y)


@pytest.mark.parametrize("patterns", ["sample", "exact", "adaptive"])
def test_relu_neurons_that_all_targets_share(patterns):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 2))
    Y = np.maximum(X[:, :1], 0.0) @ np.array([[1.0, -2.0]]) + 0.1 * rng.standard_normal((40, 2))
    model = cvxnn.ReLURegressor(
        activation="relu", penalty="nuclear", patterns=patterns, alpha=0.02, fit_intercept=False
    ).fit(X, Y)
    assert model.status_ == "optimal"
    assert model.network_.activation == "relu"
    assert model.score(X, Y) > 0.9


def test_relu_neurons_that_all_classes_share(blobs):
    X, y = blobs
    model = cvxnn.ReLUClassifier(activation="relu", loss="softmax", tol=1e-3, **FAST).fit(X, y)
    assert model.status_ == "optimal"
    assert model.score(X, y) > 0.85
    with pytest.raises(ValueError, match="penalty"):
        cvxnn.ReLUClassifier(activation="relu", loss="softmax", penalty="group").fit(X, y)
    adaptive = cvxnn.ReLUClassifier(
        model.alpha, activation="relu", loss="softmax", tol=1e-3, patterns="adaptive"
    ).fit(X, y)
    assert adaptive.status_ == "optimal"
    assert adaptive.objective_ <= model.objective_ * (1.0 + 1e-3)
