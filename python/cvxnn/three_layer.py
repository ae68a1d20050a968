"""Networks of two layers of ReLU neurons, of which the first see patches, and an output."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from cvxnn._designs import (
    BlockDesign,
    DesignProgram,
    DesignResult,
    StackedCones,
    design_program,
)
from cvxnn._joint_patterns import JointPatterns, all_patterns, inner_walls, sampled_patterns
from cvxnn._paths import path_alphas
from cvxnn._shared_filters import SharedFilterProgram, filter_of
from cvxnn._validation import Float, check_count, check_flag, check_positive, check_tensor
from cvxnn.arrangements import RandomState, generator
from cvxnn.losses import Huber
from cvxnn.results import warn_unless_optimal

_SHAPES = ("n_samples, n_patches, n_inputs",)


@dataclass(frozen=True)
class ThreeLayerResult(DesignResult):
    """The solution of `solve_three_layer`; see `Certified` for its certificate.

    Attributes
    ----------
    patterns : JointPatterns
        The joint patterns of both layers.
    n_patterns : int
        Their number.
    complete : bool
        Whether these are all: the bound, if `exact`, is then one of all networks.
    """

    patterns: JointPatterns = field(repr=False)

    @property
    def n_patterns(self) -> int:
        """Number of joint patterns of both layers."""
        return len(self.patterns.outer)

    @property
    def complete(self) -> bool:
        """Whether these are all."""
        return self.patterns.complete

    def layers(self) -> tuple[Float, Float, Float]:
        """Return the weights of the three layers.

        Returns
        -------
        filters : ndarray of shape (n_neurons, n_patches, n_inputs), or (n_neurons, n_inputs)
            Of norm one, or zero for a patch that a neuron does not use; shared ones are one for
            all patches.
        hidden : ndarray of shape (n_neurons, n_patches)
            Weights of the maps; a neuron's have the size of its output weight.
        output : ndarray of shape (n_neurons,)
        """
        hidden, output, owner = self.neurons()
        signs = self.patterns.signs[owner]
        weights = hidden.reshape(*signs.shape, self.patterns.n_inputs)
        if self.patterns.shared:
            found = [filter_of(neuron) for neuron in weights]
            shared = np.array(found).reshape(len(found), self.patterns.n_inputs)
            along = np.maximum(np.einsum("mkh,mh->mk", weights, shared), 0.0)
            return shared, signs * along, output[:, 0, 0]
        sizes = np.linalg.norm(weights, axis=2)
        filters = np.zeros_like(weights)
        np.divide(weights, sizes[:, :, None], out=filters, where=sizes[:, :, None] > 0.0)
        return filters, signs * sizes, output[:, 0, 0]

    def predict(self, X: ArrayLike) -> Float:
        """Return the outputs of the network.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_patches, n_inputs)
            Patches, as many and as large as those of the fit.

        Returns
        -------
        ndarray of shape (n_samples,)

        Raises
        ------
        ValueError
            If X is malformed or has other patches.
        """
        data, wanted = check_tensor(X, _SHAPES), (self.patterns.n_patches, self.patterns.n_inputs)
        if data.shape[1:] != wanted:
            raise ValueError(f"X must have patches of shape {wanted}, got {data.shape[1:]}")
        filters, hidden, output = self.layers()
        of_patch = "mh" if self.patterns.shared else "mkh"
        maps = np.maximum(np.einsum(f"ikh,{of_patch}->imk", data, filters), 0.0)
        neurons = np.maximum(np.einsum("imk,mk->im", maps, hidden), 0.0)
        outputs: Float = neurons @ output + self.intercept[0]
        return outputs


def solve_three_layer(
    X: ArrayLike,
    y: ArrayLike,
    n_patterns: int | None = None,
    *,
    alpha: float,
    loss: str | Huber = "squared",
    shared: bool = False,
    sample_weight: ArrayLike | None = None,
    fit_intercept: bool = False,
    max_patterns: int = 10_000,
    random_state: RandomState = 0,
    tol: float = 1e-4,
    max_iter: int = 1000,
    time_limit: float | None = None,
    n_threads: int | None = None,
    verbose: int = 0,
) -> ThreeLayerResult:
    """Train a network of two layers of ReLU neurons, the first on patches, and an output.

    Neuron j of the second layer is ``max(sum_k max(x_k @ u_jk, 0) w_jk, 0)``, with filters u_jk of
    norm at most one for each patch k, as in locally connected networks, or one ``u_j`` that patches
    share, as in convolution. Minimises ``1 / n sum_i s_i loss(F_i, y_i) + alpha / 2 sum_j
    (||w_j||**2 + v_j**2)``, for output weights v_j, over networks whose neurons have the given
    joint patterns.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_patches, n_inputs)
        Patches of the samples. For biases of the filters, append a constant to each patch.
    y : array-like of shape (n_samples,)
        Targets; -1 and +1 for classification losses.
    n_patterns : int or None, default=None
        Number of random neurons whose patterns to use; None takes all patterns, for few and small
        patches of few samples.
    alpha : float
        Regularisation strength.
    loss : str or Huber, default='squared'
        Loss, as for `solve`.
    shared : bool, default=False
        Use one filter of a neuron for all patches. The program is then solved by column generation
        over neurons, which are searched from random starts: the bound holds if these found the
        largest, and ``exact`` is False. For few and small patches.
    sample_weight : array-like of shape (n_samples,) or None, default=None
        Weights of samples; None is one.
    fit_intercept : bool, default=False
        Use a free output intercept.
    max_patterns : int, default=10_000
        Refuse to enumerate where patches have more patterns, with signs of their weights.
    random_state : None, int, SeedSequence, Generator or RandomState, default=0
        Of the random neurons.
    tol, max_iter, time_limit, n_threads, verbose
        As for `solve`.

    Returns
    -------
    ThreeLayerResult

    Raises
    ------
    TypeError, ValueError
        If an argument is malformed, there are too many patterns, or none puts out anything.

    Warns
    -----
    ConvergenceWarning
        If the solve ended before the gap reached ``tol``.

    References
    ----------
    T. Ergen, M. Pilanci (2021), Implicit convex regularizers of CNN architectures, ICLR, section 5.

    Examples
    --------
    >>> import cvxnn, numpy as np
    >>> X = np.random.default_rng(13).standard_normal((3, 2, 2))
    >>> result = cvxnn.solve_three_layer(X, [1.0, -1.0, 0.5], alpha=0.01)
    >>> result.complete, result.gap <= 1e-4 * result.primal
    (True, True)
    >>> filters, hidden, output = result.layers()
    >>> filters.shape[1:], hidden.shape[1:]
    ((2, 2), (2,))
    """
    strengths = [check_positive(alpha, "alpha")]
    program, patterns = _checked_program(
        X,
        y,
        n_patterns,
        shared=shared,
        max_patterns=max_patterns,
        random_state=random_state,
        loss=loss,
        sample_weight=sample_weight,
        fit_intercept=fit_intercept,
    )
    results = _solved(
        program,
        patterns,
        strengths,
        tol=tol,
        max_iter=max_iter,
        time_limit=time_limit,
        n_threads=n_threads,
        verbose=verbose,
    )
    warn_unless_optimal(results, tol)
    return results[0]


def solve_three_layer_path(
    X: ArrayLike,
    y: ArrayLike,
    n_patterns: int | None = None,
    *,
    n_alphas: int = 20,
    eps: float = 1e-2,
    alphas: ArrayLike | None = None,
    loss: str | Huber = "squared",
    shared: bool = False,
    sample_weight: ArrayLike | None = None,
    fit_intercept: bool = False,
    max_patterns: int = 10_000,
    random_state: RandomState = 0,
    tol: float = 1e-4,
    max_iter: int = 1000,
    time_limit: float | None = None,
    n_threads: int | None = None,
    verbose: int = 0,
) -> list[ThreeLayerResult]:
    """Solve as `solve_three_layer` does along a path of strengths, each from the solution before.

    Parameters
    ----------
    X, y, n_patterns, loss, shared, sample_weight, fit_intercept, max_patterns, random_state
        As for `solve_three_layer`.
    n_alphas : int, default=20
        Length of the path, from the smallest alpha at which the network is empty.
    eps : float, default=1e-2
        Ratio of its smallest alpha to its largest.
    alphas : array-like or None, default=None
        Own values instead, in any order.
    tol, max_iter, n_threads, verbose
        As for `solve_three_layer`, at each alpha.
    time_limit : float or None, default=None
        Limit in seconds for the whole path. A path that is stopped is returned as far as it got.

    Returns
    -------
    list of ThreeLayerResult
        From the largest alpha to the smallest.

    Raises
    ------
    TypeError, ValueError
        If an argument is malformed, there are too many patterns, or none puts out anything.

    Warns
    -----
    ConvergenceWarning
        If a solve ended before its gap reached ``tol``.

    References
    ----------
    T. Ergen, M. Pilanci (2021), Implicit convex regularizers of CNN architectures, ICLR, section 5.

    Examples
    --------
    >>> import cvxnn, numpy as np
    >>> X = np.random.default_rng(13).standard_normal((3, 2, 2))
    >>> path = cvxnn.solve_three_layer_path(X, [1.0, -1.0, 0.5], n_alphas=4)
    >>> len(path[0].active_set), path[3].gap <= 1e-4 * path[3].primal
    (0, True)
    """
    program, patterns = _checked_program(
        X,
        y,
        n_patterns,
        shared=shared,
        max_patterns=max_patterns,
        random_state=random_state,
        loss=loss,
        sample_weight=sample_weight,
        fit_intercept=fit_intercept,
    )
    results = _solved(
        program,
        patterns,
        path_alphas(lambda: program.alpha_max(n_threads), n_alphas, eps, alphas),
        tol=tol,
        max_iter=max_iter,
        time_limit=time_limit,
        n_threads=n_threads,
        verbose=verbose,
    )
    warn_unless_optimal(results, tol)
    return results


def _checked_program(
    X: ArrayLike,
    y: ArrayLike,
    n_patterns: int | None,
    *,
    shared: bool,
    max_patterns: int,
    random_state: RandomState,
    **options: Any,
) -> tuple[DesignProgram, JointPatterns]:
    """Check the arguments of a program, and find its patterns."""
    shared = check_flag(shared, "shared")
    data = np.asarray(check_tensor(X, _SHAPES), dtype=np.float64)
    if n_patterns is None:
        most = check_count(max_patterns, "max_patterns")
        patterns = all_patterns(data, most, shared=shared)
    else:
        n_patterns = check_count(n_patterns, "n_patterns")
        rng = generator(random_state)
        patterns = sampled_patterns(data, n_patterns, rng, shared=shared)
    program = design_program(_design(data, patterns), y, penalty="group", **options)
    if patterns.shared:
        program = SharedFilterProgram(program.problem, program.design, patterns, data)
    return program, patterns


def _solved(
    program: DesignProgram,
    patterns: JointPatterns,
    alphas: Sequence[float] | Float,
    **settings: Any,
) -> list[ThreeLayerResult]:
    found = program.solve(alphas, screening=True, solver="auto", callback=None, **settings)
    return [ThreeLayerResult(**vars(result), patterns=patterns) for result in found]


def _design(X: Float, patterns: JointPatterns) -> BlockDesign:
    """Return what neurons of the second layer put out, and the cones of their patterns.

    Weights of a block are its filters, each times the size of its weight in the second layer.
    """
    n_samples, n_patches, n_inputs = X.shape
    n_blocks, size = len(patterns.outer), n_patches * n_inputs
    seen = patterns.seen(X).reshape(n_blocks, n_samples, size)
    matrix = (patterns.outer[:, :, None] * seen).transpose(1, 0, 2)
    outer = np.where(patterns.outer, 1.0, -1.0)[:, :, None] * seen
    inner = np.stack([inner_walls(X, mask) for mask in patterns.inner])
    rows = np.concatenate([inner, outer], axis=1)
    starts = rows.shape[1] * np.arange(n_blocks + 1, dtype=np.int64)
    cones = StackedCones(rows.reshape(-1, size), starts)
    return BlockDesign(np.ascontiguousarray(matrix.reshape(n_samples, -1)), n_blocks, size, cones)
