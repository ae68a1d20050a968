"""Networks with a circular convolution before their ReLU neurons."""

import time
from dataclasses import dataclass, field
from operator import itemgetter

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cvxnn._conv_layers import SHAPES
from cvxnn._fourier import fourier_design, fourier_filter, fourier_image
from cvxnn._fourier_cones import (
    SHRINK,
    FrequencyCones,
    centred,
    first_barrier,
    scaled_start,
)
from cvxnn._threads import blas_threads
from cvxnn._validation import (
    Data,
    Float,
    check_count,
    check_positive,
    check_sample_weight,
    check_targets,
    check_tensor,
    check_time_limit,
)
from cvxnn.arrangements import PatternSet, check_samples_of, enumerate_patterns
from cvxnn.network import Network
from cvxnn.results import Certified, IterationInfo, warn_unless_optimal


@dataclass(frozen=True)
class CircularResult(Certified):
    """The solution of `solve_circular`; see `Certified` for its certificate.

    Attributes
    ----------
    active_set : ndarray of shape (n_active,), int64
        Pattern of each neuron.
    signs : ndarray of shape (n_active,), int64
        Signs of the output weights.
    coefs : ndarray of shape (n_active, n_frequencies, 2 * n_channels), float64
        Weights in the Fourier basis: one frequency of each pair, real parts before imaginary ones.
    intercept : float
        Output intercept.
    patterns : PatternSet
        Activation patterns.
    shape : tuple of int
        Shape of the axes of space.
    """

    active_set: NDArray[np.int64]
    signs: NDArray[np.int64] = field(repr=False)
    coefs: Float = field(repr=False)
    intercept: float
    patterns: PatternSet
    shape: tuple[int, ...]

    def layers(self) -> tuple[Float, Float, Float]:
        """Return the filters, hidden weights and output weights of the neurons.

        Filters have norm one; hidden weights have the size of the output weight, at which weight
        decay is the penalty.

        Returns
        -------
        filters : ndarray of shape (n_neurons, n_channels, ...)
        hidden : ndarray of shape (n_neurons, ...)
        output : ndarray of shape (n_neurons,)
        """
        n_channels = self.coefs.shape[2] // 2
        filters = np.empty((len(self.coefs), n_channels, *self.shape))
        hidden = np.empty((len(self.coefs), *self.shape))
        output = np.empty(len(self.coefs))
        for j, coefs in enumerate(self.coefs):
            kernel, weights = fourier_filter(coefs, self.shape)
            size = float(np.linalg.norm(kernel))  # that of the weights too
            filters[j], hidden[j] = kernel / size, weights.reshape(self.shape)
            output[j] = self.signs[j] * size
        return filters, hidden, output

    def network(self) -> Network:
        """Return the network as one of ReLU neurons on flat inputs.

        A neuron's hidden weights are its filter convolved with its weights.

        Returns
        -------
        Network
        """
        output = self.layers()[2]
        images = [fourier_image(coefs, self.shape).ravel() for coefs in self.coefs]
        hidden = np.reshape(images, (len(images), self.patterns.n_features)).T
        return Network(
            [hidden / np.abs(output), output[:, None]], [np.zeros(len(output)), [self.intercept]]
        )


