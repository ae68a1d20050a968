"""Certificates for networks from anywhere."""

import numpy as np
import pytest
from sklearn.neural_network import MLPRegressor

import cvxnn
from reference_cases import REFERENCE, SCALAR, case_data


@pytest.mark.parametrize(
    "name", ["A1_squared_0.1", "A2_squared_0.5", "A3_squared_0.1", "A2_logistic_0.1"]
)
def test_accepts_optimal_networks(name):
    case = SCALAR[name]
    X, y = case_data(case)
    alpha = case["beta"] / len(y)
    result = cvxnn.solve(
        X, y, "exact", activation="relu", loss=case["loss"], alpha=alpha, tol=1e-10
    )
    found = cvxnn.certify(result.network(), X, y, alpha, loss=case["loss"])
    assert found.status == "optimal"
    assert found.proof
    assert found.gap_rel <= 1e-6
    assert found.dual_norm_ratio == pytest.approx(1.0, abs=1e-4)
    assert len(y) * found.objective == pytest.approx(case["relu"], rel=1e-7)
    assert found.network is None


def test_rejects_a_smooth_stationary_point():
    case = REFERENCE["certificate_reject_smooth"]
    X, y = case_data(SCALAR["A2_squared_0.1"])
    alpha = 0.3 / len(y)
    net = cvxnn.Network(
        [np.array(case["net"]["u"]).T, np.array(case["net"]["a"])[:, None]], [np.zeros(2), [0.0]]
    )
    found = cvxnn.certify(net, X, y, alpha, improve=True)
    assert found.status == "stationary"
    assert found.proof
    assert len(y) * found.objective == pytest.approx(case["objective"], rel=1e-6)
    assert found.dual_norm_ratio == pytest.approx(case["max_dual_over_beta"], rel=1e-6)
    assert len(y) * found.lower_bound == pytest.approx(case["lower_bound"], rel=1e-6)
    # The direction that it names lowers the objective.
    grown = cvxnn.Network(
        [
            np.column_stack([net.coefs_[0], 1e-2 * found.neuron]),
            np.vstack([net.coefs_[1], [[1e-2 * found.sign]]]),
        ],
        [np.zeros(3), [0.0]],
    )
    assert grown.objective(X, y, alpha) < net.objective(X, y, alpha)
    assert found.network is not None
    better = found.network.objective(X, y, alpha)
    assert len(y) * better == pytest.approx(case["global_optimum"], rel=1e-5)


def test_rejects_a_clarke_stationary_point():
    case = REFERENCE["certificate_reject_clarke"]
    X, y = np.array(case["X"]), np.array(case["y"])
    alpha = case["beta"] / 2
    net = cvxnn.Network([[[1.0], [0.0]], [[1.0]]], [[0.0], [0.0]])
    found = cvxnn.certify(net, X, y, alpha, improve=True)
    assert found.status == "stationary"
    assert 2 * found.objective == pytest.approx(case["objective"])
    assert found.dual_norm_ratio == pytest.approx(case["max_dual_over_beta"])
    assert 2 * found.lower_bound == pytest.approx(case["lower_bound"])
    assert found.network is not None
    assert 2 * found.network.objective(X, y, alpha) == pytest.approx(
        case["global_optimum"], rel=1e-5
    )


def test_a_network_that_is_not_trained_is_improvable():
    X, y = case_data(SCALAR["A2_squared_0.1"])
    rng = np.random.default_rng(0)
    net = cvxnn.Network(
        [rng.standard_normal((3, 4)), rng.standard_normal((4, 1))], [np.zeros(4), [0.0]]
    )
    found = cvxnn.certify(net, X, y, 0.01)
    assert found.status == "improvable"
    assert found.objective <= net.objective(X, y, 0.01)  # balanced
    assert np.array_equal(found.pattern, X @ found.neuron > 1e-9)


# What a scaling by 1 - s adds to the objective is of order s^2, to the residual of order s.
@pytest.mark.parametrize("seed", [0, 1, 3])
def test_accepts_networks_that_are_optimal_to_a_loose_gap(seed):
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(30, 4)), rng.normal(size=30)
    result = cvxnn.solve(X, y, "adaptive", activation="relu", alpha=0.01, tol=1e-7)
    exact = result.network()
    network = cvxnn.Network([(1 - 5e-5) * W for W in exact.coefs_], exact.intercepts_)
    found = cvxnn.certify(network, X, y, 0.01)
    assert found.proof
    assert found.status == "optimal"
    assert found.gap_rel <= 1e-6
    assert found.dual_norm_ratio > 1.0 + 1e-5
    best = cvxnn.solve(X, y, "exact", activation="relu", alpha=0.01, tol=1e-7)
    assert found.lower_bound <= best.primal


