"""Neurons of a second layer whose patches share one filter: where they gain most.

With signs and pattern given, such a neuron is ``c_k = a_k u``, a matrix of rank one with a >= 0,
and what it puts out is linear in a and in u: each is best by a projection on its cone while the
other is kept. Walls of the second layer bind both, along which SciPy's SLSQP goes on. That ends at
a local maximum, hence the starts (Ergen, Pilanci 2021, section 5).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cvxnn._column_generation import NeuronProgram
from cvxnn._designs import DesignProgram
from cvxnn._joint_patterns import JointPatterns
from cvxnn._validation import Float

_STARTS, _MANY_STARTS = 2, 10  # random filters a block and sign
_PROGRESS = 1e-13  # relative increase below which an ascent ends
_STEPS = 100


@dataclass(frozen=True)
class Block:
    """What neurons of a joint pattern put out, and the cones of their two factors.

    Attributes
    ----------
    output : ndarray of shape (n_samples, n_patches, n_inputs)
        What a neuron puts out is its product with a and u.
    walls : ndarray of shape (n_walls, n_inputs)
        ``walls @ u >= 0``, for the patterns of the first layer.
    outer : ndarray of shape (n_samples, n_patches, n_inputs)
        Their product with a and u is not negative, for that of the second.
    """

    output: Float
    walls: Float
    outer: Float

    def best_filter(self, gain: Float, sizes: Float) -> Float:
        """Return u of norm one, or zero, with the largest ``sizes @ gain @ u``."""
        rows = np.concatenate([self.walls, np.einsum("ikh,k->ih", self.outer, sizes)])
        return _peak(sizes @ gain, rows)

    def best_sizes(self, gain: Float, filter_: Float) -> Float:
        """Return a of norm one, or zero, with the largest ``a @ gain @ filter_``."""
        return _peak(gain @ filter_, np.concatenate([np.eye(len(gain)), self.outer @ filter_]))

    def ascend(self, gain: Float, filter_: Float) -> tuple[float, Float, Float]:
        """Return a maximum of ``a @ gain @ u`` in a and in u alone, with both."""
        value, sizes = 0.0, np.zeros(len(gain))
        for _ in range(_STEPS):
            sizes = self.best_sizes(gain, filter_)
            filter_ = self.best_filter(gain, sizes)
            above = float(sizes @ gain @ filter_)
            if not above > value * (1.0 + _PROGRESS):
                break
            value = above
        return above, sizes, filter_

    def polish(self, gain: Float, sizes: Float, filter_: Float) -> tuple[float, Float, Float]:
        """Go on in a and u together, from a point in the cones."""
        from scipy.optimize import minimize

        k, scale = len(gain), np.linalg.norm(gain)

        def margins(point: Float) -> Float:
            a, u = point[:k], point[k:]
            return np.concatenate([self.walls @ u, self.outer @ u @ a, [1 - a @ a, 1 - u @ u]])

        def slopes(point: Float) -> Float:
            a, u = point[:k], point[k:]
            no_a, no_u = np.zeros((len(self.walls), k)), np.zeros((1, len(u)))
            return np.block(
                [
                    [no_a, self.walls],
                    [self.outer @ u, np.einsum("ikh,k->ih", self.outer, a)],
                    [-2.0 * a[None], no_u],
                    [np.zeros((1, k)), -2.0 * u[None]],
                ]
            )

        def loss(point: Float) -> tuple[float, Float]:
            a, u = point[:k], point[k:]
            slope = np.concatenate([gain @ u, gain.T @ a]) / -scale
            return float(a @ gain @ u) / -scale, slope

        found = minimize(
            loss,
            np.concatenate([sizes, filter_]),
            jac=True,
            method="SLSQP",
            bounds=[(0.0, None)] * k + [(None, None)] * len(filter_),
            constraints={"type": "ineq", "fun": margins, "jac": slopes},
            options={"ftol": _PROGRESS, "maxiter": _STEPS},
        )
        # Its point is in the cones but for rounding, and steps of one factor are exact.
        return self.ascend(gain, _peak(found.x[k:], self.walls))


def _peak(slope: Float, rows: Float) -> Float:
    """Return the point of norm one, or zero, of the cone ``rows @ x >= 0`` highest on a slope."""
    from scipy.optimize import nnls

    norms = np.linalg.norm(rows, axis=1)
    walls = rows[norms > 0.0] / norms[norms > 0.0, None]
    point = slope + walls.T @ nnls(walls.T, -slope)[0] if len(walls) else slope
    length = np.linalg.norm(point)
    # A projection that is zero but for rounding has no direction.
    if length <= 1e-12 * np.linalg.norm(slope):
        return np.zeros(len(slope))
    peak: Float = point / length
    return peak


def _highest(
    block: Block, gain: Float, filters: list[Float], *, thorough: bool
) -> tuple[float, Float, Float]:
    """Return the highest of the maxima from some filters; the highest, or all, are polished."""
    found = sorted((block.ascend(gain, u) for u in filters), key=lambda peak: -peak[0])
    for value, sizes, filter_ in found[: None if thorough else 1]:
        if value > 0.0:
            found.append(block.polish(gain, sizes, filter_))
    return max(found, key=lambda peak: peak[0])


@dataclass(frozen=True)
class SharedFilterProgram(DesignProgram):
    """The program of neurons with one filter for all patches, by column generation."""

    patterns: JointPatterns
    data: Float  # (n_samples, n_patches, n_inputs)

    @property
    def _neurons(self) -> NeuronProgram:
        return NeuronProgram(self.problem, self._search, self._columns, self.design.n_inputs, 1)

    @cached_property
    def _blocks(self) -> list[Block]:
        outer, inner = self.patterns.outer, self.patterns.inner
        seen = self.patterns.seen(self.data)
        active = np.where(inner, 1.0, -1.0).transpose(0, 2, 1)[..., None] * self.data
        sides = np.where(outer, 1.0, -1.0)[:, :, None, None] * seen
        walls = active.reshape(len(outer), -1, self.patterns.n_inputs)
        outputs = outer[:, :, None, None] * seen
        return [Block(*parts) for parts in zip(outputs, walls, sides, strict=True)]

    def _search(
        self,
        theta: Float,
        least: float,
        *,
        weights: Float,
        start_blocks: Sequence[int],
        starts: Float,
        thorough: bool,
        n_threads: int,  # noqa: ARG002  # of other searches
    ) -> tuple[list[int], Float, Float, float, bool]:
        """Return the peaks above `least`, one a block; as the core's searches do."""
        rng = np.random.default_rng(0)
        owners = np.asarray(start_blocks, dtype=np.int64)
        shape = (self.patterns.n_patches, self.patterns.n_inputs)
        blocks, values, peaks, largest = [], [], [], 0.0
        for b, block in enumerate(self._blocks):
            gain = np.tensordot(theta[:, 0], block.output, 1)
            atoms = starts[:, owners == b].T.reshape(-1, *shape)
            drawn = rng.standard_normal((_MANY_STARTS if thorough else _STARTS, shape[1]))
            filters = [filter_of(atom) for atom in atoms]
            filters += [_peak(direction, block.walls) for direction in drawn]
            value, sizes, filter_ = max(
                (_highest(block, sign * gain, filters, thorough=thorough) for sign in (1.0, -1.0)),
                key=lambda peak: peak[0],
            )
            largest = max(largest, value / weights[b])
            if value > least * weights[b]:
                blocks.append(b)
                values.append(value / weights[b])
                peaks.append(np.outer(sizes, filter_).ravel())
        directions = np.stack(peaks, axis=1) if peaks else np.empty((self.design.n_inputs, 0))
        return blocks, np.array(values), directions, largest, False


def filter_of(weights: Float) -> Float:
    """Return the filter u of norm one of a neuron's weights ``a u'``, a >= 0."""
    filter_ = np.linalg.svd(weights, full_matrices=False)[2][0]
    oriented: Float = np.copysign(1.0, (weights @ filter_).sum()) * filter_
    return oriented
