"""ReLU programs: options, input, and what users do with them."""

import numpy as np
import pytest

import cvxnn
from cvxnn.arrangements import PatternSet


def problem(n=60, d=4, n_gates=30, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    y = np.maximum(X @ rng.standard_normal((d, 3)), 0) @ rng.standard_normal(3)
    y = y + 0.1 * rng.standard_normal(n)
    patterns = cvxnn.activation_patterns(X, cvxnn.sample_gates(d, n_gates, random_state=seed))
    return X, y, patterns


def solve(X, y, patterns, alpha=0.01, **options):
    return cvxnn.solve(X, y, patterns, activation="relu", alpha=alpha, **{"tol": 1e-8, **options})


@pytest.mark.parametrize(
    "options",
    [{}, {"fit_intercept": True}, {"skip_connection": True}, {"loss": "huber"}],
    ids=str,
)
def test_the_network_has_the_objective_of_the_program(options):
    X, y, patterns = problem()
    result = solve(X, y, patterns, **options)
    assert result.status == "optimal"
    net = result.network()
    assert net.activation == "relu"
    value = net.objective(X, y, 0.01, loss=options.get("loss", "squared"))
    assert value == pytest.approx(result.primal, rel=1e-9)


def test_sample_weights_and_repeated_rows_agree():
    X, y, patterns = problem()
    weight = np.ones(60)
    weight[:20] = 2.0
    twice = np.r_[np.arange(20), np.arange(60)]
    repeated = cvxnn.activation_patterns(X[twice], patterns.gates)
    weighted = solve(X, y, patterns, sample_weight=weight)
    assert solve(X[twice], y[twice], repeated).primal == pytest.approx(weighted.primal, rel=1e-7)


def test_penalty_weights_scale_their_patterns():
    X, y, patterns = problem()
    doubled = solve(X, y, patterns, weights=np.full(patterns.n_patterns, 2.0))
    assert doubled.primal == pytest.approx(solve(X, y, patterns, alpha=0.02).primal, rel=1e-7)


def test_float32_data_and_warm_starts():
    X, y, patterns = problem()
    single = X.astype(np.float32)
    cold = solve(single, y, cvxnn.activation_patterns(single, patterns.gates))
    assert cold.status == "optimal"
    first = solve(X, y, patterns, tol=1e-2)
    again = solve(X, y, patterns, init=first)
    assert again.primal == pytest.approx(solve(X, y, patterns).primal, rel=1e-7)
    with pytest.raises(ValueError, match="init must be of activation 'relu'"):
        solve(X, y, patterns, init=cvxnn.solve(X, y, patterns, alpha=0.01))


def test_paths_are_certified_and_their_objectives_fall():
    X, y, patterns = problem()
    path = cvxnn.solve_path(X, y, patterns, activation="relu", n_alphas=8, eps=1e-2, tol=1e-6)
    assert [result.status for result in path] == ["optimal"] * 8
    assert path[0].n_active == 0
    assert (np.diff([result.primal for result in path]) < 0.0).all()
    adaptive = cvxnn.solve_path(X[:12], y[:12], "adaptive", activation="relu", n_alphas=3, eps=0.1)
    exact = cvxnn.enumerate_patterns(X[:12])
    for result in adaptive:
        best = solve(X[:12], y[:12], exact, alpha=result.alpha)
        assert result.primal == pytest.approx(best.primal, rel=1e-3)


@pytest.mark.parametrize("scale", [1e-8, 1e8])
def test_scale_does_not_matter(scale):
    X, y, patterns = problem()
    want = solve(X, y, patterns).primal
    assert solve(scale * X, y, patterns, alpha=0.01 * scale).primal == pytest.approx(want, rel=1e-7)
    scaled = solve(X, scale * y, patterns, alpha=0.01 * scale).primal
    assert scaled == pytest.approx(want * scale**2, rel=1e-7)


def test_data_that_are_hard_on_cones():
    rng = np.random.default_rng(0)
    X = rng.integers(-1, 2, (40, 3)).astype(float)  # ties, repeated and zero rows
    X[:3] = 0.0
    y = rng.standard_normal(40)
    patterns = cvxnn.activation_patterns(X, cvxnn.sample_gates(3, 20, random_state=0))
    assert solve(X, y, patterns).status == "optimal"
    gates = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, -1.0]]).T  # on walls
    assert solve(X, y, cvxnn.activation_patterns(X, gates)).status == "optimal"
    one = cvxnn.activation_patterns([[2.0]], [[1.0]])
    assert solve([[2.0]], [1.0], one).n_active == 1
    assert solve(X, np.zeros(40), patterns).primal == 0.0


