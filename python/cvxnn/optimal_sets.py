"""All optimal networks of a convex program."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from cvxnn._ext import core
from cvxnn._threads import effective_threads
from cvxnn._validation import Float, check_positive, check_vector
from cvxnn.arrangements import check_data_behind
from cvxnn.network import Network
from cvxnn.results import SolveResult, check_one_output

_SAME_RAY = 1e-5  # distance of directions, and of images, that are one
_DEPENDENT = 1e-6  # singular value, beside the largest, of images that depend on each other
_NO_FIT = 1e-3  # share of the fit that rays may miss
_NO_MASS = 1e-9  # of the total mass: rays that no optimum uses


@dataclass(frozen=True)
class OptimalSet:
    """The optima of a program: ``{masses >= 0 : images @ masses = fit}``, a polytope.

    Every optimal network has neurons along these rays only; a ray's mass is the sum of
    ``||u|| * |v|`` over its neurons, and may be split among any number of them.

    Attributes
    ----------
    directions : ndarray of shape (n_features, n_rays)
        Hidden weights of norm one.
    signs : ndarray of shape (n_rays,)
        Signs of the output weights.
    active_set : ndarray of shape (n_rays,)
        A pattern of each.
    images : ndarray of shape (n_samples, n_rays)
        What a neuron of mass one adds to the fit.
    fit : ndarray of shape (n_samples,)
        The fit that all optima share, without intercept and skip connection.
    result : SolveResult
        The solution that they were found from.
    """

    directions: Float = field(repr=False)
    signs: Float = field(repr=False)
    active_set: np.ndarray[tuple[int], np.dtype[np.int64]] = field(repr=False)
    images: Float = field(repr=False)
    fit: Float = field(repr=False)
    result: SolveResult = field(repr=False)

    @property
    def n_rays(self) -> int:
        """Number of rays."""
        return int(self.images.shape[1])

    @cached_property
    def _equations(self) -> tuple[Float, Float]:
        """Return independent equations of the polytope, which some masses >= 0 satisfy.

        Rays and fit are known to the gap only, within which ``images @ masses = fit`` may have no
        solution: the fit is the nearest that the rays reach.
        """
        from scipy.optimize import nnls

        if self.n_rays == 0:
            return np.zeros((0, 0)), np.zeros(0)
        masses, missed = nnls(self.images, self.fit)
        if missed > _NO_FIT * np.linalg.norm(self.fit):
            raise RuntimeError("the rays do not reach the fit: solve to a smaller gap")
        _, s, V = np.linalg.svd(self.images, full_matrices=False)
        A: Float = V[s > _DEPENDENT * s.max(initial=0.0)]
        return A, A @ masses

    @property
    def rank(self) -> int:
        """Rank of the images: the width of a minimal network is at most this."""
        return len(self._equations[0])

    def select(self, costs: ArrayLike) -> Float:
        """Return the masses of the optimum with the least ``costs @ masses``, a vertex.

        Parameters
        ----------
        costs : array-like of shape (n_rays,)
            Linear objective.

        Returns
        -------
        ndarray of shape (n_rays,)

        Raises
        ------
        ValueError
            If `costs` is malformed.
        RuntimeError
            If the rays do not reach the fit: solve to a smaller gap.
        """
        from scipy.optimize import linprog

        values = check_vector(costs, "costs", self.n_rays, "n_rays")
        if self.n_rays == 0:
            return np.zeros(0)
        A, b = self._equations
        size = np.abs(b).max(initial=0.0) or 1.0
        values = values / (np.abs(values).max() or 1.0)
        found = linprog(values, A_eq=A, b_eq=b / size, bounds=(0.0, None))
        if found.status != 0:
            raise RuntimeError(f"no optimum found: {found.message} Solve to a smaller gap.")
        masses: Float = found.x * size
        return masses

    def min_norm(self) -> Float:
        """Return the masses of the optimum with the least sum of squared masses; it is unique."""
        from scipy.optimize import minimize

        if self.n_rays == 0:
            return np.zeros(0)
        A, b = self._equations
        start = self.select(np.zeros(self.n_rays))
        size = start.max(initial=0.0) or 1.0
        found = minimize(
            lambda a: (0.5 * a @ a, a),
            start / size,
            jac=True,
            bounds=[(0.0, None)] * self.n_rays,
            constraints={"type": "eq", "fun": lambda a: A @ a - b / size, "jac": lambda _: A},
            method="SLSQP",
            options={"ftol": 1e-15, "maxiter": 1000},
        )
        masses: Float = np.maximum(found.x, 0.0) * size
        return masses

    def ranges(self) -> Float:
        """Return the least and the largest mass that an optimum puts on each ray: (n_rays, 2)."""
        units = np.eye(self.n_rays)
        bounds = [(self.select(unit) @ unit, self.select(-unit) @ unit) for unit in units]
        return np.array(bounds).reshape(self.n_rays, 2)

    @property
    def is_unique(self) -> bool:
        """Whether there is one optimal network, up to splitting and permuting its neurons."""
        ranges = self.ranges()
        return bool(is_negligible(np.ptp(ranges, axis=1), ranges).all())

    def network(self, masses: ArrayLike) -> Network:
        """Return the network of these masses, one balanced neuron a ray with positive mass.

        Parameters
        ----------
        masses : array-like of shape (n_rays,)
            Non-negative masses.

        Returns
        -------
        Network

        Raises
        ------
        ValueError
            If `masses` is malformed or negative.
        """
        values = check_vector(masses, "masses", self.n_rays, "n_rays")
        if (values < 0.0).any():
            raise ValueError(f"masses must be non-negative, got {values.min():g}")
        used = np.flatnonzero(values > 0.0)
        root = np.sqrt(values[used])
        gated = self.result.activation == "gated_relu"
        skip = self.result.skip
        return Network(
            [self.directions[:, used] * root, (self.signs[used] * root)[:, None]],
            [np.zeros(len(used)), np.array([self.result.intercept])],
            activation=self.result.activation,
            gates=self.result.patterns.gates[:, self.active_set[used]] if gated else None,
            skip=None if skip is None else skip[:, None],
        )


def is_negligible(masses: Float, ranges: Float) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return which masses (n_rays,) are none, to the rounding of the ranges (n_rays, 2)."""
    slack = _NO_MASS * ranges[:, 1].sum() + 1e-7 * ranges[:, 1]
    none: np.ndarray[tuple[int], np.dtype[np.bool_]] = masses <= slack
    return none


