"""Convex programs over activation patterns: alpha_max, solve, solve_path."""

from numpy.typing import ArrayLike

from cvxnn._adaptive import program_over
from cvxnn._paths import path_alphas
from cvxnn._problem import L1_RATIO, L2_RATIO, Callback
from cvxnn._validation import check_positive
from cvxnn.arrangements import PatternSet, RandomState
from cvxnn.losses import Huber
from cvxnn.results import PathResult, SolveResult, warn_unless_optimal


def alpha_max(
    X: ArrayLike,
    y: ArrayLike,
    patterns: PatternSet | str,
    *,
    activation: str = "gated_relu",
    loss: str | Huber = "squared",
    sample_weight: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    fit_intercept: bool = False,
    skip_connection: bool = False,
    penalty: str = "group",
    l1_ratio: float = L1_RATIO,
    l2_ratio: float = L2_RATIO,
    n_threads: int | None = None,
    n_starts: int = 100,
    random_state: RandomState = 0,
) -> float:
    """Return the smallest alpha at which every penalised block is zero.

    Parameters
    ----------
    X, y, patterns, activation, loss, sample_weight, weights
        As for `solve`.
    fit_intercept, skip_connection, penalty, l1_ratio, l2_ratio
        As for `solve`.
    n_threads : int or None, default=None
        Threads; None is OpenMP's setting.
    n_starts, random_state
        As for `solve`; for ``patterns="adaptive"`` the value is the largest that they find.

    Returns
    -------
    float
        ``max_p ||X.T @ D_p @ theta|| / weights[p]`` at the dual point ``theta`` of the
        unpenalised fit; for ``relu`` of the projections of ``+-X.T @ D_p @ theta`` on the cones.
        The hinge with an intercept has many such points, and this may be above the smallest alpha.
        For ``elastic`` divided by ``1 - l2_ratio``, for other penalties their dual norm.

    Raises
    ------
    TypeError, ValueError
        If an argument is malformed.

    References
    ----------
    M. Pilanci, T. Ergen (2020), Neural networks are convex regularizers, ICML, section 3.

    Examples
    --------
    >>> import cvxnn, numpy as np
    >>> X = np.eye(2)
    >>> patterns = cvxnn.activation_patterns(X, np.eye(2))
    >>> cvxnn.alpha_max(X, [3.0, 1.0], patterns)
    1.5
    """
    program = program_over(
        X,
        y,
        patterns,
        activation,
        n_starts=n_starts,
        random_state=random_state,
        n_threads=n_threads,
        loss=loss,
        sample_weight=sample_weight,
        weights=weights,
        fit_intercept=fit_intercept,
        skip_connection=skip_connection,
        penalty=penalty,
        l1_ratio=l1_ratio,
        l2_ratio=l2_ratio,
    )
    return program.alpha_max(n_threads)


