"""Blocks of programs on tokens: an architecture, the activation of its neurons, and gates."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cvxnn._designs import BlockDesign
from cvxnn._heads import FormedMaps
from cvxnn._mixing import Mixing
from cvxnn._validation import Float
from cvxnn.arrangements import PatternSet, activation_patterns

LARGEST_DESIGN = 2**31  # bytes

_SMALLER = "tokens of fewer channels (a projection) or fewer tokens (pooling)"


@dataclass(frozen=True)
class TokenDesign:
    """The blocks of an architecture on tokens, never formed: ``F = sum_j maps(u_j) v_j``.

    Attributes
    ----------
    mixing : Mixing
        Architecture, and the tokens.
    n_blocks : int
        Number of blocks.
    masks : ndarray of bool, in the layout of scores, or None
        Where the neurons of each block are active; None is everywhere.
    gates : ndarray of shape (n_blocks, *weight_shape), or None
        A gate for each mask.
    channels : ndarray of shape (n_blocks, n_used), int64, or None
        The channels that each block uses, for a Fourier operator; None is all.
    cones : tuple of ndarray and PatternSet, or None
        For ReLU neurons: what they see, and its patterns.
    """

    mixing: Mixing
    n_blocks: int = 1
    masks: NDArray[np.bool_] | None = None
    gates: Float | None = None
    channels: NDArray[np.int64] | None = None
    cones: tuple[Float, PatternSet] | None = None

    @property
    def _weight_shape(self) -> tuple[int, int]:
        return self.mixing.weight_shape(self.mixing.n_tokens, self.mixing.n_channels)

    @property
    def n_inputs(self) -> int:
        """Hidden weights of a neuron."""
        rows, columns = self._weight_shape
        return rows * (columns if self.channels is None else self.channels.shape[1])

    @property
    def n_positions(self) -> int:
        """Positions of a map."""
        return self.mixing.n_positions

    @property
    def n_rows(self) -> int:
        """Rows of maps and outputs."""
        return self.mixing.n_rows

    @property
    def nbytes(self) -> int:
        """Bytes of all maps side by side, which `block_design` forms."""
        return 8 * self.n_rows * self.n_blocks * self.n_positions * self.n_inputs

    def embed(self, hidden: Float, owner: NDArray[np.int64]) -> Float:
        """Return hidden weights (m, n_inputs) as (m, *weight_shape), zero in unused channels."""
        m, shape = len(hidden), self._weight_shape
        if self.channels is None:
            return hidden.reshape(m, *shape)
        weights = np.zeros((m, *shape))
        used = self.channels[owner]
        kernels = hidden.reshape(m, shape[0], used.shape[1])
        weights[np.arange(m)[:, None], :, used] = kernels.transpose(0, 2, 1)
        return weights

    def maps(self, hidden: Float, owner: NDArray[np.int64]) -> Float:
        """Return the maps (n_rows, m, n_positions) of neurons of blocks `owner`."""
        return self.mixing.maps(self.embed(hidden, owner), self.masks, owner)

    def adjoint(self, maps: Float, owner: NDArray[np.int64]) -> Float:
        """Apply the adjoint of `maps`: to (m, n_inputs)."""
        weights = self.mixing.adjoint(maps, self.masks, owner)
        if self.channels is not None:
            used = self.channels[owner]
            weights = weights[np.arange(len(owner))[:, None], :, used].transpose(0, 2, 1)
        return weights.reshape(len(owner), self.n_inputs)

    @property
    def fits(self) -> bool:
        """Whether all maps may be held side by side."""
        return self.nbytes <= LARGEST_DESIGN

    def _unit_maps(self, block: int) -> Float:
        """Return the maps of unit neurons of a block, (n_rows, n_positions, n_inputs)."""
        owner = np.full(self.n_inputs, block)
        maps: Float = self.maps(np.eye(self.n_inputs), owner).transpose(0, 2, 1)
        return maps

    def block_design(self) -> BlockDesign:
        """Return all maps of unit neurons side by side.

        Raises
        ------
        ValueError
            If they take more than `LARGEST_DESIGN` bytes.
        """
        if not self.fits:
            other = "" if self.cones is not None else "use solver='factor', "
            raise ValueError(
                f"the design of {self.n_rows} rows and {self.n_blocks} blocks of {self.n_inputs} x "
                f"{self.n_positions} takes {self.nbytes / 2**30:.3g} GiB, at most "
                f"{LARGEST_DESIGN / 2**30:.3g} are formed: {other}fewer patterns, {_SMALLER}"
            )
        matrix = np.empty((self.n_rows, self.n_blocks, self.n_positions, self.n_inputs))
        for block in range(self.n_blocks):
            matrix[:, block] = self._unit_maps(block)
        rows = matrix.reshape(self.n_rows, -1)
        return BlockDesign(rows, self.n_blocks, self.n_inputs, self.cones, self.gates)

    def formed(self) -> FormedMaps:
        """Return the same blocks in memory."""
        blocks = np.empty((self.n_blocks, self.n_rows, self.n_positions, self.n_inputs))
        for block in range(self.n_blocks):
            blocks[block] = self._unit_maps(block)
        return FormedMaps(blocks, self.gates)


def token_design(
    mixing: Mixing,
    activation: str,
    gates: Float | None = None,
    channels: NDArray[np.int64] | None = None,
) -> TokenDesign:
    """Return the blocks of an architecture; gates (n_gates, *weight_shape) unless it is linear.

    Gates with the same masks are one block, those that are active nowhere none. A Fourier operator
    may have neurons of some `channels` each, (n_sets, n_used).
    """
    if activation == "relu":
        assert gates is not None
        return _relu_design(mixing, gates)
    if gates is None:
        return TokenDesign(mixing, 1 if channels is None else len(channels), channels=channels)
    if channels is None:
        masks, kept = _distinct_masks(mixing, gates)
        return TokenDesign(mixing, len(kept), masks, gates[kept])
    parts = []
    for used in channels:
        own = np.zeros_like(gates)
        own[:, :, used] = gates[:, :, used]
        masks, kept = _distinct_masks(mixing, own)
        parts.append((masks, own[kept], np.tile(used, (len(kept), 1))))
    masks = np.concatenate([part[0] for part in parts], axis=mixing.neuron_axis)
    gates, channels = (np.concatenate([part[k] for part in parts]) for k in (1, 2))
    return TokenDesign(mixing, len(gates), masks, gates, channels)


def _distinct_masks(mixing: Mixing, gates: Float) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Return the distinct, non-empty masks of gates, and which gates have them."""
    masks = mixing.active(gates)
    bits = np.packbits(np.moveaxis(masks, mixing.neuron_axis, 0).reshape(len(gates), -1), axis=1)
    first = np.sort(np.unique(bits, axis=0, return_index=True)[1])
    kept = first[bits[first].any(axis=1)]
    if len(kept) == 0:
        raise ValueError("gates must be active on some token, got only empty patterns")
    return masks.take(kept, axis=mixing.neuron_axis), kept


def _relu_design(mixing: Mixing, gates: Float) -> TokenDesign:
    """Return the design of ReLU neurons, whose blocks are cones, over the patterns of gates."""
    n_inputs = gates[0].size
    nbytes = 8 * mixing.n_scores * n_inputs
    if nbytes > LARGEST_DESIGN:
        raise ValueError(
            f"activation='relu' forms what its neurons see, {mixing.n_scores} rows of {n_inputs}: "
            f"{nbytes / 2**30:.3g} GiB, at most {LARGEST_DESIGN / 2**30:.3g} are formed: use "
            f"activation='gated_relu', {_SMALLER}"
        )
    seen = mixing.seen()
    patterns = activation_patterns(seen, gates.reshape(-1, n_inputs).T)
    masks = patterns.to_dense().reshape(*mixing.score_shape, -1)
    masks = np.ascontiguousarray(np.moveaxis(masks, -1, mixing.neuron_axis))
    kept = patterns.gates.T.reshape(-1, *gates.shape[1:])
    return TokenDesign(mixing, len(kept), masks, kept, cones=(seen, patterns))
