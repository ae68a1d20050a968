"""Optimum values of ReLU programs over all patterns, from independent solvers and closed forms."""

import itertools

import numpy as np
import pytest

import cvxnn
from cvxnn._ext import core
from cvxnn._problem import make_problem, solver_settings
from reference_cases import REFERENCE, SCALAR, case_data, loss_of, sampled_gates_data


def worst_violation(X, result):
    """By how much a block leaves its cone, relative to its own and its worst row's length."""
    dense = result.patterns.to_dense()[:, result.active_set]
    scores = np.where(dense, 1.0, -1.0) * (X @ result.blocks.T)
    lengths = np.linalg.norm(X, axis=1)[:, None] * np.linalg.norm(result.blocks, axis=1)
    return max(0.0, (-scores / np.where(lengths > 0, lengths, 1.0)).max(initial=0.0))


def check(X, y, patterns, loss, beta, optimum):
    n = len(y)
    result = cvxnn.solve(
        X, y, patterns, activation="relu", loss=loss, alpha=beta / n, tol=1e-9, max_iter=1000
    )
    assert result.status == "optimal"
    assert result.gap_rel <= 1e-8
    assert n * result.primal == pytest.approx(optimum, rel=1e-7)
    assert n * result.dual <= optimum * (1 + 1e-8)
    assert worst_violation(X, result) <= 1e-11
    recovered = result.network().objective(X, y, alpha=beta / n, loss=loss)
    assert recovered == pytest.approx(result.primal, rel=1e-9)
    return result


@pytest.mark.parametrize("name", SCALAR)
def test_scalar(name):
    case = SCALAR[name]
    X, y = case_data(case)
    loss = loss_of(case["loss"])
    patterns = cvxnn.enumerate_patterns(X)
    assert patterns.n_patterns == case["P"]
    a_max = cvxnn.alpha_max(X, y, patterns, activation="relu", loss=loss)
    assert len(y) * a_max == pytest.approx(case["beta_max_relu"], rel=1e-8)
    result = check(X, y, patterns, loss, case["beta"], case["relu"])
    if case["loss"] in ("squared", "logistic"):  # else the fit is not unique
        assert result.network().predict(X) == pytest.approx(case["fit_relu"], abs=1e-5)


@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_sampled_gates(loss):
    case = REFERENCE["sampled_gates"][loss]
    X, y, patterns = sampled_gates_data(loss)
    check(X, y, patterns, loss, case["beta"], case["relu"])


@pytest.mark.parametrize("patterns", ["exact", "adaptive"])
def test_one_dimension(patterns):
    x = np.arange(-2.0, 3.0)
    X, y = np.column_stack([x, np.ones(5)]), np.array([1.0, -1.0, 1.0, 1.0, -1.0])
    assert cvxnn.enumerate_patterns(X).n_patterns == REFERENCE["toy1d"]["P"]
    check(X, y, patterns, "squared", 0.1, REFERENCE["toy1d"]["toy1d_sq_0.1"])
    check(X, y, patterns, "squared", 1e-3, REFERENCE["toy1d"]["toy1d_sq_0.001"])
    check(X, y, patterns, "hinge", 0.1, REFERENCE["toy1d"]["toy1d_hinge_0.1"])
    check(X, y, patterns, "hinge", 1e-3, REFERENCE["toy1d"]["toy1d_hinge_0.001"])


def test_column_generation():
    case = REFERENCE["column_generation"]
    X, y = case_data(case)
    check(X, y, "exact", "squared", case["beta"], case["relu_squared"])


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize(
    "name", ["A1_squared_0.1", "A2_squared_0.1", "A3_squared_0.1", "A2_logistic_0.1"]
)
def test_adaptive_patterns_find_the_global_optimum(name, seed):
    case = SCALAR[name]
    X, y = case_data(case)
    result = cvxnn.solve(
        X,
        y,
        "adaptive",
        activation="relu",
        loss=case["loss"],
        alpha=case["beta"] / len(y),
        tol=1e-7,
        random_state=seed,
    )
    assert len(y) * result.primal == pytest.approx(case["relu"], rel=1e-6)


