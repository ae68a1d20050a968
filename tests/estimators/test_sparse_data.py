"""Estimators on sparse X: what they give on dense X, but for the centring."""

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, StandardScaler

import cvxnn
from cvxnn.estimators._columns import Standardizer, canonical_rows

SMALL = {"activation": "gated_relu", "n_patterns": 60, "n_threads": 1, "tol": 1e-8}


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X = np.where(rng.random((120, 8)) < 0.3, rng.standard_normal((120, 8)), 0.0)
    X[:, 4] = 0.0
    X[7] = 0.0
    y = np.abs(X[:, 0]) + X[:, 1] + 0.05 * rng.standard_normal(120)
    return X, y


def kinds(y):
    labels = y > np.median(y)
    path = {**SMALL, "n_alphas": 4, "eps": 0.1, "cv": 3}
    return [
        (cvxnn.ReLURegressor(**SMALL), y),
        (cvxnn.ReLUClassifier(**SMALL), labels),
        (cvxnn.ReLUClassifier(**SMALL, class_weight="balanced"), np.digitize(y, [0.0, 0.5])),
        (cvxnn.ReLURegressorCV(**path), y),
        (cvxnn.ReLUClassifierCV(**path), labels),
    ]


@pytest.mark.parametrize("kind", range(5))
@pytest.mark.parametrize("form", [sp.csr_matrix, sp.csc_array])
def test_same_model_where_nothing_is_centred(data, kind, form):
    X, y = data
    model, target = kinds(y)[kind]
    for options in ({"standardize": False}, {"fit_intercept": False}):
        model.set_params(standardize=True, fit_intercept=True).set_params(**options)
        expected = clone(model).fit(X, target)
        model.fit(form(X), target)
        assert model.status_ == "optimal"
        assert model.objective_ == pytest.approx(expected.objective_, rel=1e-7)
        assert model.score(form(X), target) == pytest.approx(expected.score(X, target), rel=1e-4)


def test_columns_are_scaled_and_not_centred(data):
    X, y = data
    scaler = StandardScaler(with_mean=False).fit(X)
    model = cvxnn.ReLUClassifier(**SMALL).fit(sp.csr_array(X), y > 0)
    expected = cvxnn.ReLUClassifier(**SMALL, standardize=False).fit(scaler.transform(X), y > 0)
    assert model.objective_ == pytest.approx(expected.objective_, rel=1e-7)
    # The scales are folded into the network, which takes raw inputs.
    scores = expected.decision_function(scaler.transform(X))
    for inputs in (X, sp.csr_array(X), sp.csc_matrix(X)):
        np.testing.assert_allclose(model.decision_function(inputs), scores, atol=1e-3)


def test_outputs_on_sparse_and_dense_inputs_agree(data):
    X, y = data
    model = cvxnn.ReLURegressor(**SMALL).fit(sp.csr_array(X), y)
    np.testing.assert_allclose(model.predict(sp.csc_array(X)), model.predict(X), atol=1e-12)
    np.testing.assert_allclose(model.transform(sp.csr_matrix(X)), model.transform(X), atol=1e-12)
    model = cvxnn.ReLUClassifier(**SMALL).fit(sp.csr_array(X), y > 0)
    for method in ("predict", "predict_proba", "decision_function"):
        call = getattr(model, method)
        np.testing.assert_allclose(call(sp.csr_array(X)), call(X), atol=1e-12)


def test_dense_models_take_sparse_inputs(data):
    X, y = data
    model = cvxnn.ReLURegressor(**SMALL).fit(X, y)
    np.testing.assert_allclose(model.predict(sp.csr_array(X)), model.predict(X), atol=1e-12)


@pytest.mark.parametrize("gates", ["feature_sparse", "quantile"])
def test_samplers(data, gates):
    X, y = data
    model = cvxnn.ReLURegressor(**SMALL, gates=gates, standardize=False)
    expected = cvxnn.ReLURegressor(**SMALL, gates=gates, standardize=False)
    model.fit(sp.csr_array(X), y)
    # Rows are sorted, in another order: only sums over them may differ.
    assert model.objective_ == pytest.approx(expected.fit(X, y).objective_, rel=1e-7)


def test_own_sampler_sees_sparse_inputs(data):
    X, y = data
    seen = []

    def sampler(inputs, n_gates, rng):
        seen.append(inputs)
        return rng.standard_normal((inputs.shape[1], n_gates))

    cvxnn.ReLURegressor(**SMALL, gates=sampler).fit(sp.csr_array(X), y)
    assert sp.issparse(seen[0])
    np.testing.assert_array_equal(seen[0][:, [-1]].toarray(), 1.0)


def test_row_order_and_repetition_change_no_bit(data):
    X, y = data
    rows = sp.csr_array(X)
    order = np.random.default_rng(1).permutation(len(y))
    one = cvxnn.ReLURegressor(**SMALL).fit(rows, y)
    two = cvxnn.ReLURegressor(**SMALL).fit(rows[order], y[order])
    np.testing.assert_array_equal(one.coefs_[0], two.coefs_[0])
    weight = 1.0 + (np.arange(len(y)) % 3)
    repeated = np.repeat(np.arange(len(y)), weight.astype(int))
    one = cvxnn.ReLURegressor(**SMALL).fit(rows, y, weight)
    two = cvxnn.ReLURegressor(**SMALL).fit(rows[repeated], y[repeated])
    np.testing.assert_array_equal(one.coefs_[0], two.coefs_[0])


