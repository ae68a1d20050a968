"""Column generation over neurons: ReLU programs whose neurons feed several outputs.

The penalty of a block is no norm with a projection but the gauge of rank-one matrices ``u v'`` with
u in the block's cone. Neurons u, atoms, are generated where they violate the dual constraint, and
the output weights of all atoms are a group lasso (Sahiner, Ergen, Pauly, Pilanci 2021).
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cvxnn._ext import core
from cvxnn._problem import Problem
from cvxnn._validation import Float
from cvxnn.results import output_signs

_ADDED = 16  # atoms a round, the worst violators
_SAME = 1e-8  # distance of unit vectors that are one atom
# Tolerances of restricted programs: the first, of the last gap, and of the tolerance at the least.
_FIRST_TOL, _INNER_SHARE, _LEAST_TOL = 1e-2, 0.05, 1e-2
_INNER_ITER = 5  # evaluations of its gap: what is left of it is for the next round
_HINGES = ("hinge", "squared_hinge")
_MOST_INNER_ITER = 1000  # where rounds end without progress
_PROGRESS = 1e-12  # relative decrease of the objective that is one
_LEAST_TIME = 1e-9  # seconds, where time is up: the core wants some


@dataclass(frozen=True)
class Atoms:
    """Neurons: the block of each, its unit hidden weights, and its output weights."""

    blocks: NDArray[np.int64]  # (m,)
    directions: Float  # (n_inputs, m)
    outputs: Float  # (m, n_positions, n_outputs)

    def subset(self, kept: NDArray[Any]) -> "Atoms":
        """Return some of them, by index or mask."""
        return Atoms(self.blocks[kept], self.directions[:, kept], self.outputs[kept])

    def joined(self, blocks: NDArray[np.int64], directions: Float) -> "Atoms":
        """Return them with others, whose output weights are zero, but for those they hold."""
        distance = np.linalg.norm(directions.T[:, None] - self.directions.T, axis=2)
        new = ~((distance <= _SAME) & (blocks[:, None] == self.blocks)).any(axis=1)
        outputs = np.zeros((int(new.sum()), *self.outputs.shape[1:]))
        return Atoms(
            np.concatenate([self.blocks, blocks[new]]),
            np.hstack([self.directions, directions[:, new]]),
            np.concatenate([self.outputs, outputs]),
        )


@dataclass(frozen=True)
class Peaks:
    """Where neurons of unit weights gain most; see ``cone_peaks.hpp``."""

    blocks: NDArray[np.int64]
    values: Float
    directions: Float
    largest: float
    exact: bool


@dataclass(frozen=True)
class NeuronProgram:
    """A problem over the blocks of ReLU neurons.

    Attributes
    ----------
    problem : Problem
        Data and loss; the weights are the blocks'.
    search : callable
        The core's function that finds peaks, with the design and the cones bound.
    columns : callable
        From blocks and directions of m atoms to what they put out, (n_rows, m, n_positions).
    n_inputs, n_positions : int
        Hidden weights of a neuron, and positions at which it is put out.
    """

    problem: Problem
    search: Callable[..., Any]
    columns: Callable[[NDArray[np.int64], Float], Float]
    n_inputs: int
    n_positions: int

    @property
    def no_atoms(self) -> Atoms:
        """No neurons at all."""
        shape = (0, self.n_positions, self.problem.n_outputs)
        return Atoms(np.empty(0, np.int64), np.empty((self.n_inputs, 0)), np.empty(shape))

    def peaks(
        self, theta: Float, least: float, atoms: Atoms, n_threads: int, *, thorough: bool
    ) -> Peaks:
        """Return neurons whose gain at the dual point is above `least`, one a block."""
        blocks, values, directions, largest, exact = self.search(
            np.asfortranarray(theta),
            least,
            weights=self.problem.weights,
            start_blocks=atoms.blocks.tolist(),
            starts=np.asfortranarray(atoms.directions),
            thorough=thorough,
            n_threads=n_threads,
        )
        return Peaks(np.asarray(blocks, np.int64), values, directions, largest, exact)

    def restricted(
        self, atoms: Atoms, alpha: float, free: Float | None, settings: dict[str, Any]
    ) -> dict[str, Any]:
        """Solve for the output weights of these atoms; the answer is the core's."""
        problem, m = self.problem, len(atoms.blocks)
        columns, weights = np.zeros((len(problem.targets), 1, self.n_positions)), np.ones(1)
        if m > 0:
            columns = self.columns(atoms.blocks, atoms.directions)
            weights = problem.weights[atoms.blocks]
        init = None
        if free is not None:
            used = np.flatnonzero(atoms.outputs.any(axis=(1, 2)))
            init = (used.tolist(), atoms.outputs[used].transpose(0, 2, 1).ravel(), free)
        arguments = problem.arguments() | {"weights": weights, "norm": "frobenius"}
        solution: dict[str, Any] = core.solve_groups(
            np.ascontiguousarray(columns.reshape(len(columns), -1)),
            list(range(0, columns[0].size + 1, self.n_positions)),
            problem.targets,
            problem.omega,
            **(arguments | {"block_rows": 0}),
            **settings,
            alphas=[alpha],
            init=init,
        )[0]
        return solution

    def alpha_max(self, n_threads: int) -> float:
        """Return the largest gain of a neuron at zero that the search finds."""
        settings = {
            "tol": 1e-9,
            "max_iter": 1000,
            "time_limit": np.inf,
            "n_threads": n_threads,
            "screening": False,
            "solver": "auto",
            "callback": None,
        }
        theta = self.restricted(self.no_atoms, 1.0, None, settings)["theta"]
        return self.peaks(theta, 0.0, self.no_atoms, n_threads, thorough=True).largest

    def lower_bound(self, theta: Float, limit: float) -> float:
        """Return the dual value of the best multiple of theta up to `limit`."""
        problem = self.problem
        value: float = core.lower_bound(
            problem.loss.name,
            problem.loss.delta,
            problem.targets,
            problem.omega,
            problem.arguments()["free"],
            np.asfortranarray(theta),
            limit,
        )
        return value

    def solve(
        self, alphas: Sequence[float] | Float, start: Atoms | None, settings: dict[str, Any]
    ) -> list[dict[str, Any]]:
        """Solve at each alpha, from the atoms of the one before; answers are as the core's."""
        deadline = time.monotonic() + settings["time_limit"]
        atoms = self.no_atoms if start is None else start
        solutions: list[dict[str, Any]] = []
        for alpha in alphas:
            run = _Run(self, float(alpha), deadline, settings)
            atoms = run.minimise(atoms)
            solutions.append(run.answer(atoms))
            if run.status in ("time_limit", "callback"):
                break
        return solutions


