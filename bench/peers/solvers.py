"""Adapters: each solver on a `Problem`, one thread, timed by wall clock.

An adapter is called with the strength lambda, the objectives to reach (loose first) and a budget in
seconds, and returns `Run`: for each goal the seconds of its cheapest run that got there, or None.
Making the dense matrix for the packages that need one is not counted.
"""

import logging
import time
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from objective import objective
from problems import Problem

logging.disable(logging.WARNING)
warnings.simplefilter("ignore")
DENSE_LIMIT = 2e9  # bytes
on_rung: Callable[["Run"], None] | None = None  # is told what a ladder has so far


@dataclass
class Run:
    seconds: list[float | None]  # to each goal
    spent: float  # of the longest run
    best: float = np.inf  # objective reached


def ladder(
    problem: Problem,
    strength: float,
    goals: list[float],
    budget: float,
    tolerances: Iterable[float],
    solve: Callable[[float], np.ndarray],
) -> Run:
    """Cold runs at falling tolerances until the last goal is reached or the budget is spent."""
    run = Run([None] * len(goals), 0.0)
    total = 0.0
    for tol in tolerances:
        start = time.perf_counter()
        U = solve(tol)
        seconds = time.perf_counter() - start
        total += seconds
        run.spent = max(run.spent, seconds)
        run.best = min(run.best, objective(problem, U, strength))
        for i, goal in enumerate(goals):
            if run.best <= goal and (run.seconds[i] is None or seconds < run.seconds[i]):
                run.seconds[i] = seconds
        if on_rung is not None:
            on_rung(run)
        if run.seconds[-1] is not None or total > budget:
            break
    return run


def cvxnn_solution(
    problem: Problem, strength: float, tol: float, **settings: object
) -> tuple[np.ndarray, float]:
    """Return (c, P, d) and the certified lower bound.

    Packing the patterns is part of the work, as it is for pyscnn.
    """
    import cvxnn

    c = problem.Y.shape[1]
    X = problem.X.astype(np.float32)
    patterns = cvxnn.activation_patterns(X, problem.gates)
    U = np.zeros((c, patterns.n_patterns, X.shape[1]))
    bound = 0.0
    for k in range(c):
        result = cvxnn.solve(
            X,
            problem.Y[:, k],
            patterns,
            alpha=strength * c,
            tol=tol,
            n_threads=1,
            **settings,  # type: ignore[arg-type]
        )
        U[k, result.active_set] = result.blocks
        bound += result.dual / c
    return U, bound


def pyscnn(problem: Problem, strength: float, goals: list[float], budget: float) -> Run:
    """R-FISTA in float32, its own per-iteration record read backwards: its best tolerance.

    It has no time limit; its stopping test is made to look at the clock and at the objective.
    """
    import scnn.private.methods.termination_criteria as criteria
    from scnn.metrics import Metrics
    from scnn.models import ConvexGatedReLU
    from scnn.optimize import optimize_model
    from scnn.regularizers import NeuronGL1
    from scnn.solvers import RFISTA

    end = time.perf_counter() + budget

    def stop(_self, _model, _X, _y, objective=None, grad=None):  # noqa: ARG001
        reached = objective is not None and objective <= goals[-1] * (1 - 1e-7)
        return reached or time.perf_counter() > end

    criteria.GradientNorm.__call__ = stop
    model = ConvexGatedReLU(problem.gates.copy(), c=problem.Y.shape[1])
    start = time.perf_counter()
    _, metrics = optimize_model(
        model,
        RFISTA(model, max_iters=10**6, tol=1e-30),
        Metrics(),
        problem.X,
        problem.Y,
        regularizer=NeuronGL1(strength),
        return_convex=True,
        unitize_data=False,
        dtype="float32",
    )
    spent = time.perf_counter() - start
    objectives = np.asarray(metrics.objective, float)
    clock = np.asarray(metrics.time, float)
    clock = clock + (spent - clock[-1])  # its set-up comes first
    seconds: list[float | None] = []
    for goal in goals:
        there = np.flatnonzero(objectives <= goal)
        seconds.append(float(clock[min(there[0], len(clock) - 1)]) if there.size else None)
    return Run(seconds, spent, float(objectives.min()))


def adelie(problem: Problem, strength: float, goals: list[float], budget: float) -> Run:
    import adelie as ad

    d, c = problem.X.shape[1], problem.Y.shape[1]
    X = np.asfortranarray(problem.X)

    def solve(tol: float) -> np.ndarray:
        A = ad.matrix.convex_relu(X, problem.masks, gated=True, n_threads=1)
        n_groups = problem.masks.shape[1]
        U = np.zeros((c, n_groups, d))
        for k in range(c):
            state = ad.grpnet(
                A,
                ad.glm.gaussian(np.ascontiguousarray(problem.Y[:, k])),
                groups=np.arange(0, n_groups * d, d),
                penalty=np.ones(n_groups),
                lmda_path=np.array([strength * c]),
                intercept=False,
                tol=tol,
                early_exit=False,
                progress_bar=False,
                n_threads=1,
                max_iters=10**6,
            )
            U[k] = state.betas[-1].toarray().reshape(n_groups, d)
        return U

    return ladder(problem, strength, goals, budget, 10.0 ** -np.arange(6, 16, 2), solve)


def celer(problem: Problem, strength: float, goals: list[float], budget: float) -> Run:
    from celer import GroupLasso

    return dense_ladder(
        problem,
        strength,
        goals,
        budget,
        10.0 ** -np.arange(2, 9),
        lambda alpha, tol: GroupLasso(
            groups=problem.X.shape[1],
            alpha=alpha,
            tol=tol,
            fit_intercept=False,
            max_iter=200,
            max_epochs=50000,
        ),
    )


def skglm(problem: Problem, strength: float, goals: list[float], budget: float) -> Run:
    from skglm import GroupLasso

    return dense_ladder(
        problem,
        strength,
        goals,
        budget,
        10.0 ** -np.arange(1, 6),
        lambda alpha, tol: GroupLasso(
            groups=problem.X.shape[1],
            alpha=alpha,
            tol=tol * alpha,
            fit_intercept=False,
            max_iter=200,
            max_epochs=20000,
        ),
    )


def dense_ladder(problem, strength, goals, budget, tolerances, make) -> Run:
    A, c = problem.dense(), problem.Y.shape[1]
    shape = (problem.masks.shape[1], problem.X.shape[1])

    def solve(tol: float) -> np.ndarray:
        return np.array(
            [make(strength * c, tol).fit(A, y.copy()).coef_.reshape(shape) for y in problem.Y.T]
        )

    return ladder(problem, strength, goals, budget, tolerances, solve)


PEERS = {"pyscnn": pyscnn, "adelie": adelie, "celer": celer, "skglm": skglm}
NEEDS_DENSE = ("celer", "skglm")
