"""Malformed arrays for functions and networks: an error that names them, or a finite answer."""

import numpy as np
import pytest

import cvxnn
from malformed_arrays import attack, entry_points

RNG = np.random.default_rng(0)
X = RNG.standard_normal((8, 2))
Y = np.where(X[:, 0] > 0.1 * X[:, 1], 1.0, -1.0)
SHARES = np.column_stack([Y > 0, Y < 0]).astype(float)
PATTERNS = cvxnn.activation_patterns(X, cvxnn.sample_gates(2, 6, random_state=0))
RELU = cvxnn.solve(X, Y, PATTERNS, activation="relu", alpha=0.02, tol=1e-8)
GATED = cvxnn.solve(X, Y, PATTERNS, alpha=0.02, tol=1e-8)
OPTIMA = cvxnn.optimal_set(RELU, X)
NETWORK, GATED_NETWORK = RELU.network(), GATED.network()
IMAGES = RNG.standard_normal((8, 1, 4, 3))
TOKENS = RNG.standard_normal((8, 3, 2))
FEW_IMAGES, PATCHES = RNG.standard_normal((4, 1, 2, 2)), RNG.standard_normal((3, 2, 2))
DEEP = cvxnn.solve_three_layer(PATCHES, Y[:3], alpha=0.1)

LEARN = {"X": X, "y": Y, "sample_weight": np.ones(8)}
SOLVE = {**LEARN, "weights": np.ones(PATTERNS.n_patterns)}
QUICK = {"max_iter": 5, "n_threads": 1}
LAYERS = {
    "coefs": [np.ones((2, 3)), np.ones((3, 1))],
    "intercepts": [np.zeros(3), np.zeros(1)],
    "penalty_weights": np.ones(3),
    "skip": np.ones((2, 1)),
}
FILTERS = {
    "filters": RNG.standard_normal((2, 1, 2, 2)),
    "biases": np.zeros(2),
    "head": np.ones((2, 1, 1)),
    "intercepts": np.zeros(1),
}
GATED_FILTERS = {**FILTERS, "gates": FILTERS["filters"], "gate_biases": np.zeros(2)}
HEADS = {"coefs": [RNG.standard_normal((2, 2, 2)), np.ones((2, 2, 1))], "intercept": np.zeros(1)}
CONV_NETWORK = cvxnn.ConvNetwork(**GATED_FILTERS, activation="gated_relu", pooling="max")
TOKEN_NETWORK = cvxnn.TokenNetwork("self_attention", **HEADS, activation="relu")


def over(function, patterns=PATTERNS, **options):
    """Return a function of arrays, for quick solves over some patterns."""
    return lambda **arrays: function(patterns=patterns, **options, **arrays)


def of_network(objective):
    return lambda **arrays: objective(alpha=0.1, **arrays)


