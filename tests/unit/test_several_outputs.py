"""Programs of several outputs: joint penalties, the softmax loss, recovery to networks."""

import numpy as np
import pytest
from sklearn.datasets import load_iris

import cvxnn

PENALTIES = ("group", "nuclear", "columns")


def norms(blocks, penalty):
    """Return the norm of each block, rows features and columns outputs."""
    if penalty == "group":
        return np.linalg.norm(blocks, axis=(1, 2))
    if penalty == "nuclear":
        return np.linalg.svd(blocks, compute_uv=False).sum(axis=1)
    return np.linalg.norm(blocks, axis=1).sum(axis=1)


def dual_norms(gradients, penalty):
    """Return the dual norm of each gradient."""
    if penalty == "group":
        return np.linalg.norm(gradients, axis=(1, 2))
    if penalty == "nuclear":
        return np.linalg.svd(gradients, compute_uv=False).max(axis=1)
    return np.linalg.norm(gradients, axis=1).max(axis=1)


def loss_value(F, Y, loss):
    """Return the mean loss."""
    if loss == "squared":
        return ((F - Y) ** 2).sum() / 2 / len(Y)
    return (np.logaddexp.reduce(F, axis=1) - (F * Y).sum(axis=1)).mean()


@pytest.fixture(scope="module", params=["squared", "softmax"])
def problem(request):
    rng = np.random.default_rng(4)
    X = rng.standard_normal((60, 4))
    Y = np.maximum(X @ rng.standard_normal((4, 6)), 0) @ rng.standard_normal((6, 3))
    Y += 2.0 * rng.standard_normal(Y.shape)
    if request.param == "softmax":
        Y = np.eye(3)[Y.argmax(axis=1)]
    return X, Y, cvxnn.activation_patterns(X, rng.standard_normal((4, 40))), request.param


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("free", [False, True])
def test_solution_and_certificate_written_out(problem, penalty, free):
    X, Y, patterns, loss = problem
    options = {"loss": loss, "penalty": penalty, "fit_intercept": free, "skip_connection": free}
    a_max = cvxnn.alpha_max(X, Y, patterns, **options)
    result = cvxnn.solve(X, Y, patterns, alpha=0.1 * a_max, tol=1e-8, **options)
    assert result.status == "optimal"
    assert result.blocks.shape == (result.n_active, 4, 3)
    assert result.theta.shape == (60, 3)
    masks = patterns.to_dense()
    F = np.einsum("np,nd,pdc->nc", masks[:, result.active_set].astype(float), X, result.blocks)
    if free:
        assert result.intercept.shape == (3,)
        assert result.skip.shape == (4, 3)
        F += result.intercept + X @ result.skip
        np.testing.assert_allclose(result.theta.sum(axis=0), 0.0, atol=1e-9)
    primal = loss_value(F, Y, loss) + result.alpha * norms(result.blocks, penalty).sum()
    assert result.primal == pytest.approx(primal, rel=1e-12)
    gradients = np.einsum("np,nd,nc->pdc", masks.astype(float), X, result.theta)
    assert dual_norms(gradients, penalty).max() <= result.alpha * (1 + 1e-9)
    assert 0.0 <= result.gap <= 1e-8 * result.primal
    np.testing.assert_allclose(result.network().predict(X), F, atol=1e-10)


@pytest.mark.parametrize("penalty", PENALTIES)
def test_alpha_max_is_where_blocks_begin(problem, penalty):
    X, Y, patterns, loss = problem
    options = {"loss": loss, "penalty": penalty}
    a_max = cvxnn.alpha_max(X, Y, patterns, **options)
    assert cvxnn.solve(X, Y, patterns, alpha=1.0001 * a_max, **options).n_active == 0
    assert cvxnn.solve(X, Y, patterns, alpha=0.999 * a_max, tol=1e-8, **options).n_active > 0


@pytest.mark.parametrize("penalty", ["nuclear", "columns"])
def test_weight_decay_of_the_network_is_the_penalty(problem, penalty):
    X, Y, patterns, loss = problem
    alpha = 0.1 * cvxnn.alpha_max(X, Y, patterns, loss=loss, penalty=penalty)
    result = cvxnn.solve(X, Y, patterns, loss=loss, penalty=penalty, alpha=alpha)
    network = result.network()
    assert network.objective(X, Y, alpha, loss=loss) == pytest.approx(result.primal, rel=1e-9)
    if penalty == "columns":
        assert ((network.coefs_[1] != 0).sum(axis=1) == 1).all()


