"""Programs over blocks that are given as matrices: convolution, batch normalisation, attention.

An architecture is what its neurons see and what of it they put out. It gives the design
``F = sum_b A_b W_b`` of its blocks, and for ReLU neurons what their activation patterns are of.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cvxnn._column_generation import Atoms, NeuronProgram
from cvxnn._ext import core
from cvxnn._problem import (
    Problem,
    make_problem,
    same_gates,
    shown_log,
    solver_settings,
    within_rounding,
)
from cvxnn._threads import effective_threads
from cvxnn._validation import Data, Float
from cvxnn.arrangements import PatternSet
from cvxnn.results import Certified, balanced_factors, certified_fields


@dataclass(frozen=True)
class StackedCones:
    """Cones ``A_b w >= 0`` whose rows are each block's own, as those of the winners of a maximum.

    Attributes
    ----------
    rows : ndarray of shape (n_stacked, n_inputs), C-ordered
        The rows of all blocks, one block below the other.
    starts : ndarray of shape (n_blocks + 1,), int64
        Where each block's rows begin, and at last their number.
    """

    rows: Float
    starts: NDArray[np.int64]


@dataclass(frozen=True)
class BlockDesign:
    """The matrices A_b of an architecture, side by side, and the shape of its neurons.

    Attributes
    ----------
    matrix : ndarray of shape (n_rows, n_blocks * n_positions * n_inputs), C-ordered
        Row i of A_b: for each position of the pooled map, what a neuron of block b sees there.
    n_blocks : int
        Number of blocks.
    n_inputs : int
        Hidden weights of a neuron. It has output weights at each position.
    cones : tuple of ndarray (n_seen, n_inputs) and PatternSet, StackedCones, or None
        For ReLU neurons: all that they see, and the activation pattern on it of each block; or
        rows of each block's own.
    gates : ndarray of shape (..., n_blocks) or None
        The gate of each block, if it has one.
    weights : ndarray of shape (n_blocks,) or None
        Multiples of alpha for each block; None is one.
    """

    matrix: Data
    n_blocks: int
    n_inputs: int
    cones: tuple[Data, PatternSet] | StackedCones | None = None
    gates: Float | None = None
    weights: Float | None = None

    @property
    def n_positions(self) -> int:
        """Number of positions at which a neuron is put out."""
        return int(self.matrix.shape[1]) // (self.n_blocks * self.n_inputs)


def _described(cones: tuple[Data, PatternSet] | StackedCones) -> tuple[Data, Any]:
    """Return the core's description of cones."""
    if isinstance(cones, StackedCones):
        return cones.rows, cones.starts.tolist()
    rows, patterns = cones
    return rows, patterns.words


@dataclass(frozen=True)
class DesignResult(Certified):
    """The solution of a program over a block design; see `Certified` for its certificate.

    Attributes
    ----------
    active_set : ndarray of shape (n_active,), int64
        Block of each non-zero coefficient, ascending; a ReLU block may be there with either sign.
    signs : ndarray of shape (n_active,), int64
        Sign of the output weights: 1, or for ReLU neurons 1 or -1.
    blocks : ndarray of shape (n_active, n_inputs, n_positions, n_outputs), float64
        Coefficients.
    intercept : ndarray of shape (n_outputs,), float64
        Unpenalised output intercept.
    gates : ndarray of shape (..., n_blocks) or None
        Those of the design.
    """

    active_set: NDArray[np.int64]
    signs: NDArray[np.int64] = field(repr=False)
    blocks: Float = field(repr=False)
    intercept: Float
    gates: Float | None = field(repr=False)

    def neurons(self) -> tuple[Float, Float, NDArray[np.int64]]:
        """Return hidden weights, output weights and the block of each neuron.

        Each block is split by its singular values, in balanced scaling, at which weight decay is
        the nuclear norm.

        Returns
        -------
        hidden : ndarray of shape (n_neurons, n_inputs)
        output : ndarray of shape (n_neurons, n_positions, n_outputs)
        owner : ndarray of shape (n_neurons,), int64
        """
        n_active, n_inputs, n_positions, n_outputs = self.blocks.shape
        matrices = self.blocks.reshape(n_active, n_inputs, n_positions * n_outputs)
        hidden, output, owner = balanced_factors(matrices)
        output = output * self.signs[owner, None]
        shape = (len(owner), n_positions, n_outputs)
        return hidden, output.reshape(shape), self.active_set[owner]


