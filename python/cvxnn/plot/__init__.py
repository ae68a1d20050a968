"""Pictures of paths, solves, networks and optimal sets; they need the extra ``plot``.

Each function draws on the matplotlib axes `ax`, or on a new figure, and returns the axes. None of
them shows or saves a figure.
"""

from cvxnn.plot._networks import plot_decision_regions, plot_function, plot_weights
from cvxnn.plot._optimal_sets import plot_optimal_set
from cvxnn.plot._solves import plot_convergence, plot_path

__all__ = [
    "plot_convergence",
    "plot_decision_regions",
    "plot_function",
    "plot_optimal_set",
    "plot_path",
    "plot_weights",
]
