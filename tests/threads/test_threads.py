"""Threads: the same bits for any number of them, a free interpreter, and how many there are."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
from joblib import cpu_count
from threadpoolctl import threadpool_limits

import cvxnn
from cvxnn._threads import effective_threads
from cvxnn.losses import resolve_loss
from networks import make_network


def numbers(result):
    """Return everything that a solve computed, for bitwise comparison."""
    network = result.network()
    rest = [result.primal, result.dual, result.gap, result.intercept, result.n_iter]
    trace = [[info.primal, info.dual, info.n_active] for info in result.trace]
    return [result.active_set, result.blocks, np.array(rest), np.array(trace), network.coefs_[0]]


def assert_same_bits(got, wanted):
    for one, other in zip(got, wanted, strict=True):
        np.testing.assert_array_equal(one, other)


class TestDeterminism:
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    @pytest.mark.parametrize("loss", ["squared", "logistic", "huber", "squared_hinge", "hinge"])
    def test_threads_change_no_bit_of_a_solve(self, make_problem, dtype, loss):
        labels = resolve_loss(loss).labels
        p = make_problem(2500, 5, 300, labels=labels, dtype=dtype)
        alpha = p.alpha(0.2, loss=loss)
        options = {"alpha": alpha, "loss": loss, "fit_intercept": True, "tol": 1e-5}
        wanted = numbers(cvxnn.solve(p.X, p.y, p.patterns, n_threads=1, **options))
        for n_threads in (2, 3, 3):
            got = numbers(cvxnn.solve(p.X, p.y, p.patterns, n_threads=n_threads, **options))
            assert_same_bits(got, wanted)

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_threads_change_no_bit_of_a_path(self, make_problem, dtype):
        p = make_problem(1500, 5, 300, dtype=dtype)
        one, two = (
            cvxnn.solve_path(p.X, p.y, p.patterns, n_alphas=6, eps=0.05, n_threads=n)
            for n in (1, 2)
        )
        for got, wanted in zip(two, one, strict=True):
            assert_same_bits(numbers(got), numbers(wanted))

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_threads_change_no_bit_of_the_rest(self, make_problem, dtype):
        p = make_problem(3000, 8, 700, dtype=dtype)
        alpha_max = {cvxnn.alpha_max(p.X, p.y, p.patterns, n_threads=n) for n in (1, 2, 3)}
        assert len(alpha_max) == 1
        wide = np.random.default_rng(0).standard_normal((500, 600)).astype(dtype)
        coefs = [
            cvxnn.solve_group_lasso(wide, wide[:, 0], 4, alpha=0.05, n_threads=n).coef.tobytes()
            for n in (1, 2, 3)
        ]
        assert len(set(coefs)) == 1

    @pytest.mark.parametrize("activation", ["relu", "gated_relu"])
    def test_concurrent_predictions_equal_serial_ones(self, activation):
        network = make_network(activation, skip=True, n_features=20, width=150, n_outputs=2)
        rng = np.random.default_rng(0)
        batches = [rng.standard_normal((500 + 300 * k, 20)) for k in range(12)]
        serial = [network.predict(X, n_threads=1) for X in batches]
        for n_threads in (1, 2):
            with ThreadPoolExecutor(4) as pool:
                got = list(pool.map(partial(network.predict, n_threads=n_threads), batches * 4))
            assert_same_bits(got, serial * 4)

    def test_concurrent_solves_equal_serial_ones(self, make_problem):
        problems = [make_problem(700 + 100 * k, 6, 300, seed=k) for k in range(8)]

        def solve(p):
            return numbers(cvxnn.solve(p.X, p.y, p.patterns, alpha=0.05, n_threads=2))

        serial = [solve(p) for p in problems]
        with ThreadPoolExecutor(4) as pool:
            for got, wanted in zip(pool.map(solve, problems), serial, strict=True):
                assert_same_bits(got, wanted)

    def test_concurrent_fits_equal_serial_ones(self):
        rng = np.random.default_rng(0)
        X = rng.standard_normal((12, 50, 3))
        y = np.where(np.abs(X[:, :, 0]) > 0.7, 1.0, -1.0)
        models = [cvxnn.ReLURegressor, cvxnn.ReLUClassifier]

        def fit(k):
            model = models[k % 2](0.05, n_patterns=30, n_threads=1 + k % 3).fit(X[k], y[k])
            return [*model.coefs_, *model.intercepts_, model.predict(X[k]), [model.dual_gap_]]

        serial = [fit(k) for k in range(12)]
        with ThreadPoolExecutor(12) as pool:
            for got, wanted in zip(pool.map(fit, range(12)), serial, strict=True):
                assert_same_bits(got, wanted)


class TestInterpreterIsFree:
    @staticmethod
    def ticks_during(function):
        """Count how often another Python thread got to run during a call."""
        count, stop = [0], threading.Event()

        def tick():
            while not stop.is_set():
                count[0] += 1
                time.sleep(0.001)

        ticker = threading.Thread(target=tick)
        ticker.start()
        try:
            before = count[0]
            function()
            return count[0] - before
        finally:
            stop.set()
            ticker.join()

    @pytest.mark.parametrize("n_threads", [1, 2])
    def test_solve(self, make_problem, n_threads):
        p = make_problem(4000, 20, 1000)
        options = {"alpha": 1e-6, "tol": 1e-14, "time_limit": 0.5, "n_threads": n_threads}

        def solve():
            with pytest.warns(cvxnn.ConvergenceWarning, match="time_limit"):
                cvxnn.solve(p.X, p.y, p.patterns, **options)

        assert self.ticks_during(solve) > 20  # one or two if the lock were held for all of 0.5 s

    def test_patterns_and_predict(self):
        X = np.random.default_rng(0).standard_normal((40_000, 40))
        gates = cvxnn.sample_gates(40, 1500, random_state=0)
        assert self.ticks_during(lambda: cvxnn.activation_patterns(X, gates, n_threads=1)) > 20
        network = cvxnn.Network(
            [gates, np.ones((1500, 1))], [np.zeros(1500), np.zeros(1)], activation="relu"
        )
        assert self.ticks_during(lambda: network.predict(X, n_threads=1)) > 20

    def test_solve_outside_the_main_thread(self, problem):
        wanted = cvxnn.solve(problem.X, problem.y, problem.patterns, alpha=0.1)
        main, seen = threading.get_ident(), set()

        def solve():
            return cvxnn.solve(
                problem.X,
                problem.y,
                problem.patterns,
                alpha=0.1,
                callback=lambda _: seen.add(threading.get_ident()),
            )

        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(solve).result().primal == wanted.primal
        assert len(seen) == 1
        assert main not in seen


class TestNumberOfThreads:
    def test_positive_is_itself(self):
        assert [effective_threads(k) for k in (1, 2, 5, np.int64(3))] == [1, 2, 5, 3]

    def test_none_is_all_that_the_process_may_use(self, run_python):
        code = "from cvxnn._threads import effective_threads; print(effective_threads(None))"
        assert int(run_python(code, env={"OMP_NUM_THREADS": None})) == cpu_count()

    def test_negative_counts_from_the_end(self):
        everything = effective_threads(None)
        assert effective_threads(-1) == everything
        assert effective_threads(-2) == max(1, everything - 1)
        assert effective_threads(-1000) == 1

    def test_threadpool_limits(self):
        with threadpool_limits(1):
            assert (effective_threads(None), effective_threads(-1)) == (1, 1)
            assert effective_threads(3) == 3  # an explicit number overrides
        assert effective_threads(None) >= 1

    @pytest.mark.parametrize("number", [1, 7])
    def test_openmp_environment(self, run_python, number):
        code = """
            import os
            before = dict(os.environ)
            from cvxnn._threads import effective_threads
            print(effective_threads(None), effective_threads(-1), effective_threads(2))
            assert dict(os.environ) == before
        """
        printed = run_python(code, env={"OMP_NUM_THREADS": str(number)})
        assert printed.split() == [str(number), str(number), "2"]

    def test_affinity(self, run_python):
        code = """
            import os
            from cvxnn._threads import effective_threads
            os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
            print(effective_threads(None), effective_threads(-1))
        """
        assert run_python(code, env={"OMP_NUM_THREADS": None}).split() == ["1", "1"]

    def test_solve_uses_no_more_threads_than_asked(self, run_python):
        code = """
            import os
            import numpy as np, cvxnn
            X = np.random.default_rng(0).standard_normal((20_000, 10))
            os_threads = lambda: len(os.listdir("/proc/self/task"))
            before = os_threads()
            patterns = cvxnn.activation_patterns(X, np.eye(10), n_threads=1)
            cvxnn.solve(X, X[:, 0], patterns, alpha=0.1, n_threads=1)
            serial = os_threads()
            cvxnn.activation_patterns(X, np.eye(10), n_threads=3)
            print(serial - before, os_threads() - before)
        """
        assert run_python(code).split() == ["0", "2"]
