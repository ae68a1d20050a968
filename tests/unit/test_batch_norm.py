"""Closed forms of networks with batch normalisation, and these networks as torch modules."""

import numpy as np
import pytest

import cvxnn
from cvxnn._whitening import Whitener
from cvxnn.batch_norm import normalised_network


def make_data(n_samples=12, n_features=3, n_outputs=1):
    rng = np.random.default_rng(8)
    X = rng.standard_normal((n_samples, n_features)) * [1.0, 10.0, 0.1][:n_features] + 2.0
    return X, rng.standard_normal((n_samples, n_outputs))


def make_network(kind, n_outputs=1, width=6):
    """A network on whitened data; its last neuron is a constant."""
    X, _ = make_data()
    rng = np.random.default_rng(9)
    whitener = Whitener(X, np.ones(len(X)))
    hidden = rng.standard_normal((4, width))
    hidden[:3, -1], hidden[3, -1] = 0.0, 0.7
    output = rng.standard_normal((width, n_outputs))
    gates = {}
    if kind == "gated_relu":
        # The gate of the constant is always open.
        gates = {"gates": rng.standard_normal((3, width)), "gate_intercepts": np.full(width, 0.1)}
        gates["gates"][:, -1] = 0.0
    intercept = rng.standard_normal(n_outputs)
    network = normalised_network(whitener, hidden, output, intercept, activation=kind, **gates)
    return X, whitener.transform(X, constant_column=True), hidden, network


KINDS = pytest.mark.parametrize("kind", ["relu", "gated_relu"])


class TestBatchNormNetwork:
    @KINDS
    def test_moments_and_outputs(self, kind):
        X, seen, hidden, network = make_network(kind)
        before = X @ network.layers.coefs_[0]
        np.testing.assert_allclose(before.mean(axis=0), network.running_mean, atol=1e-12)
        np.testing.assert_allclose(before.var(axis=0), network.running_var, rtol=1e-12)
        np.testing.assert_allclose(network.gamma**2 + network.beta**2, (hidden**2).sum(axis=0))
        neurons = seen @ hidden
        opened = neurons > 0
        if kind == "gated_relu":
            opened = X @ network.layers.gates_ + network.layers.gate_intercepts_ > 0
        wanted = neurons * opened @ network.layers.coefs_[1] + network.layers.intercepts_[1]
        folded = network.network()
        np.testing.assert_allclose(folded.predict(X)[:, None], wanted, atol=1e-11)

    @KINDS
    def test_constant_neurons_are_kept_by_their_shift(self, kind):
        X, _, _, network = make_network(kind)
        assert (network.gamma[-1], network.beta[-1]) == (0.0, 0.7)
        assert network.running_var[-1] == 1.0
        assert network.layers.coefs_[0][:, -1].any()
        assert not network.network().coefs_[0][:, -1].any()
        assert np.isfinite(network.network().predict(X)).all()


class TestTorch:
    @pytest.fixture
    def torch(self):
        return pytest.importorskip("torch", reason="torch, several GB, is not in the extra test")

    @pytest.mark.parametrize("n_outputs", [1, 3])
    @KINDS
    def test_both_modes_predict_as_the_folded_network(self, torch, kind, n_outputs):
        X, _, _, network = make_network(kind, n_outputs)
        wanted = network.network().predict(X).reshape(len(X), n_outputs)
        module = network.to_torch()
        data = torch.from_numpy(X)
        assert not module.training
        np.testing.assert_allclose(module(data).detach().numpy(), wanted, atol=1e-10)
        one = module(data[:1]).detach().numpy()
        np.testing.assert_allclose(one, wanted[:1], atol=1e-10)
        trained = module.train()(data).detach().numpy()
        np.testing.assert_allclose(trained, wanted, atol=1e-10)

    @pytest.mark.parametrize("n_outputs", [1, 3])
    @KINDS
    def test_normalised_outputs(self, torch, kind, n_outputs):
        X, _, _, before = make_network(kind, n_outputs)
        folded = before.network()
        gates = {}
        if folded.gates_ is not None:  # they divide the data in halves
            offsets = -np.median(X @ folded.gates_, axis=0)
            gates = {"gates": folded.gates_, "gate_intercepts": offsets}
        weights, biases = [folded.coefs_[0], np.eye(6)], [folded.intercepts_[0], np.zeros(6)]
        neurons = cvxnn.Network(weights, biases, activation=kind, **gates).predict(X)[:, :5]
        layers = cvxnn.Network(
            [folded.coefs_[0][:, :5], folded.coefs_[1][:5]],
            [folded.intercepts_[0][:5], folded.intercepts_[1]],
            activation=kind,
            **{name: array[..., :5] for name, array in gates.items()},
        )
        moments = neurons.mean(axis=0), neurons.var(axis=0)
        gamma, beta = np.arange(1.0, 6.0), np.arange(-2.0, 3.0)
        network = cvxnn.BatchNormNetwork(layers, gamma, beta, *moments, placement="after")
        normal = gamma * (neurons - moments[0]) / np.sqrt(moments[1]) + beta
        wanted = normal @ layers.coefs_[1] + layers.intercepts_[1]
        got = network.network().predict(X).reshape(len(X), n_outputs)
        np.testing.assert_allclose(got, wanted, atol=1e-10)
        module = network.to_torch()
        for mode in (module.eval(), module.train()):
            outputs = mode(torch.from_numpy(X)).detach().numpy()
            np.testing.assert_allclose(outputs, wanted, atol=1e-8)
        if kind == "relu":
            assert type(module[2]) is torch.nn.BatchNorm1d

    def test_relu_is_a_plain_sequential(self, torch):
        module = make_network("relu")[-1].to_torch()
        kinds = [type(layer) for layer in module]
        nn = torch.nn
        assert kinds == [nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Linear]
        assert module[0].bias is None
        assert {p.dtype for p in module.parameters()} == {torch.float64}

    @KINDS
    def test_float32(self, torch, kind):
        X, _, _, network = make_network(kind)
        got = network.to_torch(torch.float32)(torch.from_numpy(X.astype(np.float32)))
        wanted = network.network().predict(X)
        np.testing.assert_allclose(got.detach().numpy()[:, 0], wanted, rtol=1e-3, atol=1e-4)

    @KINDS
    def test_training_steps_move_scale_and_shift(self, torch, kind):
        X, _, _, network = make_network(kind)
        module = network.to_torch().train()
        module(torch.from_numpy(X)).square().sum().backward()
        norm = module[1] if kind == "relu" else module.norm
        assert norm.weight.grad.any()
        assert norm.bias.grad.any()

    @KINDS
    def test_networks_without_normalisation_do_not_read_it(self, torch, kind):
        module = make_network(kind)[-1].to_torch()
        with pytest.raises(ValueError, match="must have two linear layers"):
            cvxnn.Network.from_torch(module)
        with pytest.raises(TypeError, match=r"^dtype must be a floating torch\.dtype or None"):
            make_network(kind)[-1].to_torch(torch.int64)

    def test_torch_is_missing(self, no_module):
        no_module("torch")
        with pytest.raises(ImportError, match=r"'cvxnn\[torch\]'"):
            make_network("relu")[-1].to_torch()


