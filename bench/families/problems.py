"""The estimators of the rows on time, one a family, and digits in the shapes that they take."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from twins import Convolution, Dense, Tokens, Twin

import cvxnn


@dataclass(frozen=True)
class Family:
    """An estimator, the shape of its inputs and its twin.

    `gates` are those that a gated one has, known where a neuron of Adam's may be given to each;
    `alpha` is None for a share of the largest.
    """

    title: str
    model: Callable[..., Any]
    shape: Callable[[np.ndarray], np.ndarray]
    twin: type[Twin]
    gates: np.ndarray | None = None  # (n_inputs + 1, n_gates), the last row for a bias
    alpha: float | None = None


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Return the images (1797, 64), scaled to variance one as a whole, and their digits."""
    X, y = load_digits(return_X_y=True)
    return ((X - X.mean()) / X.std()).astype(np.float32), y


def flat(X: np.ndarray) -> np.ndarray:
    return X


def images(X: np.ndarray) -> np.ndarray:
    return X.reshape(-1, 1, 8, 8)


def rows(X: np.ndarray) -> np.ndarray:
    """Return each row of an image as a token."""
    return X.reshape(-1, 8, 8)


def squares(X: np.ndarray) -> np.ndarray:
    """Return each 2 x 2 square of an image as a token."""
    return X.reshape(-1, 4, 2, 4, 2).transpose(0, 1, 3, 2, 4).reshape(-1, 16, 4)


def gated(
    title: str, model: Callable[..., Any], gates: np.ndarray, shape: Callable, twin: type[Twin]
) -> Family:
    return Family(title, partial(model, gates=gates), shape, twin, gates)


_dense, _conv = cvxnn.ReLUClassifier, cvxnn.ConvReLUClassifier
_dense_gates = cvxnn.sample_sparse_gates(64, 500, order=2, bias=True, random_state=0)
_patch_gates = cvxnn.sample_gates(3 * 3 + 1, 50, random_state=0)
_gated, _relu = (partial(_dense, activation=kind) for kind in ("gated_relu", "relu"))
_linear = partial(_conv, activation="linear", pooling=None)
_norm = partial(_gated, batch_norm=True)
_attention = partial(cvxnn.ConvexSelfAttention, loss="logistic", n_patterns=3)
_mixer = partial(cvxnn.ConvexMLPMixer, loss="logistic", n_patterns=3)
_fno = partial(cvxnn.ConvexFNO, loss="logistic")
_conv_relu = partial(_conv, activation="relu", n_patterns=20)

FAMILIES = {
    "dense": gated("dense, gated", _gated, _dense_gates, flat, Dense),
    "dense-relu": Family("dense, ReLU, 50 patterns", partial(_relu, n_patterns=50), flat, Dense),
    "dense-adaptive": Family(
        "dense, ReLU, all patterns", partial(_relu, patterns="adaptive"), flat, Dense, alpha=0.1
    ),
    "conv-mean": gated("CNN, mean, gated", _conv, _patch_gates, images, Convolution),
    "conv-mean-relu": Family("CNN, mean, ReLU, 20 patterns", _conv_relu, images, Convolution),
    "conv-max": gated(
        "CNN, max, gated", partial(_conv, pooling="max"), _patch_gates, images, Convolution
    ),
    "conv-linear": Family("CNN, linear", _linear, images, Convolution),
    "circular": Family(
        "circular, linear", partial(_linear, circular=True, kernel_size=8), images, Convolution
    ),
    "norm": Family("batch norm, gated", partial(_norm, n_patterns=300), flat, Dense),
    "norm-relu": Family(
        "batch norm, ReLU, 50 patterns",
        partial(_norm, activation="relu", n_patterns=50),
        flat,
        Dense,
    ),
    "attention": Family("self-attention, gated", _attention, rows, Tokens),
    "mixer": Family("MLP-Mixer, gated", _mixer, squares, Tokens),
    "fno": Family("Fourier operator, gated", partial(_fno, n_patterns=10), rows, Tokens),
}