def solve_circular(
    X: ArrayLike,
    y: ArrayLike,
    patterns: PatternSet | None = None,
    *,
    alpha: float,
    sample_weight: ArrayLike | None = None,
    fit_intercept: bool = False,
    tol: float = 1e-6,
    max_iter: int = 100,
    time_limit: float | None = None,
) -> CircularResult:
    """Train a network of a circular convolution, a dense layer with ReLU, and an output.

    Neuron j is ``max(sum_c <X_c * u_jc, w_j>, 0) v_j``, where * correlates channels circularly with
    a filter of the size of the input, whose norm over channels is at most one. It is linear in the
    image ``u_j * w_j``, and weight decay ``alpha / 2 sum_j (||w_j||**2 + v_j**2)`` is a penalty on
    its Fourier transform. Minimises ``1 / (2 n) sum_i s_i (F_i - y_i)**2`` plus this decay over all
    networks, if the patterns are all.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_channels, length) or (..., height, width)
        Signals or images.
    y : array-like of shape (n_samples,)
        Targets.
    patterns : PatternSet or None, default=None
        Activation patterns of the flattened X; None enumerates all.
    alpha : float
        Regularisation strength. For filters whose circulant matrix has Frobenius norm one, in place
        of norm one, multiply it by the root of the number of positions.
    sample_weight : array-like of shape (n_samples,) or None, default=None
        Weights of samples; None is one.
    fit_intercept : bool, default=False
        Use a free output intercept.
    tol : float, default=1e-6
        Relative duality gap at which to stop; float64 allows about 1e-7.
    max_iter : int, default=100
        Limit on rounds of the barrier method.
    time_limit : float or None, default=None
        Seconds after which to stop.

    Returns
    -------
    CircularResult

    Raises
    ------
    TypeError, ValueError
        If an argument is malformed, no pattern is active, or a gate is on a sample's hyperplane.

    Warns
    -----
    ConvergenceWarning
        If the solve ended before the gap reached ``tol``.

    References
    ----------
    T. Ergen, M. Pilanci (2021), Implicit convex regularizers of CNN architectures, ICLR, section 4.

    Examples
    --------
    >>> import cvxnn, numpy as np
    >>> X = np.random.default_rng(0).standard_normal((6, 1, 4))
    >>> result = cvxnn.solve_circular(X, np.maximum(X[:, 0, 0] - X[:, 0, 1], 0), alpha=0.01)
    >>> result.status, result.gap <= 1e-6 * result.primal
    ('optimal', True)
    >>> filters, hidden, output = result.layers()
    >>> bool(np.allclose(np.linalg.norm(filters, axis=(1, 2)), 1.0))
    True
    """
    began = time.monotonic()
    data, alpha = check_tensor(X, SHAPES), check_positive(alpha, "alpha")
    flat = data.reshape(len(data), -1)
    targets = check_targets(y, len(data), labels=False, shares=False, several=False)[:, 0]
    omega = check_sample_weight(sample_weight, len(data))
    tol, max_iter = check_positive(tol, "tol"), check_count(max_iter, "max_iter")
    deadline = began + check_time_limit(time_limit)
    if patterns is None:
        patterns = enumerate_patterns(flat)
    elif not isinstance(patterns, PatternSet):
        raise TypeError(f"patterns must be a PatternSet or None, got {type(patterns).__name__}")
    check_samples_of(flat, patterns)
    with blas_threads(1):
        program = _Program(data, targets, omega, patterns, alpha, fit_intercept)
        result = program.solve(tol, max_iter, began, deadline)
    warn_unless_optimal([result], tol)
    return result


