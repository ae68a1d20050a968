"""Model files of the command line: a saved network, with what its numbers mean beside it."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from cvxnn._conv_layers import SHAPES
from cvxnn._files import read_network, stored_format, write_network
from cvxnn._layers import stored_arrays
from cvxnn._token_layers import TOKEN_AXES
from cvxnn._validation import Float
from cvxnn.conv_network import ConvNetwork
from cvxnn.network import Network
from cvxnn.token_network import TokenNetwork

AnyNetwork: TypeAlias = Network | ConvNetwork | TokenNetwork

_OTHERS: dict[str, type[ConvNetwork] | type[TokenNetwork]] = {  # by the format of their files
    "cvxnn.conv_network": ConvNetwork,
    "cvxnn.token_network": TokenNetwork,
}


@dataclass(frozen=True)
class Metadata:
    """What a network does not hold itself; every part may be unknown.

    Attributes
    ----------
    classes : list or None
        The labels, for classifiers.
    feature_names : list of str or None
        Names of the columns of the training data.
    loss : str or None
        The loss of the fit.
    penalty : str or None
        Its penalty; None is the default of the estimators.
    alpha : float or None
        The regularisation strength of the fit.
    standardize : bool or None
        Whether that strength is relative to standardised data.
    """

    classes: list[Any] | None = None
    feature_names: list[str] | None = None
    loss: str | None = None
    penalty: str | None = None
    alpha: float | None = None
    standardize: bool | None = None


def write_model(path: Path, network: Network, metadata: Metadata) -> None:
    """Write a network that `Network.load` reads, and its metadata, atomically."""
    text = json.dumps(asdict(metadata))
    write_network(path, {**stored_arrays(network), "metadata": np.array(text)})


def read_model(path: Path) -> tuple[AnyNetwork, Metadata]:
    """Read a network of any kind, saved here or by its `save`."""
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    kind = _OTHERS.get(stored_format(path))
    if kind is not None:
        return kind.load(path), Metadata()
    network = Network.load(path)
    stored = read_network(path).get("metadata")
    if stored is None:
        return network, Metadata()
    try:
        metadata = Metadata(**json.loads(str(stored)))
        _check(network, metadata)
    except (RecursionError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is a broken cvxnn network: metadata: {error}") from None
    return network, metadata


def _check(network: Network, metadata: Metadata) -> None:
    names, classes = metadata.feature_names, metadata.classes
    if names is not None and len(names) != network.n_features_in_:
        raise ValueError(f"{len(names)} names of {network.n_features_in_} features")
    if classes is not None and len(classes) != max(network.n_outputs_, 2):
        raise ValueError(f"{len(classes)} classes of {network.n_outputs_} outputs")


def input_shapes(network: AnyNetwork) -> tuple[str, ...] | None:
    """Return the shapes of inputs of more than two dimensions, see `check_tensor`; None if two."""
    if isinstance(network, ConvNetwork):
        return (SHAPES[network.filters_.ndim - 3],)
    return TOKEN_AXES if isinstance(network, TokenNetwork) else None


def described(network: AnyNetwork, metadata: Metadata) -> dict[str, Any]:
    """Return what kind of network it is, its sizes, and what is known of its fit."""
    facts: dict[str, Any] = {"kind": type(network).__name__, "activation": network.activation}
    if isinstance(network, ConvNetwork):
        facts |= {
            "n_filters": network.width,
            "n_channels": network.n_channels,
            "kernel_size": network.filters_.shape[2:],
            "stride": network.stride,
            "padding": network.padding,
            "circular": network.circular,
            "pooling": network.pooling,
        }
    elif isinstance(network, TokenNetwork):
        facts |= {
            "mixing": network.mixing,
            "n_heads": network.n_heads,
            "n_tokens": network.n_tokens,
            "n_channels": network.n_channels,
            "pool_tokens": network.pool_tokens,
        }
    else:
        facts |= {"n_neurons": network.width, "n_features": network.n_features_in_}
    known = {name: value for name, value in asdict(metadata).items() if value is not None}
    return {**facts, "n_outputs": network.n_outputs_, **known}


def predicted_labels(classes: list[Any], outputs: Float) -> NDArray[Any]:
    """Return the labels that outputs stand for, as `ReLUClassifier.predict` does."""
    chosen = (outputs > 0).astype(np.intp) if outputs.ndim == 1 else outputs.argmax(axis=1)
    labels: NDArray[Any] = np.array(classes)[chosen]
    return labels


def signed_labels(labels: NDArray[Any], classes: list[Any] | None) -> Float:
    """Return +1 for the second of two classes and -1 for the first."""
    known = np.unique(labels) if classes is None else np.array(classes)
    if len(known) != 2:
        raise ValueError(f"the target must hold two classes, got {len(known)}")
    strange = labels[~np.isin(labels, known)]
    if len(strange):
        raise ValueError(f"the target has the label {strange[0]!s}, no class of the model")
    return np.where(labels == known[1], 1.0, -1.0)
