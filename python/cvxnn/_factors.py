"""Nuclear programs by their factors: networks trained by L-BFGS until a dual bound proves them.

The nuclear norm is the least weight decay of factors, ``|Z|_* = min over Z = U V of
(|U|^2 + |V|^2) / 2``, so that a network with enough neurons has the program's optimum (Recht,
Fazel, Parrilo 2010, lemma 5.1). A stationary network is optimal if no block of the gradient has a
singular value above alpha; where one has, its singular vectors are a neuron that lowers the
objective (Bach, Mairal, Ponce 2008; Haeffele, Vidal 2015).
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from cvxnn._ext import core
from cvxnn._heads import Coordinates, FormedMaps, Heads, Index, Maps
from cvxnn._problem import Problem, same_gates, shown_log, solver_settings
from cvxnn._threads import blas_threads, effective_threads
from cvxnn._validation import Float
from cvxnn.results import Certified, IterationInfo

_MEMORY = 20  # pairs of L-BFGS
_STEPS = 100  # of L-BFGS before the first look at the certificate
_MOST_STEPS = 5000
_PAIRS = 6  # singular pairs that Lanczos' method looks for
_GROWTH = 64  # neurons that are added in a round
_DENSE = 64  # of the shorter side of a block: below it, all singular values are as cheap
_DENSE_PART = 16  # columns of it that are formed at a time
_SMALL = (1e-2, 1e-3, 1e-4, 1e-6, 1e-9)  # of the largest neuron: sizes to do without
_LEAST_BEND = 1e-12  # of a neuron that hardly moves the fit
_LONGEST_AXES = 1024  # of blocks that are worth their eigenvectors
_INNER = 1e-2  # of tol: progress of a step of L-BFGS at which to look at the certificate
_STALLED = 1e-12  # of tol: when no smaller step helps


@dataclass(frozen=True)
class FactorResult(Certified):
    """A network and its certificate; see `Certified`.

    Attributes
    ----------
    heads : Heads
        The network, balanced: its weight decay is the penalty.
    gates : ndarray of shape (n_blocks, ...) or None
        Those of the design.
    """

    heads: Heads = field(repr=False)
    gates: Float | None = field(repr=False)

    @property
    def intercept(self) -> Float:
        """Unpenalised output intercept, (n_outputs,)."""
        return self.heads.intercept

    def neurons(self) -> tuple[Float, Float, Index]:
        """Return hidden weights, output weights and the block of each neuron."""
        return self.heads.hidden, self.heads.output, self.heads.owner


@dataclass(frozen=True)
class _State:
    """What a look at the certificate finds."""

    heads: Heads
    primal: float
    dual: float
    theta: Float
    escapes: Heads  # singular pairs above alpha


@dataclass(frozen=True)
class FactorProgram:
    """A checked problem with the penalty ``nuclear`` over a design that is not formed."""

    problem: Problem
    design: Maps

    def alpha_max(self, n_threads: int | None = None) -> float:
        """Return the smallest alpha at which every block is zero."""
        with blas_threads(effective_threads(n_threads)):
            empty = self._descend(self._empty(), 1.0, _MOST_STEPS, 0.0)[0]
            theta = self._theta(self._fit(empty))
            norms = [self._top_pairs(theta, block)[0][0] for block in range(self.design.n_blocks)]
        return float(max(norms))

    def can_start_from(self, result: Any) -> bool:
        """Whether a result is of heads of this shape and these gates."""
        design, n_outputs = self.design, self.problem.n_outputs
        return (
            isinstance(result, FactorResult)
            and result.heads.hidden.shape[1] == design.n_inputs
            and result.heads.output.shape[1:] == (design.n_positions, n_outputs)
            and result.heads.owner.max(initial=0) < design.n_blocks
            and same_gates(design.gates, result.gates)
            and (self.problem.fit_intercept or not result.intercept.any())
        )

    def solve(
        self,
        alphas: Sequence[float] | Float,
        *,
        verbose: int,
        init: FactorResult | None = None,
        **settings: Any,
    ) -> list[FactorResult]:
        """Solve at each alpha, each from the one before; see `solver_settings`."""
        checked = solver_settings(verbose=verbose, **settings)
        results: list[FactorResult] = []
        heads, started = self._empty() if init is None else init.heads, time.monotonic()
        with shown_log(verbose), blas_threads(checked["n_threads"]):
            for alpha in alphas:
                result = self._solve(float(alpha), heads, started, checked)
                results.append(result)
                heads = result.heads
                if result.status in ("callback", "time_limit"):
                    break
        return results

    def _empty(self) -> Heads:
        positions, outputs = self.design.n_positions, self.problem.n_outputs
        return Heads(
            np.empty((0, self.design.n_inputs)),
            np.empty((0, positions, outputs)),
            np.empty(0, dtype=np.int64),
            np.zeros(outputs),
        )

    def _fit(self, heads: Heads) -> Float:
        maps = self.design.maps(heads.hidden, heads.owner)
        fit: Float = np.tensordot(maps, heads.output, 2) + heads.intercept
        return fit

    @property
    def _loss(self) -> tuple[Any, ...]:
        problem = self.problem
        return problem.loss.name, problem.loss.delta, problem.targets, problem.omega

    def _theta(self, fit: Float, *, centred: bool = True) -> Float:
        """Return minus the gradient of the loss, orthogonal to the intercept if `centred`."""
        free = self.problem.arguments()["free"]
        theta: Float = core.feasible_dual_point(*self._loss, free if centred else free[:, :0], fit)
        return theta

    def _descend(
        self, heads: Heads, alpha: float, steps: int, until: float, deadline: float = np.inf
    ) -> tuple[Heads, int]:
        """Lower the objective of the factors by L-BFGS; return its number of steps too."""
        from scipy.optimize import minimize

        m, design, n_outputs = len(heads.owner), self.design, self.problem.n_outputs
        cuts = np.cumsum([heads.hidden.size, heads.output.size])
        coordinates = self._coordinates(heads, alpha)

        def split(point: Float) -> tuple[Float, Float, Float]:
            hidden, output, intercept = np.split(point, cuts)
            shape = (m, design.n_positions, n_outputs)
            return hidden.reshape(m, design.n_inputs), output.reshape(shape), intercept

        def objective(point: Float) -> tuple[float, Float]:
            hidden, output, intercept = split(point)
            hidden, output = coordinates.weights(hidden, output)
            maps = design.maps(hidden, heads.owner)
            fit = np.tensordot(maps, output, 2) + intercept
            theta = self._theta(fit, centred=False)
            decay = np.vdot(hidden, hidden) + np.vdot(output, output)
            value = core.loss_value(*self._loss, fit) + 0.5 * alpha * float(decay)
            back = np.tensordot(theta, output, axes=([1], [2]))
            gradients = coordinates.gradients(
                alpha * hidden - design.adjoint(back, heads.owner),
                alpha * output - np.tensordot(maps, theta, axes=([0], [0])),
            )
            free = -theta.sum(axis=0) * self.problem.fit_intercept
            return value, np.concatenate([part.ravel() for part in (*gradients, free)])

        def out_of_time(_: Float) -> None:
            if time.monotonic() > deadline:
                raise StopIteration

        start = (*coordinates.point(heads.hidden, heads.output), heads.intercept)
        options = {"maxcor": _MEMORY, "maxiter": steps, "maxfun": 2 * steps, "ftol": until}
        found = minimize(
            objective,
            np.concatenate([part.ravel() for part in start]),
            jac=True,
            method="L-BFGS-B",
            callback=out_of_time,
            options={**options, "gtol": 0.0},
        )
        hidden, output, intercept = split(found.x)
        hidden, output = coordinates.weights(hidden, output)
        return Heads(hidden, output, heads.owner, intercept), int(found.nit)

    def _coordinates(self, heads: Heads, alpha: float) -> Coordinates:
        """Return coordinates in which the loss bends about as much as the weight decay."""
        maps = self.design.maps(heads.hidden, heads.owner).transpose(1, 2, 0)
        bends, axes = np.linalg.eigh((maps * self.problem.omega) @ maps.transpose(0, 2, 1))
        output_scale = 1.0 / np.sqrt(1.0 + np.maximum(bends, 0.0) / alpha)
        spectra = self._spectra
        hidden_scale = np.ones(heads.hidden.shape)
        if spectra is not None and len(heads.owner):
            sizes = np.sum(heads.output**2, axis=(1, 2)) / self.design.n_positions
            sizes = np.maximum(sizes, sizes.mean())
            bends = spectra[0][heads.owner] * sizes[:, None]
            hidden_scale = 1.0 / np.sqrt(1.0 + np.maximum(bends, 0.0) / alpha)
        return Coordinates(
            heads.owner, hidden_scale, None if spectra is None else spectra[1], output_scale, axes
        )

    @cached_property
    def _spectra(self) -> tuple[Float, Float] | None:
        """Return eigenvalues and vectors of the covariance of what each block sees, if cheap."""
        if not isinstance(self.design, FormedMaps) or self.design.n_inputs > _LONGEST_AXES:
            return None
        design, omega = self.design, np.repeat(self.problem.omega, self.design.n_positions)
        rows = design.blocks.reshape(design.n_blocks, -1, design.n_inputs)
        values, vectors = np.linalg.eigh(
            np.stack([(block * omega[:, None]).T @ block for block in rows])
        )
        return values, vectors

    def _gradient_maps(self, theta: Float, block: int) -> Any:
        """Return the block A_b'(Theta), (n_inputs, n_positions * n_outputs), as an operator."""
        from scipy.sparse.linalg import LinearOperator

        design, n_outputs = self.design, self.problem.n_outputs
        shape = (design.n_inputs, design.n_positions * n_outputs)

        def times(outputs: Float) -> Float:
            """Multiply by (n_positions * n_outputs, k)."""
            k = outputs.shape[1]
            spread = outputs.reshape(-1, n_outputs, k).transpose(1, 2, 0).reshape(n_outputs, -1)
            maps = (theta @ spread).reshape(design.n_rows, k, design.n_positions)
            hidden: Float = design.adjoint(maps, np.full(k, block)).T
            return hidden

        def transposed(hidden: Float) -> Float:
            """Multiply the transpose by (n_inputs, k)."""
            k = hidden.shape[1]
            maps = design.maps(np.ascontiguousarray(hidden.T), np.full(k, block))
            outputs: Float = (maps.reshape(design.n_rows, -1).T @ theta).reshape(k, -1).T
            return outputs

        return LinearOperator(
            shape,
            matvec=lambda v: times(v.reshape(-1, 1))[:, 0],
            rmatvec=lambda u: transposed(u.reshape(-1, 1))[:, 0],
            matmat=times,
            rmatmat=transposed,
            dtype=np.float64,
        )

    def _top_pairs(self, theta: Float, block: int) -> tuple[Float, Float, Float]:
        """Return the largest singular values of a block of the gradient, descending, and vectors.

        By Lanczos' method, or all of a block that has few.
        """
        from scipy.sparse.linalg import svds

        operator = self._gradient_maps(theta, block)
        p, q = operator.shape
        if min(p, q) <= _DENSE:
            parts = np.array_split(np.eye(min(p, q)), -(-min(p, q) // _DENSE_PART))
            columns = [operator.matmat(e.T) if q <= p else operator.rmatmat(e.T) for e in parts]
            matrix = np.hstack(columns)
            left, values, right = np.linalg.svd(matrix if q <= p else matrix.T, full_matrices=False)
        else:
            start = np.random.default_rng(0).standard_normal(min(p, q))
            if not (operator.matvec(start) if q <= p else operator.rmatvec(start)).any():
                return np.zeros(1), np.zeros((1, p)), np.zeros((1, q))
            left, values, right = svds(operator, k=_PAIRS, v0=start)
        order = np.argsort(-values)
        return values[order], left[:, order].T, right[order]

    def _escapes(self, pairs: list[tuple[Float, Float, Float]], alpha: float) -> Heads:
        """Return the largest singular pairs above alpha as neurons that lower the objective."""
        every = np.sort(np.concatenate([values for values, *_ in pairs]))
        least = max(alpha, every[-_GROWTH - 1] if len(every) > _GROWTH else 0.0)
        owner = np.repeat(np.arange(len(pairs)), [int((p[0] > least).sum()) for p in pairs])
        values, hidden, output = (
            np.concatenate([pair[k][pair[0] > least] for pair in pairs]) for k in range(3)
        )
        output = output.reshape(len(owner), self.design.n_positions, self.problem.n_outputs)
        maps = self.design.maps(hidden, owner)
        # The loss bends by at most one; together they may move by as much as each of them.
        moves = np.einsum("rml,mlc->rmc", maps, output, optimize=True)
        bend = np.einsum("r,rmc,rmc->m", self.problem.omega, moves, moves, optimize=True)
        size = np.sqrt((values - alpha) / np.maximum(bend, _LEAST_BEND) / max(1, len(owner)))
        return Heads(
            hidden * size[:, None], output * size[:, None, None], owner, np.zeros(output.shape[2])
        )

    def _objective(self, heads: Heads, alpha: float) -> tuple[float, Float]:
        """Return the objective of balanced neurons, and their fit."""
        fit = self._fit(heads)
        value: float = core.loss_value(*self._loss, fit)
        return value + alpha * float(np.vdot(heads.hidden, heads.hidden)), fit

    def _look(self, heads: Heads, alpha: float) -> _State:
        """Return objective, lower bound and ways down of balanced neurons."""
        heads = heads.balanced()[0]
        primal, fit = self._objective(heads, alpha)
        for share in _SMALL:  # what decays to zero goes at once, where that is no loss
            fewer = heads.larger_than(share)
            lower, other = self._objective(fewer, alpha)
            if lower <= primal:
                heads, primal, fit = fewer, lower, other
                break
        theta = self._theta(fit)
        pairs = [self._top_pairs(theta, block) for block in range(self.design.n_blocks)]
        norm = max(values[0] for values, *_ in pairs)
        limit = alpha / norm if norm > 0.0 else np.inf
        free = self.problem.arguments()["free"]
        dual = min(core.lower_bound(*self._loss, free, theta, limit), primal)
        theta = theta * min(1.0, limit)
        return _State(heads, primal, dual, theta, self._escapes(pairs, alpha))

    def _solve(
        self, alpha: float, heads: Heads, started: float, settings: dict[str, Any]
    ) -> FactorResult:
        tol, callback, begun = settings["tol"], settings["callback"], time.monotonic()
        deadline = started + settings["time_limit"]
        best = state = self._look(heads, alpha)
        steps, until, n_epochs, status = _STEPS, _INNER * tol, 0, "max_iter"
        trace: list[IterationInfo] = []
        for iteration in range(1, settings["max_iter"] + 1):
            best = max(best, state, key=lambda seen: seen.dual)
            gap, now = state.primal - best.dual, time.monotonic()
            progress: dict[str, Any] = {
                "iteration": iteration,
                "primal": state.primal,
                "dual": best.dual,
                "gap": gap,
                "n_active": len(np.unique(state.heads.owner)),
                "n_working": self.design.n_blocks,
                "alpha": alpha,
                "elapsed": now - started,
            }
            trace.append(IterationInfo(**progress))
            if callback is not None and callback(progress):
                status = "callback"
            elif gap <= tol * state.primal:
                status = "optimal"
            elif now > deadline:
                status = "time_limit"
            elif until < _STALLED * tol:
                status = "stalled"
            if status != "max_iter" or iteration == settings["max_iter"]:
                break
            wider = state.heads.with_more(state.escapes)
            accuracy = until * state.primal
            heads, n = self._descend(wider, alpha, steps, accuracy, deadline)
            n_epochs += n
            last, state = state, self._look(heads, alpha)
            if last.primal - state.primal < tol * state.primal:  # what is left is accuracy
                until = until if n >= steps else 0.1 * until
                steps = min(2 * steps, _MOST_STEPS)
        return FactorResult(
            status=status,
            alpha=alpha,
            primal=state.primal,
            dual=best.dual,
            gap=state.primal - best.dual,
            n_iter=len(trace),
            n_epochs=n_epochs,
            seconds=time.monotonic() - begun,
            theta=best.theta[:, 0] if best.theta.shape[1] == 1 else best.theta,
            trace=trace,
            heads=state.heads,
            gates=self.design.gates,
        )
