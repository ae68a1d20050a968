"""ReLU neurons that feed several outputs: their networks, their bound, and what is refused."""

import numpy as np
import pytest

import cvxnn
from cvxnn._column_generation import NeuronProgram
from cvxnn.results import balanced_factors

NUCLEAR = {"activation": "relu", "penalty": "nuclear"}


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(5)
    X = rng.standard_normal((25, 3))
    Y = np.maximum(X @ rng.standard_normal((3, 4)), 0) @ rng.standard_normal((4, 2))
    Y += 0.5 * rng.standard_normal(Y.shape)
    return X, Y, cvxnn.activation_patterns(X, rng.standard_normal((3, 25)))


@pytest.mark.parametrize("loss", ["squared", "softmax"])
@pytest.mark.parametrize("free", [False, True])
def test_solution_written_out(problem, loss, free):
    X, Y, patterns = problem
    if loss == "softmax":
        Y = np.eye(2)[Y.argmax(axis=1)]
    options = NUCLEAR | {"loss": loss, "fit_intercept": free, "skip_connection": free}
    a_max = cvxnn.alpha_max(X, Y, patterns, **options)
    result = cvxnn.solve(X, Y, patterns, alpha=0.3 * a_max, **options)
    assert result.status == "optimal"
    masks = patterns.to_dense()[:, result.active_set].astype(float)
    F = np.einsum("np,nd,pdc,p->nc", masks, X, result.blocks, result.signs.astype(float))
    if free:
        F += result.intercept + X @ result.skip
    network = result.network()
    np.testing.assert_allclose(network.predict(X), F, atol=1e-10)
    assert network.width == result.n_active > 0
    objective = network.objective(X, Y, result.alpha, loss=loss)
    assert objective == pytest.approx(result.primal, rel=1e-8)
    if loss == "softmax":  # dual points of two classes have opposite columns
        assert result.exact
    # Sampled neurons of these patterns gain no more than alpha.
    rows = (2.0 * patterns.to_dense() - 1.0).T
    points = np.random.default_rng(0).standard_normal((3, 20000))
    points /= np.linalg.norm(points, axis=0)
    owned = (np.maximum(X @ points, 0.0).T @ result.theta)[
        [(np.sign(X @ u) == rows).all(axis=1).any() for u in points.T]
    ]
    assert len(owned) > 0
    assert np.linalg.norm(owned, axis=1).max() <= result.alpha * (1 + 1e-9)


@pytest.mark.parametrize("free", [False, True])
@pytest.mark.parametrize("loss", ["hinge", "squared_hinge"])
def test_hinges_end(loss, free):
    for seed in range(8):
        rng = np.random.default_rng(seed)
        X, Y = rng.standard_normal((8, 2)), np.sign(rng.standard_normal((8, 2)))
        result = cvxnn.solve(X, Y, "exact", alpha=0.02, loss=loss, fit_intercept=free, **NUCLEAR)
        assert result.status == "optimal"
        assert 0.0 < result.dual <= result.primal


def test_alpha_max_is_where_neurons_begin(problem):
    X, Y, patterns = problem
    a_max = cvxnn.alpha_max(X, Y, patterns, **NUCLEAR)
    assert cvxnn.solve(X, Y, patterns, alpha=1.0001 * a_max, **NUCLEAR).n_active == 0
    assert cvxnn.solve(X, Y, patterns, alpha=0.99 * a_max, tol=1e-6, **NUCLEAR).n_active > 0


def test_between_the_gated_network_and_networks_of_one_output(problem):
    X, Y, patterns = problem
    shared = cvxnn.solve(X, Y, patterns, alpha=0.02, **NUCLEAR)
    gated = cvxnn.solve(X, Y, patterns, alpha=0.02, penalty="nuclear")
    alone = [cvxnn.solve(X, y, patterns, alpha=0.02, activation="relu").primal for y in Y.T]
    assert gated.dual < shared.primal
    assert shared.dual < sum(alone)


