"""Optimum values of networks with batch normalisation, from interior point methods and restarts.

The file normalises to norm one and sums losses: its beta is ``sqrt(n) * alpha``, where the library
normalises to variance one. For the same normalisation it is ``n * alpha``.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

import cvxnn
from cvxnn._whitening import Whitener

_FILE = Path(__file__).parents[1] / "data" / "cnn_bn_attention.json"
REFERENCE = json.loads(_FILE.read_text())
CASES = {case["id"]: case for case in REFERENCE["cases"]}
AS_THEY_ARE = {"fit_intercept": False, "standardize": False}


def case_arrays(name):
    """Return the arrays of a case by their names, from its line of code."""
    arrays = {"np": np}
    exec(CASES[name]["gen"], arrays)
    return arrays


def fitted(X, y, alpha, *, activation="relu", tol=1e-10, **options):
    model = cvxnn.ReLURegressor(
        alpha,
        activation=activation,
        patterns="exact",
        tol=tol,
        **AS_THEY_ARE,
        **{"batch_norm": True, **options},
    )
    return model.fit(X, y)


def network_objective(network, normalised, X, y, alpha):
    """The objective of a network, by its outputs and its decay of scales, shifts and outputs."""
    decay = sum(
        np.sum(part**2) for part in (normalised.gamma, normalised.beta, normalised.layers.coefs_[1])
    )
    return 0.5 * np.sum((network.predict(X) - y) ** 2) / len(X) + 0.5 * alpha * decay


@pytest.mark.parametrize(
    ("key", "power", "rank", "n_patterns"),
    [
        ("convex_optimum", 0.5, None, 32),
        ("torch_convention_optimum", 1.0, None, 32),
        ("truncated_k1_optimum", 0.5, 1, 12),
    ],
)
def test_scalar(key, power, rank, n_patterns):
    case, arrays = CASES["bn_scalar"], case_arrays("bn_scalar")
    X, y = arrays["X"], arrays["y"]
    alpha = case["params"]["beta"] / 6**power
    model = fitted(X, y, alpha, bn_rank=rank)
    assert model.n_patterns_ == n_patterns
    assert 6 * model.objective_ == pytest.approx(case[key], rel=1e-8)
    assert model.dual_gap_ <= 1e-9 * model.objective_
    recovered = network_objective(model.network_, model.batch_norm_, X, y, alpha)
    assert recovered == pytest.approx(model.objective_, rel=1e-9)


@pytest.mark.parametrize(
    ("activation", "key", "tol", "rel"),
    [
        ("gated_relu", "gated_all_nuclear", 1e-10, 1e-6),
        ("relu", "constrained_nuclear_lower_bound", 1e-5, 2e-5),
    ],
)
def test_several_outputs(activation, key, tol, rel):
    case, arrays = CASES["bn_vector"], case_arrays("bn_vector")
    X, Y = arrays["X"], arrays["Y"]
    alpha = case["params"]["beta"] / 5**0.5
    model = fitted(X, Y, alpha, activation=activation, penalty="nuclear", tol=tol)
    assert model.n_patterns_ == case["n_arrangements"]
    assert 5 * model.objective_ == pytest.approx(case[key], rel=rel)
    assert 5 * model.lower_bound_ == pytest.approx(case[key], rel=rel)
    recovered = network_objective(model.network_, model.batch_norm_, X, Y, alpha)
    assert recovered == pytest.approx(model.objective_, rel=1e-8)


def normal_outputs(X, weights):
    """What ReLU neurons put out, to mean zero and variance one; zeros of those that are off."""
    outputs = np.maximum(X @ weights, 0.0)
    centred = outputs - outputs.mean(axis=0)
    deviation = outputs.std(axis=0)
    return np.divide(centred, deviation, out=np.zeros_like(centred), where=deviation > 1e-9)


def after_objective(model, X, y):
    """The objective of a network that is normalised after its ReLU, from its weights alone."""
    parts = model.batch_norm_
    neurons = parts.gamma * normal_outputs(X, parts.layers.coefs_[0]) + parts.beta
    fit = (neurons @ parts.layers.coefs_[1]).reshape(y.shape)
    np.testing.assert_allclose(fit, model.predict(X), atol=1e-12)
    decay = sum(np.sum(p**2) for p in (parts.gamma, parts.beta, parts.layers.coefs_[1]))
    return 0.5 * np.sum((fit - y) ** 2) / len(y) + 0.5 * model.alpha * decay


def test_after_relu():
    case, arrays = CASES["bn_after_relu"], case_arrays("bn_after_relu")
    X, y, alpha = arrays["X"], arrays["y"], case["params"]["beta"] / 6**0.5
    model = fitted(X, y, alpha, batch_norm="after")
    assert 6 * model.objective_ == pytest.approx(case["convex_optimum"], abs=1e-8)
    assert 6 * model.lower_bound_ == pytest.approx(case["convex_optimum"], abs=1e-8)
    assert after_objective(model, X, y) == pytest.approx(model.objective_, rel=1e-10)


@pytest.mark.parametrize(
    ("name", "beta", "inputs", "targets"),
    [
        ("bn_highdim_scalar", 0.1, "X", "y"),
        ("bn_highdim_scalar", 1.0, "X", "y"),
        ("bn_n_equals_d_plus_1", 0.2, "X", "y"),
        ("bn_highdim_onehot", 0.3, "X", "Y"),
        ("bn_highdim_onehot", 1.2, "X", "Y"),
        ("bn_deep_last_two_layers", 0.3, "A", "Y"),
        ("bn_highdim_rowdisjoint", 0.25, "X", "Y"),
    ],
)
def test_closed_form(name, beta, inputs, targets):
    case, arrays = CASES[name], case_arrays(name)
    X, y = arrays[inputs], arrays[targets]
    n, alpha = len(X), beta / len(X) ** 0.5
    wanted = case["closed_form"] if "closed_form" in case else case["beta"][str(beta)]
    wanted = wanted["closed_form"] if isinstance(wanted, dict) else wanted
    optimum = cvxnn.batch_norm_closed_form(X, y, alpha)
    assert n * optimum.objective == pytest.approx(wanted, abs=1e-8)
    recovered = network_objective(optimum.network, optimum.normalised, X, y, alpha)
    assert recovered == pytest.approx(optimum.objective, rel=1e-10)
    solved = fitted(X, y, alpha)
    assert solved.objective_ == pytest.approx(optimum.objective, rel=1e-8)
    np.testing.assert_allclose(solved.predict(X), optimum.network.predict(X), atol=1e-4)


def test_all_activations_of_data_of_full_rank():
    arrays = case_arrays("bn_highdim_scalar")
    X, y = arrays["X"], arrays["y"]
    model = fitted(X, y, 0.05)
    assert model.n_patterns_ == CASES["bn_highdim_scalar"]["n_arrangements"]
    optimum = cvxnn.batch_norm_closed_form(X, y, 0.5)  # beta = 1, above the norm of one part
    assert optimum.network.width == 1


def test_general_targets_have_no_closed_form():
    case, arrays = CASES["bn_highdim_general_Y"], case_arrays("bn_highdim_general_Y")
    X, Y, alpha = arrays["X"], arrays["Y"], case["params"]["beta"] / 5**0.5
    with pytest.raises(ValueError, match=r"^y must have at most one non-zero entry in each row"):
        cvxnn.batch_norm_closed_form(X, Y, alpha)
    by_column = sum(cvxnn.batch_norm_closed_form(X, y, alpha).objective for y in Y.T)
    assert 5 * by_column == pytest.approx(case["columnwise_formula_upper_bound"], abs=1e-8)
    assert 5 * by_column > case["nonconvex_best"] * 1.03


def test_convolution_with_global_pooling():
    case, arrays = CASES["bn_conv_gap"], case_arrays("bn_conv_gap")
    size, X, y = case["params"]["h"], arrays["X"], arrays["y"]
    rows = np.lib.stride_tricks.sliding_window_view(X, size, axis=1).reshape(-1, size)
    seen = Whitener(rows, np.ones(len(rows))).transform(rows, constant_column=True)
    patterns = cvxnn.enumerate_patterns(seen)
    # The file sums losses and normalises to norm one over samples and positions.
    alpha = case["params"]["beta"] / len(X) * len(rows) ** 0.5
    model = cvxnn.ConvReLURegressor(
        alpha,
        kernel_size=size,
        activation="relu",
        batch_norm=True,
        gates=patterns.gates,
        tol=1e-10,
        **AS_THEY_ARE,
    ).fit(X[:, None], y)
    assert patterns.n_patterns == case["n_arrangements"]
    assert model.n_patterns_ == patterns.n_patterns - 1  # without the one that is never active
    assert len(X) * model.objective_ == pytest.approx(case["convex_optimum"], rel=1e-8)
    normalised, residual = model.batch_norm_, model.predict(X[:, None]) - y
    parts = (normalised.gamma, normalised.beta, normalised.layers.head_)
    decay = sum(np.sum(part**2) for part in parts)
    recovered = 0.5 * np.mean(residual**2) + 0.5 * alpha * decay
    assert recovered == pytest.approx(model.objective_, rel=1e-9)


@pytest.mark.parametrize("row", [0, 3, 7], ids=lambda row: f"row {row}")
def test_truncation_on_digits(row):
    case = REFERENCE["digits"]["bn_truncation"][row]
    rank = case["k"]
    X, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(X))
    train, test = order[:300], order[1000:]
    X, Y = X / 16, np.eye(10)[labels]
    gates = np.random.default_rng(100 + rank).standard_normal((rank + 1, 60))
    seen = Whitener(X[train], np.ones(300), rank=rank).transform(X[train], constant_column=True)
    patterns = cvxnn.activation_patterns(seen, gates)
    largest = cvxnn.alpha_max(seen, Y[train], patterns, penalty="nuclear")
    model = cvxnn.ReLURegressor(
        0.1 * largest,
        activation="gated_relu",
        penalty="nuclear",
        gates=gates,
        batch_norm=True,
        bn_rank=rank,
        tol=1e-5,
        **AS_THEY_ARE,
    ).fit(X[train], Y[train])
    assert 300 * model.objective_ == pytest.approx(case["P"], rel=2e-5)
    for key, rows in (("train", train), ("test", test)):
        right = np.mean(model.predict(X[rows]).argmax(axis=1) == labels[rows])
        assert right == pytest.approx(case[key], abs=1e-4)


def test_closed_form_on_digits():
    case = REFERENCE["digits"]["bn_closed_form_n50"]
    X, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(X))
    train, test = order[:50], order[1000:]
    Y = np.eye(10)[labels[train]]
    optimum = cvxnn.batch_norm_closed_form(X[train] / 16, Y, case["beta"] / 50**0.5)
    assert 50 * optimum.objective == pytest.approx(case["closed_form"], abs=1e-7)
    right = np.mean(optimum.network.predict(X[test] / 16).argmax(axis=1) == labels[test])
    assert right == pytest.approx(case["test"], abs=1e-4)
