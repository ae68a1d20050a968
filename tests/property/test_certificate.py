"""The duality gap is a true bound, on any data."""

import warnings

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import cvxnn

LABELLED = ("logistic", "squared_hinge", "hinge")
FLAWS = (
    "none",
    "duplicate rows",
    "all rows equal",
    "zero column",
    "zero row",
    "equal columns",
    "uneven columns",
    "constant y",
    "zero y",
)


def spoil(flaw, X, y):
    """Make data degenerate, in place."""
    if flaw == "duplicate rows":
        X[len(X) // 2 :] = X[0]
    elif flaw == "all rows equal":
        X[:] = X[0]
    elif flaw == "zero column":
        X[:, 0] = 0
    elif flaw == "zero row":
        X[0] = 0
    elif flaw == "equal columns":
        X[:] = X[:, :1]
    elif flaw == "uneven columns":
        X *= np.logspace(-3, 3, X.shape[1]).astype(X.dtype)
    elif flaw == "constant y":
        y[:] = y[0]
    elif flaw == "zero y":
        y[:] = 0


def loss_values(loss, f, y):
    if loss == "squared":
        return (f - y) ** 2 / 2
    if loss == "logistic":
        return np.logaddexp(0.0, -y * f)
    if loss == "squared_hinge":
        return np.maximum(0.0, 1 - y * f) ** 2 / 2
    if loss == "hinge":
        return np.maximum(0.0, 1 - y * f)
    t, delta = np.abs(f - y), loss.delta
    return np.where(t <= delta, t * t / 2, delta * (t - delta / 2))


def objective(problem, result):
    """Return the convex objective of a solution, in numpy, and how far rounding may move it."""
    X, y, patterns, loss, alpha, options = problem
    X = X.astype(np.float64)
    parts, sizes = [np.full(len(y), result.intercept)], [np.abs(result.intercept)]
    if result.skip is not None:
        parts.append(X @ result.skip)
        sizes.append(np.abs(X) @ np.abs(result.skip))
    masks = patterns.to_dense()
    for p, w in zip(result.active_set, result.blocks, strict=True):
        parts.append(masks[:, p] * (X @ w))
        sizes.append(masks[:, p] * (np.abs(X) @ np.abs(w)))
    omega = options.get("sample_weight", np.ones(len(y)))
    norms = np.linalg.norm(result.blocks, axis=1)
    if result.penalty == "elastic":
        norms = (1 - result.l2_ratio) * norms + result.l2_ratio / 2 * norms**2
    norms *= result.weights[result.active_set]
    values = loss_values(loss, np.sum(parts, axis=0), y)
    primal = omega @ values / omega.sum() + alpha * norms.sum()
    # The losses are 1-smooth: a fit off by rho moves a value L by rho sqrt(2 L) + rho^2 / 2.
    # Where the free columns span a block, alpha_max is rounding and coefficients may be huge.
    rho = 1e-14 * (np.abs(y).max() + sum(sizes).max())
    return primal, 1e-9 * primal + rho * np.sqrt(2 * primal) + rho**2


@st.composite
def problems(draw, losses=("squared", *LABELLED, "huber")):
    """A random problem of any shape and scale, often degenerate."""
    n = draw(st.one_of(st.just(1), st.integers(2, 12), st.integers(13, 150)))
    d = draw(st.one_of(st.just(1), st.integers(2, 20)))
    loss = draw(st.sampled_from(losses))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dtype = draw(st.sampled_from((np.float64, np.float32)))
    X = (10.0 ** draw(st.integers(-12, 12)) * rng.standard_normal((n, d))).astype(dtype)
    y_scale = 10.0 ** draw(st.integers(-12, 12))
    y = y_scale * rng.standard_normal(n)
    spoil(draw(st.sampled_from(FLAWS)), X, y)
    if loss == "huber":
        loss = cvxnn.Huber(draw(st.sampled_from((0.3, 1.0, 10.0))) * y_scale)
    elif loss in LABELLED:
        y = np.where(y >= 0, 1.0, -1.0)
    options = {"loss": loss}
    if draw(st.booleans()):
        options["sample_weight"] = rng.uniform(0.0, 1.0, n) + 1e-3
    options["fit_intercept"] = draw(st.booleans())
    options["skip_connection"] = draw(st.booleans())
    gates = np.column_stack([X[0].astype(np.float64), rng.standard_normal((d, 12))])
    if not X[0].any():
        gates = np.column_stack([X.T.astype(np.float64), gates])
    if not (X.astype(np.float64) @ gates > 0).any():
        X += dtype(1)  # only a zero matrix has no active pattern at all
        gates = np.column_stack([np.ones(d), gates])
    patterns = cvxnn.activation_patterns(X, gates)
    if draw(st.booleans()):
        options["weights"] = rng.uniform(0.1, 3.0, patterns.n_patterns)
        options["weights"][0] = draw(st.sampled_from((0.0, 1.0)))
    a_max = cvxnn.alpha_max(X, y, patterns, **options)
    share = 10.0 ** draw(st.floats(-3.0, 0.3))
    alpha = max(a_max * share, 1e-290)
    return X, y, patterns, loss, alpha, options


def solve(problem, **settings):
    X, y, patterns, _, alpha, options = problem
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", cvxnn.ConvergenceWarning)
        return cvxnn.solve(X, y, patterns, alpha=alpha, **options, **settings)


def check_bounds(problem, stop):
    loose = solve(problem, tol=1e-3, max_iter=stop)
    tight = solve(problem, tol=1e-11, max_iter=200)
    for result in (loose, tight):
        assert np.isfinite([result.primal, result.dual, result.gap]).all()
        assert result.gap >= 0
        assert result.primal >= result.dual - 1e-9 * result.primal
        assert result.status in ("optimal", "max_iter", "stalled")
        primal, slack = objective(problem, result)
        assert abs(result.primal - primal) <= slack
    # Every feasible point is above every lower bound; the best point known is near the optimum.
    optimum, slack = objective(problem, tight)
    assert loose.dual <= optimum + slack
    assert loose.primal - optimum <= loose.gap + slack
    assert tight.dual <= loose.primal + slack


@settings(max_examples=1000, deadline=None, derandomize=True)
@given(problem=problems(), stop=st.sampled_from((1, 2, 3, 50)))
def test_gap_is_a_true_bound(problem, stop):
    check_bounds(problem, stop)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    problem=problems(),
    stop=st.sampled_from((1, 2, 3, 50)),
    l2_ratio=st.sampled_from((1e-9, 0.01, 0.5, 0.999)),
)
def test_gap_of_the_elastic_penalty_is_a_true_bound(problem, stop, l2_ratio):
    *rest, options = problem
    check_bounds((*rest, {**options, "penalty": "elastic", "l2_ratio": l2_ratio}), stop)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(problem=problems())
