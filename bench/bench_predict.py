"""Microseconds of predictions: one row at a time, and rows of large batches.

    python bench/bench_predict.py

`core` is the compiled function alone, `predict` with the checks of its argument; beside them
scikit-learn's MLPRegressor with the same weights. Medians of calls that take turns, on one thread;
the last column is the time of a batch on one thread over that on two.
"""

import numpy as np
from sklearn.neural_network import MLPRegressor
from threadpoolctl import threadpool_limits

import cvxnn
from cvxnn._ext import core
from timing import paired

SIZES = ((30, 20), (64, 50), (64, 200), (784, 100))
BATCH, CALLS, REPEATS = 50_000, 200, 15


def same_network(n_features, width):
    """Return a network and an MLP with the same weights."""
    X = np.random.default_rng(0).standard_normal((50, n_features))
    mlp = MLPRegressor(hidden_layer_sizes=(width,), max_iter=500, tol=1.0, random_state=0)
    mlp.fit(X, X[:, 0])
    return cvxnn.Network.from_sklearn(mlp), mlp


def calls(function):
    """Return what calls a function `CALLS` times."""

    def run():
        for _ in range(CALLS):
            function()

    return run


def microseconds(n_features, width):
    net, mlp = same_network(n_features, width)
    rng = np.random.default_rng(1)
    row, rows = rng.standard_normal((1, n_features)), rng.standard_normal((BATCH, n_features))
    layers = (net.coefs_[0], net.intercepts_[0], net.coefs_[1], net.intercepts_[1])
    absent = (np.empty((n_features, 0)), np.empty(0), np.empty((0, 1)))  # gates and skip connection
    one = {
        "core": calls(lambda: core.predict(row, *layers, *absent, n_threads=1)),
        "predict": calls(lambda: net.predict(row, n_threads=1)),
        "mlp": calls(lambda: mlp.predict(row)),
    }
    batch = {
        "one": lambda: net.predict(rows, n_threads=1),
        "mlp_batch": lambda: mlp.predict(rows),
        "two": lambda: net.predict(rows, n_threads=2),
    }
    seconds = {name: s / CALLS for name, s in paired(one, REPEATS).items()}
    seconds |= {name: s / BATCH for name, s in paired(batch, REPEATS).items()}
    return {name: 1e6 * s for name, s in seconds.items()}


def main():
    print("one row and, where it says batch, each of 50,000 rows; microseconds")
    print("| features x neurons | core | predict | MLP | batch | MLP, batch | 1 / 2 threads |")
    print("|---|---|---|---|---|---|---|")
    with threadpool_limits(1, user_api="blas"):
        for size in SIZES:
            us = microseconds(*size)
            print(
                f"| {size[0]} x {size[1]} | {us['core']:.1f} | {us['predict']:.1f} | "
                f"{us['mlp']:.1f} | {us['one']:.2f} | {us['mlp_batch']:.2f} | "
                f"{us['one'] / us['two']:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
