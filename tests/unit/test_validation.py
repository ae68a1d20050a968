"""Bad input is refused before any work, by the name of the argument."""

import numpy as np
import pytest
import scipy.sparse as sp

import cvxnn

NAN, INF = float("nan"), float("inf")


@pytest.fixture(scope="module")
def network(problem):
    return cvxnn.solve(problem.X, problem.y, problem.patterns, alpha=0.2).network()


@pytest.fixture
def call(problem, network):
    """Call a public function with good arguments, some of them replaced."""
    data = {"X": problem.X, "y": problem.y}
    common = {**data, "patterns": problem.patterns}
    table = {
        "solve": (cvxnn.solve, {**common, "alpha": 0.2}),
        "alpha_max": (cvxnn.alpha_max, common),
        "solve_path": (cvxnn.solve_path, {**common, "n_alphas": 2, "eps": 0.5}),
        "solve_group_lasso": (cvxnn.solve_group_lasso, {**data, "groups": 1, "alpha": 0.2}),
        "activation_patterns": (
            cvxnn.activation_patterns,
            {"X": problem.X, "gates": problem.gates},
        ),
        "sample_gates": (cvxnn.sample_gates, {"n_features": 3, "n_gates": 4}),
        "predict": (network.predict, {"X": problem.X}),
        "objective": (network.objective, {**data, "alpha": 0.2}),
        "Huber": (cvxnn.Huber, {}),
    }

    def run(entry, **changes):
        function, arguments = table[entry]
        return function(**{**arguments, **changes})

    run.good = {
        "X": problem.X,
        "y": problem.y,
        "sample_weight": np.ones(len(problem.y)),
        "weights": np.ones(problem.patterns.n_patterns),
        "gates": problem.gates,
    }
    return run


ARRAYS = {
    "X": [
        *("solve", "alpha_max", "solve_path", "solve_group_lasso"),
        *("activation_patterns", "predict", "objective"),
    ],
    "y": ["solve", "alpha_max", "solve_path", "solve_group_lasso", "objective"],
    "sample_weight": ["solve", "alpha_max", "solve_path", "solve_group_lasso", "objective"],
    "weights": ["solve", "alpha_max", "solve_path"],
    "gates": ["activation_patterns"],
}


def with_entry(array, index, value):
    array = np.array(array, dtype=np.float64)
    array.flat[index] = value
    return array


SHAPE = "must (have|be 2-D)"
BAD_ARRAYS = {
    "nan": (lambda a: with_entry(a, 7, NAN), ValueError, r"contains NaN or infinity.*7|\(1, 2\)"),
    "nan-last": (lambda a: with_entry(a, -1, NAN), ValueError, "contains NaN or infinity"),
    "inf-first": (lambda a: with_entry(a, 0, INF), ValueError, "contains NaN or infinity.*0"),
    "minus-inf-last": (lambda a: with_entry(a, -1, -INF), ValueError, "contains NaN or infinity"),
    "both-inf": (
        lambda a: with_entry(with_entry(a, 0, INF), -1, -INF),
        ValueError,
        "contains NaN or infinity",
    ),
    "float32-inf": (
        lambda a: with_entry(a, -1, INF).astype(np.float32),
        ValueError,
        "contains NaN or infinity",
    ),
    "huge": (lambda a: with_entry(a, -1, 1e101), ValueError, "magnitude 1e.101: rescale"),
    "huge-negative": (lambda a: with_entry(a, 0, -1e200), ValueError, "magnitude 1e.200: rescale"),
    "0-d": (lambda _: 3.0, ValueError, SHAPE),
    "3-d": (lambda a: a.reshape((1, *a.shape, 1)), ValueError, SHAPE),
    "no-samples": (lambda _: np.empty((0, 5)), ValueError, SHAPE),
    "no-columns": (lambda _: np.empty((60, 0)), ValueError, SHAPE),
    "empty-list": (lambda _: [], ValueError, SHAPE),
    "ragged": (lambda _: [[1.0], [1.0, 2.0]], ValueError, "must be numeric, got list"),
    "complex": (lambda a: a.astype(complex), ValueError, "must be real, got complex"),
    "words": (lambda a: np.full(a.shape, "one"), ValueError, "must be numeric"),
    "objects": (lambda a: np.full(a.shape, object()), ValueError, "must be numeric"),
    "missing-objects": (lambda a: np.full(a.shape, None), ValueError, "contains NaN"),
    "dates": (lambda a: np.zeros(a.shape, "M8[s]"), TypeError, "must be numeric"),
    "records": (lambda a: np.zeros(a.shape, [("f", float)]), TypeError, "must be numeric"),
    "dict": (lambda _: {"a": 1.0}, ValueError, "must be numeric, got dict"),
    "sparse-matrix": (lambda a: sp.csr_matrix(np.atleast_2d(a)), TypeError, "must be dense"),
    "sparse-array": (lambda a: sp.coo_array(np.atleast_2d(a)), TypeError, "must be dense"),
}


TAKE_SPARSE_X = {*ARRAYS["X"]} - {"solve_group_lasso"}


