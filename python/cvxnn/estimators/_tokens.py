"""Convex heads on tokens: self-attention, mixers, Fourier operators."""

from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cvxnn._validation import check_count
from cvxnn.arrangements import RandomState
from cvxnn.estimators._token_base import TokenEstimator


class ConvexSelfAttention(TokenEstimator):
    """Self-attention without softmax, trained to certified global optimality.

    With a classification loss it is a classifier, else a regressor; the outputs are the means over
    tokens of those of each token, or, with ``pool_tokens=False``, these.

    Parameters
    ----------
    alpha : float, default=0.003
        Regularisation strength. With ``standardize`` it is relative to scaled inputs and targets.
    activation : {'gated_relu', 'linear', 'relu'}, default='gated_relu'
        Kind of the heads; ``relu`` generates them one by one, and takes longer.
    loss : {'squared', 'logistic', 'softmax'}, default='squared'
        Loss; the logistic one fits several classes one against the rest, by one network.
    n_patterns : int, default=20
        Number of gates to sample; distinct patterns may be fewer.
    gates : array-like of shape (n_gates, n_channels, n_channels) or None, default=None
        Gates to use; None samples Gaussian ones. n_channels counts the constant channel.
    pool_tokens : bool, default=True
        Whether targets are of samples, else of each token: (n_samples, n_tokens, n_outputs).
    solver : {'auto', 'block', 'factor'}, default='auto'
        ``block`` solves the convex program by first-order steps on blocks, ``factor`` trains heads
        and adds some until the bound proves them optimal, for large blocks. The same optimum.
        ``relu`` has no ``factor``.
    fit_intercept : bool, default=True
        Append a constant channel to the tokens, and use a free output intercept.
    standardize : bool, default=True
        Divide inputs by the root of their mean square; scale targets of a regression to unit
        variance, and centre them if ``fit_intercept``.
    tol : float, default=1e-4
        Relative duality gap at which to stop.
    max_iter : int, default=1000
        Limit on evaluations of the gap.
    time_limit : float or None, default=None
        Limit in seconds.
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
    network_ : TokenNetwork
        The network on raw tokens.
    objective_, lower_bound_, dual_gap_ : float
        Training objective on the standardised problem, a lower bound of it for every network over
        the same patterns, and their difference.
    exact_ : bool
        Whether the bound is a proof. It may not be for ``relu``, whose heads are searched for from
        many starts.
    status_ : str
        ``optimal``, or why the solver stopped before.
    solver_ : str
        The solver that was used.
    classes_ : ndarray
        Labels, for a classification loss.
    n_patterns_ : int
        Number of blocks.
    n_iter_ : int
        Evaluations of the gap.
    input_shape_, n_features_in_, n_outputs_ : tuple or int
        Sizes seen in fit.

    Notes
    -----
    The output of a token is a row of ``sum_j act(X W1_j X') X W2_j``. A block has n_channels**3
    times n_outputs entries: project tokens of hundreds of channels to tens.
    With ``fit_intercept=False`` and ``standardize=False`` the program is that of the paper, with
    beta = n_rows * alpha, for rows that are samples, or samples times tokens.

    References
    ----------
    A. Sahiner, T. Ergen, B. Ozturkler, J. Pauly, M. Mardani, M. Pilanci (2022), Unraveling
    attention via convex duality: analysis and interpretations of vision transformers, ICML.

    Examples
    --------
    >>> import cvxnn, numpy as np
    >>> X = np.random.default_rng(0).standard_normal((60, 4, 2))
    >>> y = (X[:, :, 0] * X[:, :, 1]).mean(axis=1)
    >>> model = cvxnn.ConvexSelfAttention(alpha=0.001, activation="linear").fit(X, y)
    >>> model.status_, model.network_.mixing
    ('optimal', 'self_attention')
    """

    _mixing: ClassVar[str] = "self_attention"


