"""Networks with a circular convolution before their ReLU neurons."""

import cvxpy as cp
import numpy as np
import pytest

import cvxnn


def make_data(shape, n=9, seed=2):
    rng = np.random.default_rng(seed)
    X, y = rng.standard_normal((n, *shape)), rng.standard_normal(n) + 1.0
    patterns = cvxnn.activation_patterns(
        X.reshape(n, -1), rng.standard_normal((int(np.prod(shape)), 12))
    )
    return X, y, patterns, rng.uniform(0.5, 2.0, n)


def decay(result):
    _, hidden, output = result.layers()
    return 0.5 * result.alpha * (np.sum(hidden**2) + np.sum(output**2))


def correlated(X, filters, hidden):
    """What a neuron sees, by shifts of the inputs."""
    axes = tuple(range(2, X.ndim))
    shape = X.shape[2:]
    seen = np.zeros((len(X), len(filters)))
    for j, (u, w) in enumerate(zip(filters, hidden, strict=True)):
        for offset in np.ndindex(*shape):
            moved = np.roll(X, [-k for k in offset], axis=axes)
            seen[:, j] += w[offset] * (moved * u).reshape(len(X), -1).sum(axis=1)
    return seen


@pytest.mark.parametrize("shape", [(1, 5), (2, 4), (1, 3, 2), (2, 3, 3)])
@pytest.mark.parametrize("options", ["plain", "weighted", "intercept"])
def test_network_has_the_objective_of_the_program(shape, options):
    X, y, patterns, weight = make_data(shape)
    extra = {"sample_weight": weight} if options == "weighted" else {}
    extra |= {"fit_intercept": options == "intercept"}
    result = cvxnn.solve_circular(X, y, patterns, alpha=0.05, **extra)
    assert result.status == "optimal"
    assert result.gap <= 1e-6 * result.primal
    filters, hidden, output = result.layers()
    fit = np.maximum(correlated(X, filters, hidden), 0.0) @ output + result.intercept
    np.testing.assert_allclose(result.network().predict(X.reshape(9, -1)), fit, atol=1e-12)
    omega = weight / weight.sum() if options == "weighted" else np.full(9, 1 / 9)
    value = 0.5 * omega @ (fit - y) ** 2 + decay(result)
    assert value == pytest.approx(result.primal, rel=1e-12)
    norms = np.linalg.norm(filters.reshape(len(filters), -1), axis=1)
    np.testing.assert_allclose(norms, 1.0)


def test_optimum_is_that_of_another_solver():
    X, y, patterns, weight = make_data((2, 4))
    flat, alpha = X.reshape(9, -1), 0.05
    transform = np.fft.fft(np.eye(4), norm="ortho")
    fit, norms, constraints = cp.Variable(), 0.0, []
    for mask in patterns.to_dense().T:
        for sign in (1.0, -1.0):
            v = cp.Variable((2, 4))
            seen = flat @ cp.reshape(v, 8, order="C")
            constraints.append(cp.multiply(2.0 * mask - 1.0, seen) >= 0)
            fit = fit + sign * cp.multiply(1.0 * mask, seen)
            parts = cp.vstack([v @ transform.real, v @ transform.imag])
            norms = norms + cp.sum(cp.norm(parts, 2, axis=0)) / 2.0
    loss = (weight / weight.sum()) @ cp.square(fit - y) / 2
    optimum = cp.Problem(cp.Minimize(loss + alpha * norms), constraints).solve(solver="CLARABEL")
    result = cvxnn.solve_circular(
        X, y, patterns, alpha=alpha, sample_weight=weight, fit_intercept=True
    )
    assert result.primal == pytest.approx(optimum, rel=2e-6)
    assert result.dual <= optimum * (1 + 1e-7)
    assert result.exact


def test_random_networks_are_above_the_bound():
    X, y, _, _ = make_data((1, 3), n=6)
    result = cvxnn.solve_circular(X, y, alpha=0.05)
    rng = np.random.default_rng(1)
    for _ in range(200):
        filters, hidden = rng.standard_normal((4, 1, 3)), 0.5 * rng.standard_normal((4, 3))
        filters /= np.linalg.norm(filters, axis=2, keepdims=True)
        neurons = np.maximum(correlated(X, filters, hidden), 0.0)
        gram = neurons.T @ neurons / 6 + 0.05 * np.eye(4)
        output = np.linalg.solve(gram, neurons.T @ y / 6)
        value = 0.5 * np.mean((neurons @ output - y) ** 2)
        value += 0.025 * (np.sum(hidden**2) + np.sum(output**2))
        assert value >= result.dual


