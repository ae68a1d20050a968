"""Gates and the activation patterns that they cut out of the data."""

import copy
import dataclasses
import pickle
import random
import tracemalloc

import numpy as np
import pytest

import cvxnn
from cvxnn._validation import check_data, check_gates


def integer_data(n_samples, n_features, n_gates, seed=0):
    """Small integers: products are exact, and many scores are exactly zero."""
    rng = np.random.default_rng(seed)
    X = rng.integers(-3, 4, (n_samples, n_features)).astype(np.float64)
    gates = rng.integers(-2, 3, (n_features, n_gates)).astype(np.float64)
    return X, gates


def first_of_each(dense):
    """Return the indices of distinct non-empty columns, the first of each."""
    seen, kept = set(), []
    for p, column in enumerate(dense.T):
        key = column.tobytes()
        if column.any() and key not in seen:
            seen.add(key)
            kept.append(p)
    return kept


class TestSampleGates:
    @pytest.mark.parametrize("seed", [0, 2**31, 2**80, np.int64(3), np.uint8(7)])
    def test_same_seed_same_gates(self, seed):
        first = cvxnn.sample_gates(4, 9, random_state=seed)
        np.testing.assert_array_equal(first, cvxnn.sample_gates(4, 9, random_state=seed))
        assert (first != cvxnn.sample_gates(4, 9, random_state=11)).all()

    def test_array(self):
        gates = cvxnn.sample_gates(4, 9, random_state=0)
        assert gates.shape == (4, 9)
        assert gates.dtype == np.float64
        assert gates.flags.c_contiguous

    def test_values_of_a_seed_never_change(self):
        # A model is reproduced from its seed: these numbers are part of the interface.
        gates = cvxnn.sample_gates(2, 2, random_state=0)
        wanted = np.random.Generator(np.random.Philox(0)).standard_normal((2, 2)).T
        np.testing.assert_array_equal(gates, wanted)

    @pytest.mark.parametrize("make", [int, np.random.default_rng, np.random.SeedSequence])
    def test_fewer_gates_are_the_first_ones(self, make):
        few = cvxnn.sample_gates(5, 10, random_state=make(3))
        many = cvxnn.sample_gates(5, 1000, random_state=make(3))
        np.testing.assert_array_equal(few, many[:, :10])

    def test_generator_is_drawn_from(self):
        generator = np.random.default_rng(0)
        first = cvxnn.sample_gates(3, 4, random_state=generator)
        second = cvxnn.sample_gates(3, 4, random_state=generator)
        assert (first != second).all()
        wanted = np.random.default_rng(0).standard_normal((8, 3)).T
        np.testing.assert_array_equal(np.hstack([first, second]), wanted)

    def test_random_state_is_drawn_from(self):
        state = np.random.RandomState(0)
        first = cvxnn.sample_gates(3, 4, random_state=state)
        assert (first != cvxnn.sample_gates(3, 4, random_state=state)).all()
        again = cvxnn.sample_gates(3, 4, random_state=np.random.RandomState(0))
        np.testing.assert_array_equal(first, again)

    def test_no_seed_draws_fresh_gates(self):
        assert (cvxnn.sample_gates(3, 4) != cvxnn.sample_gates(3, 4)).all()

    @pytest.mark.parametrize("random_state", [None, 0])
    def test_global_state_is_not_touched(self, random_state):
        np.random.seed(0)  # noqa: NPY002  # the legacy global state is what this test watches
        random.seed(0)
        before = np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
        cvxnn.sample_gates(3, 4, random_state=random_state)
        np.testing.assert_array_equal(np.random.get_state()[1], before[0])  # noqa: NPY002
        assert random.getstate() == before[1]

    def test_normal_distribution(self):
        gates = cvxnn.sample_gates(20, 5000, random_state=0)
        assert abs(gates.mean()) < 0.02
        assert abs(gates.std() - 1.0) < 0.02


