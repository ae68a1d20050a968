"""The choice of alpha of convolutional networks: the scores of folds, and the final fit."""

import pickle
import re

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score, mean_squared_error
from sklearn.model_selection import GroupKFold, KFold, StratifiedKFold

from cvxnn import (
    ConvReLUClassifier,
    ConvReLUClassifierCV,
    ConvReLURegressor,
    ConvReLURegressorCV,
)

RNG = np.random.default_rng(0)
IMAGES = RNG.standard_normal((60, 2, 5, 4))
STEPS = np.maximum(np.diff(IMAGES[:, 0], axis=1), 0).mean(axis=(1, 2))
LABELS = np.array(["smooth", "so so", "rough"])[
    np.digitize(STEPS, np.quantile(STEPS, [0.35, 0.65]))
]
SHORT = {"n_alphas": 4, "eps": 0.05, "n_patterns": 15, "cv": 3, "n_threads": 1}
KINDS = {
    ConvReLURegressorCV: (ConvReLURegressor, STEPS),
    ConvReLUClassifierCV: (ConvReLUClassifier, LABELS),
}


def plain(model):
    """Return the estimator that is given the alpha that another one chose."""
    kind = KINDS[type(model)][0]
    shared = {k: v for k, v in model.get_params().items() if k in kind().get_params()}
    return kind(alpha=model.alpha_, **shared)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"pooling": ("max", 2), "standardize": False},
        {"batch_norm": True, "bn_rank": 0.9},
        {"activation": "linear", "pooling": ("mean", 2)},
    ],
    ids=["mean", "max", "normalised", "linear"],
)
@pytest.mark.parametrize("kind", KINDS)
def test_scores_are_those_of_fits_by_hand(kind, options):
    other, y = KINDS[kind]
    model = kind(**SHORT, **options, tol=1e-7).fit(IMAGES, y)
    assert model.score_path_.shape == (4, 3)
    assert model.alphas_[-1] == pytest.approx(0.05 * model.alphas_[0])
    splits = KFold(3) if kind is ConvReLURegressorCV else StratifiedKFold(3)
    for k, (train, test) in enumerate(splits.split(IMAGES, y)):
        for j in (1, 3):
            fit = other(model.alphas_[j], n_patterns=15, tol=1e-7, n_threads=1, **options)
            found = fit.fit(IMAGES[train], y[train]).predict(IMAGES[test])
            if kind is ConvReLURegressorCV:
                wanted = pytest.approx(mean_squared_error(y[test], found), rel=1e-3)
                assert model.mse_path_[j, k] == wanted
            else:
                wanted = pytest.approx(accuracy_score(y[test], found), abs=0.051)
                assert model.score_path_[j, k] == wanted
    means = model.score_path_.mean(axis=1)
    assert means[model.best_index_] == means.max()
    assert model.alpha_ == model.alphas_[model.best_index_]


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_final_fit_is_that_of_the_plain_estimator(kind, batch_norm):
    y = KINDS[kind][1]
    model = kind(**SHORT, batch_norm=batch_norm, random_state=4).fit(IMAGES, y)
    other = plain(model).fit(IMAGES, y)
    np.testing.assert_array_equal(model.predict(IMAGES), other.predict(IMAGES))
    for name in ("status_", "n_iter_", "objective_", "lower_bound_", "exact_", "n_patterns_"):
        assert getattr(model, name) == getattr(other, name)
    assert (model.batch_norm_ is not None) == batch_norm
    assert (model.input_shape_, model.n_features_in_) == ((2, 5, 4), 40)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(IMAGES), model.predict(IMAGES))
    assert clone(model).get_params() == model.get_params()


def test_jobs_and_threads_change_no_bit():
    paths = [
        ConvReLURegressorCV(**{**SHORT, "n_threads": n_threads}, n_jobs=n_jobs)
        .fit(IMAGES, STEPS)
        .score_path_
        for n_jobs, n_threads in ((None, 1), (2, 2))
    ]
    np.testing.assert_array_equal(paths[0], paths[1])


