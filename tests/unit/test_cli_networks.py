"""The command line on networks for images, signals and tokens."""

import json

import numpy as np
import onnxruntime
import pytest

import cvxnn
from cvxnn.cli import main

RNG = np.random.default_rng(0)
IMAGES = RNG.standard_normal((7, 2, 5, 4))
SIGNALS = RNG.standard_normal((7, 1, 6))
TOKENS = RNG.standard_normal((7, 3, 2))


def random(*shape):
    return np.random.default_rng(1).standard_normal(shape)


NETWORKS = {
    "images": (
        cvxnn.ConvNetwork(random(4, 2, 3, 2), random(4), random(4, 1, 3), random(3)),
        IMAGES,
    ),
    "signals": (
        cvxnn.ConvNetwork(
            random(4, 1, 2),
            random(4),
            random(4, 5, 1),
            random(1),
            activation="gated_relu",
            gates=random(4, 1, 2),
            pooling=None,
        ),
        SIGNALS,
    ),
    "attention": (
        cvxnn.TokenNetwork("self_attention", [random(4, 2, 2), random(4, 2, 1)]),
        TOKENS,
    ),
    "mixer": (
        cvxnn.TokenNetwork(
            "mlp_mixer",
            [random(4, 3, 3), random(4, 2, 2)],
            activation="relu",
            pool_tokens=False,
        ),
        TOKENS,
    ),
    "operator": (
        cvxnn.TokenNetwork(
            "fno",
            [random(4, 3, 3), random(4, 1, 2)],
            activation="gated_relu",
            gates=random(4, 3, 3),
            constant_channel=True,
        ),
        TOKENS,
    ),
}
CASE = pytest.mark.parametrize(("network", "X"), NETWORKS.values(), ids=NETWORKS)


@pytest.fixture
def run(capsys):
    """Return a function that runs a command and returns its status, stdout and stderr."""

    def call(*arguments):
        status = main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return call


@pytest.fixture
def files(tmp_path):
    """Return a function that writes a network and data, and returns the names of both files."""

    def write(network, **arrays):
        network.save(tmp_path / "model.npz")
        np.savez(tmp_path / "data.npz", **arrays)
        return tmp_path / "model.npz", tmp_path / "data.npz"

    return write


@CASE
def test_predict(network, X, files, run, tmp_path):
    model, data = files(network, X=X, y=np.zeros(7))
    wanted = network.predict(X)
    status, out, err = run("predict", model, data)
    assert (status, err) == (0, "")
    lines = np.array([[float(text) for text in line.split(",")] for line in out.splitlines()])
    np.testing.assert_array_equal(lines, wanted.reshape(7, -1))
    printed = json.loads(run("predict", model, data, "--json", "--threads", 1)[1])
    np.testing.assert_array_equal(printed["predictions"], wanted)
    assert run("predict", model, data, "-o", tmp_path / "out.npz")[0] == 0
    np.testing.assert_array_equal(np.load(tmp_path / "out.npz")["y"], wanted)
    assert run("predict", model, data, "-o", tmp_path / "out.csv")[0] == 0
    table = np.loadtxt(tmp_path / "out.csv", delimiter=",", skiprows=1, ndmin=2)
    np.testing.assert_array_equal(table, wanted.reshape(7, -1))


def test_array_of_another_name(files, run):
    network, X = NETWORKS["images"]
    model, data = files(network, pixels=X.astype(np.float32))
    assert run("predict", model, data, "--inputs", "pixels")[0] == 0
    status, _, err = run("predict", model, data)
    assert status == 2
    assert "has no array 'X', it has ['pixels']" in err


@CASE
def test_export(network, X, files, run, tmp_path):
    model, _ = files(network, X=X)
    for dtype in ("float64", "float32"):
        if dtype == "float64" and isinstance(network, cvxnn.ConvNetwork):
            continue  # onnxruntime has convolutions in float32 only
        assert run("export", model, "-o", tmp_path / "m.onnx", "--dtype", dtype)[0] == 0
        session = onnxruntime.InferenceSession(tmp_path / "m.onnx")
        (outputs,) = session.run(["y"], {"X": X.astype(dtype)})
        wanted = network.predict(X)
        tolerance = 1e-9 if dtype == "float64" else 1e-4
        np.testing.assert_allclose(outputs.reshape(wanted.shape), wanted, tolerance, tolerance)
    assert run("export", model, "-o", tmp_path / "d.onnx")[0] == 0
    kind = "float" if isinstance(network, cvxnn.ConvNetwork) else "double"
    session = onnxruntime.InferenceSession(tmp_path / "d.onnx")
    assert session.get_inputs()[0].type == f"tensor({kind})"


