"""Cone decomposition of gated solutions."""

import numpy as np
import pytest

import cvxnn


def gated_solution(alpha=1e-3, **options):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 4))
    y = np.maximum(X @ rng.standard_normal((4, 3)), 0) @ rng.standard_normal(3)
    gates = cvxnn.sample_gates(4, 40, random_state=1)
    patterns = cvxnn.activation_patterns(X, gates)
    return X, y, cvxnn.solve(X, y, patterns, alpha=alpha, tol=1e-9, **options)


@pytest.mark.parametrize("method", ["minimum_norm", "closed_form"])
@pytest.mark.parametrize("options", [{}, {"fit_intercept": True}, {"skip_connection": True}])
def test_same_predictions_by_relu_neurons(method, options):
    X, y, gated = gated_solution(**options)
    found = cvxnn.decompose(gated, X, method=method)
    assert found.network.activation == "relu"
    assert found.network.predict(X) == pytest.approx(gated.network().predict(X), abs=1e-9)
    assert found.network.objective(X, y, gated.alpha) == pytest.approx(found.objective, rel=1e-9)
    assert found.growth >= 1.0
    assert found.objective >= gated.dual


def test_minimum_norm_is_no_larger_than_the_closed_form():
    X, _, gated = gated_solution()
    least, closed = (cvxnn.decompose(gated, X, method=m) for m in ("minimum_norm", "closed_form"))
    assert least.growth <= closed.growth
    assert least.objective <= closed.objective


def test_approximate_decomposition_predicts_nearly_the_same():
    X, _, gated = gated_solution()
    found = cvxnn.decompose(gated, X, method="approximate")
    want = gated.network().predict(X)
    assert found.network.predict(X) == pytest.approx(want, abs=0.05 * np.abs(want).max())


def test_the_programs_are_equivalent_as_alpha_vanishes():
    X, y, gated = gated_solution()
    patterns = gated.patterns
    values = []
    for alpha in (1e-3, 1e-5, 1e-7):
        gated = cvxnn.solve(X, y, patterns, alpha=alpha, tol=1e-6)
        relu = cvxnn.solve(X, y, patterns, activation="relu", alpha=alpha, tol=1e-6)
        found = cvxnn.decompose(gated, X)
        assert gated.dual <= relu.primal * (1 + 1e-6)
        assert relu.dual <= found.objective * (1 + 1e-6)
        values.append(found.objective - gated.dual)
    assert values[0] > values[1] > values[2]
    assert values[2] < 1e-2 * values[0]


def test_bad_input():
    X, y, gated = gated_solution()
    relu = cvxnn.solve(X, y, gated.patterns, activation="relu", alpha=0.1)
    with pytest.raises(ValueError, match="must be of activation 'gated_relu'"):
        cvxnn.decompose(relu, X)
    with pytest.raises(TypeError, match="result must be a SolveResult"):
        cvxnn.decompose(gated.network(), X)
    with pytest.raises(ValueError, match="X has shape"):
        cvxnn.decompose(gated, X[1:])
    with pytest.raises(ValueError, match="method must be one of"):
        cvxnn.decompose(gated, X, method="guess")
