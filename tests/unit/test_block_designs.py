"""Programs over blocks given as matrices: pooled maps, folded nuclear norms, cones of what is seen.

Values: ``cnn_*`` of the reference file, by interior point methods.
"""

import numpy as np
import pytest

from cvxnn._designs import BlockDesign, StackedCones, design_program
from cvxnn.arrangements import activation_patterns
from cvxnn.enumeration import enumerate_patterns

SOLVE = {
    "tol": 1e-9,
    "max_iter": 2000,
    "time_limit": None,
    "n_threads": None,
    "screening": True,
    "solver": "auto",
    "callback": None,
    "verbose": 0,
}


def patches(X, size):
    """Patches of rows, stride one: (n_samples, n_patches, size)."""
    return np.lib.stride_tricks.sliding_window_view(X, size, axis=1)


def masks_of(patterns, seen):
    """Masks (n_patterns, n_samples, n_patches) of patterns of everything that is seen."""
    return patterns.to_dense().T.reshape(-1, *seen.shape[:2])


def solved(seen, gates, pool, y, beta, *, penalty, relu=False):
    """Solve over the patterns of gates, or all; return program, masks and result."""
    rows = np.ascontiguousarray(seen.reshape(-1, seen.shape[2]))
    patterns = enumerate_patterns(rows) if gates is None else activation_patterns(rows, gates)
    masks = masks_of(patterns, seen)
    blocks = np.einsum("ka,pik,ikh->ipah", pool, masks, seen)  # positions before inputs
    design = BlockDesign(
        np.ascontiguousarray(blocks.reshape(len(y), -1)),
        patterns.n_patterns,
        seen.shape[2],
        (rows, patterns) if relu else None,
    )
    options = {"loss": "squared", "sample_weight": None, "fit_intercept": False}
    program = design_program(design, y, penalty=penalty, **options)
    return program, masks, program.solve([beta / len(y)], **SOLVE)[0]


def network_objective(result, maps, pool, y, beta):
    """The objective of the recovered network whose neurons put out maps (m, n, k)."""
    hidden, output, _ = result.neurons()
    fit = np.einsum("mik,ka,mac->ic", maps, pool, output).reshape(np.shape(y))
    decay = np.sum(hidden**2) + np.sum(output**2)
    return 0.5 * np.sum((fit - y) ** 2) + 0.5 * beta * decay


def case(seed, *shape):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((6, 4)), rng.standard_normal(shape)


MEAN = np.full((3, 1), 1 / 3)


@pytest.mark.parametrize(("scale", "optimum"), [(1.0, 1.22884573), (3.0, 0.94875869)])
def test_pooled_relu_program(scale, optimum):
    X, y = case(11, 6)
    seen, pool = patches(X, 2), scale * MEAN
    _, masks, result = solved(seen, None, pool, y, 0.1, penalty="group", relu=True)
    assert len(masks) == 36
    assert 6 * result.primal == pytest.approx(optimum, rel=1e-7)
    assert 6 * result.dual == pytest.approx(optimum, rel=1e-7)
    maps = np.maximum(np.einsum("ikh,mh->mik", seen, result.neurons()[0]), 0.0)
    assert network_objective(result, maps, pool, y, 0.1) == pytest.approx(optimum, rel=1e-7)


@pytest.mark.parametrize(
    ("pool", "several", "optimum"),
    [(MEAN, True, 1.95669968), (np.eye(3), False, 0.23700205)],
    ids=["mean", "dense head"],
)
def test_gated_maps_with_several_outputs_or_positions(pool, several, optimum):
    X, Y = case(14, 6, 2)
    y = Y if several else Y[:, 0]
    gates = np.random.default_rng(140).standard_normal((2, 6))
    seen = patches(X, 2)
    _, masks, result = solved(seen, gates, pool, y, 0.2, penalty="nuclear")
    assert 6 * result.primal == pytest.approx(optimum, rel=1e-7)
    hidden, _, owner = result.neurons()
    maps = np.einsum("ikh,mh->mik", seen, hidden) * masks[owner]
    assert network_objective(result, maps, pool, y, 0.2) == pytest.approx(optimum, rel=1e-7)


def test_alpha_max_of_a_pooled_relu_program():
    X, y = case(11, 6)
    program, _, _ = solved(patches(X, 2), None, MEAN, y, 0.1, penalty="group", relu=True)
    assert 6 * program.alpha_max(None) == pytest.approx(3.062781, rel=1e-6)


def max_pooled(seen):
    """Matrix and cones of all patterns of winners: (n_patterns, n_samples, h), and their rows.

    A winner is a patch, or none where the maximum is not positive; its score is the largest there.
    """
    n, k, h = seen.shape
    first, second = np.triu_indices(k, 1)
    differences = seen[:, first] - seen[:, second]
    rows = np.concatenate([seen, differences], axis=1).reshape(-1, h)
    scores = np.einsum("ikh,hp->pik", seen, enumerate_patterns(rows).gates)
    winners = np.unique(np.where(scores.max(axis=2) > 0, scores.argmax(axis=2), -1), axis=0)
    winners = winners[(winners >= 0).any(axis=1)]
    won = np.where(winners[..., None] >= 0, seen[np.arange(n), winners], 0.0)
    others = won[:, :, None] - seen  # of a winner the row itself takes the place of zero
    own = np.arange(k) == winners[..., None]
    others[own] = won[winners >= 0]
    return won, others


def test_max_pooling_over_the_winners():
    X, y = case(11, 6)
    won, rows = max_pooled(patches(X, 2))
    assert len(won) == 20
    matrix = np.ascontiguousarray(won.transpose(1, 0, 2).reshape(6, -1))
    starts = 18 * np.arange(len(won) + 1)
    design = BlockDesign(matrix, len(won), 2, StackedCones(rows.reshape(-1, 2).copy(), starts))
    options = {"loss": "squared", "sample_weight": None, "fit_intercept": False}
    program = design_program(design, y, penalty="group", **options)
    result = program.solve([0.1 / 6], **SOLVE)[0]
    assert 6 * result.primal == pytest.approx(0.40963666, rel=1e-7)
    assert 6 * result.dual == pytest.approx(0.40963666, rel=1e-7)
    hidden, output, _ = result.neurons()
    maps = np.maximum(np.einsum("ikh,mh->mik", patches(X, 2), hidden).max(axis=2), 0.0)
    objective = 0.5 * np.sum((output[:, 0, 0] @ maps - y) ** 2)
    objective += 0.05 * (np.sum(hidden**2) + np.sum(output**2))
    assert objective == pytest.approx(0.40963666, rel=1e-7)
    assert program.alpha_max(None) > 0.1 / 6
