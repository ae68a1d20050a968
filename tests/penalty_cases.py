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
