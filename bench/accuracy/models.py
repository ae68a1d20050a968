"""The models, each an estimator whose `fit` includes its tuning by five inner folds."""

from collections.abc import Callable

import numpy as np
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR

import cvxnn

INNER_FOLDS = 5


def search(model, grid: dict[str, list], *, scale: bool = True, is_regression: bool = False):
    """Return a grid search; `scale` standardises inputs, and targets of a regression."""
    prefix = ""
    if scale:
        prefix = f"{type(model).__name__.lower()}__"
        model = make_pipeline(StandardScaler(), model)
    if scale and is_regression:
        prefix = f"regressor__{prefix}"
        model = TransformedTargetRegressor(model, transformer=StandardScaler())
    return GridSearchCV(
        model, {prefix + key: values for key, values in grid.items()}, cv=INNER_FOLDS
    )


def relu_cv(is_classification: bool, seed: int):
    own = cvxnn.ReLUClassifierCV if is_classification else cvxnn.ReLURegressorCV
    return own(random_state=seed)


def gated_cv(is_classification: bool, seed: int):
    return relu_cv(is_classification, seed).set_params(activation="gated_relu")


def mlp(is_classification: bool, seed: int):
    kind = MLPClassifier if is_classification else MLPRegressor
    grid = {"alpha": [1e-4, 1e-2, 1.0], "learning_rate_init": [1e-3, 1e-2]}
    model = kind(hidden_layer_sizes=(100,), max_iter=200, random_state=seed)
    return search(model, grid, is_regression=not is_classification)


def pyscnn(is_classification: bool, seed: int):
    import pyscnn_path  # loads torch

    own = pyscnn_path.PyscnnClassifier if is_classification else pyscnn_path.PyscnnRegressor
    return own(random_state=seed)


def forest(is_classification: bool, seed: int):
    kind = RandomForestClassifier if is_classification else RandomForestRegressor
    grid = {"max_features": ["sqrt", 0.33, 1.0], "min_samples_leaf": [1, 5]}
    return search(kind(100, random_state=seed), grid, scale=False)


def boosting(is_classification: bool, seed: int):
    kind = HistGradientBoostingClassifier if is_classification else HistGradientBoostingRegressor
    grid = {"learning_rate": [0.05, 0.2], "max_leaf_nodes": [7, 31]}
    return search(kind(random_state=seed), grid, scale=False)


def support_vectors(is_classification: bool, seed: int):  # noqa: ARG001  # nothing is random
    grid = {"C": [0.1, 1.0, 10.0, 100.0], "gamma": ["scale", 0.01, 0.1]}
    return search(SVC() if is_classification else SVR(), grid, is_regression=not is_classification)


def linear(is_classification: bool, seed: int):  # noqa: ARG001
    if is_classification:
        return search(LogisticRegression(max_iter=1000), {"C": list(np.logspace(-3, 3, 7))})
    return make_pipeline(StandardScaler(), RidgeCV(np.logspace(-3, 3, 13)))


MODELS: dict[str, Callable] = {
    "cvxnn": relu_cv,
    "gated": gated_cv,
    "MLP": mlp,
    "pyscnn": pyscnn,
    "forest": forest,
    "boosting": boosting,
    "SVM": support_vectors,
    "linear": linear,
}


def reseeded(model, seed: int):
    """Return an unfitted model at the parameters that `model` chose, with another seed."""
    if isinstance(model, (cvxnn.ReLUClassifierCV, cvxnn.ReLURegressorCV)):
        is_classification = isinstance(model, cvxnn.ReLUClassifierCV)
        kind = cvxnn.ReLUClassifier if is_classification else cvxnn.ReLURegressor
        return kind(model.alpha_, activation=model.activation, random_state=seed)
    if hasattr(model, "n_strengths_"):  # of pyscnn's path
        return type(model)(model.n_strengths_, random_state=seed)
    best = clone(getattr(model, "best_estimator_", model))
    seeds = [key for key in best.get_params() if key.split("__")[-1] == "random_state"]
    return best.set_params(**dict.fromkeys(seeds, seed))


def n_neurons(model) -> int | None:
    """Return the number of hidden neurons of a fitted network, None for other models."""
    if hasattr(model, "network_"):
        return model.network_.width
    if hasattr(model, "n_neurons_"):
        return model.n_neurons_
    best = getattr(model, "best_estimator_", model)
    best = getattr(best, "regressor_", best)
    last = best.steps[-1][1] if hasattr(best, "steps") else best
    coefs = getattr(last, "coefs_", None)
    return None if coefs is None else coefs[0].shape[1]