class ConvexMLPMixer(TokenEstimator):
    """An MLP-Mixer layer, trained to certified global optimality.

    With a classification loss it is a classifier, else a regressor; the outputs are the means over
    tokens of those of each token, or, with ``pool_tokens=False``, these.

    Parameters
    ----------
    alpha : float, default=0.003
        Regularisation strength. With ``standardize`` it is relative to scaled inputs and targets.
    activation : {'gated_relu', 'linear', 'relu'}, default='gated_relu'
        Kind of the heads; ``relu`` generates them one by one, and takes longer.
    loss : {'squared', 'logistic', 'softmax'}, default='squared'
        Loss; the logistic one fits several classes one against the rest, by one network.
    n_patterns : int, default=20
        Number of gates to sample; distinct patterns may be fewer.
    gates : array-like of shape (n_gates, n_tokens, n_tokens) or None, default=None
        Gates to use; None samples Gaussian ones. They mix tokens, as hidden weights do.
    pool_tokens : bool, default=True
        Whether targets are of samples, else of each token: (n_samples, n_tokens, n_outputs).
    solver : {'auto', 'block', 'factor'}, default='auto'
        ``block`` solves the convex program by first-order steps on blocks, ``factor`` trains heads
        and adds some until the bound proves them optimal, for large blocks. The same optimum.
        ``relu`` has no ``factor``.
    fit_intercept : bool, default=True
        Append a constant channel to the tokens, and use a free output intercept.
    standardize : bool, default=True
        Divide inputs by the root of their mean square; scale targets of a regression to unit
        variance, and centre them if ``fit_intercept``.
    tol : float, default=1e-4
        Relative duality gap at which to stop.
    max_iter : int, default=1000
        Limit on evaluations of the gap.
    time_limit : float or None, default=None
        Limit in seconds.
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
    network_ : TokenNetwork
        The network on raw tokens.
    objective_, lower_bound_, dual_gap_ : float
        Training objective on the standardised problem, a lower bound of it for every network over
        the same patterns, and their difference.
    exact_ : bool
        Whether the bound is a proof. It may not be for ``relu``, whose heads are searched for from
        many starts.
    status_ : str
        ``optimal``, or why the solver stopped before.
    solver_ : str
        The solver that was used.
    classes_ : ndarray
        Labels, for a classification loss.
    n_patterns_ : int
        Number of blocks.
    n_iter_ : int
        Evaluations of the gap.
    input_shape_, n_features_in_, n_outputs_ : tuple or int
        Sizes seen in fit.

    Notes
    -----
    The output of a token is a row of ``sum_j act(W1_j X) W2_j``. A linear mixer with pooled tokens
    sees nothing but weighted sums of tokens.
    With ``fit_intercept=False`` and ``standardize=False`` the program is that of the paper, with
    beta = n_rows * alpha, for rows that are samples, or samples times tokens.

    References
    ----------
    A. Sahiner, T. Ergen, B. Ozturkler, J. Pauly, M. Mardani, M. Pilanci (2022), Unraveling
    attention via convex duality: analysis and interpretations of vision transformers, ICML.

    Examples
    --------
    >>> import cvxnn, numpy as np
    >>> X = np.random.default_rng(0).standard_normal((60, 4, 2))
    >>> y = np.abs(X[:, 0, 0] - X[:, 1, 0])
    >>> model = cvxnn.ConvexMLPMixer(alpha=0.001, n_patterns=5).fit(X, y)
    >>> model.status_, model.network_.mixing
    ('optimal', 'mlp_mixer')
    """

    _mixing: ClassVar[str] = "mlp_mixer"


