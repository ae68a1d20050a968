"""What ends a solve early: a callback, a limit, Ctrl-C."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import warnings

import numpy as np
import pytest

import cvxnn


@pytest.fixture(scope="module")
def optimum(problem):
    return cvxnn.solve(problem.X, problem.y, problem.patterns, alpha=0.02, tol=1e-10)


def assert_certified(result, optimum):
    """Check that a stopped solve still is a valid solution with a valid bound."""
    assert result.dual <= optimum.primal
    assert result.primal >= optimum.dual
    assert result.gap == pytest.approx(result.primal - result.dual, abs=1e-15)


class TestCallback:
    @pytest.fixture
    def solve(self, problem):
        def run(callback, function=cvxnn.solve, **options):
            options = {"tol": 1e-10, "callback": callback, **options}
            if function is cvxnn.solve:
                options["alpha"] = 0.02
            return function(problem.X, problem.y, problem.patterns, **options)

        return run

    def test_sees_every_evaluation(self, solve, optimum):
        seen = []
        result = solve(seen.append)
        assert result.status == "optimal"
        assert seen == result.trace
        assert [info.iteration for info in seen] == list(range(1, result.n_iter + 1))
        assert all(info.alpha == 0.02 for info in seen)
        assert (np.diff([info.elapsed for info in seen]) >= 0).all()
        assert (np.diff([info.dual for info in seen]) >= 0).all()
        assert all(info.dual <= optimum.primal * (1 + 1e-12) for info in seen)
        assert all(0 <= info.n_active <= info.n_working for info in seen)
        assert result.primal == optimum.primal  # watching changes nothing

    @pytest.mark.parametrize("last", [1, 2, 3])
    @pytest.mark.parametrize("answer", [True, 1, np.True_, "yes"])
    def test_true_stops(self, solve, optimum, last, answer):
        result = solve(lambda info: answer if info.iteration == last else None)
        assert (result.status, result.n_iter) == ("callback", last)
        assert_certified(result, optimum)

    @pytest.mark.parametrize("answer", [None, False, 0, np.False_])
    def test_anything_false_goes_on(self, solve, answer):
        assert solve(lambda _: answer).status == "optimal"

    def test_stops_a_path(self, solve):
        counts = {}

        def second_visit_of_third_alpha(info):
            counts[info.alpha] = counts.get(info.alpha, 0) + 1
            return len(counts) == 3 and counts[info.alpha] == 2

        path = solve(second_visit_of_third_alpha, cvxnn.solve_path, n_alphas=9, eps=0.01)
        assert [result.status for result in path] == ["optimal", "optimal", "callback"]

    @pytest.mark.parametrize("error", [RuntimeError, KeyError, KeyboardInterrupt, SystemExit])
    @pytest.mark.parametrize("n_threads", [1, 2])
    def test_exception_propagates(self, solve, error, n_threads):
        raised = error("from the callback")

        def callback(info):
            if info.iteration == 2:
                raise raised

        with pytest.raises(error) as caught:
            solve(callback, n_threads=n_threads)
        assert caught.value is raised
        assert solve(None).status == "optimal"  # nothing is left behind

    def test_answer_without_a_truth_value(self, solve):
        with pytest.raises(ValueError, match="truth value"):
            solve(lambda _: np.array([True, False]))


def test_ctrl_c_at_any_moment_of_a_save(run_python):
    printed = run_python("""
        import os, signal, sys, tempfile
        import numpy as np, cvxnn

        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGINT))
        sys.unraisablehook = lambda _: None  # finalizers of archives that were cut short
        rng = np.random.default_rng(0)
        networks = [
            cvxnn.Network([np.full((90, 90), k), np.ones((90, 1))], [np.zeros(90), [0.0]])
            for k in (1.0, 2.0)
        ]
        interrupted = 0
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "network.npz")
            networks[0].save(path)
            for k in range(200):
                try:
                    signal.setitimer(signal.ITIMER_REAL, rng.uniform(1e-6, 2e-3))
                    networks[k % 2].save(path)
                    signal.setitimer(signal.ITIMER_REAL, 0.0)
                except KeyboardInterrupt:
                    interrupted += 1
                found = cvxnn.Network.load(path).coefs_[0]
                assert any((found == network.coefs_[0]).all() for network in networks)
                assert os.listdir(folder) == ["network.npz"]
        print(interrupted > 0)
    """)
    assert printed == "True\n"


class TestLimits:
    @pytest.mark.parametrize("max_iter", [1, 2, 3])
    def test_max_iter(self, problem, optimum, max_iter):
        with pytest.warns(cvxnn.ConvergenceWarning, match=r"status 'max_iter' at alpha=0\.02"):
            result = cvxnn.solve(
                problem.X, problem.y, problem.patterns, alpha=0.02, tol=1e-10, max_iter=max_iter
            )
        assert (result.status, result.n_iter) == ("max_iter", max_iter)
        assert_certified(result, optimum)

    @pytest.mark.parametrize("seconds", [1e-9, 1e-4])
    def test_time_limit(self, problem, optimum, seconds):
        with pytest.warns(cvxnn.ConvergenceWarning, match="status 'time_limit'"):
            result = cvxnn.solve(
                problem.X, problem.y, problem.patterns, alpha=0.02, tol=1e-15, time_limit=seconds
            )
        assert result.status == "time_limit"
        assert_certified(result, optimum)

    def test_time_limit_at_any_moment(self, problem, optimum):
        seconds = optimum.seconds * np.random.default_rng(0).random(40)
        for limit in np.maximum(seconds, 1e-6):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", cvxnn.ConvergenceWarning)
                result = cvxnn.solve(
                    problem.X, problem.y, problem.patterns, alpha=0.02, tol=1e-10, time_limit=limit
                )
            assert result.status in ("time_limit", "optimal")
            assert_certified(result, optimum)
            objective = result.network().objective(problem.X, problem.y, 0.02)
            assert objective == pytest.approx(result.primal, rel=1e-9)

    @pytest.mark.parametrize("loss", ["squared", "logistic"])
    def test_time_limit_is_kept(self, make_problem, loss):
        p = make_problem(4000, 20, 2000, labels=loss == "logistic")
        start = time.monotonic()
        with pytest.warns(cvxnn.ConvergenceWarning, match="status 'time_limit'"):
            result = cvxnn.solve(
                p.X, p.y, p.patterns, alpha=1e-6, tol=1e-14, time_limit=0.3, loss=loss
            )
        assert result.seconds >= 0.3
        assert time.monotonic() - start < 5.0
        assert 0.0 <= result.dual <= result.primal

    def test_time_limit_of_a_path_is_for_all_of_it(self, make_problem):
        p = make_problem(2000, 20, 1000)
        with pytest.warns(cvxnn.ConvergenceWarning, match="status 'time_limit'"):
            path = cvxnn.solve_path(
                p.X, p.y, p.patterns, n_alphas=500, eps=1e-6, tol=1e-12, time_limit=0.3
            )
        assert 1 <= len(path) < 500
        assert path[-1].status == "time_limit"

    def test_generous_limits_do_not_warn(self, problem):
        result = cvxnn.solve(
            problem.X, problem.y, problem.patterns, alpha=0.1, time_limit=1e6, max_iter=10**9
        )
        assert result.status == "optimal"


CALLS = {
    "solve": "cvxnn.solve(X, y, patterns, alpha=1e-7, **options)",
    "float32": "cvxnn.solve(X.astype('f'), y, patterns, alpha=1e-7, **options)",
    "logistic": "cvxnn.solve(X, np.sign(y), patterns, alpha=1e-7, loss='logistic', **options)",
    "path": "cvxnn.solve_path(X, y, patterns, n_alphas=1000, eps=1e-8, **options)",
    "group_lasso": "cvxnn.solve_group_lasso(wide, wide @ signs, 5, alpha=1e-7, **options)",
    "patterns": "ready() or cvxnn.activation_patterns(long, gates, n_threads={n_threads})",
    "predict": "ready() or network.predict(long, n_threads={n_threads})",
}
CHILD = """
    import signal, sys
    import numpy as np, cvxnn

    # A job that was started in the background inherits SIGINT ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    rng = np.random.default_rng(0)
    X = rng.standard_normal((4000, 20))
    y = rng.standard_normal(4000)
    patterns = cvxnn.activation_patterns(X, rng.standard_normal((20, 4000)))
    wide = rng.standard_normal((3000, 5000))
    signs = rng.standard_normal(5000)
    options = dict(tol=1e-15, max_iter=10**9, n_threads={n_threads})
    def ready(info=None):
        print("READY", flush=True)

    options["callback"] = ready
    long = np.tile(X, (50, 1))
    gates = rng.standard_normal((20, 8000))
    network = cvxnn.Network(
        [gates, np.ones((8000, 1))], [np.zeros(8000), [0.0]], activation="gated_relu", gates=gates
    )
    try:
        {call}
    except KeyboardInterrupt:
        print("INTERRUPTED", flush=True)
        small = cvxnn.solve_group_lasso([[1.0], [-1.0]], [1.0, -1.0], 1, alpha=0.1)
        print(small.status, flush=True)
"""


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("call", CALLS)
def test_ctrl_c(call, n_threads):
    code = textwrap.dedent(CHILD).format(
        call=CALLS[call].format(n_threads=n_threads), n_threads=n_threads
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], env=os.environ, stdout=subprocess.PIPE, text=True
    ) as child:
        watchdog = threading.Timer(60, child.kill)
        watchdog.start()
        try:
            assert child.stdout.readline() == "READY\n"  # the solve is running
            time.sleep(0.3)
            start = time.monotonic()
            child.send_signal(signal.SIGINT)
            lines = [line for line in child.stdout if line != "READY\n"]
            seconds = time.monotonic() - start
            child.wait()
        finally:
            watchdog.cancel()
            child.kill()
    assert lines == ["INTERRUPTED\n", "optimal\n"]
    assert child.returncode == 0
    assert seconds < 3.0
