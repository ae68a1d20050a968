"""Optimum values of gated programs, from independent solvers."""

import json
from pathlib import Path

import numpy as np
import pytest

import cvxnn
from cells import enumerate_gates
from cvxnn._ext import core
from cvxnn._problem import make_problem, solver_settings

REFERENCE = json.loads((Path(__file__).parent.parent / "data" / "two_layer.json").read_text())
LABELLED = ("logistic", "squared_hinge")
LOSSES = {"huber": cvxnn.Huber(0.5)}


def scalar_problem(case):
    rng = np.random.default_rng(case["seed"])
    X = rng.standard_normal((case["n"], case["d"]))
    y = rng.standard_normal(case["n"])
    if case["bias"]:
        X = np.column_stack([X, np.ones(case["n"])])
    if case["loss"] in LABELLED:
        y = np.where(y >= 0, 1.0, -1.0)
    return X, y, cvxnn.activation_patterns(X, enumerate_gates(X))


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


@pytest.mark.parametrize("name", REFERENCE["scalar"])
def test_scalar(name):
    case = REFERENCE["scalar"][name]
    X, y, patterns = scalar_problem(case)
    loss = LOSSES.get(case["loss"], case["loss"])
    check(X, y, patterns, loss, case["beta"], case["gated"], case["beta_max_gated"])


@pytest.mark.parametrize("loss", REFERENCE["sampled_gates"])
def test_sampled_gates(loss):
    case = REFERENCE["sampled_gates"][loss]
    rng = np.random.default_rng(60)
    X = rng.standard_normal((100, 8))
    y = np.maximum(X @ rng.standard_normal((8, 5)), 0) @ rng.standard_normal(5)
    y += 0.5 * rng.standard_normal(100)
    if loss in LABELLED:
        y = np.where(y >= 0, 1.0, -1.0)
    patterns = cvxnn.activation_patterns(X, np.random.default_rng(61).standard_normal((8, 100)))
    check(X, y, patterns, loss, case["beta"], case["gated"], case["beta_max_gated"])


def test_one_network_an_output():
    case = REFERENCE["vector"]
    n, c = case["n"], case["c"]
    rng = np.random.default_rng(case["seed"])
    X, Y = rng.standard_normal((n, case["d"])), rng.standard_normal((n, c))
    patterns = cvxnn.activation_patterns(X, enumerate_gates(X))
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
    patterns = cvxnn.activation_patterns(X, enumerate_gates(X))
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


def test_cells_are_all_found():
    # 2 sum_{k < r} C(n - 1, k) cells of n hyperplanes in general position in R^r (Cover 1965).
    X = np.random.default_rng(0).standard_normal((9, 3))
    found = np.unique(X @ enumerate_gates(X) > 0, axis=1)
    assert found.shape[1] == 2 * (1 + 8 + 28)
