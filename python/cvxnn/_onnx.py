"""Networks as ONNX models."""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from cvxnn._extras import import_extra
from cvxnn._layers import Layers, named_arrays
from cvxnn._validation import Float

# Old enough for the runtimes in use; newer operators add nothing here.
_OPSET, _IR_VERSION = 17, 8
_DTYPES = (np.dtype(np.float32), np.dtype(np.float64))


def to_model(network: Layers, dtype: DTypeLike) -> Any:
    """Return a ModelProto that maps "X" (N, n_features) to "y" (N, n_outputs)."""
    kind = _check_dtype(dtype)
    onnx = import_extra("onnx")
    helper = onnx.helper
    arrays = named_arrays(network)
    if network.gates_ is not None:
        arrays["zero"] = np.zeros(())
    weights = [
        onnx.numpy_helper.from_array(_cast(array, name, kind), name)
        for name, array in arrays.items()
    ]
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
    sizes = {"X": network.n_features_in_, "y": network.n_outputs_}
    inputs, outputs = (
        [helper.make_tensor_value_info(name, number, ["N", size])] for name, size in sizes.items()
    )
    graph = helper.make_graph(nodes, network.activation, inputs, outputs, weights)
    return helper.make_model(
        graph,
        producer_name="cvxnn",
        ir_version=_IR_VERSION,
        opset_imports=[helper.make_opsetid("", _OPSET)],
    )


def _check_dtype(dtype: DTypeLike) -> np.dtype[Any]:
    try:
        kind = np.dtype(dtype)
    except TypeError:
        kind = None
    if kind is None or kind not in _DTYPES:  # None equals float64
        raise ValueError(f"dtype must be float32 or float64, got {dtype!r}")
    return kind


def _cast(array: Float, name: str, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    with np.errstate(over="ignore"):
        cast = array.astype(dtype)
    if not np.isfinite(cast).all():
        raise ValueError(
            f"dtype must hold the network, got {dtype} for {name} up to {np.abs(array).max():g}"
        )
    return cast
