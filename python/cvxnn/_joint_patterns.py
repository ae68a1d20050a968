"""Activation patterns of two layers of ReLU neurons, of which the first see patches."""

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from cvxnn._validation import Float
from cvxnn.enumeration import enumerate_patterns

_INSIDE = 1e-9  # the least distance of a cell's point from its walls, of weights up to one

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class JointPatterns:
    """Patterns of neurons of a second layer, with those of their neurons of the first.

    Attributes
    ----------
    inner : ndarray of shape (n_patterns, n_patches, n_samples), bool
        Where neurons of the first layer are active.
    signs : ndarray of shape (n_patterns, n_patches), float64
        Signs of their weights in the second layer; 1 where they are never active.
    outer : ndarray of shape (n_patterns, n_samples), bool
        Where the neuron of the second layer is active; somewhere at least.
    n_inputs : int
        Size of a patch.
    complete : bool
        Whether these are all.
    shared : bool
        Whether a neuron has one filter for all patches.
    """

    inner: Mask
    signs: Float
    outer: Mask
    n_inputs: int
    complete: bool
    shared: bool

    @property
    def n_patches(self) -> int:
        """Number of patches."""
        return int(self.inner.shape[1])

    def seen(self, X: Float) -> Float:
        """Return what the second layer sees, (n_patterns, n_samples, n_patches, n_inputs)."""
        active = self.signs[:, :, None] * self.inner
        seen: Float = active.transpose(0, 2, 1)[:, :, :, None] * X
        return seen


def _distinct(
    inner: Mask, signs: Float, outer: Mask, n_inputs: int, *, complete: bool, shared: bool
) -> JointPatterns:
    """Return the distinct patterns that put something out, in the order of the first of each."""
    reached = inner & outer[:, None]
    some = np.flatnonzero(reached.any(axis=(1, 2)))
    if len(some) == 0:
        raise ValueError("X must have patterns that put something out, got none")
    signs = np.where(inner.any(axis=2), signs, 1.0)
    flat = [part.reshape(len(inner), -1) for part in (inner, signs > 0.0, outer)]
    keys = np.hstack(flat)[some]
    kept = some[np.sort(np.unique(keys, axis=0, return_index=True)[1])]
    return JointPatterns(inner[kept], signs[kept], outer[kept], n_inputs, complete, shared)


def sampled_patterns(
    X: Float, n_patterns: int, rng: np.random.Generator, *, shared: bool = False
) -> JointPatterns:
    """Return the patterns of Gaussian neurons on patches (n_samples, n_patches, n_inputs)."""
    _, n_patches, n_inputs = X.shape
    drawn = rng.standard_normal((n_patterns, 1 if shared else n_patches, n_inputs))
    filters = np.broadcast_to(drawn, (n_patterns, n_patches, n_inputs))
    weights = rng.standard_normal((n_patterns, n_patches))
    scores = np.einsum("ikh,pkh->pki", X, filters)
    outer = np.einsum("pki,pk->pi", np.maximum(scores, 0.0), weights) > 0.0
    signs = np.where(weights > 0.0, 1.0, -1.0)
    return _distinct(scores > 0.0, signs, outer, n_inputs, complete=False, shared=shared)


def all_patterns(X: Float, max_patterns: int, *, shared: bool = False) -> JointPatterns:
    """Return all patterns on patches (n_samples, n_patches, n_inputs).

    With shared filters there may be some more, whose cones are those of filters of their own.
    """
    choices = _shared_choices(X, max_patterns) if shared else _own_choices(X, max_patterns)
    found: list[tuple[Mask, Float, Mask]] = []
    for choice in product(*choices):
        inner = np.concatenate([mask for mask, _ in choice])
        signs = np.concatenate([sign for _, sign in choice])
        found += [(inner, signs, outer) for outer in _outer_patterns(X, inner, signs)]
    inners, sign_rows, outers = (np.stack(part) for part in zip(*found, strict=True))
    return _distinct(inners, sign_rows, outers, X.shape[2], complete=True, shared=shared)


