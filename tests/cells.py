"""All cells of a small central hyperplane arrangement, by its extreme rays."""

import itertools

import numpy as np
from scipy.linalg import null_space


def enumerate_gates(X):
    """Return a gate in every cell of ``{u : x_i . u != 0}``, duplicates included.

    Rows in general position, more rows than columns: every cell is a pointed cone, and its rays are
    the intersections of d - 1 hyperplanes. Around a ray those d - 1 signs are free.
    """
    n, d = X.shape
    gates = []
    signs = np.array(list(itertools.product((-1.0, 1.0), repeat=d - 1))).T
    for tight in itertools.combinations(range(n), d - 1):
        tight = list(tight)
        ray = null_space(X[tight])[:, 0]
        spread = np.linalg.pinv(X[tight]) @ signs
        margin = np.abs(np.delete(X @ ray, tight)).min()
        reach = np.abs(X @ spread).max()
        spread *= 0.5 * margin / reach
        gates += [ray[:, None] + spread, -ray[:, None] + spread]
    return np.hstack(gates)
