"""Networks as ONNX models, networks of scikit-learn, and summaries."""

import re
import warnings

import numpy as np
import onnx
import onnx.reference
import onnxruntime
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Ridge
from sklearn.neural_network import MLPClassifier, MLPRegressor

import cvxnn
from networks import VARIANTS, columns, make_network

X = np.random.default_rng(5).standard_normal((70, 4))


@pytest.fixture(scope="module")
def mlps():
    """A regressor of three targets, and classifiers of two and of three classes."""
    options = {"hidden_layer_sizes": (6,), "max_iter": 20, "random_state": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return {
            "regressor": MLPRegressor(**options).fit(X, X[:, :3]),
            "two classes": MLPClassifier(**options).fit(X, X[:, 0] > 0),
            "three classes": MLPClassifier(**options).fit(X, np.digitize(X[:, 0], [-0.5, 0.5])),
            "two layers": MLPRegressor(**{**options, "hidden_layer_sizes": (3, 3)}).fit(X, X[:, 0]),
            "tanh": MLPRegressor(activation="tanh", **options).fit(X, X[:, 0]),
        }


class TestOnnx:
    @staticmethod
    def run(model, data):
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), providers=["CPUExecutionProvider"]
        )
        (outputs,) = session.run(["y"], {"X": data})
        return outputs

    @VARIANTS
    def test_runtime_agrees_with_predict(self, network):
        model = network.to_onnx()
        onnx.checker.check_model(model, full_check=True)
        got, wanted = self.run(model, X), columns(network, X)
        assert (got.dtype, got.shape) == (np.float64, wanted.shape)
        np.testing.assert_allclose(got, wanted, rtol=1e-10, atol=1e-12)
        (again,) = onnx.reference.ReferenceEvaluator(model).run(None, {"X": X})
        np.testing.assert_allclose(again, wanted, rtol=1e-10, atol=1e-12)

    @VARIANTS
    def test_float32(self, network):
        model = network.to_onnx(dtype=np.float32)
        onnx.checker.check_model(model, full_check=True)
        data = X.astype(np.float32)
        got = self.run(model, data)
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, columns(network, data), rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize("kind", ["relu", "gated_relu"])
    def test_many_features_and_neurons_agree_to_a_millionth(self, kind):
        network = make_network(kind, skip=True, n_features=300, width=500, n_outputs=2)
        data = np.random.default_rng(0).standard_normal((200, 300))
        np.testing.assert_allclose(
            self.run(network.to_onnx(), data), network.predict(data), rtol=1e-6
        )

    @pytest.mark.parametrize("n_samples", [0, 1, 5])
    def test_any_number_of_samples(self, n_samples):
        network = make_network("gated_relu", n_outputs=2)
        got = self.run(network.to_onnx(), X[:n_samples])
        np.testing.assert_allclose(got, columns(network, X)[:n_samples], rtol=1e-12)

    def test_gate_on_its_boundary_is_shut(self):
        network = cvxnn.Network(
            [[[1.0]], [[1.0]]], [[5.0], [0.0]], activation="gated_relu", gates=[[1.0]]
        )
        data = np.array([[0.0], [1e-300], [-1.0]])
        np.testing.assert_array_equal(self.run(network.to_onnx(), data), [[0.0], [5.0], [0.0]])

    @pytest.mark.parametrize("network", [make_network(), make_network("gated_relu", skip=True)])
    def test_file(self, network, tmp_path):
        model = network.to_onnx(tmp_path / "net.onnx")
        assert [path.name for path in tmp_path.iterdir()] == ["net.onnx"]
        assert onnx.load(tmp_path / "net.onnx") == model == network.to_onnx()
        assert model.opset_import[0].version <= 17

    @pytest.mark.parametrize("network", [make_network(), make_network("gated_relu", skip=True)])
    def test_no_array_is_unused(self, network):
        graph = network.to_onnx().graph
        used = {name for node in graph.node for name in node.input}
        assert {array.name for array in graph.initializer} <= used

    def test_failing_write_keeps_the_old_file(self, tmp_path):
        (tmp_path / "net.onnx").write_bytes(b"old")
        with pytest.raises(ValueError, match=r"^dtype must"):
            make_network().to_onnx(tmp_path / "net.onnx", dtype="float16")
        with pytest.raises(FileNotFoundError):
            make_network().to_onnx(tmp_path / "nowhere" / "net.onnx")
        assert (tmp_path / "net.onnx").read_bytes() == b"old"
        assert [path.name for path in tmp_path.iterdir()] == ["net.onnx"]

    @pytest.mark.parametrize("dtype", ["float16", "int64", "bytes", "no dtype", 3, ">f4"])
    def test_bad_dtype(self, dtype):
        message = re.escape(f"dtype must be float32 or float64, got {dtype!r}")
        with pytest.raises(ValueError, match=message):
            make_network().to_onnx(dtype=dtype)

    def test_weights_beyond_float32(self):
        network = cvxnn.Network([[[1e39]], [[1.0]]], [[0.0], [0.0]])
        assert self.run(network.to_onnx(), np.array([[1.0]])) == 1e39
        with pytest.raises(ValueError, match=r"^dtype must hold .* float32 for coefs_0 .* 1e\+39"):
            network.to_onnx(dtype="float32")

    def test_onnx_is_missing(self, no_module):
        no_module("onnx")
        with pytest.raises(ImportError, match=r"'cvxnn\[onnx\]'"):
            make_network().to_onnx()

    def test_estimators_give_decision_values_of_raw_inputs(self):
        labels = np.digitize(X[:, 0], [-0.5, 0.5])
        for y in (labels, labels > 0):
            model = cvxnn.ReLUClassifier(n_patterns=50).fit(10 * X + 3, y)
            got = self.run(model.network_.to_onnx(), 10 * X + 3)
            wanted = model.decision_function(10 * X + 3)
            np.testing.assert_allclose(got.reshape(wanted.shape), wanted, rtol=1e-9, atol=1e-9)


