"""Unusual but good input: layout and dtype change no bit, degenerate data has exact answers."""

import numpy as np
import pandas as pd
import pytest

import cvxnn


def strided(a):
    wide = np.zeros([3 * n for n in a.shape], a.dtype)
    view = wide[tuple(slice(1, None, 3) for _ in a.shape)]
    view[...] = a
    return view


def read_only(a):
    a = a.copy()
    a.flags.writeable = False
    return a


def unaligned(a):
    buffer = np.zeros(a.nbytes + 1, np.uint8)
    view = buffer[1:].view(a.dtype).reshape(a.shape)
    view[...] = a
    return view


UNUSUAL = {
    "read-only": read_only,
    "fortran": np.asfortranarray,
    "strided": strided,
    "negative-strides": lambda a: np.ascontiguousarray(a[::-1])[::-1],
    "unaligned": unaligned,
    "big-endian": lambda a: a.astype(">f8"),
    "float16": lambda a: a.astype(np.float16),
    "longdouble": lambda a: a.astype(np.longdouble),
    "int8": lambda a: a.astype(np.int8),
    "int64": lambda a: a.astype(np.int64),
    "objects": lambda a: a.astype(object),
    "list": lambda a: a.tolist(),
    "pandas": lambda a: pd.DataFrame(a) if a.ndim == 2 else pd.Series(a, index=a),
    "pandas-integers": lambda a: (pd.DataFrame if a.ndim == 2 else pd.Series)(a.astype(int)),
}


def outcome(X, y, gates, *, alpha=0.05, **options):
    """Return every number of a solve, for bitwise comparison."""
    patterns = cvxnn.activation_patterns(X, gates)
    result = cvxnn.solve(X, y, patterns, alpha=alpha, fit_intercept=True, **options)
    numbers = [result.primal, result.dual, result.intercept, cvxnn.alpha_max(X, y, patterns)]
    fit = result.network().predict(X)
    return [patterns.words, result.active_set, result.blocks, np.array(numbers), fit]


