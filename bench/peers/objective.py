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


def evaluate(problem: Problem, U: np.ndarray, strength: float) -> tuple[float, float]:
    """Return the objective and a lower bound: the residual, scaled to be feasible."""
    n, c = problem.Y.shape
    U = U.astype(float)
    residuals = problem.Y - forward(problem, U)
    primal = dual = 0.0
    for y, residual, coefs in zip(problem.Y.T, residuals.T, U, strict=True):
        norms = [
            np.linalg.norm((problem.masks[:, p] * residual[:, None]).T @ problem.X, axis=1).max()
            for p in np.array_split(np.arange(len(coefs)), len(coefs) // 128 + 1)
        ]
        scale = min(1.0, strength * n * c / max(max(norms), 1e-300))
        theta = scale * residual / (n * c)
        primal += residual @ residual / (2 * n * c)
        primal += strength * np.linalg.norm(coefs, axis=1).sum()
        dual += theta @ y - 0.5 * n * c * (theta @ theta)
    return primal, dual
