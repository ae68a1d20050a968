"""Regularisation paths."""

import numpy as np
import pytest

import cvxnn


@pytest.fixture
def data():
    rng = np.random.default_rng(3)
    X = rng.standard_normal((60, 4))
    y = np.abs(X[:, 0]) + 0.1 * rng.standard_normal(60)
    return X, y, cvxnn.activation_patterns(X, cvxnn.sample_gates(4, 80, random_state=0))


def test_path_runs_from_alpha_max_down(data):
    X, y, patterns = data
    path = cvxnn.solve_path(X, y, patterns, n_alphas=12, eps=1e-2, tol=1e-6)
    a_max = cvxnn.alpha_max(X, y, patterns)
    np.testing.assert_allclose(path.alphas, a_max * np.geomspace(1, 1e-2, 12), rtol=1e-12)
    assert path[0].n_active == 0
    assert path[-1].n_active > 0
    primals = [result.primal for result in path]
    assert primals == sorted(primals, reverse=True)
    assert all(result.status == "optimal" and result.gap_rel <= 1e-6 for result in path)


def test_each_point_is_the_solution_of_its_own_problem(data):
    X, y, patterns = data
    path = cvxnn.solve_path(
        X, y, patterns, n_alphas=5, eps=0.05, tol=1e-8, loss="huber", fit_intercept=True
    )
    for result in path:
        single = cvxnn.solve(
            X, y, patterns, alpha=result.alpha, tol=1e-8, loss="huber", fit_intercept=True
        )
        assert result.primal == pytest.approx(single.primal, rel=2e-8)


def test_own_alphas_in_any_order(data):
    X, y, patterns = data
    path = cvxnn.solve_path(X, y, patterns, alphas=[0.01, 0.1, 0.03])
    assert path.alphas.tolist() == [0.1, 0.03, 0.01]


def test_path_is_a_sequence(data):
    X, y, patterns = data
    path = cvxnn.solve_path(X, y, patterns, n_alphas=4, eps=0.1)
    assert len(path) == 4
    assert isinstance(path[1:3], cvxnn.PathResult)
    assert list(path[1:3]) == [path[1], path[2]]
    assert list(path)[-1] is path[-1]
    assert str(path).count("optimal") == 4


def test_stopped_path_is_returned_as_far_as_it_got(data):
    X, y, patterns = data
    seen = []

    def stop_in_the_third(info):
        seen.append(info.alpha)
        return len(set(seen)) == 3

    path = cvxnn.solve_path(X, y, patterns, n_alphas=10, eps=0.01, callback=stop_in_the_third)
    assert len(path) == 3
    assert [result.status for result in path] == ["optimal", "optimal", "callback"]


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"n_alphas": 0}, "n_alphas"),
        ({"eps": 1.0}, "eps"),
        ({"eps": 0.0}, "eps"),
        ({"alphas": []}, "alphas"),
        ({"alphas": [0.1, -0.1]}, "alphas"),
        ({"alphas": [[0.1, 0.2]]}, "alphas"),
        ({"alphas": [np.nan]}, "alphas"),
    ],
)
def test_bad_grids_are_refused(data, arguments, name):
    X, y, patterns = data
    with pytest.raises(ValueError, match=name):
        cvxnn.solve_path(X, y, patterns, **arguments)


def test_nothing_to_fit(data):
    X, y, patterns = data
    path = cvxnn.solve_path(X, np.zeros(len(y)), patterns, n_alphas=3)
    assert [(r.status, r.primal, r.n_active) for r in path] == [("optimal", 0.0, 0)] * 3
    constant = cvxnn.solve_path(X, np.full(len(y), 0.1), patterns, n_alphas=3, fit_intercept=True)
    assert [r.n_active for r in constant] == [0] * 3
    assert constant[2].intercept == pytest.approx(0.1)
