"""Estimators with batch normalisation."""

import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.decomposition import PCA

import cvxnn

SMALL = {"batch_norm": True, "n_patterns": 60, "n_threads": 1, "tol": 1e-8}


def test_program_is_that_of_whitened_data(regression):
    X, y = regression
    X, y = X[:40, :3], y[:40]
    model = cvxnn.ReLURegressor(0.05, batch_norm=True, patterns="exact", tol=1e-9).fit(X, y)
    white = PCA(whiten=True).fit_transform(X) * np.sqrt(40 / 39)  # of biased variance
    target = (y - y.mean()) / y.std()
    options = {"alpha": 0.05, "activation": "relu", "fit_intercept": True, "tol": 1e-9}
    result = cvxnn.solve(np.column_stack([white, np.ones(40)]), target, "exact", **options)
    assert model.objective_ == pytest.approx(result.primal, rel=1e-8)
    assert model.n_patterns_ == result.patterns.n_patterns


def test_objective_is_that_of_the_network(regression):
    X, y = regression
    model = cvxnn.ReLURegressor(0.02, **SMALL).fit(X, y)
    normalised, scale = model.batch_norm_, y.std()
    before = X @ normalised.layers.coefs_[0] - normalised.running_mean
    np.testing.assert_allclose(before.mean(axis=0), 0.0, atol=1e-10)
    np.testing.assert_allclose(before.var(axis=0), normalised.running_var, rtol=1e-9)
    residual = (model.predict(X) - y) / scale
    parts = (normalised.gamma, normalised.beta, normalised.layers.coefs_[1] / scale)
    value = 0.5 * np.mean(residual**2) + 0.01 * sum(np.sum(part**2) for part in parts)
    assert value == pytest.approx(model.objective_, rel=1e-9)


def test_units_and_mixtures_of_features_do_not_matter(regression):
    X, y = regression
    X, y = X[:40, :3], y[:40]
    mixed = X @ np.array([[1.0, 2.0, 0.0], [0.0, -1.0, 5.0], [0.3, 0.0, 1.0]]) - 4.0
    one, other = (
        cvxnn.ReLURegressor(0.05, batch_norm=True, patterns="exact", tol=1e-9).fit(Z, y)
        for Z in (X, mixed)
    )
    assert one.objective_ == pytest.approx(other.objective_, rel=1e-8)
    np.testing.assert_allclose(one.predict(X), other.predict(mixed), rtol=1e-3)


@pytest.mark.parametrize("activation", ["gated_relu", "relu"])
def test_network_and_its_normalised_form_agree(classification, activation):
    X, y = classification
    labels = np.digitize(X[:, 0], np.quantile(X[:, 0], [0.3, 0.7]))
    for target in (y, labels):
        options = {**SMALL, "n_patterns": 20, "tol": 1e-5, "activation": activation}
        model = cvxnn.ReLUClassifier(0.03, **options).fit(X, target)
        scores = model.decision_function(X)
        np.testing.assert_allclose(model.batch_norm_.network().predict(X), scores, atol=1e-8)
        assert (model.score(X, target)) > 0.8


@pytest.mark.parametrize("activation", ["gated_relu", "relu"])
def test_torch_module_predicts_in_both_modes(regression, activation):
    torch = pytest.importorskip("torch", reason="torch, several GB, is not in the extra test")
    X, y = regression
    options = {**SMALL, "tol": 1e-5, "n_patterns": 20}
    model = cvxnn.ReLURegressor(0.05, activation=activation, **options).fit(X, y)
    module, data = model.batch_norm_.to_torch(), torch.from_numpy(X)
    for mode in (module.eval(), module.train()):
        got = mode(data).detach().numpy()[:, 0]
        np.testing.assert_allclose(got, model.predict(X), rtol=1e-9)


@pytest.mark.parametrize("activation", ["gated_relu", "relu"])
def test_weights_are_repeated_rows(regression, activation):
    X, y = regression
    weight = np.arange(len(y)) % 3
    repeated = np.repeat(np.arange(len(y)), weight)
    options = {**SMALL, "n_patterns": 20, "tol": 1e-6, "activation": activation}
    one = cvxnn.ReLURegressor(**options).fit(X, y, weight)
    two = cvxnn.ReLURegressor(**options).fit(X[repeated], y[repeated])
    assert one.objective_ == two.objective_
    np.testing.assert_array_equal(one.coefs_[0], two.coefs_[0])
    normalised = one.batch_norm_
    mean = np.average(X @ normalised.layers.coefs_[0], axis=0, weights=weight)
    np.testing.assert_allclose(normalised.running_mean, mean, rtol=1e-9, atol=1e-12)


