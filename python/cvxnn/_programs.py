"""Programs over activation patterns, from checked arguments to the core and back."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cvxnn._column_generation import Atoms, NeuronProgram
from cvxnn._ext import core
from cvxnn._problem import Problem, make_problem, shown_log, solver_settings, within_rounding
from cvxnn._threads import effective_threads
from cvxnn._validation import Float, check_choice, check_numeric, core_form, refuse_sparse
from cvxnn.arrangements import PatternSet, check_samples_of
from cvxnn.results import SolveResult, certified_fields

ACTIVATIONS = ("gated_relu", "relu")
_SOLVERS_IN_CONES = ("auto", "fista")


@dataclass(frozen=True)
class PatternProgram:
    """A checked problem over patterns. Its blocks: one a pattern, for ReLU one a sign and pattern.

    Positive output weights come first (Pilanci and Ergen 2020, eq. 8). For the penalty ``feature``
    a block is one feature's weights in all patterns.
    """

    problem: Problem
    patterns: PatternSet
    activation: str

    @property
    def _by_feature(self) -> bool:
        return self.problem.penalty == "feature"

    @property
    def _kind(self) -> str:
        """Return the core's name of the design."""
        if self.activation == "relu":
            return "relu"
        return "features" if self._by_feature else "masked"

    @cached_property
    def _span(self) -> Float | None:
        """Return an orthonormal basis of the span of the rows of X, in columns, if it is smaller.

        Hidden weights matter by X w and their norm alone: ReLU neurons lie in that span, in which
        cones have as many dimensions as there are samples.
        """
        n_samples, n_features = self.problem.data.shape
        if self.activation != "relu" or n_features <= n_samples:
            return None
        basis: Float = np.linalg.qr(self.problem.data.T.astype(np.float64))[0]
        return basis

    @cached_property
    def _inputs(self) -> Any:
        """Return X as the core takes it, in the coordinates of the span."""
        data = self.problem.data
        return core_form(data if self._span is None else data @ self._span)

    @property
    def _n_inputs(self) -> int:
        return self.patterns.n_features if self._span is None else int(self._span.shape[1])

    def _to_span(self, weights: Float) -> Float:
        """Return hidden weights, along the last axis, in the coordinates of the span."""
        return weights if self._span is None else weights @ self._span

    def _from_span(self, weights: Float) -> Float:
        return weights if self._span is None else weights @ self._span.T

    @property
    def _neurons(self) -> NeuronProgram | None:
        """Return the program over neurons where ReLU neurons feed several outputs, else None."""
        if self.activation != "relu" or self.problem.n_outputs == 1:
            return None
        search = partial(core.cone_peaks_relu, self._inputs, self.patterns.words)
        return NeuronProgram(self.problem, search, self._columns, self._n_inputs, 1)

    def _columns(self, blocks: NDArray[np.int64], directions: Float) -> Float:
        active = self.patterns.subset(blocks).to_dense()
        columns: Float = active * (self._inputs @ directions)
        return columns[:, :, None]

    def _arguments(self) -> dict[str, Any]:
        arguments = self.problem.arguments()
        if self.activation == "relu":
            arguments["weights"] = np.tile(arguments["weights"], 2)
        return arguments

    def solve(
        self,
        alphas: Sequence[float] | Float,
        *,
        verbose: int,
        init: SolveResult | None,
        **settings: Any,
    ) -> list[SolveResult]:
        """Solve at each alpha, each from the one before; see `solver_settings`."""
        checked = solver_settings(verbose=verbose, **settings)
        if self.activation == "relu":
            check_choice(checked["solver"], "solver (for activation='relu')", _SOLVERS_IN_CONES)
        neurons = self._neurons
        if neurons is not None:
            start = self._starting_atoms(init)
            with shown_log(verbose):
                solutions = neurons.solve(alphas, start, checked)
            return [self._result(solution) for solution in solutions]
        core_solve = getattr(core, f"solve_{self._kind}")
        with shown_log(verbose):
            solutions = core_solve(
                self._inputs,
                self.patterns.words,
                self.problem.targets,
                self.problem.omega,
                **self._arguments(),
                **checked,
                alphas=list(alphas),
                init=self._starting_point(init),
            )
        return [self._result(solution) for solution in solutions]

    def alpha_max(self, n_threads: int | None) -> float:
        """Return the smallest alpha at which every penalised block is zero."""
        if self._neurons is not None:
            return self._neurons.alpha_max(effective_threads(n_threads))
        core_alpha_max = getattr(core, f"alpha_max_{self._kind}")
        value: float = core_alpha_max(
            self._inputs,
            self.patterns.words,
            self.problem.targets,
            self.problem.omega,
            **self._arguments(),
            n_threads=effective_threads(n_threads),
        )
        return value

    def zero_dual_point(self, n_threads: int | None) -> Float:
        """Return the dual point at which every penalised block is zero."""
        alpha = 1.5 * self.alpha_max(n_threads)
        settings = {"max_iter": 100, "time_limit": None, "n_threads": n_threads, "screening": True}
        result = self.solve(
            [alpha if alpha > 0.0 else 1.0],
            tol=1e-9,
            solver="auto",
            callback=None,
            verbose=0,
            init=None,
            **settings,
        )[0]
        return result.theta

    def _result(self, solution: dict[str, Any]) -> SolveResult:
        problem, n_patterns = self.problem, self.patterns.n_patterns
        intercepts, skip, unpenalised = problem.split_free(solution["free_coefs"])
        d, c = self.patterns.n_features, problem.n_outputs
        # The core's blocks are column-major.
        if self._by_feature:
            dense = np.zeros((n_patterns, d, c))
            rows = solution["coefs"].reshape(-1, c, n_patterns)
            dense[:, solution["blocks"]] = rows.transpose(2, 0, 1)
            active = np.flatnonzero(dense.any(axis=(1, 2)))
            blocks = dense[active]
        else:
            active = np.concatenate([solution["blocks"], np.flatnonzero(problem.weights == 0.0)])
            penalised = solution["coefs"].reshape(-1, c, self._n_inputs)
            penalised = self._from_span(penalised).transpose(0, 2, 1)
            blocks = np.concatenate([penalised, unpenalised.reshape(-1, d, c)])
        order = np.argsort(active % n_patterns, kind="stable")
        several = c > 1
        return SolveResult(
            **certified_fields(solution),
            active_set=active[order] % n_patterns,
            signs=np.where(active[order] < n_patterns, 1, -1),
            blocks=np.ascontiguousarray(blocks[order] if several else blocks[order, :, 0]),
            intercept=intercepts if several else float(intercepts[0]),
            skip=skip if several or skip is None else skip[:, 0],
            weights=problem.weights,
            patterns=self.patterns,
            activation=self.activation,
            penalty=problem.penalty,
            l1_ratio=problem.l1_ratio,
            l2_ratio=problem.l2_ratio,
        )

    def in_cones(self, result: SolveResult) -> bool:
        """Whether blocks are ReLU neurons of these data: the same patterns may be of others."""
        hidden, _, owner = result.hidden_and_output()
        signs = 2.0 * self.patterns.subset(result.active_set[owner]).to_dense() - 1.0
        return within_rounding(signs * (self.problem.data @ hidden))

    def can_start_from(self, result: Any) -> bool:
        """Whether a result is over the same patterns, and of the same outputs."""
        own, n_outputs = self.patterns, self.problem.n_outputs
        return (
            isinstance(result, SolveResult)
            and result.activation == self.activation
            and result.patterns.n_samples == own.n_samples
            and result.patterns.n_features == own.n_features
            and np.array_equal(result.patterns.words, own.words)
            and result.theta.shape[1:] == ((n_outputs,) if n_outputs > 1 else ())
            and (self.problem.fit_intercept or not np.any(result.intercept))
            and (self.activation != "relu" or self.in_cones(result))
        )

    def _check_start(self, init: SolveResult) -> None:
        """Refuse what is no earlier result over the same patterns."""
        problem, patterns = self.problem, self.patterns
        if not isinstance(init, SolveResult):
            raise TypeError(f"init must be a SolveResult, got {type(init).__name__}")
        if init.activation != self.activation:
            raise ValueError(
                f"init must be of activation {self.activation!r}, got {init.activation!r}"
            )
        same = init.patterns is patterns or np.array_equal(init.patterns.words, patterns.words)
        if not same:
            raise ValueError("init must come from the same patterns")
        if self.activation == "relu" and not self.in_cones(init):
            raise ValueError("init must come from the same X: here its blocks are not ReLU neurons")
        if init.blocks.ndim != (2 if problem.n_outputs == 1 else 3) or (
            problem.n_outputs > 1 and init.blocks.shape[2] != problem.n_outputs
        ):
            raise ValueError("init and this problem must have as many outputs")
        if np.any(init.intercept) and not problem.fit_intercept:
            raise ValueError("init has an intercept, this problem has none")
        if (init.skip is not None) != problem.skip_connection:
            raise ValueError("init and this problem must agree on skip_connection")

    def _starting_atoms(self, init: SolveResult | None) -> Atoms | None:
        """Return the neurons of an earlier result over the same patterns."""
        if init is None:
            return None
        self._check_start(init)
        hidden, output, owner = init.hidden_and_output()
        hidden = self._to_span(hidden.T).T
        norms = np.linalg.norm(hidden, axis=0)
        outputs = (output * norms[:, None])[:, None]
        return Atoms(init.active_set[owner], hidden / norms, outputs)

    def _starting_point(self, init: SolveResult | None) -> Any:
        """Return the core's starting point from an earlier result over the same patterns."""
        if init is None:
            return None
        self._check_start(init)
        problem, patterns = self.problem, self.patterns
        d, c = patterns.n_features, problem.n_outputs
        dense = np.zeros((2 * patterns.n_patterns, d, c))
        active = init.active_set + np.where(init.signs > 0, 0, patterns.n_patterns)
        dense[active] = init.blocks.reshape(-1, d, c)
        free = [np.reshape(init.intercept, (1, c))] if problem.fit_intercept else []
        if init.skip is not None:
            free.append(init.skip.reshape(d, c))
        if self._by_feature:
            by_feature = dense[: patterns.n_patterns].transpose(1, 2, 0)
            used = np.flatnonzero(by_feature.any(axis=(1, 2)))
            return (
                used.tolist(),
                by_feature[used].ravel(),
                np.concatenate([np.empty((0, c)), *free]),
            )
        penalised = problem.weights > 0.0
        kept = active[penalised[init.active_set]]
        free.append(dense[: patterns.n_patterns][~penalised].reshape(-1, c))
        coefs = self._to_span(dense[kept].transpose(0, 2, 1))
        return kept.tolist(), coefs.ravel(), np.concatenate(free)