# X X^T = I: the optimum is known without enumeration, and the patterns are the signs of y.
@pytest.mark.parametrize("n", [5, 60])
def test_whitened_data(n):
    case = REFERENCE["whitened_closed_form"]
    rng = np.random.default_rng(80 if n == 5 else 90)
    size = (7, 5) if n == 5 else (60, 60)
    X = np.ascontiguousarray(np.linalg.qr(rng.standard_normal(size))[0].T)
    y = (2.0 if n == 5 else 1.0) * rng.standard_normal(n)
    values = case["beta_value"] if n == 5 else {"1.0": case["n60"]["value"]}
    for beta, optimum in values.items():
        gates = X.T @ np.column_stack([np.sign(y), -np.sign(y)])
        patterns = cvxnn.activation_patterns(X, gates)
        check(X, y, patterns, "squared", float(beta), optimum)
        if n == 5:
            check(X, y, "exact", "squared", float(beta), optimum)


def test_interpolation_as_alpha_vanishes():
    case = REFERENCE["min_norm_interpolation_A1"]
    X, y = case_data(SCALAR["A1_squared_0.1"])
    patterns = cvxnn.enumerate_patterns(X)
    for beta, ratio in case["p_over_beta"].items():
        alpha = float(beta) / len(y)
        result = cvxnn.solve(X, y, patterns, activation="relu", alpha=alpha, tol=1e-7)
        assert result.primal / alpha == pytest.approx(ratio, rel=1e-6)
        assert result.primal / alpha <= case["value"] * (1 + 1e-8)


# A network of width m is a choice of m blocks, one a pattern and sign: going through all choices
# solves the problem of that width, which is not convex. Blocks that are not chosen cost too much.
@pytest.mark.parametrize("width", [1, 2, 3])
def test_critical_width(width):
    case = REFERENCE["critical_width"]
    listed = case["exact_nonconvex_optimum_by_width"][str(width)]
    X, y = case_data(SCALAR[case["case"]])
    beta, n, patterns = SCALAR[case["case"]]["beta"], len(y), cvxnn.enumerate_patterns(X)
    problem = make_problem(
        X, y, 1, loss="squared", sample_weight=None, weights=None, fit_intercept=False
    )
    settings = solver_settings(
        tol=1e-7,
        max_iter=1000,
        time_limit=None,
        n_threads=1,
        screening=True,
        solver="auto",
        callback=None,
        verbose=0,
    )
    n_blocks = 2 * patterns.n_patterns
    primals, duals = [], []
    for chosen in itertools.combinations(range(n_blocks), width):
        weights = np.full(n_blocks, 1e6)
        weights[list(chosen)] = 1.0
        (solution,) = core.solve_relu(
            problem.data,
            patterns.words,
            problem.targets,
            problem.omega,
            **{**problem.arguments(), "weights": weights},
            **settings,
            alphas=[beta / n],
            init=None,
        )
        assert set(solution["blocks"]) <= set(chosen)
        primals.append(n * solution["primal"])
        duals.append(n * solution["dual"])
    assert min(primals) == pytest.approx(listed, abs=1e-6)
    assert min(duals) == pytest.approx(listed, abs=1e-6)  # no choice is better
    assert min(duals) > SCALAR[case["case"]]["relu"] + 1e-3


def test_from_the_critical_width_on_networks_reach_the_convex_optimum():
    case = REFERENCE["critical_width"]
    X, y = case_data(SCALAR[case["case"]])
    alpha = SCALAR[case["case"]]["beta"] / len(y)
    result = check(X, y, "exact", "squared", alpha * len(y), SCALAR[case["case"]]["relu"])
    network = cvxnn.prune(result.network(), X, rtol=1e-7)
    assert network.width == case["m_star"] == 4
    listed = case["exact_nonconvex_optimum_by_width"]["4 and more"]
    assert len(y) * network.objective(X, y, alpha) == pytest.approx(listed, abs=1e-6)
