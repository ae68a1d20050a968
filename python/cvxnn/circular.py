"""Networks with a circular convolution before their ReLU neurons."""

import time
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cvxnn._conv_layers import SHAPES
from cvxnn._fourier import fourier_design, fourier_filter, fourier_image
from cvxnn._fourier_cones import CentralPath, FrequencyCones, largest_price
from cvxnn._paths import path_alphas
from cvxnn._threads import blas_threads
from cvxnn._validation import (
    Data,
    Float,
    check_count,
    check_flag,
    check_positive,
    check_sample_weight,
    check_targets,
    check_tensor,
    check_time_limit,
)
from cvxnn.arrangements import PatternSet, check_samples_of
from cvxnn.enumeration import enumerate_patterns
from cvxnn.network import Network
from cvxnn.results import Certified, IterationInfo, warn_unless_optimal

_NOTHING = 1e-150  # of data: products of two have no room below


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
    deadline = began + check_time_limit(time_limit)
    strengths = [check_positive(alpha, "alpha")]
    tol, max_iter = check_positive(tol, "tol"), check_count(max_iter, "max_iter")
    program = _checked_program(X, y, patterns, sample_weight, fit_intercept)
    results = program.solve(strengths, tol, max_iter, deadline)
    warn_unless_optimal(results, tol)
    return results[0]


def solve_circular_path(
    X: ArrayLike,
    y: ArrayLike,
    patterns: PatternSet | None = None,
    *,
    n_alphas: int = 20,
    eps: float = 1e-2,
    alphas: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    fit_intercept: bool = False,
    tol: float = 1e-6,
    max_iter: int = 100,
    time_limit: float | None = None,
) -> list[CircularResult]:
    """Solve as `solve_circular` does along a path of regularisation strengths.

    Parameters
    ----------
    X, y, patterns, sample_weight, fit_intercept
        As for `solve_circular`.
    n_alphas : int, default=20
        Length of the path, from the smallest alpha at which the network is empty.
    eps : float, default=1e-2
        Ratio of its smallest alpha to its largest.
    alphas : array-like or None, default=None
        Own values instead, in any order.
    tol, max_iter
        As for `solve_circular`, at each alpha.
    time_limit : float or None, default=None
        Limit in seconds for the whole path. A path that is stopped is returned as far as it got.

    Returns
    -------
    list of CircularResult
        From the largest alpha to the smallest.

    Raises
    ------
    TypeError, ValueError
        If an argument is malformed, no pattern is active, or a gate is on a sample's hyperplane.

    Warns
    -----
    ConvergenceWarning
        If a solve ended before its gap reached ``tol``.

    References
    ----------
    T. Ergen, M. Pilanci (2021), Implicit convex regularizers of CNN architectures, ICLR, section 4.

    Examples
    --------
    >>> import cvxnn, numpy as np
    >>> X = np.random.default_rng(0).standard_normal((6, 1, 4))
    >>> y = np.maximum(X[:, 0, 0] - X[:, 0, 1], 0)
    >>> path = cvxnn.solve_circular_path(X, y, n_alphas=4)
    >>> [len(result.active_set) for result in path][0], path[3].status
    (0, 'optimal')
    """
    began = time.monotonic()
    deadline = began + check_time_limit(time_limit)
    tol, max_iter = check_positive(tol, "tol"), check_count(max_iter, "max_iter")
    program = _checked_program(X, y, patterns, sample_weight, fit_intercept)
    strengths = path_alphas(program.alpha_max, n_alphas, eps, alphas).tolist()
    results = program.solve(strengths, tol, max_iter, deadline)
    warn_unless_optimal(results, tol)
    return results


def _checked_program(
    X: ArrayLike,
    y: ArrayLike,
    patterns: PatternSet | None,
    sample_weight: ArrayLike | None,
    fit_intercept: bool,
) -> "_Program":
    fit_intercept = check_flag(fit_intercept, "fit_intercept")
    data = check_tensor(X, SHAPES)
    flat = data.reshape(len(data), -1)
    targets = check_targets(y, len(data), labels=False, shares=False, several=False)[:, 0]
    omega = check_sample_weight(sample_weight, len(data))
    if patterns is None:
        patterns = enumerate_patterns(flat)
    elif not isinstance(patterns, PatternSet):
        raise TypeError(f"patterns must be a PatternSet or None, got {type(patterns).__name__}")
    check_samples_of(flat, patterns)
    return _Program(data, targets, omega, patterns, fit_intercept)


def _unit(values: Float) -> float:
    """Return the largest magnitude, or one where it is nothing."""
    largest = float(np.abs(values).max())
    return largest if largest > _NOTHING else 1.0


class _Program:
    """The problem in coordinates of frequencies, and back."""

    def __init__(
        self,
        data: Data,
        targets: Float,
        omega: Float,
        patterns: PatternSet,
        fit_intercept: bool,
    ) -> None:
        self._shape, self._patterns = data.shape[2:], patterns
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
        target = np.sqrt(self._share) * (targets - self._mean)
        # In units of their own neither tiny nor huge data leave the range of float64.
        self._size, self._height = _unit(fits), _unit(target)
        fits = fits / self._size
        self._cones = FrequencyCones(
            fits=np.concatenate([fits, -fits]),
            walls=np.concatenate([walls, walls]),
            target=target / self._height,
            prices=np.asarray(design.weights) / self._size / self._height,
        )

    def alpha_max(self) -> float:
        """Return the smallest alpha at which every block is zero."""
        with blas_threads(1):
            return largest_price(self._cones, self._inside)

    def solve(
        self, alphas: list[float], tol: float, max_iter: int, deadline: float
    ) -> list[CircularResult]:
        """Solve at each alpha, each from the one before."""
        results, path = [], None
        for alpha in alphas:
            began = time.monotonic()
            priced = replace(self._cones, prices=alpha * self._cones.prices)
            with blas_threads(1):
                path = CentralPath(priced, self._inside).follow(tol, max_iter, deadline, path)
            results.append(self._result(alpha, path, began))
            if path.status == "time_limit":
                break
        return results

    def _result(self, alpha: float, path: CentralPath, began: float) -> CircularResult:
        z = self._height / self._size * path.z
        square = self._height**2
        active, n_used = np.flatnonzero(z.any(axis=1)), len(self._used)
        order = np.argsort(active % n_used, kind="stable")
        active = active[order]
        blocks, signs = active % n_used, np.where(active < n_used, 1, -1)
        means = np.einsum("pq,pq->p", self._mean_fits[blocks], z[active])
        return CircularResult(
            status=path.status,
            alpha=alpha,
            primal=square * path.primal,
            dual=square * path.dual,
            gap=square * (path.primal - path.dual),
            n_iter=len(path.rounds),
            n_epochs=path.n_steps,
            seconds=time.monotonic() - began,
            theta=np.sqrt(self._share) * (self._height * path.theta),
            trace=[
                IterationInfo(
                    iteration=k,
                    primal=square * done.primal,
                    dual=square * done.dual,
                    gap=square * (done.primal - done.dual),
                    n_active=done.n_active,
                    n_working=len(z),
                    alpha=alpha,
                    elapsed=done.moment - began,
                )
                for k, done in enumerate(path.rounds, start=1)
            ],
            active_set=self._used[blocks],
            signs=signs,
            coefs=self._cones.by_frequency(z[active]),
            intercept=self._mean - float(signs @ means),
            patterns=self._patterns,
            shape=tuple(self._shape),
        )
