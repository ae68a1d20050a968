"""Solves against other solvers of the same program, in one run on one thread.

    python bench/bench_solver.py [--quick]

Each problem is a gated program over the same patterns at two strengths. cvxnn solves it with both
of its inner solvers to a relative duality gap of 1e-3 and of 1e-6. The yardsticks work on the dense
masked blocks: skglm's block coordinate descent with working sets (compiled), and accelerated
proximal gradient with restarts (numpy), until their own objective, in float64, is within the target
of the optimum; skglm is run at falling tolerances and the run that gets there is counted. Building
the dense matrix is not counted. Newton's times are medians, the others single runs; a ratio is
their time over Newton's; ``>`` marks one that was not there within 5 seconds (bcd stops there).
"""

import argparse
import os
import time
import warnings

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", NUMBA_NUM_THREADS="1")

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.preprocessing import StandardScaler

import cvxnn
from timing import paired

TARGETS = (1e-3, 1e-6)
STRENGTHS = (0.1, 0.01)
LIMIT = 5.0  # seconds after which a yardstick is given up


def real(loader, n_gates: int) -> tuple:
    X, y = loader(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    labels = np.where(y == (1 if len(np.unique(y)) == 2 else 3), 1.0, -1.0)
    return np.column_stack([X, np.ones(len(X))]), labels, n_gates


def teacher(n: int, d: int, n_gates: int) -> tuple:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, d))
    y = np.maximum(X @ rng.standard_normal((d, 20)) / np.sqrt(d), 0) @ rng.standard_normal(20)
    return X, y + 0.1 * rng.standard_normal(n), n_gates


PROBLEMS = {
    "breast_cancer": lambda: real(load_breast_cancer, 500),
    "digits, 3 or not": lambda: real(load_digits, 500),
    "teacher 1000 x 20": lambda: teacher(1000, 20, 500),
    "teacher 4000 x 40": lambda: teacher(4000, 40, 500),
}


def objective(A: np.ndarray, y: np.ndarray, w: np.ndarray, alpha: float, d: int) -> float:
    residual = y - A @ w
    return (
        residual @ residual / (2 * len(y)) + alpha * np.linalg.norm(w.reshape(-1, d), axis=1).sum()
    )


def skglm_time(A: np.ndarray, y: np.ndarray, alpha: float, d: int, goal: float) -> float | None:
    from skglm import GroupLasso

    begun = time.perf_counter()
    for tol in 10.0 ** -np.arange(2, 12):
        start = time.perf_counter()
        model = GroupLasso(groups=d, alpha=alpha, fit_intercept=False, tol=tol, max_iter=50)
        model.fit(A, y)
        seconds = time.perf_counter() - start
        if objective(A, y, model.coef_, alpha, d) <= goal:
            return seconds
        if start + seconds - begun > LIMIT:
            return None
    return None


def fista_time(A: np.ndarray, y: np.ndarray, alpha: float, d: int, goal: float) -> float | None:
    n = len(y)
    v = np.ones(A.shape[1])
    start = time.perf_counter()
    for _ in range(30):  # the step: one over the largest eigenvalue of A'A / n
        v = A.T @ (A @ v)
        v /= np.linalg.norm(v)
    step = n / np.linalg.norm(A @ v) ** 2 / 1.02
    w = z = np.zeros(A.shape[1])
    t = 1.0
    for iteration in range(10**9):
        g = (z - step * (A.T @ (A @ z - y)) / n).reshape(-1, d)
        norms = np.maximum(np.linalg.norm(g, axis=1, keepdims=True), 1e-300)
        new = (np.maximum(0.0, 1.0 - step * alpha / norms) * g).ravel()
        if (z - new) @ (new - w) > 0:  # O'Donoghue and Candes 2015
            t = 1.0
        following = (1 + np.sqrt(1 + 4 * t * t)) / 2
        z = new + (t - 1) / following * (new - w)
        w, t = new, following
        if iteration % 10 == 0:
            seconds = time.perf_counter() - start
            if objective(A, y, w, alpha, d) <= goal:
                return seconds
            if seconds > LIMIT:
                return None
    return None


def shown(seconds: float | None) -> str:
    return f">{LIMIT:.0f}" if seconds is None else f"{seconds:.3f}"


def row(name: str, problem: tuple, strength: float, repeats: int) -> None:
    X, y, n_gates = problem
    d = X.shape[1]
    patterns = cvxnn.activation_patterns(X, cvxnn.sample_gates(d, n_gates, random_state=0))
    alpha = strength * cvxnn.alpha_max(X, y, patterns)
    optimum = cvxnn.solve(X, y, patterns, alpha=alpha, tol=1e-9).dual
    masks = patterns.to_dense()
    A = np.asfortranarray(np.hstack([mask[:, None] * X for mask in masks.T]))
    for target in TARGETS:

        def solve(solver: str, tol: float = target) -> None:
            cvxnn.solve(
                X, y, patterns, alpha=alpha, tol=tol, solver=solver, n_threads=1, time_limit=LIMIT
            )

        own = paired({"newton": lambda: solve("newton")}, repeats)
        own |= paired({"bcd": lambda: solve("bcd")}, 1)
        goal = optimum * (1 + target)
        peers = [function(A, y, alpha, d, goal) for function in (skglm_time, fista_time)]
        ratios = [
            (">" if t is None else "") + f"{(t or LIMIT) / own['newton']:.0f}"
            for t in (own["bcd"], *peers)
        ]
        print(
            f"{name:<18}{strength:>6g}{target:>8.0e}{own['newton']:>9.3f}{own['bcd']:>9.3f}"
            f"{shown(peers[0]):>9}{shown(peers[1]):>9}   {' '.join(f'{r:>6}' for r in ratios)}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="the two smaller problems only")
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    skglm_time(np.eye(4), np.ones(4), 0.1, 2, 1.0)  # compiles
    print(f"{'':32}{'seconds':^36}   times cvxnn newton")
    print(
        f"{'problem':<18}{'alpha':>6}{'target':>8}{'newton':>9}{'bcd':>9}{'skglm':>9}{'FISTA':>9}"
        f"   {'bcd':>6} {'skglm':>6} {'FISTA':>6}"
    )
    for name, make in PROBLEMS.items():
        if args.quick and name in ("digits, 3 or not", "teacher 4000 x 40"):
            continue
        problem = make()
        for strength in STRENGTHS:
            row(name, problem, strength, args.repeats)


if __name__ == "__main__":
    main()
