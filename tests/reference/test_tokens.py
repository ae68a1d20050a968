"""Optimum values of self-attention, mixers and Fourier operators, by interior point methods."""

import numpy as np
import pytest

import cvxnn
from cvxnn._designs import design_program
from cvxnn._factors import FactorProgram
from cvxnn._mixing import MIXINGS
from cvxnn._problem import make_problem
from cvxnn._token_design import token_design
from reference_cases import ARCHITECTURES, architecture_arrays

ESTIMATORS = {
    "sa": cvxnn.ConvexSelfAttention,
    "mixer": cvxnn.ConvexMLPMixer,
    "fno": cvxnn.ConvexFNO,
}
KINDS = {"sa": "self_attention", "mixer": "mlp_mixer", "fno": "fno"}
ACTIVATIONS = {"linear": "linear", "gated": "gated_relu", "relu": "relu"}
LINEAR = ["sa_linear", "sa_linear_mean_pooled", "mixer_linear", "fno_linear"]
GATES = {"sa_gated": "H", "mixer_gated": "Hm", "fno_gated": "h"}
RELU = ["sa_relu", "mixer_relu", "fno_relu"]
# Where the factors of L-BFGS get to in float64; blocks reach 1e-9.
TOL = {"block": 1e-9, "factor": 1e-7}


def mixing(name, tokens, *, pooled):
    return MIXINGS[KINDS[name.split("_")[0]]](tokens, pooled=pooled)


def arrays(name):
    """Return tokens, targets and gates of a case, for ReLU one of each pattern."""
    found = architecture_arrays(name)
    tokens, gates = found["X"], None
    if name in GATES:
        gates = found[GATES[name]].reshape(4, 2, 2)
    if name in RELU:
        patterns = cvxnn.enumerate_patterns(mixing(name, tokens, pooled=False).seen())
        assert patterns.n_patterns == ARCHITECTURES[name]["n_arrangements"]
        gates = patterns.gates.T.reshape(-1, 2, tokens.shape[2])
    return tokens, found["Y"], gates


def fitted(name, solver, **options):
    """Fit the program of the paper; return the model, its data and the number of rows."""
    X, Y, gates = arrays(name)
    n_rows = Y.size // Y.shape[-1]
    settings = {
        "activation": ACTIVATIONS[name.split("_")[1]],
        "gates": gates,
        "solver": solver,
        "pool_tokens": Y.ndim == 2,
        "fit_intercept": False,
        "standardize": False,
        "tol": TOL[solver],
        "n_threads": 1,
    }
    alpha = ARCHITECTURES[name]["params"]["beta"] / n_rows
    model = ESTIMATORS[name.split("_")[0]](alpha, **settings | options).fit(X, Y)
    return model, X, Y, n_rows


def test_data_are_those_of_the_file():
    X, Y, _ = arrays("sa_linear")
    sums = ARCHITECTURES["sa_linear"]["checksum"]
    assert (X.sum(), Y.sum()) == pytest.approx((sums["sumX"], sums["sumY"]), rel=1e-12)


@pytest.mark.parametrize("solver", ["block", "factor"])
@pytest.mark.parametrize("name", [*LINEAR, *GATES])
def test_optimum(name, solver):
    model, X, Y, n_rows = fitted(name, solver)
    optimum = ARCHITECTURES[name]["convex_optimum"]
    assert model.status_ == "optimal"
    assert n_rows * model.objective_ == pytest.approx(optimum, rel=1e-7)
    assert n_rows * model.lower_bound_ <= optimum * (1 + 1e-8)
    recovered = model.network_.objective(X, Y, model.alpha)
    assert recovered == pytest.approx(model.objective_, rel=1e-9)
    assert model.predict(X).shape == Y.shape


@pytest.mark.parametrize("name", RELU)
def test_relu_heads(name):
    model, X, Y, n_rows = fitted(name, "block", tol=1e-5)
    optimum = ARCHITECTURES[name]["nonconvex_best"]
    assert optimum == pytest.approx(ARCHITECTURES[name]["sdp_lower_bound"], rel=1e-6)
    assert model.status_ == "optimal"
    assert n_rows * model.objective_ == pytest.approx(optimum, rel=2e-5)
    assert n_rows * model.lower_bound_ == pytest.approx(optimum, rel=2e-5)
    assert model.exact_ == (name == "fno_relu")  # two hidden weights: the search is exact
    network = model.network_
    assert (network.activation, network.gates_) == ("relu", None)
    assert network.objective(X, Y, model.alpha) == pytest.approx(model.objective_, rel=1e-8)


