"""The recovered network: output, objective, and its file."""

import copy
import io
import os
import pickle
import threading
import zipfile

import numpy as np
import pytest

import cvxnn
from networks import make_network


def forward(network, X):
    """Return the outputs by numpy, as the docstring of Network defines them."""
    hidden = X @ network.coefs_[0] + network.intercepts_[0]
    if network.activation == "gated_relu":
        neurons = hidden * (X @ network.gates_ + network.gate_intercepts_ > 0)
    else:
        neurons = np.maximum(hidden, 0)
    outputs = neurons @ network.coefs_[1] + network.intercepts_[1]
    return outputs if network.skip_ is None else outputs + X @ network.skip_


def arrays(network):
    return {
        "coefs_0": network.coefs_[0],
        "coefs_1": network.coefs_[1],
        "intercepts_0": network.intercepts_[0],
        "intercepts_1": network.intercepts_[1],
        "gates": network.gates_,
        "gate_intercepts": network.gate_intercepts_,
        "skip": network.skip_,
        "penalty_weights": network.penalty_weights_,
    }


def assert_same_network(got, wanted):
    assert got.activation == wanted.activation
    for name, array in arrays(wanted).items():
        if array is None:
            assert arrays(got)[name] is None
        else:
            assert arrays(got)[name].dtype == np.float64
            assert arrays(got)[name].tobytes() == array.tobytes()


def names(folder):
    return sorted(path.name for path in folder.iterdir())


KINDS = pytest.mark.parametrize("kind", ["gated_relu", "relu"])
SKIPS = pytest.mark.parametrize("skip", [False, True])


@KINDS
@SKIPS
class TestPredict:
    @pytest.mark.parametrize("n_outputs", [1, 3])
    @pytest.mark.parametrize("n_samples", [1, 2, 64, 333])
    def test_equals_numpy(self, kind, skip, n_outputs, n_samples):
        network = make_network(kind, skip=skip, n_outputs=n_outputs)
        X = np.random.default_rng(1).standard_normal((n_samples, 4))
        got, wanted = network.predict(X), forward(network, X)
        assert got.dtype == np.float64
        assert got.shape == ((n_samples,) if n_outputs == 1 else (n_samples, n_outputs))
        np.testing.assert_allclose(got.reshape(wanted.shape), wanted, rtol=1e-12, atol=1e-12)

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_a_row_does_not_depend_on_its_batch(self, kind, skip, dtype):
        network = make_network(kind, skip=skip, n_features=11, width=70, n_outputs=2)
        X = np.random.default_rng(1).standard_normal((2500, 11)).astype(dtype)
        whole = network.predict(X, n_threads=1)
        for n_threads in (2, 3):
            np.testing.assert_array_equal(network.predict(X, n_threads=n_threads), whole)
        for rows in ([0], [2499], [5, 3], range(7, 78), range(1000, 2300)):
            np.testing.assert_array_equal(network.predict(X[list(rows)]), whole[list(rows)])

    @pytest.mark.parametrize(
        ("n_features", "width"), [(1, 1), (3, 2), (7, 8), (8, 15), (40, 5), (40, 15), (200, 130)]
    )
    def test_a_small_batch_is_computed_as_a_large_one(self, kind, skip, n_features, width):
        network = make_network(kind, skip=skip, n_features=n_features, width=width, n_outputs=1)
        X = np.random.default_rng(1).standard_normal((300, n_features))
        whole = network.predict(X)
        for rows in (1, 2, 4, 5, 19, 20, 21, 256):
            np.testing.assert_array_equal(network.predict(X[:rows]), whole[:rows])
            np.testing.assert_array_equal(network.predict(X[-rows:]), whole[-rows:])

    def test_float32_rows_have_the_output_of_their_values(self, kind, skip):
        network = make_network(kind, skip=skip)
        X = np.random.default_rng(1).standard_normal((50, 4)).astype(np.float32)
        got, wanted = network.predict(X), forward(network, X.astype(np.float64))[:, 0]
        np.testing.assert_allclose(got, wanted, rtol=1e-12, atol=1e-12)