def test_canonical_rows_of_sparse_data():
    X = sp.csr_array(np.array([[1.0, 0.0], [0.0, 2.0], [1.0, 0.0], [0.0, 0.0]]))
    X.data[1] = -0.0  # row 1 becomes empty, as row 3 is
    targets = np.array([[1.0], [2.0], [1.0], [2.0]])
    rows, merged, weight = canonical_rows(X, targets, np.array([1.0, 2.0, 3.0, 4.0]))
    found = sorted(zip(rows.toarray().tolist(), merged[:, 0], weight, strict=True))
    assert found == [([0.0, 0.0], 2.0, 6.0), ([1.0, 0.0], 1.0, 4.0)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_standardizer_of_sparse_data(data, dtype):
    X = data[0].astype(dtype)
    X[:, 2] = 3.1  # without zeros, and constant
    weight = 1.0 + np.arange(len(X)) % 5
    dense = Standardizer(X, weight, center=False, scale=True)
    sparse = Standardizer(sp.csr_array(X), weight, center=False, scale=True)
    np.testing.assert_allclose(sparse.scale, dense.scale, rtol=1e-6)
    assert sparse.scale[2] == sparse.scale[4] == 1.0
    for constant_column in (False, True):
        mapped = sparse.transform(sp.csr_array(X), constant_column=constant_column)
        wanted = dense.transform(X, constant_column=constant_column)
        assert mapped.format == "csr"
        assert mapped.dtype == dtype
        np.testing.assert_allclose(mapped.toarray(), wanted, rtol=1e-5)


def test_tags_follow_what_is_possible():
    for options, sparse in (
        ({}, True),
        ({"activation": "gated_relu"}, True),
        ({"activation": "gated_relu", "patterns": "exact"}, False),
        ({"patterns": "exact"}, True),
        ({"patterns": "adaptive"}, True),
        ({"batch_norm": True}, False),
    ):
        for kind in (cvxnn.ReLURegressor, cvxnn.ReLUClassifierCV):
            assert kind(**options).__sklearn_tags__().input_tags.sparse is sparse


def test_what_needs_dense_data_says_so(data):
    X, y = data
    model = cvxnn.ReLURegressor(activation="gated_relu", patterns="exact")
    why = "^X must be dense for patterns='exact', got a sparse matrix: pass X"
    with pytest.raises(TypeError, match=why):
        model.fit(sp.csr_array(X), y)


@pytest.mark.parametrize("options", [{}, {"patterns": "exact"}, {"patterns": "adaptive"}])
def test_relu_networks_are_fitted_to_dense_copies(data, options):
    X, y = data
    X = X[:40, :3]
    model = cvxnn.ReLURegressor(**options, tol=1e-8, fit_intercept=False).fit(
        sp.csc_array(X), y[:40]
    )
    expected = clone(model).fit(X, y[:40])
    assert model.network_.activation == "relu"
    assert model.objective_ == pytest.approx(expected.objective_, rel=1e-6)
    np.testing.assert_allclose(model.predict(sp.csr_array(X)), model.predict(X), atol=1e-12)
    # Columns are scaled and not centred, as for gated networks.
    labels = y[:40] > 0
    with_bias = cvxnn.ReLUClassifier(tol=1e-8, n_patterns=60).fit(sp.csr_array(X), labels)
    scaled = StandardScaler(with_mean=False).fit_transform(X)
    as_they_are = clone(with_bias).set_params(standardize=False).fit(scaled, labels)
    assert with_bias.objective_ == pytest.approx(as_they_are.objective_, rel=1e-6)


def test_what_is_too_large_to_be_made_dense_is_refused():
    wide = sp.random_array((100, 500_001), density=1e-6, format="csr", rng=0)
    with pytest.raises(
        ValueError, match=r"^activation='relu' makes a sparse X dense.*\(100, 500001\)"
    ):
        cvxnn.ReLURegressor().fit(wide, np.arange(100.0))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_and_infinity_are_refused(data, value):
    X, y = data
    rows = sp.csr_array(X)
    model = cvxnn.ReLURegressor(**SMALL).fit(rows, y)
    rows.data[3] = value
    with pytest.raises(ValueError, match=r"NaN|infinity"):
        model.predict(rows)
    with pytest.raises(ValueError, match=r"NaN|infinity"):
        model.fit(rows, y)


def test_pipeline_and_search():
    X, y = make_classification(200, 12, random_state=0)
    X[np.abs(X) < 0.7] = 0.0
    search = GridSearchCV(
        make_pipeline(MaxAbsScaler(), cvxnn.ReLUClassifier(n_patterns=40, n_threads=1)),
        {"reluclassifier__alpha": [0.1, 0.01]},
        cv=3,
    )
    search.fit(sp.csr_matrix(X), y)
    assert search.best_score_ > 0.75
