"""Cross-validated estimators: folds, scorers, metadata, what stops them and what they refuse."""

import logging

import numpy as np
import pytest
import sklearn
from sklearn.datasets import load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    PredefinedSplit,
    RepeatedKFold,
)

import cvxnn

SHORT = {"n_alphas": 6, "eps": 0.03, "n_patterns": 60, "cv": 3}


def test_kinds_of_cv(regression):
    X, y = regression
    few = {**SHORT, "n_alphas": 3, "eps": 0.2}
    base = cvxnn.ReLURegressorCV(**few).fit(X, y).score_path_
    folds = list(KFold(3).split(X))
    masks = [(np.isin(np.arange(200), a), np.isin(np.arange(200), b)) for a, b in folds]
    numbers = np.empty(200, dtype=int)
    for k, (_, test) in enumerate(folds):
        numbers[test] = k
    for cv in (KFold(3), folds, iter(folds), masks, PredefinedSplit(numbers), np.int64(3)):
        path = cvxnn.ReLURegressorCV(**{**few, "cv": cv}).fit(X, y).score_path_
        np.testing.assert_array_equal(path, base)
    assert cvxnn.ReLURegressorCV(**{**few, "cv": None}).fit(X, y).score_path_.shape == (3, 5)
    repeated = RepeatedKFold(n_splits=2, n_repeats=2, random_state=0)
    path = cvxnn.ReLURegressorCV(**{**few, "cv": repeated}).fit(X, y).score_path_
    assert path.shape == (3, 4)


def test_scorers(classification):
    X, y = classification
    base = cvxnn.ReLUClassifierCV(**SHORT).fit(X, y)
    for scoring in ("accuracy", make_scorer(accuracy_score), lambda m, X, y: m.score(X, y)):
        model = cvxnn.ReLUClassifierCV(**SHORT, scoring=scoring).fit(X, y)
        np.testing.assert_array_equal(model.score_path_, base.score_path_)
    area = cvxnn.ReLUClassifierCV(**SHORT, loss="squared_hinge", scoring="roc_auc").fit(X, y)
    assert area.score_path_.max() > 0.95


def test_mean_squared_errors_belong_to_the_default_score(regression):
    X, y = regression
    model = cvxnn.ReLURegressorCV(**SHORT, scoring="r2").fit(X, y)
    assert not hasattr(model, "mse_path_")
    assert model.score_path_.max() < 1.0
    assert model.best_index_ == model.score_path_.mean(axis=1).argmax()


def test_groups_by_metadata_routing(regression):
    X, y = regression
    groups = np.arange(len(X)) % 7
    folds = list(GroupKFold(3).split(X, y, groups))
    expected = cvxnn.ReLURegressorCV(**{**SHORT, "cv": folds}).fit(X, y)
    grouped = cvxnn.ReLURegressorCV(**{**SHORT, "cv": GroupKFold(3)})
    with pytest.raises(ValueError, match="enable_metadata_routing"):
        grouped.fit(X, y, groups=groups)
    with sklearn.config_context(enable_metadata_routing=True):
        np.testing.assert_array_equal(
            grouped.fit(X, y, groups=groups).score_path_, expected.score_path_
        )
        with pytest.raises(TypeError, match="bogus"):
            grouped.fit(X, y, groups=groups, bogus=1)
        once = cvxnn.ReLURegressorCV(**{**SHORT, "cv": iter(folds)})
        path = once.fit(X, y, sample_weight=np.ones(len(X))).score_path_
        np.testing.assert_allclose(path, expected.score_path_)


def test_sample_weight_by_metadata_routing(regression):
    X, y = regression
    weight = np.random.default_rng(0).uniform(0.5, 2.0, len(X))
    expected = cvxnn.ReLURegressorCV(**SHORT).fit(X, y, weight).score_path_
    with sklearn.config_context(enable_metadata_routing=True):
        path = cvxnn.ReLURegressorCV(**SHORT).fit(X, y, sample_weight=weight).score_path_
        np.testing.assert_array_equal(path, expected)
        silent = cvxnn.ReLURegressorCV(**SHORT, scoring="r2")
        with pytest.raises(ValueError, match="sample_weight"):
            silent.fit(X, y, sample_weight=weight)
        scorer = sklearn.metrics.get_scorer("neg_mean_squared_error")
        unweighted = scorer.set_score_request(sample_weight=False)
        path = cvxnn.ReLURegressorCV(**SHORT, scoring=unweighted).fit(X, y, sample_weight=weight)
        assert (path.score_path_ != expected).all()


def test_unfinished_solves_warn_once(regression):
    X, y = regression
    model = cvxnn.ReLURegressorCV(**{**SHORT, "eps": 1e-3}, max_iter=1, tol=1e-9)
    with pytest.warns(ConvergenceWarning) as caught:
        model.fit(X, y)
    assert sum("folds" in str(warning.message) for warning in caught) == 1
    assert np.isfinite(model.score_path_).all()


def test_time_limit_leaves_out_what_was_not_reached(regression):
    X, y = regression
    model = cvxnn.ReLURegressorCV(n_patterns=2000, eps=1e-4, cv=2, time_limit=0.02, tol=1e-9)
    with pytest.warns(ConvergenceWarning):
        model.fit(X, y)
    assert np.isnan(model.score_path_[-1]).any()
    assert np.isfinite(model.score_path_[model.best_index_]).all()