def test_several_numbers_of_patterns():
    several = {**SHORT, "n_patterns": [15, 5]}
    model = ConvReLURegressorCV(**several).fit(IMAGES, STEPS)
    assert model.score_path_.shape == (2, 4, 3)
    alone = ConvReLURegressorCV(**{**SHORT, "alphas": model.alphas_}).fit(IMAGES, STEPS)
    np.testing.assert_array_equal(model.score_path_[0], alone.score_path_)
    assert model.best_n_patterns_ in (5, 15)
    smaller = ConvReLURegressorCV(**several, selection="one_standard_error").fit(IMAGES, STEPS)
    assert smaller.alpha_ >= model.alpha_ or smaller.best_n_patterns_ < model.best_n_patterns_


def test_largest_alpha_empties_the_network():
    model = ConvReLURegressorCV(**SHORT).fit(IMAGES, STEPS)
    widths = [
        ConvReLURegressor(ratio * model.alphas_[0], n_patterns=15).fit(IMAGES, STEPS).network_.width
        for ratio in (1.001, 0.9)
    ]
    assert widths[0] == 0 < widths[1]


def test_samples_of_weight_zero_are_as_if_removed():
    weight = RNG.integers(0, 3, 60).astype(float)
    kept = weight > 0
    for kind, (_, y) in KINDS.items():
        model = kind(**SHORT).fit(IMAGES, y, weight)
        removed = kind(**SHORT).fit(IMAGES[kept], y[kept], weight[kept])
        np.testing.assert_array_equal(model.score_path_, removed.score_path_)
        np.testing.assert_array_equal(model.predict(IMAGES), removed.predict(IMAGES))


def test_class_weights_count_in_scores():
    weights = {"smooth": 1.0, "so so": 2.0, "rough": 0.5}
    by_class = ConvReLUClassifierCV(**SHORT, class_weight=weights).fit(IMAGES, LABELS)
    each = [weights[label] for label in LABELS]
    by_sample = ConvReLUClassifierCV(**SHORT).fit(IMAGES, LABELS, each)
    np.testing.assert_allclose(by_class.score_path_, by_sample.score_path_)
    assert by_class.alpha_ == pytest.approx(by_sample.alpha_)


def test_own_folds_and_scores():
    folds = list(GroupKFold(3).split(IMAGES, groups=np.arange(60) % 6))
    model = ConvReLURegressorCV(**{**SHORT, "cv": folds}, scoring="r2").fit(IMAGES, STEPS)
    assert model.score_path_.max() <= 1.0
    with pytest.raises(AttributeError, match="mse_path_ belongs to scoring=None"):
        _ = model.mse_path_
    assert not hasattr(ConvReLUClassifierCV(), "mse_path_")


def test_unfinished_solves_on_folds_warn():
    model = ConvReLURegressorCV(**SHORT, max_iter=1, tol=1e-12)
    with pytest.warns(ConvergenceWarning) as record:
        model.fit(IMAGES, STEPS)
    messages = [str(warning.message) for warning in record]
    assert any("solves on the folds ended before" in message for message in messages)
    assert {warning.filename for warning in record} == {__file__}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"selection": "worst"}, "selection must be one of"),
        ({"n_alphas": 0}, "n_alphas must be >= 1"),
        ({"eps": 0.0}, "eps must be"),
        ({"alphas": [-1.0]}, "alphas must hold at least one value, all positive"),
        ({"n_patterns": []}, "n_patterns must have at least one number"),
        ({"n_patterns": [5, 0]}, "n_patterns must be >= 1"),
        ({"n_patterns": [5, 9], "activation": "linear"}, "got activation='linear'"),
        ({"n_patterns": [5, 9], "gates": np.ones((19, 1))}, "got an array of gates"),
        ({"cv": [(range(60), [])]}, "cv must leave samples of positive weight on both sides"),
        ({"kernel_size": 9}, "kernel_size must be at most the size of X"),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_refused(kind, options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        kind(**{**SHORT, **options}).fit(IMAGES, KINDS[kind][1])


def test_refused_data():
    with pytest.raises(ValueError, match="X must have shape"):
        ConvReLURegressorCV(**SHORT).fit(IMAGES[:, 0, 0], STEPS)
    with pytest.raises(ValueError, match="X contains NaN"):
        ConvReLURegressorCV(**SHORT).fit(np.full_like(IMAGES, np.nan), STEPS)
    folds = [(np.flatnonzero(LABELS == "rough"), np.arange(60))]
    with pytest.raises(ValueError, match="cv must train on two classes"):
        ConvReLUClassifierCV(**{**SHORT, "cv": folds}).fit(IMAGES, LABELS)