def test_large_alpha_leaves_no_neuron():
    X, y, patterns, _ = make_data((1, 5))
    result = cvxnn.solve_circular(X, y, patterns, alpha=100.0)
    assert result.network().width == 0
    assert result.primal == pytest.approx(0.5 * np.mean(y**2))
    assert result.gap <= 1e-6 * result.primal
    nothing = cvxnn.solve_circular(X, np.zeros(9), patterns, alpha=0.1)
    assert (nothing.status, nothing.primal, nothing.gap) == ("optimal", 0.0, 0.0)


def test_weights_are_repeated_rows():
    X, y, patterns, _ = make_data((1, 5))
    weight = 1 + np.arange(9) % 3
    rows = np.repeat(np.arange(9), weight)
    again = cvxnn.activation_patterns(X[rows, 0], patterns.gates)
    one = cvxnn.solve_circular(X, y, patterns, alpha=0.05, sample_weight=weight)
    two = cvxnn.solve_circular(X[rows], y[rows], again, alpha=0.05)
    assert one.primal == pytest.approx(two.primal, rel=2e-6)


def test_samples_of_zeros():
    X, y, patterns, _ = make_data((1, 5))
    more = np.concatenate([X, np.zeros((1, 1, 5))])
    again = cvxnn.activation_patterns(more[:, 0], patterns.gates)
    one = cvxnn.solve_circular(X, y, patterns, alpha=0.05)
    two = cvxnn.solve_circular(more, np.append(y, 0.0), again, alpha=0.045)
    assert two.primal == pytest.approx(0.9 * one.primal, rel=2e-6)


@pytest.mark.parametrize("fit_intercept", [False, True])
def test_path(fit_intercept):
    X, y, patterns, weight = make_data((2, 4))
    options = {"fit_intercept": fit_intercept, "sample_weight": weight}
    path = cvxnn.solve_circular_path(X, y, patterns, n_alphas=6, **options)
    alphas = [result.alpha for result in path]
    np.testing.assert_allclose(alphas, alphas[0] * np.geomspace(1.0, 1e-2, 6))
    assert all(result.status == "optimal" for result in path)
    assert len(path[0].active_set) == 0
    for result in path[1:]:
        alone = cvxnn.solve_circular(X, y, patterns, alpha=result.alpha, **options)
        assert result.primal == pytest.approx(alone.primal, rel=2e-6)
        assert result.n_epochs < alone.n_epochs  # Newton steps: the start is worth something
    below = cvxnn.solve_circular(X, y, patterns, alpha=alphas[0] * (1 - 1e-4), tol=1e-10, **options)
    assert len(below.active_set) > 0


def test_path_of_own_alphas_and_its_limit():
    X, y, patterns, _ = make_data((1, 5))
    path = cvxnn.solve_circular_path(X, y, patterns, alphas=[0.05, 0.2])
    assert [result.alpha for result in path] == [0.2, 0.05]
    with pytest.warns(cvxnn.ConvergenceWarning, match="status 'time_limit'"):
        stopped = cvxnn.solve_circular_path(X, y, patterns, alphas=[0.05, 0.2], time_limit=1e-9)
    assert len(stopped) == 1
    nothing = cvxnn.solve_circular_path(X, np.zeros(9), patterns, n_alphas=3)
    assert [(r.status, r.primal, len(r.active_set)) for r in nothing] == [("optimal", 0.0, 0)] * 3
    for wrong in ({"n_alphas": 0}, {"eps": 2.0}, {"alphas": [0.1, -1.0]}):
        with pytest.raises(ValueError, match=f"^{next(iter(wrong))} must "):
            cvxnn.solve_circular_path(X, y, patterns, **wrong)


@pytest.mark.parametrize(
    ("limits", "status"), [({"max_iter": 2}, "max_iter"), ({"time_limit": 1e-9}, "time_limit")]
)
def test_limits(limits, status):
    X, y, patterns, _ = make_data((1, 5))
    with pytest.warns(cvxnn.ConvergenceWarning, match=f"status '{status}'"):
        result = cvxnn.solve_circular(X, y, patterns, alpha=0.05, **limits)
    assert result.status == status
    assert result.dual < result.primal
    best = cvxnn.solve_circular(X, y, patterns, alpha=0.05)
    assert result.dual <= best.primal
    assert result.primal >= best.dual
    assert len(best.trace) == best.n_iter > result.n_iter


