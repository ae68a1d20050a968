"""A family: cvxnn to a certified gap, then Adam on the same network to the same objective."""

import time
import warnings
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from adam import Data, best_run, descend
from problems import FAMILIES, Family, digits
from twins import Twin

TOL = 1e-3  # relative gap of cvxnn, and what Adam may be above its objective
N_IMAGES = 1000  # the first ones
RATIO = 0.03  # of alpha to the largest, at which the network is empty
FACTOR, AT_LEAST = 10.0, 5.0  # Adam's budget: times cvxnn's seconds, and seconds
LONG = 2.0  # seconds of a fit that is not repeated
REPEATS = 3


def data_of(twin: Twin, X: np.ndarray, odd: np.ndarray, dtype: torch.dtype) -> Data:
    x = twin.prepare(X).to(dtype)
    with torch.no_grad():
        mask = twin.mask(x)
    return Data(x, mask, torch.tensor(2.0 * odd - 1.0, dtype=dtype))


def checked_twin(kind: type[Twin], model: Any, X: np.ndarray, odd: np.ndarray) -> Twin:
    """Return the twin of a fitted network; raise unless its objective is the program's."""
    network = getattr(model, "batch_norm_", None)
    twin = kind.of(model.network_ if network is None else network).to_dtype(torch.float64)
    data = data_of(twin, X, odd, torch.float64)
    with torch.no_grad():
        objective = float(twin.objective(data.x, data.mask, data.signs, model.alpha))
    if not np.isclose(objective, model.objective_, rtol=0.1 * TOL):
        raise ValueError(f"the twin has objective {objective}, the model {model.objective_}")
    return twin.to_dtype(torch.float32)


def fit_seconds(model: Any, X: np.ndarray, odd: np.ndarray) -> float:
    """Fit; return the median CPU seconds of cold fits."""
    seconds: list[float] = []
    while len(seconds) < REPEATS and sum(seconds) < LONG:
        start = time.process_time()
        model.fit(X, odd)
        seconds.append(time.process_time() - start)
    return float(np.median(seconds))


def solved(family: Family, X: np.ndarray, odd: np.ndarray) -> tuple[Any, float]:
    """Return the fitted estimator and its seconds."""
    model = family.model(standardize=False, n_threads=1, tol=TOL)
    alpha = family.alpha
    if alpha is None:
        alpha = RATIO * model.solve_path(X, odd, n_alphas=2, eps=0.99)[0].alpha
    model.set_params(alpha=alpha)
    return model, fit_seconds(model, X, odd)


def race(name: str) -> dict:
    warnings.simplefilter("ignore")  # a gap that was missed is in the row
    torch.set_num_threads(1)
    family = FAMILIES[name]
    inputs, labels = digits()
    X, odd = family.shape(inputs[:N_IMAGES]), labels[:N_IMAGES] % 2
    model, seconds = solved(family, X, odd)
    twin = checked_twin(family.twin, model, X, odd)
    goal, budget = model.objective_ * (1 + TOL), max(AT_LEAST, FACTOR * seconds)
    contenders = {
        "same": twin.gates,
        "twice": tuple(gate.repeat_interleave(2, dim=0) for gate in twin.gates),
    }
    widths = {"same": len(twin.hidden), "twice": 2 * len(twin.hidden)}
    if family.gates is not None:
        weights, offsets = torch.tensor(family.gates[:-1].T), torch.tensor(family.gates[-1])
        weights = weights.reshape(-1, *twin.hidden.shape[1:])
        contenders["all"] = (weights.float(), offsets.float())
        widths["all"] = len(weights)
    row = {
        "family": name,
        "width": widths["same"],
        "alpha": model.alpha,
        "seconds": seconds,
        "objective": model.objective_,
        "gap": model.dual_gap_ / model.objective_,
        "budget": budget,
        "adam": {},
    }
    for title, gates in contenders.items():
        twin.resize(widths[title], gates)
        data = data_of(twin, X, odd, torch.float32)
        run = best_run(twin, data, model.alpha, goal, budget)
        least = run.least
        if run.reached < AT_LEAST:  # where it comes to
            more = descend(twin, data, model.alpha, -np.inf, run.rate, run.seed, AT_LEAST)
            least = more.least
        if gates and least < (1 - 0.1 * TOL) * model.lower_bound_:
            raise ValueError(f"Adam has {least}, below the lower bound {model.lower_bound_}")
        row["adam"][title] = asdict(run) | {
            "neurons": widths[title],
            "excess": least / model.objective_ - 1,
        }
    return row
