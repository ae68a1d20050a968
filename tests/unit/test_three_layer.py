"""Networks of two layers of ReLU neurons, of which the first see patches."""

import numpy as np
import pytest

import cvxnn
from cvxnn._joint_patterns import all_patterns, sampled_patterns


def make_data(n=12, n_patches=3, n_inputs=2, seed=4):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, n_patches, n_inputs))
    maps = np.maximum(X @ rng.standard_normal(n_inputs), 0.0)
    return X, np.maximum(maps @ rng.standard_normal(n_patches), 0.0) - 0.5


def outputs_of(X, filters, hidden):
    """What neurons of the second layer put out, by loops."""
    out = np.zeros((len(X), len(hidden)))
    for j, weights in enumerate(hidden):
        for k, weight in enumerate(weights):
            out[:, j] += weight * np.maximum(X[:, k] @ filters[j, k], 0.0)
    return np.maximum(out, 0.0)


def keys(patterns):
    """The distinct patterns of neurons that use all patches."""
    used = patterns.inner.any(axis=2).all(axis=1)
    parts = (patterns.inner.reshape(len(used), -1), patterns.signs > 0, patterns.outer)
    return {tuple(row) for row in np.hstack(parts)[used]}


class TestPatterns:
    def test_all_of_few_points(self):
        X, _ = make_data(n=4, n_patches=2)
        found = all_patterns(X, 10_000)
        sampled = sampled_patterns(X, 50_000, np.random.default_rng(0))

        assert keys(sampled) <= keys(found)
        assert len(keys(sampled)) > 0.9 * len(keys(found))  # thin cells are missed
        assert len(keys(found)) == len(found.outer)
        assert found.complete
        assert not sampled.complete

    def test_second_layers_without_a_choice(self):
        # One patch: where its map is active decides.
        X, _ = make_data(n=5, n_patches=1)
        found = all_patterns(X, 10_000)
        assert (found.outer == found.inner[:, 0]).all()
        assert (found.signs == 1.0).all()
        masks = cvxnn.enumerate_patterns(X[:, 0]).to_dense()
        assert len(found.outer) == masks.any(axis=0).sum()

    def test_patches_of_zeros(self):
        X, y = make_data(n=4, n_patches=2)
        X[:, 1] = 0.0
        one = cvxnn.solve_three_layer(X, y, alpha=0.01, tol=1e-9)
        two = cvxnn.solve_three_layer(X[:, :1], y, alpha=0.01, tol=1e-9)
        assert one.primal == pytest.approx(two.primal, rel=1e-8)
        assert not one.layers()[0][:, 1].any()

    def test_nothing_to_put_out(self):
        with pytest.raises(ValueError, match=r"^X must have patterns that put something out"):
            cvxnn.solve_three_layer(np.zeros((3, 2, 2)), np.ones(3), 10, alpha=0.1)


@pytest.mark.parametrize("loss", ["squared", "logistic"])
@pytest.mark.parametrize("fit_intercept", [False, True])
def test_network_has_the_objective_of_the_program(loss, fit_intercept):
    X, y = make_data()
    y = np.where(y > 0, 1.0, -1.0) if loss == "logistic" else y
    weight = np.linspace(0.5, 2.0, 12)
    result = cvxnn.solve_three_layer(
        X,
        y,
        60,
        alpha=0.01,
        loss=loss,
        sample_weight=weight,
        fit_intercept=fit_intercept,
        tol=1e-8,
    )
    assert result.status == "optimal"
    assert len(result.active_set) > 1
    filters, hidden, output = result.layers()
    fit = outputs_of(X, filters, hidden) @ output + result.intercept[0]
    np.testing.assert_allclose(result.predict(X), fit, atol=1e-12)
    losses = 0.5 * (fit - y) ** 2 if loss == "squared" else np.log1p(np.exp(-y * fit))
    value = np.average(losses, weights=weight)
    value += 0.005 * (np.sum(hidden**2) + np.sum(output**2))
    assert value == pytest.approx(result.primal, rel=1e-9)
    norms = np.linalg.norm(filters, axis=2)
    np.testing.assert_allclose(norms[hidden != 0.0], 1.0)
    np.testing.assert_allclose(np.linalg.norm(hidden, axis=1), np.abs(output))
    assert (result.intercept[0] != 0.0) == fit_intercept