@pytest.mark.parametrize("scale", [1e-99, 1e-30, 1e30, 1e99])
def test_units_of_data(scale):
    X, y, patterns, _ = make_data((1, 5))
    path = cvxnn.solve_circular_path(X, y, patterns, n_alphas=3)
    scaled = cvxnn.activation_patterns(scale * X[:, 0], patterns.gates)
    other = cvxnn.solve_circular_path(scale * X, scale * y, scaled, n_alphas=3)
    for one, two in zip(path, other, strict=True):
        assert two.status == "optimal"
        assert two.alpha == pytest.approx(scale**2 * one.alpha, rel=1e-6)
        assert two.primal == pytest.approx(scale**2 * one.primal, rel=2e-6)


def test_data_whose_squares_overflow():
    X = np.array([[[[0.5, -0.3], [3e38, -0.2]]]], dtype=np.float32)
    patterns = cvxnn.activation_patterns(X.reshape(1, -1), np.ones((4, 1)))
    with pytest.warns(cvxnn.ConvergenceWarning, match="status 'stalled'"):
        result = cvxnn.solve_circular(X, [3e38], patterns, alpha=0.1)
    assert np.isfinite([result.primal, result.dual]).all()


def test_precision_that_float64_does_not_allow():
    X, y, patterns, _ = make_data((1, 5))
    with pytest.warns(cvxnn.ConvergenceWarning, match="status 'stalled'"):
        result = cvxnn.solve_circular(X, y, patterns, alpha=0.05, tol=1e-14)
    assert result.gap_rel < 1e-6


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"X": np.ones((9, 5))}, ValueError, r"^X must have shape \(n_samples, n_channels, length"),
        ({"X": np.full((9, 1, 5), np.nan)}, ValueError, r"^X "),
        ({"y": np.ones(3)}, ValueError, r"^y "),
        ({"y": np.ones((9, 2))}, ValueError, r"^y "),
        ({"y": np.full(9, np.inf)}, ValueError, r"^y "),
        ({"alpha": 0.0}, ValueError, r"^alpha must be positive"),
        ({"tol": np.nan}, ValueError, r"^tol must be positive"),
        ({"fit_intercept": "no"}, TypeError, r"^fit_intercept must be True or False, got 'no'"),
        ({"max_iter": 0}, ValueError, r"^max_iter must be >= 1, got 0"),
        ({"sample_weight": -np.ones(9)}, ValueError, r"^sample_weight "),
        ({"patterns": "exact"}, TypeError, r"^patterns must be a PatternSet or None, got str"),
        ({"X": np.ones((8, 1, 5)), "y": np.ones(8)}, ValueError, r"^patterns were made from data"),
    ],
)
def test_bad_arguments(changes, error, message):
    X, y, patterns, _ = make_data((1, 5))
    arguments = {"X": X, "y": y, "patterns": patterns, "alpha": 0.1} | changes
    with pytest.raises(error, match=message):
        cvxnn.solve_circular(**arguments)


def test_gates_on_hyperplanes():
    X = np.array([[[1.0, 0.0]], [[0.0, 1.0]]])
    patterns = cvxnn.activation_patterns(X[:, 0], [[1.0], [0.0]])
    with pytest.raises(ValueError, match=r"^patterns must have gates that are on no sample's"):
        cvxnn.solve_circular(X, [1.0, 2.0], patterns, alpha=0.1)


def test_samples_of_zeros_have_no_active_pattern():
    with pytest.raises(ValueError, match=r"^X must have patterns that are active on a sample"):
        cvxnn.solve_circular(np.zeros((3, 1, 4)), np.ones(3), alpha=0.1)


def test_samples_that_no_weight_makes_count():
    X, y = 1e-300 * np.ones((3, 1, 2)), np.array([1.0, 2.0, -1.0])
    X[1, 0, 0] *= -2.0
    result = cvxnn.solve_circular(X, y, alpha=0.1)
    assert result.primal == result.dual == pytest.approx(1.0)
    assert len(result.active_set) == 0