class TestClosedForm:
    def test_fit_is_the_shrunk_parts(self):
        X, _ = make_data(4)
        y = np.array([3.0, -1.0, 0.0, -2.0])
        optimum = cvxnn.batch_norm_closed_form(X, y, 0.5)
        up, down = np.sqrt(9 / 4), np.sqrt(5 / 4)
        wanted = [(1 - 0.5 / up) * 3.0, (1 - 0.5 / down) * -1.0, 0.0, (1 - 0.5 / down) * -2.0]
        np.testing.assert_allclose(optimum.network.predict(X), wanted, atol=1e-12)
        assert optimum.objective == pytest.approx(0.25 + 0.5 * (up + down - 1.0), rel=1e-14)
        residual = optimum.network.predict(X) - y
        decay = sum((part**2).sum() for part in (optimum.normalised.gamma, optimum.normalised.beta))
        decay += (optimum.normalised.layers.coefs_[1] ** 2).sum()
        assert (residual**2).mean() / 2 + 0.25 * decay == pytest.approx(optimum.objective)

    def test_large_alpha_leaves_nothing(self):
        X, _ = make_data(4)
        y = np.array([3.0, -1.0, 0.0, -2.0])
        optimum = cvxnn.batch_norm_closed_form(X, y, 1.5)  # the root mean square of the positive
        assert optimum.network.width == 0
        assert optimum.objective == pytest.approx(np.mean(y**2) / 2)
        assert cvxnn.batch_norm_closed_form(X, y, 1.49).network.width == 1

    def test_classes(self):
        X, _ = make_data(4)
        Y = np.eye(3)[[0, 2, 0, 1]]
        optimum = cvxnn.batch_norm_closed_form(X, Y, 0.55)  # above the size of single samples
        assert optimum.network.width == 1
        got = optimum.network.predict(X)
        np.testing.assert_allclose(got[:, 0], (1 - 0.55 / np.sqrt(0.5)) * Y[:, 0], atol=1e-12)
        assert not got[:, 1:].any()

    def test_float32(self):
        X, _ = make_data(4)
        y = np.array([3.0, -1.0, 0.0, -2.0])
        single = cvxnn.batch_norm_closed_form(X.astype(np.float32), y, 0.5)
        assert single.objective == cvxnn.batch_norm_closed_form(X, y, 0.5).objective

    @pytest.mark.parametrize(
        ("X", "y", "alpha", "message"),
        [
            (np.eye(3), [1.0, 2.0], 0.1, r"^y must have shape"),
            (np.eye(3), [1.0, 2.0, np.nan], 0.1, r"^y contains NaN"),
            (np.full((3, 3), np.inf), [1.0, 2.0, 3.0], 0.1, r"^X contains NaN or infinity"),
            (np.ones(3), [1.0, 2.0, 3.0], 0.1, r"^X must be 2-D"),
            (np.eye(3), [1.0, 2.0, 3.0], 0.0, r"^alpha must be positive"),
            (np.eye(3), np.ones((3, 2)), 0.1, r"^y must have at most one .* several in row 0$"),
            (np.ones((3, 3)), [1.0, 2.0, 3.0], 0.1, r"^X must have a feature that varies"),
            (
                np.arange(4.0)[:, None],
                np.ones(4),
                0.1,
                r"^X must have full row rank with a column of ones, .* got rank 2 for 4 samples$",
            ),
            (np.eye(4)[[0, 1, 2, 2]], np.ones(4), 0.1, r"got rank 3 for 4 samples$"),
        ],
    )
    def test_bad_arguments(self, X, y, alpha, message):
        with pytest.raises(ValueError, match=message):
            cvxnn.batch_norm_closed_form(X, y, alpha)
