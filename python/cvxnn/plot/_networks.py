"""Pictures of networks: their functions, regions and weights."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cvxnn._conversion import from_sklearn
from cvxnn._extras import import_extra
from cvxnn._summary import largest_first
from cvxnn._validation import Float, check_count, check_data, check_flag, check_vector
from cvxnn.network import Network
from cvxnn.plot._axes import axes_or_new, check_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MARGIN = 0.05  # of the range of the data, on either side


def _network_of(network: Any) -> Network:
    return network if isinstance(network, Network) else from_sklearn(network, "network")


def _check_network(network: Any, n_inputs: int, bias_column: bool) -> Network:
    """Return the network of an argument, of so many features and, if so, a column of ones."""
    found = _network_of(network)
    wanted = n_inputs + check_flag(bias_column, "bias_column")
    if found.n_features_in_ != wanted:
        parts = f", {n_inputs} and a column of ones" if bias_column else ""
        raise ValueError(f"network must have {wanted} features{parts}, got {found.n_features_in_}")
    return found


def _check_inputs(X: ArrayLike, n_inputs: int, bias_column: bool) -> Float:
    """Return data (n_samples, n_inputs) as float64, without its column of ones."""
    data = check_data(X).astype(np.float64)
    wanted = n_inputs + bool(bias_column)
    if data.shape[1] != wanted:
        raise ValueError(f"X must have {wanted} features, as the network has, got {data.shape[1]}")
    if bias_column and not (data[:, -1] == 1.0).all():
        raise ValueError("X must have ones in its last column, for bias_column=True")
    return data[:, :n_inputs]


def _outputs(network: Network, inputs: Float, bias_column: bool) -> Float:
    """Return the outputs (n_samples, n_outputs)."""
    if bias_column:
        inputs = np.column_stack([inputs, np.ones(len(inputs))])
    return network.predict(inputs).reshape(len(inputs), -1)


def _boundaries(network: Network, bias_column: bool) -> tuple[Float, Float]:
    """Return normals (n_inputs, m) and offsets (m,) of where neurons with an output switch."""
    normals, offsets = network.coefs_[0], network.intercepts_[0]
    feeds = network.coefs_[1].any(axis=1)
    if network.gates_ is not None and network.gate_intercepts_ is not None:
        feeds &= normals.any(axis=0) | (offsets != 0.0)
        normals, offsets = network.gates_, network.gate_intercepts_
    if bias_column:
        normals, offsets = normals[:-1], offsets + normals[-1]
    kept = feeds & normals.any(axis=0)
    return normals[:, kept], offsets[kept]


def _padded(values: Float) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    margin = _MARGIN * (high - low) or 1.0
    return low - margin, high + margin


def plot_function(
    network: Any,
    X: ArrayLike | None = None,
    y: ArrayLike | None = None,
    *,
    x_range: tuple[float, float] | None = None,
    bias_column: bool = False,
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw the function of a network of one feature, and the points where its neurons switch.

    The function is piecewise linear, and drawn exactly: each piece by its ends. That of a gated
    network may jump where a neuron switches; a mark lies half-way up the jump.

    Parameters
    ----------
    network : Network or fitted estimator
        What `Network.from_sklearn` takes, with one feature; of a classifier the decision values.
    X : array-like of shape (n_samples, n_features) or None, default=None
        Data to draw as points, as the network takes it.
    y : array-like of shape (n_samples,) or None, default=None
        Its targets.
    x_range : (float, float) or None, default=None
        Left and right end. None is a little more than the range of X or, without data, of the
        points where neurons switch.
    bias_column : bool, default=False
        Whether the network has a second feature that is a column of ones.
    ax : matplotlib Axes or None, default=None
        Where to draw; None makes a new figure.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ImportError
        If matplotlib is missing.
    TypeError, ValueError
        If an argument is malformed or the network has other features.

    Examples
    --------
    >>> import cvxnn
    >>> from cvxnn import plot
    >>> net = cvxnn.Network([[[1.0, -1.0]], [[1.0], [1.0]]], [[0.0, 0.0], [0.0]])
    >>> ax = plot.plot_function(net, x_range=(-2.0, 3.0))
    >>> ax.get_lines()[0].get_xydata()
    array([[-2.,  2.], [ 0.,  0.], [ 0.,  0.], [ 3.,  3.]])
    """
    network = _check_network(network, 1, bias_column)
    if (X is None) != (y is None):
        raise ValueError("X and y must be given together, got one of them")
    inputs = None if X is None else _check_inputs(X, 1, bias_column)[:, 0]
    targets = None if y is None or inputs is None else check_vector(y, "y", len(inputs))
    normals, offsets = _boundaries(network, bias_column)
    kinks = np.unique(-offsets / normals[0] + 0.0)  # no negative zero
    low, high = _check_range(x_range, inputs if inputs is not None else kinks)
    kinks = kinks[(kinks > low) & (kinks < high)]
    x, outputs = _pieces(network, np.concatenate([[low], kinks, [high]]), bias_column)
    ax = axes_or_new(check_axes(ax))
    for k, values in enumerate(outputs.T):
        label = "network" if outputs.shape[1] == 1 else f"output {k}"
        (line,) = ax.plot(x, values, label=label)
        heights = (values[1:-1:2] + values[2:-1:2]) / 2
        neurons = "a neuron switches" if k == 0 else None
        ax.plot(kinks, heights, "o", color=line.get_color(), markersize=4, label=neurons)
    if inputs is not None and targets is not None:
        ax.plot(inputs, targets, "kx", label="data")
    ax.set(xlabel="x", ylabel="output")
    ax.legend()
    return ax