class TestPatterns:
    # Around the word of 64 samples, the task of 1024 and the tile of 8 gates.
    @pytest.mark.parametrize("n_samples", [1, 2, 63, 64, 65, 128, 1023, 1025, 2100])
    @pytest.mark.parametrize("n_gates", [1, 7, 8, 40])
    def test_equal_numpy(self, n_samples, n_gates):
        X, gates = integer_data(n_samples, 3, n_gates)
        X[0, 0] = 2.0
        gates[:, 0] = X[0]  # at least this gate is active on a sample
        dense = X @ gates > 0
        kept = first_of_each(dense)
        patterns = cvxnn.activation_patterns(X, gates)
        np.testing.assert_array_equal(patterns.to_dense(), dense[:, kept])
        np.testing.assert_array_equal(patterns.gates, gates[:, kept])

    def test_distinct_and_not_empty(self):
        X, gates = integer_data(40, 3, 500)
        gates = np.hstack([np.zeros((3, 1)), gates, 7.0 * gates])
        dense = cvxnn.activation_patterns(X, gates).to_dense()
        assert dense.shape[1] < 500
        assert dense.any(axis=0).all()
        assert len({column.tobytes() for column in dense.T}) == dense.shape[1]

    def test_first_gate_of_equal_patterns_is_kept(self):
        gates = [[2.0, 1.0, 5.0, -1.0, -3.0]]
        patterns = cvxnn.activation_patterns([[1.0], [-1.0]], gates)
        np.testing.assert_array_equal(patterns.gates, [[2.0, -1.0]])

    def test_score_of_zero_is_not_active(self):
        patterns = cvxnn.activation_patterns([[1.0, 1.0], [0.0, 1.0]], [[1.0, 0.0], [-1.0, 1.0]])
        np.testing.assert_array_equal(patterns.to_dense(), [[True], [True]])

    def test_packed_bits(self):
        X, gates = integer_data(130, 4, 20)
        patterns = cvxnn.activation_patterns(X, gates)
        dense = patterns.to_dense()
        words = np.zeros((3, patterns.n_patterns), np.uint64)
        for i, row in enumerate(dense):
            words[i // 64] |= row.astype(np.uint64) << np.uint64(i % 64)
        np.testing.assert_array_equal(patterns.words, words)

    def test_sizes(self):
        X, gates = integer_data(130, 4, 20)
        patterns = cvxnn.activation_patterns(X, gates)
        kept = len(first_of_each(X @ gates > 0))
        assert (patterns.n_samples, patterns.n_features) == (130, 4)
        assert len(patterns) == patterns.n_patterns == kept
        assert patterns.nbytes == patterns.words.nbytes == 3 * 8 * kept
        assert patterns.to_dense().dtype == np.bool_
        assert repr(patterns) == (
            f"PatternSet(n_samples=130, n_patterns={kept}, n_features=4, nbytes={24 * kept})"
        )

    @pytest.mark.parametrize("doubled", [False, True])
    def test_read_only(self, problem, doubled):
        gates = np.tile(problem.gates, 1 + doubled)  # with duplicates to drop, and without
        patterns = cvxnn.activation_patterns(problem.X, gates)
        with pytest.raises(ValueError, match="read-only"):
            patterns.words[0, 0] = 0
        with pytest.raises(ValueError, match="read-only"):
            patterns.gates[0, 0] = 0.0
        with pytest.raises(dataclasses.FrozenInstanceError):
            patterns.n_samples = 1

    @pytest.mark.parametrize("doubled", [False, True])
    @pytest.mark.parametrize("order", ["C", "F"])
    def test_callers_gates_stay_the_callers(self, problem, doubled, order):
        gates = np.array(np.tile(problem.gates, 1 + doubled), order=order)
        patterns = cvxnn.activation_patterns(problem.X, gates)
        gates[...] = 0.0  # still writable, and no longer of interest
        np.testing.assert_array_equal(patterns.gates, problem.gates)

    def test_float32_has_the_patterns_of_its_values(self):
        rng = np.random.default_rng(0)
        X = rng.standard_normal((3000, 17)).astype(np.float32)
        gates = rng.standard_normal((17, 200))
        one = cvxnn.activation_patterns(X, gates)
        other = cvxnn.activation_patterns(X.astype(np.float64), gates)
        np.testing.assert_array_equal(one.words, other.words)

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_threads_change_no_bit(self, dtype):
        rng = np.random.default_rng(0)
        X = rng.standard_normal((9000, 6)).astype(dtype)
        gates = rng.standard_normal((6, 300))
        wanted = cvxnn.activation_patterns(X, gates, n_threads=1)
        for n_threads in (2, 3):
            got = cvxnn.activation_patterns(X, gates, n_threads=n_threads)
            np.testing.assert_array_equal(got.words, wanted.words)

    def test_patterns_of_a_part_are_a_part_of_the_patterns(self):
        # A score depends on its sample and its gate, not on what shares the call.
        rng = np.random.default_rng(0)
        X = rng.standard_normal((500, 9))
        gates = rng.standard_normal((9, 60))
        whole = cvxnn.activation_patterns(X, gates).to_dense()
        assert whole.shape[1] == 60
        rows = rng.permutation(500)[:77]
        part = cvxnn.activation_patterns(X[rows], gates)
        np.testing.assert_array_equal(part.to_dense(), whole[rows][:, first_of_each(whole[rows])])
        for p in (0, 31, 59):
            single = cvxnn.activation_patterns(X, gates[:, p : p + 1])
            np.testing.assert_array_equal(single.to_dense()[:, 0], whole[:, p])

    @pytest.mark.parametrize("twin", [copy.deepcopy, lambda p: pickle.loads(pickle.dumps(p))])
    def test_copies_work_as_the_original(self, problem, twin):
        patterns = twin(problem.patterns)
        np.testing.assert_array_equal(patterns.to_dense(), problem.patterns.to_dense())
        result = cvxnn.solve(problem.X, problem.y, patterns, alpha=0.2)
        wanted = cvxnn.solve(problem.X, problem.y, problem.patterns, alpha=0.2)
        assert result.primal == wanted.primal


def traced_peak(function):
    """Return the most bytes that numpy and Python held at once during a call."""
    tracemalloc.start()
    try:
        result = function()
        return tracemalloc.get_traced_memory()[1], result
    finally:
        tracemalloc.stop()


class TestMemory:
    def test_tracemalloc_sees_numpy(self):
        peak, _ = traced_peak(lambda: np.zeros(10**6).size)
        assert peak >= 8 * 10**6

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_right_data_is_not_copied(self, dtype):
        X = np.ones((100, 5), dtype)
        assert np.shares_memory(check_data(X), X)
        gates = np.ones((5, 7))
        assert np.shares_memory(check_gates(gates, 5), gates)

    def test_patterns_need_little_more_than_their_bits(self):
        rng = np.random.default_rng(0)
        X = rng.standard_normal((4096, 8))
        gates = rng.standard_normal((8, 4096))
        cvxnn.activation_patterns(X[:10], gates)  # imports, caches
        peak, patterns = traced_peak(lambda: cvxnn.activation_patterns(X, gates))
        assert patterns.nbytes == 4096 * 4096 // 8
        assert peak < 1.5 * patterns.nbytes  # float scores would be 64 times as much

    def test_dropped_patterns_leave_no_slack(self):
        rng = np.random.default_rng(0)
        X = rng.standard_normal((4096, 2))
        gates = np.tile(rng.standard_normal((2, 40)), 100)
        peak, patterns = traced_peak(lambda: cvxnn.activation_patterns(X, gates))
        assert peak < 1.5 * 4096 * 4000 // 8
        assert patterns.words.base is None or patterns.words.base.nbytes == patterns.nbytes
        assert patterns.nbytes == 4096 * 40 // 8

    def test_solve_does_not_copy_the_data(self):
        rng = np.random.default_rng(0)
        X = rng.standard_normal((50_000, 32))
        patterns = cvxnn.activation_patterns(X, rng.standard_normal((32, 4)))
        cvxnn.alpha_max(X, X[:, 0], patterns)
        peak, _ = traced_peak(lambda: cvxnn.alpha_max(X, X[:, 0], patterns))
        assert peak < 0.25 * X.nbytes

    def test_peak_of_the_whole_process(self, run_python):
        # 20 000 samples, 20 000 patterns: 50 MB of bits, 400 MB of booleans, 3200 MB of floats.
        code = """
            import pathlib, re
            import numpy as np, cvxnn

            def peak():
                status = pathlib.Path("/proc/self/status").read_text()
                return int(re.search(r"VmHWM:\\s+(\\d+) kB", status)[1]) * 1024

            rng = np.random.default_rng(0)
            X = rng.standard_normal((20_000, 3))
            gates = rng.standard_normal((3, 20_000))
            small = cvxnn.activation_patterns(X[:2000], gates[:, :10])
            cvxnn.alpha_max(X[:2000], X[:2000, 0], small)
            before = peak()
            patterns = cvxnn.activation_patterns(X, gates)
            packed = peak()
            cvxnn.alpha_max(X, X[:, 0], patterns)
            print(patterns.nbytes, packed - before, peak() - before)
        """
        nbytes, packing, all_in_all = map(int, run_python(code).split())
        assert nbytes > 49e6
        assert packing < 1.5 * nbytes
        assert all_in_all < 2 * nbytes