def test_a_set_of_patterns_that_stalls_is_exchanged_as_any_other():
    rng = np.random.default_rng(3)
    X, y = rng.normal(size=(30, 4)), rng.normal(size=30)
    options = {"activation": "relu", "alpha": 0.01, "tol": 1e-7}
    adaptive, exact = (cvxnn.solve(X, y, patterns, **options) for patterns in ("adaptive", "exact"))
    assert adaptive.primal == pytest.approx(exact.primal, rel=2e-7)


def test_limits_and_callbacks_hold_for_adaptive_patterns():
    X, y, _ = problem()
    stopped = solve(X, y, "adaptive", callback=lambda _: True)
    assert stopped.status == "callback"
    with pytest.warns(cvxnn.ConvergenceWarning, match="time_limit"):
        late = solve(X, y, "adaptive", time_limit=1e-6)
    assert late.status == "time_limit"
    assert late.dual <= late.primal


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"solver": "newton"}, "solver"),
        ({"weights": np.r_[0.0, np.ones(28)]}, "weights must be positive"),
        ({"activation": "tanh"}, "activation must be one of"),
        ({"patterns": "all"}, "patterns must be one of"),
        ({"patterns": "adaptive", "n_starts": 0}, "n_starts must be >= 1"),
        ({"patterns": "adaptive", "weights": np.ones(29)}, "weights belong to given patterns"),
        ({"patterns": "adaptive", "activation": "gated_relu"}, "needs activation='relu'"),
        ({"patterns": "adaptive", "random_state": "x"}, "random_state"),
    ],
    ids=str,
)
def test_bad_input(options, message):
    X, y, patterns = problem()
    arguments = {"patterns": patterns, "activation": "relu", "alpha": 0.1, **options}
    with pytest.raises((ValueError, TypeError), match=message):
        cvxnn.solve(X, y, arguments.pop("patterns"), **arguments)


@pytest.mark.parametrize("loss", ["squared", "huber", "softmax"])
@pytest.mark.parametrize("seed", range(3))
def test_adaptive_patterns_of_several_outputs_reach_the_optimum_over_all(seed, loss):
    rng = np.random.default_rng(seed)
    X = np.column_stack([rng.standard_normal((20, 2)), np.ones(20)])
    Y = np.maximum(X @ rng.standard_normal((3, 4)), 0.0) @ rng.standard_normal((4, 3))
    if loss == "softmax":
        Y = np.eye(3)[np.argsort(np.argsort(Y[:, 0])) % 7 % 3]
    options = {"activation": "relu", "penalty": "nuclear", "loss": loss, "fit_intercept": True}
    largest = cvxnn.alpha_max(X, Y, "exact", **options)
    assert cvxnn.alpha_max(X, Y, "adaptive", **options) == pytest.approx(largest, rel=1e-6)
    options |= {"alpha": 0.1 * largest, "tol": 1e-5}
    every = cvxnn.solve(X, Y, "exact", **options)
    found = cvxnn.solve(X, Y, "adaptive", **options)
    assert found.status == "optimal"
    assert found.primal == pytest.approx(every.primal, rel=3e-5)
    assert found.network().objective(X, Y, 0.1 * largest, loss=loss) == pytest.approx(found.primal)


def test_adaptive_patterns_of_several_outputs_need_neurons_that_share_them():
    X, y, _ = problem()
    with pytest.raises(ValueError, match=r"need penalty='nuclear', got 'group' and y of shape"):
        cvxnn.solve(X, np.column_stack([y, y]), "adaptive", activation="relu", alpha=0.1)


