"""Pictures of solves: the gap against time, and paths."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from cvxnn._validation import Float, check_choice, check_data, check_matrix, check_vector
from cvxnn.plot._axes import axes_or_new, check_axes
from cvxnn.results import Certified, IterationInfo, PathResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from cvxnn.estimators._cross_validation import CrossValidatedEstimator

Score = Callable[[Float, Float], float]


def plot_convergence(
    result: Certified | Sequence[IterationInfo],
    *,
    quantity: str = "bounds",
    color: Any = None,
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw objective and lower bound, or the relative gap, against time.

    Time is logarithmic, and so is the other axis if all values are positive. It counts from the
    start of the call: that of the later results of a path includes the earlier ones.

    Parameters
    ----------
    result : SolveResult, GroupLassoResult or sequence of IterationInfo
        A result, for its trace, or what a callback collected.
    quantity : {'bounds', 'gap'}, default='bounds'
        Objective and lower bound, two lines; or ``gap / primal``, one line.
    color : matplotlib color or None, default=None
        Of the lines; None is the next of the colour cycle.
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
        If an argument is malformed, or the trace is empty.

    Examples
    --------
    >>> import cvxnn
    >>> from cvxnn import plot
    >>> X, y = [[0.0, 1.0], [1.0, 1.0], [2.0, 1.0]], [1.0, 0.0, 1.0]
    >>> result = cvxnn.solve(X, y, "exact", alpha=0.01)
    >>> ax = plot.plot_convergence(result)
    >>> [line.get_label() for line in ax.get_lines()]
    ['objective', 'lower bound']
    """
    trace = _check_trace(result)
    check_choice(quantity, "quantity", ("bounds", "gap"))
    ax = axes_or_new(check_axes(ax))
    seconds = [info.elapsed for info in trace]
    if quantity == "gap":
        lines = {"relative gap": [i.gap / i.primal if i.primal > 0.0 else 0.0 for i in trace]}
    else:
        lines = {
            "objective": [info.primal for info in trace],
            "lower bound": [info.dual for info in trace],
        }
    for (label, values), style in zip(lines.items(), ("-o", "--^"), strict=False):
        (line,) = ax.plot(seconds, values, style, markersize=3, color=color, label=label)
        color = line.get_color()
    positive = all((np.asarray(line.get_ydata()) > 0.0).all() for line in ax.get_lines())
    ax.set(
        xlabel="seconds",
        ylabel="relative gap" if quantity == "gap" else "training objective",
        xscale="log",
        yscale="log" if positive else "linear",
    )
    if quantity == "bounds":
        ax.legend(handles=ax.get_lines()[-2:])
    return ax


def _check_trace(result: Certified | Sequence[IterationInfo]) -> list[IterationInfo]:
    wanted = "result must be a SolveResult, a GroupLassoResult or a sequence of IterationInfo"
    if isinstance(result, Certified):
        trace = result.trace
    elif isinstance(result, Sequence) and not isinstance(result, str):
        trace = list(result)
    else:
        raise TypeError(f"{wanted}, got {type(result).__name__}")
    for info in trace:
        if not isinstance(info, IterationInfo):
            raise TypeError(f"{wanted}, got one of {type(info).__name__}")
    if not trace:
        raise ValueError("result must have at least one evaluation of the gap, got none")
    return trace


