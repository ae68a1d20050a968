"""Penalties that make zeros inside blocks: their duals, proximal steps, paths and networks."""

import numpy as np
import pytest
from scipy.optimize import minimize

import cvxnn
from penalty_cases import (
    bad_shares,
    check_group_only,
    check_path,
    check_refused,
    check_screening_and_threads,
    check_weights_and_float32,
    gradients,
    small_problem,
)

RATIOS = (0.1, 0.5, 0.9)


def sparse_norm(W, l1_ratio):
    """Return the sparse-group norm of one block."""
    return (1 - l1_ratio) * np.linalg.norm(W) + l1_ratio * np.abs(W).sum()


@pytest.fixture(scope="module", params=[1, 3])
def problem(request):
    rng = np.random.default_rng(7)
    X = rng.standard_normal((60, 5))
    Y = np.abs(X[:, :1]) * rng.standard_normal((1, request.param)) + 0.3 * X[:, [1]]
    Y = Y + 0.3 * rng.standard_normal(Y.shape)
    return X, Y, cvxnn.activation_patterns(X, rng.standard_normal((5, 40)))


@pytest.mark.parametrize("l1_ratio", RATIOS)
@pytest.mark.parametrize("loss", ["squared", "huber"])
def test_solution_and_certificate_written_out(problem, l1_ratio, loss):
    X, Y, patterns = problem
    options = {"penalty": "sparse_group", "l1_ratio": l1_ratio, "loss": loss}
    options["fit_intercept"] = True
    alpha = 0.1 * cvxnn.alpha_max(X, Y, patterns, **options)
    result = cvxnn.solve(X, Y, patterns, alpha=alpha, tol=1e-9, **options)
    assert result.status == "optimal"
    assert (result.penalty, result.l1_ratio) == ("sparse_group", l1_ratio)
    masks = patterns.to_dense()[:, result.active_set].astype(float)
    blocks = result.blocks.reshape(result.n_active, 5, -1)
    F = np.einsum("np,nd,pdc->nc", masks, X, blocks) + result.intercept
    t = np.abs(F - Y)
    losses = t**2 / 2 if loss == "squared" else np.where(t <= 1, t**2 / 2, t - 0.5)
    penalty = sum(sparse_norm(W, l1_ratio) for W in blocks)
    assert result.primal == pytest.approx(losses.sum() / 60 + alpha * penalty, rel=1e-12)
    assert 0.0 <= result.gap <= 1e-9 * result.primal
    # Dual feasible: ||soft(G, l1_ratio alpha)|| is at most (1 - l1_ratio) alpha.
    excess = np.maximum(np.abs(gradients(X, patterns, result.theta)) - l1_ratio * alpha, 0)
    assert np.linalg.norm(excess, axis=(1, 2)).max() <= (1 - l1_ratio) * alpha * (1 + 1e-9)
    assert (blocks == 0).any()
    np.testing.assert_allclose(result.network().predict(X).reshape(F.shape), F, atol=1e-10)


@pytest.mark.parametrize("l1_ratio", RATIOS)
def test_alpha_max_against_brute_force(problem, l1_ratio):
    # The dual norm of a block is the largest <G, W> over blocks of norm one, found by ascent.
    X, Y, patterns = problem
    options = {"penalty": "sparse_group", "l1_ratio": l1_ratio}
    a_max = cvxnn.alpha_max(X, Y, patterns, **options)
    G = gradients(X, patterns, Y / 60)
    found = [dual_norm_by_ascent(g.ravel(), l1_ratio) for g in G]
    assert a_max * (1 - 1e-6) <= max(found) <= a_max * (1 + 1e-9)
    assert cvxnn.solve(X, Y, patterns, alpha=1.0001 * a_max, **options).n_active == 0
    assert cvxnn.solve(X, Y, patterns, alpha=0.9999 * a_max, tol=1e-9, **options).n_active > 0


def dual_norm_by_ascent(g, l1_ratio):
    """Maximise <|g|, w> / norm(w) over w >= 0, which is quasi-concave."""

    def negative(w):
        norm = sparse_norm(w, l1_ratio)
        slope = (1 - l1_ratio) * w / np.linalg.norm(w) + l1_ratio
        value = np.abs(g) @ w / norm
        return -value, -(np.abs(g) - value * slope) / norm

    start = np.abs(g) / np.linalg.norm(g)
    options = {"maxiter": 1000, "ftol": 1e-15, "gtol": 1e-12}
    bounds = [(0, None)] * len(g)
    return -minimize(negative, start, jac=True, bounds=bounds, options=options).fun