def test_threads_change_no_bit(regression):
    X, y = regression
    one, two = (cvxnn.ReLURegressor(**{**SMALL, "n_threads": n}).fit(X, y) for n in (1, 2))
    np.testing.assert_array_equal(one.coefs_[0], two.coefs_[0])


def test_rank_limits_what_neurons_see(regression):
    X, y = regression
    few = cvxnn.ReLURegressor(0.02, **SMALL, bn_rank=3, standardize=False).fit(X, y)
    directions = np.linalg.svd(X - X.mean(axis=0))[2][:3]
    rest = few.coefs_[0] - directions.T @ (directions @ few.coefs_[0])
    assert np.abs(rest).max() < 1e-9 * np.abs(few.coefs_[0]).max()
    share = cvxnn.ReLURegressor(0.02, **SMALL, bn_rank=1 - 1e-9).fit(X, y)
    full = cvxnn.ReLURegressor(0.02, **SMALL).fit(X, y)
    assert share.objective_ == full.objective_ < few.objective_


@pytest.mark.parametrize("gates", ["quantile", "feature_sparse"])
def test_samplers_get_the_constant(regression, gates):
    X, y = regression
    model = cvxnn.ReLURegressor(**SMALL, gates=gates, fit_intercept=False).fit(X, y)
    assert model.n_patterns_ > 30
    assert not model.intercepts_[1].any()
    assert model.intercepts_[0].any()


def test_own_sampler_sees_whitened_inputs(regression):
    X, y = regression
    seen = []

    def sampler(inputs, n_gates, rng):
        seen.append(inputs)
        return rng.standard_normal((inputs.shape[1], n_gates))

    cvxnn.ReLURegressor(**SMALL, gates=sampler, bn_rank=4).fit(X, y)
    np.testing.assert_allclose(seen[0].T @ seen[0], len(X) * np.eye(5), atol=1e-9)


def test_path_over_alphas(regression):
    X, y = regression
    options = {"batch_norm": True, "bn_rank": 0.9, "n_patterns": 30, "n_threads": 1}
    model = cvxnn.ReLURegressorCV(n_alphas=5, eps=0.05, cv=3, **options).fit(X, y)
    assert np.isfinite(model.mse_path_).all()
    same = cvxnn.ReLURegressor(model.alpha_, **options).fit(X, y)
    np.testing.assert_allclose(model.predict(X), same.predict(X))
    np.testing.assert_array_equal(model.batch_norm_.gamma, same.batch_norm_.gamma)


def test_normalisation_is_gone_after_a_fit_without(regression):
    X, y = regression
    model = cvxnn.ReLURegressor(**SMALL, warm_start=True).fit(X, y)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.batch_norm_.gamma, model.batch_norm_.gamma)
    assert model.set_params(batch_norm=False).fit(X, y).batch_norm_ is None


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"batch_norm": "yes"},
            ValueError,
            r"^batch_norm must be one of \['before', 'after'\], got 'yes'",
        ),
        ({"batch_norm": None}, ValueError, r"^batch_norm must be one of .* got None"),
        ({"bn_rank": 3, "batch_norm": False}, ValueError, r"^bn_rank belongs to batch_norm, got 3"),
        ({"bn_rank": 0}, ValueError, r"^bn_rank must be >= 1, got 0$"),
        ({"bn_rank": 1.0}, ValueError, r"^bn_rank must be below 1, got 1$"),
        ({"bn_rank": 0.0}, ValueError, r"^bn_rank must be positive and finite, got 0$"),
        ({"bn_rank": np.nan}, ValueError, r"^bn_rank must be positive and finite, got nan$"),
        ({"bn_rank": True}, TypeError, r"^bn_rank must be an integer, got bool$"),
        ({"bn_rank": "half"}, TypeError, r"^bn_rank must be an integer, got str$"),
        ({"penalty": "feature"}, ValueError, r"^penalty='feature' makes zeros of features, which"),
        ({"penalty": "sparse_group"}, ValueError, r"^penalty='sparse_group' makes zeros"),
        ({"gates": np.ones((10, 3))}, ValueError, r"^gates must have shape .* = \(11, >= 1\)"),
    ],
)
def test_bad_parameters(regression, options, error, message):
    with pytest.raises(error, match=message):
        cvxnn.ReLURegressor(**{**SMALL, **options}).fit(*regression)


