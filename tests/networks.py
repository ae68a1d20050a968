"""Networks to test with, of every variant."""

import numpy as np
import pytest

import cvxnn


def make_network(kind="relu", *, skip=False, n_features=4, width=7, n_outputs=1, seed=0):
    """Return a network of random weights, biases, gates and penalty weights."""
    rng = np.random.default_rng(seed)
    options = {}
    if kind == "gated_relu":
        options["gates"] = rng.standard_normal((n_features, width))
        options["gate_intercepts"] = rng.standard_normal(width)
    if skip:
        options["skip"] = rng.standard_normal((n_features, n_outputs))
    return cvxnn.Network(
        [rng.standard_normal((n_features, width)), rng.standard_normal((width, n_outputs))],
        [rng.standard_normal(width), rng.standard_normal(n_outputs)],
        activation=kind,
        penalty_weights=rng.uniform(0.5, 2.0, width),
        **options,
    )


VARIANTS = pytest.mark.parametrize(
    "network",
    [
        pytest.param(
            make_network(kind, skip=skip, n_outputs=n_outputs, width=width),
            id=f"{kind}-{'skip-' if skip else ''}{n_outputs}-outputs-{width}-neurons",
        )
        for kind in ("relu", "gated_relu")
        for skip in (False, True)
        for n_outputs in (1, 3)
        for width in (0, 1, 7)
    ],
)


def columns(network, X):
    """Return the predictions as other libraries have them, one column an output."""
    return network.predict(X).reshape(len(X), network.n_outputs_)
