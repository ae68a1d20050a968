"""Sparse X: the same patterns, optima, certificates and predictions as the dense X."""

import numpy as np
import pytest
import scipy.sparse as sp

import cvxnn

N, D = 150, 12


@pytest.fixture(scope="module")
def dense():
    rng = np.random.default_rng(3)
    X = np.where(rng.random((N, D)) < 0.25, rng.standard_normal((N, D)), 0.0)
    X[[0, 70, N - 1]] = 0.0
    X[:, 5] = 0.0
    return X


@pytest.fixture(scope="module")
def targets(dense):
    noise = np.random.default_rng(4).standard_normal(N)
    return np.abs(dense[:, 0]) - np.maximum(dense[:, 1] + dense[:, 2], 0.0) + 0.1 * noise


@pytest.fixture(scope="module")
def gates():
    return cvxnn.sample_gates(D, 60, random_state=0)


def unsorted(X):
    """Return CSR with columns descending in each row."""
    rows = sp.csr_array(X)
    order = np.concatenate(
        [np.arange(a, b)[::-1] for a, b in np.c_[rows.indptr, [*rows.indptr[1:], 0]][:-1]]
    )
    return sp.csr_array((rows.data[order], rows.indices[order], rows.indptr), shape=rows.shape)


def duplicated(X):
    """Return CSR with each entry in two halves."""
    rows = sp.csr_array(X)
    half = np.repeat(rows.data / 2, 2), np.repeat(rows.indices, 2), 2 * rows.indptr
    return sp.csr_array(half, shape=rows.shape)


def explicit_zeros(X):
    """Return CSR that stores every entry."""
    n, d = X.shape
    return sp.csr_array((X.ravel(), np.tile(np.arange(d), n), d * np.arange(n + 1)), shape=X.shape)


def wide_indices(X):
    rows = sp.csr_array(X)
    rows.indices, rows.indptr = rows.indices.astype(np.int64), rows.indptr.astype(np.int64)
    return rows


def read_only(X, kind=sp.csr_array):
    rows = kind(X)
    for array in (rows.data, rows.indices, rows.indptr):
        array.flags.writeable = False
    return rows


def read_only_unsorted(X):
    return read_only(unsorted(X), lambda rows: rows)


FORMS = {
    "csr": sp.csr_array,
    "csr-matrix": sp.csr_matrix,
    "csc": sp.csc_array,
    "csc-matrix": sp.csc_matrix,
    "csc-read-only": lambda X: read_only(X, sp.csc_array),
    "coo": sp.coo_array,
    "lil": sp.lil_array,
    "unsorted": unsorted,
    "duplicated": duplicated,
    "explicit-zeros": explicit_zeros,
    "int64-indices": wide_indices,
    "read-only": read_only,
    "read-only-unsorted": read_only_unsorted,
}


def solved(X, y, patterns, **options):
    return cvxnn.solve(X, y, patterns, **{"alpha": 0.01, "tol": 1e-10, **options})


def assert_same_optimum(got, wanted, rel=1e-9):
    assert got.status == wanted.status == "optimal"
    assert got.primal == pytest.approx(wanted.primal, rel=rel)
    assert got.dual == pytest.approx(wanted.dual, rel=rel)
    assert got.n_active > 1


@pytest.mark.parametrize("form", FORMS)
def test_forms(dense, targets, gates, form):
    X = FORMS[form](dense)
    patterns = cvxnn.activation_patterns(X, gates)
    expected = cvxnn.activation_patterns(dense, gates)
    np.testing.assert_array_equal(patterns.words, expected.words)
    a_max = cvxnn.alpha_max(X, targets, patterns)
    assert a_max == pytest.approx(cvxnn.alpha_max(dense, targets, expected), rel=1e-12)
    result = solved(X, targets, patterns)
    assert_same_optimum(result, solved(dense, targets, expected))
    network = result.network()
    np.testing.assert_allclose(network.predict(X), network.predict(dense), rtol=1e-12, atol=1e-14)
    assert network.objective(X, targets, alpha=0.01) == pytest.approx(result.primal, rel=1e-9)