def test_data_that_cannot_be_normalised(regression):
    X, y = regression
    with pytest.raises(TypeError, match=r"^X must be dense for batch_norm=True, got a sparse"):
        cvxnn.ReLURegressor(**SMALL).fit(sp.csr_array(X), y)
    with pytest.raises(ValueError, match=r"^X must have a feature that varies, for batch_norm"):
        cvxnn.ReLUClassifier(**SMALL).fit(np.ones((10, 2)), np.arange(10) % 2)
    assert not cvxnn.ReLURegressor(**SMALL).__sklearn_tags__().input_tags.sparse


AFTER = {
    "activation": "gated_relu",
    "batch_norm": "after",
    "n_patterns": 25,
    "n_threads": 1,
    "tol": 1e-9,
}


class TestAfterTheActivation:
    def test_program_is_a_group_lasso_of_whitened_outputs(self, regression):
        X, y = regression
        X, y = np.column_stack([X[:60, :3], X[:60, 0]]), y[:60]  # a feature twice
        model = cvxnn.ReLURegressor(0.05, **AFTER, standardize=False).fit(X, y / 50)
        ones = np.column_stack([X, np.ones(60)])
        gates = cvxnn.sample_gates(5, 25, random_state=0)
        columns, groups = [], []
        for mask in cvxnn.activation_patterns(ones, gates).to_dense().T:
            outputs = mask[:, None] * ones
            left, values, _ = np.linalg.svd(outputs - outputs.mean(axis=0), full_matrices=False)
            kept = left[:, values > 1e-9 * values[0]]
            columns += [np.sqrt(60) * kept, np.ones((60, 1))]
            groups.append(kept.shape[1] + 1)
        result = cvxnn.solve_group_lasso(
            np.hstack(columns), y / 50, groups, alpha=0.05, fit_intercept=True, tol=1e-9
        )
        assert model.n_patterns_ == len(groups)
        assert model.objective_ == pytest.approx(result.primal, rel=1e-8)

    @pytest.mark.parametrize("fit_intercept", [False, True])
    def test_objective_is_that_of_the_network(self, regression, fit_intercept):
        X, y = regression
        options = {**AFTER, "fit_intercept": fit_intercept}
        model = cvxnn.ReLURegressor(0.05, **options).fit(X, y)
        normalised = model.batch_norm_
        scale = y.std()
        outputs = cvxnn.Network(
            [normalised.layers.coefs_[0], np.eye(normalised.layers.width)],
            [normalised.layers.intercepts_[0], np.zeros(normalised.layers.width)],
            activation="gated_relu",
            gates=normalised.layers.gates_,
            gate_intercepts=normalised.layers.gate_intercepts_,
        ).predict(X)
        np.testing.assert_allclose(outputs.mean(axis=0), normalised.running_mean, atol=1e-10)
        np.testing.assert_allclose(outputs.var(axis=0), normalised.running_var, rtol=1e-9)
        parts = (normalised.gamma, normalised.beta, normalised.layers.coefs_[1] / scale)
        value = 0.5 * np.mean((model.predict(X) - y) ** 2) / scale**2
        value += 0.025 * sum(np.sum(part**2) for part in parts)
        assert value == pytest.approx(model.objective_, rel=1e-9)
        # A free intercept is cheaper than shifts.
        assert (np.abs(normalised.beta).max() < 1e-9) == fit_intercept

    def test_classes_and_folding(self, classification):
        X, _ = classification
        labels = np.digitize(X[:, 0], np.quantile(X[:, 0], [0.3, 0.7]))
        for options in ({}, {"penalty": "nuclear"}):
            options = {**AFTER, **options, "tol": 1e-4, "bn_rank": 4}
            model = cvxnn.ReLUClassifier(0.03, **options).fit(X, labels)
            assert model.batch_norm_.placement == "after"
            scores = model.batch_norm_.network().predict(X)
            np.testing.assert_allclose(scores, model.decision_function(X), atol=1e-9)
            assert model.score(X, labels) > 0.8

    def test_torch_module_predicts_in_both_modes(self, regression):
        torch = pytest.importorskip("torch", reason="torch, several GB, is not in the extra test")
        X, y = regression
        model = cvxnn.ReLURegressor(0.05, **AFTER).fit(X, y)
        module, data = model.batch_norm_.to_torch(), torch.from_numpy(X)
        for mode in (module.eval(), module.train()):
            got = mode(data).detach().numpy()[:, 0]
            np.testing.assert_allclose(got, model.predict(X), rtol=1e-9)

    def test_weights_are_repeated_rows(self, regression):
        X, y = regression
        weight = np.arange(len(y)) % 3
        repeated = np.repeat(np.arange(len(y)), weight)
        one = cvxnn.ReLURegressor(**AFTER).fit(X, y, weight)
        two = cvxnn.ReLURegressor(**AFTER).fit(X[repeated], y[repeated])
        np.testing.assert_array_equal(one.coefs_[0], two.coefs_[0])

    def test_path_over_alphas(self, regression):
        X, y = regression
        options = {"batch_norm": "after", "n_patterns": 15, "n_threads": 1}
        model = cvxnn.ReLURegressorCV(n_alphas=4, eps=0.1, cv=3, **options).fit(X, y)
        same = cvxnn.ReLURegressor(model.alpha_, **options).fit(X, y)
        np.testing.assert_allclose(model.predict(X), same.predict(X))
        np.testing.assert_array_equal(model.batch_norm_.beta, same.batch_norm_.beta)

    @pytest.mark.parametrize("options", [{}, {"fit_intercept": False}, {"bn_rank": 3}])
    def test_relu_networks(self, regression, options):
        X, y = regression
        options = {**AFTER, "tol": 1e-6, "activation": "relu", **options}
        model = cvxnn.ReLURegressor(0.02, **options).fit(X, y)
        assert model.dual_gap_ <= 1e-6 * model.objective_
        parts, scale = model.batch_norm_, y.std()
        hidden = parts.layers.coefs_[0], parts.layers.intercepts_[0]
        outputs = np.maximum(X @ hidden[0] + hidden[1], 0.0)
        np.testing.assert_allclose(outputs.mean(axis=0), parts.running_mean, rtol=1e-8)
        np.testing.assert_allclose(outputs.var(axis=0), parts.running_var, rtol=1e-8)
        decayed = (parts.gamma, parts.beta, parts.layers.coefs_[1] / scale)
        value = 0.5 * np.mean((model.predict(X) - y) ** 2) / scale**2
        value += 0.01 * sum(np.sum(part**2) for part in decayed)
        assert value == pytest.approx(model.objective_, rel=1e-9)

    def test_relu_networks_of_several_outputs(self, classification):
        X, _ = classification
        labels = np.digitize(X[:, 0], np.quantile(X[:, 0], [0.3, 0.7]))
        options = {**AFTER, "activation": "relu", "tol": 1e-2, "penalty": "nuclear"}
        model = cvxnn.ReLUClassifier(0.02, **options).fit(X, labels)
        scores = model.batch_norm_.network().predict(X)
        np.testing.assert_allclose(scores, model.decision_function(X), atol=1e-9)
        assert model.score(X, labels) > 0.8
        assert not model.exact_

    def test_neurons_that_are_always_active(self, regression):
        X, _ = regression
        model = cvxnn.ReLURegressor(0.05, **{**AFTER, "activation": "relu"}).fit(
            X, X @ np.arange(10.0)
        )
        layers = model.batch_norm_.layers
        always = (X @ layers.coefs_[0] + layers.intercepts_[0] >= -1e-9).all(axis=0)
        assert always.all()  # of a linear function nothing else is left
        assert model.score(X, X @ np.arange(10.0)) > 0.99

    def test_single_precision(self, regression):
        X, y = regression
        options = {**AFTER, "tol": 1e-5, "activation": "relu"}
        one, two = (cvxnn.ReLURegressor(0.05, **options).fit(Z, y) for Z in (X, np.float32(X)))
        assert two.objective_ == pytest.approx(one.objective_, rel=1e-4)

    def test_patterns_that_do_not_span(self):
        X = np.abs(np.random.default_rng(3).standard_normal((9, 3)))
        X[1:, 0] *= -1.0
        options = {"standardize": False, "fit_intercept": False, "activation": "relu"}
        model = cvxnn.ReLURegressor(batch_norm="after", gates=[[1.0], [0.0], [0.0]], **options)
        message = r"^patterns must have one whose active samples span all, for batch_norm='after' w"
        with pytest.raises(ValueError, match=message):
            model.fit(X, X[:, 1])

    def test_no_adaptive_patterns(self, regression):
        message = r"^batch_norm='after' needs patterns='sample' or 'exact', got 'adaptive'$"
        options = {**AFTER, "activation": "relu", "patterns": "adaptive"}
        with pytest.raises(ValueError, match=message):
            cvxnn.ReLURegressor(**options).fit(*regression)


