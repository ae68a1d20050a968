"""Accuracy on digits: cvxnn's estimators, and torch modules of the same shape by Adam."""

import itertools
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from problems import digits, flat, images, rows
from sklearn.model_selection import StratifiedKFold, train_test_split
from torch import nn
from torch.nn import functional

import cvxnn

OUTER_FOLDS = 3
N_ALPHAS = 7
RATES = (1e-3, 3e-3, 1e-2)
DECAYS = (0.0, 1e-4, 1e-3)
N_EPOCHS, BATCH = 40, 64


class Attention(nn.Module):
    """Linear heads on tokens, as `ConvexSelfAttention` has them."""

    def __init__(self, n_heads: int, n_channels: int) -> None:
        super().__init__()
        d = n_channels + 1  # and a constant
        self.hidden = nn.Parameter(torch.randn(n_heads, d, d) / d)
        self.head = nn.Linear(n_heads * d, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.pad(x, (0, 1), value=1.0)
        # The mean over tokens of x W x' x, by the mean token.
        seen = torch.einsum("nr,mrk,nbk->nmb", x.mean(dim=1), self.hidden, x)
        return self.head((seen @ x / x.shape[1]).flatten(1))


def positioned(X: np.ndarray) -> np.ndarray:
    """Return rows as tokens, with two channels for their places: attention sees no order."""
    angles = np.linspace(0.0, np.pi, 8)
    places = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(X.dtype)
    return np.concatenate([rows(X), np.broadcast_to(places, (len(X), 8, 2))], axis=2)


def convolution(width: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, width, 3), nn.ReLU(), nn.AvgPool2d(3), nn.Flatten(), nn.Linear(4 * width, 10)
    )


def normalised(width: int) -> nn.Module:
    return nn.Sequential(
        nn.Linear(64, width, bias=False), nn.BatchNorm1d(width), nn.ReLU(), nn.Linear(width, 10)
    )


@dataclass(frozen=True)
class Score:
    model: Callable[..., Any]
    eps: float  # smallest alpha over the largest
    shape: Callable[[np.ndarray], np.ndarray]
    module: Callable[[int], nn.Module]  # of a width


# Torch trains all classes at once by their cross-entropy: so do the gated networks.
SCORES = {
    "CNN": Score(
        partial(
            cvxnn.ConvReLUClassifier,
            pooling=("mean", 3),
            n_patterns=50,
            loss="softmax",
            penalty="group",
        ),
        0.002,
        images,
        convolution,
    ),
    "batch norm": Score(
        partial(
            cvxnn.ReLUClassifier,
            activation="gated_relu",
            batch_norm=True,
            bn_rank=20,
            n_patterns=200,
            loss="softmax",
        ),
        0.002,
        flat,
        normalised,
    ),
    "self-attention": Score(
        partial(cvxnn.ConvexSelfAttention, activation="linear", loss="logistic"),
        0.002,
        positioned,
        partial(Attention, n_channels=10),
    ),
}


def by_cvxnn(
    entry: Score, X: np.ndarray, y: np.ndarray, split: tuple[np.ndarray, np.ndarray]
) -> Any:
    """Return the estimator at the alpha that validates best, fitted to all."""
    first, rest = split
    model = entry.model(standardize=False, n_threads=1, tol=1e-2)
    path = model.solve_path(X[first], y[first], n_alphas=N_ALPHAS, eps=entry.eps)
    best = max(path, key=lambda step: step.score(X[rest], y[rest]))
    return model.set_params(alpha=best.alpha).fit(X, y)


def trained(module: nn.Module, X: np.ndarray, y: np.ndarray, rate: float, decay: float) -> Any:
    """Train by batches, with a rate that falls to zero along a cosine."""
    x, labels = torch.tensor(X), torch.tensor(y)
    optimiser = torch.optim.Adam(module.parameters(), lr=rate, weight_decay=decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, N_EPOCHS)
    for _ in range(N_EPOCHS):
        for batch in torch.randperm(len(x)).split(BATCH):
            optimiser.zero_grad()
            functional.cross_entropy(module(x[batch]), labels[batch]).backward()
            optimiser.step()
        schedule.step()
    return module.eval()


def accuracy(module: nn.Module, X: np.ndarray, y: np.ndarray) -> float:
    with torch.no_grad():
        return float((module(torch.tensor(X)).argmax(dim=1).numpy() == y).mean())


def by_torch(
    module: Callable[[], nn.Module],
    X: np.ndarray,
    y: np.ndarray,
    split: tuple[np.ndarray, np.ndarray],
) -> nn.Module:
    """Return the module at the rate and decay that validate best, trained on all."""
    first, rest = split

    def seeded(chosen: np.ndarray, rate: float, decay: float) -> nn.Module:
        torch.manual_seed(0)
        return trained(module(), X[chosen], y[chosen], rate, decay)

    best = max(
        itertools.product(RATES, DECAYS),
        key=lambda choice: accuracy(seeded(first, *choice), X[rest], y[rest]),
    )
    return seeded(np.arange(len(X)), *best)


def score(name: str) -> dict:
    warnings.simplefilter("ignore")  # a gap that was missed is no lesser network
    torch.set_num_threads(1)
    entry = SCORES[name]
    inputs, y = digits()
    X = entry.shape(inputs)
    found: dict[str, list[float]] = {key: [] for key in ("cvxnn", "torch", "s", "torch s", "width")}
    folds = StratifiedKFold(OUTER_FOLDS, shuffle=True, random_state=0).split(inputs, y)
    for train, test in folds:
        labels = y[train]
        split = train_test_split(
            np.arange(len(train)), test_size=0.2, stratify=labels, random_state=0
        )
        start = time.process_time()
        model = by_cvxnn(entry, X[train], labels, split)
        found["s"].append(time.process_time() - start)
        width = len(model.network_.head_) if name == "CNN" else len(model.network_.coefs_[1])
        start = time.process_time()
        module = by_torch(partial(entry.module, width), X[train], labels, split)
        found["torch s"].append(time.process_time() - start)
        found["cvxnn"].append(model.score(X[test], y[test]))
        found["torch"].append(accuracy(module, X[test], y[test]))
        found["width"].append(width)
    return {"score": name, **{key: statistics.mean(values) for key, values in found.items()}}
