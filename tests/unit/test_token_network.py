"""Networks on tokens: outputs, objective, files, torch."""

import copy
import pickle
import re

import numpy as np
import onnx
import onnx.reference
import onnxruntime
import pytest

import cvxnn
from cvxnn._mixing import MIXINGS

N, S, D = 5, 4, 3
X = np.random.default_rng(0).standard_normal((N, S, D))


def make_network(kind, activation, *, pooled=True, constant=False, n_outputs=2, width=6):
    """Return a network of random weights."""
    rng = np.random.default_rng(1)
    shape = (width, *MIXINGS[kind].weight_shape(S, D + constant))
    positions = 1 if kind == "fno" else D + constant
    return cvxnn.TokenNetwork(
        kind,
        [rng.standard_normal(shape), rng.standard_normal((width, positions, n_outputs))],
        rng.standard_normal(n_outputs),
        activation=activation,
        gates=rng.standard_normal(shape) if activation == "gated_relu" else None,
        pool_tokens=pooled,
        constant_channel=constant,
    )


VARIANTS = pytest.mark.parametrize(
    "network",
    [
        pytest.param(
            make_network(kind, activation, pooled=pooled, constant=constant),
            id=f"{kind}-{activation}-{'pooled' if pooled else 'tokens'}{'-constant' * constant}",
        )
        for kind in MIXINGS
        for activation, pooled, constant in [
            ("linear", True, False),
            ("relu", False, False),
            ("gated_relu", True, True),
            ("gated_relu", False, False),
        ]
    ],
)


def output_by_hand(network, x):
    """Return the output of one sample by the formula of the class."""
    if network.constant_channel:
        x = np.column_stack([x, np.ones(len(x))])
    steps = np.arange(len(x))
    seen = x[(steps[:, None] - steps) % len(x)].reshape(len(x), -1)

    def scores(w):
        products = {
            "self_attention": lambda: x @ w @ x.T,
            "mlp_mixer": lambda: w @ x,
            "fno": lambda: seen @ w.reshape(-1, 1),
        }
        return products[network.mixing]()

    total = np.zeros((len(x), network.n_outputs_))
    for j, (w1, w2) in enumerate(zip(*network.coefs_, strict=True)):
        hidden = scores(w1)
        if network.activation == "relu":
            hidden = np.maximum(hidden, 0.0)
        if network.activation == "gated_relu":
            hidden = hidden * (scores(network.gates_[j]) > 0)
        total += (hidden @ x if network.mixing == "self_attention" else hidden) @ w2
    return (total.mean(axis=0) if network.pool_tokens else total) + network.intercept_


@VARIANTS
def test_outputs_are_those_of_the_formula(network):
    wanted = np.stack([output_by_hand(network, x) for x in X])
    np.testing.assert_allclose(network.predict(X), wanted, atol=1e-12)
    np.testing.assert_allclose(network.predict(X.astype(np.float32)), wanted, rtol=1e-3, atol=1e-4)


@VARIANTS
def test_samples_are_taken_in_batches(network, monkeypatch):
    whole = network.predict(X)
    monkeypatch.setattr("cvxnn._token_layers._BATCH", 30)
    np.testing.assert_allclose(network.predict(X), whole, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(network.predict(X[:1]), whole[:1], rtol=1e-12, atol=1e-12)


@VARIANTS
def test_file(network, tmp_path):
    network.save(tmp_path / "network.npz")
    again = cvxnn.TokenNetwork.load(tmp_path / "network.npz")
    assert repr(again) == repr(network)
    np.testing.assert_array_equal(again.predict(X), network.predict(X))


@VARIANTS
def test_torch_module(network):
    torch = pytest.importorskip("torch", reason="torch, several GB, is not in the extra test")
    module = network.to_torch()
    got = module(torch.from_numpy(X))
    np.testing.assert_allclose(got.detach().numpy(), network.predict(X), atol=1e-12)
    got.sum().backward()
    assert module.hidden.grad.shape == network.coefs_[0].shape
    small = network.to_torch(torch.float32)(torch.from_numpy(X.astype(np.float32)))
    assert small.dtype == torch.float32
    with pytest.raises(TypeError, match="dtype must be a floating"):
        network.to_torch(torch.int64)


def run_onnx(model, data):
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (outputs,) = session.run(["y"], {"X": data})
    return outputs


@VARIANTS
def test_onnx_runtime_agrees(network):
    model, wanted = network.to_onnx(), network.predict(X)
    got = run_onnx(model, X)
    assert (got.dtype, got.shape) == (np.float64, wanted.shape)
    np.testing.assert_allclose(got, wanted, rtol=1e-9, atol=1e-11)
    (again,) = onnx.reference.ReferenceEvaluator(model).run(None, {"X": X})
    np.testing.assert_allclose(again, wanted, rtol=1e-9, atol=1e-11)
    single = X.astype(np.float32)
    got = run_onnx(network.to_onnx(dtype=np.float32), single)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, network.predict(single), rtol=1e-4, atol=1e-3)


