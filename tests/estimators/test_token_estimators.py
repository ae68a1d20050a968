"""Estimators of tokens: targets of either kind, parameters, errors, scikit-learn's manners."""

import pickle
import re

import numpy as np
import pytest
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score

import cvxnn

RNG = np.random.default_rng(0)
X = RNG.standard_normal((60, 4, 3))
Y = np.abs(X[:, :, 0]).mean(axis=1) * 5 + 3
LABELS = np.array(["a", "b", "c"])[(X[:, 0, 0] > 0).astype(int) + (X[:, 1, 1] > 0)]
KINDS = [cvxnn.ConvexSelfAttention, cvxnn.ConvexMLPMixer, cvxnn.ConvexFNO]
KIND = pytest.mark.parametrize("kind", KINDS)
SMALL = {"alpha": 0.01, "n_patterns": 4, "n_threads": 1}


@KIND
@pytest.mark.parametrize("solver", ["block", "factor"])
def test_regression(kind, solver):
    model = kind(solver=solver, **SMALL).fit(X, Y)
    assert (model.status_, model.solver_) == ("optimal", solver)
    assert 0 <= model.dual_gap_ <= 1e-4 * model.objective_
    assert model.predict(X).shape == (60,)
    assert model.score(X, Y) > 0.85
    assert kind(solver=solver, **SMALL).fit(X, Y[:, None]).predict(X).shape == (60, 1)
    assert is_regressor(model)
    assert not is_classifier(model)
    assert not hasattr(model, "predict_proba")
    assert not hasattr(model, "decision_function")


@KIND
@pytest.mark.parametrize("loss", ["logistic", "softmax"])
def test_classification(kind, loss):
    model = kind(loss=loss, **SMALL).fit(X, LABELS)
    assert model.score(X, LABELS) > 0.95
    probabilities = model.predict_proba(X)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0)
    np.testing.assert_array_equal(model.classes_[probabilities.argmax(axis=1)], model.predict(X))
    assert model.decision_function(X).shape == (60, 3)
    assert is_classifier(model)
    assert not is_regressor(model)
    two = kind(loss=loss, **SMALL).fit(X, LABELS == "a")
    assert two.decision_function(X).shape == (60,)
    assert two.score(X, LABELS == "a") > 0.95


@KIND
def test_outputs_of_each_token(kind):
    targets = X[:, :, :2] ** 2
    model = kind(pool_tokens=False, **SMALL).fit(X, targets)
    assert model.predict(X).shape == targets.shape
    assert 0.2 < model.score(X, targets) <= 1.0
    one = kind(pool_tokens=False, **SMALL).fit(X, targets[:, :, 0])
    assert one.predict(X).shape == targets.shape[:2]
    weight = np.arange(60.0)
    assert one.score(X, targets[:, :, 0], weight) != one.score(X, targets[:, :, 0])


@KIND
@pytest.mark.parametrize("activation", ["linear", "gated_relu"])
def test_network_has_the_objective_of_the_program_and_scaling_is_folded_in(kind, activation):
    options = {"activation": activation, "fit_intercept": False, **SMALL, "tol": 1e-6}
    plain = kind(standardize=False, **options).fit(X, Y)
    assert plain.network_.objective(X, Y, plain.alpha) == pytest.approx(plain.objective_, rel=1e-9)
    scaled = kind(**options).fit(X, Y)
    again = kind(**options).fit(1024.0 * X, Y)  # a power of two: the same bits
    np.testing.assert_allclose(again.predict(1024.0 * X), scaled.predict(X), rtol=1e-6)
    shifted = kind(activation=activation, **SMALL, tol=1e-6).fit(X, 10.0 * Y + 5.0)
    fits = kind(activation=activation, **SMALL, tol=1e-6).fit(X, Y).predict(X)
    np.testing.assert_allclose(shifted.predict(X), 10.0 * fits + 5.0, rtol=1e-3)


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("activation", ["linear", "gated_relu"])
def test_blocks_of_channels(fit_intercept, activation):
    model = cvxnn.ConvexFNO(
        n_blocks=3, activation=activation, fit_intercept=fit_intercept, **SMALL
    ).fit(X, Y)
    kernels = model.network_.coefs_[0]
    used = np.abs(kernels[:, :, :3]).max(axis=1) > 0
    assert (used.sum(axis=1) <= 1).all()
    assert used.any(axis=0).all()
    whole = cvxnn.ConvexFNO(activation=activation, fit_intercept=fit_intercept, **SMALL).fit(X, Y)
    if activation == "linear":  # the same gates give more patterns to blocks of fewer channels
        assert model.objective_ >= whole.lower_bound_


