"""All activation patterns of a data set."""

import itertools
from math import comb

import numpy as np
import pytest

import cvxnn
from reference_cases import REFERENCE


def random_data(seed, n, d, *, bias=False):
    X = np.random.default_rng(seed).standard_normal((n, d))
    return np.column_stack([X, np.ones(n)]) if bias else X


def with_bias(rows):
    X = np.array(list(rows), dtype=float)
    return np.column_stack([X, np.ones(len(X))])


DEGENERATE = {
    "grid3x3_plus_bias": with_bias(itertools.product(range(3), repeat=2)),
    "cube01_3_plus_bias": with_bias(itertools.product((0, 1), repeat=3)),
    "cube01_4_plus_bias": with_bias(itertools.product((0, 1), repeat=4)),
    "cube_pm1_3_no_bias": np.array(list(itertools.product((-1.0, 1.0), repeat=3))),
    "one_hot_4_levels_6_rows": np.eye(4)[[0, 1, 2, 3, 0, 1]],
    "monomials_1_x_x2_x_0to6": np.vander(np.arange(7.0), 3),
    "duplicates_seed20": (lambda X: np.vstack([X, X[:2], -2 * X[2:3], np.zeros((1, 3))]))(
        random_data(20, 6, 3)
    ),
    "rank2_in_R5_seeds21_22": random_data(21, 8, 2) @ random_data(22, 2, 5),
}


def check_set(X, patterns):
    """Distinct patterns, each with a gate well inside its cell, and with its complement."""
    assert patterns.complete
    dense = patterns.to_dense()
    assert len(np.unique(dense, axis=1).T) == patterns.n_patterns
    scores = X @ patterns.gates
    assert np.array_equal(scores > 0, dense)
    lengths = np.linalg.norm(X, axis=1)
    real = lengths > 0
    margins = np.abs(scores[real]) / lengths[real, None] / np.linalg.norm(patterns.gates, axis=0)
    assert margins.min() > 1e-12
    complements = np.where(real[:, None], ~dense, False)
    together = {column.tobytes() for column in np.ascontiguousarray(dense.T)}
    assert {column.tobytes() for column in np.ascontiguousarray(complements.T)} == together


@pytest.mark.parametrize("case", REFERENCE["arrangement_counts"], ids=str)
def test_counts_in_general_position(case):
    X = random_data(case["seed"], case["n"], case["d"], bias=case["bias"])
    patterns = cvxnn.enumerate_patterns(X)
    assert patterns.n_patterns == case["P"]
    rank = min(X.shape)
    assert case["P"] == 2 * sum(comb(len(X) - 1, k) for k in range(rank))
    check_set(X, patterns)


@pytest.mark.parametrize("name", DEGENERATE)
def test_counts_of_degenerate_data(name):
    patterns = cvxnn.enumerate_patterns(DEGENERATE[name])
    assert patterns.n_patterns == REFERENCE["arrangement_counts_degenerate"][name]
    check_set(DEGENERATE[name], patterns)


@pytest.mark.parametrize("scale", [1e-170, 1e-12, 1e12, 1e90])
def test_scale_and_dtype_do_not_matter(scale):
    X = random_data(3, 12, 4).astype(np.float32)
    expected = cvxnn.enumerate_patterns(X).to_dense()
    scaled = X.astype(float) * scale
    assert np.array_equal(cvxnn.enumerate_patterns(scaled).to_dense(), expected)


@pytest.mark.parametrize("unit", [1e-200, 1e-8, 1e8])
def test_units_of_features_and_samples_do_not_matter(unit):
    X = random_data(3, 12, 3)
    expected = cvxnn.enumerate_patterns(X).to_dense()
    features = X * np.array([unit, 1.0, 1.0])
    assert np.array_equal(cvxnn.enumerate_patterns(features).to_dense(), expected)
    samples = X * np.geomspace(1.0, unit, 12)[:, None]
    assert np.array_equal(cvxnn.enumerate_patterns(samples).to_dense(), expected)


def test_features_far_from_zero():
    times = 1.7e9 + np.arange(20.0)  # seconds, and a bias
    X = np.column_stack([times, np.ones(20)])
    patterns = cvxnn.enumerate_patterns(X)
    assert patterns.n_patterns == 40
    assert np.array_equal(X @ patterns.gates > 0, patterns.to_dense())
    y, middle = np.where(times > 1.7e9 + 9.5, 1.0, -1.0), 1.7e9 + 9.5
    network = cvxnn.Network(
        [[[0.0, 0.0], [1.0, 1.0]], [[1.0], [-1.0]]],
        [[0.0, 0.0], [0.0]],
        activation="gated_relu",
        gates=[[1.0, -1.0], [-middle, middle]],
    )
    result = cvxnn.solve(X, y, patterns, alpha=1e-3)
    assert result.dual <= network.objective(X, y, alpha=1e-3)


@pytest.mark.parametrize("distance", [1e-13, 1e-12, 1e-11])
def test_points_that_float64_does_not_tell_apart(distance):
    X = random_data(4, 8, 3)
    close = np.vstack([X, X + distance * random_data(5, 8, 3)])
    with pytest.raises(ValueError, match=r"^X has "):
        cvxnn.enumerate_patterns(close)
    columns = np.column_stack([X, X[:, 0] + distance**2 * random_data(5, 8, 1)[:, 0]])
    assert cvxnn.enumerate_patterns(columns).n_patterns == cvxnn.enumerate_patterns(X).n_patterns
    network = cvxnn.Network([np.eye(3), np.ones((3, 1))], [np.zeros(3), [0.0]])
    assert not cvxnn.certify(network, close, np.ones(16), 0.1).proof


def test_more_samples_than_bits_of_a_word():
    X = random_data(5, 150, 3)
    patterns = cvxnn.enumerate_patterns(X)
    assert patterns.n_patterns == 2 * sum(comb(149, k) for k in range(3))
    check_set(X, patterns)


def test_the_same_set_for_any_number_of_threads():
    X = random_data(6, 30, 4)
    one, two = (cvxnn.enumerate_patterns(X, n_threads=k) for k in (1, 2))
    assert one.words.tobytes() == two.words.tobytes()
    assert one.gates.tobytes() == two.gates.tobytes()


def test_one_sample_one_feature_and_nothing_but_zeros():
    assert cvxnn.enumerate_patterns([[2.0]]).n_patterns == 2
    assert cvxnn.enumerate_patterns([[1.0, 2.0, 3.0]]).n_patterns == 2
    assert cvxnn.enumerate_patterns([[1.0], [-2.0], [0.0]]).n_patterns == 2
    assert cvxnn.enumerate_patterns(np.zeros((3, 2))).n_patterns == 1
    assert cvxnn.enumerate_patterns(np.eye(6)).n_patterns == 64


def test_refusal_names_the_count():
    with pytest.raises(ValueError, match=r"X may have 2320 .* max_patterns is 2319"):
        cvxnn.enumerate_patterns(random_data(40, 20, 4), max_patterns=2319)
    with pytest.raises(ValueError, match="max_patterns must be >= 1"):
        cvxnn.enumerate_patterns(np.eye(2), max_patterns=0)
    with pytest.raises(ValueError, match="NaN or infinity"):
        cvxnn.enumerate_patterns([[np.nan, 1.0]])


def test_entries_without_room():
    assert cvxnn.enumerate_patterns([[0.1, 5e-324]]).n_patterns == 2
    assert cvxnn.enumerate_patterns([[5e-324, 0.0], [0.0, 1e-200]]).n_patterns == 4