@pytest.mark.parametrize(
    ("entry", "name", "bad"),
    [
        (entry, name, bad)
        for name, entries in ARRAYS.items()
        for entry in entries
        for bad in BAD_ARRAYS
        if not (name == "X" and entry in TAKE_SPARSE_X and bad.startswith("sparse"))
    ],
)
def test_bad_array(call, entry, name, bad):
    spoil, error, message = BAD_ARRAYS[bad]
    with pytest.raises(error, match=rf"^{name} .*({message})"):
        call(entry, **{name: spoil(call.good[name])})


LOSS_BLOCKS = ["solve", "alpha_max", "solve_path"]
WRONG_LENGTHS = [
    *[(entry, "y", n) for entry in ARRAYS["y"] for n in (59, 61)],
    *[(entry, "sample_weight", n) for entry in ARRAYS["sample_weight"] for n in (59, 61)],
    *[(entry, "weights", n) for entry in LOSS_BLOCKS for n in (1, 79, 81)],
    *[("solve_group_lasso", "weights", n) for n in (4, 6, 60)],
]


@pytest.mark.parametrize(("entry", "name", "size"), WRONG_LENGTHS)
def test_wrong_length(call, entry, name, size):
    with pytest.raises(ValueError, match=rf"^{name} must have shape .*got \({size},\)"):
        call(entry, **{name: np.ones(size)})


@pytest.mark.parametrize("name", ["sample_weight", "weights"])
@pytest.mark.parametrize("entry", LOSS_BLOCKS)
def test_negative_weights(call, entry, name):
    with pytest.raises(ValueError, match=f"^{name} must be non-negative, got -0.5"):
        call(entry, **{name: with_entry(call.good[name], -1, -0.5)})


def test_block_weights_that_are_next_to_nothing(call):
    with pytest.raises(ValueError, match=r"^weights must be zero or at least 1e-100, got 4.9"):
        call("alpha_max", weights=with_entry(call.good["weights"], 3, 5e-324))


@pytest.mark.parametrize(
    ("indices", "message"),
    [
        ([0, 80], "must be integers from 0 to 79, got 80"),
        ([-1], "must be integers from 0 to 79, got -1"),
        ([0.5], "must be integers from 0 to 79, got 0.5"),
        ([NAN], "must be integers from 0 to 79, got nan"),
        ([[0, 1]], "must be 1-D, got shape"),
        ("one", "must be numeric"),
    ],
)
def test_indices_of_patterns(problem, indices, message):
    with pytest.raises(ValueError, match=f"^indices {message}"):
        problem.patterns.subset(indices)


@pytest.mark.parametrize("name", ["coefs", "intercepts"])
def test_layers_that_are_no_sequence(name):
    layers = {"coefs": [np.ones((2, 3)), np.ones((3, 1))], "intercepts": [np.zeros(3), [0.0]]}
    with pytest.raises(TypeError, match=f"^{name} must be a sequence of two arrays, got NoneType"):
        cvxnn.Network(**{**layers, name: None})


def test_mask_of_patterns(problem):
    chosen = problem.patterns.subset(np.arange(80) % 3 == 0)
    assert (chosen.gates == problem.patterns.gates[:, ::3]).all()


@pytest.mark.parametrize("entry", ARRAYS["sample_weight"])
def test_sample_weight_without_a_positive_entry(call, entry):
    with pytest.raises(ValueError, match=r"^sample_weight must have a positive entry"):
        call(entry, sample_weight=np.zeros(60))


@pytest.mark.parametrize(
    ("shape", "message"),
    [((5,), "n_features, n_gates"), ((4, 80), "5, >= 1"), ((80, 5), "5, >= 1"), ((5, 0), ">= 1")],
)
def test_gates_of_a_wrong_shape(call, shape, message):
    with pytest.raises(ValueError, match=rf"^gates must have shape .*{message}"):
        call("activation_patterns", gates=np.ones(shape))


def test_gates_that_are_active_nowhere(call):
    with pytest.raises(ValueError, match=r"^gates must be active on at least one sample"):
        call("activation_patterns", gates=np.zeros((5, 3)))


@pytest.mark.parametrize("entry", ["solve", "alpha_max", "solve_path"])
def test_patterns_of_other_data(call, problem, entry):
    with pytest.raises(ValueError, match=r"^patterns were made from data of shape \(60, 5\)"):
        call(entry, X=problem.X[:50], y=problem.y[:50])
    with pytest.raises(ValueError, match=r"X has shape \(60, 4\)"):
        call(entry, X=problem.X[:, :4])


def test_predict_wants_the_features_of_the_network(call, problem):
    with pytest.raises(ValueError, match=r"^X must have 5 features, as the network has, got 4"):
        call("predict", X=problem.X[:, :4])