RELU = {"activation": "relu", **SMALL, "alpha": 0.05}
FEW = X[:10, :2, :2]


@KIND
@pytest.mark.parametrize("pool_tokens", [True, False])
def test_relu_heads_feed_all_outputs(kind, pool_tokens):
    targets = np.abs(FEW).mean(axis=1) if pool_tokens else np.abs(FEW)
    options = {"pool_tokens": pool_tokens, "fit_intercept": False, **RELU}
    plain = kind(standardize=False, **options).fit(FEW, targets)
    assert (plain.status_, plain.solver_) == ("optimal", "block")
    assert plain.network_.coefs_[1].shape[2] == 2
    recovered = plain.network_.objective(FEW, targets, plain.alpha)
    assert recovered == pytest.approx(plain.objective_, rel=1e-8)
    scaled = kind(**options).fit(FEW, targets)
    again = kind(**options).fit(1024.0 * FEW, targets)  # a power of two: the same bits
    np.testing.assert_allclose(again.predict(1024.0 * FEW), scaled.predict(FEW), rtol=1e-6)


@KIND
@pytest.mark.parametrize("loss", ["logistic", "softmax"])
def test_relu_heads_of_classes(kind, loss):
    model = kind(loss=loss, **RELU).fit(FEW, LABELS[:10])
    assert model.status_ == "optimal"
    assert model.decision_function(FEW).shape == (10, 3)
    assert model.score(FEW, LABELS[:10]) > 0.7


@KIND
def test_float32(kind):
    double = kind(**SMALL, tol=1e-6).fit(X, Y)
    single = kind(**SMALL, tol=1e-6).fit(X.astype(np.float32), Y)
    np.testing.assert_allclose(single.predict(X), double.predict(X), rtol=1e-3)


@KIND
def test_weights_of_samples(kind):
    weight = np.array([2.0] * 20 + [1.0] * 20 + [0.0] * 20)
    rows = np.r_[0:40, 0:20]
    options = {**SMALL, "alpha": 0.1, "tol": 1e-7, "fit_intercept": False}
    weighted = kind(**options).fit(X, Y, weight)
    repeated = kind(**options).fit(X[rows], Y[rows])
    assert weighted.objective_ == pytest.approx(repeated.objective_, rel=1e-6)
    tokens = np.abs(X[:, :, :1])
    weighted = kind(pool_tokens=False, **options).fit(X, tokens, weight)
    repeated = kind(pool_tokens=False, **options).fit(X[rows], tokens[rows])
    assert weighted.objective_ == pytest.approx(repeated.objective_, rel=1e-6)


@KIND
def test_one_sample_one_token_one_channel(kind):
    assert np.isfinite(kind(**SMALL).fit(X[:1], Y[:1]).predict(X[:1])).all()
    model = kind(n_threads=1, fit_intercept=False).fit(X[:, :1, :1], Y)
    assert np.isfinite(model.predict(X[:, :1, :1])).all()
    zero = kind(**SMALL).fit(np.zeros((4, 2, 2)), np.arange(4.0))
    np.testing.assert_allclose(zero.predict(np.zeros((1, 2, 2))), 1.5, rtol=1e-3)


@KIND
def test_manners(kind):
    model = kind(solver="factor", **SMALL)
    assert clone(model).get_params() == model.get_params()
    assert "alpha=0.01" in repr(model)
    few, target = X[:20, :3, :2], Y[:20]
    with pytest.raises(NotFittedError):
        model.predict(few)
    assert model.fit(few, target) is model
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(few), model.predict(few))
    np.testing.assert_array_equal(clone(model).fit(few, target).predict(few), model.predict(few))
    classifier = kind(loss="logistic", **SMALL)
    search = GridSearchCV(classifier, {"alpha": [10.0, 0.1]}, cv=2).fit(few, LABELS[:20])
    assert search.predict(few).shape == (20,)
    assert cross_val_score(model, few, target, cv=2).shape == (2,)


def test_own_gates():
    gates = RNG.standard_normal((3, 4, 4))
    model = cvxnn.ConvexMLPMixer(gates=gates, **SMALL).fit(X, Y)
    assert model.n_patterns_ == 3
    for gate in model.network_.gates_:
        assert (np.abs(gates - gate).max(axis=(1, 2)) == 0).any()


