"""pyscnn as estimators: gated ReLU networks on a warm-started path, chosen by inner folds.

What a user of pyscnn has to write: standardisation, a constant column, columns of norm one (with
its own `unitize_data` gates come back at the wrong scale), a path below lambda_max, and the folds.
Its loss is the squared one, here on -1 and 1 or on one-hot labels. 100 gates and 5 strengths: with
the 500 gates and 100 strengths of cvxnn its search would take hours.
"""

import logging

import numpy as np
from scnn.metrics import Metrics
from scnn.models import ConvexGatedReLU
from scnn.optimize import optimize_path
from scnn.regularizers import NeuronGL1
from scnn.solvers import RFISTA
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.preprocessing import StandardScaler

logging.disable(logging.WARNING)
N_GATES = 100
RATIOS = (0.3, 0.1, 0.03, 0.01, 0.003)
MAX_ITER = 300
N_FOLDS = 5


class _Path:
    """Networks for all strengths on one training set."""

    def __init__(self, X: np.ndarray, Y: np.ndarray, seed: int, ratios=RATIOS):
        self.scaler = StandardScaler().fit(X)
        self.norms = np.ones(X.shape[1] + 1)
        Z = self._inputs(X)
        self.norms = np.linalg.norm(Z, axis=0)
        self.norms[self.norms == 0] = 1.0
        Z = Z / self.norms
        gates = np.random.default_rng(seed).standard_normal((Z.shape[1], N_GATES))
        masks = Z @ gates > 0
        largest = max(np.linalg.norm((masks * y[:, None]).T @ Z, axis=1).max() for y in Y.T)
        model = ConvexGatedReLU(gates, c=Y.shape[1])
        self.models, _ = optimize_path(
            model,
            RFISTA(model, max_iters=MAX_ITER, tol=1e-7),
            [NeuronGL1(ratio * largest / Y.size) for ratio in ratios],
            Metrics(),
            Z,
            Y,
            unitize_data=False,
        )

    def _inputs(self, X: np.ndarray) -> np.ndarray:
        return np.column_stack([self.scaler.transform(X), np.ones(len(X))]) / self.norms

    def outputs(self, X: np.ndarray, k: int) -> np.ndarray:
        return np.asarray(self.models[k](self._inputs(X)))


class _Pyscnn(BaseEstimator):
    """`n_strengths` of the path are solved and the last is taken, without folds; None chooses."""

    def __init__(self, n_strengths: int | None = None, random_state: int = 0):
        self.n_strengths = n_strengths
        self.random_state = random_state

    def fit(self, X, y):
        Y = self._encode(y)
        self.n_strengths_ = self.n_strengths or self._choose(X, y, Y)
        self.path_ = _Path(X, Y, self.random_state, RATIOS[: self.n_strengths_])
        self.n_neurons_ = int(self.path_.models[-1].parameters[0].shape[0])
        return self

    def _choose(self, X, y, Y) -> int:
        scores = np.zeros(len(RATIOS))
        for train, test in self._splitter(N_FOLDS).split(X, y):
            path = _Path(X[train], Y[train], self.random_state)
            for k in range(len(RATIOS)):
                scores[k] += self._score(y[test], self._decode(path.outputs(X[test], k)))
        return int(np.argmax(scores)) + 1

    def predict(self, X):
        return self._decode(self.path_.outputs(X, -1))


class PyscnnClassifier(ClassifierMixin, _Pyscnn):
    _splitter = StratifiedKFold

    def _encode(self, y):
        self.classes_ = np.unique(y)
        one_hot = (y[:, None] == self.classes_).astype(float)
        return 2.0 * one_hot[:, 1:] - 1.0 if len(self.classes_) == 2 else one_hot

    def _decode(self, outputs):
        if len(self.classes_) == 2:
            return self.classes_[(outputs[:, 0] > 0).astype(int)]
        return self.classes_[outputs.argmax(axis=1)]

    @staticmethod
    def _score(y, predicted):
        return np.mean(y == predicted)


class PyscnnRegressor(RegressorMixin, _Pyscnn):
    _splitter = KFold

    def _encode(self, y):
        self.mean_, self.scale_ = y.mean(), y.std()
        return ((y - self.mean_) / self.scale_)[:, None]

    def _decode(self, outputs):
        return outputs[:, 0] * self.scale_ + self.mean_

    @staticmethod
    def _score(y, predicted):
        return -np.mean((y - predicted) ** 2)
