"""Column generation over all activation patterns: ReLU programs without a sample of gates."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cvxnn._ext import core
from cvxnn._local_training import train_neurons
from cvxnn._problem import Problem, make_problem
from cvxnn._programs import PatternProgram, pattern_program, takes_several_outputs
from cvxnn._threads import effective_threads
from cvxnn._validation import (
    Float,
    check_choice,
    check_count,
    check_positive,
    check_time_limit,
    refuse_sparse,
)
from cvxnn.arrangements import (
    PatternSet,
    RandomState,
    activation_patterns,
    concatenate_patterns,
    generator,
)
from cvxnn.enumeration import enumerate_patterns
from cvxnn.results import SolveResult

_FIRST_GATES = 32
_FIRST_NEURONS = 100  # of the network that is trained to begin with
_ADDED = 100  # patterns a round at most, the worst violators
_ROUNDS = 500
_LOOSE = 1e-2  # relative gap of the first solves
_SHARE = 0.1  # of the largest violation: the relative gap of the next solve
_LEAST = 0.1  # of tol: the relative gap of the last solves
_FEW = 10  # violations of gradients: with fewer, walks are worth their time
_DISTANCES = (0.2, 0.4, 0.7, 1.0)  # of starts from the neurons that they are around
_FINAL = 4  # walks without a violation, each from other starts, that are believed


@dataclass(frozen=True)
class Violations:
    """Large values of ``+-theta @ (X u)_+``, or of its norm, over the unit ball, largest first."""

    values: Float  # (n,)
    signs: Float  # (n,)
    directions: Float  # (d, n) of norm one: the neurons
    gates: Float  # (d, n) strictly inside their cells

    @property
    def largest(self) -> float:
        """The largest value, a lower bound of the dual norm of theta."""
        return float(self.values[0])


def signed(starts: Float, theta: Float) -> tuple[Float, Float]:
    """Return starts with the signs to ascend for: both, or where outputs are several, one."""
    if theta.ndim == 2:
        return starts, np.ones(starts.shape[1])
    return np.tile(starts, 2), np.repeat([1.0, -1.0], starts.shape[1])


def find_violations(
    data: Float,
    theta: Float,
    starts: Float,
    n_threads: int,
    *,
    signs: Float | None = None,
    walk: bool = True,
) -> Violations:
    """Ascend from each start, a column, for its sign or for both; without a walk ten times faster.

    Then the points are no local maxima: where the largest violates nothing, a walk may find more.
    """
    if signs is None:
        starts, signs = signed(starts, theta)
    found = []
    for sign in (1.0, -1.0):
        columns = np.asfortranarray(starts[:, signs == sign])
        if walk:
            found.append(core.cell_walks(data, sign * theta, columns, n_threads=n_threads))
        else:
            values, points = core.climbs(data, sign * theta, columns, n_threads=n_threads)
            found.append((values, points, points))
    values = np.concatenate([values for values, _, _ in found])
    order = np.argsort(-values, kind="stable")
    return Violations(
        values=values[order],
        signs=np.repeat([1.0, -1.0], [len(values) for values, _, _ in found])[order],
        directions=np.hstack([best for _, best, _ in found])[:, order],
        gates=np.hstack([inside for _, _, inside in found])[:, order],
    )


def around(neurons: Float, count: int, rng: np.random.Generator) -> tuple[Float, NDArray[np.int64]]:
    """Draw starts (d, count) around neurons, columns that are not zero; return whose each is.

    Near an optimum what violates is mostly there.
    """
    units = neurons / np.abs(neurons).max(axis=0)  # squares of tiny or huge ones have no room
    units /= np.linalg.norm(units, axis=0)
    near = rng.integers(neurons.shape[1], size=count)
    draws = rng.standard_normal((count, len(neurons))).T
    draws *= rng.choice(_DISTANCES, size=count) / np.linalg.norm(draws, axis=0)
    return units[:, near] + draws, near


def program_over(
    X: ArrayLike,
    y: ArrayLike,
    patterns: PatternSet | str,
    activation: str,
    *,
    n_starts: int,
    random_state: RandomState,
    n_threads: int | None,
    **options: Any,
) -> "PatternProgram | AdaptiveProgram":
    """Check the arguments of a program over given patterns, over all, or over those that matter."""
    if isinstance(patterns, str):
        if check_choice(patterns, "patterns", ("exact", "adaptive")) == "adaptive":
            return adaptive_program(
                X,
                y,
                activation,
                n_starts=n_starts,
                random_state=random_state,
                n_threads=n_threads,
                **options,
            )
        patterns = enumerate_patterns(X, n_threads=n_threads)
    return pattern_program(X, y, patterns, activation, **options)


def adaptive_program(
    X: ArrayLike,
    y: ArrayLike,
    activation: str,
    *,
    weights: ArrayLike | None,
    n_starts: int,
    random_state: RandomState,
    n_threads: int | None,
    **options: Any,
) -> "AdaptiveProgram":
    """Check the arguments of a program over all patterns."""
    if activation != "relu":
        raise ValueError(f"patterns='adaptive' needs activation='relu', got {activation!r}")
    if weights is not None:
        raise ValueError("weights belong to given patterns, not to patterns='adaptive'")
    if options.get("penalty") == "elastic":
        raise ValueError("penalty='elastic' needs given patterns, got patterns='adaptive'")
    refuse_sparse(X, "X", " for patterns='adaptive'")
    n_starts = check_count(n_starts, "n_starts")
    several = takes_several_outputs(activation, y, options.get("penalty"))
    problem = make_problem(X, y, 1, weights=None, several=several, **options)
    return AdaptiveProgram(
        problem, n_starts=n_starts, random_state=random_state, n_threads=n_threads
    )


class AdaptiveProgram:
    """The ReLU program over every pattern of the data, by a growing and shrinking set of them.

    Solve over the set, look for neurons that violate the dual constraint from many starts, add
    their patterns, drop those of zero blocks, until no start finds a violation.
    """

    def __init__(
        self,
        problem: Problem,
        *,
        n_starts: int,
        random_state: RandomState,
        n_threads: int | None,
    ) -> None:
        self._problem = problem
        self._n_starts = n_starts
        self._rng = generator(random_state)
        self._n_threads = effective_threads(n_threads)
        self._data = np.ascontiguousarray(problem.data, dtype=np.float64)
        self._patterns = self._pack(self._random_directions(_FIRST_GATES))

    def _random_directions(self, count: int) -> Float:
        draws: Float = self._rng.standard_normal((count, self._data.shape[1])).T
        return draws

    def _pack(self, gates: Float) -> PatternSet:
        return activation_patterns(
            self._problem.data, np.ascontiguousarray(gates), n_threads=self._n_threads
        )

    def _program(self, patterns: PatternSet) -> PatternProgram:
        problem = replace(self._problem, weights=np.ones(patterns.n_patterns))
        return PatternProgram(problem, patterns, "relu")

    def _starts(self, result: SolveResult, neurons: bool) -> tuple[Float, Float]:
        """Draw starts anywhere and around the neurons, with signs; or the neurons themselves too.

        What violates near a neuron has its sign.
        """
        starts, signs = signed(self._random_directions(self._n_starts), result.theta)
        own, outputs, _ = result.hidden_and_output()
        if own.shape[1] > 0:
            of_own = np.ones(len(outputs)) if result.theta.ndim == 2 else np.sign(outputs[:, 0])
            close, whose = around(own, 4 * self._n_starts, self._rng)
            starts, signs = np.hstack([close, starts]), np.concatenate([of_own[whose], signs])
            if neurons:
                starts, signs = np.hstack([own, starts]), np.concatenate([of_own, signs])
        return starts, signs

    def _climb(self, result: SolveResult) -> Violations:
        starts, signs = self._starts(result, neurons=True)
        return find_violations(
            self._data, result.theta, starts, self._n_threads, signs=signs, walk=False
        )

    def _walk(self, result: SolveResult, limit: float) -> Violations:
        """Walk until some violation is above the limit, or no start finds one."""
        for attempt in range(_FINAL):
            starts, signs = self._starts(result, neurons=attempt == 0)
            found = find_violations(self._data, result.theta, starts, self._n_threads, signs=signs)
            if found.largest > limit:
                break
        return found

    def add_gates(self, gates: Float) -> None:
        """Put the patterns of these gates, columns, in front of those at hand."""
        active = gates[:, (self._data @ gates > 0.0).any(axis=0)]
        if active.shape[1] > 0:
            added = self._pack(active / np.abs(active).max(axis=0))  # neurons of tiny data are huge
            most = added.n_patterns + self._patterns.n_patterns
            self._patterns = concatenate_patterns(added, self._patterns, most)

    def alpha_max(self, n_threads: int | None) -> float:
        """Return the largest violation at zero coefficients that the walks find."""
        program = self._program(self._patterns)
        theta = program.zero_dual_point(n_threads)
        starts = self._random_directions(_FINAL * self._n_starts)
        return find_violations(self._data, theta, starts, self._n_threads).largest

    def can_start_from(self, result: Any) -> bool:  # noqa: ARG002  # as other programs
        """Whether a solve can start from a result: patterns are generated afresh."""
        return False

    def solve(
        self,
        alphas: Sequence[float] | Float,
        *,
        tol: float,
        init: SolveResult | None,
        time_limit: float | None,
        **settings: Any,
    ) -> list[SolveResult]:
        """Solve at each alpha, each from the one before; see `solver_settings`."""
        if init is not None:
            raise ValueError("init belongs to given patterns, not to patterns='adaptive'")
        check_positive(tol, "tol")
        deadline = time.monotonic() + check_time_limit(time_limit)
        results: list[SolveResult] = []
        for alpha in alphas:
            before = results[-1] if results else None
            results.append(self._solve(alpha, before, tol=tol, deadline=deadline, **settings))
            if results[-1].status in ("time_limit", "callback"):
                break
        return results

    def _solve(
        self,
        alpha: float,
        result: SolveResult | None,
        *,
        tol: float,
        deadline: float,
        **settings: Any,
    ) -> SolveResult:
        # Far from the end a solution need not be better than what patterns it lacks.
        least, limit = _LEAST * tol, alpha * (1.0 + 0.25 * tol)
        if result is None:
            self._train(alpha, deadline)
        accuracy, climbs = max(_LOOSE, least), True
        for _ in range(_ROUNDS):
            left = deadline - time.monotonic()
            result = self._program(self._patterns).solve(
                [alpha],
                tol=accuracy,
                init=result,
                time_limit=max(left, 1e-9) if np.isfinite(left) else None,
                **settings,
            )[0]
            # A stalled solution tells what violates as well as an optimal one.
            if result.status not in ("optimal", "stalled"):
                return result
            if climbs:
                found = self._climb(result)
                climbs = int(np.count_nonzero(found.values > limit)) >= _FEW
            if not climbs:
                found = self._walk(result, limit)
            if found.largest <= limit and accuracy == least:
                return replace(result, status="optimal") if result.gap_rel <= tol else result
            excess = found.largest / alpha - 1.0
            accuracy = min(_LOOSE, max(least, _SHARE * excess))
            if found.largest > limit:
                result = self._exchange(result, found.gates[:, found.values > limit])
        assert result is not None
        return replace(result, status="max_iter")

    def _train(self, alpha: float, deadline: float) -> None:
        """Add the patterns of a network that is trained locally."""
        self.add_gates(
            train_neurons(
                self._problem,
                self._data,
                alpha,
                _FIRST_NEURONS,
                self._rng,
                n_threads=self._n_threads,
                deadline=deadline,
            )
        )

    def _exchange(self, result: SolveResult, gates: Float) -> SolveResult:
        """Keep the patterns of the solution, add those of gates; return it over the new set."""
        kept = np.unique(result.active_set)
        active = self._patterns.subset(kept)
        self._patterns = concatenate_patterns(active, self._pack(gates), len(kept) + _ADDED)
        return replace(
            result,
            active_set=np.searchsorted(kept, result.active_set),
            patterns=self._patterns,
            weights=np.ones(self._patterns.n_patterns),
        )
