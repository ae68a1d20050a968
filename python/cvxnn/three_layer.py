"""Networks of two layers of ReLU neurons, of which the first see patches, and an output."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from cvxnn._designs import BlockDesign, DesignResult, StackedCones, design_program
from cvxnn._joint_patterns import JointPatterns, all_patterns, inner_walls, sampled_patterns
from cvxnn._shared_filters import SharedFilterProgram, filter_of
from cvxnn._validation import Float, check_count, check_positive, check_tensor
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
    data, alpha = check_tensor(X, _SHAPES), check_positive(alpha, "alpha")
    data = np.asarray(data, dtype=np.float64)
    if n_patterns is None:
        most = check_count(max_patterns, "max_patterns")
        patterns = all_patterns(data, most, shared=bool(shared))
    else:
        n_patterns = check_count(n_patterns, "n_patterns")
        rng = generator(random_state)
        patterns = sampled_patterns(data, n_patterns, rng, shared=bool(shared))
    program = design_program(
        _design(data, patterns),
        y,
        penalty="group",
        loss=loss,
        sample_weight=sample_weight,
        fit_intercept=fit_intercept,
    )
    if patterns.shared:
        program = SharedFilterProgram(program.problem, program.design, patterns, data)
    found = program.solve(
        [alpha],
        tol=tol,
        max_iter=max_iter,
        time_limit=time_limit,
        n_threads=n_threads,
        screening=True,
        solver="auto",
        callback=None,
        verbose=verbose,
    )[0]
    result = ThreeLayerResult(**vars(found), patterns=patterns)
    warn_unless_optimal([result], tol)
    return result


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