def solve(
    X: ArrayLike,
    y: ArrayLike,
    patterns: PatternSet | str,
    *,
    alpha: float,
    activation: str = "gated_relu",
    loss: str | Huber = "squared",
    sample_weight: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    fit_intercept: bool = False,
    skip_connection: bool = False,
    penalty: str = "group",
    l1_ratio: float = L1_RATIO,
    l2_ratio: float = L2_RATIO,
    tol: float = 1e-4,
    max_iter: int = 1000,
    time_limit: float | None = None,
    n_threads: int | None = None,
    screening: bool = True,
    solver: str = "auto",
    n_starts: int = 100,
    random_state: RandomState = 0,
    callback: Callback | None = None,
    verbose: int = 0,
    init: SolveResult | None = None,
) -> SolveResult:
    """Train a ReLU or gated ReLU network to certified global optimality over given patterns.

    Solves ``min_W 1/n sum_i s_i loss(F_i, y_i) + alpha * sum_p weights[p] * ||W_p||`` with
    ``F = sum_p D_p X W_p + intercept + X @ skip`` and stops when the duality gap is at most
    ``tol * primal``. For ``activation="relu"`` each pattern has a block of either sign,
    ``D_p X (V_p - W_p)``, each in the cone ``(2 D_p - I) X w >= 0``, where a gated neuron is a ReLU
    neuron: the result is the best ReLU network whose neurons have the given patterns.

    Parameters
    ----------
    X : array-like or sparse matrix of shape (n_samples, n_features), float32 or float64
        Data; C-ordered arrays of these dtypes are used where they lie. For a hidden bias, append a
        constant column. With float32 data the fast products are float32, the certificate float64.
        Sparse ones of SciPy, best CSR, stay sparse, with float64 products: for ``gated_relu``
        over given patterns, without a skip connection.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Targets; -1 and +1 for ``logistic``, ``squared_hinge`` and ``hinge``, shares of classes
        (rows with sum one) for ``softmax``. Several for ``relu`` with ``penalty="nuclear"`` only.
    patterns : PatternSet or {'exact', 'adaptive'}
        From `activation_patterns` or `enumerate_patterns` on the same X. ``exact`` enumerates all
        patterns, for small or low-rank data. ``adaptive``, for ``relu``, generates those that
        matter: starting from a few, neurons that violate the dual constraint are looked for from
        many starts, their patterns added, idle ones dropped, until no start finds a violation. The
        result's bound covers its own ``patterns``; `certify` gives one for all networks.
    alpha : float
        Regularisation strength, absolute; see `alpha_max` for its scale.
    activation : {'gated_relu', 'relu'}, default='gated_relu'
        The convex program.
    loss : str or Huber, default='squared'
        ``squared`` is ``(f - y)**2 / 2``, ``logistic`` ``log(1 + exp(-y f))``, ``hinge``
        ``max(0, 1 - y f)``, ``squared_hinge`` half its square, ``huber`` that of delta one,
        ``softmax`` ``log(sum(exp(f))) - f @ y``; summed over outputs.
    sample_weight : array-like of shape (n_samples,) or None, default=None
        Non-negative weights s_i, scaled to mean one; None is one.
    weights : array-like of shape (n_patterns,) or None, default=None
        Non-negative penalty weights; None is one. A pattern of weight zero is not penalised; there
        are none for ``relu``. For ``penalty="feature"`` positive, of shape (n_features,).
    fit_intercept, skip_connection : bool, default=False
        Add an output intercept, and a linear connection from the features to the output, that are
        not penalised.
    penalty : {'group', 'nuclear', 'columns', 'sparse_group', 'feature', 'elastic'}, default='group'
        Norm of a block of several outputs: the Frobenius norm; the sum of its singular values,
        which is the weight decay of a network whose neurons each feed all outputs; the sum of the
        norms of its columns, that of one whose neurons each feed one output. With ``relu`` the
        neurons of ``nuclear`` are generated: see `SolveResult.exact`. ``sparse_group``, for
        ``gated_relu``: ``(1 - l1_ratio) * ||W_p|| + l1_ratio * abs(W_p).sum()``, zeros in blocks.
        ``feature``, for ``gated_relu``: instead of patterns, the norm of each feature's weights in
        all of them, ``||W[:, j]||``; it selects features. ``elastic``, over given patterns:
        ``(1 - l2_ratio) * ||W_p|| + l2_ratio / 2 * ||W_p||**2``; alike patterns share weights.
    l1_ratio, l2_ratio : float, default=0.5
        Shares of the entries in ``sparse_group`` and of the squares in ``elastic``, at least 0 and
        below 1; without effect on other penalties.
    tol : float, default=1e-4
        Relative duality gap at which to stop.
    max_iter : int, default=1000
        Limit on outer iterations, each an evaluation of the gap over all patterns.
    time_limit : float or None, default=None
        Limit in seconds, kept to within one product over all patterns and the final certificate.
    n_threads : int or None, default=None
        Threads; None is OpenMP's setting. Results are bitwise the same for any number.
    screening : bool, default=True
        Drop blocks that are provably zero at the optimum.
    solver : {'auto', 'bcd', 'fista', 'newton', 'interior_point'}, default='auto'
        How the program is solved; all stop on the same certificate. ``bcd``: block coordinate
        descent with extrapolation. ``fista``: accelerated proximal gradient. ``newton``: exact
        block updates and Newton steps on the non-zero blocks. ``interior_point``: over all
        patterns at once, by factorisations of an n_samples x n_samples matrix, in about as many
        steps whatever ``alpha`` and the conditioning; for the squared loss and at most 8192
        samples, not for ``elastic``. ``auto`` takes ``newton``, and changes to ``interior_point``
        where that has become the cheaper one by its operation counts. For ``relu`` there are
        ``fista``, with projections on the cones, and ``auto``: an augmented Lagrangian method.
    n_starts : int, default=100
        Random starts anywhere, for both signs, of a round of ``patterns="adaptive"``, beside four
        times as many around the neurons found so far; drawn up to four times before it ends.
    random_state : int, Generator, RandomState, SeedSequence or None, default=0
        Source of these starts and of the network that ``"adaptive"`` begins with; nothing else
        is random.
    callback : callable or None, default=None
        Called with an `IterationInfo` at each evaluation of the gap; True stops the solve.
    verbose : int or bool, default=0
        1 logs a line for each evaluation of the gap, to stderr unless logger ``cvxnn`` has a
        handler.
    init : SolveResult or None, default=None
        An earlier result over the same patterns to start from.

    Returns
    -------
    SolveResult
        Solution, certificate and, by its method ``network()``, the network.

    Raises
    ------
    TypeError, ValueError
        If an argument is malformed; raised before any work starts.

    Warns
    -----
    ConvergenceWarning
        If the solve ended before the gap reached ``tol``.

    References
    ----------
    M. Pilanci, T. Ergen (2020), Neural networks are convex regularizers, ICML, Theorem 1;
    A. Mishkin, A. Sahiner, M. Pilanci (2022), Fast convex optimization for two-layer ReLU networks,
    ICML, equation 5; Z. Qin, K. Scheinberg, D. Goldfarb (2013), Efficient block-coordinate descent
    algorithms for the group lasso, Math. Prog. Comp. 5, section 2; A. Sahiner, T. Ergen, J. Pauly,
    M. Pilanci (2021), Vector-output ReLU neural network problems are copositive programs, ICLR;
    N. Simon, J. Friedman, T. Hastie, R. Tibshirani (2013), A sparse-group lasso, JCGS 22; H. Zou,
    T. Hastie (2005), Regularization and variable selection via the elastic net, JRSS B 67.

    Examples
    --------
    >>> import cvxnn, numpy as np
    >>> X = np.random.default_rng(0).standard_normal((50, 5))
    >>> y = np.maximum(X[:, 0], 0) - np.maximum(-X[:, 1], 0)
    >>> patterns = cvxnn.activation_patterns(X, cvxnn.sample_gates(5, 100, random_state=0))
    >>> a_max = cvxnn.alpha_max(X, y, patterns)
    >>> result = cvxnn.solve(X, y, patterns, alpha=0.1 * a_max, tol=1e-6)
    >>> result.status, result.gap_rel <= 1e-6
    ('optimal', True)
    """
    program = program_over(
        X,
        y,
        patterns,
        activation,
        n_starts=n_starts,
        random_state=random_state,
        n_threads=n_threads,
        loss=loss,
        sample_weight=sample_weight,
        weights=weights,
        fit_intercept=fit_intercept,
        skip_connection=skip_connection,
        penalty=penalty,
        l1_ratio=l1_ratio,
        l2_ratio=l2_ratio,
    )
    results = program.solve(
        [check_positive(alpha, "alpha")],
        tol=tol,
        max_iter=max_iter,
        time_limit=time_limit,
        n_threads=n_threads,
        screening=screening,
        solver=solver,
        callback=callback,
        verbose=verbose,
        init=init,
    )
    warn_unless_optimal(results, tol)
    return results[0]


