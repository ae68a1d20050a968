"""What holds for every penalty that makes zeros inside blocks."""

import numpy as np
import pytest

import cvxnn


def gradients(X, patterns, theta):
    """Return X' D_p theta for every pattern, shape (n_patterns, n_features, n_outputs)."""
    masks = patterns.to_dense().astype(float)
    return np.einsum("np,nd,nc->pdc", masks, X, theta.reshape(len(X), -1))


def check_path(problem, **options):
    """Solve a path; each of its solutions is that of its alpha alone. Return the last."""
    X, Y, patterns = problem
    path = cvxnn.solve_path(X, Y, patterns, n_alphas=6, eps=0.05, **options)
    for result in path:
        alone = cvxnn.solve(X, Y, patterns, alpha=result.alpha, **options)
        assert result.status == "optimal"
        assert result.primal == pytest.approx(alone.primal, rel=1e-6)
    again = cvxnn.solve(X, Y, patterns, alpha=path[-1].alpha, init=path[-1], **options)
    assert again.n_iter == 1
    return path[-1]


def check_screening_and_threads(problem, **options):
    """Solve with and without screening, and with two threads. Return the first."""
    X, Y, patterns = problem
    screened = cvxnn.solve(X, Y, patterns, n_threads=1, **options)
    plain = cvxnn.solve(X, Y, patterns, screening=False, **options)
    threads = cvxnn.solve(X, Y, patterns, n_threads=2, **options)
    assert screened.primal == pytest.approx(plain.primal, rel=1e-7)
    np.testing.assert_array_equal(screened.blocks, threads.blocks)
    return screened


def check_weights_and_float32(problem, **options):
    """Solve with weights, one of them zero, in double and in single precision."""
    X, Y, patterns = problem
    weights = np.linspace(0.5, 2.0, patterns.n_patterns)
    weights[3] = 0.0  # not penalised at all
    double = cvxnn.solve(X, Y, patterns, weights=weights, **options)
    single = cvxnn.solve(X.astype(np.float32), Y, patterns, weights=weights, **options)
    assert 3 in double.active_set
    assert single.gap_rel <= options["tol"]
    assert single.primal == pytest.approx(double.primal, rel=1e-4)


def bad_shares(name):
    """Return options, error and message of values that are no share."""
    return [
        ({name: 1.0}, ValueError, rf"^{name} must be in \[0, 1\), got 1"),
        ({name: -0.1}, ValueError, rf"^{name} must be in \[0, 1\), got -0.1"),
        ({name: np.nan}, ValueError, rf"^{name} must be in \[0, 1\), got nan"),
        ({name: np.inf}, ValueError, rf"^{name} must be in \[0, 1\), got inf"),
        ({name: "0.5"}, TypeError, f"^{name} must be a number, got str"),
        ({name: True}, TypeError, f"^{name} must be a number, got bool"),
        ({name: None}, TypeError, f"^{name} must be a number, got NoneType"),
        ({name: [0.5]}, TypeError, f"^{name} must be a number, got list"),
    ]


def small_problem():
    """Return X, y and patterns, for what ends before it begins."""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((20, 3)), rng.standard_normal(20)
    patterns = cvxnn.activation_patterns(X, rng.standard_normal((3, 10)))
    return X, y, patterns


def check_group_only(penalty):
    """What is for the group penalty alone says so."""
    X, y, patterns = small_problem()
    result = cvxnn.solve(X, y, patterns, alpha=0.02, penalty=penalty)
    for function in (cvxnn.decompose, cvxnn.optimal_set):
        with pytest.raises(ValueError, match=f"^result must have penalty 'group', got '{penalty}'"):
            function(result, X)


def check_refused(error, message, **options):
    """Solves and, but for a solver, alpha_max refuse these options."""
    X, y, patterns = small_problem()
    with pytest.raises(error, match=message):
        cvxnn.solve(X, y, patterns, alpha=0.1, **options)
    if "solver" not in options:
        with pytest.raises(error, match=message):
            cvxnn.alpha_max(X, y, patterns, **options)
