"""Optimum values of convolutional networks, from interior point methods.

Each fit is also compared with the objective of the network that it leaves behind, and with the
decay and outputs that the network has by direct formulas where the library uses others.
"""

import numpy as np
import pytest
from scipy.linalg import circulant
from scipy.optimize import minimize

import cvxnn
from reference_cases import ARCHITECTURES, architecture_arrays

AS_THEY_ARE = {"fit_intercept": False, "standardize": False}


def signals(name, target="y"):
    """Return one-channel signals and targets of a case."""
    arrays = architecture_arrays(name)
    return arrays["X"][:, None], arrays[target]


def all_gates(X, size, *, differences=False):
    """Return a gate for each pattern of patches of signals, or of their differences too."""
    patches = np.lib.stride_tricks.sliding_window_view(X[:, 0], size, axis=1)
    first, second = np.triu_indices(patches.shape[1], k=1)
    between = (patches[:, first] - patches[:, second]).reshape(-1, size)
    rows = patches.reshape(-1, size)
    seen = np.concatenate([rows, between]) if differences else rows
    return cvxnn.enumerate_patterns(seen).gates


def fitted(X, y, beta, *, tol=1e-9, **options):
    """Fit at the strength of the file, which sums losses where the library averages them."""
    model = cvxnn.ConvReLURegressor(beta / len(y), tol=tol, **AS_THEY_ARE, **options)
    return model.fit(X, y)


def check(model, X, y, optimum, *, loss="squared", rel=1e-7):
    n = len(X)
    assert n * model.objective_ == pytest.approx(optimum, rel=rel)
    assert n * model.lower_bound_ == pytest.approx(optimum, rel=rel)
    objective = model.network_.objective(X, y, model.alpha, loss=loss)
    assert objective == pytest.approx(model.objective_, rel=1e-9)


def test_mean_of_relu_maps():
    case = ARCHITECTURES["cnn_gap_relu_scalar"]
    X, y = signals("cnn_gap_relu_scalar")
    gates, beta = all_gates(X, 2), case["params"]["beta"]
    relu = fitted(X, y, beta, activation="relu", kernel_size=2, gates=gates)
    assert relu.n_patterns_ == case["n_arrangements"]
    check(relu, X, y, case["convex_optimum"])
    gated = fitted(X, y, beta, kernel_size=2, gates=gates)
    check(gated, X, y, case["gated_all_arrangements_unconstrained"])
    empty, some = (
        fitted(
            X, y, share * case["beta_max_mean_pool"], activation="relu", kernel_size=2, gates=gates
        )
        for share in (1.000001, 0.999)
    )
    assert empty.network_.width == 0
    assert some.network_.width > 0


def test_sum_of_relu_maps():
    # The mean of patches that are three times as large, at filters of the same decay.
    case = ARCHITECTURES["cnn_gap_relu_scalar"]
    X, y = signals("cnn_gap_relu_scalar")
    model = fitted(3 * X, y, 0.1, activation="relu", kernel_size=2, gates=all_gates(X, 2))
    check(model, 3 * X, y, case["sum_pooling_optimum"])


def test_max_of_relu_maps():
    case = ARCHITECTURES["cnn_maxpool_relu_scalar"]
    X, y = signals("cnn_maxpool_relu_scalar")
    options = {"kernel_size": 2, "pooling": "max", "gates": all_gates(X, 2, differences=True)}
    relu = fitted(X, y, 0.1, activation="relu", **options)
    check(relu, X, y, case["convex_optimum"])
    gated = fitted(X, y, 0.1, **options)
    assert gated.n_patterns_ == relu.n_patterns_ == case["n_patterns"]
    check(gated, X, y, case["same_patterns_without_constraints"])


def descended(X, y, beta, pooling, seed, width=12):
    """Return the objective that descent on a ReLU network reaches from a random start."""
    patches = np.lib.stride_tricks.sliding_window_view(X[:, 0], 2, axis=1)
    k, h = patches.shape[1:]

    def objective(parameters):
        filters, head = parameters[: width * h].reshape(width, h), parameters[width * h :]
        maps = patches @ filters.T
        if pooling == "mean":
            slopes = (maps > 0) / k
        else:
            slopes = (maps == maps.max(axis=1, keepdims=True)) & (maps > 0)
        pooled = (slopes * maps).sum(axis=1)
        residual = pooled @ head - y
        value = 0.5 * residual @ residual + 0.5 * beta * parameters @ parameters
        to_filters = np.einsum("i,j,ikj,ikh->jh", residual, head, slopes, patches)
        slope = np.concatenate([to_filters.ravel(), pooled.T @ residual])
        return value, slope + beta * parameters

    start = 0.5 * np.random.default_rng(seed).standard_normal(width * (h + 1))
    return minimize(objective, start, jac=True, method="L-BFGS-B").fun