def test_methods_order_their_bounds():
    case = SCALAR["A2_squared_0.1"]
    X, y = case_data(case)
    alpha = case["beta"] / len(y)
    net = cvxnn.Network([np.zeros((3, 0)), np.zeros((0, 1))], [np.zeros(0), [0.0]])
    bound, exact, search = (
        cvxnn.certify(net, X, y, alpha, method=method) for method in ("bound", "exact", "search")
    )
    assert bound.proof
    assert exact.proof
    assert not search.proof
    assert bound.lower_bound <= exact.lower_bound <= search.lower_bound * (1 + 1e-12)
    assert len(y) * exact.lower_bound <= case["relu"]
    assert search.dual_norm_ratio == pytest.approx(exact.dual_norm_ratio, rel=1e-9)
    assert len(y) * alpha * exact.dual_norm_ratio == pytest.approx(case["beta_max_relu"], rel=1e-8)


def test_networks_of_other_libraries():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 3))
    y = np.abs(X[:, 0])
    mlp = MLPRegressor(hidden_layer_sizes=(5,), alpha=1e-2, max_iter=50, random_state=0)
    with pytest.warns(Warning, match="reached"):
        mlp.fit(X, y)
    state = {
        "0.weight": mlp.coefs_[0].T,
        "0.bias": mlp.intercepts_[0],
        "2.weight": mlp.coefs_[1].T,
        "2.bias": mlp.intercepts_[1],
    }
    first, second = (cvxnn.certify(net, X, y, 1e-2, improve=True) for net in (mlp, state))
    assert first.objective == second.objective
    assert first.status == "improvable"
    net = cvxnn.Network(mlp.coefs_, mlp.intercepts_)
    assert first.network is not None
    assert first.network.objective(X, y, 1e-2) < net.objective(X, y, 1e-2)
    assert first.network.n_features_in_ == 3


def test_data_so_small_that_weights_are_huge():
    X = 1e-300 * np.random.default_rng(0).standard_normal((8, 2))
    network = cvxnn.Network([np.eye(2), np.ones((2, 1))], [np.zeros(2), [0.0]])
    found = cvxnn.certify(network, X, np.sign(X[:, 0]), alpha=0.1, improve=True)
    assert found.status == "improvable"
    assert found.lower_bound == pytest.approx(0.5)
    assert found.network.width == 0


@pytest.mark.parametrize(
    ("hidden", "output"), [([[1e90]], [[1e90]]), ([[1e200, 1e200]], [[1e200], [-1e200]])]
)
@pytest.mark.parametrize("method", ["auto", "exact", "bound", "search"])
def test_objectives_that_are_not_finite(hidden, output, method):
    network = cvxnn.Network([hidden, output], [np.zeros(len(output)), [0.0]])
    with pytest.raises(ValueError, match=r"^network must have a finite objective on X and y"):
        cvxnn.certify(network, [[1.0], [2.0]], [1.0, 0.0], 0.1, method=method)


def test_bad_input():
    X, y = np.eye(3), np.ones(3)
    net = cvxnn.Network([np.ones((3, 1)), np.ones((1, 1))], [[0.0], [0.0]])
    gated = cvxnn.Network(
        net.coefs_, net.intercepts_, activation="gated_relu", gates=np.ones((3, 1))
    )
    with pytest.raises(ValueError, match="ReLU network with one output"):
        cvxnn.certify(gated, X, y, 0.1)
    with pytest.raises(TypeError, match="network must be"):
        cvxnn.certify("net", X, y, 0.1)
    with pytest.raises(ValueError, match="two linear layers"):
        cvxnn.certify({"weight": np.ones((1, 3))}, X, y, 0.1)
    with pytest.raises(ValueError, match="alpha must be positive"):
        cvxnn.certify(net, X, y, 0.0)
    with pytest.raises(ValueError, match="method must be one of"):
        cvxnn.certify(net, X, y, 0.1, method="guess")
    with pytest.raises(ValueError, match="features"):
        cvxnn.certify(net, np.eye(4), np.ones(4), 0.1)


def test_refuses_a_loss_with_kinks():
    network = cvxnn.Network([np.ones((2, 1)), [[1.0]]], [[0.0], [0.0]])
    with pytest.raises(ValueError, match=r"^loss must be smooth, got 'hinge'"):
        cvxnn.certify(network, np.eye(2), [1.0, -1.0], 0.1, loss="hinge")
