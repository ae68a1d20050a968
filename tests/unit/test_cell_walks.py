"""Walks from cell to cell, which look for the neuron that most violates the dual constraint."""

import numpy as np
import pytest

import cvxnn
from cvxnn._adaptive import around, find_violations
from cvxnn._ext import core
from reference_cases import REFERENCE


def exact_maximum(X, theta):
    patterns = cvxnn.enumerate_patterns(X)
    value, _, neuron = core.dual_norm_relu(X, patterns.words, theta[:, None], n_threads=1)
    return value, neuron


def gain(X, v, u):
    return v @ np.maximum(X @ u, 0.0)


def test_the_reference_maximum():
    case = REFERENCE["primitive_oracle"]
    rng = np.random.default_rng(202)
    X, v = rng.standard_normal((12, 3)), rng.standard_normal(12)
    starts = np.asfortranarray(np.random.default_rng(0).standard_normal((3, 20)))
    for sign, name in ((1.0, "max_positive"), (-1.0, "max_negative")):
        values, _, _ = core.cell_walks(X, sign * v, starts, n_threads=1)
        assert values.max() == pytest.approx(case[name], rel=1e-9)
    found = find_violations(X, v, starts, 1)
    assert found.signs[0] == case["sign"]
    assert found.directions[:, 0] == pytest.approx(case["argmax_u"], abs=1e-9)
    value, neuron = exact_maximum(X, v)
    assert value == pytest.approx(case["max_abs"], rel=1e-9)
    assert neuron == pytest.approx(case["argmax_u"], abs=1e-9)


@pytest.mark.parametrize("seed", range(10))
def test_many_starts_find_the_exact_maximum(seed):
    rng = np.random.default_rng(seed)
    X, theta = rng.standard_normal((14, 4)), rng.standard_normal(14)
    found = find_violations(X, theta, rng.standard_normal((4, 50)), 2)
    assert found.largest == pytest.approx(exact_maximum(X, theta)[0], rel=1e-9)


@pytest.mark.parametrize("integers", [False, True])
def test_values_belong_to_their_neurons_and_never_fall(integers):
    rng = np.random.default_rng(1)
    X = rng.integers(-1, 2, (30, 3)).astype(float) if integers else rng.standard_normal((30, 3))
    v = rng.standard_normal(30)
    starts = np.asfortranarray(rng.standard_normal((3, 40)))
    values, best, inside = core.cell_walks(X, v, starts, n_threads=2)
    real = np.linalg.norm(X, axis=1) > 0
    for start, value, neuron, gate in zip(starts.T, values, best.T, inside.T, strict=True):
        assert value >= gain(X, v, start) / np.linalg.norm(start) - 1e-12
        if value == 0.0:
            continue
        assert np.linalg.norm(neuron) == pytest.approx(1.0)
        assert gain(X, v, neuron) == pytest.approx(value, rel=1e-9)
        # The gate is inside a cell whose closure holds the neuron.
        scores = X[real] @ gate
        assert np.abs(scores).min() > 1e-12
        assert (np.sign(scores) * (X[real] @ neuron) >= -1e-8).all()


def test_gradients_alone_never_fall_and_walks_go_on_from_where_they_end():
    rng = np.random.default_rng(2)
    X, v = rng.standard_normal((60, 6)), rng.standard_normal(60)
    starts = np.asfortranarray(rng.standard_normal((6, 30)))
    values, points = core.climbs(X, v, starts, n_threads=2)
    walked, _, _ = core.cell_walks(X, v, starts, n_threads=2)
    for start, value, point, end in zip(starts.T, values, points.T, walked, strict=True):
        assert np.linalg.norm(point) == pytest.approx(1.0)
        assert gain(X, v, point) == pytest.approx(value, rel=1e-12)
        assert gain(X, v, start) / np.linalg.norm(start) <= value + 1e-12
        assert value <= end + 1e-12
    assert np.median(values) > 0.5 * walked.max()


@pytest.mark.parametrize("v", [np.zeros(5), -np.ones(5)])
def test_gradients_where_there_is_nothing_to_gain(v):
    X = np.ones((5, 2))
    values, points = core.climbs(X, v, np.asfortranarray([[1.0, 0.0], [1.0, 0.0]]), n_threads=1)
    assert (values <= 0.0).all()
    assert points[:, 0] == pytest.approx([0.5**0.5, 0.5**0.5])
    assert points[:, 1] == pytest.approx([0.0, 0.0])


def test_starts_around_neurons_keep_their_distances_at_any_scale() -> None:
    rng = np.random.default_rng(0)
    neurons = rng.standard_normal((5, 3)) * [1e-300, 1.0, 1e300]
    starts, whose = around(neurons, 60, rng)
    units = neurons / np.abs(neurons).max(axis=0)
    units /= np.linalg.norm(units, axis=0)
    distances = np.linalg.norm(starts - units[:, whose], axis=0)
    assert set(whose) == {0, 1, 2}
    assert set(np.round(distances, 9)) == {0.2, 0.4, 0.7, 1.0}


def test_a_start_with_a_sign_ascends_for_it_alone() -> None:
    rng = np.random.default_rng(1)
    X, theta = np.ascontiguousarray(rng.standard_normal((30, 4))), rng.standard_normal(30)
    starts = rng.standard_normal((4, 12))
    signs = np.repeat([1.0, -1.0], 6)
    both = find_violations(X, theta, starts, 1)
    one = find_violations(X, theta, starts, 1, signs=signs)
    assert len(both.values) == 24
    assert len(one.values) == 12
    ends = {(sign, value) for sign, value in zip(both.signs, both.values, strict=True)}
    assert all((sign, value) in ends for sign, value in zip(one.signs, one.values, strict=True))
    assert sorted(one.signs) == sorted(signs)


@pytest.mark.parametrize("walk", [False, True])
def test_gains_of_several_outputs_belong_to_their_neurons_and_never_fall(walk) -> None:
    rng = np.random.default_rng(2)
    X, theta = np.ascontiguousarray(rng.standard_normal((30, 4))), rng.standard_normal((30, 3))
    starts = np.asfortranarray(rng.standard_normal((4, 20)))
    gains = np.linalg.norm(
        theta.T @ np.maximum(X @ (starts / np.linalg.norm(starts, axis=0)), 0), axis=0
    )
    if walk:
        values, points, _ = core.cell_walks(X, theta, starts, n_threads=2)
    else:
        values, points = core.climbs(X, theta, starts, n_threads=2)
    assert (values >= gains * (1.0 - 1e-12)).all()
    assert np.linalg.norm(points, axis=0) == pytest.approx(1.0)
    reached = np.linalg.norm(theta.T @ np.maximum(X @ points, 0.0), axis=0)
    assert reached == pytest.approx(values, rel=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_many_starts_find_the_largest_gain_of_several_outputs(seed) -> None:
    rng = np.random.default_rng(seed)
    X, theta = np.ascontiguousarray(rng.standard_normal((14, 3))), rng.standard_normal((14, 3))
    patterns = cvxnn.enumerate_patterns(X)
    _, _, _, largest, _ = core.cone_peaks_relu(
        X,
        patterns.words,
        np.asfortranarray(theta),
        0.0,
        weights=np.ones(patterns.n_patterns),
        start_blocks=[],
        starts=np.empty((3, 0), order="F"),
        thorough=True,
        n_threads=1,
    )
    found = find_violations(X, theta, rng.standard_normal((3, 100)), 1)
    assert found.largest == pytest.approx(largest, rel=1e-7)
