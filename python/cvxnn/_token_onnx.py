"""Networks on tokens as ONNX models."""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from cvxnn._onnx import Graph
from cvxnn._token_layers import TokenLayers
from cvxnn._validation import Float


class _TokenGraph(Graph):
    """The parts of an architecture; scores and maps are (N, n_heads, n_tokens, .).

    A Fourier operator has (N, n_tokens, n_heads).
    """

    def __init__(self, network: TokenLayers, dtype: DTypeLike) -> None:
        output = network.coefs_[1].reshape(-1, network.n_outputs_)
        super().__init__({"coefs_1": output, "intercept": network.intercept_}, dtype)
        self.mixing, self.pool_tokens = network.mixing, network.pool_tokens

    def see(self, tokens: str, shape: tuple[int, int]) -> None:
        """Add what all heads, whose hidden weights have a shape, see of tokens."""
        if self.mixing == "fno":
            n_tokens, n_channels = shape
            steps = np.arange(n_tokens)
            shifts = self.constant("shifts", (steps[:, None] - steps) % n_tokens)
            shifted = self.add("Gather", [tokens, shifts], "shifted", axis=1)
            flat = self.constant("flat", [0, 0, n_tokens * n_channels])
            self.add("Reshape", [shifted, flat], "rows")
            return
        axis = self.constant("head_axis", [1])
        self.add("Unsqueeze", [tokens, axis], "rows")
        if self.mixing == "self_attention":
            self.add("Transpose", ["rows"], "columns", perm=[0, 1, 3, 2])

    def scores(self, weights: Float, name: str, result: str) -> str:
        """Add the scores of hidden weights or gates."""
        if self.mixing == "fno":
            kernels = self.constant(name, weights.reshape(len(weights), -1).T)
            return self.add("MatMul", ["rows", kernels], result)
        matrices = self.constant(name, weights)
        if self.mixing == "mlp_mixer":
            return self.add("MatMul", [matrices, "rows"], result)
        queries = self.add("MatMul", ["rows", matrices], f"{result}_queries")
        return self.add("MatMul", [queries, "columns"], result)

    def outputs(self, neurons: str) -> None:
        """Add the read-out of activated scores."""
        if self.pool_tokens:
            axes = [1 if self.mixing == "fno" else 2]
            neurons = self.add("ReduceMean", [neurons], "pooled", axes=axes, keepdims=1)
        if self.mixing == "self_attention":
            neurons = self.add("MatMul", [neurons, "rows"], "maps")
        if self.mixing != "fno":
            neurons = self.add("Transpose", [neurons], "by_token", perm=[0, 2, 1, 3])
        n_neurons = len(self.arrays["coefs_1"])
        shape = [0, n_neurons] if self.pool_tokens else [0, 0, n_neurons]
        row = self.add("Reshape", [neurons, self.constant("row_shape", shape)], "row")
        linear = self.add("MatMul", [row, "coefs_1"], "linear")
        self.add("Add", [linear, "intercept"], "y")


def to_model(network: TokenLayers, dtype: DTypeLike) -> Any:
    """Return a ModelProto that maps "X" (N, n_tokens, n_channels) to "y" (N, n_outputs).

    Without `pool_tokens` y is (N, n_tokens, n_outputs).
    """
    graph = _TokenGraph(network, dtype)
    hidden = network.coefs_[0]
    tokens = "X"
    if network.constant_channel:
        after = graph.constant("after", [0, 0, 0, 0, 0, 1])
        tokens = graph.add("Pad", ["X", after, graph.constant("one", 1.0)], "tokens")
    graph.see(tokens, hidden.shape[1:])
    neurons = graph.scores(hidden, "coefs_0", "scores")
    if network.activation == "relu":
        neurons = graph.add("Relu", [neurons], "neurons")
    if network.gates_ is not None:
        neurons = graph.gated(neurons, graph.scores(network.gates_, "gates", "gate_scores"))
    graph.outputs(neurons)
    sizes: list[str | int] = ["N", network.n_tokens or "n_tokens"]
    outputs = sizes[:1] if network.pool_tokens else sizes
    shapes: dict[str, list[str | int]] = {
        "X": [*sizes, network.n_channels],
        "y": [*outputs, network.n_outputs_],
    }
    return graph.model(shapes, f"{network.activation}_{network.mixing}")