def _refuse_many(count: float, max_patterns: int) -> None:
    if count > max_patterns:
        raise ValueError(
            f"X has {count:.6g} patterns of its patches with signs, max_patterns is "
            f"{max_patterns}: raise it, or sample n_patterns"
        )


# Masks (n, n_samples) of some patches, with the signs (n,) of their weights.
_Choice = tuple[Mask, Float]


def _own_choices(X: Float, max_patterns: int) -> list[list[_Choice]]:
    """Return for each patch the masks and signs of a filter of its own."""
    choices: list[list[_Choice]] = []
    for k in range(X.shape[1]):
        masks = enumerate_patterns(np.ascontiguousarray(X[:, k])).to_dense().T
        # Those that are never active are not needed: filters of others can be zero.
        used = masks[masks.any(axis=1)]
        options = [(mask[None], np.array([sign])) for mask in used for sign in (1.0, -1.0)]
        choices.append(options or [(np.zeros((1, len(X)), dtype=bool), np.ones(1))])
    _refuse_many(float(np.prod([len(options) for options in choices])), max_patterns)
    return choices


def _shared_choices(X: Float, max_patterns: int) -> list[list[_Choice]]:
    """Return the masks of all patches under one filter, with all signs of those ever active."""
    n_samples, n_patches, n_inputs = X.shape
    dense = enumerate_patterns(np.ascontiguousarray(X.reshape(-1, n_inputs))).to_dense().T
    masks = dense.reshape(-1, n_samples, n_patches).transpose(0, 2, 1)
    # Before the signs are listed: there are two for each patch.
    _refuse_many(float(np.sum(2.0 ** masks.any(axis=2).sum(axis=1))), max_patterns)
    options = []
    for mask in masks:
        used = [(1.0, -1.0) if active else (1.0,) for active in mask.any(axis=1)]
        options += [(mask, np.array(signs)) for signs in product(*used)]
    return [options]


def _outer_patterns(X: Float, inner: Mask, signs: Float) -> list[Mask]:
    """Return the patterns of the second layer on the cone of a choice of the first.

    Samples whose active patches all have one sign leave no choice; others are decided one by one.
    """
    positive = (inner & (signs > 0.0)[:, None]).any(axis=0)
    negative = (inner & (signs < 0.0)[:, None]).any(axis=0)
    used = inner.any(axis=1)
    rows = (signs[:, None] * inner).T[:, used, None] * X[:, used]
    walls = inner_walls(X[:, used], inner[used])
    branches = [positive.copy()]
    decided = np.zeros(len(X), dtype=bool)
    for i in np.flatnonzero(positive & negative):
        decided[i] = True
        longer = []
        for branch, state in product(branches, (True, False)):
            outer = branch.copy()
            outer[i] = state
            outside = np.where(outer[decided], 1.0, -1.0)[:, None, None] * rows[decided]
            if _has_interior(np.concatenate([walls, outside.reshape(len(outside), -1)])):
                longer.append(outer)
        branches = longer
    return branches


def inner_walls(X: Float, inner: Mask) -> Float:
    """Return the cone of patterns (n_patches, n_samples), on filters of all patches at once."""
    n_samples, n_patches, n_inputs = X.shape
    walls = np.zeros((n_patches, n_samples, n_patches, n_inputs))
    for k in range(n_patches):
        walls[k, :, k] = np.where(inner[k], 1.0, -1.0)[:, None] * X[:, k]
    return walls.reshape(n_patches * n_samples, n_patches * n_inputs)


def _has_interior(walls: Float) -> bool:
    """Whether the cone of rows that are not zero has an interior."""
    from scipy.optimize import linprog

    norms = np.linalg.norm(walls, axis=1)
    rows = walls[norms > 0.0] / norms[norms > 0.0, None]
    distance = np.append(np.zeros(rows.shape[1]), -1.0)
    bounds = [(-1.0, 1.0)] * rows.shape[1] + [(None, 1.0)]
    found = linprog(
        distance,
        A_ub=np.hstack([-rows, np.ones((len(rows), 1))]),
        b_ub=np.zeros(len(rows)),
        bounds=bounds,
    )
    return bool(found.status == 0 and -found.fun > _INSIDE)
