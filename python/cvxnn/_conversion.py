"""Networks of other libraries as `Network`."""

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from cvxnn._validation import check_matrix, check_vector
from cvxnn.network import Network

_SKIP = "skip.weight"  # as `cvxnn._torch.TwoLayerNetwork` has it, beside its gates


def as_network(value: Any) -> Network:
    """Return a network from ours, scikit-learn's MLP, a torch module or its state dict."""
    if isinstance(value, Network):
        return value
    if isinstance(value, Mapping) or hasattr(value, "state_dict"):
        return from_torch(value, "network")
    if hasattr(value, "coefs_") and hasattr(value, "intercepts_"):
        return from_sklearn(value, "network")
    raise TypeError(
        "network must be a Network, a fitted scikit-learn MLP, a torch module or its state dict, "
        f"got {type(value).__name__}"
    )


def from_sklearn(model: Any, name: str = "model") -> Network:
    """Return the network of one of our estimators, or of a fitted MLP."""
    network = getattr(model, "network_", None)
    if isinstance(network, Network):
        return network
    kind = getattr(model, "activation", None)
    if kind is None or not hasattr(model, "fit"):
        raise TypeError(
            f"{name} must be a fitted MLPRegressor, MLPClassifier, ReLURegressor or "
            f"ReLUClassifier, got {type(model).__name__}"
        )
    if not hasattr(model, "coefs_"):
        raise ValueError(f"{name} must be fitted, got a {type(model).__name__} that is not")
    if len(model.coefs_) != 2 or kind != "relu":
        raise ValueError(
            f"{name} must have one hidden layer of ReLU neurons, got "
            f"{len(model.coefs_) - 1} hidden layers with activation {kind!r}"
        )
    outer = getattr(model, "out_activation_", "identity")
    if outer not in ("identity", "logistic", "softmax"):  # whose decisions are those of the scores
        raise ValueError(f"{name} must not put its outputs through {outer!r}, as its loss asks for")
    return Network(model.coefs_, model.intercepts_)


def from_torch(source: Any, name: str = "module") -> Network:
    """Return the network of a two-layer torch module, or of a state dict with its arrays."""
    if isinstance(source, Mapping):
        return _from_state_dict(source, name)
    torch = sys.modules.get("torch")  # imported by whoever made a module
    if torch is None or not isinstance(source, torch.nn.Module):
        raise TypeError(
            f"{name} must be a torch module or its state dict, got {type(source).__name__}"
        )
    network = _from_state_dict(source.state_dict(), name)
    from cvxnn._torch import check_same_outputs

    check_same_outputs(source, network, name)
    return network


def _from_state_dict(state: Mapping[str, Any], name: str) -> Network:
    arrays = {str(key): _on_host(value) for key, value in state.items()}
    keys = [key for key in arrays if key.endswith("weight") and key != _SKIP]
    if len(keys) != 2:
        raise ValueError(f"{name} must have two linear layers, its state has {sorted(arrays)}")
    weights, biases = [], []
    for key in keys:
        # torch keeps weights as (outputs, inputs).
        weights.append(check_matrix(arrays.pop(key), f"{name}[{key!r}]", (None, None)).T)
        size = weights[-1].shape[1]
        key = key.removesuffix("weight") + "bias"
        bias = arrays.pop(key, np.zeros(size))
        biases.append(check_vector(bias, f"{name}[{key!r}]", size, "outputs of the layer"))
    if weights[0].shape[1] != weights[1].shape[0]:
        raise ValueError(
            f"{name} must have its layers in order, got layers (inputs, outputs) of "
            f"{weights[0].shape} and {weights[1].shape}"
        )
    if 0 in (len(weights[0]), weights[1].shape[1]):
        raise ValueError(f"{name} must have at least one input and one output")
    gates, offsets = arrays.pop("gates", None), arrays.pop("gate_intercepts", None)
    skip = arrays.pop(_SKIP, None)
    if arrays:
        raise ValueError(
            f"{name} must have two linear layers and no more, its state has {sorted(arrays)} too"
        )
    return Network(
        weights,
        biases,
        activation="relu" if gates is None else "gated_relu",
        gates=gates,
        gate_intercepts=offsets,
        skip=None if skip is None else check_matrix(skip, f"{name}[{_SKIP!r}]", (None, None)).T,
    )


def _on_host(value: Any) -> Any:
    # Tensors may lie on other devices, and numpy has no bfloat16.
    return value.detach().cpu().double().numpy() if hasattr(value, "detach") else value