def test_gate_on_its_boundary_is_shut():
    network = cvxnn.Network(
        [[[1.0]], [[1.0]]], [[5.0], [0.0]], activation="gated_relu", gates=[[1.0]]
    )
    np.testing.assert_array_equal(network.predict([[0.0], [1e-300], [-1.0]]), [0.0, 5.0, 0.0])


def test_network_without_neurons():
    network = cvxnn.Network([np.empty((3, 0)), np.empty((0, 2))], [[], [1.0, 2.0]])
    np.testing.assert_array_equal(network.predict(np.ones((2, 3))), [[1.0, 2.0], [1.0, 2.0]])


def test_sizes_and_repr():
    network = make_network("gated_relu", n_outputs=2)
    assert (network.n_features_in_, network.width, network.n_outputs_) == (4, 7, 2)
    assert repr(network) == "Network(activation='gated_relu', n_features=4, width=7, n_outputs=2)"


LOSSES = {
    "squared": (lambda f, y: (f - y) ** 2 / 2, "squared"),
    "logistic": (lambda f, y: np.log1p(np.exp(-y * f)), "logistic"),
    "squared_hinge": (lambda f, y: np.maximum(0, 1 - y * f) ** 2 / 2, "squared_hinge"),
    "hinge": (lambda f, y: np.maximum(0, 1 - y * f), "hinge"),
    "huber": (
        lambda f, y: np.where(abs(f - y) <= 0.7, (f - y) ** 2 / 2, 0.7 * (abs(f - y) - 0.35)),
        cvxnn.Huber(0.7),
    ),
}


@KINDS
@SKIPS
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_outputs", [1, 2])
def test_objective(kind, skip, loss, weighted, n_outputs):
    rng = np.random.default_rng(2)
    network = make_network(kind, skip=skip, n_outputs=n_outputs)
    X = rng.standard_normal((50, 4))
    y = rng.choice([-1.0, 1.0], (50, n_outputs))
    weight = rng.uniform(0, 3, 50) if weighted else np.ones(50)
    formula, name = LOSSES[loss]
    fit = (weight / weight.mean() * formula(forward(network, X), y).sum(axis=1)).mean()
    u = (network.coefs_[0] ** 2).sum(axis=0) + network.intercepts_[0] ** 2
    v = (network.coefs_[1] ** 2).sum(axis=1)
    wanted = fit + 0.3 / 2 * (network.penalty_weights_ * (u + v)).sum()
    got = network.objective(X, y, 0.3, loss=name, sample_weight=weight if weighted else None)
    assert got == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("shape", [(50, 2), (50, 0), (50, 1, 1), ()])
def test_objective_wants_a_column_an_output(shape):
    with pytest.raises(ValueError, match=r"^y must have (1 columns|shape)"):
        make_network("relu").objective(np.ones((50, 4)), np.ones(shape), 0.1)


