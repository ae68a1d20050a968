"""Pruning, canonical forms, and the set of all optima."""

from dataclasses import replace

import numpy as np
import pytest

import cvxnn
from reference_cases import SCALAR, case_data

PRUNED = [name for name, case in SCALAR.items() if case["loss"] == "squared" and "rank" in case]


def solved(name):
    case = SCALAR[name]
    X, y = case_data(case)
    alpha = case["beta"] / len(y)
    result = cvxnn.solve(X, y, "exact", activation="relu", alpha=alpha, tol=1e-11, max_iter=200)
    return case, X, y, result


@pytest.mark.parametrize("name", PRUNED)
@pytest.mark.filterwarnings("ignore::cvxnn.ConvergenceWarning")
def test_optimal_networks_and_their_minimal_forms(name):
    case, X, y, result = solved(name)
    optima = cvxnn.optimal_set(result, X)
    assert optima.rank == case["rank"]
    if "distinct_rays" in case:
        assert optima.n_rays == case["distinct_rays"]
        assert optima.is_unique == (case["distinct_rays"] == case["rank"])
    dense = optima.network(optima.min_norm())
    for net in (dense, optima.network(optima.select(np.arange(optima.n_rays, dtype=float)))):
        assert net.objective(X, y, result.alpha) == pytest.approx(result.primal, rel=1e-6)
        assert net.predict(X) == pytest.approx(optima.fit, abs=1e-5)
    small = cvxnn.prune(dense, X, rtol=1e-7)
    assert small.width == case["m_after_prune"]
    assert small.objective(X, y, result.alpha) == pytest.approx(result.primal, rel=1e-6)


def random_network():
    rng = np.random.default_rng(70)
    X, y = rng.standard_normal((10, 3)), rng.standard_normal(10)
    net = cvxnn.Network(
        [rng.standard_normal((25, 3)).T, rng.standard_normal(25)[:, None]], [np.zeros(25), [0.0]]
    )
    return X, y, net


@pytest.mark.parametrize("activation", ["relu", "gated_relu"])
def test_pruned_solutions_are_no_wider_than_the_rank(activation):
    for seed in range(12):
        rng = np.random.default_rng(seed)
        X, y = rng.standard_normal((8, 2)), rng.standard_normal(8)
        alpha = 0.03 * cvxnn.alpha_max(X, y, "exact", activation=activation)
        result = cvxnn.solve(X, y, "exact", activation=activation, alpha=alpha, tol=1e-11)
        small = cvxnn.prune(result.network(), X)
        assert small.width <= cvxnn.optimal_set(result, X).rank
        assert small.predict(X) == pytest.approx(result.network().predict(X), abs=3e-6)
        assert small.objective(X, y, alpha) == pytest.approx(result.primal, rel=1e-10)


@pytest.mark.parametrize("exponent", [-170, 155, 200])
def test_weights_whose_squares_have_no_room(exponent):
    size = 10.0**exponent
    net = cvxnn.Network([[[2 * size, size]], [[1 / size], [2 / size]]], [np.zeros(2), [0.0]])
    for small in (cvxnn.canonical_form(net), cvxnn.prune(net, [[1.0], [2.0], [-1.0]])):
        assert small.width == 1
        assert small.coefs_[0] == pytest.approx(2.0)
        assert small.predict([[1.0]]) == pytest.approx(4.0)


def test_pruning_any_network_keeps_predictions_and_does_not_raise_the_objective():
    X, y, net = random_network()
    small = cvxnn.prune(net, X)
    assert small.width == 10
    assert small.predict(X) == pytest.approx(net.predict(X), abs=1e-11)
    assert small.objective(X, y, 0.03) <= cvxnn.canonical_form(net).objective(X, y, 0.03)
    assert np.linalg.norm(small.coefs_[0], axis=0) == pytest.approx(np.abs(small.coefs_[1][:, 0]))
    assert cvxnn.prune(small, X).width == 10


def test_pruning_several_outputs_and_gated_neurons():
    rng = np.random.default_rng(1)
    X = rng.standard_normal((4, 3))
    net = cvxnn.Network(
        [rng.standard_normal((3, 30)), rng.standard_normal((30, 2))],
        [rng.standard_normal(30), rng.standard_normal(2)],
        activation="gated_relu",
        gates=rng.standard_normal((3, 30)),
        skip=rng.standard_normal((3, 2)),
    )
    small = cvxnn.prune(net, X)
    assert small.width <= 8
    assert small.predict(X) == pytest.approx(net.predict(X), abs=1e-10)


