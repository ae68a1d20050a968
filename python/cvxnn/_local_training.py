"""A network trained by L-BFGS: a local optimum, whose neurons are gates to begin with."""

import time

import numpy as np

from cvxnn._ext import core
from cvxnn._problem import Problem
from cvxnn._threads import blas_threads
from cvxnn._validation import Float

_STEPS = 100
_MOST_SAMPLES = 5000
_FIRST_FIT = 0.3  # size of the first network's outputs over that of the targets
_LEAST = 1e-4  # of the largest neuron: what has not decayed


def train_neurons(
    problem: Problem,
    data: Float,
    alpha: float,
    n_neurons: int,
    rng: np.random.Generator,
    *,
    n_threads: int,
    deadline: float,
) -> Float:
    """Train a ReLU network with weight decay alpha; return its hidden weights, (d, m).

    On a sample of the rows where there are many: patterns near those of a good network are all
    that is asked for. None may be left.
    """
    rows = np.flatnonzero(problem.omega)
    if len(rows) > _MOST_SAMPLES:
        rows = np.sort(rng.choice(rows, _MOST_SAMPLES, replace=False))
    share = problem.omega[rows].sum() / problem.omega.sum()
    loss = (
        problem.loss.name,
        problem.loss.delta,
        np.ascontiguousarray(problem.targets[rows]),
        problem.omega[rows] / share,
    )
    free = np.asfortranarray(problem.arguments()["free"][rows])
    data = data[rows]
    with blas_threads(n_threads), np.errstate(over="ignore", invalid="ignore"):
        start = _first_network(data, problem.targets[rows], n_neurons, rng)
        hidden, output = _descend(data, free, loss, alpha, start, deadline)
    size = np.linalg.norm(hidden, axis=0) * np.linalg.norm(output, axis=1)
    kept: Float = hidden[:, (size > _LEAST * size.max()) & np.isfinite(hidden).all(axis=0)]
    return kept


def _first_network(
    data: Float, targets: Float, n_neurons: int, rng: np.random.Generator
) -> tuple[Float, Float]:
    """Draw neurons of random directions and signs, balanced, whose outputs are small."""
    hidden = rng.standard_normal((n_neurons, data.shape[1])).T
    scores = np.sqrt(np.mean(np.square(data @ hidden)))
    size = np.sqrt(
        _FIRST_FIT
        * np.abs(targets).mean()
        / (max(scores, np.finfo(float).tiny) * np.sqrt(n_neurons))
    )
    signs = rng.choice([-1.0, 1.0], (n_neurons, targets.shape[1]))
    return hidden * size, signs * (size / np.sqrt(targets.shape[1]))


def _descend(
    data: Float,
    free: Float,
    loss: tuple[str, float, Float, Float],
    alpha: float,
    start: tuple[Float, Float],
    deadline: float,
) -> tuple[Float, Float]:
    """Lower loss plus ``alpha / 2`` times the squared weights by L-BFGS."""
    from scipy.optimize import minimize

    n_outputs = start[1].shape[1]
    cuts = np.cumsum([start[0].size, start[1].size])

    def split(point: Float) -> tuple[Float, Float, Float]:
        hidden, output, offsets = np.split(point, cuts)
        return (
            hidden.reshape(start[0].shape),
            output.reshape(start[1].shape),
            offsets.reshape(-1, n_outputs),
        )

    def objective(point: Float) -> tuple[float, Float]:
        hidden, output, offsets = split(point)
        maps = np.maximum(data @ hidden, 0.0)
        fit = np.asfortranarray(maps @ output + free @ offsets)
        theta = core.feasible_dual_point(*loss, free[:, :0], fit)
        decay = np.vdot(hidden, hidden) + np.vdot(output, output)
        slopes = (
            alpha * hidden - data.T @ ((maps > 0.0) * (theta @ output.T)),
            alpha * output - maps.T @ theta,
            -free.T @ theta,
        )
        value = core.loss_value(*loss, fit) + 0.5 * alpha * float(decay)
        return value, np.concatenate([slope.ravel() for slope in slopes])

    def out_of_time(_: Float) -> None:
        if time.monotonic() > deadline:
            raise StopIteration

    found = minimize(
        objective,
        np.concatenate([*(part.ravel() for part in start), np.zeros(free.shape[1] * n_outputs)]),
        jac=True,
        method="L-BFGS-B",
        callback=out_of_time,
        options={"maxiter": _STEPS},
    )
    hidden, output, _ = split(found.x)
    return hidden, output