def test_order_of_penalties(problem):
    X, Y, patterns, loss = problem
    optima = [
        cvxnn.solve(X, Y, patterns, loss=loss, penalty=penalty, alpha=0.01, tol=1e-8).primal
        for penalty in PENALTIES
    ]
    assert optima == sorted(optima)


def test_columns_of_the_squared_loss_are_programs_of_their_own(problem):
    X, Y, patterns, loss = problem
    if loss == "softmax":
        with pytest.raises(ValueError, match=r"^y must have shape \(n_samples, n_classes\)"):
            cvxnn.solve(X, Y[:, 0], patterns, loss=loss, alpha=0.1)
        return
    together = cvxnn.solve(X, Y, patterns, penalty="columns", alpha=0.01, tol=1e-9)
    alone = [cvxnn.solve(X, y, patterns, alpha=0.01, tol=1e-9) for y in Y.T]
    assert together.primal == pytest.approx(sum(r.primal for r in alone), rel=1e-8)


@pytest.mark.parametrize("penalty", PENALTIES)
def test_penalties_of_one_output_are_the_same(penalty):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((30, 3)), rng.standard_normal(30)
    patterns = cvxnn.activation_patterns(X, rng.standard_normal((3, 20)))
    wanted = cvxnn.solve(X, y, patterns, alpha=0.02, tol=1e-9)
    got = cvxnn.solve(X, y[:, None], patterns, alpha=0.02, tol=1e-9, penalty=penalty)
    np.testing.assert_array_equal(got.blocks, wanted.blocks)
    assert isinstance(got.intercept, float)


def test_two_classes_of_softmax_are_logistic():
    # Blocks (w, -w) / 2: the Frobenius norm of a pair is that of w over the root of two.
    rng = np.random.default_rng(1)
    X = rng.standard_normal((50, 3))
    label = X[:, 0] + 0.5 * rng.standard_normal(50) > 0
    patterns = cvxnn.activation_patterns(X, rng.standard_normal((3, 20)))
    shares = np.column_stack([~label, label]).astype(float)
    two = cvxnn.solve(X, shares, patterns, loss="softmax", alpha=0.02, tol=1e-8)
    one = cvxnn.solve(
        X, np.where(label, 1.0, -1.0), patterns, loss="logistic", alpha=0.02 / np.sqrt(2), tol=1e-8
    )
    assert two.primal == pytest.approx(one.primal, rel=1e-7)


@pytest.mark.parametrize("penalty", [*PENALTIES, "sparse_group"])
@pytest.mark.parametrize("loss", ["hinge", "squared_hinge"])
def test_intercepts_of_losses_that_are_flat_beyond_a_margin(loss, penalty):
    """Dual points are zero at such samples, and orthogonal to a constant all the same."""
    rng = np.random.default_rng(2)
    X = rng.standard_normal((25, 3))
    Y = 2 * np.eye(3)[rng.integers(0, 3, 25)] - 1
    patterns = cvxnn.activation_patterns(X, rng.standard_normal((3, 3)))
    options = {"loss": loss, "penalty": penalty, "fit_intercept": True, "tol": 1e-5}
    for alpha in (0.1, 0.01, 0.001):
        result = cvxnn.solve(X, Y, patterns, alpha=alpha, **options)
        assert result.status == "optimal"
        np.testing.assert_allclose(result.theta.sum(axis=0), 0.0, atol=1e-8)
        assert (Y * result.theta >= 0.0).all()


