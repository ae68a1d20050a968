"""Optimum values of gated programs, from independent solvers."""

import numpy as np
import pytest

import cvxnn
from cvxnn._ext import core
from cvxnn._problem import make_problem, solver_settings
from reference_cases import REFERENCE, SCALAR, case_data, loss_of, sampled_gates_data


def check(X, y, patterns, loss, beta, optimum, beta_max):
    n = len(y)
    a_max = cvxnn.alpha_max(X, y, patterns, loss=loss)
    assert n * a_max == pytest.approx(beta_max, rel=1e-8)
    result = cvxnn.solve(X, y, patterns, loss=loss, alpha=beta / n, tol=1e-9, max_iter=100_000)
    assert result.status == "optimal"
    assert result.gap_rel <= 1e-8
    assert n * result.primal == pytest.approx(optimum, rel=1e-7)
    assert n * result.dual <= optimum * (1 + 1e-9)
    recovered = result.network().objective(X, y, alpha=beta / n, loss=loss)
    assert recovered == pytest.approx(result.primal, rel=1e-9)


@pytest.mark.parametrize("name", SCALAR)
def test_scalar(name):
    case = SCALAR[name]
    X, y = case_data(case)
    patterns = cvxnn.enumerate_patterns(X)
    check(
        X, y, patterns, loss_of(case["loss"]), case["beta"], case["gated"], case["beta_max_gated"]
    )


@pytest.mark.parametrize("loss", REFERENCE["sampled_gates"])
def test_sampled_gates(loss):
    case = REFERENCE["sampled_gates"][loss]
    X, y, patterns = sampled_gates_data(loss)
    check(X, y, patterns, loss, case["beta"], case["gated"], case["beta_max_gated"])


def test_one_network_an_output():
    case = REFERENCE["vector"]
    n, c = case["n"], case["c"]
    rng = np.random.default_rng(case["seed"])
    X, Y = rng.standard_normal((n, case["d"])), rng.standard_normal((n, c))
    patterns = cvxnn.enumerate_patterns(X)
    total = sum(
        cvxnn.solve(X, y, patterns, alpha=case["beta"] / n, tol=1e-9, max_iter=100_000).primal
        for y in Y.T
    )
    assert n * total == pytest.approx(case["ova_gated_squared"], rel=1e-7)


def test_joint_penalty_of_several_outputs():
    # The engine's own entry point: estimators do not offer joint outputs.
    case = REFERENCE["vector"]
    n, c = case["n"], case["c"]
    rng = np.random.default_rng(case["seed"])
    X, Y = rng.standard_normal((n, case["d"])), rng.standard_normal((n, c))
    patterns = cvxnn.enumerate_patterns(X)
    problem = make_problem(
        X,
        Y[:, 0],
        patterns.n_patterns,
        loss="squared",
        sample_weight=None,
        weights=None,
        fit_intercept=False,
    )
    settings = solver_settings(
        tol=1e-9,
        max_iter=100_000,
        time_limit=None,
        n_threads=1,
        screening=True,
        solver="auto",
        callback=None,
        verbose=0,
    )
    (solution,) = core.solve_masked(
        problem.data,
        patterns.words,
        np.asfortranarray(Y),
        problem.omega,
        **problem.arguments(),
        **settings,
        alphas=[case["beta"] / n],
        init=None,
    )
    assert solution["gap"] <= 1e-8 * solution["primal"]
    assert n * solution["primal"] == pytest.approx(case["fro_gated_squared"], rel=1e-7)
