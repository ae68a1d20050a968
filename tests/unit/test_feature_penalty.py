"""The penalty that selects features: groups of a feature's weights across patterns."""

import numpy as np
import pytest

import cvxnn
from penalty_cases import (
    check_group_only,
    check_path,
    check_screening_and_threads,
    gradients,
    small_problem,
)


@pytest.fixture(scope="module", params=[1, 2])
def problem(request):
    rng = np.random.default_rng(11)
    X = rng.standard_normal((70, 6))
    Y = np.abs(X[:, :1]) * np.ones((1, request.param)) - 0.5 * X[:, [1]]
    Y = Y + 0.2 * rng.standard_normal(Y.shape)
    return X, Y, cvxnn.activation_patterns(X, rng.standard_normal((6, 30)))


def feature_norms(values):
    """Return a norm a feature of (n_patterns, n_features, n_outputs)."""
    return np.linalg.norm(values, axis=(0, 2))


@pytest.mark.parametrize("free", [False, True])
def test_solution_and_certificate_written_out(problem, free):
    X, Y, patterns = problem
    weights = np.linspace(0.5, 1.5, 6)
    options = {"penalty": "feature", "weights": weights}
    options |= {"fit_intercept": free, "skip_connection": free}
    alpha = 0.3 * cvxnn.alpha_max(X, Y, patterns, **options)
    result = cvxnn.solve(X, Y, patterns, alpha=alpha, tol=1e-9, **options)
    assert result.status == "optimal"
    blocks = result.blocks.reshape(result.n_active, 6, -1)
    masks = patterns.to_dense()[:, result.active_set].astype(float)
    F = np.einsum("np,nd,pdc->nc", masks, X, blocks) + result.intercept
    if free:
        F += X @ result.skip.reshape(6, -1)
    norms = feature_norms(blocks)
    primal = ((F - Y) ** 2).sum() / 140 + alpha * weights @ norms
    assert result.primal == pytest.approx(primal, rel=1e-12)
    assert 0.0 <= result.gap <= 1e-9 * result.primal
    scores = feature_norms(gradients(X, patterns, result.theta))
    assert (scores <= alpha * weights * (1 + 1e-9)).all()
    np.testing.assert_array_equal(np.flatnonzero(norms), result.active_features)
    assert 0 < len(result.active_features) < 6
    network = result.network()
    np.testing.assert_allclose(network.predict(X).reshape(F.shape), F, atol=1e-10)
    used = np.flatnonzero(network.coefs_[0].any(axis=1))
    np.testing.assert_array_equal(used, result.active_features)


def test_alpha_max_is_where_features_begin(problem):
    X, Y, patterns = problem
    a_max = cvxnn.alpha_max(X, Y, patterns, penalty="feature")
    assert a_max == pytest.approx(feature_norms(gradients(X, patterns, Y / 70)).max(), rel=1e-12)
    options = {"penalty": "feature", "tol": 1e-9}
    assert cvxnn.solve(X, Y, patterns, alpha=1.0001 * a_max, **options).n_active == 0
    assert cvxnn.solve(X, Y, patterns, alpha=0.9999 * a_max, **options).n_active > 0


@pytest.mark.parametrize("solver", ["fista", "bcd", "newton", "interior_point"])
def test_solvers_agree(problem, solver):
    X, Y, patterns = problem
    options = {"penalty": "feature", "alpha": 0.1, "tol": 1e-8, "fit_intercept": True}
    if solver == "interior_point" and Y.shape[1] > 1:
        with pytest.raises(ValueError, match=r"^solver 'interior_point' needs"):
            cvxnn.solve(X, Y, patterns, solver=solver, **options)
        return
    wanted = cvxnn.solve(X, Y, patterns, **options)
    got = cvxnn.solve(X, Y, patterns, solver=solver, **options)
    assert got.gap_rel <= 1e-8
    assert got.primal == pytest.approx(wanted.primal, rel=2e-8)


def test_one_pattern_makes_features_their_own_groups():
    # Of one pattern that is active everywhere and one output this is the lasso.
    X = np.random.default_rng(3).standard_normal((50, 4))
    patterns = cvxnn.PatternSet(
        np.array([[2**50 - 1]], dtype=np.uint64), np.ones((4, 1)), n_samples=50
    )
    y = X @ np.array([1.0, 0.0, -2.0, 0.1])
    lasso = cvxnn.solve_group_lasso(X, y, 1, alpha=0.2, tol=1e-10)
    result = cvxnn.solve(X, y, patterns, alpha=0.2, tol=1e-10, penalty="feature")
    np.testing.assert_allclose(result.blocks[0], lasso.coef, atol=1e-8)
    np.testing.assert_array_equal(result.active_features, lasso.active_set)


def test_path_and_warm_start(problem):
    X, Y, patterns = problem
    options = {"penalty": "feature", "fit_intercept": True, "tol": 1e-7}
    last = check_path(problem, **options)
    group = cvxnn.solve(X, Y, patterns, alpha=0.05, fit_intercept=True)
    other = cvxnn.solve(X, Y, patterns, alpha=last.alpha, init=group, **options)
    assert other.primal == pytest.approx(last.primal, rel=1e-6)


def test_screening_threads_and_float32_change_nothing(problem):
    X, Y, patterns = problem
    options = {"penalty": "feature", "alpha": 0.1, "tol": 1e-8}
    screened = check_screening_and_threads(problem, **options)
    single = cvxnn.solve(X.astype(np.float32), Y, patterns, **options)
    assert single.gap_rel <= 1e-8
    assert single.primal == pytest.approx(screened.primal, rel=1e-4)


BAD = [
    ({"activation": "relu"}, "^penalty='feature' needs activation='gated_relu'"),
    ({"weights": np.ones(10)}, r"^weights must have shape \(n_blocks,\) = \(3,\), got \(10,\)"),
    ({"weights": [1.0, 0.0, 1.0]}, "^weights must be positive for penalty='feature'"),
    ({"weights": [1.0, np.nan, 1.0]}, "^weights contains NaN"),
    ({"weights": [1.0, -1.0, 1.0]}, "^weights must be non-negative"),
]


@pytest.mark.parametrize(("options", "message"), BAD)
def test_bad_arguments(options, message):
    X, y, patterns = small_problem()
    with pytest.raises(ValueError, match=message):
        cvxnn.solve(X, y, patterns, alpha=0.1, penalty="feature", **options)


def test_what_is_for_group_penalties_says_so():
    check_group_only("feature")
