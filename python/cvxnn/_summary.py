"""A network at a glance."""

import numpy as np
from numpy.typing import NDArray

from cvxnn._layers import Layers
from cvxnn._validation import Float

_SHOWN = 5  # neurons
_HEAD = ("neuron", "size", "input norm", "output norm", "inputs used")


def as_text(network: Layers) -> str:
    """Return the sizes of a network and its largest neurons, a line each."""
    rows = [_HEAD, *_neurons(network)]
    widths = [max(len(row[k]) for row in rows) for k in range(len(_HEAD))]
    table = ["  ".join(cell.rjust(w) for cell, w in zip(row, widths, strict=True)) for row in rows]
    return "\n".join([*_facts(network), *(table if network.width else [])])


def as_html(network: Layers) -> str:
    """Return the same as a fragment of HTML."""
    facts = "<br>".join(_facts(network))
    head = "".join(f"<th>{cell}</th>" for cell in _HEAD)
    body = "".join(
        f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in _neurons(network)
    )
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f"<div>{facts}{table if network.width else ''}</div>"


def _facts(network: Layers) -> list[str]:
    weights = network.coefs_[0]
    skip = "" if network.skip_ is None else ", linear skip connection"
    shown = min(_SHOWN, network.width)
    facts = [
        f"Network, activation {network.activation}{skip}",
        f"features {network.n_features_in_}, neurons {network.width}, outputs {network.n_outputs_}",
        f"input weights: {np.count_nonzero(weights)} of {weights.size} are not zero",
    ]
    return [*facts, f"largest neurons, {shown} of {network.width}:"] if shown else facts


def largest_first(network: Layers) -> tuple[NDArray[np.int64], Float, Float]:
    """Return the neurons by size, which is free of scaling, and all input and output norms."""
    inner = np.linalg.norm(np.vstack([network.coefs_[0], network.intercepts_[0]]), axis=0)
    outer = np.linalg.norm(network.coefs_[1], axis=1)
    return np.argsort(-inner * outer, kind="stable"), inner, outer


def _neurons(network: Layers) -> list[tuple[str, ...]]:
    """Return number, size, norms and inputs of the largest neurons."""
    order, inner, outer = largest_first(network)
    used = np.count_nonzero(network.coefs_[0], axis=0)
    return [
        (f"{j}", f"{inner[j] * outer[j]:.4g}", f"{inner[j]:.4g}", f"{outer[j]:.4g}", f"{used[j]}")
        for j in order[:_SHOWN]
    ]
