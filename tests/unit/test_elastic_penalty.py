"""The elastic net of blocks: its certificate, where it begins, paths, and its one solution."""

import numpy as np
import pytest
from sklearn.linear_model import ElasticNet

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

RATIOS = (0.01, 0.5, 0.9)


@pytest.fixture(scope="module", params=[1, 3])
def problem(request):
    rng = np.random.default_rng(7)
    X = rng.standard_normal((60, 5))
    Y = np.abs(X[:, :1]) * rng.standard_normal((1, request.param)) + 0.3 * X[:, [1]]
    Y = Y + 0.3 * rng.standard_normal(Y.shape)
    return X, Y, cvxnn.activation_patterns(X, rng.standard_normal((5, 40)))


def loss_and_bound(F, Y, theta, loss):
    """Return the loss and its dual ``-L*(-theta)``, of samples with the same weight."""
    v = len(Y) * theta.reshape(Y.shape)
    if loss == "squared":
        return ((F - Y) ** 2).sum() / 2 / len(Y), (v * Y - v**2 / 2).sum() / len(Y)
    if loss == "logistic":
        t = v * Y  # within [0, 1]
        entropy = -(t * np.log(t) + (1 - t) * np.log1p(-t))
        return np.log1p(np.exp(-Y * F)).sum() / len(Y), entropy.sum() / len(Y)
    p = Y - v  # softmax: shares of classes
    value = np.log(np.exp(F).sum(axis=1)).sum() - (Y * F).sum()
    return value / len(Y), -(p * np.log(p)).sum() / len(Y)


@pytest.mark.parametrize("l2_ratio", RATIOS)
@pytest.mark.parametrize("loss", ["squared", "logistic", "softmax"])
@pytest.mark.parametrize("solver", ["auto", "bcd", "fista", "newton"])
def test_objective_and_bound_written_out(problem, l2_ratio, loss, solver):
    X, Y, patterns = problem
    if loss == "softmax":
        Y = np.eye(3)[np.arange(60) % 3] if Y.shape[1] == 1 else np.eye(3)[Y.argmax(axis=1)]
    elif loss == "logistic":
        Y = np.where(Y > 0, 1.0, -1.0)
    weights = np.linspace(0.5, 2.0, patterns.n_patterns)
    options = {"penalty": "elastic", "l2_ratio": l2_ratio, "loss": loss, "weights": weights}
    options["fit_intercept"] = True
    alpha = 0.1 * cvxnn.alpha_max(X, Y, patterns, **options)
    result = cvxnn.solve(X, Y, patterns, alpha=alpha, tol=1e-9, solver=solver, **options)
    assert result.status == "optimal"
    assert (result.penalty, result.l2_ratio) == ("elastic", l2_ratio)
    masks = patterns.to_dense()[:, result.active_set].astype(float)
    blocks = result.blocks.reshape(result.n_active, 5, -1)
    F = np.einsum("np,nd,pdc->nc", masks, X, blocks) + result.intercept
    value, bound = loss_and_bound(F, Y, result.theta, loss)
    norms = np.linalg.norm(blocks, axis=(1, 2))
    penalty = weights[result.active_set] @ ((1 - l2_ratio) * norms + l2_ratio / 2 * norms**2)
    assert result.primal == pytest.approx(value + alpha * penalty, rel=1e-12)
    dual = np.linalg.norm(gradients(X, patterns, result.theta), axis=(1, 2))
    excess = np.maximum(dual - alpha * (1 - l2_ratio) * weights, 0)
    conjugates = (excess**2 / (2 * alpha * l2_ratio * weights)).sum()
    assert result.dual == pytest.approx(bound - conjugates, rel=1e-9)
    assert 0.0 <= result.gap <= 1e-9 * result.primal


@pytest.mark.parametrize("l2_ratio", RATIOS)
@pytest.mark.parametrize("activation", ["gated_relu", "relu"])
def test_alpha_max(problem, l2_ratio, activation):
    X, Y, patterns = problem
    options = {"penalty": "elastic", "l2_ratio": l2_ratio, "activation": activation}
    if activation == "relu":
        Y = Y[:, 0]
    a_max = cvxnn.alpha_max(X, Y, patterns, **options)
    plain = cvxnn.alpha_max(X, Y, patterns, activation=activation)
    assert a_max == pytest.approx(plain / (1 - l2_ratio), rel=1e-12)
    above = cvxnn.solve(X, Y, patterns, alpha=a_max * (1 + 1e-6), tol=1e-12, **options)
    below = cvxnn.solve(X, Y, patterns, alpha=a_max * (1 - 1e-4), tol=1e-12, **options)
    assert (above.n_active, below.n_active > 0) == (0, True)