def images(n_axes):
    rng = np.random.default_rng(5)
    X = rng.standard_normal((40, 2, *(6,) * n_axes)) * 3.0 + 1.0
    return X, np.maximum(X[:, 0, 1:] - X[:, 1, :-1], 0).reshape(40, -1).mean(axis=1)


CONV = {"batch_norm": True, "kernel_size": 2, "n_patterns": 20, "n_threads": 1, "tol": 1e-9}


class TestConvolution:
    @pytest.mark.parametrize("n_axes", [1, 2])
    @pytest.mark.parametrize(
        "options",
        [
            {"activation": "relu"},
            {"activation": "relu", "pooling": "max"},
            {"pooling": ("mean", 2), "padding": 1},
            {"pooling": ("max", 2), "circular": True, "fit_intercept": False},
            {"stride": 2, "pooling": None, "bn_rank": 0.9},
        ],
    )
    def test_networks_and_modules_agree(self, n_axes, options):
        torch = pytest.importorskip("torch", reason="torch, several GB, is not in the extra test")
        X, y = images(n_axes)
        model = cvxnn.ConvReLURegressor(0.02, **{**CONV, "tol": 1e-4, **options}).fit(X, y)
        normalised = model.batch_norm_
        assert model.network_.width > 1
        module, data = normalised.to_torch(), torch.from_numpy(X)
        for mode in (module.eval(), module.train()):
            got = mode(data).detach().numpy()[:, 0]
            np.testing.assert_allclose(got, model.predict(X), atol=1e-9)
        np.testing.assert_allclose(
            normalised.network().predict(X), model.network_.predict(X), atol=1e-12
        )

    def test_objective_is_that_of_the_network(self):
        X, y = images(2)
        model = cvxnn.ConvReLURegressor(0.05, **CONV).fit(X, y)
        normalised, scale = model.batch_norm_, y.std()
        parts = (normalised.gamma, normalised.beta, normalised.layers.head_ / scale)
        residual = (model.predict(X) - y) / scale
        value = 0.5 * np.mean(residual**2) + 0.025 * sum(np.sum(part**2) for part in parts)
        assert value == pytest.approx(model.objective_, rel=1e-8)

    def test_weights_are_repeated_samples(self):
        X, y = images(1)
        weight = np.arange(len(y)) % 3
        repeated = np.repeat(np.arange(len(y)), weight)
        one = cvxnn.ConvReLURegressor(**CONV).fit(X, y, weight)
        two = cvxnn.ConvReLURegressor(**CONV).fit(X[repeated], y[repeated])
        np.testing.assert_array_equal(one.network_.filters_, two.network_.filters_)

    def test_scale_and_shift_of_inputs_do_not_matter(self):
        X, y = images(1)
        one, other = (cvxnn.ConvReLURegressor(0.02, **CONV).fit(Z, y) for Z in (X, 4 * X - 2))
        assert one.objective_ == pytest.approx(other.objective_, rel=1e-8)
        np.testing.assert_allclose(one.predict(X), other.predict(4 * X - 2), atol=1e-4)

    def test_classes(self):
        X, y = images(2)
        model = cvxnn.ConvReLUClassifier(0.001, **{**CONV, "tol": 1e-4}).fit(X, y > np.median(y))
        assert model.score(X, y > np.median(y)) > 0.9
        assert cvxnn.ConvReLURegressor(kernel_size=2).fit(X, y).batch_norm_ is None

    @pytest.mark.parametrize(
        ("options", "error", "message"),
        [
            ({"activation": "linear"}, ValueError, r"^batch_norm needs activation='gated_relu' or"),
            ({"batch_norm": "before"}, TypeError, r"^batch_norm must be a bool, got str$"),
            ({"bn_rank": 0}, ValueError, r"^bn_rank must be >= 1, got 0$"),
            ({"bn_rank": 2, "batch_norm": False}, ValueError, r"^bn_rank belongs to batch_norm"),
            ({"gates": np.ones((4, 3))}, ValueError, r"^gates must have shape .* = \(5, >= 1\)"),
        ],
    )
    def test_bad_parameters(self, options, error, message):
        with pytest.raises(error, match=message):
            cvxnn.ConvReLURegressor(**{**CONV, **options}).fit(*images(1))
