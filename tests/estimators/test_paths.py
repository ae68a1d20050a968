"""Paths and warm starts of all estimators: the same optima, sooner."""

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning, NotFittedError

import cvxnn

RNG = np.random.default_rng(0)
IMAGES = RNG.standard_normal((50, 2, 5, 4))
STEPS = np.maximum(np.diff(IMAGES[:, 0], axis=1), 0).mean(axis=(1, 2))
LABELS = np.digitize(STEPS, np.quantile(STEPS, [0.3, 0.7]))
TOKENS = RNG.standard_normal((40, 3, 2))
NORMS = np.abs(TOKENS[:, :, 0]).mean(axis=1)
TABLE = RNG.standard_normal((50, 3))
BENT = np.abs(TABLE[:, 0]) - TABLE[:, 1]

FEW = {"n_patterns": 8, "n_threads": 1, "tol": 1e-5}
CASES = {
    "mean": (cvxnn.ConvReLURegressor(**FEW), IMAGES, STEPS),
    "max": (cvxnn.ConvReLURegressor(**FEW, pooling="max"), IMAGES, STEPS),
    "windows": (cvxnn.ConvReLURegressor(**FEW, pooling=("mean", (3, 1))), IMAGES, STEPS),
    "classes": (cvxnn.ConvReLUClassifier(**FEW), IMAGES, LABELS),
    "softmax": (cvxnn.ConvReLUClassifier(**FEW, loss="softmax"), IMAGES, LABELS),
    "relu": (cvxnn.ConvReLURegressor(**FEW, activation="relu"), IMAGES, STEPS),
    "max of relu": (
        cvxnn.ConvReLURegressor(**FEW, activation="relu", pooling="max"),
        IMAGES,
        STEPS,
    ),
    "windows of relu": (
        cvxnn.ConvReLURegressor(**FEW, activation="relu", pooling=("mean", (3, 1))),
        IMAGES[:20],
        STEPS[:20],
    ),
    "linear": (cvxnn.ConvReLURegressor(**FEW, activation="linear", pooling=None), IMAGES, STEPS),
    "frequencies": (
        cvxnn.ConvReLURegressor(
            **FEW, activation="linear", pooling=None, kernel_size=(5, 4), circular=True
        ),
        IMAGES,
        STEPS,
    ),
    "normalised filters": (cvxnn.ConvReLURegressor(**FEW, batch_norm=True), IMAGES, STEPS),
    "attention": (cvxnn.ConvexSelfAttention(**FEW, solver="block"), TOKENS, NORMS),
    "mixer by factors": (cvxnn.ConvexMLPMixer(**FEW, solver="factor"), TOKENS, NORMS),
    "relu operator": (cvxnn.ConvexFNO(**FEW, activation="relu"), TOKENS[:15], NORMS[:15]),
    "table": (cvxnn.ReLURegressor(**FEW), TABLE, BENT),
    "normalised before": (cvxnn.ReLURegressor(**FEW, batch_norm=True), TABLE, BENT),
    "normalised after": (cvxnn.ReLURegressor(**FEW, batch_norm="after"), TABLE, BENT),
}
CASE = pytest.mark.parametrize(("model", "X", "y"), CASES.values(), ids=CASES)


def size(model):
    """Return the number of neurons with output weights."""
    network = model.network_
    output = network.head_ if isinstance(network, cvxnn.ConvNetwork) else network.coefs_[1]
    return sum(bool(weights.any()) for weights in output)


def first_objective(model, X, y):
    """Return the objective of the first look at the certificate, and that of the fit."""
    seen = []
    model.fit(X, y, callback=lambda info: seen.append(info.primal))
    return seen[0], model.objective_


@CASE
def test_path(model, X, y):
    path = model.solve_path(X, y, n_alphas=4, eps=0.1)
    alphas = [step.alpha for step in path]
    np.testing.assert_allclose(alphas, alphas[0] * np.geomspace(1.0, 0.1, 4))
    around = model.solve_path(X, y, alphas=alphas[0] * np.array([1.01, 0.9]))
    assert [size(step) > 0 for step in around] == [False, True]
    assert [step.status_ for step in path] == ["optimal"] * 4
    for step in path:
        assert 0.0 <= step.dual_gap_ <= 1e-5 * step.objective_ + 1e-12
    cold = type(model)(**{**model.get_params(), "alpha": alphas[3]}).fit(X, y)
    assert size(path[3]) > 0
    assert path[3].objective_ == pytest.approx(cold.objective_, rel=2e-5)
    assert path[3].n_patterns_ == cold.n_patterns_
    assert path[3].score(X, y) == pytest.approx(cold.score(X, y), abs=0.05)
    with pytest.raises(NotFittedError):
        model.predict(X)


