"""Classification."""

from collections.abc import Mapping
from typing import Any

from numpy.typing import ArrayLike

from cvxnn._problem import L1_RATIO, L2_RATIO, Callback
from cvxnn._validation import check_positive
from cvxnn.arrangements import RandomState
from cvxnn.estimators._base import Gates, ReLUEstimator
from cvxnn.estimators._targets import ClassifierTargets


class ReLUClassifier(ClassifierTargets, ReLUEstimator):
    """ReLU or gated ReLU network for classification, trained to certified global optimality.

    As `ReLURegressor`, with a classification loss. More than two classes are fitted one against the
    rest over the same patterns, or, for the softmax loss, at once.

    Parameters
    ----------
    alpha : float, default=0.003
        Regularisation strength.
    activation : {'relu', 'gated_relu'}, default='relu'
        Kind of the neurons. ``relu`` is the network that others train by gradient descent;
        ``gated_relu``, whose gates are fixed before training, is fitted several times as fast, and
        is what `penalty` other than None, ``nuclear`` and ``elastic`` needs.
    patterns : {'sample', 'exact', 'adaptive'}, default='sample'
        Activation patterns: of random gates; all that the data have, for few samples or features;
        for ``relu`` those that column generation finds to matter (see `solve`).
    loss : {'logistic', 'softmax', 'squared_hinge', 'hinge'}, default='logistic'
        Loss. The logistic and the softmax loss give probabilities.
    penalty : {'group', 'nuclear', 'columns', 'sparse_group', 'feature', 'elastic'} or None, \
default=None
        None fits a network for each class, and for the softmax loss is ``group``, with ``relu``
        ``nuclear``. The others fit one network to all classes, by that penalty of `solve`, slower:
        for ``relu`` ``nuclear`` alone, and ``elastic``, which fits a network for each class.
    l1_ratio : float, default=0.5
        Share of the entries in ``penalty="sparse_group"``, at least 0 and below 1.
    l2_ratio : float, default=0.5
        Share of the squares in ``penalty="elastic"``, at least 0 and below 1.
    n_patterns : int, default=500
        Number of gates to sample, for ``patterns="sample"``; distinct patterns may be fewer.
    gates : {'feature_sparse', 'gaussian', 'quantile', 'convolutional'}, callable, array-like or \
None, default=None
        How to sample gates on the standardised inputs, for ``patterns="sample"``:
        ``feature_sparse`` for those of one or two features and a bias (`sample_sparse_gates`),
        ``gaussian`` for dense ones (`sample_gates`), ``quantile`` for dense ones that pass through
        the data at a random quantile (`sample_quantile_gates`, needs ``fit_intercept``),
        ``convolutional`` for those on 3 x 3 patches, where X holds square images of one channel
        (`sample_convolutional_gates`). None is
        ``feature_sparse`` for gated networks without batch normalisation, which predicts best on
        most tables, else ``gaussian``. A callable
        ``gates(X, n_patterns, rng)`` gets the standardised inputs, with the constant column last
        that ``fit_intercept`` appends, and a numpy Generator; it returns an array of shape
        (n_features [+ 1], n_patterns). An array of shape (n_features [+ 1], n_gates) is taken as it
        is; ``n_patterns`` then has no effect.
    fit_intercept : bool, default=True
        Use a hidden bias (regularised, part of the gates) and a free output intercept.
    standardize : bool, default=True
        Scale inputs to unit variance, and centre them if ``fit_intercept``. Sparse inputs are
        scaled and not centred.
    batch_norm : bool or {'before', 'after'}, default=False
        Batch normalisation, whose scale and shift are regularised in place of hidden weights.
        ``before``, or True, normalises each neuron's pre-activation. Gates are then on whitened
        inputs, n_features or fewer, and a constant column. ``after`` normalises what a neuron puts
        out, for ``patterns`` other than adaptive. X must be dense.
    bn_rank : int, float or None, default=None
        For ``batch_norm``: the number of leading principal directions to use, at most, or, between
        0 and 1, the share of their variance. They are of the inputs, scaled to unit variance if
        ``standardize``, and for ``after`` of the inputs on which a neuron is active. None is all.
    class_weight : dict, 'balanced' or None, default=None
        Weights of classes, by label, which multiply the weights of their samples; None is one.
        ``balanced`` gives each class the same total weight.
    tol : float, default=1e-4
        Relative duality gap at which to stop.
    max_iter : int, default=1000
        Limit on evaluations of the gap.
    time_limit : float or None, default=None
        Limit in seconds for each class.
    warm_start : bool, default=False
        Start from the solution of the last fit, where it is over the same patterns: after a change
        of alpha, say. The same optimum, sooner; ``patterns="adaptive"`` starts afresh.
    n_threads : int or None, default=None
        Threads; None is OpenMP's setting. The model is bitwise the same for any number.
    random_state : int, Generator, RandomState or None, default=0
        Decides the gates, and nothing else is random.
    verbose : int or bool, default=0
        1 logs the progress of the solver.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels.
    network_ : Network
        The network on raw inputs; one output for two classes, else one a class.
    batch_norm_ : BatchNormNetwork or None
        The same with its batch normalisation, for ``batch_norm``.
    coefs_, intercepts_ : list of ndarray
        Its weights and biases, as in scikit-learn's MLP.
    gates_ : ndarray of shape (n_features, n_neurons) or None
        Its gate vectors, for ``gated_relu``.
    objective_, lower_bound_, dual_gap_ : float
        Training objective (summed over classes), a lower bound of it for every network over the
        same patterns, and their difference.
    exact_ : bool
        Whether the bound is a proof; it may not be for ``relu`` with a penalty or the softmax loss,
        see `SolveResult`.
    status_ : str
        ``optimal``, or why the solver stopped before.
    n_patterns_ : int
        Number of distinct patterns.
    n_iter_ : int
        Evaluations of the gap, the most over classes.
    n_features_in_, n_outputs_ : int
        Sizes seen in fit.
    feature_names_in_ : ndarray of str
        Names of the features, if X had them.

    Notes
    -----
    `transform` returns the outputs of the hidden neurons: an estimator is also a transformer.

    X may be a sparse matrix, without batch normalisation. For ``gated_relu``, with
    ``patterns="sample"``, it stays sparse, and so is what a callable for ``gates`` gets; for
    ``relu`` it is made dense, up to 50,000,000 entries.

    References
    ----------
    A. Mishkin, A. Sahiner, M. Pilanci (2022), Fast convex optimization for two-layer ReLU networks,
    ICML. For ``batch_norm``: T. Ergen, A. Sahiner, B. Ozturkler, J. Pauly, M. Mardani, M. Pilanci
    (2022), Demystifying batch normalization in ReLU networks, ICLR.

    Examples
    --------
    >>> import cvxnn, numpy as np
    >>> X = np.random.default_rng(0).standard_normal((200, 2))
    >>> y = X[:, 0] * X[:, 1] > 0
    >>> model = cvxnn.ReLUClassifier().fit(X, y)
    >>> model.status_, bool(model.score(X, y) > 0.95)
    ('optimal', True)
    """

    def __init__(
        self,
        alpha: float = 0.003,
        *,
        activation: str = "relu",
        loss: str = "logistic",
        penalty: str | None = None,
        l1_ratio: float = L1_RATIO,
        l2_ratio: float = L2_RATIO,
        patterns: str = "sample",
        n_patterns: int = 500,
        gates: Gates = None,
        fit_intercept: bool = True,
        standardize: bool = True,
        batch_norm: bool | str = False,
        bn_rank: float | None = None,
        class_weight: Mapping[Any, float] | str | None = None,
        tol: float = 1e-4,
        max_iter: int = 1000,
        time_limit: float | None = None,
        warm_start: bool = False,
        n_threads: int | None = None,
        random_state: RandomState = 0,
        verbose: int = 0,
    ) -> None:
        super().__init__(
            activation=activation,
            loss=loss,
            penalty=penalty,
            l1_ratio=l1_ratio,
            l2_ratio=l2_ratio,
            patterns=patterns,
            n_patterns=n_patterns,
            gates=gates,
            fit_intercept=fit_intercept,
            standardize=standardize,
            batch_norm=batch_norm,
            bn_rank=bn_rank,
            tol=tol,
            max_iter=max_iter,
            time_limit=time_limit,
            n_threads=n_threads,
            random_state=random_state,
            verbose=verbose,
        )
        self.alpha = alpha
        self.warm_start = warm_start
        self.class_weight = class_weight

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        callback: Callback | None = None,
    ) -> "ReLUClassifier":
        """Fit the network.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Inputs.
        y : array-like of shape (n_samples,)
            Labels, of any type.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weights; a row of weight zero is ignored.
        callback : callable or None, default=None
            Called with an `IterationInfo` at each evaluation of the gap; True stops the class at
            hand.

        Returns
        -------
        ReLUClassifier
            The fitted estimator.
        """
        check_positive(self.alpha, "alpha")
        columns = self._columns(*self._check_training(X, y, sample_weight), self.random_state)
        self._solve(columns, self.alpha, callback=callback, warm_start=self.warm_start)
        return self