@CASE
def test_torch_export(network, X, files, run, tmp_path):
    torch = pytest.importorskip("torch", reason="torch, several GB, is not in the extra test")
    model, _ = files(network, X=X)
    assert run("export", model, "-o", tmp_path / "m.pt")[0] == 0
    state = torch.load(tmp_path / "m.pt")
    module = network.to_torch()
    assert set(state) == set(module.state_dict())
    assert all(tensor.dtype == torch.float64 for tensor in state.values())


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        (
            "images",
            {
                "kind": "ConvNetwork",
                "activation": "relu",
                "n_filters": 4,
                "n_channels": 2,
                "kernel_size": [3, 2],
                "stride": [1, 1],
                "padding": [0, 0],
                "circular": False,
                "pooling": "mean",
                "n_outputs": 3,
            },
        ),
        (
            "attention",
            {
                "kind": "TokenNetwork",
                "activation": "linear",
                "mixing": "self_attention",
                "n_heads": 4,
                "n_tokens": None,
                "n_channels": 2,
                "pool_tokens": True,
                "n_outputs": 1,
            },
        ),
    ],
)
def test_info(name, facts, files, run):
    network, X = NETWORKS[name]
    model, _ = files(network, X=X)
    status, out, _ = run("info", model, "--json")
    assert status == 0
    assert json.loads(out) == facts
    lines = run("info", model)[1].splitlines()
    assert [line.split()[0] for line in lines] == list(facts)


def test_info_of_a_table_network_tells_of_its_fit(tmp_path, run):
    rows = ["a,b,t", *(f"{i},{i % 3},{'x' if i < 9 else 'y'}" for i in range(20))]
    (tmp_path / "d.csv").write_text("\n".join(rows))
    base = ("fit", tmp_path / "d.csv", "--target", "t", "--task", "classification")
    assert run(*base, "-o", tmp_path / "m.npz", "--alpha", 0.01)[0] == 0
    found = json.loads(run("info", tmp_path / "m.npz", "--json")[1])
    assert (found["kind"], found["n_features"], found["n_outputs"]) == ("Network", 2, 1)
    assert found["classes"] == ["x", "y"]
    assert found["feature_names"] == ["a", "b"]
    assert (found["loss"], found["alpha"], found["standardize"]) == ("logistic", 0.01, True)
    assert json.loads(run("info", "--json")[1])["cvxnn"] == cvxnn.__version__


@pytest.mark.parametrize(
    ("name", "X", "message"),
    [
        ("images", IMAGES[:, 0, 0], "X must have shape (n_samples, n_channels, height, width)"),
        ("images", SIGNALS, "X must have shape (n_samples, n_channels, height, width)"),
        ("signals", IMAGES, "X must have shape (n_samples, n_channels, length)"),
        ("images", IMAGES[:, :1], "X must have 2 channels, as the network has, got 1"),
        ("mixer", TOKENS[:, :2], "X must hold samples of shape (3, 2), as the network has"),
        ("attention", np.full((2, 3, 2), np.nan), "data.npz: X contains NaN or infinity"),
        ("attention", np.array(["a"]), "data.npz: X must be numeric"),
        ("attention", np.ones((0, 3, 2)), "data.npz: X must have no axis of length 0"),
    ],
)
def test_refused_data(name, X, message, files, run):
    status, out, err = run("predict", *files(NETWORKS[name][0], X=X))
    assert (status, out) == (2, "")
    assert message in err


def test_tables_are_refused_by_name(files, run, tmp_path):
    model, _ = files(*NETWORKS["attention"][:1])
    (tmp_path / "d.csv").write_text("a,b\n1,2\n")
    status, _, err = run("predict", model, tmp_path / "d.csv")
    assert status == 2
    assert "d.csv is a table, and the network takes inputs of shape (n_samples, n_tokens" in err
    assert "give an .npz file" in err


@pytest.mark.parametrize("name", ["images", "mixer"])
def test_only_a_network_of_tables_is_certified(name, files, run):
    network, X = NETWORKS[name]
    model, data = files(network, X=X, y=np.zeros(7))
    status, _, err = run("certify", model, data, "--alpha", 0.1)
    assert status == 2
    assert f"model.npz holds a {type(network).__name__}, and only a Network is certified" in err


def test_images_for_a_network_of_tables(files, run):
    network = cvxnn.Network([np.ones((4, 1)), [[1.0]]], [[0.0], [0.0]])
    status, _, err = run("predict", *files(network, X=IMAGES))
    assert status == 2
    assert "data.npz: X must" in err


@CASE
@pytest.mark.parametrize("command", ["predict", "info", "export"])
def test_broken_models(network, X, command, files, run, tmp_path):
    model, data = files(network, X=X)
    arguments = {"predict": (data,), "info": (), "export": ("-o", tmp_path / "m.onnx")}[command]
    with np.load(model) as archive:
        arrays = dict(archive)
    np.savez(model, **{**arrays, "version": np.array(99)})
    status, _, err = run(command, model, *arguments)
    assert status == 2
    assert "format version 99" in err
    del arrays["activation"]
    np.savez(model, **arrays)
    status, _, err = run(command, model, *arguments)
    assert status == 2
    assert "is a broken" in err
    model.write_bytes(model.read_bytes()[:100])
    status, _, err = run(command, model, *arguments)
    assert status == 2
    assert "is not a readable cvxnn network" in err


@pytest.mark.parametrize("form", ["strange", 3])
def test_other_formats(form, files, run):
    model, data = files(*NETWORKS["images"][:1], X=IMAGES)
    with np.load(model) as archive:
        arrays = dict(archive)
    np.savez(model, **{**arrays, "format": np.array(form)})
    status, _, err = run("predict", model, data)
    assert status == 2
    assert "is not a cvxnn network" in err