@pytest.mark.parametrize("loss", ["logistic", "squared_hinge", "hinge"])
@pytest.mark.parametrize("entry", ARRAYS["y"])
@pytest.mark.parametrize(
    "labels", [np.arange(60) % 2, np.arange(60), np.zeros(60), np.arange(60) % 2 > 0]
)
def test_labels_other_than_plus_and_minus_one(call, entry, loss, labels):
    with pytest.raises(ValueError, match=r"^y must hold -1 and \+1 for a classification loss, got"):
        call(entry, y=labels, loss=loss)


POSITIVE = [
    *[(value, TypeError, "must be a number") for value in ("1", True, 1j, [0.1], np.ones(1))],
    *[(value, ValueError, "must be positive and finite") for value in (0, -1, NAN, INF, -INF)],
]
COUNT = [
    *[(v, TypeError, "must be an integer") for v in (1.0, "1", True, [1], NAN, np.float64(2))],
    *[(value, ValueError, "must be >= 1, got") for value in (0, -1)],
]
NAME = [(value, ValueError, "must be one of") for value in ("none", "", None, 3, [], b"squared")]
SOLVERS = ["solve", "solve_path", "solve_group_lasso"]
SCALARS = [
    *[
        (e, "alpha", *case)
        for e in ("solve", "solve_group_lasso", "objective")
        for case in POSITIVE
    ],
    *[(entry, "tol", *case) for entry in SOLVERS for case in POSITIVE],
    *[(entry, "time_limit", *case) for entry in SOLVERS for case in POSITIVE],
    *[("Huber", "delta", *case) for case in POSITIVE],
    *[("solve_path", "eps", *case) for case in POSITIVE],
    *[("solve_path", "eps", value, ValueError, "must be below 1") for value in (1, 2.0)],
    *[(entry, "max_iter", *case) for entry in SOLVERS for case in COUNT],
    *[("solve_path", "n_alphas", *case) for case in COUNT],
    *[("sample_gates", name, *case) for name in ("n_features", "n_gates") for case in COUNT],
    *[("solve_group_lasso", "groups", *case) for case in COUNT if case[0] != [1]],
    *[(entry, "loss", *case) for entry in ARRAYS["y"] for case in NAME],
    *[(entry, "activation", *case) for entry in LOSS_BLOCKS for case in NAME],
    *[
        (entry, "n_threads", value, error, "must be")
        for entry in [*LOSS_BLOCKS, "solve_group_lasso", "activation_patterns", "predict"]
        for value, error in [(0, ValueError), (1.0, TypeError), ("1", TypeError), ([1], TypeError)]
    ],
    *[("sample_gates", "random_state", v, TypeError, "must be an int") for v in (1.5, "1", True)],
    ("sample_gates", "random_state", -1, ValueError, "must be >= 0"),
    *[("solve", "verbose", v, TypeError, "must be an integer") for v in ("1", 1.0)],
    ("solve", "verbose", -1, ValueError, "must be >= 0"),
    *[(entry, "callback", 3, TypeError, "must be callable") for entry in SOLVERS],
    *[
        (e, "patterns", v, TypeError, "must be a PatternSet")
        for e in LOSS_BLOCKS
        for v in (None, 3)
    ],
    ("solve", "patterns", np.ones((60, 80)), TypeError, "must be a PatternSet"),
    ("solve", "init", {}, TypeError, "must be a SolveResult"),
    *[("solve_path", "alphas", v, ValueError, "must hold at least") for v in ([], [0.0], [1, -1])],
    *[("solve_path", "alphas", v, ValueError, "must have shape") for v in (0.1, [[0.1, 0.2]])],
    ("solve_path", "alphas", [0.1, NAN], ValueError, "contains NaN"),
    *[("solve_group_lasso", "groups", v, ValueError, "must sum") for v in ([], [2, 2], [3, 3])],
    *[("solve_group_lasso", "groups", v, ValueError, "must be >= 1") for v in ([0, 5], [6, -1])],
    *[("solve_group_lasso", "groups", v, TypeError, "must be an int") for v in ([2.0, 3.0], None)],
    ("solve_group_lasso", "groups", 2, ValueError, "=2 must divide the number of features, 5"),
]


@pytest.mark.parametrize(("entry", "name", "value", "error", "message"), SCALARS)
def test_bad_scalar(call, entry, name, value, error, message):
    with pytest.raises(error, match=rf"^{name} ?.*{message}"):
        call(entry, **{name: value})


def test_start_from_another_problem(problem):
    X, y, patterns = problem.X, problem.y, problem.patterns
    free = {"fit_intercept": True, "skip_connection": True}
    start = cvxnn.solve(X, y, patterns, alpha=0.2, **free)
    other = cvxnn.activation_patterns(X, -problem.gates)
    with pytest.raises(ValueError, match=r"^init must come from the same patterns"):
        cvxnn.solve(X, y, other, alpha=0.1, init=start, **free)
    with pytest.raises(ValueError, match=r"^init has an intercept"):
        cvxnn.solve(X, y, patterns, alpha=0.1, init=start, skip_connection=True)
    with pytest.raises(ValueError, match=r"^init and this problem must agree on skip_connection"):
        cvxnn.solve(X, y, patterns, alpha=0.1, init=start, fit_intercept=True)
