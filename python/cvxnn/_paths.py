"""The alphas of a regularisation path."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from cvxnn._validation import Float, check_count, check_fraction, check_numeric, check_vector


def path_alphas(
    alpha_max: Callable[[], float], n_alphas: int, eps: float, alphas: ArrayLike | None
) -> Float:
    """Return the alphas of a path, descending: own values, or down from `alpha_max`."""
    n_alphas = check_count(n_alphas, "n_alphas")
    eps = check_fraction(eps, "eps")
    if alphas is not None:
        given = check_numeric(alphas, "alphas")
        values = check_vector(given, "alphas", given.size, "n_alphas")
        if values.size == 0 or values.min() <= 0.0:
            raise ValueError("alphas must hold at least one value, all positive")
        return np.sort(values)[::-1]
    largest = alpha_max()
    if largest <= 0.0:  # y is fitted without any pattern: by as small an alpha as by others
        return np.full(n_alphas, np.finfo(np.float64).resolution)
    return largest * np.geomspace(1.0, eps, n_alphas)
