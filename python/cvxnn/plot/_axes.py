"""Where to draw."""

from typing import TYPE_CHECKING, cast

from cvxnn._extras import import_extra

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def check_axes(ax: "Axes | None") -> "Axes | None":
    """Refuse what is no axes, and ask for matplotlib before any work."""
    axes = import_extra("matplotlib.axes", "plot")
    if ax is not None and not isinstance(ax, axes.Axes):
        raise TypeError(f"ax must be a matplotlib Axes or None, got {type(ax).__name__}")
    return ax


def axes_or_new(ax: "Axes | None") -> "Axes":
    """Return the axes, or those of a new figure."""
    if ax is not None:
        return ax
    # pyplot chooses a backend: those who bring their own axes do not need one.
    figure = import_extra("matplotlib.pyplot", "plot").figure(layout="constrained")
    return cast("Axes", figure.subplots())
