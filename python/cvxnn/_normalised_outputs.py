"""Programs of gated networks whose neurons' outputs have batch normalisation.

The outputs of the neurons of a pattern are its rows of the data: whitened, they are one block of a
design (Ergen et al. 2022, section 4).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from cvxnn._designs import BlockDesign, DesignProgram, DesignResult, design_program
from cvxnn._validation import Data, Float
from cvxnn._whitening import Whitener
from cvxnn.arrangements import PatternSet
from cvxnn.batch_norm import BatchNormNetwork
from cvxnn.network import Network


@dataclass(frozen=True)
class NormalisedResult(DesignResult):
    """The solution of such a program, on the data that it was given."""

    patterns: PatternSet
    whiteners: Sequence[Whitener] = field(repr=False)

    def normalised(self) -> BatchNormNetwork:
        """Return the network with its batch normalisation."""
        hidden, output, owner = self.neurons()
        width = len(owner)
        weights = np.empty((self.patterns.n_features, width))
        mean, gamma = np.empty(width), np.empty(width)
        for j, block in enumerate(owner):
            whitener = self.whiteners[block]
            unit, norm = whitener.unit(hidden[j, : whitener.n_columns, None])
            folded, offset = whitener.fold(unit, constant_row=False)
            weights[:, j], mean[j], gamma[j] = folded[:, 0], -offset[0], norm[0]
        layers = Network(
            [weights, output[:, 0]],
            [np.zeros(width), self.intercept],
            activation="gated_relu",
            gates=self.patterns.gates[:, owner],
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
    patterns: PatternSet
    whiteners: Sequence[Whitener]

    def alpha_max(self, n_threads: int | None) -> float:
        """Return the smallest alpha at which every block is zero."""
        return self.program.alpha_max(n_threads)

    def solve(
        self,
        alphas: Sequence[float] | Float,
        *,
        init: None,  # noqa: ARG002  # other programs can start from an earlier result
        **settings: Any,
    ) -> list[NormalisedResult]:
        """Solve at each alpha, each from the one before; see `solver_settings`."""
        return [
            NormalisedResult(**vars(result), patterns=self.patterns, whiteners=self.whiteners)
            for result in self.program.solve(alphas, **settings)
        ]


@dataclass(frozen=True)
class NormalisedOutputs:
    """The design of whitened outputs of the neurons of patterns, and their maps."""

    design: BlockDesign
    patterns: PatternSet
    whiteners: Sequence[Whitener]

    def program(self, y: ArrayLike, **options: Any) -> NormalisedProgram:
        """Return the program of some targets; see `design_program`."""
        return NormalisedProgram(
            design_program(self.design, y, **options), self.patterns, self.whiteners
        )


def normalised_outputs(
    data: Data, weight: Float, patterns: PatternSet, rank: float | None
) -> NormalisedOutputs:
    """Whiten the outputs of the neurons of each pattern; `rank` is as for `Whitener`.

    Blocks have as many columns as that of the highest rank needs, and the constant last; columns
    that a block does not need are zero, as are their coefficients.
    """
    masks = patterns.to_dense()
    outputs = [mask[:, None] * data for mask in masks.T]
    whiteners = [Whitener(output, weight, rank=rank) for output in outputs]
    size = max(whitener.n_columns for whitener in whiteners)
    matrix = np.zeros((len(data), len(whiteners), size + 1))
    matrix[:, :, size] = 1.0
    for p, (whitener, output) in enumerate(zip(whiteners, outputs, strict=True)):
        matrix[:, p, : whitener.n_columns] = whitener.transform(output, constant_column=False)
    design = BlockDesign(matrix.reshape(len(data), -1), len(whiteners), size + 1)
    return NormalisedOutputs(design, patterns, whiteners)