@pytest.mark.parametrize(
    ("name", "pooling"), [("cnn_gap_relu_scalar", "mean"), ("cnn_maxpool_relu_scalar", "max")]
)
def test_descent_comes_down_to_the_optimum_and_no_lower(name, pooling):
    optimum = ARCHITECTURES[name]["convex_optimum"]
    values = [descended(*signals(name), 0.1, pooling, seed) for seed in range(20)]
    assert min(values) >= optimum * (1 - 1e-7)
    assert min(values) <= optimum * (1 + 1e-3)


def test_several_outputs_share_filters():
    case = ARCHITECTURES["cnn_gap_vector"]
    X, Y = signals("cnn_gap_vector", "Y")
    gates = architecture_arrays("cnn_gap_vector")["G"]
    model = fitted(X, Y, 0.2, kernel_size=2, gates=gates, penalty="nuclear")
    check(model, X, Y, case["gated6_nuclear_optimum"])
    largest = fitted(
        X, Y, 1.000001 * case["gated6_beta_max"], kernel_size=2, gates=gates, penalty="nuclear"
    )
    assert largest.network_.width == 0


@pytest.mark.parametrize(
    ("pooling", "several", "optimum"),
    [("mean", True, 2.28058863), (None, False, 0.2922655), (("max", 1), False, 0.2922655)],
    ids=["outputs", "positions", "windows of one"],
)
def test_relu_filters_with_several_outputs_or_positions(pooling, several, optimum):
    X, Y = signals("cnn_gap_vector", "Y")
    y = Y if several else Y[:, 0]
    options = {"kernel_size": 2, "gates": all_gates(X, 2), "pooling": pooling}
    model = fitted(X, y, 0.2, tol=1e-5, activation="relu", penalty="nuclear", **options)
    check(model, X, y, optimum, rel=2e-5)
    assert model.exact_


def test_dense_head():
    case = ARCHITECTURES["cnn_dense_head_scalar"]
    X, y = signals("cnn_dense_head_scalar")
    gates = architecture_arrays("cnn_dense_head_scalar")["G"]
    model = fitted(X, y, 0.2, kernel_size=2, gates=gates, pooling=None)
    check(model, X, y, case["gated6_nuclear_optimum"])


def test_linear_filters():
    case = ARCHITECTURES["cnn_linear_dense_head"]
    X, y = signals("cnn_linear_dense_head")
    model = fitted(X, y, 0.1, activation="linear", kernel_size=2, pooling=None)
    check(model, X, y, case["convex_optimum"])
    assert model.network_.width == sum(value > 0 for value in case["singular_values"])


def test_circular_linear_filters():
    case = ARCHITECTURES["cnn_circular_linear"]
    X, y = signals("cnn_circular_linear")
    model = fitted(X, y, 0.1, activation="linear", kernel_size=4, circular=True, pooling=None)
    check(model, X, y, case["convex_optimum"])
    network = model.network_
    assert network.width == 1
    image = np.fft.ifft(
        np.fft.fft(network.filters_[0, 0]) * np.fft.fft(network.head_[0, :, 0])
    ).real
    np.testing.assert_allclose(image, case["v"], atol=1e-5)
    lengths = np.abs(np.fft.fft(image, norm="ortho"))
    np.testing.assert_allclose(lengths, case["abs_Fv"], atol=1e-5)


@pytest.mark.parametrize(
    ("key", "factor"),
    [("optimum_unit_l2_filter", 1.0), ("optimum_unit_frobenius_circulant", 2.0)],
)
def test_circular_filters_before_relu(key, factor):
    # The circulant matrix of a filter of four entries has twice its norm.
    case = ARCHITECTURES["cnn_circular_relu"]
    X, y = signals("cnn_circular_relu")
    alpha = factor * case["params"]["beta"] / 5
    result = cvxnn.solve_circular(X, y, alpha=alpha, tol=2e-7)
    assert result.patterns.n_patterns == case["n_arrangements"]
    assert 5 * result.primal == pytest.approx(case[key], rel=1e-6)
    assert 5 * result.dual == pytest.approx(case[key], rel=1e-6)
    filters, hidden, output = result.layers()
    images = [circulant(u[0]) @ w for u, w in zip(filters, hidden, strict=True)]
    fit = np.maximum(X[:, 0] @ np.transpose(images), 0.0) @ output
    decay = np.sum(hidden**2) + np.sum(output**2)
    value = 0.5 * np.mean((fit - y) ** 2) + 0.5 * alpha * decay
    assert value == pytest.approx(result.primal, rel=1e-12)
    np.testing.assert_allclose(np.linalg.norm(filters, axis=(1, 2)), 1.0)


