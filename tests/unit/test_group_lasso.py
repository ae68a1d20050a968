"""The ordinary group lasso: options, and optimality conditions checked in numpy."""

import numpy as np
import pytest

import cvxnn

GRADIENTS = {
    "squared": lambda f, y: f - y,
    "huber": lambda f, y: np.clip(f - y, -1.0, 1.0),
    "logistic": lambda f, y: -y / (1.0 + np.exp(y * f)),
    "squared_hinge": lambda f, y: -y * np.maximum(0.0, 1.0 - y * f),
}
LABELLED = ("logistic", "squared_hinge")
TOL = {"squared": 1e-10, "huber": 1e-7, "logistic": 1e-10, "squared_hinge": 1e-10}


def data(loss="squared", n_samples=80, n_features=12, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n_samples, n_features))
    y = X[:, 0] - 2.0 * X[:, 1] + X[:, 5] + 0.5 * rng.standard_normal(n_samples) + 1.0
    return X, np.where(y > 0, 1.0, -1.0) if loss in LABELLED else y


def check_optimality(X, y, sizes, result, loss, alpha, weights=None, sample_weight=None):
    """Check that every group is stationary; return whether the slope sums to zero."""
    n_samples = len(y)
    s = np.ones(n_samples) if sample_weight is None else sample_weight
    omega = s / s.sum()
    weights = np.ones(len(sizes)) if weights is None else weights
    precision = 3.0 * np.sqrt(TOL[loss])  # a gap is quadratic in the distance to the optimum
    slope = omega * GRADIENTS[loss](X @ result.coef + result.intercept, y)
    stops = np.cumsum(sizes)
    norms = []
    for g, (stop, size) in enumerate(zip(stops, sizes, strict=True)):
        group = slice(stop - size, stop)
        coef, gradient = result.coef[group], X[:, group].T @ slope
        norms.append(np.linalg.norm(coef))
        assert (g in result.active_set) == (norms[-1] > 0.0)
        if norms[-1] > 0.0:
            wanted = -alpha * weights[g] * coef / norms[-1]
            np.testing.assert_allclose(gradient, wanted, rtol=0, atol=precision)
        else:
            assert np.linalg.norm(gradient) <= alpha * weights[g] + precision
    return abs(slope.sum()) < precision


@pytest.mark.parametrize("loss", GRADIENTS)
@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("sizes", [[1] * 12, [3] * 4, [1, 4, 2, 5], [12]])
def test_optimality(loss, fit_intercept, sizes):
    X, y = data(loss)
    weights = np.sqrt(sizes)
    rng = np.random.default_rng(1)
    sample_weight = rng.uniform(0.5, 2.0, 80)
    result = cvxnn.solve_group_lasso(
        X,
        y,
        sizes,
        alpha=0.04,
        loss=loss,
        weights=weights,
        sample_weight=sample_weight,
        fit_intercept=fit_intercept,
        tol=TOL[loss],
    )
    assert result.status == "optimal"
    assert len(result.active_set) > 0
    level = check_optimality(X, y, sizes, result, loss, 0.04, weights, sample_weight)
    assert level == fit_intercept
    assert (result.intercept != 0.0) == fit_intercept


def test_objective():
    X, y = data()
    result = cvxnn.solve_group_lasso(X, y, 3, alpha=0.2, fit_intercept=True)
    residual = X @ result.coef + result.intercept - y
    penalty = np.linalg.norm(result.coef.reshape(4, 3), axis=1).sum()
    assert result.primal == pytest.approx(np.mean(residual**2) / 2 + 0.2 * penalty, rel=1e-12)
    assert 0.0 <= result.gap <= 1e-4 * result.primal
    assert result.gap == pytest.approx(result.primal - result.dual, abs=1e-15)


@pytest.mark.parametrize("groups", [[4, 4, 4], (4, 4, 4), np.array([4, 4, 4]), np.int64(4)])
def test_ways_to_say_groups(groups):
    X, y = data()
    wanted = cvxnn.solve_group_lasso(X, y, 4, alpha=0.2)
    got = cvxnn.solve_group_lasso(X, y, groups, alpha=0.2)
    np.testing.assert_array_equal(got.coef, wanted.coef)


