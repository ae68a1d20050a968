"""ReLU networks with adaptive patterns: what five seeds leave of a difference at convergence."""

from collections.abc import Iterable

import numpy as np

import cvxnn
from data import DataSet

RATIOS = (0.1, 0.03)  # of alpha_max
SETTINGS = {"activation": "relu", "patterns": "adaptive", "tol": 1e-6, "n_threads": 1}


def adaptive_spreads(data: DataSet, fold: tuple, seeds: Iterable[int]) -> list[dict]:
    """Return, for each ratio, how far scores, objectives and outputs differ.

    The last is the largest difference on a test sample, over the outputs' standard deviation.
    """
    train, test = fold
    X, y = data.X, data.y
    kind = cvxnn.ReLUClassifier if data.is_classification else cvxnn.ReLURegressor
    alpha_max = _alpha_max(X[train], y[train], data.is_classification)
    rows = []
    for ratio in RATIOS:
        models = [
            kind(ratio * alpha_max, **SETTINGS, random_state=seed).fit(X[train], y[train])
            for seed in seeds
        ]
        scores = [model.score(X[test], y[test]) for model in models]
        objectives = [model.objective_ for model in models]
        outputs = np.array([model.network_.predict(X[test]) for model in models])
        rows.append(
            {
                "ratio": ratio,
                "status": sorted({model.status_ for model in models}),
                "scores": [min(scores), max(scores)],
                "objective": max(objectives) / min(objectives) - 1.0,
                "difference": np.ptp(outputs, axis=0).max() / outputs[0].std(),
            }
        )
    return rows


def _alpha_max(X: np.ndarray, y: np.ndarray, is_classification: bool) -> float:
    """Return where the path of a gated network over sampled patterns starts."""
    kind = cvxnn.ReLUClassifierCV if is_classification else cvxnn.ReLURegressorCV
    model = kind(n_alphas=2, eps=0.5, cv=2, activation="gated_relu", n_threads=1)
    return float(model.fit(X, y).alphas_[0])
