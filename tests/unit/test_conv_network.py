"""Convolutional networks: output, objective, files, and their forms in other libraries."""

import numpy as np
import onnx
import onnx.reference
import onnxruntime
import pytest

import cvxnn

RNG = np.random.default_rng(3)
SIGNALS = RNG.standard_normal((30, 2, 9))
IMAGES = RNG.standard_normal((30, 2, 7, 6))
# Kind, data, options, positions of the pooled map.
CASES = {
    "image": ("relu", IMAGES, {}, 1),
    "signal, largest": ("relu", SIGNALS, {"pooling": "max"}, 1),
    "windows": ("relu", IMAGES, {"pooling": ("mean", 2)}, 4),
    "stride and padding": (
        "relu",
        IMAGES,
        {"pooling": ("max", (2, 1)), "stride": (2, 1), "padding": (1, 2)},
        16,
    ),
    "no pooling": ("linear", SIGNALS, {"pooling": None}, 7),
    "circular": ("relu", IMAGES, {"pooling": None, "circular": True, "stride": 2}, 12),
    "circular signal": ("linear", SIGNALS, {"pooling": "mean", "circular": True}, 1),
    "gates": ("gated_relu", IMAGES, {"padding": 1}, 1),
    "gates on a signal": ("gated_relu", SIGNALS, {"pooling": ("mean", 2), "circular": True}, 4),
    "gates choose": ("gated_relu", IMAGES, {"pooling": "max"}, 1),
    "gates choose in windows": ("gated_relu", IMAGES, {"pooling": ("max", 2), "stride": 2}, 1),
    "gates choose in a signal": ("gated_relu", SIGNALS, {"pooling": ("max", 3)}, 2),
}


def make(kind, data, options, positions, *, n_outputs=2, width=5):
    rng = np.random.default_rng(4)
    shape = (width, 2, 3, 3)[: data.ndim]
    gated = {}
    if kind == "gated_relu":
        gated = {"gates": rng.standard_normal(shape), "gate_biases": rng.standard_normal(width)}
    return cvxnn.ConvNetwork(
        rng.standard_normal(shape),
        rng.standard_normal(width),
        rng.standard_normal((width, positions, n_outputs)),
        rng.standard_normal(n_outputs),
        activation=kind,
        **gated,
        **options,
    )


# onnx's reference evaluator takes the largest of a signal over filters too.
EVALUATED = {name: case for name, case in CASES.items() if name != "signal, largest"}


@pytest.fixture(params=CASES.values(), ids=CASES)
def case(request):
    """A network of each variant, with data."""
    return make(*request.param), request.param[1]