@pytest.mark.parametrize("solver", ["block", "factor"])
def test_blocks_of_channels(solver):
    model, X, Y, n_rows = fitted("fno_linear", solver, n_blocks=2)
    optimum = ARCHITECTURES["fno_linear"]["bfno_2blocks_optimum"]
    assert n_rows * model.objective_ == pytest.approx(optimum, rel=1e-7)
    recovered = model.network_.objective(X, Y, model.alpha)
    assert recovered == pytest.approx(model.objective_, rel=1e-9)


def singular_values(name):
    network = fitted(name, "block")[0].network_
    outer = np.linalg.norm(network.coefs_[1], axis=(1, 2))
    return np.sort(np.linalg.norm(network.coefs_[0], axis=(1, 2)) * outer)[::-1]


def test_singular_values():
    wanted = ARCHITECTURES["mixer_linear"]["singular_values"]
    np.testing.assert_allclose(singular_values("mixer_linear")[:4], wanted, atol=2e-6)
    # X'X is symmetric, so that attention has other optima with the same sum.
    total = sum(ARCHITECTURES["sa_linear"]["singular_values"])
    assert singular_values("sa_linear").sum() == pytest.approx(total, abs=2e-6)


def test_ranks_of_attention():
    hidden = fitted("sa_gated", "block")[0].network_.gates_
    heads = np.unique(hidden, axis=0, return_counts=True)[1]
    assert sorted(heads) == sorted(ARCHITECTURES["sa_gated"]["ranks"])


def test_one_head_is_not_enough():
    model, *_, n_rows = fitted("sa_linear", "factor")
    assert n_rows * model.objective_ < ARCHITECTURES["sa_linear"]["nonconvex_best_1_head"] - 1
    assert model.network_.n_heads >= 4


def linear_programs(name):
    """Return the programs over blocks and over factors, the rows and the beta of a case."""
    X, Y, _ = arrays(name)
    n_rows = Y.size // 2
    design = token_design(mixing(name, X, pooled=Y.ndim == 2), "linear")
    targets = Y.reshape(n_rows, -1)
    options = {"loss": "squared", "sample_weight": None, "fit_intercept": False}
    block = design_program(design.block_design(), targets, penalty="nuclear", **options)
    problem = make_problem(
        X.reshape(n_rows, -1), targets, 1, weights=None, penalty="nuclear", several=True, **options
    )
    return block, FactorProgram(problem, design), n_rows


def test_beta_max():
    block, factor, n_rows = linear_programs("sa_linear")
    wanted = ARCHITECTURES["sa_linear"]["beta_max"]
    assert n_rows * block.alpha_max(1) == pytest.approx(wanted, rel=1e-7)
    assert n_rows * factor.alpha_max() == pytest.approx(wanted, rel=1e-7)


@pytest.mark.parametrize("name", LINEAR)
def test_network_is_empty_at_alpha_max_and_not_below(name):
    block, factor, _ = linear_programs(name)
    a_max = block.alpha_max(1)
    assert factor.alpha_max() == pytest.approx(a_max, rel=1e-10)
    settings = {
        "tol": 1e-7,
        "max_iter": 100,
        "time_limit": None,
        "n_threads": 1,
        "screening": True,
        "solver": "auto",
        "callback": None,
        "verbose": 0,
    }
    for program in (block, factor):
        above, below = program.solve([1.001 * a_max, 0.98 * a_max], **settings)
        assert len(above.neurons()[2]) == 0
        assert len(below.neurons()[2]) > 0
        assert below.status == "optimal"


def test_fourier_operators_of_relu_neurons_are_networks_on_circulant_rows():
    rng = np.random.default_rng(35)
    X, y = rng.standard_normal((4, 2, 1)), rng.standard_normal((4, 2))
    seen = X[:, [[0, 1], [1, 0]], 0].reshape(8, 2)
    patterns = cvxnn.enumerate_patterns(seen)
    assert patterns.n_patterns == ARCHITECTURES["fno_relu"]["n_arrangements"]
    wanted = cvxnn.solve(seen, y.ravel(), patterns, activation="relu", alpha=0.0125, tol=1e-9)
    model = cvxnn.ConvexFNO(
        0.0125,
        activation="relu",
        gates=patterns.gates.T.reshape(-1, 2, 1),
        pool_tokens=False,
        fit_intercept=False,
        standardize=False,
        tol=1e-9,
    ).fit(X, y)
    assert model.objective_ == pytest.approx(wanted.primal, rel=1e-8)
    network = model.network_
    assert network.objective(X, y, 0.0125) == pytest.approx(model.objective_, rel=1e-8)