H, O = np.ones((3, 2)), np.ones((2, 1))  # noqa: E741
BAD_NETWORKS = [
    ({"activation": "tanh"}, "^activation must be one of"),
    ({"activation": "gated_relu"}, "^gates belong to activation='gated_relu'"),
    ({"gates": H}, "^gates belong to activation='gated_relu'"),
    ({"gate_intercepts": np.ones(2)}, "^gate_intercepts belong to activation='gated_relu'"),
    ({"coefs": [H]}, "^coefs must hold two arrays, one a layer, got 1"),
    ({"intercepts": [[0.0, 0.0]]}, "^intercepts must hold two arrays, one a layer, got 1"),
    ({"coefs": [H[0], O]}, r"^coefs\[0\] must have shape \(any, any\), got \(2,\)"),
    ({"coefs": [H, H]}, r"^coefs\[1\] must have shape \(2, any\), got \(3, 2\)"),
    ({"coefs": [H[:0], O]}, "^coefs must have at least one feature"),
    ({"coefs": [H, O[:, :0]]}, "^coefs must have at least one feature and one output"),
    ({"coefs": [H * np.nan, O]}, r"^coefs\[0\] contains NaN or infinity"),
    ({"coefs": [H, O * np.inf]}, r"^coefs\[1\] contains NaN or infinity"),
    ({"coefs": [H * 1j, O]}, r"^coefs\[0\] must be real"),
    ({"coefs": [np.full((3, 2), "x"), O]}, r"^coefs\[0\] must be numeric"),
    ({"intercepts": [[0.0], [0.0]]}, r"^intercepts\[0\] must have shape \(width,\) = \(2,\)"),
    ({"intercepts": [[0.0, 0.0], [0.0, 0.0]]}, r"^intercepts\[1\] must have shape"),
    ({"intercepts": [[0.0, np.nan], [0.0]]}, r"^intercepts\[0\] contains NaN"),
    ({"activation": "gated_relu", "gates": H.T}, r"^gates must have shape \(3, 2\)"),
    ({"activation": "gated_relu", "gates": H * np.inf}, "^gates contains NaN or infinity"),
    (
        {"activation": "gated_relu", "gates": H, "gate_intercepts": [1.0]},
        "^gate_intercepts must have shape",
    ),
    ({"skip": np.ones((2, 1))}, r"^skip must have shape \(3, 1\), got \(2, 1\)"),
    ({"skip": np.ones((3, 1)) * np.nan}, "^skip contains NaN or infinity"),
    ({"penalty_weights": np.ones(3)}, "^penalty_weights must have shape"),
    ({"penalty_weights": [1.0, -1.0]}, "^penalty_weights must be non-negative, got -1"),
]


@pytest.mark.parametrize(("changes", "message"), BAD_NETWORKS)
def test_bad_network(changes, message):
    good = {"coefs": [H, O], "intercepts": [np.zeros(2), np.zeros(1)]}
    cvxnn.Network(**good)
    with pytest.raises(ValueError, match=message):
        cvxnn.Network(**{**good, **changes})


class TestCopies:
    @KINDS
    @pytest.mark.parametrize("twin", [copy.deepcopy, lambda n: pickle.loads(pickle.dumps(n))])
    def test_pickle_and_deepcopy(self, kind, twin):
        network = make_network(kind, skip=True)
        other = twin(network)
        assert_same_network(other, network)
        other.coefs_[0][...] = 0.0
        assert network.coefs_[0].all()

    def test_result_of_a_solve(self, problem):
        result = cvxnn.solve(problem.X, problem.y, problem.patterns, alpha=0.1)
        again = pickle.loads(pickle.dumps(result))
        assert_same_network(again.network(), result.network())
        assert (again.primal, again.trace) == (result.primal, result.trace)