def assert_same_bits(got, wanted):
    for one, other in zip(got, wanted, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.fixture(scope="module")
def integers():
    rng = np.random.default_rng(1)
    X = rng.integers(-5, 6, (70, 3)).astype(np.float64)
    y = rng.integers(-9, 10, 70).astype(np.float64)
    return X, y, rng.integers(-3, 4, (3, 30)).astype(np.float64)


@pytest.mark.parametrize("kind", UNUSUAL)
def test_unusual_arrays(integers, kind):
    X, y, gates = integers
    convert = UNUSUAL[kind]
    weight = 1.0 + (np.arange(70) % 3)
    wanted = outcome(X, y, gates, sample_weight=weight)
    got = outcome(convert(X), convert(y), convert(gates), sample_weight=convert(weight))
    assert_same_bits(got, wanted)


@pytest.mark.parametrize("kind", ["read-only", "fortran", "strided", "big-endian", "pandas"])
def test_unusual_float32_arrays(integers, kind):
    X, y, gates = integers
    X = X.astype(np.float32)
    unusual = X.astype(">f4") if kind == "big-endian" else UNUSUAL[kind](X)
    assert_same_bits(outcome(unusual, y, gates), outcome(X, y, gates))


def test_memory_mapped_array(integers, tmp_path):
    X, y, gates = integers
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    assert_same_bits(outcome(mapped, y, gates), outcome(X, y, gates))


def test_booleans_and_a_column_of_targets(integers):
    X, y, gates = integers
    assert_same_bits(outcome(X > 0, y, gates), outcome((X > 0).astype(float), y, gates))
    assert_same_bits(outcome(X, y[:, None], gates), outcome(X, y, gates))


def test_float32_data_too_large_for_float32_products(integers):
    X, y, gates = integers
    large = X.astype(np.float32) * np.float32(2.0**60)
    got = outcome(large, y, gates, alpha=0.05 * 2.0**60)
    assert_same_bits(got, outcome(large.astype(np.float64), y, gates, alpha=0.05 * 2.0**60))


def test_inputs_stay_as_they_are(integers):
    X, y, gates = (array.copy() for array in integers)
    weight = np.arange(70.0)
    outcome(X, y, gates, sample_weight=weight, skip_connection=True)
    assert_same_bits([X, y, gates, weight], [*integers, np.arange(70.0)])


def solve(X, y, gates, alpha, **options):
    """Return a tight solution, its certificate checked against the recovered network."""
    patterns = cvxnn.activation_patterns(X, gates)
    result = cvxnn.solve(X, y, patterns, alpha=alpha, tol=1e-10, **options)
    assert result.status == "optimal"
    assert 0 <= result.gap <= 1e-10 * result.primal
    weight = options.get("sample_weight")
    objective = result.network().objective(X, y, alpha, sample_weight=weight)
    assert objective == pytest.approx(result.primal, rel=1e-9)
    return result


def test_one_sample():
    x, target, alpha = np.array([[3.0, -4.0]]), 2.0, 0.5
    result = solve(x, [target], x.T, alpha)
    length = (5.0 * target - alpha) / 25.0  # the minimiser of (5 t - 2)^2 / 2 + alpha t
    np.testing.assert_allclose(result.blocks, length * x / 5.0, rtol=1e-9)
    assert cvxnn.alpha_max(x, [target], result.patterns) == 10.0


def test_one_feature():
    X = np.array([[1.0], [2.0], [-1.0], [-3.0]])
    y = np.array([1.0, 3.0, 2.0, 1.0])
    result = solve(X, y, [[1.0, -1.0]], 0.25)
    # Two halves that share no sample, each a lasso in one variable.
    np.testing.assert_allclose(result.blocks[:, 0], [(7 - 1) / 5, -(5 - 1) / 10], rtol=1e-9)


def test_constant_column(problem):
    constant = np.ones((60, 1))
    result = solve(constant, problem.y + 2.0, [[1.0]], 0.5)
    mean = np.mean(problem.y + 2.0)
    np.testing.assert_allclose(result.blocks, [[mean - 0.5]], rtol=1e-9)


def test_constant_targets(problem):
    X, gates = problem.X, problem.gates
    result = solve(X, np.full(60, 3.0), gates, 0.1, fit_intercept=True)
    assert (result.n_active, result.intercept) == (0, pytest.approx(3.0))
    nothing = solve(X, np.zeros(60), gates, 0.1)
    assert (nothing.n_active, nothing.primal, nothing.dual) == (0, 0.0, 0.0)


def test_zero_columns_change_nothing(problem):
    X = np.hstack([problem.X, np.zeros((60, 2))])
    gates = np.vstack([problem.gates, np.ones((2, 80))])
    result = solve(X, problem.y, gates, 0.1)
    assert not result.blocks[:, 5:].any()
    assert result.primal == pytest.approx(
        solve(problem.X, problem.y, problem.gates, 0.1).primal, rel=1e-9
    )
    assert (solve(X, problem.y, gates, 0.1, skip_connection=True).skip[5:] == 0).all()


def test_repeated_rows_are_weights(problem):
    X, y, gates = problem.X, problem.y, problem.gates
    repeats = 1 + np.arange(60) % 3
    weighted = solve(X, y, gates, 0.1, sample_weight=repeats)
    repeated = solve(np.repeat(X, repeats, 0), np.repeat(y, repeats), gates, 0.1)
    assert repeated.primal == pytest.approx(weighted.primal, rel=1e-9)
    np.testing.assert_allclose(
        repeated.network().predict(X), weighted.network().predict(X), atol=1e-4
    )


def test_rows_of_weight_zero_do_not_count(problem):
    X, y, gates = problem.X, problem.y, problem.gates
    weight = np.r_[np.ones(40), np.zeros(20)]
    few = solve(X[:40], y[:40], gates, 0.1)
    weighted = solve(X, np.r_[y[:40], 1e6 * y[40:]], gates, 0.1, sample_weight=weight)
    assert weighted.primal == pytest.approx(few.primal, rel=1e-9)


def test_weights_of_zero_leave_least_squares(problem):
    X, y = problem.X, problem.y
    patterns = cvxnn.activation_patterns(X, problem.gates[:, :3])
    result = cvxnn.solve(X, y, patterns, alpha=0.1, weights=np.zeros(3), tol=1e-10)
    design = np.hstack([X * mask[:, None] for mask in patterns.to_dense().T])
    coefs, *_ = np.linalg.lstsq(design, y, rcond=None)
    assert cvxnn.alpha_max(X, y, patterns, weights=np.zeros(3)) == 0.0
    assert result.primal == pytest.approx(np.mean((design @ coefs - y) ** 2) / 2, rel=1e-9)
    np.testing.assert_allclose(result.network().predict(X), design @ coefs, atol=1e-6)


def test_masked_entries_are_refused():
    X = np.ma.masked_less(np.arange(6.0).reshape(3, 2), 1.0)
    with pytest.raises(ValueError, match="X must not have masked entries"):
        cvxnn.activation_patterns(X, np.eye(2))
    unmasked = np.ma.MaskedArray(np.arange(6.0).reshape(3, 2))
    assert cvxnn.activation_patterns(unmasked, np.eye(2)).n_samples == 3
