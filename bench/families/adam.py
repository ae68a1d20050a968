"""Adam on a twin, until it has an objective or has spent its CPU seconds."""

import math
import time
from dataclasses import dataclass

import torch
from twins import Mask, Twin, logistic

RATES = (3e-3, 1e-2, 3e-2, 1e-1)
SEEDS = (0, 1, 2)
TUNING = 0.5  # share of the budget for a rate


@dataclass(frozen=True)
class Data:
    x: torch.Tensor
    mask: Mask
    signs: torch.Tensor


@dataclass(frozen=True)
class Run:
    rate: float
    seed: int
    reached: float  # seconds to the goal, infinite if it was not reached
    least: float  # objective


def descend(
    twin: Twin, data: Data, alpha: float, goal: float, rate: float, seed: int, budget: float
) -> Run:
    """Take full-batch steps from random weights until the goal."""
    twin.reset(seed)
    decayed = twin.decayed()
    kept = {id(part) for part in decayed}
    free = [part for part in twin.parameters() if id(part) not in kept]
    optimiser = torch.optim.Adam(
        [{"params": decayed, "weight_decay": alpha}, {"params": free}], lr=rate
    )
    least = math.inf
    start = time.process_time()
    while True:
        optimiser.zero_grad()
        loss = logistic(twin(data.x, data.mask), data.signs)
        with torch.no_grad():
            decay = sum(part.square().sum() for part in decayed)
            least = min(least, float(loss + 0.5 * alpha * decay))
        spent = time.process_time() - start
        if least <= goal or spent > budget:
            return Run(rate, seed, spent if least <= goal else math.inf, least)
        loss.backward()
        optimiser.step()


def best_run(twin: Twin, data: Data, alpha: float, goal: float, budget: float) -> Run:
    """Return the best over the seeds at the rate that is best for the first one.

    A run ends where it is later than the best one so far.
    """
    best: Run | None = None

    def consider(rate: float, seed: int, budget: float) -> None:
        nonlocal best
        limit = budget if best is None else min(budget, best.reached)
        run = descend(twin, data, alpha, goal, rate, seed, limit)
        if best is None or (run.reached, run.least) < (best.reached, best.least):
            best = run

    for rate in RATES:
        consider(rate, SEEDS[0], TUNING * budget)
    tuned = best.rate
    for seed in SEEDS if math.isinf(best.reached) else SEEDS[1:]:
        consider(tuned, seed, budget)
    return best
