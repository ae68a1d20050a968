"""Optimum values of gated programs, from independent solvers."""

import numpy as np
import pytest

import cvxnn
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


def vector_case(loss):
    case = REFERENCE["vector"]
    rng = np.random.default_rng(case["seed"])
    X, Y = rng.standard_normal((case["n"], case["d"])), rng.standard_normal((case["n"], case["c"]))
    return case, X, np.eye(case["c"])[Y.argmax(axis=1)] if loss == "softmax" else Y


@pytest.mark.parametrize(
    ("key", "loss", "penalty"),
    [
        ("ova_gated_squared", "squared", "columns"),
        ("ova_gated_softmax", "softmax", "columns"),
        ("nuclear_gated_squared", "squared", "nuclear"),
        ("fro_gated_squared", "squared", "group"),
    ],
)
def test_several_outputs(key, loss, penalty):
    case, X, Y = vector_case(loss)
    n, alpha = case["n"], case["beta"] / case["n"]
    patterns = cvxnn.enumerate_patterns(X)
    result = cvxnn.solve(X, Y, patterns, loss=loss, penalty=penalty, alpha=alpha, tol=1e-9)
    assert result.gap_rel <= 1e-8
    assert n * result.primal == pytest.approx(case[key], rel=1e-7)
    assert n * result.dual <= case[key] * (1 + 1e-8)


@pytest.mark.parametrize(
    ("key", "activation"), [("ova_gated_squared", "gated_relu"), ("ova_relu_squared", "relu")]
)
def test_one_network_an_output(key, activation):
    case, X, Y = vector_case("squared")
    alpha = case["beta"] / case["n"]
    total = sum(
        cvxnn.solve(X, y, "exact", activation=activation, alpha=alpha, tol=1e-9).primal for y in Y.T
    )
    assert case["n"] * total == pytest.approx(case[key], rel=1e-7)


def test_relu_neurons_with_several_outputs():
    case, X, Y = vector_case("squared")
    n, alpha = case["n"], case["beta"] / case["n"]
    options = {"activation": "relu", "penalty": "nuclear", "alpha": alpha}
    result = cvxnn.solve(X, Y, "exact", tol=1e-6, **options)
    assert result.status == "optimal"
    assert result.exact
    assert n * result.primal == pytest.approx(case["vector_relu_exact"], rel=2e-6)
    assert n * result.dual <= case["vector_relu_exact"] * (1 + 1e-8)
    recovered = result.network().objective(X, Y, alpha=alpha)
    assert recovered == pytest.approx(result.primal, rel=1e-8)