@pytest.mark.parametrize("screening", [False, True])
def test_large_alpha_leaves_nothing(screening):
    X, y = data()
    start = np.linalg.norm((X.T @ y / 80).reshape(4, 3), axis=1).max()
    above = cvxnn.solve_group_lasso(X, y, 3, alpha=1.001 * start, screening=screening)
    assert (len(above.active_set), above.coef.any()) == (0, False)
    below = cvxnn.solve_group_lasso(X, y, 3, alpha=0.9 * start, screening=screening)
    assert len(below.active_set) == 1


def test_screening_does_not_change_the_optimum():
    X, y = data(n_features=60)
    one = cvxnn.solve_group_lasso(X, y, 3, alpha=0.1, tol=1e-11)
    other = cvxnn.solve_group_lasso(X, y, 3, alpha=0.1, tol=1e-11, screening=False)
    assert one.primal == pytest.approx(other.primal, rel=1e-10)
    np.testing.assert_allclose(one.coef, other.coef, atol=1e-5)


@pytest.mark.parametrize("loss", GRADIENTS)
def test_group_of_weight_zero_is_free(loss):
    X, y = data(loss)
    weights = np.array([1.0, 0.0, 2.0])
    result = cvxnn.solve_group_lasso(
        X, y, [5, 3, 4], alpha=0.05, loss=loss, weights=weights, tol=TOL[loss]
    )
    assert 1 in result.active_set
    check_optimality(X, y, [5, 3, 4], result, loss, 0.05, weights)
    nothing = cvxnn.solve_group_lasso(X, y, [5, 3, 4], alpha=100.0, loss=loss, weights=weights)
    np.testing.assert_array_equal(nothing.active_set, [1])


def test_intercept_of_the_mean():
    X, y = data()
    result = cvxnn.solve_group_lasso(X, y, 3, alpha=100.0, fit_intercept=True)
    assert result.intercept == pytest.approx(y.mean(), rel=1e-12)


def test_float32():
    X, y = data()
    X = X.astype(np.float32)
    one = cvxnn.solve_group_lasso(X, y, 3, alpha=0.1, tol=1e-9)
    other = cvxnn.solve_group_lasso(X.astype(np.float64), y, 3, alpha=0.1, tol=1e-9)
    assert one.status == "optimal"
    assert one.primal == pytest.approx(other.primal, rel=2e-9)


def test_more_features_than_samples():
    X, y = data(n_samples=30, n_features=300)
    result = cvxnn.solve_group_lasso(X, y, 5, alpha=0.3, tol=1e-10)
    check_optimality(X, y, [5] * 60, result, "squared", 0.3)


def test_limits_warn_and_keep_the_bound():
    X, y = data(n_features=120)
    best = cvxnn.solve_group_lasso(X, y, 2, alpha=0.01, tol=1e-10)
    for limit, status in [({"max_iter": 1}, "max_iter"), ({"time_limit": 1e-9}, "time_limit")]:
        with pytest.warns(cvxnn.ConvergenceWarning, match=f"status '{status}'"):
            result = cvxnn.solve_group_lasso(X, y, 2, alpha=0.01, tol=1e-10, **limit)
        assert result.status == status
        assert result.dual <= best.primal <= result.primal


def test_callback_stops():
    X, y = data()
    seen = []
    result = cvxnn.solve_group_lasso(
        X, y, 2, alpha=0.01, tol=1e-10, callback=lambda info: seen.append(info) or len(seen) == 2
    )
    assert (result.status, result.n_iter, len(seen)) == ("callback", 2, 2)
    assert result.trace == seen


def test_summary():
    X, y = data()
    text = str(cvxnn.solve_group_lasso(X, y, 3, alpha=0.2))
    assert "status        optimal\nalpha         0.2\n" in text
