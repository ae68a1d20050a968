"""Joint programs of several classes: Newton steps on the loss beside steps on its model.

    python bench/bench_outputs.py [--quick]

Gated programs over 50 patterns of standardised data, one thread, all classes at once, to a relative
duality gap of 1e-6 at three strengths by `solver="auto"`, and by `solver="bcd"`, block updates
whose quadratic model has one curvature a sample. Medians of three runs that take turns; ``>`` marks
a solve that had not ended after the limit.
"""

import argparse
import os

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
from sklearn.datasets import load_digits, load_iris, load_wine
from sklearn.preprocessing import StandardScaler

import cvxnn
from timing import paired

SETS = {"iris": load_iris, "wine": load_wine, "digits": load_digits}
LOSSES = ("softmax", "logistic", "squared_hinge", "hinge")
STRENGTHS = (0.1, 0.01, 0.001)
SOLVERS = ("auto", "bcd")
TOL = 1e-6
LIMIT = 20.0  # seconds
REPEATS = 3


def targets(labels: np.ndarray, loss: str) -> np.ndarray:
    shares = np.eye(labels.max() + 1)[labels]
    return shares if loss == "softmax" else 2 * shares - 1


def row(name: str, loss: str, ratio: float, repeats: int) -> str:
    X, labels = SETS[name](return_X_y=True)
    X = StandardScaler().fit_transform(X)
    Y = targets(labels, loss)
    gates = cvxnn.sample_gates(X.shape[1], 50, random_state=0)
    patterns = cvxnn.activation_patterns(X, gates)
    alpha = ratio * cvxnn.alpha_max(X, Y, patterns, loss=loss)
    results = {}

    def run(solver: str) -> None:
        if solver in results and results[solver].status == "time_limit":
            return  # no second time
        results[solver] = cvxnn.solve(
            X, Y, patterns, alpha=alpha, loss=loss, tol=TOL, solver=solver, time_limit=LIMIT
        )

    seconds = paired({solver: lambda s=solver: run(s) for solver in SOLVERS}, repeats)
    cells = []
    for solver in SOLVERS:
        ended = results[solver].status == "optimal"
        cells.append(f"{seconds[solver]:.3f}" if ended else f">{LIMIT:.0f}")
    if results["auto"].status != "optimal":
        ratio_cell = "-"
    elif results["bcd"].status == "optimal":
        ratio_cell = f"{seconds['bcd'] / seconds['auto']:.1f}"
    else:
        ratio_cell = f">{LIMIT / seconds['auto']:.0f}"
    return f"| {name} | {loss} | {ratio} | {' | '.join(cells)} | {ratio_cell} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="without digits, one run")
    args = parser.parse_args()
    print("| set | loss | alpha / alpha_max | auto, s | bcd, s | bcd / auto |")
    print("|---|---|---|---|---|---|")
    for name in SETS:
        for loss in LOSSES if not (args.quick and name == "digits") else ():
            for ratio in STRENGTHS:
                print(row(name, loss, ratio, 1 if args.quick else REPEATS), flush=True)


if __name__ == "__main__":
    main()
