"""Networks as torch modules, and torch modules and their states as networks."""

import copy
import pickle

import numpy as np
import pytest

import cvxnn
from networks import VARIANTS, columns, make_network

X = np.random.default_rng(5).standard_normal((70, 4))


def assert_same_arrays(got, wanted):
    assert (got.activation, got.width) == (wanted.activation, wanted.width)
    for name in ("gates_", "gate_intercepts_", "skip_"):
        one, other = getattr(got, name), getattr(wanted, name)
        assert (one is None) == (other is None)
        if one is not None:
            np.testing.assert_array_equal(one, other)
    for one, other in zip(
        [*got.coefs_, *got.intercepts_], [*wanted.coefs_, *wanted.intercepts_], strict=True
    ):
        np.testing.assert_array_equal(one, other)


class TestTorch:
    @pytest.fixture
    def torch(self):
        return pytest.importorskip("torch", reason="torch, several GB, is not in the extra test")

    @VARIANTS
    def test_module_agrees_with_predict(self, torch, network):
        module = network.to_torch()
        got = module(torch.from_numpy(X)).detach().numpy()
        assert got.dtype == np.float64
        np.testing.assert_allclose(got, columns(network, X), rtol=1e-12, atol=1e-12)

    @VARIANTS
    def test_float32(self, torch, network):
        data = X.astype(np.float32)
        got = network.to_torch(torch.float32)(torch.from_numpy(data)).detach().numpy()
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, columns(network, data), rtol=1e-4, atol=1e-5)

    @VARIANTS
    def test_round_trip(self, network, torch):  # noqa: ARG002  # skips without torch
        module = network.to_torch()
        assert_same_arrays(cvxnn.Network.from_torch(module), network)
        assert_same_arrays(cvxnn.Network.from_torch(module.state_dict()), network)

    @pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
    @VARIANTS
    def test_modules_of_less_precision_can_be_read(self, torch, network, dtype):
        module = network.to_torch(getattr(torch, dtype))
        again = cvxnn.Network.from_torch(module)
        rtol = float(torch.finfo(getattr(torch, dtype)).eps)
        np.testing.assert_allclose(again.coefs_[0], network.coefs_[0], rtol=rtol)
        assert_same_arrays(cvxnn.Network.from_torch(again.to_torch()), again)

    def test_relu_is_a_plain_sequential(self, torch):
        module = make_network().to_torch()
        assert type(module) is torch.nn.Sequential
        kinds = [type(layer) for layer in module]
        assert kinds == [torch.nn.Linear, torch.nn.ReLU, torch.nn.Linear]
        assert repr(module[0]) == "Linear(in_features=4, out_features=7, bias=True)"

    @VARIANTS
    def test_weights_are_parameters_and_gates_buffers(self, network, torch):
        module = network.to_torch()
        gated = network.activation == "gated_relu"
        buffers = {name for name, value in module.named_buffers() if value is not None}
        assert buffers == ({"gates", "gate_intercepts"} if gated else set())
        assert len(list(module.parameters())) == 4 + (network.skip_ is not None)
        assert all(array.is_contiguous() for array in module.state_dict().values())
        before = columns(network, X)
        module(torch.from_numpy(X)).sum().backward()
        with torch.no_grad():
            for parameter in module.parameters():
                parameter -= parameter.grad
        assert not np.allclose(columns(cvxnn.Network.from_torch(module), X), before)
        np.testing.assert_array_equal(columns(network, X), before)  # memory is not shared

    @pytest.mark.parametrize("kind", ["relu", "gated_relu"])
    def test_modules_can_be_copied_and_cast(self, torch, kind):
        network = make_network(kind, skip=True)
        module = network.to_torch()
        data = torch.from_numpy(X)
        twins = [copy.deepcopy(module), pickle.loads(pickle.dumps(module))]
        for twin in twins:
            assert torch.equal(twin(data), module(data))
            assert_same_arrays(cvxnn.Network.from_torch(twin), network)
        single = module.to(torch.float32)(data.float()).detach().numpy()
        np.testing.assert_allclose(single, columns(network, X), rtol=1e-4, atol=1e-5)

    def test_the_random_state_of_torch_is_left_alone(self, torch):
        before = torch.get_rng_state()
        make_network("gated_relu", skip=True).to_torch()
        assert torch.equal(torch.get_rng_state(), before)

    def test_bad_dtype(self, torch):
        for dtype in ("float32", np.float32, torch.int64, torch.complex64):
            with pytest.raises(TypeError, match=r"^dtype must be a floating torch\.dtype or None"):
                make_network().to_torch(dtype)
        network = cvxnn.Network([[[1.0]], [[1.0]]], [[0.0], [0.0]], skip=[[1e39]])
        with pytest.raises(ValueError, match=r"^dtype must hold .*float32 for skip .* 1e\+39"):
            network.to_torch(torch.float32)

    def test_torch_is_missing(self, no_module):
        no_module("torch")
        with pytest.raises(ImportError, match=r"'cvxnn\[torch\]'"):
            make_network().to_torch()

    def test_foreign_modules(self, torch):
        nn = torch.nn
        torch.manual_seed(0)

        class Functional(nn.Module):
            def __init__(self, activation):
                super().__init__()
                self.first, self.second = nn.Linear(4, 6), nn.Linear(6, 1, bias=False)
                self.drop, self.activation = nn.Dropout(0.5), activation

            def forward(self, x):
                return self.second(self.drop(self.activation(self.first(x))))[:, 0]

        for module in (
            nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 2)),
            nn.Sequential(nn.Sequential(nn.Linear(4, 5, bias=False), nn.ReLU()), nn.Linear(5, 1)),
            nn.Sequential(nn.Linear(4, 5), nn.Dropout(), nn.ReLU(), nn.Linear(5, 1)).double(),
            Functional(torch.relu),
            nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 1)).bfloat16(),
        ):
            network = cvxnn.Network.from_torch(module)
            assert module.training
            exact = copy.deepcopy(module).double().eval()(torch.from_numpy(X)).detach().numpy()
            np.testing.assert_allclose(network.predict(X), exact.reshape(network.predict(X).shape))
            if network.n_outputs_ == 1:
                assert cvxnn.certify(module, X, X[:, 0], 0.1).objective > 0

        for activation in (torch.tanh, torch.abs, torch.sigmoid, nn.functional.softplus):
            with pytest.raises(ValueError, match=r"^module must compute a linear layer, ReLU and"):
                cvxnn.Network.from_torch(Functional(activation))

    @pytest.mark.parametrize(
        "activation",
        ["Tanh", "GELU", "LeakyReLU", "ELU", "SiLU", "ReLU6", "Hardtanh", "Identity", "Softplus"],
    )
    @pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
    def test_other_activations(self, torch, activation, dtype):
        nn = torch.nn
        torch.manual_seed(0)
        layers = [nn.Linear(50, 8), getattr(nn, activation)(), nn.Linear(8, 1)]
        module = nn.Sequential(*layers).to(getattr(torch, dtype))
        with pytest.raises(ValueError, match=rf"differ by up to .*'{activation}'"):
            cvxnn.Network.from_torch(module)
        with pytest.raises(ValueError, match=r"^network must compute"):
            cvxnn.certify(module, np.ones((2, 50)), np.ones(2), 0.1)

    def test_other_architectures(self, torch):
        nn = torch.nn
        relu = nn.ReLU()
        two = "must have two linear layers"
        for layers, message in (
            ([nn.Linear(4, 3), relu, nn.Linear(3, 3), relu, nn.Linear(3, 1)], two),
            ([nn.Linear(4, 3), relu], two),
            ([nn.Linear(4, 3), nn.PReLU(), nn.Linear(3, 1)], two),
            ([nn.Linear(4, 3), nn.BatchNorm1d(3, affine=False), relu, nn.Linear(3, 1)], two),
            ([nn.Conv1d(1, 2, 3), relu, nn.Linear(2, 1)], r"\['0\.weight'\] must have shape"),
            ([nn.Embedding(4, 3), relu, nn.Linear(4, 1)], "its forward raised"),
            ([nn.Linear(4, 3), relu, nn.Linear(4, 1)], r"in order, got .* \(4, 3\) and \(4, 1\)"),
            ([nn.Linear(4, 3), relu, nn.Linear(3, 1), nn.Sigmoid()], "must compute"),
            ([nn.Flatten(0), nn.Linear(4, 3), relu, nn.Linear(3, 1)], "its forward raised"),
        ):
            with pytest.raises(ValueError, match=message):
                cvxnn.Network.from_torch(nn.Sequential(*layers))

    def test_optimizers_are_no_networks(self, torch):
        optimizer = torch.optim.SGD(make_network().to_torch().parameters())
        for take in (cvxnn.Network.from_torch, lambda v: cvxnn.certify(v, X, X[:, 0], 0.1)):
            with pytest.raises(TypeError, match=r"must be a .*torch module or its state dict"):
                take(optimizer)


