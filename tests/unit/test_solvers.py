"""The ways to solve a program: they agree, and each says what it cannot do."""

import numpy as np
import pytest

import cvxnn

SOLVERS = ("auto", "bcd", "fista", "newton", "interior_point")


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(3)
    X = rng.standard_normal((90, 5))
    y = np.maximum(X @ rng.standard_normal((5, 4)), 0) @ rng.standard_normal(4)
    y += 0.1 * rng.standard_normal(90)
    patterns = cvxnn.activation_patterns(X, rng.standard_normal((5, 40)))
    return X, y, patterns


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("share", [0.3, 0.03])
@pytest.mark.parametrize("options", [{}, {"fit_intercept": True}, {"skip_connection": True}])
def test_optimum_does_not_depend_on_the_solver(data, solver, share, options):
    X, y, patterns = data
    alpha = share * cvxnn.alpha_max(X, y, patterns, **options)
    best = cvxnn.solve(X, y, patterns, alpha=alpha, tol=1e-11, solver="newton", **options)
    result = cvxnn.solve(
        X, y, patterns, alpha=alpha, tol=1e-9, solver=solver, max_iter=100_000, **options
    )
    assert result.status == "optimal"
    assert result.primal == pytest.approx(best.primal, rel=2e-9)
    assert result.dual <= best.primal * (1 + 1e-12)
    assert result.network().objective(X, y, alpha=alpha) == pytest.approx(result.primal, rel=1e-9)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_raw_features_and_tiny_alpha_reach_1e_9(dtype):
    rng = np.random.default_rng(5)
    X = rng.standard_normal((120, 9)) * np.logspace(-3, 3, 9)
    y = np.sin(X[:, 4]) + 0.1 * rng.standard_normal(120)
    X = X.astype(dtype)
    gates = rng.standard_normal((9, 60)) / np.logspace(-3, 3, 9)[:, None]
    patterns = cvxnn.activation_patterns(X, gates)
    alpha = 1e-4 * cvxnn.alpha_max(X, y, patterns)
    result = cvxnn.solve(X, y, patterns, alpha=alpha, tol=1e-9)
    assert result.status == "optimal"
    assert result.gap <= 1e-9 * result.primal


def test_interior_point_zeros_are_those_of_newton(data):
    X, y, patterns = data
    alpha = 0.2 * cvxnn.alpha_max(X, y, patterns)
    newton = cvxnn.solve(X, y, patterns, alpha=alpha, tol=1e-11, solver="newton")
    interior = cvxnn.solve(X, y, patterns, alpha=alpha, tol=1e-9, solver="interior_point")
    np.testing.assert_array_equal(interior.active_set, newton.active_set)
    assert 0 < len(newton.active_set) < patterns.n_patterns


@pytest.mark.parametrize("share", [1e-3, 1e-4])
@pytest.mark.parametrize("tol", [1e-4, 1e-6, 1e-9])
def test_one_run_of_the_interior_point_is_enough(data, share, tol):
    X, y, patterns = data
    alpha = share * cvxnn.alpha_max(X, y, patterns)
    result = cvxnn.solve(X, y, patterns, alpha=alpha, tol=tol, solver="interior_point")
    assert result.status == "optimal"
    assert result.n_iter == 2  # before the run, and after it


def test_interior_point_refuses_other_losses(data):
    X, y, patterns = data
    with pytest.raises(ValueError, match=r"'interior_point' needs the squared loss.*90 samples"):
        cvxnn.solve(X, np.sign(y), patterns, alpha=0.01, loss="logistic", solver="interior_point")


def test_time_limit_ends_an_interior_point_solve():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((3000, 20))
    patterns = cvxnn.activation_patterns(X, rng.standard_normal((20, 300)))
    y = rng.standard_normal(3000)
    alpha = 1e-3 * cvxnn.alpha_max(X, y, patterns)
    with pytest.warns(cvxnn.ConvergenceWarning):
        result = cvxnn.solve(
            X, y, patterns, alpha=alpha, solver="interior_point", time_limit=0.05, tol=1e-9
        )
    assert result.status == "time_limit"
    assert result.dual <= result.primal < np.inf


def test_unknown_solver_is_named(data):
    X, y, patterns = data
    with pytest.raises(ValueError, match="solver"):
        cvxnn.solve(X, y, patterns, alpha=0.1, solver="simplex")


@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("seed", range(120))
def test_the_squared_hinge_reaches_1e_9(seed, fit_intercept):
    """Also where samples end at a margin of one, on the far side of which the loss is flat."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((rng.integers(8, 30), rng.integers(2, 4)))
    y = np.where(X[:, 0] + 0.3 * rng.standard_normal(len(X)) > 0.0, 1.0, -1.0)
    y[:2] = 1.0, -1.0
    patterns = cvxnn.activation_patterns(X, rng.standard_normal((X.shape[1], 100)))
    options = {"loss": "squared_hinge", "fit_intercept": fit_intercept}
    alpha = 10 ** rng.uniform(-2.5, -0.5) * cvxnn.alpha_max(X, y, patterns, **options)
    result = cvxnn.solve(X, y, patterns, alpha=alpha, tol=1e-9, **options)
    assert result.status == "optimal"