@pytest.mark.parametrize("form", ["unsorted", "duplicated", "csc"])
def test_arguments_stay_as_they_are(dense, targets, gates, form):
    X = FORMS[form](dense)
    before = [array.copy() for array in (X.data, X.indices, X.indptr)]
    solved(X, targets, cvxnn.activation_patterns(X, gates), tol=1e-2)
    for array, copy in zip((X.data, X.indices, X.indptr), before, strict=True):
        np.testing.assert_array_equal(array, copy)


OPTIONS = {
    "intercept": {"fit_intercept": True},
    "logistic": {"loss": "logistic"},
    "logistic-intercept": {"loss": "logistic", "fit_intercept": True},
    "squared_hinge": {"loss": "squared_hinge"},
    "hinge": {"loss": "hinge", "tol": 1e-6},
    "huber": {"loss": "huber"},
    "sample-weights": {"sample_weight": np.arange(N) % 3},
    "no-screening": {"screening": False},
    "bcd": {"solver": "bcd"},
    "fista": {"solver": "fista", "tol": 1e-8, "max_iter": 10_000},
    "newton": {"solver": "newton"},
    "interior_point": {"solver": "interior_point"},
    "logistic-bcd": {"loss": "logistic", "solver": "bcd", "tol": 1e-8},
    "logistic-newton": {"loss": "logistic", "solver": "newton"},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_options(dense, targets, gates, options):
    y = targets
    if options.get("loss") in ("logistic", "hinge", "squared_hinge"):
        y = np.where(targets > targets.mean(), 1.0, -1.0)
    X, patterns = sp.csr_array(dense), cvxnn.activation_patterns(dense, gates)
    rel = max(1e-9, 2 * options.get("tol", 0.0))
    assert_same_optimum(
        solved(X, y, patterns, **options), solved(dense, y, patterns, **options), rel
    )


@pytest.mark.parametrize("free", [False, True])
def test_penalty_weights(dense, targets, gates, free):
    X, patterns = sp.csc_array(dense), cvxnn.activation_patterns(dense, gates)
    weights = 0.5 + np.arange(patterns.n_patterns) % 4
    weights[3] *= not free
    got = solved(X, targets, patterns, weights=weights)
    assert_same_optimum(got, solved(dense, targets, patterns, weights=weights))


@pytest.mark.parametrize("penalty", ["group", "nuclear", "columns"])
def test_several_outputs(dense, targets, gates, penalty):
    X, patterns = sp.csr_array(dense), cvxnn.activation_patterns(dense, gates)
    Y = np.column_stack([targets, dense[:, 0], -targets + dense[:, 2]])
    options = {"penalty": penalty, "alpha": 0.03, "tol": 1e-6}
    got = solved(X, Y, patterns, **options)
    assert_same_optimum(got, solved(dense, Y, patterns, **options), 2e-6)
    network = got.network()
    np.testing.assert_allclose(network.predict(X), network.predict(dense), rtol=1e-12, atol=1e-14)


def test_softmax(dense, targets, gates):
    X, patterns = sp.csr_array(dense), cvxnn.activation_patterns(dense, gates)
    Y = np.eye(3)[np.digitize(targets, np.quantile(targets, [0.3, 0.6]))]
    options = {"loss": "softmax", "alpha": 0.03, "tol": 1e-5}
    assert_same_optimum(
        solved(X, Y, patterns, **options), solved(dense, Y, patterns, **options), 2e-5
    )


def test_path(dense, targets, gates):
    X, patterns = sp.csr_array(dense), cvxnn.activation_patterns(dense, gates)
    options = {"n_alphas": 6, "eps": 0.05, "tol": 1e-10}
    path = cvxnn.solve_path(X, targets, patterns, **options)
    expected = cvxnn.solve_path(dense, targets, patterns, **options)
    for got, wanted in zip(path, expected, strict=True):
        assert got.primal == pytest.approx(wanted.primal, rel=1e-9)
        assert got.gap_rel <= 1e-10


def test_start_from_a_dense_solution(dense, targets, gates):
    patterns = cvxnn.activation_patterns(dense, gates)
    start = solved(dense, targets, patterns)
    assert solved(sp.csr_array(dense), targets, patterns, init=start).n_iter <= 2


def test_float32(dense, targets, gates):
    X = sp.csr_array(dense.astype(np.float32))
    patterns = cvxnn.activation_patterns(X, gates)
    same = cvxnn.activation_patterns(X.toarray(), gates)
    np.testing.assert_array_equal(patterns.words, same.words)
    assert_same_optimum(
        solved(X, targets, patterns), solved(X.toarray().astype(np.float64), targets, patterns)
    )


def test_integers_and_booleans(dense, targets, gates):
    integers = np.rint(3 * dense)
    wanted = cvxnn.activation_patterns(integers, gates).words
    got = cvxnn.activation_patterns(sp.csr_array(integers.astype(np.int8)), gates).words
    np.testing.assert_array_equal(got, wanted)
    truth = dense > 0
    wanted = cvxnn.activation_patterns(truth, gates).words
    np.testing.assert_array_equal(
        cvxnn.activation_patterns(sp.csc_array(truth), gates).words, wanted
    )
    patterns = cvxnn.activation_patterns(truth, gates)
    assert_same_optimum(
        solved(sp.csr_array(truth), targets, patterns), solved(truth, targets, patterns)
    )


def test_threads_change_no_bit():
    rng = np.random.default_rng(0)
    X = sp.random_array((3000, 40), density=0.1, rng=rng, format="csr")
    y = X[:, [0]].toarray().ravel() + 0.1 * rng.standard_normal(3000)
    gates = cvxnn.sample_gates(40, 100, random_state=0)
    numbers = []
    for n_threads in (1, 2, 3):
        patterns = cvxnn.activation_patterns(X, gates, n_threads=n_threads)
        result = cvxnn.solve(X, y, patterns, alpha=1e-3, n_threads=n_threads)
        fit = result.network().predict(X, n_threads=n_threads)
        numbers.append([patterns.words, result.blocks, result.theta, fit])
    for other in numbers[1:]:
        for one, two in zip(numbers[0], other, strict=True):
            np.testing.assert_array_equal(one, two)


def test_predictions_do_not_depend_on_the_batch(dense, targets, gates):
    X = sp.csr_array(dense)
    network = solved(X, targets, cvxnn.activation_patterns(X, gates)).network()
    fit = network.predict(X)
    alone = [network.predict(X[[i]])[0] for i in range(N)]
    np.testing.assert_array_equal(alone, fit)


def test_relu_networks_predict(dense):
    network = cvxnn.Network([np.eye(D), np.ones((D, 1))], [np.full(D, -0.1), [1.0]])
    np.testing.assert_allclose(network.predict(sp.csr_array(dense)), network.predict(dense))


def test_quantile_gates(dense):
    got = cvxnn.sample_quantile_gates(sp.csr_array(dense), 20, active_share=0.3, random_state=0)
    wanted = cvxnn.sample_quantile_gates(dense, 20, active_share=0.3, random_state=0)
    np.testing.assert_allclose(got, wanted)


def test_tall_data_stay_sparse(run_python):
    out = run_python(
        """
        import resource
        import cvxnn, numpy as np, scipy.sparse as sp

        rng = np.random.default_rng(0)
        X = sp.random_array((20_000, 2_000), density=1e-3, rng=rng, format="csr")
        y = X @ rng.standard_normal(2_000)
        gates = cvxnn.sample_gates(2_000, 50, random_state=0)
        peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        before = peak()
        patterns = cvxnn.activation_patterns(X, gates, n_threads=1)
        alpha = 0.3 * cvxnn.alpha_max(X, y, patterns, n_threads=1)
        result = cvxnn.solve(X, y, patterns, alpha=alpha, solver="fista", n_threads=1)
        result.network().predict(X, n_threads=1)
        print(result.status, peak() - before)
        """
    )
    status, kilobytes = out.split()
    assert status == "optimal"
    assert int(kilobytes) < 160_000  # half of what X takes if dense


def spoiled(value):
    rows = sp.csr_array(np.eye(4))
    rows.data[2] = value
    return rows


def invalid(**parts):
    rows = sp.csr_array(np.eye(4))
    for name, array in parts.items():
        setattr(rows, name, np.asarray(array, dtype=np.int32))
    return rows


class TooWide:
    """What a matrix of 2**31 columns looks like."""

    format, shape, nnz = "csr", (1, 2**31), 0
    toarray = None


BAD = {
    "nan": (spoiled(np.nan), ValueError, r"NaN or infinity, first at index \(2, 2\)"),
    "inf": (spoiled(-np.inf), ValueError, "NaN or infinity"),
    "huge": (spoiled(1e200), ValueError, "magnitude"),
    "complex": (sp.csr_array(1j * np.eye(4)), ValueError, "must be real"),
    "nan-csc": (sp.csc_array(spoiled(np.nan)), ValueError, r"first at index \(2, 2\)"),
    "no-samples": (sp.csr_array((0, 4)), ValueError, "at least one sample"),
    "no-features": (sp.csc_array((4, 0)), ValueError, "at least one sample and one feature"),
    "column-too-large": (invalid(indices=[0, 1, 2, 4]), ValueError, "valid sparse matrix"),
    "column-negative": (invalid(indices=[0, 1, 2, -1]), ValueError, "valid sparse matrix"),
    "starts-descend": (invalid(indptr=[0, 3, 2, 3, 4]), ValueError, "valid sparse matrix"),
    "starts-beyond": (invalid(indptr=[0, 1, 2, 3, 9]), ValueError, "valid sparse matrix"),
    "starts-short": (invalid(indptr=[0, 1, 2, 4]), ValueError, "valid sparse matrix"),
    "too-wide": (TooWide(), ValueError, r"fewer than 2\*\*31 features"),
}


@pytest.mark.parametrize("bad", BAD)
def test_bad_matrices(bad):
    X, error, message = BAD[bad]
    network = cvxnn.Network([np.eye(4), np.ones((4, 1))], [np.zeros(4), [0.0]])
    with pytest.raises(error, match=rf"^X .*{message}"):
        cvxnn.activation_patterns(X, np.eye(4))
    with pytest.raises(error, match=rf"^X .*{message}"):
        network.predict(X)
    patterns = cvxnn.activation_patterns(np.eye(4), np.eye(4))
    with pytest.raises(error, match=rf"^X .*{message}"):
        cvxnn.solve(X, np.ones(4), patterns, alpha=0.1)


def test_shape_of_patterns(dense, targets, gates):
    patterns = cvxnn.activation_patterns(dense, gates)
    with pytest.raises(ValueError, match=r"patterns were made from data of shape \(150, 12\)"):
        cvxnn.solve(sp.csr_array(dense[:, :-1]), targets, patterns, alpha=0.1)


DENSE_ONLY = {
    "relu": ({"activation": "relu"}, "for activation='relu'"),
    "adaptive": ({"patterns": "adaptive", "activation": "relu"}, "for patterns='adaptive'"),
    "exact": ({"patterns": "exact"}, "got a sparse matrix"),
    "feature": ({"penalty": "feature"}, "for penalty='feature'"),
    "skip": ({"skip_connection": True}, "for skip_connection=True"),
}


@pytest.mark.parametrize("case", DENSE_ONLY)
def test_what_needs_dense_data_says_so(dense, targets, gates, case):
    options, why = DENSE_ONLY[case]
    X = sp.csr_array(dense)
    arguments = {"patterns": cvxnn.activation_patterns(X, gates), **options}
    for function in (cvxnn.alpha_max, cvxnn.solve_path, lambda *a, **k: solved(*a, **k)):
        with pytest.raises(TypeError, match=rf"^X must be dense.*{why}.*pass X.toarray\(\)"):
            function(X, targets, **arguments)


def test_functions_of_dense_data_say_so(dense, targets, gates):
    X = sp.csr_array(dense)
    result = solved(X, targets, cvxnn.activation_patterns(X, gates))
    network = cvxnn.Network([np.eye(D), np.ones((D, 1))], [np.zeros(D), [0.0]])
    calls = [
        lambda: cvxnn.enumerate_patterns(X),
        lambda: cvxnn.decompose(result, X),
        lambda: cvxnn.optimal_set(result, X),
        lambda: cvxnn.prune(network, X),
        lambda: cvxnn.certify(network, X, targets, alpha=0.1),
        lambda: cvxnn.solve_group_lasso(X, targets, groups=1, alpha=0.1),
    ]
    for call in calls:
        with pytest.raises(TypeError, match=r"^X must be dense, got a sparse matrix: pass X"):
            call()