def takes_several_outputs(activation: str, y: ArrayLike, penalty: str | None) -> bool:
    """Whether a program may have several outputs; refuse y where it may not and has."""
    several = activation == "gated_relu" or penalty == "nuclear"
    shape = check_numeric(y, "y").shape
    if not several and len(shape) == 2 and shape[1] > 1:
        raise ValueError(
            "several outputs with activation='relu' need penalty='nuclear', "
            f"got {penalty!r} and y of shape {shape}"
        )
    return several


def pattern_program(
    X: ArrayLike, y: ArrayLike, patterns: PatternSet, activation: str, **options: Any
) -> PatternProgram:
    """Check the arguments of a program over patterns."""
    check_choice(activation, "activation", ACTIVATIONS)
    if not isinstance(patterns, PatternSet):
        raise TypeError(
            "patterns must be a PatternSet (see activation_patterns), "
            f"got {type(patterns).__name__}"
        )
    if activation == "relu":
        refuse_sparse(X, "X", " for activation='relu'")
    if options.get("penalty") == "feature":
        refuse_sparse(X, "X", " for penalty='feature'")
    several = takes_several_outputs(activation, y, options.get("penalty"))
    problem = make_problem(
        check_samples_of(X, patterns), y, patterns.n_patterns, several=several, **options
    )
    if activation == "relu" and not (problem.weights > 0.0).all():
        raise ValueError("weights must be positive for activation='relu', got a zero")
    return PatternProgram(problem, patterns, activation)
