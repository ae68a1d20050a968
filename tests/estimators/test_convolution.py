"""Estimators of images and signals."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV

import cvxnn
from cvxnn import ConvReLUClassifier, ConvReLURegressor
from cvxnn._patches import Pooling, check_windows
from cvxnn.convolution import Convolution, WhitenedWindows, patch_whitener

RNG = np.random.default_rng(0)
IMAGES = RNG.standard_normal((60, 2, 6, 5))
SIGNALS = RNG.standard_normal((60, 1, 9))
STEPS = np.maximum(np.diff(IMAGES[:, 0], axis=1), 0).mean(axis=(1, 2))
LABELS = np.where(STEPS - np.median(STEPS) > 0, "rough", "smooth")
THREE = np.digitize(STEPS, np.quantile(STEPS, [0.3, 0.7]))
EXACT = {"fit_intercept": False, "standardize": False}

# Options of fits to `IMAGES` whose objective is that of the network.
VARIANTS = {
    "mean": {},
    "max": {"pooling": "max"},
    "windows": {"pooling": ("mean", 2), "stride": (1, 2), "padding": 1},
    "max of windows": {"pooling": ("max", (2, 1)), "kernel_size": 2},
    "dense head": {"pooling": None, "circular": True, "kernel_size": (2, 1), "stride": 3},
    "relu": {"activation": "relu", "n_patterns": 30},
    "max of relu": {"activation": "relu", "pooling": "max", "n_patterns": 10, "kernel_size": 4},
    "linear": {"activation": "linear", "pooling": ("mean", (2, 3))},
    "frequencies": {
        "activation": "linear",
        "pooling": None,
        "circular": True,
        "kernel_size": (6, 5),
    },
}


@pytest.fixture(params=VARIANTS.values(), ids=VARIANTS)
def variant(request):
    """Options of a fit."""
    return {"alpha": 0.01, "n_patterns": 25, **request.param}


def test_network_has_the_objective_of_the_program(variant):
    model = ConvReLURegressor(tol=1e-8, **{**variant, **EXACT}).fit(IMAGES, STEPS)
    assert model.status_ == "optimal"
    assert 0.0 <= model.dual_gap_ <= 1e-8 * model.objective_
    objective = model.network_.objective(IMAGES, STEPS, 0.01)
    assert objective == pytest.approx(model.objective_, rel=1e-8)
    assert model.network_.width > 0


# ReLU neurons are generated one by one, and a joint program has no blocks of frequencies.
_APART = ("relu", "max of relu", "frequencies")
SHARING = {name: case for name, case in VARIANTS.items() if name not in _APART}
TWO = np.column_stack([STEPS, IMAGES[:, 1].mean(axis=(1, 2))])


@pytest.mark.parametrize("options", SHARING.values(), ids=SHARING)
def test_joint_outputs(options):
    model = ConvReLURegressor(
        0.01, tol=1e-8, penalty="nuclear", n_patterns=30, **{**options, **EXACT}
    ).fit(IMAGES, TWO)
    objective = model.network_.objective(IMAGES, TWO, 0.01)
    assert objective == pytest.approx(model.objective_, rel=1e-7)
    assert model.predict(IMAGES).shape == TWO.shape


@pytest.mark.parametrize(
    ("pooling", "y", "dtype"),
    [
        (("mean", 3), STEPS, np.float64),
        (("max", (2, 3)), STEPS, np.float64),
        (("max", (2, 3)), STEPS, np.float32),
    ],
)
def test_relu_filters_with_several_positions(pooling, y, dtype):
    X = IMAGES.astype(dtype)
    model = ConvReLURegressor(0.02, activation="relu", pooling=pooling, n_patterns=6, **EXACT)
    model.fit(X, y)
    assert model.status_ == "optimal"
    assert 0.0 <= model.dual_gap_ <= 1e-4 * model.objective_
    assert model.network_.width > 0
    objective = model.network_.objective(X, y, 0.02)
    assert objective == pytest.approx(model.objective_, rel=1e-8 if dtype is np.float64 else 1e-4)


@pytest.mark.parametrize("kind", ["mean", "max"])
@pytest.mark.parametrize("several", [False, True])
def test_relu_filters_of_one_entry_are_a_group_lasso(kind, several):
    # Their signs are all that matters: pooled positive and pooled negative parts are the groups.
    y = TWO if several else STEPS
    windows = SIGNALS.reshape(60, 3, 3)
    pooled = [getattr(np.maximum(part, 0.0), kind)(axis=2) for part in (windows, -windows)]
    model = ConvReLURegressor(
        0.02,
        kernel_size=1,
        activation="relu",
        pooling=(kind, 3),
        penalty="nuclear",
        tol=1e-6,
        **EXACT,
    ).fit(SIGNALS, y)
    c = y.size // 60  # a row of the lasso is an output of a sample, so that its mean is over both
    design = np.kron(np.hstack(pooled), np.eye(c))
    lasso = cvxnn.solve_group_lasso(design, y.ravel(), 3 * c, alpha=0.02 / c, tol=1e-9)
    assert model.n_patterns_ == 2
    assert model.objective_ == pytest.approx(c * lasso.primal, rel=1e-6)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_gates_are_in_the_cones_of_their_winners(dtype):
    # Equal patches are equal but for rounding once they are whitened.
    X = (IMAGES > 0.5).astype(dtype)
    windows = check_windows(2, 1, 0, False, 2)
    whitener = patch_whitener(windows, X, np.ones(60), None)
    whitened = WhitenedWindows(**vars(windows), whitener=whitener)
    convolution = Convolution(whitened, Pooling("max", (2, 2)), True, 1)
    design = convolution.relu(X, convolution.gates(X, 20, 0))
    gates = convolution.gates(X, 20, 0)
    assert design.n_blocks == 20
    lengths = np.linalg.norm(design.cones.rows, axis=1, keepdims=True)
    rows = np.divide(design.cones.rows, lengths, where=lengths > 0, out=0 * design.cones.rows)
    for p, gate in enumerate(gates.T):
        cone = rows[design.cones.starts[p] : design.cones.starts[p + 1]]
        assert (cone @ gate).min() >= -1e-5
        assert (cone @ -gate).min() < -0.1
    assert (lengths == 0).any()


def test_softmax_of_relu_filters():
    model = ConvReLUClassifier(0.01, loss="softmax", activation="relu", n_patterns=6, **EXACT)
    model.fit(IMAGES, THREE)
    assert (model.status_, model.network_.n_outputs_) == ("optimal", 3)
    shares = np.eye(3)[THREE]
    objective = model.network_.objective(IMAGES, shares, 0.01, loss="softmax")
    assert objective == pytest.approx(model.objective_, rel=1e-8)


def test_scale_of_inputs_and_targets_is_undone(variant):
    small = ConvReLURegressor(tol=1e-9, **variant).fit(IMAGES, STEPS)
    large = ConvReLURegressor(tol=1e-9, **variant).fit(256 * IMAGES, 8 * STEPS + 3)
    np.testing.assert_allclose(
        large.predict(256 * IMAGES), 8 * small.predict(IMAGES) + 3, rtol=1e-6, atol=1e-6
    )
    assert large.objective_ == pytest.approx(small.objective_, rel=1e-8)


def test_targets_apart_and_in_their_shape():
    Y = np.column_stack([STEPS, IMAGES[:, 1, 0, 0]])
    both = ConvReLURegressor(0.01, tol=1e-9).fit(IMAGES, Y)
    for k in range(2):
        one = ConvReLURegressor(0.01, tol=1e-9).fit(IMAGES, Y[:, k])
        np.testing.assert_allclose(both.predict(IMAGES)[:, k], one.predict(IMAGES), atol=1e-5)
    assert ConvReLURegressor().fit(IMAGES, STEPS[:, None]).predict(IMAGES).shape == (60, 1)


@pytest.mark.parametrize("loss", ["logistic", "softmax", "squared_hinge", "hinge"])
@pytest.mark.parametrize("labels", [LABELS, THREE], ids=["two", "three"])
def test_classification(loss, labels):
    model = ConvReLUClassifier(loss=loss, kernel_size=2, pooling=("mean", 2), n_patterns=20).fit(
        IMAGES, labels
    )
    assert set(model.classes_) == set(labels)
    assert model.score(IMAGES, labels) > 0.9
    scores = model.decision_function(IMAGES)
    assert scores.shape == ((60,) if labels is LABELS else (60, 3))
    if loss in ("logistic", "softmax"):
        shares = model.predict_proba(IMAGES)
        np.testing.assert_allclose(shares.sum(axis=1), 1.0)
        np.testing.assert_array_equal(model.classes_[shares.argmax(axis=1)], model.predict(IMAGES))


def test_weight_two_is_two_samples():
    twice = np.concatenate([IMAGES, IMAGES[:20]])
    weight = np.where(np.arange(60) < 20, 2.0, 1.0)
    one = ConvReLUClassifier().fit(IMAGES, LABELS, sample_weight=weight)
    two = ConvReLUClassifier().fit(twice, np.concatenate([LABELS, LABELS[:20]]))
    np.testing.assert_array_equal(one.decision_function(IMAGES), two.decision_function(IMAGES))
    weight[:30] = 0.0
    some = ConvReLUClassifier().fit(IMAGES, LABELS, sample_weight=weight)
    alone = ConvReLUClassifier().fit(IMAGES[30:], LABELS[30:])
    np.testing.assert_array_equal(some.decision_function(IMAGES), alone.decision_function(IMAGES))


def test_class_weight_counts_as_sample_weight():
    weight = np.where(LABELS == "rough", 3.0, 1.0)
    one = ConvReLUClassifier(class_weight={"rough": 3.0, "smooth": 1.0}).fit(IMAGES, LABELS)
    two = ConvReLUClassifier().fit(IMAGES, LABELS, sample_weight=weight)
    np.testing.assert_array_equal(one.decision_function(IMAGES), two.decision_function(IMAGES))


@pytest.mark.parametrize("kind", [ConvReLURegressor, ConvReLUClassifier])
def test_manners_of_scikit_learn(kind):
    y = STEPS if kind is ConvReLURegressor else LABELS
    model = kind(0.02, kernel_size=(2, 3), pooling=("max", 2), random_state=7)
    assert repr(clone(model)) == repr(model)
    assert clone(model).get_params() == model.get_params()
    with pytest.raises(NotFittedError):
        model.predict(IMAGES)
    assert model.fit(IMAGES, y) is model
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(IMAGES), model.predict(IMAGES))
    np.testing.assert_array_equal(
        clone(model).fit(IMAGES, y).predict(IMAGES), model.predict(IMAGES)
    )
    assert (model.input_shape_, model.n_features_in_, model.n_outputs_) == ((2, 6, 5), 60, 1)


def test_grid_search():
    search = GridSearchCV(ConvReLUClassifier(kernel_size=2), {"alpha": [0.01, 10.0]}, cv=2)
    assert search.fit(IMAGES, LABELS).best_params_ == {"alpha": 0.01}


def test_threads_and_order_of_samples_do_not_matter():
    one = ConvReLURegressor(0.01, n_threads=1).fit(IMAGES, STEPS)
    two = ConvReLURegressor(0.01, n_threads=2).fit(IMAGES[::-1], STEPS[::-1])
    np.testing.assert_array_equal(one.predict(IMAGES), two.predict(IMAGES))


def test_strips_do_not_change_a_fit(variant, monkeypatch):
    whole = ConvReLURegressor(**variant).fit(IMAGES, STEPS)
    monkeypatch.setattr("cvxnn._patches._STRIP", 1)  # one sample
    parts = ConvReLURegressor(**variant).fit(IMAGES, STEPS)
    assert parts.n_patterns_ == whole.n_patterns_
    assert parts.objective_ == pytest.approx(whole.objective_, rel=1e-9)


@pytest.mark.parametrize(
    "change",
    [
        lambda X: np.asfortranarray(X),
        lambda X: np.repeat(X, 2, axis=3)[..., ::2],
        lambda X: X.astype(">f8"),
        lambda X: X.tolist(),
        lambda X: X[::-1].copy()[::-1],
    ],
    ids=["fortran", "strided", "big endian", "lists", "reversed"],
)
def test_layouts_of_data(change):
    wanted = ConvReLURegressor().fit(IMAGES, STEPS)
    data = change(IMAGES)
    if isinstance(data, np.ndarray):
        data.flags.writeable = False
    got = ConvReLURegressor().fit(data, STEPS)
    np.testing.assert_array_equal(got.predict(data), wanted.predict(IMAGES))


def test_float32(variant):
    data = IMAGES.astype(np.float32)
    single = ConvReLURegressor(**variant).fit(data, STEPS)
    double = ConvReLURegressor(**variant).fit(data.astype(np.float64), STEPS)
    assert single.objective_ == pytest.approx(double.objective_, rel=1e-3)
    assert single.predict(data).dtype == np.float64


def test_images_of_integers():
    pixels = RNG.integers(0, 255, (40, 1, 5, 5), dtype=np.uint8)
    y = pixels[:, 0, 2, 2] > 128
    model = ConvReLUClassifier(kernel_size=2, pooling=None).fit(pixels, y)
    assert model.score(pixels, y) > 0.9


def test_one_sample():
    model = ConvReLURegressor().fit(IMAGES[:1], [2.0])
    np.testing.assert_array_equal(model.predict(IMAGES[:3]), [2.0, 2.0, 2.0])


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_constant_images(value):
    X = np.full((6, 1, 4, 4), value)
    model = ConvReLURegressor().fit(X, np.arange(6.0))
    np.testing.assert_allclose(model.predict(X), 2.5)


def test_blank_images_need_a_bias():
    with pytest.raises(ValueError, match="gates must be active"):
        ConvReLURegressor(**EXACT).fit(np.zeros((6, 1, 4, 4)), np.arange(6.0))


def test_kernel_of_one_position_is_a_dense_network():
    dense = cvxnn.ReLURegressor(0.01, gates=cvxnn.sample_gates(9, 50, random_state=1), **EXACT)
    dense.set_params(activation="gated_relu", tol=1e-9).fit(SIGNALS[:, 0], STEPS)
    model = ConvReLURegressor(
        0.01, kernel_size=9, gates=cvxnn.sample_gates(9, 50, random_state=1), tol=1e-9, **EXACT
    ).fit(SIGNALS, STEPS)
    assert model.objective_ == pytest.approx(dense.objective_, rel=1e-8)
    np.testing.assert_allclose(model.predict(SIGNALS), dense.predict(SIGNALS[:, 0]), atol=1e-5)


def test_callback_and_limits():
    seen = []
    with pytest.warns(ConvergenceWarning, match="status 'callback'"):
        ConvReLURegressor().fit(IMAGES, STEPS, callback=lambda info: seen.append(info) or True)
    assert len(seen) == 1
    with pytest.warns(ConvergenceWarning, match="status 'max_iter'") as record:
        model = ConvReLURegressor(1e-4, max_iter=1, tol=1e-9).fit(IMAGES, STEPS)
    assert (model.status_, model.n_iter_) == ("max_iter", 1)
    assert record[0].filename == __file__


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alpha": 0.0}, "alpha must be positive"),
        ({"activation": "tanh"}, "activation must be one of"),
        ({"loss": "hinge"}, "loss must be one of"),
        ({"penalty": "feature"}, "penalty must be one of"),
        ({"n_patterns": 0}, "n_patterns must be >= 1"),
        ({"kernel_size": 7}, "kernel_size must be at most the size of X"),
        ({"kernel_size": (2, 2, 2)}, "kernel_size must be an integer or have 2"),
        ({"stride": 0}, "stride must be >= 1"),
        ({"padding": -1}, "padding must be >= 0"),
        ({"padding": 1, "circular": True}, "circular=True wraps around"),
        ({"pooling": "median"}, "pooling must be one of"),
        ({"pooling": ("mean", 6)}, "pooling must have windows of at most the size of a map"),
        ({"activation": "relu", "penalty": "group"}, r"penalty \(for activation='relu'\) must be"),
        ({"activation": "relu", "penalty": "columns"}, r"penalty \(for activation='relu'\) must"),
        ({"activation": "linear", "pooling": "max"}, "'max' needs activation='gated_relu'"),
        ({"activation": "linear", "gates": np.ones((18, 2))}, "gates belong to"),
        ({"gates": np.ones((18, 2))}, r"gates must have shape .* = \(19, >= 1\)"),
        ({"gates": np.full((19, 2), np.nan)}, "gates contains NaN"),
    ],
)
def test_bad_parameters(options, message):
    with pytest.raises(ValueError, match=message):
        ConvReLURegressor(**options).fit(IMAGES, STEPS)


def test_too_many_rows_of_cones(monkeypatch):
    monkeypatch.setattr("cvxnn.convolution._MOST_ROWS", 719)
    model = ConvReLURegressor(activation="relu", pooling="max", gates=np.eye(19)[:, :1])
    with pytest.raises(ValueError, match="needs 1 cones of 720 rows, at most 719"):
        model.fit(IMAGES, STEPS)


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (IMAGES[:, 0, 0], STEPS, "X must have shape"),
        (IMAGES[0, 0, 0], STEPS, "X must have shape"),
        (IMAGES[None], STEPS, "X must have shape"),
        (IMAGES[:0], STEPS[:0], "X must have no axis of length 0"),
        (IMAGES[:, :0], STEPS, "X must have no axis of length 0"),
        (
            np.where(IMAGES - IMAGES[1, 0, 2, 3] == 0, np.inf, IMAGES),
            STEPS,
            r"at index \(1, 0, 2, 3\)",
        ),
        (np.where(IMAGES > 0, np.nan, IMAGES), STEPS, "X contains NaN"),
        (IMAGES + 1j, STEPS, "X must be real"),
        (IMAGES * 1e200, STEPS, "X has entries of magnitude"),
        (IMAGES, STEPS[:5], "inconsistent numbers of samples"),
        (IMAGES, np.where(STEPS > 0.5, np.nan, STEPS), "contains NaN"),
    ],
)
def test_bad_data(X, y, message):
    with pytest.raises(ValueError, match=message):
        ConvReLURegressor().fit(X, y)


def test_bad_weights_and_labels():
    with pytest.raises(ValueError, match=r"^sample_weight must have a positive entry"):
        ConvReLURegressor().fit(IMAGES, STEPS, sample_weight=np.zeros(60))
    with pytest.raises(ValueError, match=r"^sample_weight must be non-negative"):
        ConvReLURegressor().fit(IMAGES, STEPS, sample_weight=np.full(60, -1.0))
    with pytest.raises(ValueError, match="at least two classes"):
        ConvReLUClassifier().fit(IMAGES, np.zeros(60, dtype=int))


def test_samples_must_keep_their_shape():
    model = ConvReLURegressor().fit(IMAGES, STEPS)
    with pytest.raises(ValueError, match=r"X must hold samples of shape \(2, 6, 5\), as in fit"):
        model.predict(IMAGES[:, :, :5])
