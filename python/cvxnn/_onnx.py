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


def to_model(network: Layers, dtype: DTypeLike) -> Any:
    """Return a ModelProto that maps "X" (N, n_features) to "y" (N, n_outputs)."""
    kind = check_dtype(dtype)
    helper = import_extra("onnx").helper
    arrays = named_arrays(network)
    if network.gates_ is not None:
        arrays["zero"] = np.zeros(())
    number = helper.np_dtype_to_tensor_dtype(kind)
    nodes = [helper.make_node("Gemm", ["X", "coefs_0", "intercepts_0"], ["hidden"])]
    if network.gates_ is None:
        nodes.append(helper.make_node("Relu", ["hidden"], ["neurons"]))
    else:
        nodes += [
            helper.make_node("Gemm", ["X", "gates", "gate_intercepts"], ["gate_values"]),
            helper.make_node("Greater", ["gate_values", "zero"], ["is_open"]),
            helper.make_node("Cast", ["is_open"], ["mask"], to=number),
            helper.make_node("Mul", ["mask", "hidden"], ["neurons"]),
        ]
    last = "y" if network.skip_ is None else "outer"
    nodes.append(helper.make_node("Gemm", ["neurons", "coefs_1", "intercepts_1"], [last]))
    if network.skip_ is not None:
        nodes += [
            helper.make_node("MatMul", ["X", "skip"], ["linear"]),
            helper.make_node("Add", ["outer", "linear"], ["y"]),
        ]
    shapes: dict[str, list[str | int]] = {
        "X": ["N", network.n_features_in_],
        "y": ["N", network.n_outputs_],
    }
    return make_model(nodes, arrays, shapes, network.activation, kind)


def make_model(
    nodes: Sequence[Any],
    arrays: Mapping[str, NDArray[Any]],
    shapes: Mapping[str, Sequence[str | int]],
    name: str,
    kind: np.dtype[Any],
) -> Any:
    """Return the ModelProto of nodes; the shapes are of its input "X" and its output "y".

    Arrays of floats are cast to a kind.
    """
    onnx = import_extra("onnx")
    helper = onnx.helper
    weights = [
        onnx.numpy_helper.from_array(_cast(array, label, kind), label)
        for label, array in arrays.items()
    ]
    number = helper.np_dtype_to_tensor_dtype(kind)
    inputs, outputs = (
        [helper.make_tensor_value_info(label, number, shapes[label])] for label in ("X", "y")
    )
    return helper.make_model(
        helper.make_graph(nodes, name, inputs, outputs, weights),
        producer_name="cvxnn",
        ir_version=_IR_VERSION,
        opset_imports=[helper.make_opsetid("", _OPSET)],
    )


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