def test_random_networks_are_above_the_bound_of_all_patterns():
    X, y = make_data(n=4, n_patches=2)
    result = cvxnn.solve_three_layer(X, y, alpha=0.02, tol=1e-9)
    few = cvxnn.solve_three_layer(X, y, 5, alpha=0.02, tol=1e-9)
    many = cvxnn.solve_three_layer(X, y, 20_000, alpha=0.02, tol=1e-9)
    assert result.complete
    assert result.primal < few.primal * (1 - 1e-3)
    assert many.primal == pytest.approx(result.primal, rel=1e-8)
    rng = np.random.default_rng(1)
    for _ in range(200):
        filters, hidden = rng.standard_normal((4, 2, 2)), 0.7 * rng.standard_normal((4, 2))
        filters /= np.linalg.norm(filters, axis=2, keepdims=True)
        neurons = outputs_of(X, filters, hidden)
        gram = neurons.T @ neurons / 4 + 0.02 * np.eye(4)
        output = np.linalg.solve(gram, neurons.T @ y / 4)
        value = 0.5 * np.mean((neurons @ output - y) ** 2)
        assert value + 0.01 * (np.sum(hidden**2) + np.sum(output**2)) >= result.dual


def test_seeds_and_threads():
    X, y = make_data()
    one, two = (
        cvxnn.solve_three_layer(X, y, 40, alpha=0.01, random_state=3, n_threads=n) for n in (1, 2)
    )
    np.testing.assert_array_equal(one.blocks, two.blocks)
    other = cvxnn.solve_three_layer(X, y, 40, alpha=0.01, random_state=4)
    assert other.primal != one.primal


@pytest.mark.parametrize("shared", [False, True])
def test_large_alpha_leaves_no_neuron(shared):
    X, y = make_data()
    result = cvxnn.solve_three_layer(X, y, 40, alpha=100.0, shared=shared)
    assert (result.predict(X) == 0.0).all()
    assert result.layers()[0].shape == ((0, 2) if shared else (0, 3, 2))


class TestSharedFilters:
    def test_patterns_are_some_of_those_of_filters_of_their_own(self):
        X, _ = make_data(n=4, n_patches=2)
        rng = np.random.default_rng(0)
        sampled = sampled_patterns(X, 20_000, rng, shared=True)
        assert sampled.shared
        found = all_patterns(X, 10_000, shared=True)
        every = all_patterns(X, 10_000)

        assert keys(sampled) <= keys(found) < keys(every)

    @pytest.mark.parametrize("loss", ["squared", "logistic"])
    def test_network_has_the_objective_of_the_program(self, loss):
        X, y = make_data(n=8)
        y = np.where(y > 0, 1.0, -1.0) if loss == "logistic" else y
        weight = np.linspace(0.5, 2.0, 8)
        options = {"alpha": 0.01, "loss": loss, "sample_weight": weight, "fit_intercept": True}
        result = cvxnn.solve_three_layer(X, y, 12, shared=True, tol=1e-6, **options)
        assert result.status == "optimal"
        assert not result.exact
        assert len(result.active_set) > 1
        filters, hidden, output = result.layers()
        own = np.broadcast_to(filters[:, None], (*hidden.shape, 2))
        fit = outputs_of(X, own, hidden) @ output + result.intercept[0]
        np.testing.assert_allclose(result.predict(X), fit, atol=1e-12)
        losses = 0.5 * (fit - y) ** 2 if loss == "squared" else np.log1p(np.exp(-y * fit))
        value = np.average(losses, weights=weight)
        value += 0.005 * (np.sum(hidden**2) + np.sum(output**2))
        assert value == pytest.approx(result.primal, rel=1e-8)
        np.testing.assert_allclose(np.linalg.norm(hidden, axis=1), np.abs(output))

    def test_of_one_patch_is_the_program_of_own_filters(self):
        for seed in range(6):
            X, y = make_data(n=4, n_patches=1, seed=seed)
            options = {"alpha": 0.02, "tol": 1e-5}
            shared = cvxnn.solve_three_layer(X, y, shared=True, **options)
            own = cvxnn.solve_three_layer(X, y, **options)
            assert shared.status == "optimal"
            assert shared.primal == pytest.approx(own.primal, rel=2e-5)

    def test_own_filters_are_a_relaxation(self):
        X, y = make_data(n=5, n_patches=2)
        options = {"alpha": 0.02, "tol": 1e-6}
        one = cvxnn.solve_three_layer(X, y, 15, shared=True, **options)
        own = cvxnn.solve_three_layer(X, y, **options)
        assert own.dual < one.primal

    def test_no_neuron_of_many_gains_more_than_the_bound_says(self):
        X, y = make_data(n=4, n_patches=2)
        result = cvxnn.solve_three_layer(X, y, alpha=0.02, shared=True, tol=1e-6)
        angles = np.linspace(0.0, 2.0 * np.pi, 400)
        circle = np.stack([np.cos(angles), np.sin(angles)])
        maps = np.maximum(X @ circle, 0.0)  # (samples, patches, filters)
        neurons = np.maximum(np.einsum("iku,kw->iuw", maps, circle), 0.0)
        gains = np.abs(np.tensordot(result.theta, neurons, 1))
        assert gains.max() <= 0.02 * (1 + 1e-9)
        assert gains.max() >= 0.02 * (1 - 1e-2)


