"""Regression on images and signals."""

from numpy.typing import ArrayLike

from cvxnn._patches import PoolingChoice
from cvxnn.arrangements import RandomState
from cvxnn.estimators._convolution import ConvolutionalEstimator
from cvxnn.estimators._targets import RegressorTargets
from cvxnn.losses import Huber


class ConvReLURegressor(RegressorTargets, ConvolutionalEstimator):
    """Convolutional network for regression, trained to certified global optimality.

    X has the shape (n_samples, n_channels, length) or (n_samples, n_channels, height, width). One
    layer of filters, whose maps are pooled, and a linear head. Gates are sampled on patches, and
    the convex program over their patterns is solved until its duality gap proves the fit optimal
    to ``tol``. The scale of inputs and targets is folded into the weights.

    Parameters
    ----------
    alpha : float, default=0.05
        Regularisation strength. With ``standardize`` it is relative to unit-variance targets.
    kernel_size : int or tuple of int, default=3
        Size of the filters, for all axes of space or for each.
    stride : int or tuple of int, default=1
        Step of the filters.
    padding : int or tuple of int, default=0
        Zeros before and after each axis of space.
    circular : bool, default=False
        Filters start at each position, every ``stride``, and wrap around.
    pooling : {'mean', 'max'}, tuple or None, default='mean'
        Of the maps: over the whole map, or over windows side by side as ``("mean", 2)`` or
        ``("max", (2, 4))``, with output weights for each; None has output weights for each
        position.
    activation : {'gated_relu', 'relu', 'linear'}, default='gated_relu'
        Kind of the neurons. ``linear`` has no ``max``.
    loss : {'squared', 'huber'} or Huber, default='squared'
        Loss, on standardised targets if ``standardize``.
    penalty : {'group', 'nuclear', 'columns'} or None, default=None
        None fits a network for each target. The others fit one network to all targets, by that
        penalty of `solve`; ``nuclear`` is the weight decay of the network, and the only one for
        ``relu``.
    n_patterns : int, default=100
        Number of gates to sample; distinct patterns may be fewer.
    gates : array-like of shape (n_inputs, n_gates) or None, default=None
        Gates to use instead, on scaled patches of ``n_inputs = n_channels * prod(kernel_size)``
        entries in the order (channel, offsets), and one for a bias if ``fit_intercept``. None
        samples Gaussian ones.
    fit_intercept : bool, default=True
        Use biases of the filters (regularised, part of the gates; not for ``linear``) and free
        output intercepts.
    standardize : bool, default=True
        Divide inputs by their root mean square, and standardise targets.
    batch_norm : bool, default=False
        Batch normalisation of the maps, over samples and positions, before their activation. Scale
        and shift are regularised in place of the filters. Gates are then on whitened patches, of
        ``n_inputs`` directions or fewer, and a constant. Not for ``linear``.
    bn_rank : int, float or None, default=None
        For ``batch_norm``: the number of leading principal directions of patches to use, at most,
        or, between 0 and 1, the share of their variance. None is all.
    tol : float, default=1e-4
        Relative duality gap at which to stop.
    max_iter : int, default=1000
        Limit on evaluations of the gap.
    time_limit : float or None, default=None
        Limit in seconds for each target.
    warm_start : bool, default=False
        Start from the solution of the last fit, where it has the same gates: after a change of
        alpha, say. The same optimum, sooner.
    n_threads : int or None, default=None
        Threads; None is OpenMP's setting.
    random_state : int, Generator, RandomState or None, default=0
        Decides the gates, and nothing else is random.
    verbose : int or bool, default=0
        1 logs the progress of the solver.

    Attributes
    ----------
    network_ : ConvNetwork
        The network on raw inputs.
    batch_norm_ : BatchNormNetwork or None
        The same with its batch normalisation, for ``batch_norm``.
    objective_, lower_bound_, dual_gap_ : float
        Training objective (summed over targets), a lower bound of it for every network over the
        same patterns, and their difference.
    exact_ : bool
        Whether the bound is a proof. It may not be for ``relu`` with several pooled positions or
        outputs of a network, whose neurons are searched for from many starts.
    status_ : str
        ``optimal``, or why the solver stopped before.
    n_patterns_ : int
        Number of blocks of the program: of distinct patterns; of one for ``linear``, or of the
        frequencies.
    n_iter_ : int
        Evaluations of the gap, the most over targets.
    input_shape_ : tuple of int
        Shape of a sample.
    n_features_in_, n_outputs_ : int
        Sizes seen in fit: of entries of a sample, and of outputs.

    Notes
    -----
    With ``fit_intercept=False`` and ``standardize=False`` the objective is, for a single target,
    ``1/n`` times that of the paper at ``beta = n * alpha``, with the mean for a pooled map.

    Memory is that of the design: ``n_samples * n_patterns * n_positions * n_inputs`` numbers, of
    the dtype of X; for ``relu`` also of all patches, with ``max`` for each pattern. Tolerances far
    below 1e-5 take long for ``relu`` with several positions or outputs.

    References
    ----------
    T. Ergen, M. Pilanci (2021), Implicit convex regularizers of CNN architectures, ICLR. For
    ``batch_norm``: T. Ergen, A. Sahiner, B. Ozturkler, J. Pauly, M. Mardani, M. Pilanci (2022),
    Demystifying batch normalization in ReLU networks, ICLR.

    Examples
    --------
    >>> import cvxnn, numpy as np
    >>> X = np.random.default_rng(0).standard_normal((100, 1, 8, 8))
    >>> y = np.maximum(X[:, 0, 1:] - X[:, 0, :-1], 0).mean(axis=(1, 2))  # of falling edges
    >>> model = cvxnn.ConvReLURegressor(alpha=0.001, kernel_size=2).fit(X, y)
    >>> model.status_, bool(model.score(X, y) > 0.95)
    ('optimal', True)
    """

    def __init__(
        self,
        alpha: float = 0.05,
        *,
        kernel_size: int | tuple[int, ...] = 3,
        stride: int | tuple[int, ...] = 1,
        padding: int | tuple[int, ...] = 0,
        circular: bool = False,
        pooling: PoolingChoice = "mean",
        activation: str = "gated_relu",
        loss: str | Huber = "squared",
        penalty: str | None = None,
        n_patterns: int = 100,
        gates: ArrayLike | None = None,
        fit_intercept: bool = True,
        standardize: bool = True,
        batch_norm: bool = False,
        bn_rank: float | None = None,
        tol: float = 1e-4,
        max_iter: int = 1000,
        time_limit: float | None = None,
        warm_start: bool = False,
        n_threads: int | None = None,
        random_state: RandomState = 0,
        verbose: int = 0,
    ) -> None:
        super().__init__(
            kernel_size=kernel_size,
            stride=stride,
            padding=padding,
            circular=circular,
            pooling=pooling,
            batch_norm=batch_norm,
            bn_rank=bn_rank,
            activation=activation,
            loss=loss,
            penalty=penalty,
            n_patterns=n_patterns,
            gates=gates,
            fit_intercept=fit_intercept,
            standardize=standardize,
            tol=tol,
            max_iter=max_iter,
            time_limit=time_limit,
            n_threads=n_threads,
            random_state=random_state,
            verbose=verbose,
        )
        self.alpha = alpha
        self.warm_start = warm_start
