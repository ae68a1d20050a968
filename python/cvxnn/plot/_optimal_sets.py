"""Pictures of optimal sets."""

from typing import TYPE_CHECKING

import numpy as np

from cvxnn.optimal_sets import OptimalSet, is_negligible
from cvxnn.plot._axes import axes_or_new, check_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_optimal_set(optimal_set: OptimalSet, *, ax: "Axes | None" = None) -> "Axes":
    """Draw the least and the largest mass that an optimal network puts on each ray.

    A ray whose range is a point is *fixed*: all optima agree on it. Else it is *needed* if its
    least mass is positive, and *free* if some optimum does without it. Rays come in order of their
    largest mass; those that no optimum uses are left out. The ranges are those of each ray alone:
    not every combination of masses within them is optimal.

    Parameters
    ----------
    optimal_set : OptimalSet
        What `cvxnn.optimal_set` returned. Its `ranges` solve two linear programs a ray.
    ax : matplotlib Axes or None, default=None
        Where to draw; None makes a new figure.

    Returns
    -------
    matplotlib Axes
        Ticks are indices of rays.

    Raises
    ------
    ImportError
        If matplotlib is missing.
    TypeError
        If an argument has another type.
    RuntimeError
        If the rays do not reach the fit: solve to a smaller gap.

    References
    ----------
    A. Mishkin, M. Pilanci (2023), Optimal sets and solution paths of ReLU networks, ICML.

    Examples
    --------
    >>> import cvxnn
    >>> from cvxnn import plot
    >>> X, y = [[1.0], [-1.0]], [1.0, 1.0]
    >>> result = cvxnn.solve(X, y, "exact", activation="relu", alpha=0.1, tol=1e-9)
    >>> ax = plot.plot_optimal_set(cvxnn.optimal_set(result, X))
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['fixed']
    """
    if not isinstance(optimal_set, OptimalSet):
        raise TypeError(f"optimal_set must be an OptimalSet, got {type(optimal_set).__name__}")
    check_axes(ax)
    ranges = optimal_set.ranges()
    least, largest = ranges.T
    fixed, free = is_negligible(largest - least, ranges), is_negligible(least, ranges)
    order = np.argsort(-largest, kind="stable")
    order = order[~is_negligible(largest, ranges)[order]]
    place = np.arange(len(order))
    kinds = {
        "fixed": fixed[order],
        "needed": (~fixed & ~free)[order],
        "free": (~fixed & free)[order],
    }
    ax = axes_or_new(ax)
    for k, (label, chosen) in enumerate(kinds.items()):
        if chosen.any():
            low, high = ranges[order[chosen]].T
            ax.vlines(place[chosen], low, high, color=f"C{k}", linewidth=3, label=label)
            ax.plot(place[chosen], high, "_", color=f"C{k}", markersize=10)
            ax.plot(place[chosen], low, "_", color=f"C{k}", markersize=10)
    ax.set_xticks(place, [str(ray) for ray in order])
    ax.set(xlabel="ray", ylabel="mass over all optima")
    ax.set_ylim(bottom=0.0)
    if len(order):
        ax.legend()
    return ax
