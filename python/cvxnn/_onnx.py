"""Networks as ONNX models."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from cvxnn._extras import import_extra
from cvxnn._layers import Layers, named_arrays

# Old enough for the runtimes in use; newer operators add nothing here.
_OPSET, _IR_VERSION = 17, 8
_DTYPES = (np.dtype(np.float32), np.dtype(np.float64))


class Graph:
    """Nodes and arrays of a model, as they are added: each node names its result.

    Parameters
    ----------
    arrays : mapping of str to ndarray
        Arrays that the network has, by the names that nodes have for them.
    dtype : {'float32', 'float64'} or numpy dtype
        Of data, arithmetic and outputs.
    """

    def __init__(self, arrays: Mapping[str, NDArray[Any]], dtype: DTypeLike) -> None:
        self._kind = check_dtype(dtype)
        self._onnx = import_extra("onnx")
        self._helper = self._onnx.helper
        self._number = self._helper.np_dtype_to_tensor_dtype(self._kind)
        self.arrays = dict(arrays)
        self._nodes: list[Any] = []

    def add(self, kind: str, inputs: Sequence[str], *results: str, **attributes: Any) -> str:
        """Add a node and return its first result."""
        self._nodes.append(self._helper.make_node(kind, inputs, list(results), **attributes))
        return results[0]

    def constant(self, name: str, value: Any) -> str:
        """Add an array and return its name; integers are int64."""
        self.arrays[name] = np.asarray(value)
        return name

    def gated(self, values: str, scores: str) -> str:
        """Add what lets values through where scores are positive."""
        zero = self.constant("zero", 0.0)
        is_open = self.add("Greater", [scores, zero], "is_open")
        mask = self.add("Cast", [is_open], "mask", to=self._number)
        return self.add("Mul", [mask, values], "neurons")

    def model(self, shapes: Mapping[str, Sequence[str | int]], name: str) -> Any:
        """Return the ModelProto; the shapes are of its input "X" and its output "y".

        Arrays of floats are cast to the dtype.
        """
        helper = self._helper
        weights = [
            self._onnx.numpy_helper.from_array(_cast(array, label, self._kind), label)
            for label, array in self.arrays.items()
        ]
        inputs, outputs = (
            [helper.make_tensor_value_info(label, self._number, shapes[label])]
            for label in ("X", "y")
        )
        return helper.make_model(
            helper.make_graph(self._nodes, name, inputs, outputs, weights),
            producer_name="cvxnn",
            ir_version=_IR_VERSION,
            opset_imports=[helper.make_opsetid("", _OPSET)],
        )


def to_model(network: Layers, dtype: DTypeLike) -> Any:
    """Return a ModelProto that maps "X" (N, n_features) to "y" (N, n_outputs)."""
    graph = Graph(named_arrays(network), dtype)
    neurons = graph.add("Gemm", ["X", "coefs_0", "intercepts_0"], "hidden")
    if network.gates_ is None:
        neurons = graph.add("Relu", [neurons], "neurons")
    else:
        scores = graph.add("Gemm", ["X", "gates", "gate_intercepts"], "gate_values")
        neurons = graph.gated(neurons, scores)
    last = "y" if network.skip_ is None else "outer"
    graph.add("Gemm", [neurons, "coefs_1", "intercepts_1"], last)
    if network.skip_ is not None:
        linear = graph.add("MatMul", ["X", "skip"], "linear")
        graph.add("Add", [last, linear], "y")
    shapes: dict[str, list[str | int]] = {
        "X": ["N", network.n_features_in_],
        "y": ["N", network.n_outputs_],
    }
    return graph.model(shapes, network.activation)


def check_dtype(dtype: DTypeLike) -> np.dtype[Any]:
    """Return the dtype of a model."""
    try:
        kind = np.dtype(dtype)
    except TypeError:
        kind = None
    if kind is None or kind not in _DTYPES:  # None equals float64
        raise ValueError(f"dtype must be float32 or float64, got {dtype!r}")
    return kind


def _cast(array: NDArray[Any], name: str, dtype: np.dtype[Any]) -> NDArray[Any]:
    if array.dtype.kind == "i":
        return array
    with np.errstate(over="ignore"):
        cast = array.astype(dtype)
    if not np.isfinite(cast).all():
        raise ValueError(
            f"dtype must hold the network, got {dtype} for {name} up to {np.abs(array).max():g}"
        )
    return cast
