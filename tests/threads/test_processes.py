"""Solves in other processes: forked, spawned, and joblib's."""

import pickle

import numpy as np
import pytest

import cvxnn

SETUP = """
    import os, pickle, sys, warnings
    import multiprocessing
    import numpy as np, cvxnn
    from cvxnn._threads import effective_threads

    X = np.random.default_rng(0).standard_normal((4000, 6))
    y = np.abs(X[:, 0]) - X[:, 1]
    gates = cvxnn.sample_gates(6, 500, random_state=0)

    def solve(n_threads=2):
        patterns = cvxnn.activation_patterns(X, gates, n_threads=n_threads)
        result = cvxnn.solve(X, y, patterns, alpha=0.05, n_threads=n_threads)
        return result.blocks.tobytes(), result.network().predict(X, n_threads=n_threads).tobytes()

    def solve_and_tell():
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            answers = [solve(), solve()]
        kinds = [w.category.__name__ for w in caught]
        text = str(caught[0].message) if caught else ""
        return answers, kinds, text, effective_threads(8)
"""


def script(body):
    """Return a child's code: the set-up, then a body of the same indentation."""
    return SETUP + body


def test_fork_after_threads(run_python):
    # GNU OpenMP would hang in such a child: cvxnn runs there on one thread and says so, once.
    printed = run_python(
        script("""
    wanted = solve()
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        with os.fdopen(write, "wb") as pipe:
            pickle.dump(solve_and_tell(), pipe)
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        answers, kinds, text, n_threads = pickle.load(pipe)
    assert os.waitpid(pid, 0)[1] == 0
    print(answers == [wanted, wanted], kinds, n_threads)
    print(text)
    print(solve() == wanted)  # the parent goes on with threads
        """)
    )
    first, text, last = printed.splitlines()
    assert first == "True ['RuntimeWarning'] 1"
    assert text.startswith("this process was forked from one that had used threads: cvxnn runs on")
    assert last == "True"


def test_multiprocessing_fork_after_threads(run_python):
    printed = run_python(
        script("""
    warnings.simplefilter("ignore", DeprecationWarning)  # of forking with threads, Python 3.12
    wanted = solve()
    with multiprocessing.get_context("fork").Pool(2) as pool:
        for answers, kinds, _, n_threads in [pool.apply(solve_and_tell) for _ in range(3)]:
            print(answers == [wanted, wanted], n_threads)
        """)
    )
    assert printed == "True 1\n" * 3


def test_fork_before_threads(run_python):
    # A child of a parent that never used threads may use them, without a warning.
    printed = run_python(
        script("""
    with multiprocessing.get_context("fork").Pool(1) as pool:
        answers, kinds, _, n_threads = pool.apply(solve_and_tell)
    print(answers == [solve(1), solve(1)], kinds, n_threads)
        """)
    )
    assert printed == "True [] 8\n"


def test_one_thread_is_no_reason_to_warn_after_a_fork(run_python):
    printed = run_python(
        script("""
    wanted = solve(1)
    with multiprocessing.get_context("fork").Pool(1) as pool:
        answers, kinds, _, n_threads = pool.apply(solve_and_tell)
    print(answers == [wanted, wanted], kinds, n_threads)
        """)
    )
    assert printed == "True [] 8\n"


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_other_start_methods(run_python, method):
    # What is called there must be importable there: a function of the library.
    printed = run_python(
        script(f"""
    if __name__ == "__main__":
        patterns = cvxnn.activation_patterns(X, gates, n_threads=2)
        arguments = (X, y, patterns)
        options = dict(alpha=0.05, n_threads=2)
        wanted = cvxnn.solve(*arguments, **options)
        with multiprocessing.get_context("{method}").Pool(2) as pool:
            for _ in range(2):
                result = pool.apply(cvxnn.solve, arguments, options)
                print(np.array_equal(result.blocks, wanted.blocks), result.primal == wanted.primal)
            print(pool.apply(effective_threads, (8,)))
        """)
    )
    assert printed == "True True\nTrue True\n8\n"


def test_loky(run_python):
    printed = run_python(
        script("""
    from joblib import Parallel, delayed
    wanted = solve()
    told = Parallel(n_jobs=2)(delayed(solve_and_tell)() for _ in "ab")
    for answers, kinds, _, n_threads in told:
        print(answers == [wanted, wanted], kinds, n_threads)
    workers = Parallel(n_jobs=multiprocessing.cpu_count())
    print(workers(delayed(effective_threads)(None) for _ in "ab"))
        """)
    )
    assert printed == "True [] 8\nTrue [] 8\n[1, 1]\n"


def test_fits_leave_no_memory_behind(run_python):
    # An array of the data's size that stayed after each fit would be 48 MB at the end.
    printed = run_python("""
        import os
        from pathlib import Path
        import numpy as np, cvxnn

        X = np.random.default_rng(0).standard_normal((10_000, 6))
        y = np.abs(X[:, 0]) - X[:, 1]

        def fits(count):
            for _ in range(count):
                cvxnn.ReLURegressor(0.3, n_patterns=30).fit(X, y).predict(X)
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

        before = fits(30)
        print(fits(100) - before)
    """)
    assert float(printed) < 20.0


def test_results_travel(problem):
    # Everything that a solve returns is arrays and numbers: no handle of the core is inside.
    result = cvxnn.solve(problem.X, problem.y, problem.patterns, alpha=0.05)
    again = pickle.loads(pickle.dumps(result))
    assert again.primal == result.primal
    np.testing.assert_array_equal(again.blocks, result.blocks)
    np.testing.assert_array_equal(
        again.network().predict(problem.X), result.network().predict(problem.X)
    )
