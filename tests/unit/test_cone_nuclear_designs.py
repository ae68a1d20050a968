"""ReLU neurons that are put out several times: images, batch normalisation, attention.

Values: of the reference file, bounds by semidefinite programs that the best networks attain.
"""

import numpy as np
import pytest

from cvxnn._designs import BlockDesign, design_program
from cvxnn.enumeration import enumerate_patterns

OPTIONS = {"loss": "squared", "sample_weight": None, "fit_intercept": False}
SOLVE = {
    "tol": 1e-5,
    "max_iter": 200,
    "time_limit": None,
    "n_threads": 1,
    "screening": True,
    "solver": "auto",
    "callback": None,
    "verbose": 0,
}


def conv(pool):
    rng = np.random.default_rng(14)
    X, Y = rng.standard_normal((6, 4)), rng.standard_normal((6, 2))
    seen = np.lib.stride_tricks.sliding_window_view(X, 2, axis=1)  # (samples, patches, 2)
    return seen.reshape(-1, 2), np.einsum("ka,ikh->iakh", pool, seen), Y


def mean_pooled():
    return conv(np.full((3, 1), 1 / 3))


def dense_head():
    rows, maps, Y = conv(np.eye(3))
    return rows, maps, Y[:, :1]


def normalised():
    rng = np.random.default_rng(26)
    X, Y = rng.standard_normal((5, 2)), rng.standard_normal((5, 2))
    left = np.linalg.svd(X - X.mean(axis=0), full_matrices=False)[0]
    rows = np.column_stack([left, np.full(5, 1 / np.sqrt(5))])
    return rows, rows[:, None, None], Y


def attention():
    rng = np.random.default_rng(33)
    X, Y = rng.standard_normal((2, 2, 2)), rng.standard_normal((2, 2, 1))
    rows = np.einsum("iar,ibk->iabrk", X, X)
    maps = np.einsum("iabrk,ibl->ialbrk", rows, X)  # what is seen of token b, times its feature l
    return rows.reshape(-1, 4), maps.reshape(4, 2, 2, 4), Y.reshape(4, 1)


def solved(case, beta, **changes):
    """Return maps (n_rows, positions, seen, h), targets, patterns, program and result."""
    seen, maps, y = case()
    n, _, n_seen, h = maps.shape
    patterns = enumerate_patterns(np.ascontiguousarray(seen))
    masks = patterns.to_dense().T.reshape(patterns.n_patterns, n, n_seen)
    matrix = np.einsum("pik,iakh->ipah", masks, maps).reshape(n, -1)
    design = BlockDesign(
        np.ascontiguousarray(matrix), len(masks), h, (np.ascontiguousarray(seen), patterns)
    )
    program = design_program(design, y, penalty="nuclear", **OPTIONS)
    return maps, y, patterns, program, program.solve([beta / n], **SOLVE | changes)[0]


@pytest.mark.parametrize(
    ("case", "beta", "optimum", "exact"),
    [
        (mean_pooled, 0.2, 2.28058863, True),
        (dense_head, 0.2, 0.2922655, True),
        (normalised, 0.2, 2.765457, False),
        (attention, 0.1, 0.997971, False),
    ],
)
def test_optima_and_networks(case, beta, optimum, exact):
    maps, y, patterns, _, result = solved(case, beta)
    n = len(y)
    assert result.status == "optimal"
    assert n * result.primal == pytest.approx(optimum, rel=2e-5)
    assert n * result.dual == pytest.approx(optimum, rel=2e-5)
    assert result.exact or not exact
    hidden, output, owner = result.neurons()
    seen, _, _ = case()
    active = (seen @ hidden.T > 0.0).reshape(n, -1, len(owner))
    relu = np.einsum("ikm,iakh,mh->ima", active, maps, hidden)
    fit = np.einsum("ima,mac->ic", relu, output)
    decay = np.sum(hidden**2) + np.sum(output**2)
    objective = 0.5 * np.sum((fit - y) ** 2) + 0.5 * beta * decay
    assert objective == pytest.approx(n * result.primal, rel=1e-8)
    signs = 2.0 * patterns.subset(owner).to_dense() - 1.0
    assert (signs * (seen @ hidden.T)).min() >= -1e-10


@pytest.mark.parametrize("case", [mean_pooled, attention])
def test_alpha_max_is_where_neurons_begin(case):
    _, y, _, program, _ = solved(case, 0.2)
    n, largest = len(y), program.alpha_max(None)
    above, below = program.solve([1.0001 * largest, 0.99 * largest], **SOLVE)
    assert len(above.active_set) == 0
    assert above.primal == pytest.approx(0.5 * np.sum(y**2) / n, rel=1e-12)
    assert len(below.active_set) > 0


def test_other_penalties_have_no_cones_of_several_positions():
    seen, _, y = dense_head()
    patterns = enumerate_patterns(np.ascontiguousarray(seen))
    matrix = np.ones((6, patterns.n_patterns * 6))
    design = BlockDesign(matrix, patterns.n_patterns, 2, (np.ascontiguousarray(seen), patterns))
    with pytest.raises(ValueError, match="penalty must be 'nuclear' for ReLU neurons"):
        design_program(design, y, penalty="group", **OPTIONS)