@dataclass(frozen=True)
class DesignProgram:
    """A checked problem over a block design."""

    problem: Problem
    design: BlockDesign

    @property
    def _neurons(self) -> NeuronProgram | None:
        """Return the program over neurons where ReLU neurons feed several outputs, else None."""
        design, problem = self.design, self.problem
        if design.cones is None or (problem.n_outputs == 1 and design.n_positions == 1):
            return None
        search = partial(core.cone_peaks_pooled_relu, problem.data, _described(design.cones))
        return NeuronProgram(problem, search, self._columns, design.n_inputs, design.n_positions)

    def _columns(self, blocks: NDArray[np.int64], directions: Float) -> Float:
        design = self.design
        shape = (-1, design.n_blocks, design.n_positions, design.n_inputs)
        owned = self.design.matrix.reshape(shape)[:, blocks]
        columns: Float = np.einsum("imah,hm->ima", owned, directions)
        return columns

    def _call(self, function: str, **arguments: Any) -> Any:
        """Call the core's function of this kind of design."""
        design, problem = self.design, self.problem
        description: Any
        shared = problem.arguments()
        if design.cones is None:
            size = design.n_positions * design.n_inputs
            kind, description = "groups", list(range(0, design.matrix.shape[1] + 1, size))
        else:
            kind, description = "pooled_relu", _described(design.cones)
            shared["weights"] = np.tile(shared["weights"], 2)
        call = getattr(core, f"{function}_{kind}")
        return call(
            problem.data, description, problem.targets, problem.omega, **shared, **arguments
        )

    def alpha_max(self, n_threads: int | None) -> float:
        """Return the smallest alpha at which every block is zero."""
        if self._neurons is not None:
            return self._neurons.alpha_max(effective_threads(n_threads))
        value: float = self._call("alpha_max", n_threads=effective_threads(n_threads))
        return value

    def solve(
        self,
        alphas: Sequence[float] | Float,
        *,
        verbose: int,
        init: DesignResult | None = None,
        **settings: Any,
    ) -> list[DesignResult]:
        """Solve at each alpha, each from the one before; see `solver_settings`."""
        checked = solver_settings(verbose=verbose, **settings)
        neurons = self._neurons
        with shown_log(verbose):
            if neurons is not None:
                atoms = None if init is None else self._starting_atoms(init)
                solutions = neurons.solve(alphas, atoms, checked)
            else:
                start = None if init is None else self._starting_point(init)
                solutions = self._call("solve", **checked, alphas=list(alphas), init=start)
        return [self._result(solution) for solution in solutions]

    def can_start_from(self, result: Any) -> bool:
        """Whether a result is of blocks of this shape and these gates, in the cones if any."""
        design, n_outputs = self.design, self.problem.n_outputs
        return (
            isinstance(result, DesignResult)
            and result.blocks.shape[1:] == (design.n_inputs, design.n_positions, n_outputs)
            and result.active_set.max(initial=0) < design.n_blocks
            and same_gates(design.gates, result.gates)
            and (self.problem.fit_intercept or not result.intercept.any())
            and (design.cones is None or self._in_cones(result))
        )

    def _in_cones(self, result: DesignResult) -> bool:
        """Whether neurons are in the cones of these data: the same gates may be of others."""
        hidden, _, owner = result.neurons()
        cones = self.design.cones
        if isinstance(cones, StackedCones):
            bounds = zip(cones.starts[owner], cones.starts[owner + 1], hidden, strict=True)
            margins = [cones.rows[first:last] @ weights for first, last, weights in bounds]
            return within_rounding(np.concatenate([np.zeros(1), *margins]))
        assert cones is not None
        signs = 2.0 * cones[1].subset(owner).to_dense() - 1.0
        return within_rounding(signs * (cones[0] @ hidden.T))

    def _starting_atoms(self, init: DesignResult) -> Atoms:
        """Return the neurons of an earlier result."""
        hidden, output, owner = init.neurons()
        norms = np.linalg.norm(hidden, axis=1)
        return Atoms(owner, (hidden / norms[:, None]).T, output * norms[:, None, None])

    def _starting_point(self, init: DesignResult) -> tuple[list[int], Float, Float]:
        """Return the core's starting point from an earlier result."""
        active = init.active_set + np.where(init.signs > 0, 0, self.design.n_blocks)
        free = init.intercept[None][: self.problem.fit_intercept]
        return active.tolist(), init.blocks.transpose(0, 3, 2, 1).ravel(), free

    def _result(self, solution: dict[str, Any]) -> DesignResult:
        design, n_outputs = self.design, self.problem.n_outputs
        active = solution["blocks"]
        order = np.argsort(active % design.n_blocks, kind="stable")
        # The core's blocks are column-major: outputs, then positions, then inputs.
        blocks = solution["coefs"].reshape(-1, n_outputs, design.n_positions, design.n_inputs)
        return DesignResult(
            **certified_fields(solution),
            active_set=active[order] % design.n_blocks,
            signs=np.where(active[order] < design.n_blocks, 1, -1),
            blocks=np.ascontiguousarray(blocks[order].transpose(0, 3, 2, 1)),
            intercept=self.problem.split_free(solution["free_coefs"])[0],
            gates=design.gates,
        )


def design_program(
    design: BlockDesign, y: ArrayLike, *, penalty: str, **options: Any
) -> DesignProgram:
    """Check the arguments of a program over a design; see `make_problem` for the options."""
    several = design.cones is None or penalty == "nuclear"
    if not several and design.n_positions > 1:
        raise ValueError(
            "penalty must be 'nuclear' for ReLU neurons that are put out at several positions, "
            f"got {penalty!r}"
        )
    folded = penalty == "nuclear" and design.n_positions > 1
    problem = make_problem(
        design.matrix,
        y,
        design.n_blocks,
        weights=design.weights,
        penalty=penalty,
        several=several,
        block_rows=design.n_inputs if folded else 0,
        **options,
    )
    return DesignProgram(problem, design)