class TestFile:
    @KINDS
    @SKIPS
    @pytest.mark.parametrize("n_outputs", [1, 3])
    def test_round_trip(self, tmp_path, kind, skip, n_outputs):
        network = make_network(kind, skip=skip, n_outputs=n_outputs)
        network.save(tmp_path / "net")
        assert names(tmp_path) == ["net"]  # the name as it is, nothing beside it
        again = cvxnn.Network.load(os.fspath(tmp_path / "net"))
        assert_same_network(again, network)
        X = np.random.default_rng(1).standard_normal((20, 4))
        np.testing.assert_array_equal(again.predict(X), network.predict(X))

    def test_holds_no_pickles(self, tmp_path):
        make_network("gated_relu", skip=True).save(tmp_path / "net.npz")
        with np.load(tmp_path / "net.npz", allow_pickle=False) as archive:
            stored = {name: archive[name] for name in archive.files}
        assert all(array.dtype.kind in "fiU" for array in stored.values())
        assert stored["format"] == "cvxnn.network"
        assert stored["version"] == 1

    def test_permissions_follow_the_umask(self, tmp_path):
        before = os.umask(0o027)
        try:
            make_network("relu").save(tmp_path / "net.npz")
        finally:
            os.umask(before)
        assert (tmp_path / "net.npz").stat().st_mode & 0o777 == 0o640

    def test_a_file_that_is_replaced_keeps_its_mode(self, tmp_path):
        make_network("relu").save(tmp_path / "net.npz")
        (tmp_path / "net.npz").chmod(0o600)
        make_network("relu", seed=2).save(tmp_path / "net.npz")
        assert (tmp_path / "net.npz").stat().st_mode & 0o777 == 0o600

    def test_links_are_followed(self, tmp_path):
        (tmp_path / "link.npz").symlink_to("real.npz")
        for seed in (1, 2):  # of a link to nothing, and to a file
            network = make_network("relu", seed=seed)
            network.save(tmp_path / "link.npz")
            assert (tmp_path / "link.npz").is_symlink()
            assert_same_network(cvxnn.Network.load(tmp_path / "real.npz"), network)
        assert names(tmp_path) == ["link.npz", "real.npz"]

    def test_pipes_stay_pipes(self, tmp_path):
        os.mkfifo(tmp_path / "pipe")
        network, received = make_network("relu"), []
        reader = threading.Thread(
            target=lambda: received.append((tmp_path / "pipe").read_bytes()), daemon=True
        )
        reader.start()
        network.save(tmp_path / "pipe")
        reader.join()
        assert (tmp_path / "pipe").is_fifo()
        (tmp_path / "net.npz").write_bytes(received[0])
        assert_same_network(cvxnn.Network.load(tmp_path / "net.npz"), network)

    @pytest.mark.parametrize("error", [OSError(28, "no space left"), KeyboardInterrupt()])
    def test_failing_save_keeps_the_old_file(self, tmp_path, monkeypatch, error):
        old = make_network("relu", seed=1)
        old.save(tmp_path / "net.npz")

        def savez(file, **_):
            file.write(b"half a net")
            raise error

        monkeypatch.setattr(np, "savez", savez)
        with pytest.raises(type(error)):
            make_network("relu", seed=2).save(tmp_path / "net.npz")
        assert names(tmp_path) == ["net.npz"]
        assert_same_network(cvxnn.Network.load(tmp_path / "net.npz"), old)

    def test_ctrl_c_is_not_hidden_by_what_fails_in_its_wake(self, tmp_path, monkeypatch):
        def savez(*_, **__):  # zipfile cannot close an archive that was interrupted
            try:
                raise KeyboardInterrupt
            finally:
                raise ValueError("Can't close the ZIP file")

        monkeypatch.setattr(np, "savez", savez)
        with pytest.raises(KeyboardInterrupt):
            make_network("relu").save(tmp_path / "net.npz")
        assert names(tmp_path) == []

    def test_error_of_a_save_in_the_wake_of_ctrl_c(self, tmp_path):
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            with pytest.raises(IsADirectoryError):
                make_network("relu").save(tmp_path)

    def test_save_to_a_wrong_place(self, tmp_path):
        with pytest.raises(FileNotFoundError):
            make_network("relu").save(tmp_path / "nowhere" / "net.npz")
        (tmp_path / "folder").mkdir()
        with pytest.raises(IsADirectoryError):
            make_network("relu").save(tmp_path / "folder")
        assert names(tmp_path) == ["folder"]

    def test_missing_file(self, tmp_path):
        with pytest.raises(FileNotFoundError):
            cvxnn.Network.load(tmp_path / "net.npz")

    @pytest.fixture
    def stored(self, tmp_path):
        """The arrays of a good file."""
        make_network("gated_relu", skip=True).save(tmp_path / "good.npz")
        with np.load(tmp_path / "good.npz") as archive:
            return {name: archive[name] for name in archive.files}

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"\0" * 1000,
            np.random.default_rng(0).bytes(5000),
            b"PK\x03\x04" + np.random.default_rng(0).bytes(5000),
            pickle.dumps({"format": "cvxnn.network"}),
        ],
    )
    def test_file_of_something_else(self, tmp_path, content):
        (tmp_path / "net.npz").write_bytes(content)
        with pytest.raises(ValueError, match=r"net\.npz is not a readable cvxnn network"):
            cvxnn.Network.load(tmp_path / "net.npz")

    def test_folder_or_single_array(self, tmp_path):
        np.save(tmp_path / "net.npy", np.ones(3))
        for path in (tmp_path, tmp_path / "net.npy"):
            with pytest.raises(ValueError, match="is not a readable cvxnn network"):
                cvxnn.Network.load(path)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"format": None}, "is not a cvxnn network"),
            ({"format": "else"}, "is not a cvxnn network"),
            ({"version": None}, "is not a cvxnn network"),
            ({"version": "one"}, "is not a cvxnn network"),
            ({"version": [1, 1]}, "is not a cvxnn network"),
            ({"version": 0}, "is not a cvxnn network"),
            ({"version": 2}, "has format version 2, this cvxnn reads up to 1: upgrade cvxnn"),
            ({"coefs_0": None}, "is a broken cvxnn network"),
            ({"penalty_weights": None}, "is a broken cvxnn network"),
            ({"gates": None}, "is a broken cvxnn network: gate"),
            ({"skips": np.ones((4, 1))}, r"is a broken cvxnn network: unknown arrays \['skips'\]"),
            ({"activation": "tanh"}, "is a broken cvxnn network: activation"),
            (
                {"coefs_0": np.ones((4, 6))},
                r"is a broken cvxnn network: coefs\[1\] must have shape",
            ),
            (
                {"coefs_1": np.full((7, 1), np.nan)},
                r"is a broken cvxnn network: coefs\[1\] contains",
            ),
            ({"gates": np.full((4, 7), "x")}, "is a broken cvxnn network: gates must be numeric"),
            ({"skip": np.array(None)}, "is not a readable cvxnn network: skip.npy has the dtype"),
            ({"format": np.array(["cvxnn.network"], object)}, "is not a readable cvxnn network"),
        ],
    )
    def test_broken_content(self, tmp_path, stored, changes, message):
        content = {**stored, **changes}
        np.savez(tmp_path / "net.npz", **{k: v for k, v in content.items() if v is not None})
        with pytest.raises(ValueError, match=rf"net\.npz {message}"):
            cvxnn.Network.load(tmp_path / "net.npz")

    def test_truncated_at_any_length(self, tmp_path):
        network = make_network("relu", n_features=1, width=1)
        network.save(tmp_path / "net.npz")
        content = (tmp_path / "net.npz").read_bytes()
        for length in range(0, len(content), 7):
            (tmp_path / "cut.npz").write_bytes(content[:length])
            with pytest.raises(ValueError, match="is not a readable cvxnn network"):
                cvxnn.Network.load(tmp_path / "cut.npz")

    def test_flipped_bits_never_pass_as_another_network(self, tmp_path):
        network = make_network("relu", n_features=1, width=1)
        network.save(tmp_path / "net.npz")
        content = (tmp_path / "net.npz").read_bytes()
        refused = 0
        for position in range(0, len(content), 3):
            spoilt = bytearray(content)
            spoilt[position] ^= 1 << position % 8
            (tmp_path / "net.npz").write_bytes(spoilt)
            try:
                again = cvxnn.Network.load(tmp_path / "net.npz")
            except ValueError:
                refused += 1
            else:
                assert_same_network(again, network)  # a bit that no reader looks at
        assert refused > 500

    @pytest.mark.parametrize("name", ["skip", "extra"])
    def test_memory_of_a_pickle_is_never_run(self, tmp_path, stored, name):
        class Bomb:
            def __reduce__(self):
                return os.mkdir, (str(tmp_path / "boom"),)

        buffer = io.BytesIO()
        np.save(buffer, np.array([Bomb()], object), allow_pickle=True)
        np.savez(tmp_path / "net.npz", **{k: v for k, v in stored.items() if k != name})
        with zipfile.ZipFile(tmp_path / "net.npz", "a") as archive:
            archive.writestr(f"{name}.npy", buffer.getvalue())
        with pytest.raises(
            ValueError, match=r"net\.npz is (not a readable|a broken) cvxnn network"
        ):
            cvxnn.Network.load(tmp_path / "net.npz")
        assert not (tmp_path / "boom").exists()
