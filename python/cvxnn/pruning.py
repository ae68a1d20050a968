"""Minimal networks, and one form for all that differ by splitting, scaling and order."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cvxnn._validation import Float, check_data, check_fraction
from cvxnn.network import Network


def _weights(network: Network) -> tuple[Float, Float]:
    """Return hidden weights with the biases as last row, one neuron a column, and output weights.

    Of about the same size, by powers of two that change no output: squares have room then.
    """
    hidden, output = np.vstack([network.coefs_[0], network.intercepts_[0]]), network.coefs_[1]
    inner = np.frexp(np.abs(hidden).max(axis=0))[1]
    outer = np.frexp(np.abs(output).max(axis=1))[1]
    shift = (inner - outer) // 2
    return np.ldexp(hidden, -shift), np.ldexp(output, shift[:, None])


def _rescaled(network: Network, kept: NDArray[np.signedinteger[Any]], factors: Float) -> Network:
    """Return some neurons, balanced, their contributions scaled."""
    hidden, output = _weights(network)
    hidden, output = hidden[:, kept], output[kept]
    inner, outer = np.linalg.norm(hidden, axis=0), np.linalg.norm(output, axis=1)
    size = np.sqrt(factors * inner * outer)
    hidden = hidden * (size / inner)
    gates, offsets = network.gates_, network.gate_intercepts_
    return Network(
        [hidden[:-1], output * (size / outer)[:, None]],
        [hidden[-1], network.intercepts_[1]],
        activation=network.activation,
        gates=None if gates is None else gates[:, kept],
        gate_intercepts=None if offsets is None else offsets[kept],
        skip=network.skip_,
        penalty_weights=network.penalty_weights_[kept],
    )


def _contributions(network: Network, data: Float) -> Float:
    """Return what each neuron adds to the outputs: (n_samples * n_outputs, width)."""
    inner = data @ network.coefs_[0] + network.intercepts_[0]
    if network.gates_ is None or network.gate_intercepts_ is None:
        active = inner > 0.0
    else:
        active = data @ network.gates_ + network.gate_intercepts_ > 0.0
    values: Float = (active * inner)[:, None, :] * network.coefs_[1].T[None]
    return values.reshape(len(data) * network.n_outputs_, network.width)


def prune(network: Network, X: ArrayLike, *, rtol: float = 1e-6) -> Network:
    """Return a minimal network with the same outputs on X and no higher an objective.

    While the outputs of the neurons on X are linearly dependent, a dependency is followed in the
    direction that does not raise the weight decay, until a neuron vanishes. What remains is
    balanced and independent: at most ``n_samples * n_outputs`` neurons, none of which can be
    removed by rescaling the others.

    Parameters
    ----------
    network : Network
        ReLU or gated ReLU.
    X : array-like of shape (n_samples, n_features)
        The training data.
    rtol : float, default=1e-6
        Relative size of a singular value that counts as zero: how far outputs may move, and what
        directions of a solution to a gap of 1e-11 are good to.

    Returns
    -------
    Network

    Raises
    ------
    TypeError, ValueError
        If an argument is malformed.

    References
    ----------
    A. Mishkin, M. Pilanci (2023), Optimal sets and solution paths of ReLU networks, ICML, Algorithm
    1.

    Examples
    --------
    >>> import cvxnn
    >>> net = cvxnn.Network([[[1.0, 2.0, -1.0]], [[1.0], [0.5], [1.0]]], [[0.0] * 3, [0.0]])
    >>> cvxnn.prune(net, [[1.0], [2.0], [-1.0]]).width
    2
    """
    if not isinstance(network, Network):
        raise TypeError(f"network must be a Network, got {type(network).__name__}")
    rtol = check_fraction(rtol, "rtol")
    data = np.asarray(check_data(X), dtype=np.float64)
    if data.shape[1] != network.n_features_in_:
        raise ValueError(f"X must have {network.n_features_in_} features, got {data.shape[1]}")
    columns = _contributions(network, data)
    sizes = np.linalg.norm(columns, axis=0)
    hidden, output = _weights(network)
    strengths = np.linalg.norm(hidden, axis=0) * np.linalg.norm(output, axis=1)
    costs = network.penalty_weights_ * strengths
    kept = np.flatnonzero(sizes > 0.0)
    factors = np.ones(len(kept))
    while len(kept) > 0:
        spectrum, rows = np.linalg.svd(columns[:, kept] / sizes[kept], full_matrices=True)[1:]
        if len(spectrum) == len(kept) and spectrum[-1] > rtol * spectrum[0]:
            break
        null = rows[-1] / sizes[kept]  # sum_j null_j column_j = 0
        if null @ costs[kept] < 0.0 or (null <= 0.0).all():
            null = -null
        ratios = null / factors
        leaving = int(np.argmax(ratios))
        factors = factors - null / ratios[leaving]
        keep = factors > 0.0
        keep[leaving] = False
        kept, factors = kept[keep], factors[keep]
    return _rescaled(network, kept, factors)


def canonical_form(network: Network, *, tol: float = 1e-8) -> Network:
    """Return the network with split neurons joined, balanced and in a fixed order.

    Two networks that differ by splitting neurons into parts, by their scaling and by permutation
    have the same canonical form.

    Parameters
    ----------
    network : Network
        ReLU or gated ReLU.
    tol : float, default=1e-8
        Distance of directions that are one.

    Returns
    -------
    Network

    Raises
    ------
    TypeError
        If `network` is not one.

    References
    ----------
    A. Mishkin, M. Pilanci (2023), Optimal sets and solution paths of ReLU networks, ICML, section
    3.

    Examples
    --------
    >>> import cvxnn
    >>> net = cvxnn.Network([[[1.0, 2.0]], [[1.0], [1.0]]], [[0.0, 0.0], [0.0]])
    >>> cvxnn.canonical_form(net).coefs_[0] ** 2
    array([[3.]])
    """
    if not isinstance(network, Network):
        raise TypeError(f"network must be a Network, got {type(network).__name__}")
    hidden, output = _weights(network)
    inner, outer = np.linalg.norm(hidden, axis=0), np.linalg.norm(output, axis=1)
    used = np.flatnonzero(inner * outer > 0.0)
    parts = [(hidden[:, used] / inner[used]).T, output[used] / outer[used, None]]
    if network.gates_ is not None and network.gate_intercepts_ is not None:
        gates = np.vstack([network.gates_, network.gate_intercepts_])[:, used]
        parts.append((gates / np.linalg.norm(gates, axis=0)).T)
    keys = np.hstack(parts)
    order = np.lexsort(np.round(keys / tol).T[::-1])
    kept: list[int] = []
    factors: list[float] = []
    for j in order:
        same = [i for i, k in enumerate(kept) if np.linalg.norm(keys[k] - keys[j]) <= tol]
        if same:
            factors[same[0]] += inner[used[j]] * outer[used[j]]
        else:
            kept.append(int(j))
            factors.append(float(inner[used[j]] * outer[used[j]]))
    neurons = used[kept]
    return _rescaled(network, neurons, np.array(factors) / (inner[neurons] * outer[neurons]))