@VARIANTS
def test_onnx_takes_any_number_of_samples(network):
    model = network.to_onnx()
    assert run_onnx(model, X[:0]).shape == network.predict(X)[:0].shape
    np.testing.assert_allclose(run_onnx(model, X[:1]), network.predict(X[:1]), rtol=1e-9)


@VARIANTS
def test_onnx_uses_each_array(network):
    graph = network.to_onnx().graph
    used = {name for node in graph.node for name in node.input}
    assert {array.name for array in graph.initializer} <= used


@pytest.mark.parametrize("kind", MIXINGS)
def test_onnx_of_a_fit_agrees_to_a_millionth(kind):
    estimators = {
        "self_attention": cvxnn.ConvexSelfAttention,
        "mlp_mixer": cvxnn.ConvexMLPMixer,
        "fno": cvxnn.ConvexFNO,
    }
    tokens = np.random.default_rng(3).standard_normal((40, S, D)) * 30 + 5
    model = estimators[kind](alpha=0.01, n_patterns=6).fit(tokens, tokens[:, 0, 0] ** 2)
    got = run_onnx(model.network_.to_onnx(), tokens)
    assert got.shape == (40, 1)
    np.testing.assert_allclose(got[:, 0], model.predict(tokens), rtol=1e-6)


def test_onnx_of_attention_takes_any_number_of_tokens():
    tokens = np.random.default_rng(4).standard_normal((3, 9, D))
    for pooled in (True, False):
        network = make_network("self_attention", "gated_relu", pooled=pooled)
        got = run_onnx(network.to_onnx(), tokens)
        np.testing.assert_allclose(got, network.predict(tokens), rtol=1e-9)


@pytest.mark.parametrize("kind", MIXINGS)
@pytest.mark.parametrize("pooled", [True, False])
def test_onnx_without_heads(kind, pooled):
    network = make_network(kind, "gated_relu", width=0, pooled=pooled)
    np.testing.assert_array_equal(run_onnx(network.to_onnx(), X), network.predict(X))


def test_onnx_file(tmp_path):
    network = make_network("mlp_mixer", "gated_relu")
    network.to_onnx(tmp_path / "net.onnx")
    assert onnx.load(tmp_path / "net.onnx") == network.to_onnx()
    assert [path.name for path in tmp_path.iterdir()] == ["net.onnx"]


def test_refused_onnx(no_module):
    network = make_network("mlp_mixer", "relu")
    with pytest.raises(ValueError, match="dtype must be float32 or float64, got 'int64'"):
        network.to_onnx(dtype="int64")
    large = cvxnn.TokenNetwork("mlp_mixer", [1e39 * np.eye(2)[None], np.ones((1, 1, 1))])
    with pytest.raises(ValueError, match=r"dtype must hold .* float32 for coefs_0 up to 1e\+39"):
        large.to_onnx(dtype="float32")
    no_module("onnx")
    with pytest.raises(ImportError, match=r"cvxnn\[onnx\]"):
        network.to_onnx()