def test_neurons_without_effect_go():
    net = cvxnn.Network([[[1.0, -1.0]], [[2.0], [3.0]]], [[0.0, 0.0], [1.0]])
    assert cvxnn.prune(net, [[1.0], [2.0]]).width == 1
    assert cvxnn.prune(net, [[0.0]]).width == 0


def test_canonical_form_ignores_splits_scales_and_order():
    X, y, net = random_network()
    hidden, output = net.coefs_
    order = np.random.default_rng(0).permutation(25)
    split = cvxnn.Network(
        [
            np.hstack([0.3 * hidden, 5.0 * hidden])[:, np.r_[order, 25 + order]],
            np.vstack([output, 0.14 * output])[np.r_[order, 25 + order]],
        ],
        [np.zeros(50), [0.0]],
    )
    one, two = cvxnn.canonical_form(net), cvxnn.canonical_form(split)
    assert one.width == two.width == 25
    assert two.coefs_[0] == pytest.approx(one.coefs_[0], rel=1e-9)
    assert two.coefs_[1] == pytest.approx(one.coefs_[1], rel=1e-9)
    assert one.predict(X) == pytest.approx(net.predict(X), abs=1e-11)
    assert one.objective(X, y, 0.1) <= net.objective(X, y, 0.1)


def test_gated_programs_have_optimal_sets_too():
    rng = np.random.default_rng(3)
    X, y = rng.standard_normal((12, 2)), rng.standard_normal(12)
    result = cvxnn.solve(X, y, "exact", alpha=0.02, tol=1e-11)
    optima = cvxnn.optimal_set(result, X)
    net = optima.network(optima.min_norm())
    assert net.objective(X, y, 0.02) == pytest.approx(result.primal, rel=1e-7)


# Ten samples, ten rays, of which eight are independent; those that depend do so to the gap only.
@pytest.mark.parametrize("tol", [1e-6, 1e-9])
def test_optima_of_a_loose_solution_have_the_rank_of_a_tight_one(tol):
    rng = np.random.default_rng(1)
    X, y = rng.normal(size=(10, 3)), rng.normal(size=10)
    result = cvxnn.solve(X, y, "exact", activation="relu", alpha=0.002, tol=tol)
    optima = cvxnn.optimal_set(result, X)
    assert (optima.n_rays, optima.rank, optima.is_unique) == (10, 8, False)
    net = optima.network(optima.select(np.ones(10)))
    assert net.width <= 8
    assert net.objective(X, y, 0.002) == pytest.approx(result.primal, rel=2 * tol)


def test_rays_that_miss_the_fit_are_refused():
    _, X, _, result = solved("A1_squared_0.1")
    optima = cvxnn.optimal_set(result, X)
    with pytest.raises(RuntimeError, match="the rays do not reach the fit"):
        replace(optima, fit=-optima.fit).select(np.ones(optima.n_rays))


def test_bad_input():
    _, X, _, result = solved("A1_squared_0.1")
    net = result.network()
    with pytest.raises(TypeError, match="result must be a SolveResult"):
        cvxnn.optimal_set(net, X)
    with pytest.raises(ValueError, match="X has shape"):
        cvxnn.optimal_set(result, X[:-1])
    with pytest.raises(TypeError, match="network must be a Network"):
        cvxnn.prune(result, X)
    with pytest.raises(ValueError, match="features"):
        cvxnn.prune(net, X[:, :1])
    with pytest.raises(TypeError, match="network must be a Network"):
        cvxnn.canonical_form(result)
    optima = cvxnn.optimal_set(result, X)
    with pytest.raises(ValueError, match="masses must be non-negative"):
        optima.network(-np.ones(optima.n_rays))
    with pytest.raises(ValueError, match="costs"):
        optima.select(np.ones(optima.n_rays + 1))


def test_an_empty_network_stays_one():
    net = cvxnn.Network([np.zeros((2, 0)), np.zeros((0, 1))], [np.zeros(0), [3.0]])
    assert cvxnn.prune(net, np.eye(2)).width == 0
    assert cvxnn.canonical_form(net).width == 0
    assert cvxnn.prune(net, np.eye(2)).predict(np.eye(2)).tolist() == [3.0, 3.0]
