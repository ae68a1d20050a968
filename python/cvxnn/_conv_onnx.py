"""Convolutional networks as ONNX models."""

from typing import Any

from numpy.typing import DTypeLike

from cvxnn._conv_layers import ConvLayers, conv_arrays
from cvxnn._onnx import Graph

_POOLS = {"mean": "AveragePool", "max": "MaxPool"}


class _ConvGraph(Graph):
    """The parts of a convolutional network."""

    def __init__(self, network: ConvLayers, dtype: DTypeLike) -> None:
        head = network.head_.reshape(-1, network.n_outputs_)
        super().__init__({**conv_arrays(network), "head": head}, dtype)
        self.network = network

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
    graph = _ConvGraph(network, dtype)
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
    return graph.model(shapes, network.activation)