@pytest.mark.parametrize("l1_ratio", RATIOS)
def test_one_block_is_a_proximal_step(l1_ratio):
    # With orthogonal columns and one pattern the program is the proximal step at X' y.
    rng = np.random.default_rng(2)
    X = np.sqrt(6) * np.linalg.qr(rng.standard_normal((6, 4)))[0]
    y = rng.standard_normal(6)
    patterns = cvxnn.PatternSet(np.full((1, 1), 63, dtype=np.uint64), np.ones((4, 1)), 6)
    point, alpha = X.T @ y / 6, 0.2 * np.abs(X.T @ y / 6).max()
    result = cvxnn.solve(
        X, y, patterns, alpha=alpha, penalty="sparse_group", l1_ratio=l1_ratio, tol=1e-12
    )

    def objective(parts):  # w = parts[:4] - parts[4:], both non-negative
        w = parts[:4] - parts[4:]
        l1 = parts.sum()
        return (w - point) @ (w - point) / 2 + alpha * (
            (1 - l1_ratio) * np.linalg.norm(w) + l1_ratio * l1
        )

    start = np.concatenate([np.maximum(point, 0), np.maximum(-point, 0)])
    options = {"ftol": 1e-15, "gtol": 1e-10, "maxiter": 1000}
    found = minimize(objective, start, bounds=[(0, None)] * 8, options=options)
    np.testing.assert_allclose(result.blocks[0], found.x[:4] - found.x[4:], atol=1e-6)


def test_without_a_share_of_the_entries_it_is_the_group_penalty(problem):
    X, Y, patterns = problem
    wanted = cvxnn.solve(X, Y, patterns, alpha=0.02, tol=1e-9)
    none = cvxnn.solve(X, Y, patterns, alpha=0.02, tol=1e-9, penalty="sparse_group", l1_ratio=0)
    np.testing.assert_array_equal(none.blocks, wanted.blocks)
    few = cvxnn.solve(X, Y, patterns, alpha=0.02, tol=1e-9, penalty="sparse_group", l1_ratio=1e-9)
    assert few.primal == pytest.approx(wanted.primal, rel=1e-7)
    more = cvxnn.solve(X, Y, patterns, alpha=0.02, tol=1e-9, penalty="sparse_group", l1_ratio=0.2)
    assert more.primal > wanted.primal * (1 + 1e-4)


def test_path_and_warm_start(problem):
    check_path(problem, penalty="sparse_group", l1_ratio=0.7, fit_intercept=True, tol=1e-7)


def test_screening_and_threads_change_nothing(problem):
    check_screening_and_threads(problem, penalty="sparse_group", alpha=0.03, tol=1e-8)


def test_networks_keep_the_zeros(problem):
    X, Y, patterns = problem
    options = {"penalty": "sparse_group", "l1_ratio": 0.9}
    alpha = 0.5 * cvxnn.alpha_max(X, Y, patterns, **options)
    result = cvxnn.solve(X, Y, patterns, alpha=alpha, tol=1e-6, **options)
    hidden = result.network().coefs_[0]
    assert (hidden != 0).sum() == (result.blocks != 0).sum()
    np.testing.assert_array_equal(np.flatnonzero(hidden.any(axis=1)), result.active_features)
    assert 0 < len(result.active_features) < 5


def test_weights_and_float32(problem):
    check_weights_and_float32(problem, penalty="sparse_group", alpha=0.03, tol=1e-7)


BAD = [
    *bad_shares("l1_ratio"),
    ({"activation": "relu"}, ValueError, "^penalty='sparse_group' needs activation='gated_relu'"),
    ({"solver": "bcd"}, ValueError, "^solver must be 'auto' or 'fista'"),
    ({"solver": "interior_point"}, ValueError, "^solver must be 'auto' or 'fista'"),
]


@pytest.mark.parametrize(("options", "error", "message"), BAD)
def test_bad_arguments(options, error, message):
    check_refused(error, message, **{"penalty": "sparse_group", **options})


def test_what_is_for_group_penalties_says_so():
    check_group_only("sparse_group")
    X, y, _ = small_problem()
    with pytest.raises(ValueError, match=r"^penalty='sparse_group' needs activation"):
        cvxnn.solve(X, y, "adaptive", alpha=0.02, activation="relu", penalty="sparse_group")
