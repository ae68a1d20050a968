"""The one objective, in float64 numpy, by code that no solver uses."""

import numpy as np
from problems import Problem


def forward(problem: Problem, U: np.ndarray) -> np.ndarray:
    """Return F (n, c) of coefficients U (c, P, d)."""
    F = np.zeros(problem.Y.shape)
    for k, coefs in enumerate(U):
        active = np.flatnonzero(coefs.any(axis=1))
        for p in np.array_split(active, max(1, len(active) // 64)):
            F[:, k] += ((problem.X @ coefs[p].T) * problem.masks[:, p]).sum(axis=1)
    return F


def objective(problem: Problem, U: np.ndarray, strength: float) -> float:
    """Return the objective at coefficients U (c, P, d)."""
    U = U.astype(float)
    residuals = problem.Y - forward(problem, U)
    penalty = strength * np.linalg.norm(U, axis=2).sum()
    return (residuals**2).sum() / (2 * residuals.size) + penalty