@CASE
def test_warm_start(model, X, y):
    alpha = model.solve_path(X, y, n_alphas=2, eps=0.1)[1].alpha
    warm = type(model)(**{**model.get_params(), "alpha": alpha, "warm_start": True})
    cold, optimum = first_objective(warm, X, y)
    begin, again = first_objective(warm, X, y)
    if y is not LABELS or warm.loss == "softmax":  # else classes are looked at one by one
        assert cold > 1.5 * optimum
        assert begin < 1.01 * optimum  # restricted to the neurons of before, loosely at first
    assert again == pytest.approx(optimum, rel=1e-5)
    n_iter = warm.n_iter_
    warm.set_params(alpha=0.5 * alpha).fit(X, y)
    cold = type(model)(**{**warm.get_params(), "warm_start": False}).fit(X, y)
    assert warm.objective_ == pytest.approx(cold.objective_, rel=2e-5)
    assert n_iter <= cold.n_iter_


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("mean", {"random_state": 1}),
        ("mean", {"n_patterns": 7}),
        ("mean", {"kernel_size": 2}),
        ("windows", {"pooling": "mean"}),
        ("mean", {"activation": "relu"}),
        ("mixer by factors", {"random_state": 1}),
        ("mixer by factors", {"solver": "block"}),
        ("normalised after", {"random_state": 1}),
        ("normalised after", {"batch_norm": "before"}),
        ("table", {"random_state": 1}),
    ],
)
def test_starts_of_other_programs_are_left_alone(name, change):
    model, X, y = CASES[name]
    options = {**model.get_params(), "alpha": 0.02}
    warm = type(model)(**{**options, "warm_start": True}).fit(X, y).set_params(**change)
    cold = type(model)(**{**options, **change})
    assert first_objective(warm, X, y) == first_objective(cold, X, y)


@pytest.mark.parametrize("name", ["relu", "max of relu", "windows of relu", "relu operator"])
def test_starts_outside_their_cones_are_left_alone(name):
    model, X, y = CASES[name]
    options = {**model.get_params(), "alpha": 0.02}
    warm = type(model)(**{**options, "warm_start": True}).fit(X, y)
    other = np.random.default_rng(5).standard_normal(X.shape)
    cold = type(model)(**options)
    assert first_objective(warm, other, y) == first_objective(cold, other, y)


def test_one_target_more():
    model, X, y = CASES["softmax"]
    warm = type(model)(**{**model.get_params(), "alpha": 0.02, "warm_start": True}).fit(X, y)
    warm.fit(X, np.where(y == 2, 1, y))
    assert warm.network_.n_outputs_ == 2
    both = cvxnn.ConvReLURegressor(0.02, **FEW, warm_start=True).fit(IMAGES, STEPS)
    both.fit(IMAGES, np.column_stack([STEPS, IMAGES[:, 0, 0, 0]]))
    assert both.predict(IMAGES).shape == (50, 2)


def test_own_alphas_in_any_order():
    model, X, y = CASES["mean"]
    path = model.solve_path(X, y, alphas=[0.01, 0.1])
    assert [step.alpha for step in path] == [0.1, 0.01]
    weight = np.r_[np.zeros(10), np.ones(40)]
    some, alone = (model.solve_path(X, y, weight), model.solve_path(X[10:], y[10:]))
    np.testing.assert_array_equal(some[50].predict(X), alone[50].predict(X))


def test_a_path_that_is_stopped():
    model, X, y = CASES["mean"]
    with pytest.warns(ConvergenceWarning, match="status 'callback'") as record:
        path = model.solve_path(X, y, callback=lambda info: info.alpha < 0.05)
    assert 1 < len(path) < 100
    assert path[-1].status_ == "callback"
    assert record[0].filename == __file__


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_alphas": 0}, "n_alphas must be >= 1"),
        ({"eps": 2.0}, "eps must be"),
        ({"alphas": [0.1, -1.0]}, "alphas must hold at least one value, all positive"),
        ({"alphas": [np.nan]}, "alphas contains NaN"),
    ],
)
def test_refused_paths(options, message):
    model, X, y = CASES["mean"]
    with pytest.raises(ValueError, match=message):
        model.solve_path(X, y, **options)


def test_estimators_that_choose_alpha_have_no_path():
    assert not hasattr(cvxnn.ReLURegressorCV(), "solve_path")


@pytest.mark.parametrize(
    "name", ["mean", "relu", "max of relu", "windows of relu", "mixer by factors", "relu operator"]
)
def test_warm_start_from_the_empty_network(name):
    model, X, y = CASES[name]
    largest, alpha = (step.alpha for step in model.solve_path(X, y, n_alphas=2, eps=0.2))
    options = model.get_params()
    warm = type(model)(**{**options, "alpha": 2.0 * largest, "warm_start": True}).fit(X, y)
    assert size(warm) == 0
    cold = type(model)(**{**options, "alpha": alpha}).fit(X, y)
    assert warm.set_params(alpha=alpha).fit(X, y).objective_ == pytest.approx(
        cold.objective_, rel=2e-5
    )