def by_hand(network, sample):
    """The outputs of a network on one sample, by loops."""
    space = sample.shape[1:]
    steps, padding, kernel = network.stride, network.padding, network.filters_.shape[2:]
    if network.circular:
        ends = [-(-size // step) for size, step in zip(space, steps, strict=True)]
    else:
        ends = [
            (size + 2 * p - k) // step + 1
            for size, p, k, step in zip(space, padding, kernel, steps, strict=True)
        ]
        sample = np.pad(sample, [(0, 0), *((p, p) for p in padding)])
    maps, scores = np.empty((2, network.width, *ends))
    for place in np.ndindex(*ends):
        patch = sample
        for axis, (at, step, k) in enumerate(zip(place, steps, kernel, strict=True)):
            patch = np.take(patch, np.arange(at * step, at * step + k), axis=axis + 1, mode="wrap")
        for j in range(network.width):
            maps[j][place] = np.sum(patch * network.filters_[j]) + network.biases_[j]
            scores[j][place] = maps[j][place]
            if network.gates_ is not None:
                scores[j][place] = np.sum(patch * network.gates_[j]) + network.gate_biases_[j]
    if network.activation != "linear":
        maps = np.where(scores > 0, maps, 0.0)
    pooling = network.pooling or ("mean", (1,) * len(ends))
    name, size = (pooling, tuple(ends)) if isinstance(pooling, str) else pooling
    counts = [end // part for end, part in zip(ends, size, strict=True)]
    pooled = []
    for place in np.ndindex(*counts):
        window = tuple(
            slice(at * part, (at + 1) * part) for at, part in zip(place, size, strict=True)
        )
        for j in range(network.width):
            values, of = maps[j][window].ravel(), scores[j][window].ravel()
            pooled.append(values.mean() if name == "mean" else values[of.argmax()])
    head = network.head_.transpose(1, 0, 2).reshape(-1, network.n_outputs_)
    return np.array(pooled) @ head + network.intercepts_


def test_predict(case):
    network, data = case
    wanted = np.array([by_hand(network, sample) for sample in data[:6]])
    np.testing.assert_allclose(network.predict(data[:6]), wanted, rtol=1e-11, atol=1e-12)


def test_save_and_load(case, tmp_path):
    network, data = case
    network.save(tmp_path / "net.npz")
    again = cvxnn.ConvNetwork.load(tmp_path / "net.npz")
    np.testing.assert_array_equal(again.predict(data), network.predict(data))
    assert repr(again) == repr(network)
    assert (again.stride, again.padding, again.circular) == (
        network.stride,
        network.padding,
        network.circular,
    )


def test_torch_agrees(case):
    torch = pytest.importorskip("torch", reason="torch, several GB, is not in the extra test")
    network, data = case
    got = network.to_torch()(torch.from_numpy(data)).detach().numpy()
    np.testing.assert_allclose(got, network.predict(data), rtol=1e-11, atol=1e-12)
    got = network.to_torch(torch.float32)(torch.from_numpy(data.astype(np.float32)))
    wanted = network.predict(data.astype(np.float32))
    np.testing.assert_allclose(got.detach().numpy(), wanted, rtol=1e-4, atol=1e-5)


def run_onnx(model, data):
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (outputs,) = session.run(["y"], {"X": data.astype(np.float32)})
    return outputs


def test_onnx_runtime_agrees(case):
    network, data = case
    got = run_onnx(network.to_onnx(), data)
    wanted = network.predict(data.astype(np.float32))
    assert (got.dtype, got.shape) == (np.float32, wanted.shape)
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("arguments", EVALUATED.values(), ids=EVALUATED)
def test_onnx_in_double_precision(arguments):
    network, data = make(*arguments), arguments[1]
    model = network.to_onnx(dtype="float64")
    onnx.checker.check_model(model, full_check=True)
    (got,) = onnx.reference.ReferenceEvaluator(model).run(None, {"X": data[:4]})
    np.testing.assert_allclose(got, network.predict(data[:4]), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kind", ["relu", "gated_relu"])
def test_network_without_filters(kind, tmp_path):
    network = make(kind, IMAGES, {}, 1, width=0)
    np.testing.assert_array_equal(network.predict(IMAGES), np.tile(network.intercepts_, (30, 1)))
    network.save(tmp_path / "net.npz")
    assert cvxnn.ConvNetwork.load(tmp_path / "net.npz").width == 0
    got = run_onnx(network.to_onnx(), IMAGES)
    np.testing.assert_allclose(got, network.predict(IMAGES), rtol=1e-6)


def test_onnx_file(tmp_path):
    network = make(*CASES["image"])
    network.to_onnx(tmp_path / "net.onnx")
    assert onnx.load(tmp_path / "net.onnx") == network.to_onnx()


def test_strips_do_not_change_predictions(case, monkeypatch):
    network, data = case
    whole = network.predict(data)
    monkeypatch.setattr("cvxnn._patches._STRIP", 1)
    np.testing.assert_allclose(network.predict(data), whole, rtol=1e-12)


def test_objective():
    network = make(*CASES["gates"], n_outputs=1)
    y = RNG.standard_normal(30)
    weight = RNG.uniform(1, 2, 30)
    decay = sum(np.sum(a**2) for a in (network.filters_, network.biases_, network.head_))
    errors = (network.predict(IMAGES) - y) ** 2
    wanted = 0.5 * np.average(errors, weights=weight) + 0.5 * 0.3 * decay
    got = network.objective(IMAGES, y, 0.3, sample_weight=weight)
    assert got == pytest.approx(wanted, rel=1e-12)
    with pytest.raises(ValueError, match=r"y must have 1 columns"):
        network.objective(IMAGES, np.ones((30, 2)), 0.3)


F, B, H = np.ones((2, 1, 3)), np.zeros(2), np.ones((2, 1, 1))


@pytest.mark.parametrize(
    ("arrays", "options", "message"),
    [
        ((np.ones((2, 3)), B, H, [0.0]), {}, "filters must have shape"),
        ((F * np.nan, B, H, [0.0]), {}, "filters contains NaN"),
        ((F, np.zeros(3), H, [0.0]), {}, "biases must have shape"),
        ((F, B, np.ones((3, 1, 1)), [0.0]), {}, "head must have shape"),
        ((F, B, np.ones((2, 1, 0)), []), {}, "head must have a position and an output"),
        ((F, B, np.ones((2, 2, 1)), [0.0]), {}, "head must have one position"),
        ((F, B, H, [0.0, 1.0]), {}, "intercepts must have shape"),
        ((F, B, H, [0.0]), {"activation": "tanh"}, "activation must be one of"),
        ((F, B, H, [0.0]), {"activation": "gated_relu"}, "gates belong to"),
        ((F, B, H, [0.0]), {"gate_biases": B}, "gate_biases belong to"),
        (
            (F, B, H, [0.0]),
            {"activation": "gated_relu", "gates": F[:1]},
            "gates must have shape",
        ),
        ((F, B, H, [0.0]), {"stride": 0}, "stride must be >= 1"),
        ((F, B, H, [0.0]), {"stride": (1, 1)}, "stride must be an integer or have 1"),
        ((F, B, H, [0.0]), {"padding": 3}, "padding must be smaller than kernel_size"),
        ((F, B, H, [0.0]), {"padding": 1, "circular": True}, "circular=True wraps around"),
        ((F, B, H, [0.0]), {"pooling": "median"}, "pooling must be one of"),
        ((F, B, H, [0.0]), {"pooling": 2}, "pooling must be None"),
        ((F, B, H, [0.0]), {"pooling": ("mean", 0)}, "pooling must be >= 1"),
        ((F, B, H, [0.0]), {"activation": "linear", "pooling": "max"}, "pooling 'max' needs"),
    ],
)
def test_bad_arguments(arrays, options, message):
    with pytest.raises(ValueError, match=message):
        cvxnn.ConvNetwork(*arrays, **options)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.ones((2, 3)), "X must have shape"),
        (np.ones((2, 1, 3, 3)), "X must have shape"),
        (np.ones((2, 2, 3)), "X must have 1 channels"),
        (np.ones((2, 1, 2)), "kernel_size must be at most the size of X"),
        (np.full((2, 1, 3), np.inf), "X contains NaN or infinity"),
    ],
)
def test_bad_data(X, message):
    with pytest.raises(ValueError, match=message):
        cvxnn.ConvNetwork(F, B, H, [0.0]).predict(X)


def test_size_must_give_the_positions_of_the_head():
    network = cvxnn.ConvNetwork(F, B, np.ones((2, 4, 1)), [0.0], pooling=None)
    with pytest.raises(ValueError, match="gives the 4 pooled positions"):
        network.predict(np.ones((2, 1, 5)))


def test_files_of_other_networks(tmp_path):
    cvxnn.ConvNetwork(F, B, H, [0.0]).save(tmp_path / "conv.npz")
    with pytest.raises(ValueError, match="not a cvxnn network"):
        cvxnn.Network.load(tmp_path / "conv.npz")
    cvxnn.Network([[[1.0]], [[1.0]]], [[0.0], [0.0]]).save(tmp_path / "dense.npz")
    with pytest.raises(ValueError, match="not a cvxnn conv network"):
        cvxnn.ConvNetwork.load(tmp_path / "dense.npz")


def test_broken_files(tmp_path):
    network = cvxnn.ConvNetwork(F, B, H, [0.0])
    network.save(tmp_path / "net.npz")
    arrays = dict(np.load(tmp_path / "net.npz"))
    arrays["head"] = np.ones((3, 1, 1))
    np.savez(tmp_path / "net.npz", **arrays)
    with pytest.raises(ValueError, match="is a broken convolutional network: head"):
        cvxnn.ConvNetwork.load(tmp_path / "net.npz")