class TestSklearn:
    def test_regressor(self, mlps):
        network = cvxnn.Network.from_sklearn(mlps["regressor"])
        np.testing.assert_allclose(network.predict(X), mlps["regressor"].predict(X))

    def test_two_classes(self, mlps):
        odds = 1 / (1 + np.exp(-cvxnn.Network.from_sklearn(mlps["two classes"]).predict(X)))
        np.testing.assert_allclose(odds, mlps["two classes"].predict_proba(X)[:, 1])

    def test_three_classes(self, mlps):
        powers = np.exp(cvxnn.Network.from_sklearn(mlps["three classes"]).predict(X))
        wanted = mlps["three classes"].predict_proba(X)
        np.testing.assert_allclose(powers / powers.sum(axis=1, keepdims=True), wanted)

    @pytest.mark.parametrize("activation", ["gated_relu", "relu"])
    def test_own_estimators(self, activation):
        options = {"n_patterns": 20, "activation": activation}
        regressor = cvxnn.ReLURegressor(0.1, **options).fit(X, X[:, 0])
        network = cvxnn.Network.from_sklearn(regressor)
        np.testing.assert_array_equal(network.predict(X), regressor.predict(X))
        assert network.activation == activation
        classifier = cvxnn.ReLUClassifier(0.1, **options).fit(X, X[:, 0] > 0)
        network = cvxnn.Network.from_sklearn(classifier)
        np.testing.assert_array_equal(network.predict(X), classifier.decision_function(X))

    @pytest.mark.parametrize("name", ["two layers", "tanh"])
    def test_other_architectures(self, mlps, name):
        for argument, take in (
            ("model", cvxnn.Network.from_sklearn),
            ("network", lambda model: cvxnn.certify(model, X, X[:, 0], 0.1)),
        ):
            message = f"^{argument} must have one hidden layer of ReLU neurons, got "
            with pytest.raises(ValueError, match=message):
                take(mlps[name])

    def test_outputs_that_are_not_linear(self):
        poisson = MLPRegressor(hidden_layer_sizes=(4,), max_iter=5, random_state=0)
        with pytest.warns(ConvergenceWarning):
            poisson.fit(X, np.abs(X[:, 0]))
        poisson.out_activation_ = "exp"  # as loss="poisson" sets it, where there is that
        with pytest.raises(ValueError, match=r"^model must not put its outputs through 'exp'"):
            cvxnn.Network.from_sklearn(poisson)

    @pytest.mark.parametrize("model", [MLPRegressor(), cvxnn.ReLUClassifier()])
    def test_not_fitted(self, model):
        with pytest.raises(
            ValueError, match=f"^model must be fitted, got a {type(model).__name__}"
        ):
            cvxnn.Network.from_sklearn(model)

    @pytest.mark.parametrize("model", [None, "mlp", Ridge(), make_network(), MLPRegressor])
    def test_bad_type(self, model):
        with pytest.raises(TypeError, match=r"^model must be a fitted MLPRegressor"):
            cvxnn.Network.from_sklearn(model)


class TestSummary:
    def test_numbers(self):
        network = cvxnn.Network(
            [[[3.0, 0.0, 0.0], [0.0, 2.0, 0.0]], [[1.0, 0.0], [3.0, 4.0], [1.0, 1.0]]],
            [[4.0, 0.0, 0.0], [0.0, 0.0]],
            skip=np.ones((2, 2)),
        )
        lines = network.summary().splitlines()
        assert lines[0] == "Network, activation relu, linear skip connection"
        assert lines[1] == "features 2, neurons 3, outputs 2"
        assert lines[2] == "input weights: 2 of 6 are not zero"
        rows = [line.split() for line in lines[5:]]
        assert rows == [
            ["1", "10", "2", "5", "1"],
            ["0", "5", "5", "1", "1"],
            ["2", "0", "0", "1.414", "0"],
        ]
        cells = re.findall(r"<td>(.*?)</td>", network._repr_html_())
        assert cells == [cell for row in rows for cell in row]

    @VARIANTS
    def test_every_variant(self, network):
        text, markup = network.summary(), network._repr_html_()
        assert f"neurons {network.width}, outputs {network.n_outputs_}" in text
        assert text.splitlines()[0] in markup
        assert markup.count("<tr>") == (1 + min(network.width, 5) if network.width else 0)
        assert len(text.splitlines()) == (5 + min(network.width, 5) if network.width else 3)
