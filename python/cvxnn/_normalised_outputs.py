"""Programs of networks whose neurons' outputs have batch normalisation.

The outputs of the neurons of a pattern are its rows of the data: whitened, they are one block of a
design (Ergen et al. 2022, section 4). For ReLU neurons it has the cone of the pattern, on weights.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cvxnn._designs import (
    BlockDesign,
    DesignProgram,
    DesignResult,
    StackedCones,
    design_program,
)
from cvxnn._threads import blas_threads
from cvxnn._validation import Data, Float
from cvxnn._whitening import Whitener, rank_tolerance
from cvxnn.arrangements import PatternSet, activation_patterns
from cvxnn.batch_norm import BatchNormNetwork
from cvxnn.network import Network

_MISS = 10  # tolerances of ranks by which fitted ones may miss


@dataclass(frozen=True)
class NormalisedOutputs:
    """The design of whitened outputs of the neurons of patterns, and their maps.

    `ones` are weights with which each sample gives one, for ReLU neurons on data that have them.
    """

    data: Data
    design: BlockDesign
    patterns: PatternSet
    whiteners: Sequence[Whitener]
    ones: Float | None

    def program(self, y: ArrayLike, **options: Any) -> "NormalisedProgram":
        """Return the program of some targets; see `design_program`."""
        return NormalisedProgram(design_program(self.design, y, **options), self)

    @blas_threads(1)
    def raised(self, weights: Float) -> tuple[Float, float]:
        """Add as much of `ones` as makes no output negative; return also how much."""
        lowest = float((self.data @ weights).min())
        if self.ones is None or lowest >= 0.0:
            return weights, 0.0
        return weights - lowest * self.ones, -lowest


@dataclass(frozen=True)
class NormalisedResult(DesignResult):
    """The solution of such a program, on the data that it was given."""

    outputs: NormalisedOutputs = field(repr=False)

    @property
    def patterns(self) -> PatternSet:
        """Patterns of the blocks."""
        return self.outputs.patterns

    def normalised(self) -> BatchNormNetwork:
        """Return the network with its batch normalisation."""
        hidden, output, owner = self.neurons()
        width, relu = len(owner), self.outputs.design.cones is not None
        weights = np.empty((self.patterns.n_features, width))
        mean, gamma = np.empty(width), np.empty(width)
        masks = self.patterns.to_dense()
        for j, block in enumerate(owner):
            whitener = self.outputs.whiteners[block]
            unit, norm = whitener.unit(hidden[j, : whitener.n_columns, None])
            folded, offset = whitener.fold(unit, constant_row=False)
            weights[:, j], mean[j], gamma[j] = folded[:, 0], -offset[0], norm[0]
            if relu and masks[:, block].all():
                weights[:, j], more = self.outputs.raised(weights[:, j])
                mean[j] += more
        layers = Network(
            [weights, output[:, 0]],
            [np.zeros(width), self.intercept],
            activation="relu" if relu else "gated_relu",
            gates=None if relu else self.patterns.gates[:, owner],
        )
        beta, variance = hidden[:, -1].copy(), np.ones(width)
        return BatchNormNetwork(layers, gamma, beta, mean, variance, placement="after")

    def network(self) -> Network:
        """Return the network with the normalisation folded into its weights."""
        folded: Network = self.normalised().network()
        return folded


@dataclass(frozen=True)
class NormalisedProgram:
    """A checked problem over the whitened outputs of the neurons of patterns."""

    program: DesignProgram
    outputs: NormalisedOutputs

    def alpha_max(self, n_threads: int | None) -> float:
        """Return the smallest alpha at which every block is zero."""
        return self.program.alpha_max(n_threads)

    def solve(
        self,
        alphas: Sequence[float] | Float,
        *,
        init: NormalisedResult | None,
        **settings: Any,
    ) -> list[NormalisedResult]:
        """Solve at each alpha, each from the one before; see `solver_settings`."""
        return [
            NormalisedResult(**vars(result), outputs=self.outputs)
            for result in self.program.solve(alphas, init=init, **settings)
        ]

    def can_start_from(self, result: Any) -> bool:
        """Whether a result is over blocks of the same shape and gates."""
        return isinstance(result, NormalisedResult) and self.program.can_start_from(result)


def normalised_outputs(
    data: Data, weight: Float, patterns: PatternSet, rank: float | None, *, relu: bool
) -> NormalisedOutputs:
    """Whiten the outputs of the neurons of each pattern; `rank` is as for `Whitener`.

    Blocks have as many columns as that of the highest rank needs, and the constant last; columns
    that a block does not need are zero, as are their coefficients.
    """
    ones = None
    if relu:
        patterns, ones = _spanning(data, patterns)
    masks = patterns.to_dense()
    outputs = [mask[:, None] * data for mask in masks.T]
    whiteners = [Whitener(output, weight, rank=rank) for output in outputs]
    size = max(whitener.n_columns for whitener in whiteners)
    matrix = np.zeros((len(data), len(whiteners), size + 1))
    matrix[:, :, size] = 1.0
    for p, (whitener, output) in enumerate(zip(whiteners, outputs, strict=True)):
        matrix[:, p, : whitener.n_columns] = whitener.transform(output, constant_column=False)
    cones = _cones(data, masks, whiteners, size, ones) if relu else None
    design = BlockDesign(
        matrix.reshape(len(data), -1), len(whiteners), size + 1, cones, gates=patterns.gates
    )
    return NormalisedOutputs(data, design, patterns, whiteners, ones)


@blas_threads(1)
def _spanning(data: Data, patterns: PatternSet) -> tuple[PatternSet, Float | None]:
    """Return the patterns that ReLU neurons need, and weights that make ones, if there are any.

    Where the active rows do not span all, the weights of a neuron can move without a change of its
    outputs until another sample is about to be active: the outputs are those of the closure of
    another pattern. Left are patterns whose rows span, of which outputs fix the weights, and, for
    data that span a constant, the one that is active on all samples. Its outputs can be raised
    together, without a change of what is normalised, and are any.
    """
    tol = rank_tolerance(data)
    ones = np.linalg.lstsq(data, np.ones(len(data)), rcond=tol)[0].astype(np.float64)
    with_ones = float(np.abs(data @ ones - 1.0).max()) <= _MISS * tol
    if with_ones:  # its gate comes last: it is dropped where it is not new
        patterns = activation_patterns(data, np.column_stack([patterns.gates, ones]))
    masks = patterns.to_dense()
    ranks = [np.linalg.matrix_rank(data[mask], rtol=tol) for mask in masks.T]
    kept = np.flatnonzero(np.equal(ranks, np.linalg.matrix_rank(data, rtol=tol)))
    if len(kept) == 0:
        raise ValueError(
            "patterns must have one whose active samples span all, for batch_norm='after' with "
            f"activation='relu', got {patterns.n_patterns} without: take more"
        )
    return patterns.subset(kept), ones if with_ones else None


@blas_threads(1)
def _cones(
    data: Data,
    masks: NDArray[np.bool_],
    whiteners: Sequence[Whitener],
    size: int,
    ones: Float | None,
) -> StackedCones:
    """Return the cones of patterns, on weights of whitened outputs; beta has no part in them."""
    coned = ~masks.all(axis=0) | (ones is None)
    rows = np.zeros((len(whiteners), len(data), size + 1))
    for block, mask, whitener in zip(rows, masks.T, whiteners, strict=True):
        signs = np.where(mask, 1.0, -1.0)[:, None]
        block[:, : whitener.n_columns] = signs * (data @ whitener.matrix)
    starts = np.concatenate([[0], np.cumsum(np.where(coned, len(data), 0))])
    return StackedCones(rows[coned].reshape(-1, size + 1), starts)
