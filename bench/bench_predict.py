"""Microseconds of predictions: one row at a time, and rows of large batches.

    python bench/bench_predict.py

`core` is the compiled function alone, `predict` with the checks of its argument; beside them
scikit-learn's MLPRegressor with the same weights. Networks for images beside onnxruntime, in
float32, on what `to_onnx` gives. Medians of calls that take turns, on one thread; the last column
is the time of a batch on one thread over that on two.
"""

import numpy as np
import onnxruntime
from sklearn.neural_network import MLPRegressor
from threadpoolctl import threadpool_limits

import cvxnn
from cvxnn._ext import core
from timing import paired

SIZES = ((30, 20), (64, 50), (64, 200), (784, 100))
BATCH, CALLS, REPEATS = 50_000, 200, 15
IMAGES = ((1, 8, 3, 30, ("mean", 2)), (1, 28, 5, 64, "max"), (3, 32, 3, 100, ("max", 4)))
IMAGE_BATCH = 1000


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


def conv_microseconds(n_channels, side, kernel, width, pooling):
    rng = np.random.default_rng(0)
    windows = 1 if isinstance(pooling, str) else ((side - kernel + 1) // pooling[1]) ** 2
    filters = rng.standard_normal((width, n_channels, kernel, kernel))
    head = rng.standard_normal((width, windows, 10))
    net = cvxnn.ConvNetwork(filters, np.zeros(width), head, np.zeros(10), pooling=pooling)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(net.to_onnx().SerializeToString(), options)
    images = rng.standard_normal((IMAGE_BATCH, n_channels, side, side)).astype(np.float32)
    name = session.get_inputs()[0].name
    one = {
        "predict": calls(lambda: net.predict(images[:1], n_threads=1)),
        "onnx": calls(lambda: session.run(None, {name: images[:1]})),
    }
    batch = {
        "one": lambda: net.predict(images, n_threads=1),
        "onnx_batch": lambda: session.run(None, {name: images}),
        "two": lambda: net.predict(images, n_threads=2),
    }
    seconds = {name: s / CALLS for name, s in paired(one, REPEATS).items()}
    seconds |= {name: s / IMAGE_BATCH for name, s in paired(batch, REPEATS).items()}
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
        print(f"\none image and, where it says batch, each of {IMAGE_BATCH}; microseconds")
        print("| image, filters, pooling | predict | ONNX | batch | ONNX, batch | 1 / 2 threads |")
        print("|---|---|---|---|---|---|")
        for n_channels, side, kernel, width, pooling in IMAGES:
            us = conv_microseconds(n_channels, side, kernel, width, pooling)
            print(
                f"| {n_channels} x {side} x {side}, {width} of {kernel} x {kernel}, {pooling} | "
                f"{us['predict']:.0f} | {us['onnx']:.0f} | {us['one']:.1f} | "
                f"{us['onnx_batch']:.1f} | {us['one'] / us['two']:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
