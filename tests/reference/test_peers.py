"""The same programs by other solvers: Clarabel through cvxpy, and skglm."""

import cvxpy as cp
import numpy as np
import pytest

import cvxnn
from cvxnn.losses import resolve_loss

LOSSES = {
    "squared": lambda f, y: cp.square(f - y) / 2,
    "logistic": lambda f, y: cp.logistic(-cp.multiply(y, f)),
    "squared_hinge": lambda f, y: cp.square(cp.pos(1 - cp.multiply(y, f))) / 2,
    "hinge": lambda f, y: cp.pos(1 - cp.multiply(y, f)),
    "huber": lambda f, y: cp.huber(f - y) / 2,
}


def conic_optimum(blocks, y, alpha, loss, *, weights, sample_weight, free):
    """Return the optimum of the group lasso over dense blocks, by an interior-point method."""
    n = len(y)
    coefs = [cp.Variable(block.shape[1]) for block in blocks]
    fit = sum(block @ w for block, w in zip(blocks, coefs, strict=True))
    if free.shape[1]:
        fit = fit + free @ cp.Variable(free.shape[1])
    omega = sample_weight / sample_weight.sum()
    penalty = sum(s * cp.norm(w, 2) for s, w in zip(weights, coefs, strict=True))
    problem = cp.Problem(cp.Minimize(omega @ LOSSES[loss](fit, y) + alpha * penalty))
    problem.solve(solver="CLARABEL")
    assert problem.status == "optimal"
    assert len(fit.value) == n
    return problem.value


def small_problem(loss, seed):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((40, 4)).astype(rng.choice([np.float32, np.float64]))
    y = rng.standard_normal(40)
    if resolve_loss(loss).labels:
        y = np.where(y > 0.3, 1.0, -1.0)
    patterns = cvxnn.activation_patterns(X, rng.standard_normal((4, 12)))
    return X, y, patterns, rng


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("fraction", [0.5, 0.05])
@pytest.mark.parametrize("options", ["plain", "weighted", "free"])
def test_gated_program_against_interior_point(loss, fraction, options):
    X, y, patterns, rng = small_problem(loss, seed=3)
    n, p = patterns.n_samples, patterns.n_patterns
    weights, sample_weight, free, extra = np.ones(p), np.ones(n), np.empty((n, 0)), {}
    if options != "plain":
        weights, sample_weight = rng.uniform(0.5, 2.0, p), rng.uniform(0.1, 2.0, n)
        extra = {"weights": weights, "sample_weight": sample_weight}
    if options == "free":
        weights[2] = 0.0  # an unpenalised block beside intercept and skip connection
        free = np.column_stack([np.ones(n), X])
        extra |= {"fit_intercept": True, "skip_connection": True}
    alpha = fraction * cvxnn.alpha_max(X, y, patterns, loss=loss, **extra)
    result = cvxnn.solve(X, y, patterns, loss=loss, alpha=alpha, tol=1e-8, **extra)
    blocks = [mask[:, None] * X.astype(float) for mask in patterns.to_dense().T]
    optimum = conic_optimum(
        blocks, y, alpha, loss, weights=weights, sample_weight=sample_weight, free=free
    )
    assert result.gap_rel <= 1e-8
    assert result.primal == pytest.approx(optimum, rel=1e-6)
    assert result.dual <= optimum * (1 + 1e-7)


NORMS = {
    "group": lambda w: cp.norm(w, "fro"),
    "nuclear": lambda w: cp.normNuc(w),
    "columns": lambda w: cp.sum(cp.norm(w, 2, axis=0)),
    "sparse_group": lambda w: 0.3 * cp.norm(w, "fro") + 0.7 * cp.sum(cp.abs(w)),
    "elastic": lambda w: 0.6 * cp.norm(w, "fro") + 0.2 * cp.sum_squares(w),
}


