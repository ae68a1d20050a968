"""What a solve returns: optimality conditions, certificate, warm starts, weights, options."""

import numpy as np
import pytest

import cvxnn
from cvxnn.losses import resolve_loss


def masked_gradients(X, patterns, theta):
    return (patterns.to_dense() * theta[:, None]).T @ X.astype(np.float64)


def squared_residual(X, y, result):
    return (y - result.network().predict(X)) / len(y)


@pytest.fixture
def data():
    rng = np.random.default_rng(7)
    X = rng.standard_normal((80, 6))
    y = np.maximum(X @ rng.standard_normal(6), 0) - np.abs(X[:, 0]) + 0.1 * rng.standard_normal(80)
    return X, y, cvxnn.activation_patterns(X, cvxnn.sample_gates(6, 60, random_state=1))


def test_optimality_conditions_of_the_group_lasso(data):
    X, y, patterns = data
    alpha = 0.05 * cvxnn.alpha_max(X, y, patterns)
    result = cvxnn.solve(X, y, patterns, alpha=alpha, tol=1e-12, max_iter=10_000)
    gradients = masked_gradients(X, patterns, squared_residual(X, y, result))
    norms = np.linalg.norm(gradients, axis=1)
    assert norms.max() <= alpha * (1 + 1e-5)
    assert 0 < result.n_active < patterns.n_patterns
    directions = result.blocks / np.linalg.norm(result.blocks, axis=1, keepdims=True)
    np.testing.assert_allclose(gradients[result.active_set], alpha * directions, atol=1e-5 * alpha)


def test_alpha_max_is_where_the_first_pattern_enters(data):
    X, y, patterns = data
    a_max = cvxnn.alpha_max(X, y, patterns)
    norms = np.linalg.norm(masked_gradients(X, patterns, y / len(y)), axis=1)
    assert a_max == pytest.approx(norms.max(), rel=1e-12)
    assert cvxnn.solve(X, y, patterns, alpha=a_max * (1 + 1e-9)).n_active == 0
    first = cvxnn.solve(X, y, patterns, alpha=0.999 * a_max, tol=1e-9)
    assert norms.argmax() in first.active_set


def test_alpha_max_with_free_columns(data):
    X, y, patterns = data
    free = {"fit_intercept": True, "skip_connection": True}
    a_max = cvxnn.alpha_max(X, y, patterns, **free)
    columns = np.column_stack([np.ones(len(y)), X])
    residual = y - columns @ np.linalg.lstsq(columns, y)[0]
    norms = np.linalg.norm(masked_gradients(X, patterns, residual / len(y)), axis=1)
    assert a_max == pytest.approx(norms.max(), rel=1e-10)
    result = cvxnn.solve(X, y, patterns, alpha=1.01 * a_max, tol=1e-10, **free)
    assert result.n_active == 0
    np.testing.assert_allclose(
        np.r_[result.intercept, result.skip], np.linalg.lstsq(columns, y)[0], atol=1e-10
    )


@pytest.mark.parametrize("loss", ["squared", "logistic", "squared_hinge", "hinge", "huber"])
@pytest.mark.parametrize("free", [False, True])
def test_network_has_the_objective_of_the_convex_program(data, loss, free):
    X, y, patterns = data
    y = np.sign(y) if resolve_loss(loss).labels else y
    options = {
        "loss": loss,
        "sample_weight": np.linspace(0.0, 1.0, len(y)),
        "weights": np.r_[0.0 if free else 1.0, np.linspace(0.5, 2.0, patterns.n_patterns - 1)],
        "fit_intercept": free,
        "skip_connection": free,
    }
    alpha = 0.1 * cvxnn.alpha_max(X, y, patterns, **options)
    result = cvxnn.solve(X, y, patterns, alpha=alpha, **options)
    net = result.network()
    value = net.objective(X, y, alpha, loss=loss, sample_weight=options["sample_weight"])
    assert value == pytest.approx(result.primal, rel=1e-9)
    hidden, output = net.coefs_
    np.testing.assert_allclose(np.linalg.norm(hidden, axis=0), np.abs(output[:, 0]), rtol=1e-12)
    assert net.gates_.shape == (6, result.n_active)
    assert [w.shape for w in net.intercepts_] == [(result.n_active,), (1,)]


def test_unpenalised_pattern_is_in_the_active_set(data):
    X, y, patterns = data
    weights = np.ones(patterns.n_patterns)
    weights[5] = 0.0
    a_max = cvxnn.alpha_max(X, y, patterns, weights=weights)
    result = cvxnn.solve(X, y, patterns, alpha=2 * a_max, weights=weights, tol=1e-10)
    assert result.active_set.tolist() == [5]
    masked = patterns.to_dense()[:, 5, None] * X
    np.testing.assert_allclose(result.blocks[0], np.linalg.lstsq(masked, y)[0], atol=1e-9)


