"""Two builds side by side: is the second slower anywhere?

    python bench/compare_builds.py PYTHON_A PYTHON_B [--repeats 7]

PYTHON_A and PYTHON_B are interpreters of two environments, each with a build of cvxnn. Both stay
up and take turns on every task, so that a noisy minute hits them alike; a ratio is the median of
B's times over A's times of the same turn. Exits with 1 if a task of B takes 1.1 times as long.
"""

import argparse
import statistics
import subprocess
import sys

SLOWER = 1.1
WORKER = r"""
import sys, time
import numpy as np
import cvxnn
from cvxnn._ext import core

def problem(n, d, n_gates, dtype):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, d)).astype(dtype)
    y = np.maximum(X @ rng.standard_normal((d, 20)), 0) @ rng.standard_normal(20) / d
    gates = rng.standard_normal((d, n_gates))
    return X, y + 0.1 * rng.standard_normal(n), gates, cvxnn.activation_patterns(X, gates)

X, y, gates, patterns = problem(4096, 100, 1000, np.float32)
small = problem(500, 10, 200, np.float64)
medium = problem(2000, 30, 300, np.float32)

def solve(data, ratio, tol):
    X, y, _, patterns = data
    alpha = ratio * cvxnn.alpha_max(X, y, patterns)
    return lambda: cvxnn.solve(X, y, patterns, alpha=alpha, tol=tol, n_threads=1)

TASKS = {
    "pack 4096 x 100, 1000 gates": lambda: cvxnn.activation_patterns(X, gates, n_threads=1),
    "price the same": lambda: core.masked_gradients(
        X, patterns.words, y[:, None], n_threads=1
    ),
    "solve 500 x 10, alpha 0.1": solve(small, 0.1, 1e-6),
    "solve 500 x 10, alpha 0.001": solve(small, 0.001, 1e-6),
    "solve 2000 x 30, alpha 0.1": solve(medium, 0.1, 1e-6),
    "solve 2000 x 30, alpha 0.01": solve(medium, 0.01, 1e-6),
    "path of 30 alphas, 500 x 10": lambda: cvxnn.solve_path(
        small[0], small[1], small[3], n_alphas=30, eps=1e-2, tol=1e-4, n_threads=1
    ),
    "logistic path, 500 x 10": lambda: cvxnn.solve_path(
        small[0], np.sign(small[1]), small[3], loss="logistic", fit_intercept=True, n_alphas=30,
        eps=5e-3, tol=1e-4, n_threads=1
    ),
    "logistic ReLU path, 500 x 10": lambda: cvxnn.solve_path(
        small[0], np.sign(small[1]), small[3], activation="relu", loss="logistic",
        fit_intercept=True, n_alphas=30, eps=1e-2, tol=1e-4, n_threads=1
    ),
    "ReLU path, 500 x 10": lambda: cvxnn.solve_path(
        small[0], small[1], small[3], activation="relu", n_alphas=30, eps=1e-2, tol=1e-4,
        n_threads=1
    ),
    "adaptive ReLU, 300 x 10": lambda: cvxnn.solve(
        small[0][:300], small[1][:300], "adaptive", activation="relu", alpha=0.01, tol=1e-4,
        n_threads=1
    ),
}
print(*TASKS, sep="\t", flush=True)
for line in sys.stdin:
    start = time.perf_counter()
    TASKS[line.strip()]()
    print(time.perf_counter() - start, flush=True)
"""


class Build:
    """A worker process of one build."""

    def __init__(self, python: str) -> None:
        self._process = subprocess.Popen(
            [python, "-c", WORKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.tasks = self._read().split("\t")

    def _read(self) -> str:
        line = self._process.stdout.readline().strip()
        if not line:
            sys.exit("a build did not answer; see its error above")
        return line

    def seconds(self, task: str) -> float:
        self._process.stdin.write(task + "\n")
        self._process.stdin.flush()
        return float(self._read())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("builds", nargs=2, metavar="PYTHON")
    parser.add_argument("--repeats", type=int, default=7)
    args = parser.parse_args()
    a, b = (Build(python) for python in args.builds)
    slower = False
    print(f"{'task':<32}{'A, s':>10}{'B, s':>10}{'B / A':>8}")
    for task in a.tasks:
        turns = [(a.seconds(task), b.seconds(task)) for _ in range(args.repeats + 1)][1:]
        ratio = statistics.median(second / first for first, second in turns)
        slower |= ratio > SLOWER
        medians = [statistics.median(times) for times in zip(*turns, strict=True)]
        print(f"{task:<32}{medians[0]:>10.4f}{medians[1]:>10.4f}{ratio:>8.2f}", flush=True)
    sys.exit(slower)


if __name__ == "__main__":
    main()
