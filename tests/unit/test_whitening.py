"""The whitened data that neurons with batch normalisation see."""

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from cvxnn._whitening import Whitener


def make_data(n_samples=30, n_features=4):
    rng = np.random.default_rng(3)
    X = rng.standard_normal((n_samples, n_features)) * np.logspace(0, 2, n_features) + 5.0
    return X, rng.integers(1, 5, n_samples).astype(float)


def moments(columns, weight):
    mean = np.average(columns, axis=0, weights=weight)
    return mean, (columns - mean).T * weight @ (columns - mean) / weight.sum()


@pytest.mark.parametrize("scale", [False, True])
def test_directions_have_mean_zero_and_variance_one(scale):
    X, weight = make_data()
    design = Whitener(X, weight, scale=scale).transform(X, constant_column=True)
    assert design.shape == (30, 5)
    mean, covariance = moments(design[:, :4], weight)
    np.testing.assert_allclose(mean, 0.0, atol=1e-12)
    np.testing.assert_allclose(covariance, np.eye(4), atol=1e-12)
    assert (design[:, 4] == 1.0).all()


def test_weights_are_repeated_rows():
    X, weight = make_data()
    repeated = np.repeat(X, weight.astype(int), axis=0)
    one, other = Whitener(X, weight), Whitener(repeated, np.ones(len(repeated)))
    np.testing.assert_allclose(one.mean, other.mean, rtol=1e-13)
    np.testing.assert_allclose(one.matrix, other.matrix, rtol=1e-9, atol=1e-14)


def test_directions_are_the_principal_ones_with_a_sign():
    X, weight = make_data()
    whitener = Whitener(X, weight)
    _, covariance = moments(X, weight)
    values, vectors = np.linalg.eigh(covariance)
    got = whitener.matrix * np.sqrt(values[::-1])
    np.testing.assert_allclose(np.abs(got), np.abs(vectors[:, ::-1]), atol=1e-9)
    assert (np.take_along_axis(got, np.abs(got).argmax(axis=0)[None], axis=0) > 0.0).all()


def test_scaled_directions_do_not_depend_on_units():
    X, weight = make_data()
    other = X * np.array([1.0, 10.0, 1e-3, 7.0]) - 3.0
    wanted = Whitener(X, weight, scale=True).transform(X, constant_column=False)
    got = Whitener(other, weight, scale=True).transform(other, constant_column=False)
    np.testing.assert_allclose(got, wanted, atol=1e-9)


@pytest.mark.parametrize("constant_row", [False, True])
def test_fold(constant_row):
    X, weight = make_data()
    whitener = Whitener(X, weight, rank=3)
    vectors = np.random.default_rng(0).standard_normal((3 + constant_row, 5))
    weights, offsets = whitener.fold(vectors, constant_row=constant_row)
    design = whitener.transform(X, constant_column=constant_row)
    np.testing.assert_allclose(X @ weights + offsets, design @ vectors, atol=1e-10)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dependent_and_constant_features_have_no_directions(dtype):
    X, weight = make_data(60, 3)
    far = np.full((60, 1), 1e7 / 3)  # its rounding is larger than the spread of the others
    wide = np.column_stack([X, X[:, 0] - X[:, 2], far, X[:, 1]]).astype(dtype)
    for scale in (False, True):
        whitener = Whitener(wide, weight[:60], scale=scale)
        assert whitener.n_columns == 3
        assert whitener.transform(wide, constant_column=True).dtype == dtype
        assert not whitener.matrix[4].any()


@pytest.mark.parametrize(
    ("rank", "n_directions"), [(None, 4), (1, 1), (3, 3), (9, 4), (0.5, 1), (0.99, 2)]
)
def test_leading_directions(rank, n_directions):
    X, weight = make_data()
    whitener = Whitener(X, weight, rank=rank)
    assert whitener.n_columns == n_directions
    np.testing.assert_array_equal(whitener.matrix, Whitener(X, weight).matrix[:, :n_directions])
    if isinstance(rank, float):
        variance = np.linalg.eigvalsh(moments(X, weight)[1])[::-1]
        shares = np.cumsum(variance) / variance.sum()
        assert shares[n_directions - 1] >= rank
        assert n_directions == 1 or shares[n_directions - 2] < rank


def test_more_features_than_samples():
    X, _ = make_data(6, 9)
    design = Whitener(X, np.ones(6)).transform(X, constant_column=True)
    np.testing.assert_allclose(design @ design.T, 6 * np.eye(6), atol=1e-10)


@pytest.mark.parametrize("n_samples", [1, 5])
def test_constant_data_are_refused(n_samples):
    plural = "" if n_samples == 1 else "s"
    message = rf"^X must have a feature that varies, .* \({n_samples} sample{plural} of positive"
    with pytest.raises(ValueError, match=message):
        Whitener(np.full((n_samples, 2), 0.1), np.ones(n_samples))


def test_threads_of_linear_algebra_change_no_bit():
    X = np.random.default_rng(0).standard_normal((3000, 60))
    designs = []
    for n_threads in (1, 2):
        with threadpool_limits(n_threads, user_api="blas"):
            whitener = Whitener(X, np.ones(3000))
            designs.append(whitener.transform(X, constant_column=True))
    np.testing.assert_array_equal(*designs)
