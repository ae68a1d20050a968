"""Networks of other libraries as `Network`."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from cvxnn._validation import Float
from cvxnn.network import Network


def as_network(value: Any) -> Network:
    """Return a two-layer ReLU network from ours, scikit-learn's MLP, or a torch state dict."""
    if isinstance(value, Network):
        return value
    if hasattr(value, "coefs_") and hasattr(value, "intercepts_"):
        return _from_sklearn(value)
    if hasattr(value, "state_dict"):
        value = value.state_dict()
    if isinstance(value, Mapping):
        return _from_state_dict(value)
    raise TypeError(
        "network must be a Network, a fitted scikit-learn MLP, a torch module or its state dict, "
        f"got {type(value).__name__}"
    )


def _from_sklearn(model: Any) -> Network:
    kind = getattr(model, "activation", "relu")
    if len(model.coefs_) != 2 or kind not in ("relu", "gated_relu"):
        raise ValueError(
            "network must have one hidden layer of ReLU neurons, got "
            f"{len(model.coefs_) - 1} hidden layers with activation {kind!r}"
        )
    network = getattr(model, "network_", None)
    if isinstance(network, Network):
        return network
    return Network(model.coefs_, model.intercepts_)


def _from_state_dict(state: Mapping[str, Any]) -> Network:
    arrays: dict[str, Float] = {
        name: np.asarray(getattr(value, "detach", lambda v=value: v)(), dtype=np.float64)
        for name, value in state.items()
    }
    weights = [array for name, array in arrays.items() if name.endswith("weight")]
    names = [name for name in arrays if name.endswith("weight")]
    if len(weights) != 2 or any(weight.ndim != 2 for weight in weights):
        raise ValueError(f"network must have two linear layers, its state has {sorted(arrays)}")
    biases = [
        arrays.get(name.removesuffix("weight") + "bias", np.zeros(len(weight)))
        for name, weight in zip(names, weights, strict=True)
    ]
    return Network([weights[0].T, weights[1].T], biases)