def optimal_set(
    result: SolveResult, X: ArrayLike, *, tol: float = 1e-4, n_threads: int | None = None
) -> OptimalSet:
    """Describe all optima of a solved program.

    At an optimal dual point the blocks whose dual constraint is tight are those that any optimum
    may use, each along one ray.

    Parameters
    ----------
    result : SolveResult
        A solution with unit weights, to a small gap (1e-9 or so): rays are told from others by
        their dual constraint, within `tol`.
    X : array-like of shape (n_samples, n_features)
        The data of the program.
    tol : float, default=1e-4
        Relative slack of a dual constraint that counts as none.
    n_threads : int or None, default=None
        Threads; None is OpenMP's setting.

    Returns
    -------
    OptimalSet

    Raises
    ------
    TypeError, ValueError
        If an argument is malformed.

    References
    ----------
    A. Mishkin, M. Pilanci (2023), Optimal sets and solution paths of ReLU networks, ICML, Theorem
    3.1.

    Examples
    --------
    >>> import cvxnn, numpy as np
    >>> X, y = np.array([[1.0], [-1.0]]), np.array([1.0, 1.0])
    >>> result = cvxnn.solve(X, y, "exact", activation="relu", alpha=0.1, tol=1e-9)
    >>> optima = cvxnn.optimal_set(result, X)
    >>> optima.n_rays, optima.is_unique
    (2, True)
    """
    check_one_output(result)
    if not (result.weights == 1.0).all():
        raise ValueError("result must have unit weights")
    tol = check_positive(tol, "tol")
    data = check_data_behind(X, result.patterns, result.active_set)
    patterns = result.patterns
    relu = result.activation == "relu"
    tight = core.tight_relu if relu else core.tight_masked
    blocks, gradients = tight(
        data,
        patterns.words,
        np.asfortranarray(result.theta[:, None]),
        (1.0 - tol) * result.alpha,
        n_threads=effective_threads(n_threads),
    )
    directions = gradients / np.linalg.norm(gradients, axis=0)
    indices = np.asarray(blocks, dtype=np.int64)
    signs = np.where(indices < patterns.n_patterns, 1.0, -1.0)
    indices = indices % patterns.n_patterns
    images = signs * patterns.to_dense()[:, indices] * (data @ directions)
    kept: list[int] = []
    for j in range(len(indices)):  # a ray on a wall belongs to several cells
        same = any(
            np.linalg.norm(images[:, j] - images[:, k]) <= _SAME_RAY * np.linalg.norm(images[:, k])
            and np.linalg.norm(directions[:, j] - directions[:, k]) <= _SAME_RAY
            for k in kept
        )
        if not same:
            kept.append(j)
    active = patterns.to_dense()[:, result.active_set]
    fit = (active * (data @ result.blocks.T)) @ result.signs.astype(float)
    return OptimalSet(
        directions=directions[:, kept],
        signs=signs[kept],
        active_set=indices[kept],
        images=images[:, kept],
        fit=fit,
        result=result,
    )
