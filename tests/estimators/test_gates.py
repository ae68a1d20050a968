"""The gates of estimators: by the name of a sampler, by a function, or given."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

import cvxnn

FEW = {"n_patterns": 40, "random_state": 7}
GATED = {"activation": "gated_relu"}


def gaussian(X, n_patterns, rng):
    return cvxnn.sample_gates(X.shape[1], n_patterns, random_state=rng)


def standardised(X):
    """Return what the gates of an estimator are sampled on, up to the order of rows."""
    Z = (X - X.mean(axis=0)) / X.std(axis=0)
    return np.column_stack([Z, np.ones(len(X))])


def test_named_samplers_are_the_functions(regression):
    X, y = regression
    n_features = X.shape[1]
    sparse = cvxnn.sample_sparse_gates(n_features, 40, bias=True, random_state=7)
    named = cvxnn.ReLURegressor(gates="feature_sparse", **GATED, **FEW).fit(X, y)
    given = cvxnn.ReLURegressor(gates=sparse, **GATED).fit(X, y)
    np.testing.assert_array_equal(named.predict(X), given.predict(X))
    assert named.network_.width > 0
    assert ((named.gates_ != 0).sum(axis=0) <= 2).all()
    without = cvxnn.ReLURegressor(gates="feature_sparse", fit_intercept=False, **FEW).fit(X, y)
    given = cvxnn.ReLURegressor(
        gates=cvxnn.sample_sparse_gates(n_features, 40, random_state=7), fit_intercept=False
    )
    np.testing.assert_array_equal(without.predict(X), given.fit(X, y).predict(X))


def test_quantile_gates_pass_through_the_data(regression):
    X, y = regression
    model = cvxnn.ReLURegressor(gates="quantile", alpha=0.01, **GATED, **FEW).fit(X, y)
    gates = cvxnn.sample_quantile_gates(standardised(X)[:, :-1], 40, random_state=7)
    # Thresholds lie midway between neighbours: another order of summation changes no pattern.
    given = cvxnn.ReLURegressor(gates=gates, alpha=0.01, **GATED).fit(X, y)
    assert model.objective_ == pytest.approx(given.objective_, rel=1e-3)
    active = (X @ model.gates_ + model.network_.gate_intercepts_ > 0).sum(axis=0)
    assert model.network_.width > 0
    assert ((active > 0) & (active < len(X))).all()


def test_one_feature_has_gates_of_order_one():
    X = np.linspace(-1, 1, 30)[:, None]
    model = cvxnn.ReLURegressor(gates="feature_sparse", alpha=0.01).fit(X, np.abs(X[:, 0]))
    assert model.score(X, np.abs(X[:, 0])) > 0.9


@pytest.mark.parametrize("make", [int, np.random.default_rng, np.random.RandomState])
def test_function_that_draws_as_the_gaussian_sampler(classification, make):
    X, y = classification
    few = {"n_patterns": 40}
    own = cvxnn.ReLUClassifier(gates=gaussian, **few, random_state=make(7)).fit(X, y)
    named = cvxnn.ReLUClassifier(gates="gaussian", **few, random_state=make(7)).fit(X, y)
    np.testing.assert_array_equal(own.decision_function(X), named.decision_function(X))


@pytest.mark.parametrize(
    ("options", "sampler"),
    [
        ({}, "gaussian"),
        (GATED, "feature_sparse"),
        ({**GATED, "fit_intercept": False}, "feature_sparse"),
        ({**GATED, "batch_norm": "after"}, "gaussian"),
        ({**GATED, "batch_norm": "before"}, "gaussian"),
    ],
)
def test_default_gates(regression, options, sampler):
    X, y = regression
    default = cvxnn.ReLURegressor(**options, **FEW).fit(X, y)
    named = cvxnn.ReLURegressor(gates=sampler, **options, **FEW).fit(X, y)
    np.testing.assert_array_equal(default.predict(X), named.predict(X))


def test_function_gets_standardised_inputs(regression):
    X, y = regression
    seen = []

    def gates(data, n_patterns, rng):
        seen.append((data, n_patterns, rng))
        return gaussian(data, n_patterns, rng)

    cvxnn.ReLURegressor(gates=gates, **FEW).fit(X, y)
    ((data, n_patterns, rng),) = seen
    assert n_patterns == 40
    assert isinstance(rng, np.random.Generator)
    wanted = standardised(X)
    order = [np.lexsort(rows.round(9).T) for rows in (data, wanted)]
    np.testing.assert_allclose(data[order[0]], wanted[order[1]], atol=1e-9)


@pytest.mark.parametrize("fit_intercept", [False, True])
def test_convolutional_gates_look_at_patches_of_square_images(fit_intercept):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 25))
    y = X[:, [6, 7, 11]].sum(axis=1)
    options = {"fit_intercept": fit_intercept, "alpha": 0.01}
    named = cvxnn.ReLURegressor(gates="convolutional", **FEW, **options).fit(X, y)
    gates = cvxnn.sample_convolutional_gates((5, 5), 40, bias=fit_intercept, random_state=7)
    given = cvxnn.ReLURegressor(gates=gates, **options).fit(X, y)
    np.testing.assert_array_equal(named.predict(X), given.predict(X))
    assert named.network_.width > 0
    with pytest.raises(ValueError, match="square images of one channel, X has 24 features"):
        cvxnn.ReLURegressor(gates="convolutional").fit(X[:, :24], y)


def test_convolutional_gates_of_tiny_images():
    X = np.random.default_rng(0).standard_normal((30, 4))
    model = cvxnn.ReLURegressor(gates="convolutional", **FEW).fit(X, X[:, 0])
    assert model.score(X, X[:, 0]) > 0.9


@pytest.mark.parametrize("gates", ["gaussian", "quantile", gaussian])
@pytest.mark.parametrize("kind", [cvxnn.ReLURegressor, cvxnn.ReLURegressorCV])
def test_threads_and_copies_change_no_bit(regression, kind, gates):
    X, y = regression
    short = {} if kind is cvxnn.ReLURegressor else {"n_alphas": 4, "eps": 0.1, "cv": 2}
    model = kind(gates=gates, n_threads=1, **FEW, **short)
    predicted = model.fit(X, y).predict(X)
    other = clone(model).set_params(n_threads=2).fit(X, y)
    np.testing.assert_array_equal(predicted, other.predict(X))
    np.testing.assert_array_equal(predicted, pickle.loads(pickle.dumps(model)).predict(X))


def test_repeated_rows_are_weights(regression):
    X, y = regression
    weight = np.random.default_rng(0).integers(0, 3, len(X))
    model = cvxnn.ReLURegressor(gates="quantile", **FEW)
    weighted = clone(model).fit(X, y, weight).predict(X)
    repeated = clone(model).fit(np.repeat(X, weight, axis=0), np.repeat(y, weight)).predict(X)
    np.testing.assert_array_equal(weighted, repeated)


def test_a_search_takes_samplers(classification):
    X, y = classification
    search = GridSearchCV(
        cvxnn.ReLUClassifier(n_patterns=30), {"gates": ["gaussian", "quantile", gaussian]}, cv=2
    )
    scores = search.fit(X, y).cv_results_["mean_test_score"]
    assert scores.min() > 0.85
    assert scores[0] == scores[2]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            {"gates": "dense"},
            "gates must be one of .*'feature_sparse', 'gaussian', 'quantile'.*got 'dense'",
        ),
        ({"gates": "quantile", "fit_intercept": False}, "fit_intercept=True"),
        ({"gates": "quantile", "patterns": "exact"}, "patterns='sample'"),
        ({"gates": "convolutional", "batch_norm": True}, "pixels, which batch_norm mixes"),
        ({"gates": lambda X, n, rng: gaussian(X, n, rng)[:-1]}, "gates must have shape"),
        ({"gates": lambda X, n, rng: gaussian(X, n, rng)[:, 1:]}, "40, got 39"),
        ({"gates": lambda X, n, rng: gaussian(X, n, rng) * np.nan}, "gates contains NaN"),
        ({"gates": lambda *_: None}, "gates must"),
    ],
)
def test_bad_gates_are_named(regression, parameters, message):
    with pytest.raises(ValueError, match=message):
        cvxnn.ReLURegressor(**FEW, **parameters).fit(*regression)
