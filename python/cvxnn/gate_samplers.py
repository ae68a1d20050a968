"""Gates that are not plain Gaussian vectors: sparse, on patches of images, or through the data."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from cvxnn._validation import (
    Float,
    Samples,
    check_count,
    check_fraction,
    check_samples,
    is_sparse,
)
from cvxnn.arrangements import RandomState, generator


def sample_sparse_gates(
    n_features: int,
    n_gates: int,
    *,
    order: int = 2,
    bias: bool = False,
    random_state: RandomState = None,
) -> Float:
    """Sample gate vectors that look at a few features each.

    The features of a gate are a uniform draw from all sets of 1 to `order` of them; its entries
    there are Gaussian, the others zero. Gates are drawn one after the other from the generator of
    `sample_gates`: fewer gates are the first ones of more.

    Parameters
    ----------
    n_features : int
        Number of features, without the constant column for a bias.
    n_gates : int
        Number of gates.
    order : int, default=2
        The most features of a gate, `n_features` at most.
    bias : bool, default=False
        Append a Gaussian row for a constant column after the features.
    random_state : int, Generator, RandomState, SeedSequence or None, default=None
        Seed or source of randomness; None draws a fresh seed.

    Returns
    -------
    ndarray of shape (n_features [+ 1], n_gates), float64
        One gate a column.

    Raises
    ------
    TypeError, ValueError
        If a count is not a positive integer, `order` exceeds `n_features`, or the seed is not one.

    References
    ----------
    A. Mishkin, A. Sahiner, M. Pilanci (2022), Fast convex optimization for two-layer ReLU networks,
    ICML.

    Examples
    --------
    >>> import cvxnn
    >>> gates = cvxnn.sample_sparse_gates(10, 50, order=3, random_state=0)
    >>> gates.shape, int((gates != 0).sum(axis=0).max())
    ((10, 50), 3)
    """
    n_features = check_count(n_features, "n_features")
    n_gates = check_count(n_gates, "n_gates")
    order = check_count(order, "order", most=n_features)
    rng = generator(random_state)
    sizes = np.arange(1, order + 1)
    logs = np.cumsum(np.log((n_features - sizes + 1) / sizes))  # of the number of sets of a size
    share = np.cumsum(np.exp(logs - logs.max()))
    gates = np.zeros((n_features + bool(bias), n_gates))
    for gate in gates.T:
        size = 1 + int(np.searchsorted(share[:-1], rng.random() * share[-1], side="right"))
        gate[rng.choice(n_features, size, replace=False)] = rng.standard_normal(size)
        if bias:
            gate[-1] = rng.standard_normal()
    return gates


def sample_convolutional_gates(
    image_shape: Sequence[int],
    n_gates: int,
    *,
    patch_size: int = 3,
    bias: bool = False,
    random_state: RandomState = None,
) -> Float:
    """Sample gate vectors that look at a square patch of an image each.

    A patch lies within the image, at any place with the same probability, and takes all channels;
    entries on it are Gaussian, the others zero. Gates are drawn one after the other from the
    generator of `sample_gates`: fewer gates are the first ones of more.

    Parameters
    ----------
    image_shape : sequence of int, (height, width) or (height, width, n_channels)
        Shape of a sample before ``X.reshape(len(X), -1)``.
    n_gates : int
        Number of gates.
    patch_size : int, default=3
        Height and width of a patch, those of the image at most.
    bias : bool, default=False
        Append a Gaussian row for a constant column after the features.
    random_state : int, Generator, RandomState, SeedSequence or None, default=None
        Seed or source of randomness; None draws a fresh seed.

    Returns
    -------
    ndarray of shape (height * width * n_channels [+ 1], n_gates), float64
        One gate a column.

    Raises
    ------
    TypeError, ValueError
        If a size is not a positive integer, the patch exceeds the image, or the seed is not one.

    References
    ----------
    M. Pilanci, T. Ergen (2020), Neural networks are convex regularizers, ICML.

    Examples
    --------
    >>> import cvxnn
    >>> gates = cvxnn.sample_convolutional_gates((8, 8), 50, random_state=0)
    >>> gates.shape, int((gates != 0).sum(axis=0).max())
    ((64, 50), 9)
    """
    height, width, n_channels = _check_image_shape(image_shape)
    n_gates = check_count(n_gates, "n_gates")
    patch_size = check_count(patch_size, "patch_size", most=min(height, width))
    rng = generator(random_state)
    n_features = height * width * n_channels
    gates = np.zeros((n_gates, n_features + bool(bias)))
    for gate in gates:
        image = gate[:n_features].reshape(height, width, n_channels)  # a view
        top = int(rng.integers(height - patch_size + 1))
        left = int(rng.integers(width - patch_size + 1))
        patch = image[top : top + patch_size, left : left + patch_size]
        patch[:] = rng.standard_normal(patch.shape)
        if bias:
            gate[-1] = rng.standard_normal()
    return np.ascontiguousarray(gates.T)


def sample_quantile_gates(
    X: ArrayLike,
    n_gates: int,
    *,
    active_share: float | None = None,
    random_state: RandomState = None,
) -> Float:
    """Sample gate vectors whose hyperplanes pass through the data.

    A direction u is Gaussian, its bias puts the hyperplane midway between two neighbours among the
    values ``X @ u``, at a quantile: a random one, or the one that leaves `active_share` of the
    samples on the active side. Samples of the same value are active together. Gates are drawn one
    after the other from the generator of `sample_gates`: fewer gates are the first ones of more.

    Parameters
    ----------
    X : array-like or sparse matrix of shape (n_samples, n_features)
        Data, without a constant column.
    n_gates : int
        Number of gates.
    active_share : float or None, default=None
        Share of the samples that each gate is active on, between 0 and 1, rounded so that there
        are some on each side; None draws their number anew for each gate.
    random_state : int, Generator, RandomState, SeedSequence or None, default=None
        Seed or source of randomness; None draws a fresh seed.

    Returns
    -------
    ndarray of shape (n_features + 1, n_gates), float64
        One gate a column, the bias last: they belong to X with a column of ones after it.

    Raises
    ------
    TypeError, ValueError
        If X is malformed, a count is not a positive integer, the share not between 0 and 1 or the
        seed not one.

    References
    ----------
    A. Mishkin, A. Sahiner, M. Pilanci (2022), Fast convex optimization for two-layer ReLU networks,
    ICML.

    Examples
    --------
    >>> import cvxnn, numpy as np
    >>> X = np.random.default_rng(0).standard_normal((40, 3))
    >>> gates = cvxnn.sample_quantile_gates(X, 5, active_share=0.25, random_state=0)
    >>> patterns = cvxnn.activation_patterns(np.column_stack([X, np.ones(40)]), gates)
    >>> patterns.to_dense().sum(axis=0)
    array([10, 10, 10, 10, 10])
    """
    data = check_samples(X)
    n_gates = check_count(n_gates, "n_gates")
    if active_share is not None:
        active_share = check_fraction(active_share, "active_share")
    rng = generator(random_state)
    n_samples, n_features = data.shape
    most = max(1, n_samples - 1)
    gates = np.empty((n_gates, n_features + 1))
    for gate in gates:
        gate[:-1] = rng.standard_normal(n_features)
        if active_share is None:
            n_active = int(rng.integers(1, most + 1))
        else:
            n_active = min(max(round(active_share * n_samples), 1), most)
        gate[-1] = -_threshold(data, gate[:-1], n_active)
    return np.ascontiguousarray(gates.T)


def _check_image_shape(image_shape: Sequence[int]) -> tuple[int, int, int]:
    """Return height, width and number of channels, one unless given."""
    if not isinstance(image_shape, Sequence | np.ndarray) or len(image_shape) not in (2, 3):
        raise ValueError(
            "image_shape must be (height, width) or (height, width, n_channels), "
            f"got {image_shape!r}"
        )
    height, width, *channels = (check_count(size, "image_shape") for size in image_shape)
    return height, width, channels[0] if channels else 1


def _threshold(data: Samples, direction: Float, n_active: int) -> float:
    """Return a number that `n_active` of the scores exceed, more where scores are equal."""
    # Not by BLAS, whose sums depend on its threads.
    scores = data @ direction if is_sparse(data) else np.einsum("ij,j->i", data, direction)
    scores = np.sort(scores)
    least = scores[-n_active]
    below = scores[scores < least]
    if len(below) == 0:
        return float(least - max(1.0, abs(least)))
    return float(below[-1] + (least - below[-1]) / 2)
