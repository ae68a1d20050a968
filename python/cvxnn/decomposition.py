"""Cone decomposition: gated networks as ReLU networks."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from cvxnn._validation import Float, check_choice
from cvxnn.arrangements import check_data_behind
from cvxnn.network import Network
from cvxnn.results import SolveResult, check_one_output


@dataclass(frozen=True)
class Decomposition:
    """A ReLU network with the predictions, on the data, of a gated solution.

    Attributes
    ----------
    network : Network
        The ReLU network.
    objective : float
        Its training objective, where the predictions agree: an upper bound of that of the best ReLU
        network with these patterns, as ``gated.dual`` is a lower bound of it.
    growth : float
        Sum of its block norms over that of the gated solution: by how much the penalty grows.
    gated : SolveResult
        The solution that was decomposed.
    """

    network: Network
    objective: float
    growth: float
    gated: SolveResult = field(repr=False)


def decompose(result: SolveResult, X: ArrayLike, *, method: str = "minimum_norm") -> Decomposition:
    """Turn a gated solution into a ReLU network with the same predictions on the data.

    Each block u of pattern p becomes ``u = v - w`` with both parts in the pattern's cone
    ``(2 D_p - I) X v >= 0``, and these become two ReLU neurons of opposite sign. As alpha vanishes
    the ReLU and gated programs have the same optimum; at larger alpha the decomposed network may be
    far from the best ReLU network, and ``solve(..., activation="relu")`` is better.

    Parameters
    ----------
    result : SolveResult
        A gated solution.
    X : array-like of shape (n_samples, n_features)
        The data of the program.
    method : {'minimum_norm', 'closed_form', 'approximate'}, default='minimum_norm'
        ``minimum_norm``: the least ``||w||``, a non-negative least-squares problem a block.
        ``closed_form``: w along the pattern's gate, as far as is needed. ``approximate``: least
        squares violations of the cone, for large data; predictions then differ a little.

    Returns
    -------
    Decomposition

    Raises
    ------
    TypeError, ValueError
        If an argument is malformed.

    References
    ----------
    A. Mishkin, A. Sahiner, M. Pilanci (2022), Fast convex optimization for two-layer ReLU networks,
    ICML, section 3; C. Lawson, R. Hanson (1974), Solving least squares problems, section 23.4
    (least distance programming).

    Examples
    --------
    >>> import cvxnn, numpy as np
    >>> X = np.random.default_rng(0).standard_normal((30, 3))
    >>> y = np.abs(X[:, 0])
    >>> patterns = cvxnn.activation_patterns(X, cvxnn.sample_gates(3, 50, random_state=0))
    >>> gated = cvxnn.solve(X, y, patterns, alpha=1e-4)
    >>> relu = cvxnn.decompose(gated, X).network
    >>> bool(np.allclose(relu.predict(X), gated.network().predict(X)))
    True
    """
    check_one_output(result)
    if result.activation != "gated_relu":
        raise ValueError(f"result must be of activation 'gated_relu', got {result.activation!r}")
    check_choice(method, "method", ("minimum_norm", "closed_form", "approximate"))
    data = check_data_behind(X, result.patterns, result.active_set)
    patterns = result.patterns
    lengths = np.linalg.norm(data, axis=1)
    rows = data[lengths > 0.0] / lengths[lengths > 0.0, None]
    signs = np.where(patterns.to_dense()[lengths > 0.0][:, result.active_set], 1.0, -1.0)
    second = np.zeros_like(result.blocks)
    for j, (block, pattern) in enumerate(zip(result.blocks, result.active_set, strict=True)):
        half_spaces = signs[:, j, None] * rows
        needed = np.maximum(-half_spaces @ block, 0.0)  # w must reach this
        if not needed.any():
            continue
        gate = patterns.gates[:, pattern]
        along = half_spaces @ gate
        closed = (needed[along > 0] / along[along > 0]).max() * gate
        if method == "closed_form":
            second[j] = closed
        elif method == "minimum_norm":
            second[j] = _least_distance(half_spaces, needed, closed)
        else:
            second[j] = _least_squares(half_spaces, needed, closed)
    return _as_network(result, second)


def _least_distance(half_spaces: Float, needed: Float, closed: Float) -> Float:
    """Return the w of least norm with half_spaces @ w >= needed; `closed` has it."""
    from scipy.optimize import nnls

    # Scaled so that the solution is of norm one or less.
    size = np.linalg.norm(closed)
    target = needed / size
    E = np.vstack([half_spaces.T, target])
    f = np.zeros(len(E))
    f[-1] = 1.0
    r = E @ nnls(E, f, maxiter=30 * E.shape[1])[0] - f
    if r[-1] >= -1e-14:
        return closed
    w: Float = -r[:-1] / r[-1] * size
    # Rounding may leave w outside by a little: a step towards the interior mends it.
    short = (needed - half_spaces @ w).max()
    if short > 0.0:
        inside = half_spaces @ closed - needed
        margin = (half_spaces @ closed).min()
        if margin > 0.0:
            w = w + short / margin * closed
        elif inside.min() < 0.0:
            return closed
    return w if np.linalg.norm(w) <= size else closed


def _least_squares(half_spaces: Float, needed: Float, closed: Float) -> Float:
    """Return a w of small norm with half_spaces @ w >= needed up to least squares."""
    from scipy.optimize import minimize

    size = np.linalg.norm(closed)
    target = needed / size
    rho = 1e-10

    def value(w: Float) -> tuple[float, Float]:
        short = np.maximum(target - half_spaces @ w, 0.0)
        return 0.5 * (short @ short + rho * (w @ w)), rho * w - half_spaces.T @ short

    found = minimize(value, closed / size, jac=True, method="L-BFGS-B", options={"maxiter": 500})
    w: Float = found.x * size
    return w


def _as_network(result: SolveResult, second: Float) -> Decomposition:
    first = result.blocks + second
    blocks = np.vstack([first, second])
    sizes = np.linalg.norm(blocks, axis=1)
    signs = np.repeat([1.0, -1.0], len(second))
    used = np.flatnonzero(sizes > 0.0)
    root = np.sqrt(sizes[used])
    weights = np.tile(result.weights[result.active_set], 2)[used]
    network = Network(
        [(blocks[used] / root[:, None]).T, (signs[used] * root)[:, None]],
        [np.zeros(len(used)), np.array([result.intercept])],
        activation="relu",
        skip=None if result.skip is None else result.skip[:, None],
        penalty_weights=weights,
    )
    before = np.linalg.norm(result.blocks, axis=1) @ result.weights[result.active_set]
    after = sizes[used] @ weights
    # The loss is that of the gated solution: the fits agree.
    objective = result.primal + result.alpha * (after - before)
    return Decomposition(
        network=network,
        objective=float(objective),
        growth=float(after / before) if before > 0.0 else 1.0,
        gated=result,
    )