@pytest.mark.parametrize("penalty", NORMS)
@pytest.mark.parametrize("loss", ["squared", "softmax"])
def test_several_outputs_against_interior_point(penalty, loss):
    X, _, patterns, rng = small_problem("squared", seed=8)
    X, Y = X.astype(float), rng.standard_normal((40, 3))
    if loss == "softmax":
        Y = np.eye(3)[Y.argmax(axis=1)]
    options = {"loss": loss, "penalty": penalty, "l1_ratio": 0.7, "fit_intercept": True}
    options["l2_ratio"] = 0.4
    alpha = 0.1 * cvxnn.alpha_max(X, Y, patterns, **options)
    result = cvxnn.solve(X, Y, patterns, alpha=alpha, tol=1e-8, **options)
    coefs = [cp.Variable((4, 3)) for _ in range(patterns.n_patterns)]
    fit = np.ones((40, 1)) @ cp.Variable((1, 3)) + sum(
        (mask[:, None] * X) @ w for mask, w in zip(patterns.to_dense().T, coefs, strict=True)
    )
    if loss == "softmax":
        value = cp.sum(cp.log_sum_exp(fit, axis=1)) - cp.sum(cp.multiply(Y, fit))
    else:
        value = cp.sum_squares(fit - Y) / 2
    problem = cp.Problem(cp.Minimize(value / 40 + alpha * sum(map(NORMS[penalty], coefs))))
    problem.solve(solver="CLARABEL")
    assert result.gap_rel <= 1e-8
    assert result.primal == pytest.approx(problem.value, rel=1e-6)
    assert result.dual <= problem.value * (1 + 1e-7)


@pytest.mark.parametrize("loss", LOSSES)
def test_sparse_group_penalty_against_interior_point(loss):
    X, y, patterns, rng = small_problem(loss, seed=9)
    weights = rng.uniform(0.5, 2.0, patterns.n_patterns)
    options = {"loss": loss, "penalty": "sparse_group", "l1_ratio": 0.4, "weights": weights}
    alpha = 0.1 * cvxnn.alpha_max(X, y, patterns, **options)
    result = cvxnn.solve(X, y, patterns, alpha=alpha, tol=1e-8, **options)
    coefs = [cp.Variable(4) for _ in weights]
    fit = sum((mask[:, None] * X) @ w for mask, w in zip(patterns.to_dense().T, coefs, strict=True))
    penalty = sum(
        s * (0.6 * cp.norm(w, 2) + 0.4 * cp.norm(w, 1)) for s, w in zip(weights, coefs, strict=True)
    )
    problem = cp.Problem(cp.Minimize(cp.sum(LOSSES[loss](fit, y)) / 40 + alpha * penalty))
    problem.solve(solver="CLARABEL")
    assert result.gap_rel <= 1e-8
    assert result.primal == pytest.approx(problem.value, rel=1e-6)
    assert result.dual <= problem.value * (1 + 1e-7)


@pytest.mark.parametrize("activation", ["gated_relu", "relu"])
@pytest.mark.parametrize("l2_ratio", [0.1, 0.8])
@pytest.mark.parametrize("loss", LOSSES)
def test_elastic_penalty_against_interior_point(loss, l2_ratio, activation):
    X, y, patterns, rng = small_problem(loss, seed=9)
    weights = rng.uniform(0.5, 2.0, patterns.n_patterns)
    options = {"loss": loss, "penalty": "elastic", "l2_ratio": l2_ratio, "weights": weights}
    options |= {"activation": activation, "fit_intercept": True}
    alpha = 0.1 * cvxnn.alpha_max(X, y, patterns, **options)
    result = cvxnn.solve(X, y, patterns, alpha=alpha, tol=1e-8, **options)
    fit, penalty, constraints = cp.Variable(), 0, []
    for mask, weight in zip(patterns.to_dense().T, weights, strict=True):
        for sign in (1, -1) if activation == "relu" else (1,):
            w = cp.Variable(4)
            if activation == "relu":
                constraints.append((2 * mask[:, None] - 1.0) * X @ w >= 0)
            fit = fit + sign * (mask[:, None] * X) @ w
            square = cp.sum_squares(w) / 2
            penalty += weight * ((1 - l2_ratio) * cp.norm(w, 2) + l2_ratio * square)
    objective = cp.sum(LOSSES[loss](fit, y)) / 40 + alpha * penalty
    problem = cp.Problem(cp.Minimize(objective), constraints)
    problem.solve(solver="CLARABEL")
    assert result.gap_rel <= 1e-8
    assert result.primal == pytest.approx(problem.value, rel=1e-6)
    assert result.dual <= problem.value * (1 + 1e-7)