class ConvexFNO(TokenEstimator):
    """A Fourier neural operator layer over tokens, trained to certified global optimality.

    With a classification loss it is a classifier, else a regressor; the outputs are the means over
    tokens of those of each token, or, with ``pool_tokens=False``, these.

    Parameters
    ----------
    alpha : float, default=0.003
        Regularisation strength. With ``standardize`` it is relative to scaled inputs and targets.
    n_blocks : int, default=1
        Number of blocks of channels with neurons of their own; it divides the number of channels.
        One for ``relu``.
    activation : {'gated_relu', 'linear', 'relu'}, default='gated_relu'
        Kind of the neurons; ``relu`` generates them one by one where there are several outputs.
    loss : {'squared', 'logistic', 'softmax'}, default='squared'
        Loss; the logistic one fits several classes one against the rest, by one network.
    n_patterns : int, default=20
        Number of gates to sample; distinct patterns may be fewer.
    gates : array-like of shape (n_gates, n_tokens, n_channels) or None, default=None
        Gates to use; None samples Gaussian ones. n_channels counts the constant channel.
    pool_tokens : bool, default=True
        Whether targets are of samples, else of each token: (n_samples, n_tokens, n_outputs).
    solver : {'auto', 'block', 'factor'}, default='auto'
        ``block`` solves the convex program by first-order steps on blocks, ``factor`` trains heads
        and adds some until the bound proves them optimal, for large blocks. The same optimum.
        ``relu`` has no ``factor``.
    fit_intercept : bool, default=True
        Append a constant channel to the tokens, and use a free output intercept.
    standardize : bool, default=True
        Divide inputs by the root of their mean square; scale targets of a regression to unit
        variance, and centre them if ``fit_intercept``.
    tol : float, default=1e-4
        Relative duality gap at which to stop.
    max_iter : int, default=1000
        Limit on evaluations of the gap.
    time_limit : float or None, default=None
        Limit in seconds.
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
    network_ : TokenNetwork
        The network on raw tokens.
    objective_, lower_bound_, dual_gap_ : float
        Training objective on the standardised problem, a lower bound of it for every network over
        the same patterns, and their difference.
    exact_ : bool
        Whether the bound is a proof. It may not be for ``relu`` with several outputs, whose neurons
        are searched for from many starts.
    status_ : str
        ``optimal``, or why the solver stopped before.
    solver_ : str
        The solver that was used.
    classes_ : ndarray
        Labels, for a classification loss.
    n_patterns_ : int
        Number of blocks.
    n_iter_ : int
        Evaluations of the gap.
    input_shape_, n_features_in_, n_outputs_ : tuple or int
        Sizes seen in fit.

    Notes
    -----
    The output of a token is a row of ``sum_j act(circ(X) w1_j) w2_j'``, a circular convolution over
    tokens. A linear one with pooled tokens sees nothing but the mean token.
    With ``fit_intercept=False`` and ``standardize=False`` the program is that of the paper, with
    beta = n_rows * alpha, for rows that are samples, or samples times tokens.

    References
    ----------
    A. Sahiner, T. Ergen, B. Ozturkler, J. Pauly, M. Mardani, M. Pilanci (2022), Unraveling
    attention via convex duality: analysis and interpretations of vision transformers, ICML.

    Examples
    --------
    >>> import cvxnn, numpy as np
    >>> X = np.random.default_rng(0).standard_normal((60, 4, 2))
    >>> y = np.abs(X[:, :, 0]).mean(axis=1)
    >>> model = cvxnn.ConvexFNO(alpha=0.001).fit(X, y)
    >>> model.status_, model.network_.mixing
    ('optimal', 'fno')
    """

    _mixing: ClassVar[str] = "fno"

    def __init__(
        self,
        alpha: float = 0.003,
        *,
        n_blocks: int = 1,
        activation: str = "gated_relu",
        loss: str = "squared",
        n_patterns: int = 20,
        gates: ArrayLike | None = None,
        pool_tokens: bool = True,
        solver: str = "auto",
        fit_intercept: bool = True,
        standardize: bool = True,
        tol: float = 1e-4,
        max_iter: int = 1000,
        time_limit: float | None = None,
        warm_start: bool = False,
        n_threads: int | None = None,
        random_state: RandomState = 0,
        verbose: int = 0,
    ) -> None:
        super().__init__(
            alpha,
            activation=activation,
            loss=loss,
            n_patterns=n_patterns,
            gates=gates,
            pool_tokens=pool_tokens,
            solver=solver,
            fit_intercept=fit_intercept,
            standardize=standardize,
            tol=tol,
            max_iter=max_iter,
            time_limit=time_limit,
            warm_start=warm_start,
            n_threads=n_threads,
            random_state=random_state,
            verbose=verbose,
        )
        self.n_blocks = n_blocks

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if check_count(self.n_blocks, "n_blocks") > 1 and self.activation == "relu":
            raise ValueError(f"activation='relu' needs n_blocks=1, got {self.n_blocks}")

    def _channels(self, n_channels: int) -> NDArray[np.int64] | None:
        if self.n_blocks == 1:
            return None
        if n_channels % self.n_blocks:
            raise ValueError(
                f"n_blocks must divide the number of channels, {n_channels}, got {self.n_blocks}"
            )
        channels = np.arange(n_channels).reshape(self.n_blocks, -1)
        if not self.fit_intercept:
            return channels
        constant = np.full((self.n_blocks, 1), n_channels)
        return np.hstack([channels, constant])