# Entry point, with a variant after a comma: what to call, and its good arrays.
ENTRIES = {
    "activation_patterns": (cvxnn.activation_patterns, {"X": X, "gates": PATTERNS.gates}),
    "PatternSet.subset": (PATTERNS.subset, {"indices": np.array([0, 2])}),
    "enumerate_patterns": (cvxnn.enumerate_patterns, {"X": X}),
    "sample_quantile_gates": (lambda X: cvxnn.sample_quantile_gates(X, 3), {"X": X}),
    "solve": (over(cvxnn.solve, alpha=0.1, fit_intercept=True, **QUICK), SOLVE),
    "solve, softmax": (
        over(cvxnn.solve, alpha=0.1, loss="softmax", **QUICK),
        {**SOLVE, "y": SHARES},
    ),
    "solve, several": (over(cvxnn.solve, alpha=0.1, **QUICK), {**SOLVE, "y": SHARES}),
    "solve, feature": (
        over(cvxnn.solve, alpha=0.1, penalty="feature", **QUICK),
        {**LEARN, "weights": np.ones(2)},
    ),
    "solve, logistic, relu": (
        over(cvxnn.solve, alpha=0.1, activation="relu", loss="logistic", **QUICK),
        SOLVE,
    ),
    "solve, exact": (
        over(cvxnn.solve, "exact", alpha=0.1, activation="relu", **QUICK),
        LEARN,
    ),
    "solve, adaptive": (
        over(cvxnn.solve, "adaptive", alpha=0.1, activation="relu", n_starts=5, **QUICK),
        LEARN,
    ),
    "alpha_max": (over(cvxnn.alpha_max, skip_connection=True), SOLVE),
    "solve_path": (over(cvxnn.solve_path, **QUICK), {**SOLVE, "alphas": np.array([0.2, 0.1])}),
    "solve_group_lasso": (
        lambda **arrays: cvxnn.solve_group_lasso(groups=1, alpha=0.1, **QUICK, **arrays),
        {**LEARN, "weights": np.ones(2)},
    ),
    "batch_norm_closed_form": (
        lambda **arrays: cvxnn.batch_norm_closed_form(alpha=0.1, **arrays),
        {"X": X[:3], "y": Y[:3]},
    ),
    "certify": (lambda **arrays: cvxnn.certify(NETWORK, alpha=0.1, n_starts=5, **arrays), LEARN),
    "solve_circular": (
        lambda **arrays: cvxnn.solve_circular(alpha=0.1, max_iter=3, **arrays),
        {"X": FEW_IMAGES, "y": Y[:4], "sample_weight": np.ones(4)},
    ),
    "solve_circular_path": (
        lambda **arrays: cvxnn.solve_circular_path(max_iter=3, **arrays),
        {"X": FEW_IMAGES, "y": Y[:4], "sample_weight": np.ones(4), "alphas": np.array([0.1])},
    ),
    "solve_three_layer_path": (
        lambda **arrays: cvxnn.solve_three_layer_path(n_patterns=5, **QUICK, **arrays),
        {"X": PATCHES, "y": Y[:3], "sample_weight": np.ones(3), "alphas": np.array([0.1])},
    ),
    "solve_three_layer": (
        lambda **arrays: cvxnn.solve_three_layer(n_patterns=5, alpha=0.1, **QUICK, **arrays),
        {"X": PATCHES, "y": Y[:3], "sample_weight": np.ones(3)},
    ),
    "ThreeLayerResult.predict": (DEEP.predict, {"X": PATCHES}),
    "decompose": (lambda X: cvxnn.decompose(GATED, X), {"X": X}),
    "optimal_set": (lambda X: cvxnn.optimal_set(RELU, X), {"X": X}),
    "OptimalSet.select": (OPTIMA.select, {"costs": np.ones(OPTIMA.n_rays)}),
    "OptimalSet.network": (OPTIMA.network, {"masses": np.ones(OPTIMA.n_rays)}),
    "prune": (lambda X: cvxnn.prune(NETWORK, X), {"X": X}),
    "Network": (cvxnn.Network, LAYERS),
    "Network, gated": (
        lambda **arrays: cvxnn.Network(activation="gated_relu", **arrays),
        {**LAYERS, "gates": np.ones((2, 3)), "gate_intercepts": np.zeros(3)},
    ),
    "Network.predict": (GATED_NETWORK.predict, {"X": X}),
    "Network.objective": (of_network(NETWORK.objective), LEARN),
    "Network.from_torch": (
        lambda module: cvxnn.Network.from_torch({"0.weight": module, "2.weight": np.ones((1, 2))}),
        {"module": np.eye(2)},
    ),
    "ConvNetwork": (cvxnn.ConvNetwork, FILTERS),
    "ConvNetwork, gated": (
        lambda **arrays: cvxnn.ConvNetwork(activation="gated_relu", **arrays),
        GATED_FILTERS,
    ),
    "ConvNetwork.predict": (CONV_NETWORK.predict, {"X": IMAGES}),
    "ConvNetwork.objective": (of_network(CONV_NETWORK.objective), {**LEARN, "X": IMAGES}),
    "TokenNetwork": (
        lambda **arrays: cvxnn.TokenNetwork("self_attention", activation="gated_relu", **arrays),
        {**HEADS, "gates": HEADS["coefs"][0]},
    ),
    "TokenNetwork.predict": (TOKEN_NETWORK.predict, {"X": TOKENS}),
    "TokenNetwork.objective": (of_network(TOKEN_NETWORK.objective), {**LEARN, "X": TOKENS}),
}


@pytest.mark.parametrize("name", ENTRIES)
def test_malformed_arrays(name):
    assert attack(*ENTRIES[name])


def test_every_entry_point_is_attacked():
    attacked = {}
    for name, (_, good) in ENTRIES.items():
        attacked.setdefault(name.split(",")[0], set()).update(good)
    for name, arguments in entry_points(estimators=False).items():
        assert arguments <= attacked.get(name, set()), name