def test_progress_of_parallel_folds_leaves_the_logger_alone(regression, caplog):
    X, y = regression
    logger = logging.getLogger("cvxnn")
    before = (logger.level, logger.handlers[:])
    cvxnn.ReLURegressorCV(**SHORT, n_jobs=2, verbose=1).fit(X, y)
    assert (logger.level, logger.handlers[:]) == before
    assert len(caplog.records) >= 18


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_ctrl_c_ends_all_folds(run_python, n_jobs):
    # The log line of the third evaluation sends the signal, from whatever thread writes it.
    code = f"""
        import logging, os, signal
        import numpy as np, cvxnn

        class Kick(logging.Handler):
            seen = 0

            def emit(self, record):
                self.seen += 1
                if self.seen == 3:
                    os.kill(os.getpid(), signal.SIGINT)

        signal.signal(signal.SIGINT, signal.default_int_handler)
        kick = Kick()
        logging.getLogger("cvxnn").addHandler(kick)
        X = np.random.default_rng(0).standard_normal((400, 10))
        model = cvxnn.ReLURegressorCV(n_jobs={n_jobs}, cv=4, eps=1e-4, tol=1e-9, verbose=1)
        try:
            model.fit(X, np.abs(X[:, 0]) + X[:, 1] ** 2)
        except KeyboardInterrupt:
            print("interrupted")
        print(hasattr(model, "network_"))
    """
    assert run_python(code).split() == ["interrupted", "False"]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_alphas": 0}, "n_alphas must be >= 1, got 0"),
        ({"eps": 0.0}, "eps"),
        ({"eps": 1.0}, "eps must be below 1, got 1"),
        ({"eps": np.nan}, "eps"),
        ({"alphas": []}, "alphas"),
        ({"alphas": [0.1, np.inf]}, "alphas contains NaN or infinity"),
        ({"alphas": [0.1, -1.0]}, "alphas must hold at least one value, all positive"),
        ({"selection": "min"}, "selection must be one of"),
        ({"cv": 1}, "n_splits"),
        ({"cv": []}, "cv must give at least one fold"),
        ({"cv": [([0, 1], [])]}, "cv must leave samples"),
        ({"cv": "five"}, "cv"),
        ({"scoring": "acuracy"}, "scoring"),
        ({"loss": "logistic"}, "loss"),
        ({"n_patterns": 0}, "n_patterns"),
        ({"tol": -1.0}, "tol"),
        ({"n_threads": 0}, "n_threads"),
        ({"random_state": -1}, "random_state"),
        ({"scoring": lambda *_: np.nan}, "no alpha has a score"),
    ],
)
def test_bad_parameters_are_named(regression, parameters, message):
    with pytest.raises(ValueError, match=message):
        cvxnn.ReLURegressorCV(**{**SHORT, **parameters}).fit(*regression)


def test_a_fold_needs_weight_on_both_sides(regression):
    X, y = regression
    weight = np.ones(200)
    weight[100:] = 0.0
    halves = [(np.arange(100), np.arange(100, 200))]
    with pytest.raises(ValueError, match="positive weight"):
        cvxnn.ReLURegressorCV(**{**SHORT, "cv": halves}).fit(X, y, weight)


def test_a_fold_trains_on_two_classes(classification):
    X, y = classification
    ones = np.flatnonzero(y == 1)
    folds = [(np.arange(200), np.arange(200, 240)), (ones[:50], ones[50:])]
    with pytest.raises(ValueError, match="two classes at least, got one in fold 1"):
        cvxnn.ReLUClassifierCV(**{**SHORT, "cv": folds}).fit(X, y)


def test_a_class_may_be_missing_from_a_fold():
    X, y = load_wine(return_X_y=True)
    folds = [(np.flatnonzero(y != 2), np.flatnonzero(y == 2)), (np.arange(178), np.arange(178))]
    model = cvxnn.ReLUClassifierCV(**{**SHORT, "cv": folds}).fit(X, y)
    assert (model.score_path_[:, 0] == 0.0).all()
    assert model.score(X, y) > 0.95


def test_order_of_equal_rows_of_other_weights_changes_no_bit(regression):
    X, y = (np.repeat(part, 3, axis=0) for part in regression)
    weight = np.tile([0.1, 0.2, 0.3], len(regression[1]))
    one = cvxnn.ReLURegressor(0.01, n_patterns=30).fit(X, y, weight)
    two = cvxnn.ReLURegressor(0.01, n_patterns=30).fit(X[::-1], y[::-1], weight[::-1])
    np.testing.assert_array_equal(one.predict(X), two.predict(X))


@pytest.mark.parametrize("value", [1.0, 0.1, 1e-9, 1e9])
def test_constant_targets(regression, value):
    X, y = regression
    for alphas in (None, [0.1]):
        model = cvxnn.ReLURegressorCV(**SHORT, alphas=alphas).fit(X, np.full_like(y, value))
        np.testing.assert_allclose(model.predict(X), value)
        assert model.network_.width == 0