class _Run:
    """One solve: rounds of restricted programs and searches, and what they came to."""

    def __init__(
        self, program: NeuronProgram, alpha: float, deadline: float, settings: dict[str, Any]
    ) -> None:
        self._program, self._alpha = program, alpha
        self._began, self._deadline = time.monotonic(), deadline
        self._observe = settings["callback"]
        self._tol, self._max_iter = settings["tol"], settings["max_iter"]
        self._n_threads = settings["n_threads"]
        # Close atoms make ill-conditioned programs, on which others are slower, but for hinges.
        solver = "auto" if program.problem.loss.name in _HINGES else "fista"
        self._inner = {"screening": settings["screening"], "solver": solver}
        self._inner_iter = _INNER_ITER
        self._free: Float | None = None
        self._n_epochs = 0
        self._trace: list[dict[str, Any]] = []
        self.status = "max_iter"

    def minimise(self, atoms: Atoms) -> Atoms:
        """Return the atoms of a solution, from some to begin with."""
        inner_tol, least_tol = _FIRST_TOL, _LEAST_TOL * self._tol
        lowest, searched = np.inf, False
        for iteration in range(1, self._max_iter + 1):
            n_working = len(atoms.blocks)
            atoms = self._restrict(atoms, max(inner_tol, least_tol))
            self._look(atoms, thorough=False)
            if self._stops(iteration, len(atoms.blocks), n_working):
                break
            if self._gap <= self._tol * self._primal and not self._peaks.exact:
                self._look(atoms, thorough=True)
            if self._gap <= self._tol * self._primal:
                self.status = "optimal"
                return atoms
            lowered = self._primal < lowest
            searched = searched and not lowered
            lowest = min(lowest, self._primal * (1.0 - _PROGRESS))
            extended = self._extended(atoms)
            if not lowered or len(extended.blocks) == len(atoms.blocks):
                # What is left is the gap of the restricted program, a neuron that a quick search
                # misses, or rounding.
                if inner_tol <= least_tol and self._inner_iter == _MOST_INNER_ITER:
                    last = searched or self._peaks.exact
                    if not last:
                        self._look(atoms, thorough=True)
                        extended, searched = self._extended(atoms), True
                    if last or len(extended.blocks) == len(atoms.blocks):
                        self.status = "stalled"
                        break
                inner_tol *= 0.1
                self._inner_iter = min(4 * self._inner_iter, _MOST_INNER_ITER)
            atoms = extended
            inner_tol = min(inner_tol, _INNER_SHARE * self._gap / self._primal)
        if not self._peaks.exact and self.status not in ("time_limit", "callback"):
            self._look(atoms, thorough=True)  # may take many times a round
        return atoms.subset(np.flatnonzero(atoms.outputs.any(axis=(1, 2))))

    def _extended(self, atoms: Atoms) -> Atoms:
        """Return the atoms with the worst of those that the last search found."""
        worst = np.argsort(-self._peaks.values, kind="stable")[:_ADDED]
        return atoms.joined(self._peaks.blocks[worst], self._peaks.directions[:, worst])

    def _restrict(self, atoms: Atoms, tol: float) -> Atoms:
        """Solve over these atoms; return those that are not zero."""
        settings = self._inner | {
            "n_threads": self._n_threads,
            "tol": tol,
            "max_iter": self._inner_iter,
            "time_limit": max(self._deadline - time.monotonic(), _LEAST_TIME),
            "callback": None,
        }
        solution = self._program.restricted(atoms, self._alpha, self._free, settings)
        self._free, self._primal = solution["free_coefs"], solution["primal"]
        self._restricted_theta = solution["theta"]
        self._n_epochs += solution["n_epochs"]
        used = solution["blocks"]
        coefs = solution["coefs"].reshape(len(used), *atoms.outputs.shape[:0:-1])
        kept = replace(atoms.subset(used), outputs=coefs.transpose(0, 2, 1))
        return kept.subset(np.argsort(used))

    def _look(self, atoms: Atoms, *, thorough: bool) -> None:
        """Find the neurons that the solution lacks, and the bound that they leave."""
        theta, alpha = self._restricted_theta, self._alpha
        self._peaks = self._program.peaks(theta, alpha, atoms, self._n_threads, thorough=thorough)
        scale = alpha / max(alpha, self._peaks.largest)
        self._theta = scale * theta
        self._dual = min(self._program.lower_bound(theta, scale), self._primal)
        self._gap = self._primal - self._dual

    def _stops(self, iteration: int, n_active: int, n_working: int) -> bool:
        """Report the round, and whether to end here."""
        elapsed = time.monotonic() - self._began
        progress = {
            "iteration": iteration,
            "primal": self._primal,
            "dual": self._dual,
            "gap": self._gap,
            "n_active": n_active,
            "n_working": n_working,
            "alpha": self._alpha,
            "elapsed": elapsed,
        }
        self._trace.append(progress)
        if self._observe is not None and self._observe(progress):
            self.status = "callback"
        elif self._gap > self._tol * self._primal and time.monotonic() > self._deadline:
            self.status = "time_limit"
        else:
            return False
        return True

    def answer(self, atoms: Atoms) -> dict[str, Any]:
        """Return what the core returns, each atom a block of rank one with its orientation."""
        m, n_positions, n_outputs = atoms.outputs.shape
        n_blocks = len(self._program.problem.weights)
        signs = output_signs(atoms.outputs.reshape(m, n_positions * n_outputs))
        signed = signs[:, None, None] * atoms.outputs
        return {
            "status": self.status,
            "alpha": self._alpha,
            "primal": self._primal,
            "dual": self._dual,
            "gap": self._gap,
            "theta": self._theta,
            "blocks": atoms.blocks + np.where(signs > 0, 0, n_blocks),
            "coefs": np.einsum("mac,hm->mcah", signed, atoms.directions).ravel(),
            "free_coefs": self._free,
            "n_iter": len(self._trace),
            "n_epochs": self._n_epochs,
            "seconds": time.monotonic() - self._began,
            "trace": self._trace,
            "exact": self._peaks.exact,
        }
