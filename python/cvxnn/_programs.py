"""Programs over activation patterns, from checked arguments to the core and back."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from cvxnn._ext import core
from cvxnn._problem import Problem, make_problem, shown_log, solver_settings
from cvxnn._threads import effective_threads
from cvxnn._validation import Float, check_choice
from cvxnn.arrangements import PatternSet
from cvxnn.results import SolveResult, certified_fields

ACTIVATIONS = ("gated_relu",)


def pattern_problem(
    X: ArrayLike, y: ArrayLike, patterns: PatternSet, activation: str, **options: Any
) -> Problem:
    """Check the arguments of a program over patterns."""
    check_choice(activation, "activation", ACTIVATIONS)
    if not isinstance(patterns, PatternSet):
        raise TypeError(
            "patterns must be a PatternSet (see activation_patterns), "
            f"got {type(patterns).__name__}"
        )
    problem = make_problem(X, y, patterns.n_patterns, **options)
    if problem.data.shape != (patterns.n_samples, patterns.n_features):
        raise ValueError(
            f"patterns were made from data of shape ({patterns.n_samples}, {patterns.n_features}), "
            f"X has shape {problem.data.shape}"
        )
    return problem


def _result(problem: Problem, patterns: PatternSet, solution: dict[str, Any]) -> SolveResult:
    intercept, skip, unpenalised = problem.split_free(solution["free_coefs"])
    active = np.concatenate([solution["blocks"], np.flatnonzero(problem.weights == 0.0)])
    blocks = np.concatenate([solution["coefs"], unpenalised]).reshape(-1, patterns.n_features)
    order = np.argsort(active)
    return SolveResult(
        **certified_fields(solution),
        active_set=active[order],
        blocks=blocks[order],
        intercept=intercept,
        skip=skip,
        weights=problem.weights,
        patterns=patterns,
    )


def _starting_point(problem: Problem, patterns: PatternSet, init: SolveResult | None) -> Any:
    """Return the core's starting point from an earlier result over the same patterns."""
    if init is None:
        return None
    if not isinstance(init, SolveResult):
        raise TypeError(f"init must be a SolveResult, got {type(init).__name__}")
    if init.patterns is not patterns and not np.array_equal(init.patterns.words, patterns.words):
        raise ValueError("init must come from the same patterns")
    if init.intercept != 0.0 and not problem.fit_intercept:
        raise ValueError("init has an intercept, this problem has none")
    if (init.skip is not None) != problem.skip_connection:
        raise ValueError("init and this problem must agree on skip_connection")
    dense = np.zeros((patterns.n_patterns, patterns.n_features))
    dense[init.active_set] = init.blocks
    penalised = problem.weights > 0.0
    kept = init.active_set[penalised[init.active_set]]
    free = [np.array([init.intercept])] if problem.fit_intercept else []
    if init.skip is not None:
        free.append(init.skip)
    free.append(dense[~penalised].ravel())
    return kept.tolist(), dense[kept].ravel(), np.concatenate(free)[:, None]


def solve_patterns(
    problem: Problem,
    patterns: PatternSet,
    alphas: Sequence[float] | Float,
    *,
    verbose: int,
    init: SolveResult | None,
    **settings: Any,
) -> list[SolveResult]:
    """Solve a checked problem at each alpha, each from the one before; see `solver_settings`."""
    with shown_log(verbose):
        solutions = core.solve_masked(
            problem.data,
            patterns.words,
            problem.targets,
            problem.omega,
            **problem.arguments(),
            **solver_settings(verbose=verbose, **settings),
            alphas=list(alphas),
            init=_starting_point(problem, patterns, init),
        )
    return [_result(problem, patterns, solution) for solution in solutions]


def pattern_alpha_max(problem: Problem, patterns: PatternSet, n_threads: int | None) -> float:
    """Return alpha_max of a checked problem."""
    value: float = core.alpha_max_masked(
        problem.data,
        patterns.words,
        problem.targets,
        problem.omega,
        **problem.arguments(),
        n_threads=effective_threads(n_threads),
    )
    return value