def test_an_unfinished_fit_warns_and_is_usable():
    model = cvxnn.ConvexMLPMixer(max_iter=1, solver="factor", **SMALL)
    with pytest.warns(ConvergenceWarning, match="fit ended with status 'max_iter'"):
        model.fit(X, Y)
    assert model.lower_bound_ < model.objective_
    stopped = cvxnn.ConvexMLPMixer(**SMALL)
    with pytest.warns(ConvergenceWarning, match="callback"):
        stopped.fit(X, Y, callback=lambda info: info.iteration >= 1)


@KIND
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alpha": 0.0}, "alpha must be positive"),
        ({"alpha": np.nan}, "alpha must be positive"),
        ({"activation": "tanh"}, "activation must be one of"),
        ({"loss": "hinge"}, "loss must be one of"),
        ({"solver": "newton"}, "solver must be one of ['auto', 'block', 'factor'], got 'newton'"),
        ({"n_patterns": 0}, "n_patterns must be >= 1"),
        ({"tol": -1.0}, "tol must be positive"),
        ({"gates": np.ones((2, 5, 7))}, "gates must have shape (any, "),
        ({"gates": np.ones((2, 4, 4)), "activation": "linear"}, "gates belong to"),
        ({"loss": "softmax", "pool_tokens": False}, "needs pool_tokens=True"),
        ({"activation": "relu", "solver": "factor"}, "solver must be 'auto' or 'block' for"),
    ],
)
def test_refused_parameters(kind, options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        kind(**{**SMALL, **options}).fit(X, Y)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_blocks": 0}, "n_blocks must be >= 1"),
        ({"n_blocks": 2}, "n_blocks must divide the number of channels, 3, got 2"),
        ({"n_blocks": 3, "activation": "relu"}, "needs n_blocks=1, got 3"),
    ],
)
def test_refused_blocks(options, message):
    with pytest.raises(ValueError, match=message):
        cvxnn.ConvexFNO(**options).fit(X, Y)


@KIND
@pytest.mark.parametrize(
    ("tokens", "targets", "options", "message"),
    [
        (X[0], Y, {}, "X must have shape (n_samples, n_tokens, n_channels)"),
        (np.where(X > 2, np.inf, X), Y, {}, "X contains NaN or infinity"),
        (X, Y[:-1], {}, "inconsistent numbers of samples"),
        (X, np.where(Y > 7, np.nan, Y), {}, "NaN"),
        (X, Y, {"pool_tokens": False}, "for outputs of each token, got (60,)"),
        (X, X[:, :3], {"pool_tokens": False}, "(60, 4, any) for outputs of each token"),
        (X, X[1:], {"pool_tokens": False}, "(60, 4, any) for outputs of each token"),
        (X, X * np.nan, {"pool_tokens": False}, "y contains NaN or infinity"),
        (X, np.zeros(60), {"loss": "logistic"}, "y must hold at least two classes"),
        (X, Y, {"loss": "softmax"}, "Unknown label type"),
    ],
)
def test_refused_data(kind, tokens, targets, options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        kind(**SMALL, **options).fit(tokens, targets)


@KIND
def test_samples_of_another_shape(kind):
    model = kind(**SMALL).fit(X, Y)
    with pytest.raises(ValueError, match=r"samples of shape \(4, 3\), as in fit"):
        model.predict(X[:, :2])


@KIND
@pytest.mark.parametrize("pool_tokens", [True, False])
def test_grid_search(kind, pool_tokens):
    targets = Y if pool_tokens else X[:, :, :2] ** 2
    model = kind(pool_tokens=pool_tokens, **SMALL)
    grid = [{"alpha": [100.0, 0.1]}, {"n_patterns": [2], "solver": ["factor"]}]
    search = GridSearchCV(model, grid, cv=2).fit(X, targets)
    scores = search.cv_results_["mean_test_score"]
    assert np.isfinite(scores).all()
    assert search.best_score_ == scores.max()
    chosen = clone(model).set_params(**search.best_params_).fit(X, targets)
    np.testing.assert_array_equal(search.predict(X), chosen.predict(X))
    by_hand = [
        clone(chosen).fit(X[train], targets[train]).score(X[test], targets[test])
        for train, test in KFold(2).split(X)
    ]
    assert search.best_score_ == pytest.approx(np.mean(by_hand), rel=1e-9)


@pytest.mark.parametrize("seed", [18, 84])
def test_rounds_that_lower_nothing_end(seed):
    rng = np.random.default_rng(seed)
    X, Y = rng.standard_normal((8, 2, 3)), rng.standard_normal((8, 2))
    model = cvxnn.ConvexFNO(
        0.05,
        activation="relu",
        gates=rng.standard_normal((3, 2, 3)),
        fit_intercept=False,
        standardize=False,
    )
    assert model.fit(X, Y).status_ == "optimal"
