"""Networks trained by L-BFGS, whose neurons are the first gates of adaptive patterns."""

import math

import numpy as np
import pytest

import cvxnn
from cvxnn._local_training import train_neurons
from cvxnn._problem import make_problem


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def problem_of(X, y, loss="squared", sample_weight=None, fit_intercept=False):
    return make_problem(
        X,
        y,
        1,
        loss=loss,
        sample_weight=sample_weight,
        weights=None,
        fit_intercept=fit_intercept,
    )


def trained(problem, alpha, n_neurons=20, seed=0, deadline=math.inf):
    return train_neurons(
        problem,
        np.ascontiguousarray(problem.data),
        alpha,
        n_neurons,
        np.random.default_rng(seed),
        n_threads=1,
        deadline=deadline,
    )


def teacher(rng, n=60, d=3):
    X = np.column_stack([rng.standard_normal((n, d)), np.ones(n)])
    return X, np.abs(X[:, 0]) - np.maximum(X[:, 1], 0.0)


@pytest.mark.parametrize("loss", ["squared", "huber", "logistic", "squared_hinge"])
def test_training_is_descent_on_the_objective(rng, loss):
    """Over the patterns of its neurons, the program's optimum is near that over all patterns."""
    X, y = teacher(rng, n=25)
    y = y if loss in ("squared", "huber") else np.where(y > 0.0, 1.0, -1.0)
    alpha = 0.1 * cvxnn.alpha_max(X, y, "adaptive", activation="relu", loss=loss)
    gates = trained(problem_of(X, y, loss), alpha)
    assert 1 <= gates.shape[1] <= 20
    options = {"activation": "relu", "loss": loss, "alpha": alpha, "tol": 1e-6}
    few = cvxnn.solve(X, y, cvxnn.activation_patterns(X, gates), **options)
    every = cvxnn.solve(X, y, cvxnn.enumerate_patterns(X), **options)
    blind = cvxnn.activation_patterns(X, cvxnn.sample_gates(4, gates.shape[1], random_state=0))
    assert every.primal * (1.0 - 1e-6) <= few.primal <= 1.02 * every.primal
    assert few.primal < cvxnn.solve(X, y, blind, **options).primal


def test_rows_of_no_weight_do_not_count(rng):
    X, y = teacher(rng)
    weight = (np.arange(60) < 40).astype(float)
    problem = problem_of(X, y, sample_weight=weight, fit_intercept=True)
    y_other = np.where(weight > 0.0, y, 1e6)
    other = problem_of(X, y_other, sample_weight=weight, fit_intercept=True)
    assert np.array_equal(trained(problem, 0.01), trained(other, 0.01))


def test_the_same_seed_gives_the_same_neurons(rng):
    problem = problem_of(*teacher(rng))
    assert np.array_equal(trained(problem, 0.01), trained(problem, 0.01))
    assert not np.array_equal(trained(problem, 0.01), trained(problem, 0.01, seed=1))


def test_many_samples_are_sampled(rng):
    X, y = teacher(rng, n=6000)
    weight = rng.uniform(0.5, 2.0, 6000)
    gates = trained(problem_of(X, y, sample_weight=weight), 0.01)
    assert gates.shape[1] >= 1
    assert np.isfinite(gates).all()


def test_no_time_is_no_training(rng):
    problem = problem_of(*teacher(rng))
    stopped = trained(problem, 0.01, deadline=-math.inf)
    assert not np.array_equal(stopped, trained(problem, 0.01))


@pytest.mark.parametrize("scale", [1e-150, 1e-8, 1e8, 1e90])
def test_scales_of_data(rng, scale):
    X, y = teacher(rng)
    gates = trained(problem_of(scale * X, y), 0.01 * scale)
    assert np.isfinite(gates).all()


def test_constant_targets_and_zero_data(rng):
    X, _ = teacher(rng)
    assert np.isfinite(trained(problem_of(X, np.zeros(60)), 0.01)).all()
    assert np.isfinite(trained(problem_of(np.zeros((5, 2)), np.ones(5)), 0.01)).all()
