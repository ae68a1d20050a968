"""The ordinary group lasso, by the same engine."""

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from cvxnn._ext import core
from cvxnn._problem import Callback, make_problem, shown_log, solver_settings
from cvxnn._validation import check_count, check_data, check_positive
from cvxnn.losses import Huber
from cvxnn.results import GroupLassoResult, certified_fields, warn_unless_optimal


def _group_starts(groups: int | Sequence[int], n_features: int) -> list[int]:
    """Return where each group starts, and n_features."""
    if not np.iterable(groups):
        size = check_count(groups, "groups")
        if n_features % size:
            raise ValueError(f"groups={size} must divide the number of features, {n_features}")
        return list(range(0, n_features + 1, size))
    sizes = [check_count(size, "groups") for size in groups]
    if sum(sizes) != n_features:
        raise ValueError(
            f"groups must sum to the number of features, {n_features}, got {sum(sizes)}"
        )
    return [0, *itertools.accumulate(sizes)]


def solve_group_lasso(
    X: ArrayLike,
    y: ArrayLike,
    groups: int | Sequence[int],
    *,
    alpha: float,
    loss: str | Huber = "squared",
    sample_weight: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    fit_intercept: bool = False,
    tol: float = 1e-4,
    max_iter: int = 1000,
    time_limit: float | None = None,
    n_threads: int | None = None,
    screening: bool = True,
    solver: str = "auto",
    callback: Callback | None = None,
    verbose: int = 0,
) -> GroupLassoResult:
    """Solve a group lasso over consecutive groups of columns.

    Minimises ``1/n sum_i s_i loss((X @ coef)_i + intercept, y_i) + alpha * sum_g weights[g] *
    ||coef_g||``: the engine of `solve` on an ordinary design matrix.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Data, float32 or float64.
    y : array-like of shape (n_samples,)
        Targets; -1 and +1 for classification losses.
    groups : int or sequence of int
        Size of every group, or the sizes of the groups in order.
    alpha : float
        Regularisation strength.
    weights : array-like of shape (n_groups,) or None, default=None
        Non-negative penalty weights; None is one. A group of weight zero is not penalised.
    loss, sample_weight, fit_intercept, tol, max_iter, time_limit, n_threads, screening, solver, \
callback, verbose
        As for `solve`.

    Returns
    -------
    GroupLassoResult

    Raises
    ------
    TypeError, ValueError
        If an argument is malformed.

    Warns
    -----
    ConvergenceWarning
        If the solve ended before the gap reached ``tol``.

    References
    ----------
    M. Yuan, Y. Lin (2006), Model selection and estimation in regression with grouped variables,
    J. R. Stat. Soc. B 68.

    Examples
    --------
    >>> import cvxnn, numpy as np
    >>> X = np.random.default_rng(0).standard_normal((40, 6))
    >>> result = cvxnn.solve_group_lasso(X, X[:, 0] - X[:, 1], 2, alpha=0.1)
    >>> result.active_set
    array([0])
    """
    data = check_data(X)
    starts = _group_starts(groups, data.shape[1])
    problem = make_problem(
        data,
        y,
        len(starts) - 1,
        loss=loss,
        sample_weight=sample_weight,
        weights=weights,
        fit_intercept=fit_intercept,
    )
    with shown_log(verbose):
        solution = core.solve_groups(
            problem.data,
            starts,
            problem.targets,
            problem.omega,
            **problem.arguments(),
            alphas=[check_positive(alpha, "alpha")],
            **solver_settings(
                tol=tol,
                max_iter=max_iter,
                time_limit=time_limit,
                n_threads=n_threads,
                screening=screening,
                solver=solver,
                callback=callback,
                verbose=verbose,
            ),
            init=None,
        )[0]
    intercepts, _, unpenalised = problem.split_free(solution["free_coefs"])
    free_groups = np.flatnonzero(problem.weights == 0.0)
    columns = np.arange(data.shape[1])
    owner = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    coef = np.zeros(data.shape[1])
    coef[columns[np.isin(owner, solution["blocks"])]] = solution["coefs"]
    coef[columns[np.isin(owner, free_groups)]] = unpenalised[:, 0]
    result = GroupLassoResult(
        **certified_fields(solution),
        coef=coef,
        intercept=float(intercepts[0]),
        active_set=np.sort(np.concatenate([solution["blocks"], free_groups])),
    )
    warn_unless_optimal([result], tol)
    return result
