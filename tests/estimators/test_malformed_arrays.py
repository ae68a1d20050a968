"""Malformed arrays for estimators: an error that names them, or finite predictions."""

import functools

import numpy as np
import pytest

import cvxnn
from malformed_arrays import attack, entry_points, only_expected_warnings

RNG = np.random.default_rng(0)
X = RNG.standard_normal((8, 2))
Y = np.where(X[:, 0] > 0.1 * X[:, 1], 1.0, -1.0)
TABLE = {"X": X, "y": Y, "sample_weight": np.ones(8)}
IMAGES = {**TABLE, "X": RNG.standard_normal((8, 1, 4, 3))}
TOKENS = {**TABLE, "X": RNG.standard_normal((8, 3, 2))}
QUICK = {"n_patterns": 5, "max_iter": 5, "n_threads": 1}
GATES = {"gates": RNG.standard_normal((3, 5))}
FOLDS = {
    **GATES,
    "alphas": np.array([0.2, 0.1]),
    "cv": [np.arange(0, 8, 2), np.arange(1, 8, 2)],  # of one fold
}
PATCH_GATES = {"gates": RNG.standard_normal((5, 5))}
HEAD_GATES = {"gates": RNG.standard_normal((5, 3, 3))}

# Class, with a variant after a comma: options, the good arrays of `fit`, and those of the class.
MODELS = {
    "ReLURegressor": ({}, TABLE, GATES),
    "ReLURegressor, normalised": ({"batch_norm": True}, TABLE, {}),
    "ReLURegressor, several": (
        {"penalty": "nuclear"},
        {**TABLE, "y": np.column_stack([Y, X[:, 0]])},
        {},
    ),
    "ReLURegressor, exact": (
        {"activation": "relu", "patterns": "exact", "standardize": False},
        TABLE,
        {},
    ),
    "ReLUClassifier": ({}, TABLE, GATES),
    "ReLUClassifier, softmax": ({"loss": "softmax"}, TABLE, {}),
    "ReLURegressorCV": ({"n_alphas": 2, "eps": 0.5, "cv": 2}, TABLE, FOLDS),
    "ReLUClassifierCV": ({"n_alphas": 2, "eps": 0.5, "cv": 2}, TABLE, FOLDS),
    "ConvReLURegressor": ({"kernel_size": 2}, IMAGES, PATCH_GATES),
    "ConvReLUClassifier": ({"kernel_size": 2, "pooling": "max"}, IMAGES, PATCH_GATES),
    "ConvReLURegressorCV": (
        {"kernel_size": 2, "n_alphas": 2, "eps": 0.5, "cv": 2},
        IMAGES,
        {**FOLDS, **PATCH_GATES},
    ),
    "ConvReLUClassifierCV": (
        {"kernel_size": 2, "n_alphas": 2, "eps": 0.5, "cv": 2},
        IMAGES,
        {**FOLDS, **PATCH_GATES},
    ),
    "ConvexSelfAttention": ({"loss": "logistic"}, TOKENS, HEAD_GATES),
    "ConvexSelfAttention, of tokens": (
        {"pool_tokens": False},
        {**TOKENS, "y": TOKENS["X"][:, :, 0]},
        {},
    ),
    "ConvexMLPMixer": ({"loss": "logistic"}, TOKENS, HEAD_GATES),
    "ConvexFNO": ({"loss": "logistic"}, TOKENS, HEAD_GATES),
}


def fit(name, *, method="fit", **arrays):
    """Fit a model of `MODELS` to arrays, some of which are parameters."""
    options, _, choices = MODELS[name]
    chosen = {key: arrays.pop(key) for key in choices if key in arrays}
    if callable(chosen.get("gates")):
        chosen["gates"] = None  # functions may raise what they like
    if isinstance(chosen.get("cv"), list):
        chosen["cv"] = [tuple(chosen["cv"])]
    model = getattr(cvxnn, name.split(",")[0])(**{**QUICK, **options, **chosen})
    return getattr(model, method)(**arrays)


@functools.cache
def fitted(name):
    with only_expected_warnings():
        return fit(name, **MODELS[name][1], **MODELS[name][2])


@pytest.mark.parametrize("name", MODELS)
def test_fit(name):
    assert attack(functools.partial(fit, name), {**MODELS[name][1], **MODELS[name][2]})


@pytest.mark.parametrize("point", entry_points(estimators=True))
def test_methods(point):
    name, method = point.split(".")
    arguments = entry_points(estimators=True)[point]
    good = {**MODELS[name][1], **MODELS[name][2]}
    if method == "solve_path":
        good["alphas"] = np.array([0.2, 0.1])
    assert arguments <= set(good)  # or there is an array that nobody attacks
    arrays = {key: good[key] for key in arguments}
    if method.startswith(("fit", "solve_path")):
        assert attack(functools.partial(fit, name, method=method), arrays, [*good, "cv"])
    elif method == "score":
        score = fitted(name).score  # R2 of one sample is NaN
        assert attack(lambda **arrays: np.nan_to_num(score(**arrays)), arrays)
    else:
        assert attack(getattr(fitted(name), method), arrays)


@pytest.mark.parametrize("name", ["ReLURegressor", "ReLUClassifier", "ConvReLURegressor"])
def test_masked_entries_are_refused(name):
    good = MODELS[name][1]
    masked = {key: np.ma.masked_array(value, value == value.flat[0]) for key, value in good.items()}
    for key in ("X", "y"):
        with pytest.raises(ValueError, match=f"^{key} must not have masked entries"):
            fit(name, **{**good, key: masked[key]})
    with pytest.raises(ValueError, match=r"^X must not have masked entries"):
        fitted(name).predict(masked["X"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"X": X[:, :0]}, r"^X is malformed: Found array with 0 feature\(s\)"),
        ({"X": X[0]}, "^X is malformed: Expected 2D array"),
        ({"X": [[10**400, 1.0]] * 8}, "^X is malformed: int too large to convert to float"),
        ({"y": Y[:-1]}, r"^y is malformed: .*inconsistent numbers of samples: \[8, 7\]"),
        ({"y": ["1", None] * 4}, "^y contains NaN or infinity"),
        ({"y": 1e101 * Y}, "^y has entries of magnitude"),
        ({"sample_weight": -TABLE["sample_weight"]}, "^sample_weight must be non-negative, got -1"),
        ({"sample_weight": 2 + 1j}, "^sample_weight must be real"),
    ],
)
def test_errors_name_the_argument(changes, message):
    with pytest.raises(ValueError, match=message):
        fit("ReLURegressor", **{**TABLE, **changes})


def test_folds_that_are_none():
    for cv in ([(range(8), [8])], [(range(8), [-1])], [(range(8),)], [3]):
        with pytest.raises((ValueError, TypeError), match=r"^cv (must|is malformed)"):
            fit("ReLURegressorCV", cv=cv, **TABLE)


def test_targets_of_tokens_of_a_magnitude_that_no_square_holds():
    name = "ConvexSelfAttention, of tokens"
    good = MODELS[name][1]
    with pytest.raises(ValueError, match=r"^y has entries of magnitude 1e\+172"):
        fit(name, **{**good, "y": np.full_like(good["y"], 1e172)})


def test_inputs_of_hidden_outputs_are_of_a_magnitude_that_products_hold():
    with pytest.raises(ValueError, match=r"^X has entries of magnitude 1e\+308"):
        fitted("ReLURegressor").transform(np.full((2, 2), 1e308))