@pytest.mark.parametrize("shared", [False, True])
def test_path(shared):
    X, y = make_data(n=8)
    options = {"shared": shared, "fit_intercept": True, "tol": 1e-6}
    path = cvxnn.solve_three_layer_path(X, y, 12, n_alphas=4, eps=0.05, **options)
    alphas = [result.alpha for result in path]
    np.testing.assert_allclose(alphas, alphas[0] * np.geomspace(1.0, 0.05, 4))
    assert [len(result.active_set) > 0 for result in path] == [False, True, True, True]
    for result in path:
        alone = cvxnn.solve_three_layer(X, y, 12, alpha=result.alpha, **options)
        assert result.status == "optimal"
        assert result.primal == pytest.approx(alone.primal, rel=2e-6)
        assert result.predict(X) == pytest.approx(alone.predict(X), abs=1e-2)
    own = cvxnn.solve_three_layer_path(X, y, 12, alphas=alphas[::-1], **options)
    assert [result.primal for result in own] == [result.primal for result in path]


def test_limits_warn():
    X, y = make_data()
    with pytest.warns(cvxnn.ConvergenceWarning, match="status 'max_iter'"):
        cvxnn.solve_three_layer(X, y, 60, alpha=1e-4, tol=1e-12, max_iter=1)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"X": np.ones((12, 6))}, ValueError, r"^X must have shape \(n_samples, n_patches, n_inp"),
        ({"X": np.full((12, 3, 2), np.inf)}, ValueError, r"^X "),
        ({"X": np.ones((12, 0, 2))}, ValueError, r"^X must have no axis of length 0"),
        ({"shared": 1}, TypeError, r"^shared must be True or False, got 1"),
        ({"y": np.ones(3)}, ValueError, r"^y "),
        ({"y": np.ones((12, 2))}, ValueError, r"^y "),
        ({"y": np.full(12, np.nan)}, ValueError, r"^y "),
        ({"loss": "logistic"}, ValueError, r"^y "),
        ({"alpha": -1.0}, ValueError, r"^alpha must be positive"),
        ({"n_patterns": 0}, ValueError, r"^n_patterns must be >= 1, got 0"),
        ({"n_patterns": 2.5}, TypeError, r"^n_patterns must be an integer"),
        ({"n_patterns": None}, ValueError, r"^X has .* patterns of its patches .* raise it, or sa"),
        (
            {
                "X": np.random.default_rng(0).standard_normal((12, 60, 2)),
                "n_patterns": None,
                "shared": True,
            },
            ValueError,
            r"^X has 1.*e\+\d+ patterns of its patches .* or sample",
        ),
        ({"n_patterns": None, "max_patterns": 0}, ValueError, r"^max_patterns must be >= 1"),
        ({"sample_weight": np.full(12, np.nan)}, ValueError, r"^sample_weight "),
    ],
)
def test_bad_arguments(changes, error, message):
    X, y = make_data()
    arguments = {"X": X, "y": y, "n_patterns": 10, "alpha": 0.1} | changes
    with pytest.raises(error, match=message):
        cvxnn.solve_three_layer(**arguments)


def test_other_patches():
    X, y = make_data()
    result = cvxnn.solve_three_layer(X, y, 10, alpha=0.1)
    with pytest.raises(ValueError, match=r"^X must have patches of shape \(3, 2\), got \(2, 2\)$"):
        result.predict(X[:, :2])
