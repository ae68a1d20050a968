"""Adaptive arrangements beside other ways to a ReLU network of the same objective, one thread.

    python bench/bench_adaptive.py [--problems diabetes,digits] [--budgets 1] [--without adam]

Squared loss on standardised data with a constant column, no output intercept, alpha a twentieth of
alpha_max. cvxnn: patterns="adaptive", tol 1e-6. pyscnn (bench/peers/requirements.txt): its ReLU
solver over 5,000 sampled patterns, stopped at cvxnn's time, at 10 times it (`--budgets`), or by
itself. Adam and L-BFGS (SciPy): the best of 20 random restarts of a network of twice cvxnn's
width, trained in full batches with weight decay. `objective`: of the network, in float64, with
balanced weights, so that weight decay counts least; `excess`: relative to cvxnn's.
"""

import argparse
import os
import time
import warnings

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np  # noqa: E402
from scipy.optimize import minimize  # noqa: E402
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits  # noqa: E402

import cvxnn  # noqa: E402
from relu_networks import by_pyscnn, objective  # noqa: E402

N_PATTERNS = 5000
N_RESTARTS = 20
ADAM_STEPS, ADAM_RATE = 3000, 0.02
STRENGTH = 0.05
TOL = 1e-6


def diabetes():
    X, y = load_diabetes(return_X_y=True)
    return X, (y - y.mean()) / y.std()


def breast_cancer():
    X, y = load_breast_cancer(return_X_y=True)
    return X, 2.0 * y - 1.0


def digits():
    """0 to 4 against 5 to 9."""
    X, y = load_digits(return_X_y=True)
    return X, np.where(y < 5, -1.0, 1.0)


PROBLEMS = {load.__name__: load for load in (diabetes, breast_cancer, digits)}


def standardised(X):
    scale = X.std(axis=0)
    return np.column_stack([(X - X.mean(axis=0)) / np.where(scale > 0, scale, 1), np.ones(len(X))])


def loss_and_gradient(weights, X, y, alpha):
    n = len(X)
    hidden, output = weights[:-1], weights[-1]
    maps = np.maximum(X @ hidden, 0.0)
    residual = (maps @ output - y) / n
    slope = np.empty_like(weights)
    slope[:-1] = X.T @ (np.outer(residual, output) * (maps > 0)) + alpha * hidden
    slope[-1] = maps.T @ residual + alpha * output
    return 0.5 * n * residual @ residual + 0.5 * alpha * np.sum(weights**2), slope


def start(rng, d, width):
    """He's initialisation; output weights in the last row."""
    hidden = rng.standard_normal((d, width)) * np.sqrt(2.0 / d)
    return np.vstack([hidden, rng.standard_normal(width) * np.sqrt(1.0 / width)])


def by_adam(weights, X, y, alpha):
    mean, square = np.zeros_like(weights), np.zeros_like(weights)
    for step in range(1, ADAM_STEPS + 1):
        slope = loss_and_gradient(weights, X, y, alpha)[1]
        mean += 0.1 * (slope - mean)
        square += 0.001 * (slope**2 - square)
        rate = ADAM_RATE * 0.5 * (1.0 + np.cos(np.pi * step / ADAM_STEPS))
        scaled = mean / (1 - 0.9**step) / (np.sqrt(square / (1 - 0.999**step)) + 1e-8)
        weights = weights - rate * scaled
    return weights


def by_lbfgs(weights, X, y, alpha):
    def value(flat):
        loss, slope = loss_and_gradient(flat.reshape(weights.shape), X, y, alpha)
        return loss, slope.ravel()

    options = {"maxiter": 5000, "maxfun": 10000}
    return minimize(value, weights.ravel(), jac=True, method="L-BFGS-B", options=options).x.reshape(
        weights.shape
    )


def by_restarts(train, X, y, alpha, width):
    begin = time.perf_counter()
    ends = [
        train(start(np.random.default_rng(seed), X.shape[1], width), X, y, alpha)
        for seed in range(N_RESTARTS)
    ]
    values = [objective(X, y, alpha, end[:-1], end[-1]) for end in ends]
    return time.perf_counter() - begin, min(values), max(values)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--without", default="", help="peers to leave out, comma-separated")
    parser.add_argument("--problems", default=",".join(PROBLEMS), help="names, comma-separated")
    parser.add_argument("--budgets", default="1,10", help="times of pyscnn over cvxnn's")
    args = parser.parse_args()
    left_out = args.without.split(",")
    warnings.simplefilter("ignore")
    print("| problem | method | seconds | objective | excess | worst restart |")
    print("|---|---|---|---|---|---|")
    for name in args.problems.split(","):
        raw, y = PROBLEMS[name]()
        X = standardised(raw)
        alpha = STRENGTH * cvxnn.alpha_max(X, y, "adaptive", activation="relu", n_threads=1)
        begin = time.perf_counter()
        result = cvxnn.solve(X, y, "adaptive", activation="relu", alpha=alpha, tol=TOL, n_threads=1)
        own = time.perf_counter() - begin
        network = result.network()
        base = objective(X, y, alpha, network.coefs_[0], network.coefs_[1][:, 0])
        width = 2 * network.width
        runs = [(f"cvxnn, {network.width} neurons, {result.status}", own, base, base)]
        if "pyscnn" not in left_out:
            from scnn.activations import sample_gate_vectors  # loads torch

            for factor in map(int, args.budgets.split(",")):
                label = f"pyscnn, {factor} x the time"
                gates = sample_gate_vectors(0, X.shape[1], N_PATTERNS)
                seconds, *weights = by_pyscnn(X, y, gates, alpha, factor * own)
                value = objective(X, y, alpha, *weights)
                runs.append((label, seconds, value, value))
        for label, train in (("Adam", by_adam), ("L-BFGS", by_lbfgs)):
            if label.lower() not in left_out:
                runs.append((f"{label}, width {width}", *by_restarts(train, X, y, alpha, width)))
        for label, seconds, value, worst in runs:
            print(
                f"| {name} | {label} | {seconds:.3g} | {value:.6g} | {value / base - 1.0:.1e} | "
                f"{worst / base - 1.0:.1e} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