GOOD_STATE = {
    "0.weight": np.ones((3, 4)),
    "0.bias": np.arange(3.0),
    "2.weight": np.ones((2, 3)),
    "2.bias": np.arange(2.0),
}


class TestStateDict:
    def test_arrays_without_torch(self, no_module):
        no_module("torch")
        network = cvxnn.Network.from_torch(GOOD_STATE)
        np.testing.assert_array_equal(network.intercepts_[0], [0.0, 1.0, 2.0])
        wanted = np.maximum(X.sum(axis=1)[:, None] + [0, 1, 2], 0).sum(axis=1)[:, None] + [0, 1]
        np.testing.assert_allclose(network.predict(X), wanted)

    def test_biases_may_be_missing(self):
        state = {name: array for name, array in GOOD_STATE.items() if "weight" in name}
        assert not any(bias.any() for bias in cvxnn.Network.from_torch(state).intercepts_)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"0.weight": None}, r"must have two linear layers, its state has \['0\.bias', '2\.b"),
            ({"4.weight": np.ones((2, 2))}, "must have two linear layers"),
            ({"0.weight": np.ones(3)}, r"\['0\.weight'\] must have shape \(any, any\), got \(3,\)"),
            ({"0.weight": np.full((3, 4), np.nan)}, r"\['0\.weight'\] contains NaN or infinity"),
            ({"0.weight": np.full((3, 4), "x")}, r"\['0\.weight'\] must be numeric"),
            ({"0.bias": np.ones(2)}, r"\['0\.bias'\] must have shape .* = \(3,\), got \(2,\)"),
            ({"2.bias": [0.0, np.inf]}, r"\['2\.bias'\] contains NaN or infinity"),
            ({"2.weight": np.ones((2, 5))}, "must have its layers in order"),
            (
                {"1.running_mean": np.ones(3)},
                r"must have two linear layers and no more.*has \['1\.running_mean'\]",
            ),
        ],
    )
    def test_bad_state(self, changes, message):
        state = {**GOOD_STATE, **changes}
        state = {name: array for name, array in state.items() if array is not None}
        with pytest.raises(ValueError, match=rf"^module ?{message}"):
            cvxnn.Network.from_torch(state)

    @pytest.mark.parametrize("value", [None, 3, "file.pt", np.ones(3), [np.ones((2, 2))]])
    def test_bad_type(self, value):
        message = f"^module must be a torch module or its state dict, got {type(value).__name__}$"
        with pytest.raises(TypeError, match=message):
            cvxnn.Network.from_torch(value)