@pytest.mark.parametrize("l2_ratio", RATIOS)
def test_one_feature_is_the_elastic_net(l2_ratio):
    # scikit-learn's penalty is alpha (l1_ratio |w| + (1 - l1_ratio) / 2 w**2), of the same loss.
    rng = np.random.default_rng(3)
    X = rng.standard_normal((50, 1))
    y = X[:, 0] + rng.standard_normal(50)
    ones = cvxnn.activation_patterns(np.ones((50, 1)), np.ones((1, 1)))
    alpha = 0.3 * cvxnn.alpha_max(X, y, ones, penalty="elastic", l2_ratio=l2_ratio)
    result = cvxnn.solve(
        X, y, ones, alpha=alpha, penalty="elastic", l2_ratio=l2_ratio, fit_intercept=True, tol=1e-12
    )
    peer = ElasticNet(alpha=alpha, l1_ratio=1 - l2_ratio, tol=1e-14, max_iter=10**6).fit(X, y)
    np.testing.assert_allclose(result.blocks, [peer.coef_], rtol=1e-6)
    assert result.intercept == pytest.approx(peer.intercept_, rel=1e-6)


def test_without_a_share_of_the_squares_it_is_the_group_penalty(problem):
    X, Y, patterns = problem
    wanted = cvxnn.solve(X, Y, patterns, alpha=0.02, tol=1e-9)
    none = cvxnn.solve(X, Y, patterns, alpha=0.02, tol=1e-9, penalty="elastic", l2_ratio=0)
    np.testing.assert_array_equal(none.blocks, wanted.blocks)
    few = cvxnn.solve(X, Y, patterns, alpha=0.02, tol=1e-9, penalty="elastic", l2_ratio=1e-9)
    assert few.status == "optimal"
    assert few.primal == pytest.approx(wanted.primal, rel=1e-7)


def test_equal_patterns_share_their_weights():
    # The group penalty leaves open how; the elastic one has one solution.
    rng = np.random.default_rng(5)
    X = rng.standard_normal((40, 3))
    y = np.abs(X[:, 0]) + 0.1 * rng.standard_normal(40)
    gates = rng.standard_normal((3, 6))
    patterns = cvxnn.activation_patterns(X, gates)
    twice = cvxnn.PatternSet(
        np.hstack([patterns.words, patterns.words]), np.hstack([gates, gates]), 40
    )
    result = cvxnn.solve(X, y, twice, alpha=0.05, penalty="elastic", tol=1e-12)
    half = result.n_active // 2
    assert half > 0
    np.testing.assert_array_equal(result.active_set[half:], result.active_set[:half] + 6)
    np.testing.assert_allclose(result.blocks[half:], result.blocks[:half], atol=1e-5)


@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_path_and_warm_start(problem, loss):
    X, Y, patterns = problem
    if loss == "logistic":
        Y = np.where(Y > 0, 1.0, -1.0)
    options = {"penalty": "elastic", "l2_ratio": 0.3, "loss": loss, "fit_intercept": True}
    check_path((X, Y, patterns), tol=1e-7, **options)


def test_screening_and_threads_change_nothing(problem):
    check_screening_and_threads(problem, penalty="elastic", alpha=0.03, tol=1e-8)


def test_weights_and_float32(problem):
    check_weights_and_float32(problem, penalty="elastic", alpha=0.03, tol=1e-9)


@pytest.mark.parametrize("l2_ratio", RATIOS)
@pytest.mark.parametrize("patterns", ["sample", "exact"])
def test_relu_networks(l2_ratio, patterns):
    rng = np.random.default_rng(4)
    X = rng.standard_normal((30, 2))
    y = np.abs(X[:, 0]) - 0.5 * np.abs(X[:, 1]) + 0.1 * rng.standard_normal(30)
    if patterns == "sample":
        patterns = cvxnn.activation_patterns(X, rng.standard_normal((2, 20)))
    options = {"penalty": "elastic", "l2_ratio": l2_ratio, "activation": "relu"}
    alpha = 0.05 * cvxnn.alpha_max(X, y, patterns, **options)
    result = cvxnn.solve(X, y, patterns, alpha=alpha, tol=1e-9, **options)
    assert result.status == "optimal"
    # Neurons are those of the network: their norms give both parts of the penalty.
    network = result.network()
    hidden, output = network.coefs_
    norms = np.linalg.norm(hidden, axis=0) * np.abs(output[:, 0])
    penalty = ((1 - l2_ratio) * norms + l2_ratio / 2 * norms**2).sum()
    value = ((network.predict(X) - y) ** 2).mean() / 2
    assert value + alpha * penalty == pytest.approx(result.primal, rel=1e-6)


BAD = [
    *bad_shares("l2_ratio"),
    ({"solver": "interior_point"}, ValueError, "^solver 'interior_point' is not for the penalty"),
]


@pytest.mark.parametrize(("options", "error", "message"), BAD)
def test_bad_arguments(options, error, message):
    check_refused(error, message, **{"penalty": "elastic", **options})


def test_what_is_for_other_penalties_says_so():
    check_group_only("elastic")
    X, y, patterns = small_problem()
    with pytest.raises(ValueError, match=r"^penalty='elastic' needs given patterns"):
        cvxnn.solve(X, y, "adaptive", alpha=0.02, activation="relu", penalty="elastic")
    Y = np.column_stack([y, y])
    with pytest.raises(ValueError, match=r"^several outputs with activation='relu' need"):
        cvxnn.solve(X, Y, patterns, alpha=0.02, activation="relu", penalty="elastic")