@pytest.mark.parametrize("loss", ["softmax", "logistic", "squared_hinge", "hinge"])
def test_a_class_without_samples_changes_nothing(loss):
    """Its free intercept falls without end, and its part of the dual point is zero."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 3))
    shares = np.eye(4)[rng.integers(0, 3, 40)]
    Y = shares if loss == "softmax" else 2 * shares - 1
    patterns = cvxnn.activation_patterns(X, rng.standard_normal((3, 20)))
    for alpha in (0.05, 0.01):
        options = {"alpha": alpha, "loss": loss, "fit_intercept": True, "tol": 1e-5}
        result = cvxnn.solve(X, Y, patterns, **options)
        assert result.status == "optimal"
        others = cvxnn.solve(X, Y[:, :3], patterns, **options)
        assert result.primal == pytest.approx(others.primal, rel=2e-5)
        assert np.abs(result.blocks[:, :, 3]).max(initial=0.0) < 1e-2


@pytest.mark.parametrize("share", [0.1, 1e-5, 1e-12, 0.0])
@pytest.mark.parametrize("loss", ["softmax", "logistic"])
def test_alpha_max_with_a_rare_class(loss, share):
    """The free intercepts of a class without samples have no finite optimum, and a bound."""
    rng = np.random.default_rng(4)
    X, labels = rng.standard_normal((60, 4)), np.arange(60) % 3
    patterns = cvxnn.activation_patterns(X, rng.standard_normal((4, 30)))
    weight = np.where(labels == 2, share, 1.0)
    classes = np.eye(3)[labels]
    found = cvxnn.alpha_max(
        X,
        classes if loss == "softmax" else 2 * classes - 1,
        patterns,
        loss=loss,
        sample_weight=weight,
        fit_intercept=True,
    )
    omega = weight / weight.sum()
    theta = omega[:, None] * (classes - omega @ classes)  # the best constants are the shares
    gradients = np.einsum("ip,id,ik->pdk", patterns.to_dense(), X, theta)
    assert found == pytest.approx(dual_norms(gradients, "group").max(), rel=1e-6)


@pytest.mark.parametrize("loss", ["logistic", "softmax", "squared_hinge", "hinge", "huber"])
def test_far_below_alpha_max_few_iterations_are_enough(loss):
    # Steps on one curvature for all outputs need hundreds, or do not get there.
    X, labels = load_iris(return_X_y=True)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    Y = np.eye(3)[labels] if loss == "softmax" else np.where(np.eye(3)[labels] > 0, 1.0, -1.0)
    patterns = cvxnn.activation_patterns(X, cvxnn.sample_gates(4, 50, random_state=0))
    alpha = 1e-3 * cvxnn.alpha_max(X, Y, patterns, loss=loss)
    result = cvxnn.solve(X, Y, patterns, alpha=alpha, loss=loss, tol=1e-6, max_iter=40)
    assert result.status == "optimal"


def test_warm_start_and_path(problem):
    X, Y, patterns, loss = problem
    options = {"loss": loss, "penalty": "group", "fit_intercept": True}
    path = cvxnn.solve_path(X, Y, patterns, n_alphas=5, eps=0.1, tol=1e-6, **options)
    again = cvxnn.solve(X, Y, patterns, alpha=path[-1].alpha, tol=1e-6, init=path[-1], **options)
    assert again.n_iter == 1
    np.testing.assert_allclose(again.blocks, path[-1].blocks, rtol=1e-9, atol=1e-12)
    with pytest.raises(ValueError, match=r"^init and this problem must have as many outputs"):
        cvxnn.solve(X, Y[:, 0], patterns, alpha=0.1, init=path[-1], fit_intercept=True)


BAD = [
    ({"penalty": "l1"}, r"^penalty must be one of"),
    ({"loss": "softmax"}, r"^y must hold shares of classes"),
    ({"loss": "logistic"}, r"^y must hold -1 and \+1"),
    ({"activation": "relu"}, r"^several outputs with activation='relu' need penalty='nuclear'"),
    ({"solver": "newton", "penalty": "nuclear"}, r"^solver must be 'auto' or 'fista'"),
]


@pytest.mark.parametrize(("options", "message"), BAD)
def test_bad_arguments(options, message):
    rng = np.random.default_rng(0)
    X, Y = rng.standard_normal((20, 3)), rng.standard_normal((20, 2))
    patterns = cvxnn.activation_patterns(X, rng.standard_normal((3, 10)))
    with pytest.raises(ValueError, match=message):
        cvxnn.solve(X, Y, patterns, alpha=0.1, **options)


def test_what_is_for_one_output_says_so(problem):
    X, Y, patterns, loss = problem
    result = cvxnn.solve(X, Y, patterns, loss=loss, alpha=0.02)
    for function in (cvxnn.decompose, cvxnn.optimal_set):
        with pytest.raises(ValueError, match=r"^result must have one output, got 3"):
            function(result, X)
