"""Convolutional networks as ONNX models."""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from cvxnn._conv_layers import ConvLayers, conv_arrays
from cvxnn._extras import import_extra
from cvxnn._onnx import check_dtype, make_model

_POOLS = {"mean": "AveragePool", "max": "MaxPool"}


class _Graph:
    """Nodes and arrays of a model, as they are added: each node names its result."""

    def __init__(self, network: ConvLayers, kind: np.dtype[Any]) -> None:
        self.network = network
        self.helper = import_extra("onnx").helper
        self.number = self.helper.np_dtype_to_tensor_dtype(kind)
        self.arrays: dict[str, NDArray[Any]] = conv_arrays(network)
        self.arrays["head"] = network.head_.reshape(-1, network.n_outputs_)
        self.nodes: list[Any] = []

    def add(self, kind: str, inputs: list[str], *results: str, **attributes: Any) -> str:
        """Add a node and return its first result."""
        self.nodes.append(self.helper.make_node(kind, inputs, list(results), **attributes))
        return results[0]

    def constant(self, name: str, value: Any) -> str:
        """Add an array and return its name; integers are int64."""
        self.arrays[name] = np.asarray(value)
        return name

    def wrapped(self, name: str) -> str:
        """Add what appends the beginning of each axis of space to its end."""
        start = self.constant("wrap_start", [0])
        for i, (_, width) in enumerate(self.network.windows.widths()):
            if width > 0:
                stop = self.constant(f"wrap_stop_{i}", [width])
                axis = self.constant(f"wrap_axis_{i}", [i + 2])
                begin = self.add("Slice", [name, start, stop, axis], f"begin_{i}")
                name = self.add("Concat", [name, begin], f"wrapped_{i}", axis=i + 2)
        return name

    def gated(self, maps: str, scores: str) -> str:
        """Add what lets maps through where scores are positive."""
        zero = self.constant("zero", 0.0)
        is_open = self.add("Greater", [scores, zero], "is_open")
        mask = self.add("Cast", [is_open], "mask", to=self.number)
        return self.add("Mul", [mask, maps], "neurons")

    def winners(self, maps: str, scores: str) -> tuple[str, str]:
        """Add what takes from each window the value of the highest score, and this score."""
        size = self.network.pool.size
        if size is None:  # of any size: along the flattened map
            flat = self.constant("flat", [0, self.network.width, -1])
            maps = self.add("Reshape", [maps, flat], "flat_maps")
            scores = self.add("Reshape", [scores, flat], "flat_scores")
            index = self.add("ArgMax", [scores], "winner", axis=2)
            largest = self.add("ReduceMax", [scores], "largest", axes=[2])
            return self.add("GatherElements", [maps, index], "won", axis=2), largest
        self.add("MaxPool", [scores], "largest", "winner", kernel_shape=size, strides=size)
        flat = self.constant("flat", [-1])
        maps = self.add("Reshape", [maps, flat], "flat_maps")
        return self.add("Gather", [maps, "winner"], "won"), "largest"

    def pooled(self, maps: str) -> str:
        """Add the pooling of maps, if there is one."""
        kind, size = _POOLS[self.network.pool.kind], self.network.pool.size
        if self.network.pooling is None:
            return maps
        if size is None:
            return self.add(f"Global{kind}", [maps], "pooled")
        return self.add(kind, [maps], "pooled", kernel_shape=size, strides=size)


def to_model(network: ConvLayers, dtype: DTypeLike) -> Any:
    """Return a ModelProto that maps "X" (N, n_channels, ...) to "y" (N, n_outputs)."""
    kind = check_dtype(dtype)
    graph = _Graph(network, kind)
    seen = graph.wrapped("X") if network.circular else "X"
    how = {
        "kernel_shape": network.filters_.shape[2:],
        "strides": network.stride,
        "pads": [*network.padding, *network.padding],
    }
    maps = graph.add("Conv", [seen, "filters", "biases"], "hidden", **how)
    if network.activation == "relu":
        maps = graph.add("Relu", [maps], "neurons")
    if network.gates_ is not None:
        scores = graph.add("Conv", [seen, "gates", "gate_biases"], "scores", **how)
        if network.pooled_by_gates:
            maps, scores = graph.winners(maps, scores)
        maps = graph.gated(maps, scores)
    if not network.pooled_by_gates:
        maps = graph.pooled(maps)
    row = graph.add("Flatten", [maps], "row")
    graph.add("Gemm", [row, "head", "intercepts"], "y")
    space = ["length"] if network.filters_.ndim == 3 else ["height", "width"]
    shapes: dict[str, list[str | int]] = {
        "X": ["N", network.n_channels, *space],
        "y": ["N", network.n_outputs_],
    }
    return make_model(graph.nodes, graph.arrays, shapes, network.activation, kind)
