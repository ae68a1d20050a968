"""scikit-learn's own checks, over several configurations."""

import warnings

import pytest
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

import cvxnn

SMALL = {"n_patterns": 40, "n_threads": 1}
SHORT = {**SMALL, "n_alphas": 4, "eps": 0.05, "cv": 3}

# The array API is opt-in for estimators, and the core works on numpy arrays.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")


@parametrize_with_checks(
    [
        cvxnn.ReLURegressor(**SMALL),
        cvxnn.ReLURegressor(**SMALL, standardize=False, alpha=1e-3, loss="huber"),
        cvxnn.ReLURegressor(**SMALL, fit_intercept=False, tol=1e-2),
        cvxnn.ReLUClassifier(**SMALL),
        cvxnn.ReLUClassifier(**SMALL, loss="squared_hinge", standardize=False),
        cvxnn.ReLUClassifier(**SMALL, fit_intercept=False, alpha=1e-2),
        cvxnn.ReLUClassifier(**SMALL, class_weight="balanced", warm_start=True),
        cvxnn.ReLURegressor(n_patterns=10, n_threads=1, activation="relu", warm_start=True),
        cvxnn.ReLUClassifier(n_patterns=10, n_threads=1, loss="softmax", alpha=0.02, tol=1e-3),
        cvxnn.ReLURegressor(**SMALL, gates="quantile"),
        cvxnn.ReLUClassifier(**SMALL, gates="feature_sparse"),
        cvxnn.ReLURegressor(**SMALL, batch_norm=True),
        cvxnn.ReLUClassifier(**SMALL, batch_norm=True, bn_rank=2, fit_intercept=False),
        cvxnn.ReLUClassifier(**SMALL, batch_norm="after"),
        cvxnn.ReLURegressorCV(**SHORT),
        cvxnn.ReLURegressorCV(**SHORT, loss="huber", selection="one_standard_error", n_jobs=2),
        cvxnn.ReLURegressorCV(**SHORT, standardize=False, scoring="r2"),
        cvxnn.ReLUClassifierCV(**{**SHORT, "n_patterns": [20, 40]}),
        cvxnn.ReLUClassifierCV(**SHORT, scoring="neg_log_loss", class_weight="balanced"),
        cvxnn.ReLUClassifierCV(**SHORT, batch_norm=True, bn_rank=0.9, standardize=False),
        cvxnn.ReLUClassifierCV(**SHORT, loss="squared_hinge", alphas=[0.1, 0.01], n_jobs=2),
    ]
)
def test_scikit_learn_checks(estimator, check):
    with warnings.catch_warnings():
        # Some checks feed data that no tolerance can be reached on.
        warnings.simplefilter("ignore")
        check(estimator)


@pytest.mark.parametrize("kind", [cvxnn.ReLURegressor, cvxnn.ReLUClassifier])
def test_parameters_survive_clone_and_repr(kind):
    model = kind(alpha=0.5, n_patterns=7, random_state=3)
    assert clone(model).get_params() == model.get_params()
    assert "alpha=0.5" in repr(model)
