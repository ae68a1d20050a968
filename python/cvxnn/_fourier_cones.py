"""A barrier method for norms of frequencies inside cones.

The norm of a block is a sum over frequencies, and its cone is of all frequencies at once: no
projection is known in closed form. Inside the cones all is smooth, and Newton's method needs one
system of the size of the data for all blocks.
"""

import math
import time
from dataclasses import dataclass, field
from operator import itemgetter

import numpy as np

from cvxnn._validation import Float

_SHRINK = 5.0  # of the barrier a round: larger steps leave Newton's method far behind
_CENTRAL = 0.1  # Newton decrement, in units of the barrier, at which a round ends
_ROUND = 50  # Newton steps, which a round needs a tenth of
_ARMIJO, _LEAST_STEP, _BOUNDARY = 0.1, 1e-8, 0.95
_RIDGE = 1e-15  # relative; walls that blocks lie on make systems singular in float64
_START = 1e-2  # of the loss at zero, the cost of all blocks together at first
_NEAR = 1e-4  # relative gap of the point where the next solve of a path starts
_LINE = 1e-2  # of its largest price, that of the program that finds it
_LINES, _PEAK_GAP, _PEAK_ROUNDS = 8, 1e-6, 100


@dataclass(frozen=True)
class FrequencyCones:
    """Minimise ``||sum_b fits_b z_b - target||^2 / 2 + sum_bf prices_f ||z_bf||`` in cones.

    Attributes
    ----------
    fits : ndarray of shape (n_blocks, n_rows, n_coordinates)
        What the coordinates of a block put out.
    walls : ndarray of shape (n_blocks, n_walls, n_coordinates)
        The cones: ``walls_b z_b >= 0``.
    target : ndarray of shape (n_rows,)
        Targets.
    prices : ndarray of shape (n_frequencies,)
        Of the norms of coordinates, which belong to frequencies in equal parts, in order.
    """

    fits: Float
    walls: Float
    target: Float
    prices: Float

    def residual(self, z: Float) -> Float:
        """Return what the fit of blocks (n_blocks, n_coordinates) leaves of the target."""
        residual: Float = self.target - np.einsum("bnq,bq->n", self.fits, z)
        return residual

    def by_frequency(self, z: Float) -> Float:
        """Return coordinates (n_blocks, n_frequencies, n_parts)."""
        n_frequencies = len(self.prices)
        return z.reshape(len(z), n_frequencies, z.shape[1] // n_frequencies)

    def costs(self, z: Float) -> Float:
        """Return the penalty of each block."""
        costs: Float = np.linalg.norm(self.by_frequency(z), axis=2) @ self.prices
        return costs

    def objective(self, z: Float) -> float:
        """Return the objective of blocks that are inside their cones."""
        return 0.5 * float(np.sum(self.residual(z) ** 2)) + float(self.costs(z).sum())

    def slopes(self) -> Float:
        """Return by how much the fit to the target grows along each coordinate, from zero on."""
        slopes: Float = np.einsum("bnq,n->bq", self.fits, self.target)
        return slopes

    def largest_share(self, slopes: Float) -> float:
        """Return the largest norm of a frequency, as a share of its price."""
        return float((np.linalg.norm(self.by_frequency(slopes), axis=2) / self.prices).max())

    def heights(self, z: Float) -> Float:
        """Return the distances of blocks from their walls."""
        heights: Float = np.matmul(self.walls, z[:, :, None])[:, :, 0]
        return heights

    def _bounds(self, z: Float, mu: float) -> tuple[Float, Float, Float]:
        """Return the heads x of the cones ``||z_bf|| <= x_bf`` that are best, and their parts.

        They minimise ``price * x - mu log(x**2 - ||z||**2)``.
        """
        least = mu / self.prices
        root = np.sqrt(least**2 + np.sum(self.by_frequency(z) ** 2, axis=2))
        return least + root, root, least

    def smoothed(self, z: Float, mu: float) -> float:
        """Return the objective with the barrier of walls and norms, up to a constant."""
        heads, heights = self._bounds(z, mu)[0], self.heights(z)
        if heights.min(initial=1.0) <= 0.0:
            return np.inf
        norms = float(np.sum(self.prices * heads - mu * np.log(heads)))
        walls = mu * float(np.sum(np.log(heights)))
        return 0.5 * float(np.sum(self.residual(z) ** 2)) + norms - walls

    def newton(self, z: Float, mu: float) -> tuple[Float, float]:
        """Return Newton's step for the smoothed objective, and its slope along it."""
        heads, root, _ = self._bounds(z, mu)
        heights, parts = self.heights(z), self.by_frequency(z)
        pull = self.prices / heads
        slope = (pull[:, :, None] * parts).reshape(z.shape)
        slope -= np.matmul((mu / heights)[:, None], self.walls)[:, 0]
        slope -= np.einsum("bnq,n->bq", self.fits, self.residual(z))

        curved = np.sqrt(mu) / heights[:, :, None] * self.walls
        hessian = np.matmul(curved.transpose(0, 2, 1), curved)
        n_parts = parts.shape[2]
        outer = parts[:, :, :, None] * parts[:, :, None] / (heads * root)[:, :, None, None]
        blocks = pull[:, :, None, None] * (np.eye(n_parts) - outer)
        for f in range(len(self.prices)):
            own = slice(f * n_parts, (f + 1) * n_parts)
            hessian[:, own, own] += blocks[:, f]
        diagonal = np.arange(z.shape[1])
        hessian[:, diagonal, diagonal] += _RIDGE * np.einsum("bqq->b", hessian)[:, None]

        # All blocks meet in the residual only: Woodbury's identity.
        right = np.concatenate([self.fits.transpose(0, 2, 1), slope[:, :, None]], axis=2)
        solved = np.linalg.solve(hessian, right)
        to_fit, alone = solved[:, :, :-1], solved[:, :, -1]
        system = np.eye(len(self.target)) + np.matmul(self.fits, to_fit).sum(axis=0)
        shared = np.linalg.solve(system, np.einsum("bnq,bq->n", self.fits, alone))
        step: Float = np.matmul(to_fit, shared) - alone
        return step, float(np.sum(slope * step))

    def lower_bound(self, z: Float, step: Float, mu: float) -> tuple[float, Float]:
        """Return a lower bound of the optimum, and the dual point that proves it.

        Multipliers of the walls that are not negative, and a multiple of the residual at which no
        frequency of any block is above its price with them, are feasible for the dual. Those after
        Newton's step, to first order, are by far closer to it than those of z.
        """
        residual, heights = self.residual(z + step), self.heights(z)
        multipliers = mu / heights * np.maximum(1.0 - self.heights(step) / heights, 0.0)
        forces = np.einsum("bnq,n->bq", self.fits, residual)
        forces += np.matmul(multipliers[:, None], self.walls)[:, 0]
        square = float(np.sum(residual**2))
        scale = max(float(residual @ self.target) / square, 0.0) if square > 0.0 else 1.0
        scale /= max(1.0, scale * self.largest_share(forces))
        value = scale * float(residual @ self.target) - 0.5 * scale**2 * square
        return value, scale * residual


def _first_point(problem: FrequencyCones, inside: Float) -> tuple[Float, float]:
    """Return blocks along others that are inside their cones, all at the same small cost.

    With them the barrier at which the gap on the central path is the loss at zero.
    """
    loss = 0.5 * float(problem.target @ problem.target)
    scaled = inside * (loss * _START / len(inside) / problem.costs(inside))[:, None]
    n_blocks, n_walls, _ = problem.walls.shape
    return scaled, loss / (n_blocks * (n_walls + 2 * len(problem.prices)))


def _centred(problem: FrequencyCones, z: Float, mu: float) -> tuple[Float, Float | None, int]:
    """Return blocks close to the central path, Newton's step from there, and how many led there.

    The step is None where float64 allows no further progress.
    """
    for n_steps in range(1, _ROUND + 1):
        try:
            step, slope = problem.newton(z, mu)
        except np.linalg.LinAlgError:
            return z, None, n_steps
        if not np.isfinite(step).all():  # squares of huge data have no room
            return z, None, n_steps
        if -slope <= _CENTRAL**2 * mu:
            return z, step, n_steps
        heights, change = problem.heights(z), problem.heights(step)
        shrinking = change < 0.0
        size = 1.0
        if shrinking.any():
            size = min(size, _BOUNDARY * float((-heights[shrinking] / change[shrinking]).min()))
        value = problem.smoothed(z, mu)
        while not problem.smoothed(z + size * step, mu) <= value + _ARMIJO * size * slope:
            size *= 0.5
            if size < _LEAST_STEP:
                return z, None, n_steps
        z = z + size * step
    return z, None, _ROUND


@dataclass(frozen=True)
class Round:
    """What a round of the barrier method knows: the best of all rounds so far."""

    primal: float
    dual: float
    n_active: int
    moment: float  # time.monotonic()


@dataclass
class CentralPath:
    """The barrier method from a point inside the cones, `inside`, or from an earlier solution's.

    Attributes
    ----------
    status : str
        As in `Certified`.
    z : ndarray of shape (n_blocks, n_coordinates)
        The solution.
    theta : ndarray of shape (n_rows,)
        The dual point of the lower bound.
    primal, dual : float
        Objective and lower bound.
    rounds : list of Round
    n_steps : int
        Newton steps.
    """

    problem: FrequencyCones
    inside: Float
    status: str = field(default="max_iter", init=False)
    z: Float = field(init=False)
    theta: Float = field(init=False)
    primal: float = field(init=False)
    dual: float = field(default=0.0, init=False)
    rounds: list[Round] = field(default_factory=list, init=False)
    n_steps: int = field(default=0, init=False)
    _start: tuple[Float, float] | None = field(default=None, init=False)  # of the next solve

    def __post_init__(self) -> None:
        self.z, self.theta = np.zeros_like(self.inside), np.zeros_like(self.problem.target)
        self.primal = self.problem.objective(self.z)

    def follow(
        self, tol: float, max_iter: int, deadline: float, before: "CentralPath | None" = None
    ) -> "CentralPath":
        """Follow the central path until blocks and bound agree."""
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            return self._follow(tol, max_iter, deadline, before)

    def _follow(
        self, tol: float, max_iter: int, deadline: float, before: "CentralPath | None"
    ) -> "CentralPath":
        if self.problem.largest_share(self.problem.slopes()) <= 1.0:  # zero, even without walls
            self.status, self.dual, self.theta = "optimal", self.primal, self.problem.target
            return self
        z, mu = _first_point(self.problem, self.inside)
        if before is not None and before._start is not None:
            start, barrier = before._start
            centre, step, count = _centred(self.problem, start, barrier)
            self.n_steps += count
            if step is not None:
                z, mu = centre, barrier
        for _ in range(max_iter):
            z, step, count = _centred(self.problem, z, mu)
            self.n_steps += count
            self._keep_better(z, step, mu, tol)
            gap = self.primal - self.dual
            if step is not None and (self._start is None or gap > _NEAR * self.primal):
                self._start = (z, mu)
            if gap <= tol * self.primal:
                self.status = "optimal"
            elif step is None:
                self.status = "stalled"
            elif self.rounds[-1].moment > deadline:
                self.status = "time_limit"
            if self.status != "max_iter":
                break
            mu /= _SHRINK
        return self

    def _keep_better(self, z: Float, step: Float | None, mu: float, tol: float) -> None:
        problem = self.problem
        # Blocks on their way to zero are small: without them the others are feasible.
        kept = np.where(problem.costs(z) > tol * self.primal, 1.0, 0.0)[:, None] * z
        value = problem.objective(kept)
        if value < self.primal:
            self.z, self.primal = kept, value
        if step is not None:
            found = problem.lower_bound(z, step, mu)
            self.dual, self.theta = max((self.dual, self.theta), found, key=itemgetter(0))
        self.dual = min(self.dual, self.primal)  # but for rounding it is
        n_active = int(self.z.any(axis=1).sum())
        self.rounds.append(Round(self.primal, self.dual, n_active, time.monotonic()))


def largest_price(problem: FrequencyCones, inside: Float) -> float:
    """Return the multiple of the prices from which on all blocks are zero, 1e-6 above it at most.

    It is the largest ``slope_b @ z_b`` in the cones at a cost of one. Towards a single target along
    these slopes, blocks go to ``1 - line / largest`` for prices times `line`: the optimum tells it.
    """
    slopes = problem.slopes()
    size = float(np.abs(slopes).max())
    slopes /= size if size > 0.0 else 1.0
    line = problem.largest_share(slopes)
    for _ in range(_LINES if line > 0.0 else 0):
        line *= _LINE
        towards = FrequencyCones(slopes[:, None], problem.walls, np.ones(1), line * problem.prices)
        found = CentralPath(towards, inside).follow(_PEAK_GAP, _PEAK_ROUNDS, math.inf)
        if found.z.any():
            return size * line / (1.0 - math.sqrt(1.0 - 2.0 * found.dual))
    return 0.0