def test_two_layers_of_relu_neurons():
    case = ARCHITECTURES["cnn_three_layer_two_relu"]
    arrays = architecture_arrays("cnn_three_layer_two_relu")
    X, y, alpha = arrays["Xp"], arrays["y"], case["params"]["beta"] / 3
    result = cvxnn.solve_three_layer(X, y, alpha=alpha, tol=1e-9)
    assert result.complete
    assert 3 * result.primal == pytest.approx(case["unshared_frobenius_optimum"], abs=5e-7)
    assert 3 * result.dual == pytest.approx(case["unshared_nonconvex_best"], abs=5e-7)
    filters, hidden, output = result.layers()
    maps = np.maximum(np.einsum("ikh,jkh->ijk", X, filters), 0.0)
    fit = np.maximum((maps * hidden).sum(axis=2), 0.0) @ output
    decay = np.sum(hidden**2) + np.sum(output**2)
    value = 0.5 * np.mean((fit - y) ** 2) + 0.5 * alpha * decay
    assert value == pytest.approx(result.primal, rel=1e-10)


def test_two_layers_of_relu_neurons_with_shared_filters():
    case = ARCHITECTURES["cnn_three_layer_two_relu"]
    arrays = architecture_arrays("cnn_three_layer_two_relu")
    X, y, alpha = arrays["Xp"], arrays["y"], case["params"]["beta"] / 3
    result = cvxnn.solve_three_layer(X, y, alpha=alpha, shared=True, tol=1e-8)
    assert result.status == "optimal"
    assert 3 * result.primal == pytest.approx(case["shared_nonconvex_best"], abs=5e-7)
    bound = case["shared_constrained_nuclear_lower_bound"]
    assert 3 * result.dual == pytest.approx(bound, abs=5e-7)
    # Filters of their own on the same patterns are a relaxation.
    assert 3 * result.dual > case["shared_frobenius_program"]
    filters, hidden, output = result.layers()
    np.testing.assert_allclose(np.linalg.norm(filters, axis=1), 1.0)
    maps = np.maximum(np.einsum("ikh,jh->ijk", X, filters), 0.0)
    fit = np.maximum((maps * hidden).sum(axis=2), 0.0) @ output
    decay = np.sum(hidden**2) + np.sum(output**2)
    value = 0.5 * np.mean((fit - y) ** 2) + 0.5 * alpha * decay
    assert value == pytest.approx(result.primal, rel=1e-9)


@pytest.mark.parametrize("name", ["gap", "pool2x2"])
def test_images_of_three_classes(name):
    case = ARCHITECTURES["cnn_gated_medium"][name]
    arrays = architecture_arrays("cnn_gated_medium")
    X, Y = arrays["X"], arrays["Y"]
    pooling = "mean" if name == "gap" else ("mean", 2)
    options = {"gates": arrays["G"], "penalty": "nuclear", "pooling": pooling}
    model = fitted(X, Y, case["beta"], **options)
    check(model, X, Y, case["cvx"], rel=1e-8)
    hits = model.predict(X).argmax(axis=1) == arrays["labels"]
    assert hits.mean() == pytest.approx(case["acc_train"])
    empty, some = (fitted(X, Y, share * case["beta_max"], **options) for share in (1 + 1e-7, 0.999))
    assert empty.network_.width == 0
    assert some.network_.width > 0


def test_softmax_of_images():
    case = ARCHITECTURES["cnn_gated_medium_softmax"]
    arrays = architecture_arrays("cnn_gated_medium_softmax")
    X, labels, n = arrays["X"], arrays["labels"], len(arrays["X"])
    model = cvxnn.ConvReLUClassifier(
        0.1 * case["beta_max"] / n, loss="softmax", gates=arrays["G"], tol=1e-9, **AS_THEY_ARE
    ).fit(X, labels)
    check(model, X, arrays["Y"], case["optimum"], loss="softmax")


@pytest.mark.parametrize("shape", [(1, 5), (2, 4), (1, 3, 4), (2, 4, 3)])
def test_program_of_frequencies_is_that_of_the_filters(shape):
    # With a joint penalty the same network is fitted as filters of any kind are.
    rng = np.random.default_rng(5)
    X, y = rng.standard_normal((12, *shape)), rng.standard_normal(12)
    options = {"activation": "linear", "kernel_size": shape[1:], "circular": True, "pooling": None}
    fast = fitted(X, y, 0.8, **options)
    slow = fitted(X, y, 0.8, penalty="nuclear", **options)
    assert fast.n_patterns_ > slow.n_patterns_ == 1
    check(fast, X, y, 12 * slow.objective_)
    np.testing.assert_allclose(fast.predict(X), slow.predict(X), atol=1e-4)