def plot_path(
    path: "PathResult | CrossValidatedEstimator",
    X_test: ArrayLike | None = None,
    y_test: ArrayLike | None = None,
    *,
    quantity: str = "norms",
    score: Score | None = None,
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw a regularisation path, or the scores of a cross-validation, against alpha.

    Alpha is logarithmic and falls to the right, so networks grow to the right.

    Parameters
    ----------
    path : PathResult, ReLURegressorCV or another estimator that chooses alpha
        Of a fitted estimator the mean score of its folds is drawn, with a band of one standard
        error on either side, and its choice of alpha; of several ``n_patterns`` those of its
        choice. Where ``time_limit`` ended a path there is
        none. For ``scoring=None`` a regressor's score is its mean squared error.
    X_test : array-like of shape (n_samples, n_features) or None, default=None
        Held-out data, for a second axis on the right; for a `PathResult` only.
    y_test : array-like of shape (n_samples,) or (n_samples, n_outputs) or None, default=None
        Its targets.
    quantity : {'norms', 'active', 'objective'}, default='norms'
        What to draw of a `PathResult`: the norm of each block that is ever active, one line a block
        (pattern and sign); the number of active blocks; or the objective.
    score : callable (y_test, outputs) -> float, or None, default=None
        Score of held-out data; None is the mean squared error.
    ax : matplotlib Axes or None, default=None
        Where to draw; None makes a new figure.

    Returns
    -------
    matplotlib Axes
        The left ones; those on the right are the last of ``ax.figure.axes``.

    Raises
    ------
    ImportError
        If matplotlib is missing.
    TypeError, ValueError
        If an argument is malformed, or the estimator is not fitted.

    References
    ----------
    J. Friedman, T. Hastie, R. Tibshirani (2010), Regularization paths for generalized linear models
    via coordinate descent, J. Stat. Software 33.

    Examples
    --------
    >>> import cvxnn, numpy as np
    >>> from cvxnn import plot
    >>> X = np.random.default_rng(0).standard_normal((40, 2))
    >>> patterns = cvxnn.activation_patterns(X, cvxnn.sample_gates(2, 20, random_state=0))
    >>> path = cvxnn.solve_path(X[:30], np.abs(X[:30, 0]), patterns=cvxnn.activation_patterns(
    ...     X[:30], patterns.gates), n_alphas=5)
    >>> ax = plot.plot_path(path, X[30:], np.abs(X[30:, 0]), quantity="active")
    >>> ax.get_ylabel(), ax.figure.axes[-1].get_ylabel()
    ('active blocks', 'held-out mean squared error')
    """
    check_choice(quantity, "quantity", ("norms", "active", "objective"))
    if not isinstance(path, PathResult):
        if X_test is not None or y_test is not None or score is not None:
            raise ValueError("X_test, y_test and score must be None for a cross-validation")
        return _draw_folds(path, ax)
    if not len(path):
        raise ValueError("path must have at least one alpha, got none")
    held_out = _held_out_scores(path, X_test, y_test, score)
    ax = axes_or_new(check_axes(ax))
    _draw_path(path, quantity, ax)
    if held_out is not None:
        right = ax.twinx()
        right.plot([result.alpha for result in path], held_out, "k--", label="held out")
        name = "mean squared error" if score is None else getattr(score, "__name__", "score")
        right.set_ylabel(f"held-out {name.replace('_', ' ')}")
    return ax


def _draw_path(path: PathResult, quantity: str, ax: "Axes") -> None:
    if quantity == "norms":
        ax.plot(path.alphas, _norms(path), linewidth=1.0)
        ax.set_ylabel("norm of each block")
    elif quantity == "active":
        ax.plot(path.alphas, [result.n_active for result in path], "-o", markersize=3)
        ax.set_ylabel("active blocks")
    else:
        ax.plot(path.alphas, [result.primal for result in path], "-o", markersize=3)
        ax.set_ylabel("training objective")
    _set_alphas(ax)


def _set_alphas(ax: "Axes") -> None:
    ax.set(xscale="log", xlabel="alpha")
    if not ax.xaxis_inverted():
        ax.invert_xaxis()


def _norms(path: PathResult) -> Float:
    """Return norms (n_alphas, n_blocks) of all blocks that are ever active, by pattern and sign."""
    rows: list[dict[tuple[int, int], float]] = []
    for result in path:
        row: dict[tuple[int, int], float] = {}
        for p, s, block in zip(result.active_set, result.signs, result.blocks, strict=True):
            key = int(p), int(s)  # of ReLU neurons with several outputs there may be more
            row[key] = row.get(key, 0.0) + float(np.linalg.norm(block))
        rows.append(row)
    keys = sorted(set().union(*rows))
    return np.array([[row.get(key, 0.0) for key in keys] for row in rows]).reshape(len(path), -1)


def _held_out_scores(
    path: PathResult, X_test: ArrayLike | None, y_test: ArrayLike | None, score: Score | None
) -> Float | None:
    if score is not None and not callable(score):
        raise TypeError(f"score must be callable or None, got {type(score).__name__}")
    if X_test is None and y_test is None:
        if score is not None:
            raise ValueError("score must be None without X_test and y_test")
        return None
    if X_test is None or y_test is None:
        raise ValueError("X_test and y_test must be given together, got one of them")
    data = check_data(X_test, "X_test")
    n_features, n_outputs = path[0].blocks.shape[1], 1
    if path[0].blocks.ndim == 3:
        n_outputs = path[0].blocks.shape[2]
    if data.shape[1] != n_features:
        raise ValueError(f"X_test must have {n_features} features, got {data.shape[1]}")
    targets = (
        check_vector(y_test, "y_test", len(data))
        if n_outputs == 1
        else check_matrix(y_test, "y_test", (len(data), n_outputs))
    )
    measure = _mean_squared_error if score is None else score
    return np.array([float(measure(targets, r.network().predict(data))) for r in path])


def _mean_squared_error(y: Float, outputs: Float) -> float:
    return float(np.mean((y - outputs) ** 2))


def _draw_folds(model: Any, ax: "Axes | None") -> "Axes":
    from cvxnn.estimators._cross_validation import CrossValidatedEstimator, CrossValidatedRegressor

    if not isinstance(model, CrossValidatedEstimator):
        raise TypeError(
            "path must be a PathResult, ReLURegressorCV or another estimator that chooses alpha, "
            f"got {type(model).__name__}"
        )
    if not hasattr(model, "score_path_"):
        raise ValueError(f"path must be fitted, got a {type(model).__name__} that is not")
    ax = axes_or_new(check_axes(ax))
    squared = isinstance(model, CrossValidatedRegressor) and model.scoring is None
    scores = model.mse_path_ if squared else model.score_path_
    if scores.ndim == 3:  # of several numbers of patterns
        scores = scores[list(model.n_patterns).index(model.best_n_patterns_)]
    means, n_folds = scores.mean(axis=1), scores.shape[1]
    ax.plot(model.alphas_, means, "-o", markersize=3, label="mean of the folds")
    if n_folds > 1:
        error = scores.std(axis=1, ddof=1) / np.sqrt(n_folds)
        ax.fill_between(
            model.alphas_, means - error, means + error, alpha=0.3, label="standard error"
        )
    ax.axvline(model.alpha_, color="k", linestyle="--", label="chosen alpha")
    name = model.scoring if isinstance(model.scoring, str) else "score"
    if model.scoring is None:
        name = "mean squared error" if squared else "accuracy"
    ax.set_ylabel(f"held-out {name.replace('_', ' ')}")
    _set_alphas(ax)
    ax.legend()
    return ax