def test_sample_weight_is_repetition(data):
    X, y, patterns = data
    times = np.arange(len(y)) % 3
    rows = np.repeat(np.arange(len(y)), times)
    repeated = cvxnn.activation_patterns(X[rows], patterns.gates)
    alpha = 0.1 * cvxnn.alpha_max(X, y, patterns, sample_weight=times)
    assert alpha == pytest.approx(0.1 * cvxnn.alpha_max(X[rows], y[rows], repeated))
    weighted = cvxnn.solve(X, y, patterns, alpha=alpha, sample_weight=times, tol=1e-9)
    plain = cvxnn.solve(X[rows], y[rows], repeated, alpha=alpha, tol=1e-9)
    assert weighted.primal == pytest.approx(plain.primal, rel=1e-8)


@pytest.mark.parametrize("solver", ["newton", "bcd", "fista"])
def test_warm_start_from_the_solution_stops_at_once(data, solver):
    X, y, patterns = data
    alpha = 0.01 * cvxnn.alpha_max(X, y, patterns, fit_intercept=True)
    cold = cvxnn.solve(X, y, patterns, alpha=alpha, fit_intercept=True, tol=1e-6, solver=solver)
    warm = cvxnn.solve(
        X, y, patterns, alpha=alpha, fit_intercept=True, tol=1e-5, solver=solver, init=cold
    )
    assert cold.n_iter > 1
    assert warm.n_iter == 1
    assert warm.n_epochs == 0
    assert warm.primal == pytest.approx(cold.primal, rel=1e-12)


def test_init_must_fit_the_problem(data):
    X, y, patterns = data
    result = cvxnn.solve(X, y, patterns, alpha=0.1, fit_intercept=True)
    with pytest.raises(TypeError, match="init"):
        cvxnn.solve(X, y, patterns, alpha=0.1, init=result.network())
    with pytest.raises(ValueError, match="init"):
        cvxnn.solve(X, y, patterns, alpha=0.1, init=result)
    other = cvxnn.activation_patterns(X, cvxnn.sample_gates(6, 60, random_state=2))
    with pytest.raises(ValueError, match="init"):
        cvxnn.solve(X, y, other, alpha=0.1, fit_intercept=True, init=result)


@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_screening_changes_nothing(data, loss):
    X, y, patterns = data
    y = np.sign(y) if loss == "logistic" else y
    alpha = 0.02 * cvxnn.alpha_max(X, y, patterns, loss=loss)
    on, off = (
        cvxnn.solve(X, y, patterns, loss=loss, alpha=alpha, tol=1e-9, screening=screening)
        for screening in (True, False)
    )
    assert on.primal == pytest.approx(off.primal, rel=1e-8)


def test_trace_and_callback_see_the_same(data):
    X, y, patterns = data
    seen = []
    result = cvxnn.solve(X, y, patterns, alpha=0.01, callback=seen.append)
    assert seen == result.trace
    assert [info.iteration for info in seen] == list(range(1, result.n_iter + 1))
    bounds = [info.dual for info in seen]
    assert bounds == sorted(bounds)
    assert max(bounds) <= result.primal


@pytest.mark.parametrize("verbose", [1, True, np.True_])
def test_verbose_logs_each_evaluation(data, caplog, verbose):
    X, y, patterns = data
    result = cvxnn.solve(X, y, patterns, alpha=0.01, verbose=verbose)
    assert len(caplog.messages) == result.n_iter
    assert all("primal" in line and "gap" in line for line in caplog.messages)
    caplog.clear()
    cvxnn.solve(X, y, patterns, alpha=0.01)
    assert caplog.messages == []


def test_verbose_reaches_stderr_where_nobody_listens(run_python):
    code = """
    import numpy as np, cvxnn
    X = np.eye(4)
    patterns = cvxnn.activation_patterns(X, np.eye(4))
    result = cvxnn.solve(X, np.arange(4.0), patterns, alpha=0.01, verbose=1)
    cvxnn.solve(X, np.arange(4.0), patterns, alpha=0.01)
    print(result.n_iter)
    """
    done = run_python(code, check=False)
    lines = done.stderr.splitlines()
    assert len(lines) == int(done.stdout)
    assert all(line.startswith("cvxnn: alpha") for line in lines)


def test_texts_say_what_was_found(data):
    X, y, patterns = data
    result = cvxnn.solve(X, y, patterns, alpha=0.01)
    assert "optimal" in str(result)
    assert f"{result.n_active} of {patterns.n_patterns} patterns" in str(result)
    assert "PatternSet(" in repr(patterns)


def test_float32_data_is_certified_in_float64(data):
    X, y, _ = data
    X = X.astype(np.float32)
    patterns = cvxnn.activation_patterns(X, cvxnn.sample_gates(6, 60, random_state=1))
    single, double = (
        cvxnn.solve(values, y, patterns, alpha=0.003, tol=1e-10, max_iter=10_000)
        for values in (X, X.astype(np.float64))
    )
    assert single.status == double.status == "optimal"
    assert single.primal == pytest.approx(double.primal, rel=1e-9)