def test_solves_end_optimal_unless_rounding_forbids(problem):
    result = solve(problem, tol=1e-4)
    primal, slack = objective(problem, result)
    # Not where the unpenalised part fits all that a pattern could: alpha_max is rounding there.
    X, y, patterns, loss, alpha, options = problem
    sample_weight = options.get("sample_weight")
    a_max = cvxnn.alpha_max(X, y, patterns, loss=loss, sample_weight=sample_weight)
    if alpha > 1e-2 * a_max > 0 and slack < 1e-8 * primal:
        assert result.status == "optimal"
    assert result.status != "optimal" or result.gap <= 1e-4 * result.primal


@settings(max_examples=60, deadline=None, derandomize=True)
@given(problem=problems(losses=("squared",)), scale=st.integers(-40, 40))
def test_units_of_the_targets_do_not_matter(problem, scale):
    X, y, patterns, loss, alpha, options = problem
    base = solve(problem, tol=1e-6)
    primal, slack = objective(problem, base)
    assume(slack < 1e-8 * primal)  # else the unpenalised part fits y, and rounding is what remains
    factor = 2.0**scale
    scaled = solve((X, factor * y, patterns, loss, factor * alpha, options), tol=1e-6)
    assert scaled.status == base.status
    np.testing.assert_allclose(scaled.primal, factor**2 * base.primal, rtol=1e-9)
