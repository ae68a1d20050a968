"""Gates on few features, on patches of images, and through the data."""

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

import cvxnn


def data(n_samples=60, n_features=4):
    return np.random.default_rng(1).standard_normal((n_samples, n_features)) + 5.0


def with_ones(X):
    return np.column_stack([X, np.ones(len(X))])


SAMPLERS = {
    "sparse": lambda n, seed: cvxnn.sample_sparse_gates(
        7, n, order=3, bias=True, random_state=seed
    ),
    "convolutional": lambda n, seed: cvxnn.sample_convolutional_gates(
        (5, 4, 2), n, bias=True, random_state=seed
    ),
    "quantile": lambda n, seed: cvxnn.sample_quantile_gates(data(), n, random_state=seed),
}


@pytest.mark.parametrize("sample", SAMPLERS.values(), ids=SAMPLERS)
class TestEverySampler:
    def test_the_seed_decides(self, sample):
        first = sample(30, 4)
        assert first.dtype == np.float64
        assert first.flags.c_contiguous
        np.testing.assert_array_equal(first, sample(30, 4))
        assert (first != sample(30, 5)).any(axis=0).all()
        assert (sample(30, None) != sample(30, None)).any()

    @pytest.mark.parametrize("make", [int, np.random.default_rng, np.random.SeedSequence])
    def test_fewer_gates_are_the_first_ones(self, sample, make):
        np.testing.assert_array_equal(sample(10, make(3)), sample(100, make(3))[:, :10])

    def test_generator_is_drawn_from(self, sample):
        rng = np.random.default_rng(0)
        both = np.hstack([sample(4, rng), sample(6, rng)])
        np.testing.assert_array_equal(both, sample(10, np.random.default_rng(0)))

    @pytest.mark.parametrize("n_gates", [0, -1, 2.0, True, None])
    def test_bad_number_of_gates(self, sample, n_gates):
        with pytest.raises((TypeError, ValueError), match="n_gates"):
            sample(n_gates, 0)

    @pytest.mark.parametrize("seed", [-1, 0.5, "seed"])
    def test_bad_seed(self, sample, seed):
        with pytest.raises((TypeError, ValueError), match="random_state"):
            sample(3, seed)


class TestSparse:
    def test_every_set_of_features_is_as_likely(self):
        n_gates = 6000
        gates = cvxnn.sample_sparse_gates(4, n_gates, order=2, random_state=0)
        _, counts = np.unique(gates != 0, axis=1, return_counts=True)
        assert len(counts) == 4 + 6
        # Six standard deviations of a binomial count.
        assert abs(counts - n_gates / 10).max() < 6 * np.sqrt(n_gates * 0.1 * 0.9)

    def test_entries_are_gaussian(self):
        gates = cvxnn.sample_sparse_gates(3, 5000, order=1, bias=True, random_state=0)
        values = gates[:3].sum(axis=0)
        assert abs(values.mean()) < 6 / np.sqrt(5000)
        assert abs(values.std() - 1.0) < 6 / np.sqrt(2 * 5000)
        assert (gates[3] != 0).all()
        assert abs(gates[3].std() - 1.0) < 6 / np.sqrt(2 * 5000)

    def test_large_orders(self):
        # Numbers of sets overflow float64 long before.
        gates = cvxnn.sample_sparse_gates(3000, 5, order=3000, random_state=0)
        sizes = (gates != 0).sum(axis=0)
        assert (abs(sizes - 1500) < 6 * np.sqrt(3000 / 4)).all()

    @pytest.mark.parametrize("order", [0, 5, 1.0, True, None, np.nan])
    def test_bad_order(self, order):
        with pytest.raises((TypeError, ValueError), match="order"):
            cvxnn.sample_sparse_gates(4, 3, order=order)

    def test_bad_number_of_features(self):
        with pytest.raises(ValueError, match="n_features must be >= 1, got 0"):
            cvxnn.sample_sparse_gates(0, 3)