def solve_path(
    X: ArrayLike,
    y: ArrayLike,
    patterns: PatternSet | str,
    *,
    n_alphas: int = 100,
    eps: float = 1e-3,
    alphas: ArrayLike | None = None,
    activation: str = "gated_relu",
    loss: str | Huber = "squared",
    sample_weight: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    fit_intercept: bool = False,
    skip_connection: bool = False,
    penalty: str = "group",
    l1_ratio: float = L1_RATIO,
    l2_ratio: float = L2_RATIO,
    tol: float = 1e-4,
    max_iter: int = 1000,
    time_limit: float | None = None,
    n_threads: int | None = None,
    screening: bool = True,
    solver: str = "auto",
    n_starts: int = 100,
    random_state: RandomState = 0,
    callback: Callback | None = None,
    verbose: int = 0,
) -> PathResult:
    """Solve along a path of regularisation strengths, each from the solution before.

    Parameters
    ----------
    X, y, patterns, activation, loss, sample_weight, weights
        As for `solve`.
    fit_intercept, skip_connection, penalty, l1_ratio, l2_ratio
        As for `solve`.
    n_alphas : int, default=100
        Length of the path.
    eps : float, default=1e-3
        Ratio of its smallest alpha to `alpha_max`.
    alphas : array-like or None, default=None
        Own values instead, in any order.
    tol, max_iter, n_threads, screening, solver, n_starts, random_state, callback, verbose
        As for `solve`, at each alpha.
    time_limit : float or None, default=None
        Limit in seconds for the whole path. A path that is stopped is returned as far as it got.

    Returns
    -------
    PathResult
        A sequence of `SolveResult`, from the largest alpha to the smallest.

    Raises
    ------
    TypeError, ValueError
        If an argument is malformed.

    Warns
    -----
    ConvergenceWarning
        If a solve ended before its gap reached ``tol``.

    References
    ----------
    J. Friedman, T. Hastie, R. Tibshirani (2010), Regularization paths for generalized linear models
    via coordinate descent, J. Stat. Software 33, section 2.5.

    Examples
    --------
    >>> import cvxnn, numpy as np
    >>> X = np.random.default_rng(0).standard_normal((50, 5))
    >>> y = np.abs(X[:, 0])
    >>> patterns = cvxnn.activation_patterns(X, cvxnn.sample_gates(5, 100, random_state=0))
    >>> path = cvxnn.solve_path(X, y, patterns, n_alphas=10, eps=0.05)
    >>> len(path), path[0].n_active
    (10, 0)
    """
    program = program_over(
        X,
        y,
        patterns,
        activation,
        n_starts=n_starts,
        random_state=random_state,
        n_threads=n_threads,
        loss=loss,
        sample_weight=sample_weight,
        weights=weights,
        fit_intercept=fit_intercept,
        skip_connection=skip_connection,
        penalty=penalty,
        l1_ratio=l1_ratio,
        l2_ratio=l2_ratio,
    )
    results = program.solve(
        path_alphas(lambda: program.alpha_max(n_threads), n_alphas, eps, alphas),
        tol=tol,
        max_iter=max_iter,
        time_limit=time_limit,
        n_threads=n_threads,
        screening=screening,
        solver=solver,
        callback=callback,
        verbose=verbose,
        init=None,
    )
    warn_unless_optimal(results, tol)
    return PathResult(results)