class _Program:
    """The problem in coordinates of frequencies, and back."""

    def __init__(
        self,
        data: Data,
        targets: Float,
        omega: Float,
        patterns: PatternSet,
        alpha: float,
        fit_intercept: bool,
    ) -> None:
        self._shape, self._alpha, self._patterns = data.shape[2:], alpha, patterns
        self._share = omega / omega.sum()
        design = fourier_design(np.asarray(data, dtype=np.float64))
        rows, masks = design.matrix, patterns.to_dense().T
        self._used = np.flatnonzero(masks.any(axis=1))
        if len(self._used) == 0:
            raise ValueError("X must have patterns that are active on a sample, got none")
        masks = masks[self._used]
        gates = patterns.gates.T[self._used].reshape(-1, *data.shape[1:])
        inside = fourier_design(gates).matrix
        norms = np.linalg.norm(rows, axis=1)
        seen = norms > 0.0  # a sample of zeros is no wall
        walls = np.where(masks, 1.0, -1.0)[:, seen, None] * (rows[seen] / norms[seen, None])
        if (np.einsum("pnq,pq->pn", walls, inside) <= 0.0).any():
            raise ValueError("patterns must have gates that are on no sample's hyperplane in X")
        fits = masks[:, :, None] * rows
        self._mean_fits, self._mean = np.zeros((len(masks), rows.shape[1])), 0.0
        if fit_intercept:  # the best intercept leaves residuals of mean zero
            self._mean_fits = np.einsum("n,pnq->pq", self._share, fits)
            self._mean = float(self._share @ targets)
        fits = np.sqrt(self._share)[:, None] * (fits - self._mean_fits[:, None])
        self._inside = np.concatenate([inside, inside])
        self._cones = FrequencyCones(
            fits=np.concatenate([fits, -fits]),
            walls=np.concatenate([walls, walls]),
            target=np.sqrt(self._share) * (targets - self._mean),
            prices=alpha * np.asarray(design.weights),
        )

    def solve(self, tol: float, max_iter: int, began: float, deadline: float) -> CircularResult:
        """Follow the central path until blocks and bound agree."""
        cones, status, n_steps = self._cones, "max_iter", 0
        best, theta, dual = np.zeros_like(self._inside), np.zeros_like(cones.target), 0.0
        primal, trace = cones.objective(best), list[IterationInfo]()
        if primal == 0.0:
            return self._result("optimal", best, theta, (0.0, 0.0), trace, n_steps, began)
        z, mu = scaled_start(cones, self._inside), first_barrier(cones)
        for iteration in range(1, max_iter + 1):
            z, step, count = centred(cones, z, mu)
            n_steps += count
            # Blocks on their way to zero are small: without them the others are feasible.
            kept = np.where(cones.costs(z) > tol * primal, 1.0, 0.0)[:, None] * z
            value = cones.objective(kept)
            if value < primal:
                best, primal = kept, value
            if step is not None:
                bound, point = cones.lower_bound(z, step, mu)
                dual, theta = max((dual, theta), (bound, point), key=itemgetter(0))
            dual = min(dual, primal)  # but for rounding it is
            trace.append(
                IterationInfo(
                    iteration=iteration,
                    primal=primal,
                    dual=dual,
                    gap=primal - dual,
                    n_active=int(best.any(axis=1).sum()),
                    n_working=len(z),
                    alpha=self._alpha,
                    elapsed=time.monotonic() - began,
                )
            )
            if primal - dual <= tol * primal:
                status = "optimal"
            elif step is None:
                status = "stalled"
            elif time.monotonic() > deadline:
                status = "time_limit"
            if status != "max_iter":
                break
            mu /= SHRINK
        return self._result(status, best, theta, (primal, dual), trace, n_steps, began)

    def _result(
        self,
        status: str,
        z: Float,
        theta: Float,
        values: tuple[float, float],
        trace: list[IterationInfo],
        n_steps: int,
        began: float,
    ) -> CircularResult:
        active, n_used = np.flatnonzero(z.any(axis=1)), len(self._used)
        order = np.argsort(active % n_used, kind="stable")
        active = active[order]
        blocks, signs = active % n_used, np.where(active < n_used, 1, -1)
        means = np.einsum("pq,pq->p", self._mean_fits[blocks], z[active])
        return CircularResult(
            status=status,
            alpha=self._alpha,
            primal=values[0],
            dual=values[1],
            gap=values[0] - values[1],
            n_iter=len(trace),
            n_epochs=n_steps,
            seconds=time.monotonic() - began,
            theta=np.sqrt(self._share) * theta,
            trace=trace,
            active_set=self._used[blocks],
            signs=signs,
            coefs=self._cones.by_frequency(z[active]),
            intercept=self._mean - float(signs @ means),
            patterns=self._patterns,
            shape=tuple(self._shape),
        )