class TestConvolutional:
    @pytest.mark.parametrize("shape", [(5, 7), [5, 7, 2], np.array([7, 3, 1])])
    def test_supports_are_the_patches_of_the_image(self, shape):
        gates = cvxnn.sample_convolutional_gates(shape, 2000, random_state=0)
        height, width, n_channels = (*shape, 1)[:3]
        found = {(gate != 0).tobytes() for gate in gates.T}
        wanted = set()
        for top in range(height - 2):
            for left in range(width - 2):
                image = np.zeros((height, width, n_channels), dtype=bool)
                image[top : top + 3, left : left + 3] = True
                wanted.add(image.tobytes())
        assert found == wanted

    def test_bias_comes_last(self):
        gates = cvxnn.sample_convolutional_gates((4, 4), 9, patch_size=1, bias=True)
        assert gates.shape == (17, 9)
        assert (gates[-1] != 0).all()
        assert ((gates[:-1] != 0).sum(axis=0) == 1).all()

    def test_patch_may_be_the_image(self):
        gates = cvxnn.sample_convolutional_gates((3, 3), 4)
        assert (gates != 0).all()

    @pytest.mark.parametrize(
        "shape", [(4,), (4, 4, 3, 2), 16, None, {4, 5}, (4, 0), (4, 4.0), "44"]
    )
    def test_bad_shape(self, shape):
        with pytest.raises((TypeError, ValueError), match="image_shape"):
            cvxnn.sample_convolutional_gates(shape, 3)

    @pytest.mark.parametrize("size", [0, 4, 3.0, None])
    def test_bad_patch(self, size):
        with pytest.raises((TypeError, ValueError), match="patch_size"):
            cvxnn.sample_convolutional_gates((3, 5), 3, patch_size=size)


class TestQuantile:
    @pytest.mark.parametrize(
        ("share", "n_active"), [(0.5, 30), (0.1, 6), (0.999, 59), (1e-6, 1), (0.26, 16)]
    )
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_share_of_active_samples(self, share, n_active, dtype):
        X = data().astype(dtype)
        gates = cvxnn.sample_quantile_gates(X, 40, active_share=share, random_state=0)
        assert gates.shape == (5, 40)
        dense = cvxnn.activation_patterns(with_ones(X), gates).to_dense()
        assert (dense.sum(axis=0) == n_active).all()

    def test_random_shares_are_uniform(self):
        X = data(n_samples=11)
        gates = cvxnn.sample_quantile_gates(X, 5000, random_state=0)
        counts = np.bincount((with_ones(X) @ gates > 0).sum(axis=0), minlength=12)
        assert counts[0] == counts[11] == 0
        assert abs(counts[1:11] - 500).max() < 6 * np.sqrt(5000 * 0.1 * 0.9)

    def test_threads_change_no_bit(self):
        X = data(n_samples=4000, n_features=50)
        found = []
        for n_threads in (1, 2):
            with threadpool_limits(n_threads):
                found.append(cvxnn.sample_quantile_gates(X, 20, random_state=0))
        np.testing.assert_array_equal(*found)

    def test_far_data_still_have_many_patterns(self):
        X = data() + 1e3
        Z = with_ones(X)
        plain = cvxnn.activation_patterns(Z, cvxnn.sample_gates(5, 200, random_state=0))
        through = cvxnn.activation_patterns(Z, cvxnn.sample_quantile_gates(X, 200, random_state=0))
        assert plain.n_patterns < 20
        assert through.n_patterns > 180

    def test_equal_samples_are_active_together(self):
        X = np.repeat([[0.0], [1.0], [3.0]], [6, 2, 2], axis=0)
        gates = cvxnn.sample_quantile_gates(X, 20, active_share=0.3, random_state=0)
        active = with_ones(X) @ gates > 0
        upward = gates[0] > 0
        assert 0 < upward.sum() < 20
        assert (active[:, upward].sum(axis=0) == 4).all()
        assert (active[:, ~upward].sum(axis=0) == 6).all()

    @pytest.mark.parametrize("X", [[[2.0, -1.0]], np.ones((5, 2)), np.zeros((5, 2))])
    def test_samples_that_nothing_separates_are_active(self, X):
        gates = cvxnn.sample_quantile_gates(X, 6, random_state=0)
        assert (with_ones(np.asarray(X)) @ gates > 0).all()

    @pytest.mark.parametrize("share", [0.0, 1.0, -0.2, np.nan, np.inf, "half", True])
    def test_bad_share(self, share):
        with pytest.raises((TypeError, ValueError), match="active_share"):
            cvxnn.sample_quantile_gates(data(), 3, active_share=share)

    @pytest.mark.parametrize("X", [[1.0, 2.0], [[np.nan]], [[np.inf]], [[1j]], np.ones((0, 2))])
    def test_bad_data(self, X):
        with pytest.raises(ValueError, match="X"):
            cvxnn.sample_quantile_gates(X, 3)