def test_an_output_without_targets_changes_nothing(problem):
    X, Y, patterns = problem
    one = cvxnn.solve(X, Y[:, 0], patterns, alpha=0.05, activation="relu")
    padded = np.column_stack([Y[:, 0], np.zeros(len(Y))])
    two = cvxnn.solve(X, padded, patterns, alpha=0.05, **NUCLEAR)
    assert two.exact
    assert two.primal == pytest.approx(one.primal, rel=2e-4)


def test_warm_start_path_and_threads(problem):
    X, Y, patterns = problem
    path = cvxnn.solve_path(X, Y, patterns, n_alphas=3, eps=0.3, **NUCLEAR)
    assert [r.status for r in path] == ["optimal"] * 3
    again = cvxnn.solve(X, Y, patterns, alpha=path[2].alpha, init=path[2], **NUCLEAR)
    assert again.n_iter <= path[2].n_iter
    runs = [cvxnn.solve(X, Y, patterns, alpha=0.05, n_threads=k, **NUCLEAR) for k in (1, 2)]
    np.testing.assert_array_equal(runs[0].blocks, runs[1].blocks)
    assert runs[0].dual == runs[1].dual


def test_what_stops_a_solve(problem):
    X, Y, patterns = problem
    options = NUCLEAR | {"alpha": 0.01}
    with pytest.warns(cvxnn.ConvergenceWarning):
        capped = cvxnn.solve(X, Y, patterns, max_iter=1, **options)
    assert (capped.status, capped.n_active, capped.n_iter) == ("max_iter", 0, 1)
    seen = []
    result = cvxnn.solve(
        X, Y, patterns, callback=lambda info: len(seen) > 1 or seen.append(info), **options
    )
    assert result.status == "callback"
    assert [info.iteration for info in seen] == [1, 2]
    with pytest.warns(cvxnn.ConvergenceWarning):
        late = cvxnn.solve(X, Y, patterns, time_limit=1e-9, **options)
    assert late.status == "time_limit"
    assert 0.0 <= late.dual <= late.primal


def test_a_thorough_search_does_not_begin_when_time_is_up(problem, monkeypatch):
    X, Y, patterns = problem
    searches = []
    peaks = NeuronProgram.peaks

    def noted(self, *args, thorough):
        searches.append(thorough)
        return peaks(self, *args, thorough=thorough)

    monkeypatch.setattr(NeuronProgram, "peaks", noted)
    options = {"alpha": 0.01, "tol": 1e-12, **NUCLEAR}
    result = cvxnn.solve(X, Y, patterns, callback=lambda _: True, **options)
    assert (result.status, searches) == ("callback", [False])
    searches.clear()
    with pytest.warns(cvxnn.ConvergenceWarning):
        result = cvxnn.solve(X, Y, patterns, time_limit=1e-9, **options)
    assert (result.status, searches) == ("time_limit", [False])
    with pytest.warns(cvxnn.ConvergenceWarning):
        cvxnn.solve(X, Y, patterns, max_iter=1, **options)
    assert searches[-1]


def test_other_penalties_are_refused(problem):
    X, Y, patterns = problem
    for penalty in ("group", "columns"):
        with pytest.raises(ValueError, match="several outputs with activation='relu' need"):
            cvxnn.solve(X, Y, patterns, alpha=0.1, activation="relu", penalty=penalty)


def test_factors_are_oriented_by_their_largest_output():
    rng = np.random.default_rng(0)
    u, v = rng.standard_normal((2, 5, 3))
    v[0] = [1.0, -1.0, 0.5]  # of equal size: the first counts
    hidden, output, owner = balanced_factors(u[:, :, None] * v[:, None])
    np.testing.assert_array_equal(owner, np.arange(5))
    np.testing.assert_allclose(np.einsum("mi,mj->mij", hidden, output), u[:, :, None] * v[:, None])
    assert (output[np.arange(5), np.abs(output).argmax(axis=1)][1:] > 0).all()
    assert output[0, 0] > 0
