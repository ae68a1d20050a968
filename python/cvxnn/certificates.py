"""Global-optimality certificates for networks from anywhere."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from cvxnn._adaptive import AdaptiveProgram, around, find_violations
from cvxnn._conversion import as_network
from cvxnn._ext import core
from cvxnn._problem import Problem, make_problem
from cvxnn._threads import effective_threads
from cvxnn._validation import Float, check_choice, check_count, check_positive, refuse_sparse
from cvxnn.arrangements import (
    PatternSet,
    RandomState,
    generator,
)
from cvxnn.enumeration import enumerate_patterns, pattern_bound
from cvxnn.losses import Huber
from cvxnn.network import Network
from cvxnn.results import SolveResult

_TIGHT = 1e-9  # relative pre-activation of a sample that a neuron's kink passes through
_STATIONARY = 1e-5  # of alpha: gradients that count as zero
_NEAR = 0.01  # excess of a dual norm ratio over 1 for which rounding of the network may be to blame
_FEW = 50_000  # patterns that "auto" enumerates


@dataclass(frozen=True)
class Certificate:
    """How far a ReLU network is from the best one of any width, and how it can be improved.

    Attributes
    ----------
    objective : float
        Of the balanced network: ``loss + alpha * sum_j ||u_j|| |v_j|``, at most that of the network
        as it is.
    lower_bound : float
        No ReLU network of any width has a lower objective, if `proof`; else an estimate of that.
    proof : bool
        Whether the lower bound is one: the dual norm behind it is exact or bounded from above.
    status : str
        ``optimal`` (`gap_rel` is at most ``tol``), ``stationary`` (gradients vanish, yet there are
        better networks), or ``improvable``.
    dual_norm_ratio : float
        ``N(theta) / alpha`` of the residual theta of the network: 1 at an optimum, above it where a
        neuron can be added with profit.
    neuron : ndarray of shape (n_features [+ 1],), float64
        The direction, of norm one, of the neuron that most violates the dual constraint, the hidden
        bias last if there is one.
    sign : int
        Sign of the output weight with which that neuron lowers the objective.
    pattern : ndarray of shape (n_samples,), bool
        The samples on which it is active.
    network : Network or None
        With ``improve=True``, a network of lower objective, or None where there is none.
    """

    objective: float
    lower_bound: float
    proof: bool
    status: str
    dual_norm_ratio: float
    neuron: Float = field(repr=False)
    sign: int
    pattern: np.ndarray[Any, np.dtype[np.bool_]] = field(repr=False)
    network: Network | None = field(default=None, repr=False)

    @property
    def gap(self) -> float:
        """``objective - lower_bound``."""
        return self.objective - self.lower_bound

    @property
    def gap_rel(self) -> float:
        """``gap / objective``."""
        return self.gap / self.objective if self.objective > 0.0 else 0.0


def certify(
    network: Any,
    X: ArrayLike,
    y: ArrayLike,
    alpha: float,
    *,
    loss: str | Huber = "squared",
    sample_weight: ArrayLike | None = None,
    method: str = "auto",
    tol: float = 1e-6,
    improve: bool = False,
    n_starts: int = 200,
    random_state: RandomState = 0,
    n_threads: int | None = None,
) -> Certificate:
    """Bound how far a two-layer ReLU network is from the global optimum of its training problem.

    The problem is ``min 1/n sum_i s_i loss_i + alpha/2 * sum_j (||u_j||**2 + v_j**2)`` over ReLU
    networks of any width, with hidden biases (regularised) if the network has one that is not zero,
    and with a free output bias if its own is not zero.

    Parameters
    ----------
    network : Network, fitted estimator, torch module or state dict
        With one hidden layer of ReLU neurons and one output; see `Network.from_sklearn` and
        `Network.from_torch`.
    X, y : array-like of shape (n_samples, n_features) and (n_samples,)
        The training data; y as for `solve`.
    alpha : float
        Regularisation strength.
    loss, sample_weight
        As for `solve`, but not ``hinge``: at its kinks a network does not tell its dual point.
    method : {'auto', 'exact', 'bound', 'search'}, default='auto'
        How the dual constraint is checked: over all activation patterns, enumerated (``exact``, a
        proof); by a norm bound at the cost of one singular value (``bound``, a proof, often loose);
        by local search from many starts (``search``, no proof). ``auto`` is ``exact`` up to 50,000
        patterns and ``search`` beyond.
    tol : float, default=1e-6
        Relative gap at which a network counts as optimal.
    improve : bool, default=False
        Continue from the network to one that no search finds a way to improve.
    n_starts : int, default=200
        Random starts of a search, and as many around the neurons.
    random_state : int, Generator, RandomState, SeedSequence or None, default=0
        Source of these starts.
    n_threads : int or None, default=None
        Threads; None is OpenMP's setting.

    Returns
    -------
    Certificate

    Raises
    ------
    TypeError, ValueError
        If an argument is malformed.

    References
    ----------
    Y. Wang, J. Lacotte, M. Pilanci (2022), The hidden convex optimization landscape of regularized
    two-layer ReLU networks, ICLR, Theorem 1; M. Pilanci, T. Ergen (2020), Neural networks are
    convex regularizers, ICML, section 3.

    Examples
    --------
    >>> import cvxnn, numpy as np
    >>> X, y = np.array([[1.0, -1.0], [0.0, 1.0]]), np.array([1.2, 1.0])
    >>> net = cvxnn.Network([[[1.0], [0.0]], [[1.0]]], [[0.0], [0.0]])
    >>> found = cvxnn.certify(net, X, y, alpha=0.1)
    >>> found.status, found.proof, round(found.dual_norm_ratio, 6)
    ('stationary', True, 5.0)
    """
    check_choice(method, "method", ("auto", "exact", "bound", "search"))
    alpha, tol = check_positive(alpha, "alpha"), check_positive(tol, "tol")
    n_starts, n_threads = check_count(n_starts, "n_starts"), effective_threads(n_threads)
    trained = _relu_network(network)
    problem, neurons, outputs = _as_problem(trained, X, y, loss, sample_weight)
    data = np.ascontiguousarray(problem.data, dtype=np.float64)
    arguments = (problem.loss.name, problem.loss.delta, problem.targets, problem.omega)
    with np.errstate(over="ignore", invalid="ignore"):
        fit = trained.predict(X)[:, None]
        strength = np.linalg.norm(neurons, axis=0) * np.abs(outputs)
        objective = float(core.loss_value(*arguments, fit) + alpha * strength.sum())
    if not np.isfinite(objective):
        raise ValueError(f"network must have a finite objective on X and y, got {objective:g}")
    free = problem.arguments()["free"]
    theta = core.feasible_dual_point(*arguments, free, fit)

    rng = generator(random_state)
    active = neurons[:, strength > 0]
    starts = np.hstack([active, rng.standard_normal((data.shape[1], n_starts))])
    if active.shape[1] > 0:
        starts = np.hstack([starts, around(active, n_starts, rng)[0]])
    patterns = _all_patterns(data, method, n_threads)
    norm, proof, neuron, sign = _dual_norm(data, theta[:, 0], starts, method, patterns, n_threads)

    def bound(theta: Float, norm: float) -> float:
        limit = alpha / norm if norm > 0.0 else np.inf
        value: float = core.lower_bound(*arguments, free, theta, limit)
        return min(value, objective)

    lower_bound = bound(theta, norm)
    near = norm <= (1.0 + _NEAR) * alpha
    continued = None
    if objective - lower_bound > tol * objective and (improve or near):
        continued = _continued(problem, active, alpha, tol, n_starts, rng)
        if near:
            # The residual of a network errs by the root of its own gap; that of a better one less.
            again = _dual_norm(data, continued.theta, starts, method, patterns, n_threads)[0]
            lower_bound = max(lower_bound, bound(continued.theta[:, None], again))
    status = "optimal"
    if objective - lower_bound > tol * objective:
        stationary = _is_stationary(data, theta[:, 0], neurons, outputs, alpha)
        status = "stationary" if stationary else "improvable"
    better = None
    if improve and status != "optimal" and continued is not None and continued.primal < objective:
        better = _with_biases(continued.network(), len(neurons) > trained.n_features_in_)
    return Certificate(
        objective=objective,
        lower_bound=lower_bound,
        proof=proof,
        status=status,
        dual_norm_ratio=norm / alpha,
        neuron=neuron,
        sign=sign,
        pattern=data @ neuron > _TIGHT * np.linalg.norm(data, axis=1),
        network=better,
    )


def _relu_network(network: Any) -> Network:
    trained = as_network(network)
    if trained.activation != "relu" or trained.n_outputs_ != 1:
        raise ValueError(
            "network must be a ReLU network with one output, got "
            f"{trained.activation!r} with {trained.n_outputs_} outputs"
        )
    if not (trained.penalty_weights_ == 1.0).all():
        raise ValueError("network must have penalty weights of one")
    return trained


def _as_problem(
    network: Network,
    X: ArrayLike,
    y: ArrayLike,
    loss: str | Huber,
    sample_weight: ArrayLike | None,
) -> tuple[Problem, Float, Float]:
    """Return the training problem, hidden weights (bias last, if any) and output weights."""
    if loss == "hinge":
        raise ValueError("loss must be smooth, got 'hinge'")
    refuse_sparse(X, "X")
    neurons = network.coefs_[0]
    problem = make_problem(
        X,
        y,
        1,
        loss=loss,
        sample_weight=sample_weight,
        weights=None,
        fit_intercept=bool(network.intercepts_[1].any()),
        skip_connection=network.skip_ is not None,
    )
    if network.skip_ is not None and network.intercepts_[0].any():
        raise ValueError("network must not have both a skip connection and hidden biases")
    if network.intercepts_[0].any():
        neurons = np.vstack([neurons, network.intercepts_[0]])
        ones = np.ones((len(problem.data), 1), dtype=problem.data.dtype)
        problem = replace(problem, data=np.hstack([problem.data, ones]))
    return problem, neurons, network.coefs_[1][:, 0]


def _all_patterns(data: Float, method: str, n_threads: int) -> PatternSet | None:
    """Return every pattern where `method` checks all of them."""
    if method in ("bound", "search") or (method == "auto" and pattern_bound(data) > _FEW):
        return None
    try:
        return enumerate_patterns(data, max_patterns=2**31 - 1, n_threads=n_threads)
    except ValueError:  # cells that float64 does not tell apart
        if method == "exact":
            raise
        return None


def _dual_norm(
    data: Float,
    theta: Float,
    starts: Float,
    method: str,
    patterns: PatternSet | None,
    n_threads: int,
) -> tuple[float, bool, Float, int]:
    """Return N(theta), whether no neuron exceeds it, and the worst neuron and its sign."""
    found = find_violations(data, theta, starts, n_threads)
    neuron, sign = found.directions[:, 0], int(found.signs[0])
    if method == "bound":
        return _norm_bound(data, theta), True, neuron, sign
    if patterns is None:
        return found.largest, False, neuron, sign
    norm, block, direction = core.dual_norm_relu(
        data, patterns.words, theta[:, None], n_threads=n_threads
    )
    if norm <= found.largest:  # but for rounding they are equal
        return found.largest, True, neuron, sign
    return norm, True, direction, 1 if block < patterns.n_patterns else -1


def _norm_bound(data: Float, theta: Float) -> float:
    """Bound the dual norm by the two signs of theta, each as if all its samples were active."""
    parts = []
    for part in (np.maximum(theta, 0.0), np.maximum(-theta, 0.0)):
        rows = data[part > 0]
        parts.append(np.linalg.norm(rows, 2) * np.linalg.norm(part) if len(rows) else 0.0)
    return max(parts)


def _is_stationary(data: Float, theta: Float, neurons: Float, outputs: Float, alpha: float) -> bool:
    """Whether zero is a Clarke subgradient for every neuron of the balanced network."""
    from scipy.optimize import lsq_linear

    lengths = np.linalg.norm(data, axis=1)
    for neuron, output in zip(neurons.T, outputs, strict=True):
        size = np.linalg.norm(neuron)
        if size == 0.0 or output == 0.0:
            continue
        direction = neuron / size
        scores = data @ direction
        kinks = (np.abs(scores) <= _TIGHT * lengths) & (lengths > 0)
        active = (scores > 0) & ~kinks
        excess = np.sign(output) * data[active].T @ theta[active] - alpha * direction
        if kinks.any():
            slopes = np.sign(output) * (data[kinks] * theta[kinks, None]).T
            share = lsq_linear(slopes, -excess, bounds=(0.0, 1.0), tol=1e-14).x
            excess = excess + slopes @ share
        if np.linalg.norm(excess) > _STATIONARY * alpha:
            return False
    return True


def _continued(
    problem: Problem,
    neurons: Float,
    alpha: float,
    tol: float,
    n_starts: int,
    rng: np.random.Generator,
) -> SolveResult:
    """Return what column generation makes of the patterns at hand."""
    program = AdaptiveProgram(problem, n_starts=n_starts, random_state=rng, n_threads=None)
    program.add_gates(neurons)
    return program.solve(
        [alpha],
        tol=tol,
        init=None,
        max_iter=1000,
        time_limit=None,
        n_threads=None,
        screening=True,
        solver="auto",
        callback=None,
        verbose=0,
    )[0]


def _with_biases(network: Network, biased: bool) -> Network:
    """Return the network with the last feature, if it was a bias, as one."""
    if not biased:
        return network
    hidden, output = network.coefs_
    return Network([hidden[:-1], output], [hidden[-1], network.intercepts_[1]])