@VARIANTS
def test_copies(network):
    for again in (copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
        np.testing.assert_array_equal(again.predict(X), network.predict(X))


@pytest.mark.parametrize("pooled", [True, False])
def test_objective(pooled):
    network = make_network("self_attention", "relu", pooled=pooled)
    y = np.random.default_rng(2).standard_normal((N, 2) if pooled else (N, S, 2))
    residual = network.predict(X) - y
    decay = sum((weights**2).sum() for weights in network.coefs_)
    wanted = 0.5 * (residual**2).sum() / y[..., 0].size + 0.05 * decay
    assert network.objective(X, y, 0.1) == pytest.approx(wanted, rel=1e-12)
    weight = np.array([1.0, 0.0, 2.0, 0.0, 0.0])
    rows = [0, 2, 2]
    repeated = network.objective(X[rows], y[rows], 0.1)
    assert network.objective(X, y, 0.1, sample_weight=weight) == pytest.approx(repeated, rel=1e-12)


def test_one_output_is_a_vector():
    assert make_network("fno", "linear", n_outputs=1).predict(X).shape == (N,)
    assert make_network("fno", "linear", n_outputs=1, pooled=False).predict(X).shape == (N, S, 1)


def test_a_network_without_heads_is_its_intercept():
    network = make_network("mlp_mixer", "gated_relu", width=0)
    np.testing.assert_array_equal(network.predict(X), np.tile(network.intercept_, (N, 1)))


def test_attention_takes_any_number_of_tokens():
    attention = make_network("self_attention", "gated_relu")
    assert attention.n_tokens is None
    assert attention.predict(np.ones((2, 9, D))).shape == (2, 2)


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        (X[0], "X must have shape (n_samples, n_tokens, n_channels), got shape (4, 3)"),
        (X[:, :3], "X must hold samples of shape (4, 3), as the network has, got shape (5, 3, 3)"),
        (X[:, :, :2], "got shape (5, 4, 2)"),
        (X[:0], "X must have no axis of length 0"),
        (np.where(X > 1, np.nan, X), "X contains NaN or infinity"),
        (X * 1j, "X must be real"),
    ],
)
def test_refused_tokens(tokens, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        make_network("mlp_mixer", "linear").predict(tokens)


W1, W2 = np.ones((2, S, S)), np.ones((2, D, 1))


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (("mixer", [W1, W2]), {}, "mixing must be one of"),
        (("mlp_mixer", [W1]), {}, "coefs must hold two arrays, one a layer, got 1"),
        (("mlp_mixer", [W1[:, 1:], W2]), {}, "coefs[0] must hold square matrices"),
        (("mlp_mixer", [W1[0], W2]), {}, "coefs[0] must have shape (any, any, any)"),
        (("self_attention", [W1, W2]), {}, "coefs[1] must have shape (2, 4, any)"),
        (("fno", [W1, W2]), {}, "coefs[1] must have shape (2, 1, any)"),
        (("mlp_mixer", [W1 * np.inf, W2]), {}, "coefs[0] contains NaN or infinity"),
        (("mlp_mixer", [W1, W2[:, :, :0]]), {}, "at least one token, channel and output"),
        (("mlp_mixer", [W1, W2[:, :1]]), {"constant_channel": True}, "at least one token, channel"),
        (("mlp_mixer", [W1, W2], [1.0, 2.0]), {}, "intercept must have shape (n_outputs,) = (1,)"),
        (("mlp_mixer", [W1, W2]), {"activation": "tanh"}, "activation must be one of"),
        (("mlp_mixer", [W1, W2]), {"gates": W1}, "gates belong to activation='gated_relu'"),
        (("mlp_mixer", [W1, W2]), {"activation": "gated_relu"}, "gates belong to"),
        (
            ("mlp_mixer", [W1, W2]),
            {"activation": "gated_relu", "gates": W1[:1]},
            "gates must have shape (2, 4, 4), got (1, 4, 4)",
        ),
    ],
)
def test_refused_weights(arguments, options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        cvxnn.TokenNetwork(*arguments, **options)


@pytest.mark.parametrize(
    ("pooled", "y", "message"),
    [
        (True, np.ones((N, 3)), "y must have 2 outputs, got 3"),
        (True, np.ones((N + 1, 2)), "y must have shape"),
        (False, np.ones((N, 2)), "(5, 4, any) for outputs of each token, got (5, 2)"),
        (False, np.ones((N, S, 1)), "y must have 2 outputs, got 1"),
    ],
)
def test_refused_targets(pooled, y, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        make_network("fno", "linear", pooled=pooled).objective(X, y, 0.1)


def test_refused_files(tmp_path):
    path = tmp_path / "network.npz"
    cvxnn.Network([[[1.0]], [[2.0]]], [[0.0], [0.5]]).save(path)
    with pytest.raises(ValueError, match="is not a cvxnn token network"):
        cvxnn.TokenNetwork.load(path)
    make_network("fno", "linear").save(path)
    with pytest.raises(ValueError, match="is not a cvxnn network"):
        cvxnn.Network.load(path)
    with np.load(path) as stored:
        arrays = {name: stored[name] for name in stored.files if name != "intercept"}
    with path.open("wb") as file:
        np.savez(file, **arrays)
    with pytest.raises(ValueError, match="is a broken cvxnn token network"):
        cvxnn.TokenNetwork.load(path)
    with pytest.raises(FileNotFoundError):
        cvxnn.TokenNetwork.load(tmp_path / "none.npz")