def _check_range(x_range: Any, values: Float) -> tuple[float, float]:
    if x_range is None:
        return _padded(values) if len(values) else (-1.0, 1.0)
    low, high = check_vector(x_range, "x_range", 2, "2")
    if low >= high:
        raise ValueError(f"x_range must ascend, got ({low:g}, {high:g})")
    return float(low), float(high)


def _pieces(network: Network, ends: Float, bias_column: bool) -> tuple[Float, Float]:
    """Both ends of each piece, and the outputs there; they follow from two points inside."""
    left, width = ends[:-1], np.diff(ends)
    first, second = (
        _outputs(network, (left + share * width)[:, None], bias_column) for share in (0.25, 0.75)
    )
    slope = (second - first) / 2
    outputs = np.stack([first - slope, second + slope], axis=1)
    return np.column_stack([left, ends[1:]]).ravel(), outputs.reshape(-1, network.n_outputs_)


def plot_decision_regions(
    network: Any,
    X: ArrayLike,
    y: ArrayLike,
    *,
    bias_column: bool = False,
    resolution: int = 300,
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw the decisions of a network of two features, its neurons' hyperplanes, and data.

    A network of one output decides by its sign, others by the largest output. A hyperplane, here a
    line, is where a neuron switches: decisions change slope there, not side.

    Parameters
    ----------
    network : Network or fitted classifier
        What `Network.from_sklearn` takes, with two features.
    X : array-like of shape (n_samples, n_features)
        Data, as the network takes it.
    y : array-like of shape (n_samples,)
        Labels. Of a classifier they are among its ``classes_``; of a network they are numbers or
        strings, at most one an output (one output has two), whose order is that of the outputs.
    bias_column : bool, default=False
        Whether the network has a third feature that is a column of ones.
    resolution : int, default=300
        Pixels a side; each shows the decision at its centre.
    ax : matplotlib Axes or None, default=None
        Where to draw; None makes a new figure.

    Returns
    -------
    matplotlib Axes
        The hyperplanes that cross it are one `LineCollection`.

    Raises
    ------
    ImportError
        If matplotlib is missing.
    TypeError, ValueError
        If an argument is malformed or the network has other features.

    Examples
    --------
    >>> import cvxnn, numpy as np
    >>> from cvxnn import plot
    >>> X = np.random.default_rng(0).standard_normal((60, 2))
    >>> model = cvxnn.ReLUClassifier(n_patterns=50).fit(X, X[:, 0] * X[:, 1] > 0)
    >>> ax = plot.plot_decision_regions(model, X, X[:, 0] * X[:, 1] > 0)
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['False', 'True', 'a neuron switches']
    """
    classes = getattr(network, "classes_", None)
    network = _check_network(network, 2, bias_column)
    inputs = _check_inputs(X, 2, bias_column)
    n_classes = max(network.n_outputs_, 2)
    labels, classes = _check_labels(y, len(inputs), classes, n_classes)
    resolution = check_count(resolution, "resolution", least=2, most=10_000)
    ax = axes_or_new(check_axes(ax))
    colors = [f"C{k % 10}" for k in range(n_classes)]
    box = np.array([_padded(column) for column in inputs.T])
    centres = (np.arange(resolution) + 0.5) / resolution
    grid = np.stack(np.meshgrid(*(low + (high - low) * centres for low, high in box)), axis=-1)
    outputs = _outputs(network, grid.reshape(-1, 2), bias_column)
    decisions = outputs[:, 0] > 0.0 if network.n_outputs_ == 1 else outputs.argmax(axis=1)
    # Pixels: a filled contour between classes 0 and 2 would show class 1.
    ax.imshow(
        decisions.reshape(resolution, resolution).astype(np.int64),
        cmap=import_extra("matplotlib.colors", "plot").ListedColormap(colors),
        vmin=-0.5,
        vmax=n_classes - 0.5,
        extent=tuple(box.ravel()),
        origin="lower",
        aspect="auto",
        interpolation="nearest",
        alpha=0.25,
    )
    for label, color in zip(classes, colors, strict=False):
        ax.plot(*inputs[labels == label].T, ".", color=color, label=str(label))
    collections = import_extra("matplotlib.collections", "plot")
    segments = _segments(*_boundaries(network, bias_column), box)
    ax.add_collection(
        collections.LineCollection(
            segments, colors="k", linewidths=0.6, alpha=0.5, label="a neuron switches"
        )
    )
    ax.set(xlim=box[0], ylim=box[1], xlabel="x0", ylabel="x1")
    ax.legend()
    return ax


def _segments(normals: Float, offsets: Float, box: Float) -> list[Float]:
    """Return the ends (2, 2) of those lines ``normal @ x + offset = 0`` that cross the box."""
    segments = []
    for normal, offset in zip(normals.T, offsets, strict=True):
        base = -offset * normal / (normal @ normal)
        along = np.array([-normal[1], normal[0]]) / np.linalg.norm(normal)
        moves = along != 0.0
        outside = (base < box[:, 0]) | (base > box[:, 1])
        if (outside & ~moves).any():
            continue
        ends = np.sort((box[moves] - base[moves, None]) / along[moves, None], axis=1)
        start, stop = ends[:, 0].max(), ends[:, 1].min()
        if start < stop:
            segments.append(base + np.array([[start], [stop]]) * along)
    return segments


def _check_labels(
    y: ArrayLike, n_samples: int, classes: NDArray[Any] | None, n_classes: int
) -> tuple[NDArray[Any], NDArray[Any]]:
    labels = np.asarray(y)
    if labels.shape != (n_samples,):
        raise ValueError(f"y must have shape (n_samples,) = ({n_samples},), got {labels.shape}")
    if labels.dtype.kind == "f":
        check_vector(labels, "y", n_samples)
    own = np.unique(labels)
    if classes is None:
        if len(own) > n_classes:
            raise ValueError(f"y must have at most {n_classes} labels, got {len(own)}")
        return labels, own
    unknown = own[~np.isin(own, classes)]
    if len(unknown):
        raise ValueError(f"y must hold labels among classes_, got {unknown[0]!r}")
    return labels, classes


def plot_weights(
    network: Any,
    shape: tuple[int, int],
    *,
    n_columns: int = 8,
    n_neurons: int | None = None,
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw the hidden weights of the largest neurons as images, row by row.

    All images share one scale, white at zero, so that they can be compared. A neuron's size is the
    norm of its hidden weights and bias times that of its output weights, as in `Network.summary`.

    Parameters
    ----------
    network : Network or fitted estimator
        What `Network.from_sklearn` takes.
    shape : (int, int)
        Height and width of an image; their product is the number of features.
    n_columns : int, default=8
        Images a row.
    n_neurons : int or None, default=None
        Number of neurons to draw, at most; None is all.
    ax : matplotlib Axes or None, default=None
        Where to draw; None makes a new figure.

    Returns
    -------
    matplotlib Axes
        With one image; NaN separates the neurons.

    Raises
    ------
    ImportError
        If matplotlib is missing.
    TypeError, ValueError
        If an argument is malformed or the network has no neurons.

    Examples
    --------
    >>> import cvxnn, numpy as np
    >>> from cvxnn import plot
    >>> net = cvxnn.Network([np.eye(6), np.ones((6, 1))], [np.zeros(6), [0.0]])
    >>> ax = plot.plot_weights(net, (2, 3), n_columns=3)
    >>> ax.get_images()[0].get_array().shape
    (5, 11)
    """
    found = _network_of(network)
    height, width = _check_shape(shape, found.n_features_in_)
    n_columns = check_count(n_columns, "n_columns")
    count = found.width if n_neurons is None else check_count(n_neurons, "n_neurons")
    if found.width == 0:
        raise ValueError("network must have at least one neuron, got none")
    check_axes(ax)
    order = largest_first(found)[0][:count]
    n_columns = min(n_columns, len(order))
    n_rows = -(-len(order) // n_columns)
    mosaic = np.full((n_rows * (height + 1) - 1, n_columns * (width + 1) - 1), np.nan)
    for k, neuron in enumerate(order):
        top, left = k // n_columns * (height + 1), k % n_columns * (width + 1)
        image = found.coefs_[0][:, neuron].reshape(height, width)
        mosaic[top : top + height, left : left + width] = image
    largest = float(np.nanmax(np.abs(mosaic))) or 1.0
    ax = axes_or_new(ax)
    drawn = ax.imshow(mosaic, cmap="RdBu_r", vmin=-largest, vmax=largest, interpolation="nearest")
    ax.figure.colorbar(drawn, ax=ax, label="hidden weight")
    ax.set_axis_off()
    return ax


def _check_shape(shape: Any, n_features: int) -> tuple[int, int]:
    if not isinstance(shape, (tuple, list)) or len(shape) != 2:
        raise TypeError(f"shape must be a pair (height, width), got {shape!r}")
    height, width = (check_count(size, "shape") for size in shape)
    if height * width != n_features:
        raise ValueError(
            f"shape must have {n_features} pixels, as the network has features, "
            f"got {height} x {width}"
        )
    return height, width