@pytest.mark.parametrize("n_outputs", [1, 3])
@pytest.mark.parametrize("loss", LOSSES)
def test_feature_penalty_against_interior_point(loss, n_outputs):
    X, _, patterns, rng = small_problem(loss, seed=10)
    Y = rng.standard_normal((40, n_outputs))
    if resolve_loss(loss).labels:
        Y = np.where(Y > 0.0, 1.0, -1.0)
    weights = rng.uniform(0.5, 2.0, 4)
    options = {"loss": loss, "penalty": "feature", "weights": weights, "fit_intercept": True}
    alpha = 0.2 * cvxnn.alpha_max(X, Y, patterns, **options)
    result = cvxnn.solve(X, Y, patterns, alpha=alpha, tol=1e-8, **options)
    coefs = [cp.Variable((patterns.n_patterns, n_outputs)) for _ in weights]
    masks = patterns.to_dense()
    fit = np.ones((40, 1)) @ cp.Variable((1, n_outputs)) + sum(
        (X[:, [j]].astype(float) * masks) @ w for j, w in enumerate(coefs)
    )
    penalty = sum(s * cp.norm(w, "fro") for s, w in zip(weights, coefs, strict=True))
    problem = cp.Problem(cp.Minimize(cp.sum(LOSSES[loss](fit, Y)) / 40 + alpha * penalty))
    problem.solve(solver="CLARABEL")
    assert result.gap_rel <= 1e-8
    assert result.primal == pytest.approx(problem.value, rel=1e-6)
    assert result.dual <= problem.value * (1 + 1e-7)


@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("fraction", [0.3, 0.01])
def test_group_lasso_against_skglm(fit_intercept, fraction):
    from skglm import GroupLasso

    rng = np.random.default_rng(5)
    X = rng.standard_normal((60, 90)) @ np.diag(rng.uniform(0.2, 3.0, 90))
    y = X[:, :9] @ rng.standard_normal(9) + rng.standard_normal(60) + 2.0
    groups = [5, 10, 1, 14, 20, 40]
    target = y - y.mean() if fit_intercept else y
    starts = np.cumsum([0, *groups])
    correlations = [np.linalg.norm(b.T @ target) for b in np.split(X, starts[1:-1], axis=1)]
    alpha = fraction * max(correlations) / len(y)
    result = cvxnn.solve_group_lasso(
        X, y, groups, alpha=alpha, fit_intercept=fit_intercept, tol=1e-10
    )
    peer = GroupLasso(
        groups=groups, alpha=alpha, fit_intercept=fit_intercept, tol=1e-10, max_iter=1000
    ).fit(X, y)
    residual = y - X @ peer.coef_ - peer.intercept_
    norms = [np.linalg.norm(w) for w in np.split(peer.coef_, starts[1:-1])]
    objective = residual @ residual / (2 * len(y)) + alpha * sum(norms)
    assert result.primal == pytest.approx(objective, rel=1e-6)
    assert result.dual <= objective * (1 + 1e-9)
    np.testing.assert_allclose(
        X @ result.coef + result.intercept, X @ peer.coef_ + peer.intercept_, atol=1e-4
    )


@pytest.mark.parametrize(
    ("n", "d", "bias", "n_kept"),
    [(7, 3, False, 34), (5, 4, False, 6), (6, 3, True, 19), (4, 6, False, 1)],
)
def test_normalised_relu_outputs_need_only_patterns_that_span(n, d, bias, n_kept):
    # All patterns, with the weights that outputs do not fix, against those that are left.
    rng = np.random.default_rng(1)
    X, y, alpha = rng.standard_normal((n, d)), rng.standard_normal(n), 0.1
    if bias:
        X[:, -1] = 1.0
    fit, norms, constraints = 0.0, 0.0, []
    for mask in cvxnn.enumerate_patterns(X).to_dense().T:
        outputs = mask[:, None] * X
        left, values, right = np.linalg.svd(outputs - outputs.mean(axis=0))
        rank = int((values > 1e-10).sum())
        for sign in (1.0, -1.0) if mask.any() else ():
            s, beta, rest = cp.Variable(rank), cp.Variable(), cp.Variable(d)
            weights = right[:rank].T @ cp.multiply(np.sqrt(n) / values[:rank], s)
            kernel = right[rank:].T @ rest[rank:] if rank < d else 0.0
            constraints.append(cp.multiply(2.0 * mask - 1.0, X @ (weights + kernel)) >= 0)
            fit = fit + sign * (np.sqrt(n) * left[:, :rank] @ s + beta)
            norms = norms + cp.norm(cp.hstack([s, beta]))
    loss = cp.sum_squares(fit - y) / (2 * n)
    optimum = cp.Problem(cp.Minimize(loss + alpha * norms), constraints).solve(solver="CLARABEL")
    model = cvxnn.ReLURegressor(
        alpha,
        activation="relu",
        patterns="exact",
        batch_norm="after",
        fit_intercept=False,
        standardize=False,
        tol=1e-9,
    ).fit(X, y)
    assert model.n_patterns_ == n_kept
    assert model.objective_ == pytest.approx(optimum, rel=1e-6)
    if n <= d:  # one block, without a cone
        size = np.sqrt(np.mean(y**2))
        assert optimum == pytest.approx(alpha**2 / 2 + alpha * (size - alpha), rel=1e-6)