@pytest.mark.parametrize("patterns", ["sample", "exact", "adaptive"])
def test_estimators_train_relu_networks(patterns):
    X, y, _ = problem(n=15, d=2)
    model = cvxnn.ReLURegressor(0.02, activation="relu", patterns=patterns, n_patterns=50)
    model.fit(X, y)
    assert model.status_ == "optimal"
    assert model.gates_ is None
    assert model.dual_gap_ <= 1e-4 * model.objective_
    assert np.array_equal(model.predict(X), model.network_.predict(X))
    labels = y > np.median(y)
    classifier = cvxnn.ReLUClassifier(0.01, activation="relu", patterns=patterns, n_patterns=50)
    assert classifier.fit(X, labels).score(X, labels) > 0.7


def test_estimators_refuse_what_does_not_go_together():
    X, y, _ = problem()
    with pytest.raises(ValueError, match="needs activation='relu'"):
        cvxnn.ReLURegressor(activation="gated_relu", patterns="adaptive").fit(X, y)
    with pytest.raises(ValueError, match="gates belong to patterns='sample'"):
        cvxnn.ReLURegressor(patterns="exact", gates=np.ones((5, 2))).fit(X, y)
    with pytest.raises(ValueError, match="patterns must be one of"):
        cvxnn.ReLURegressor(patterns="all").fit(X, y)


def test_init_of_other_data_with_the_same_patterns():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 3))
    patterns = cvxnn.activation_patterns(X, rng.standard_normal((3, 30)))
    y = np.abs(X[:, 0])
    options = {"activation": "relu", "alpha": 0.001}
    moved = X + 0.01 * rng.standard_normal(X.shape)
    gates = patterns.gates[:, ((moved @ patterns.gates > 0) == patterns.to_dense()).all(axis=0)]
    same, other = (cvxnn.activation_patterns(data, gates) for data in (X, moved))
    np.testing.assert_array_equal(same.words, other.words)
    init = cvxnn.solve(X, y, same, **options)
    with pytest.raises(ValueError, match=r"^init must come from the same X"):
        cvxnn.solve(moved, y, other, init=init, **options)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"fit_intercept": True},
        {"penalty": "elastic"},
        {"penalty": "nuclear", "tol": 1e-5},
        {"loss": "logistic"},
    ],
    ids=str,
)
def test_more_features_than_samples_are_those_of_the_span(options, dtype):
    rng = np.random.default_rng(3)
    X = rng.standard_normal((15, 40)).astype(dtype)
    X[3] = X[2]
    y = np.sign(X[:, 0] + np.abs(X[:, 1])).astype(np.float64)
    if options.get("penalty") == "nuclear":
        y = np.column_stack([y, X[:, 2]])
    gates = rng.standard_normal((40, 20))
    basis = np.linalg.qr(X.T.astype(np.float64))[0]
    few = X @ basis
    tol = options.get("tol", 1e-8)
    options = {**options, "activation": "relu", "alpha": 0.01, "tol": tol}
    patterns = cvxnn.activation_patterns(X, gates)
    wide = cvxnn.solve(X, y, patterns, **options)
    own = PatternSet(patterns.words, basis.T @ patterns.gates, patterns.n_samples)
    expected = cvxnn.solve(few, y, own, **options)
    assert wide.status == "optimal"
    assert wide.primal == pytest.approx(expected.primal, rel=2 * tol)
    assert wide.blocks.shape[1] == 40
    np.testing.assert_allclose(
        wide.blocks.swapaxes(1, -1) @ basis @ basis.T, wide.blocks.swapaxes(1, -1), atol=1e-12
    )
    if options.get("penalty") != "elastic":
        network, loss = wide.network(), options.get("loss", "squared")
        value = network.objective(X, y, 0.01, loss=loss)
        assert value == pytest.approx(wide.primal, rel=1e-6 if dtype == np.float32 else 1e-9)
    again = cvxnn.solve(X, y, patterns, init=wide, **options)
    assert again.primal == pytest.approx(wide.primal, rel=tol)
    if options.get("penalty") != "nuclear":
        assert again.n_iter <= 2
        a_max = cvxnn.alpha_max(
            X,
            y,
            patterns,
            **{k: v for k, v in options.items() if k not in ("alpha", "tol")},
        )
        assert not cvxnn.solve(X, y, patterns, **{**options, "alpha": 1.001 * a_max}).n_active
