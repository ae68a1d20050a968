"""Networks with batch normalisation: their arrays, and optima in closed form."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from cvxnn._extras import import_extra
from cvxnn._validation import Float, check_data, check_positive, check_targets
from cvxnn._whitening import Whitener
from cvxnn.conv_network import ConvNetwork
from cvxnn.network import Network


@dataclass(frozen=True)
class BatchNormNetwork:
    """A network with batch normalisation, in the convention of torch.

    What is normalised, t, becomes ``gamma * (t - running_mean) / sqrt(running_var) + beta``, with
    its mean and variance over the training data. They are weighted by the sample weights, and the
    variance is biased, as torch uses it in training. Hidden weights are scaled to a variance of
    one, which does not change the network.

    Attributes
    ----------
    layers : Network or ConvNetwork
        The network without the normalisation: hidden weights or filters, gates, output weights and
        biases.
    gamma, beta : ndarray of shape (width,), float64
        Scale and shift after the normalisation; gamma is not negative.
    running_mean, running_var : ndarray of shape (width,), float64
        Mean and variance of what is normalised; of a filter, over samples and positions.
    placement : str
        ``before`` the ReLU or gate, of pre-activations, or ``after`` it, of outputs of neurons.

    References
    ----------
    S. Ioffe, C. Szegedy (2015), Batch normalization: accelerating deep network training by reducing
    internal covariate shift, ICML. T. Ergen, A. Sahiner, B. Ozturkler, J. Pauly, M. Mardani,
    M. Pilanci (2022), Demystifying batch normalization in ReLU networks, ICLR.
    """

    layers: Network | ConvNetwork
    gamma: Float = field(repr=False)
    beta: Float = field(repr=False)
    running_mean: Float = field(repr=False)
    running_var: Float = field(repr=False)
    placement: str = "before"

    def network(self) -> Any:
        """Return the same network with the normalisation folded into weights and biases.

        Returns
        -------
        Network or ConvNetwork

        Examples
        --------
        >>> import cvxnn, numpy as np
        >>> X = np.random.default_rng(0).standard_normal((4, 6))
        >>> normalised = cvxnn.batch_norm_closed_form(X, [1.0, 2.0, -1.0, 0.0], 0.1).normalised
        >>> normalised.network()
        Network(activation='relu', n_features=6, width=2, n_outputs=1)
        """
        scale = self.gamma / np.sqrt(self.running_var)
        shift = self.beta - self.running_mean * scale
        if isinstance(self.layers, ConvNetwork):
            return _folded(self.layers, scale, shift)
        (hidden, output), (bias, intercept) = self.layers.coefs_, self.layers.intercepts_
        if self.placement == "before":
            bias = bias * scale + shift
        else:  # what neurons put out is as large as what goes in
            bias, intercept = bias * scale, intercept + shift @ output
        return Network(
            [hidden * scale, output],
            [bias, intercept],
            activation=self.layers.activation,
            gates=self.layers.gates_,
            gate_intercepts=self.layers.gate_intercepts_,
        )

    def to_torch(self, dtype: Any = None) -> Any:
        """Return a torch module with `BatchNorm1d` or `BatchNorm2d`; it needs the extra ``torch``.

        In evaluation mode, in which it is, its outputs are those of `network`. In training mode
        they are so on the training data as one batch, if all samples had the same weight. Training
        changes the running moments, by the unbiased variance as always in torch.

        Parameters
        ----------
        dtype : torch.dtype or None, default=None
            Of weights and data; None is float64.

        Returns
        -------
        torch.nn.Module
            From (n_samples, n_features) to (n_samples, n_outputs). For ``relu`` it is
            ``Sequential(Linear, BatchNorm1d, ReLU, Linear)``, without a bias in the first layer;
            gates, as buffers, are in a module of cvxnn. Of a `ConvNetwork` it is its module, with
            the normalisation after the filters.

        Raises
        ------
        ImportError, TypeError, ValueError
            If torch is missing, dtype is not a floating one, or cannot hold the weights.

        Examples
        --------
        >>> import cvxnn, numpy as np
        >>> X = np.random.default_rng(0).standard_normal((4, 6))
        >>> normalised = cvxnn.batch_norm_closed_form(X, [1.0, 2.0, -1.0, 0.0], 0.1).normalised
        >>> normalised.to_torch()[1]  # doctest: +SKIP
        BatchNorm1d(2, eps=1e-12, momentum=0.1, affine=True, track_running_stats=True)
        """
        import_extra("torch")
        affine, moments = (self.gamma, self.beta), (self.running_mean, self.running_var)
        if isinstance(self.layers, ConvNetwork):
            from cvxnn._conv_torch import to_module

            return to_module(self.layers, dtype, (affine, moments)).eval()
        from cvxnn._torch import to_normalised_module

        return to_normalised_module(
            self.layers, affine, moments, dtype, first=self.placement == "before"
        )


def _folded(layers: ConvNetwork, scale: Float, shift: Float) -> ConvNetwork:
    """Return the network whose filters compute ``scale * h + shift`` in place of h."""
    return ConvNetwork(
        layers.filters_ * scale.reshape(-1, *(1,) * (layers.filters_.ndim - 1)),
        layers.biases_ * scale + shift,
        layers.head_,
        layers.intercepts_,
        activation=layers.activation,
        gates=layers.gates_,
        gate_biases=layers.gate_biases_,
        stride=layers.stride,
        padding=layers.padding,
        circular=layers.circular,
        pooling=layers.pooling,
    )


def normalised_network(
    whitener: Whitener, hidden: Float, output: Float, intercept: Float, **gates: Any
) -> BatchNormNetwork:
    """Return the network of neurons on whitened data, whose last weights are on the constant.

    A neuron without weights on the directions is a constant: beta is all that it has.
    """
    unit, gamma = whitener.unit(hidden[:-1])
    weights, offset = whitener.fold(unit, constant_row=False)
    return BatchNormNetwork(
        layers=Network([weights, output], [np.zeros(len(gamma)), intercept], **gates),
        gamma=gamma,
        beta=hidden[-1].copy(),
        running_mean=-offset,
        running_var=np.ones(len(gamma)),
    )


@dataclass(frozen=True)
class BatchNormOptimum:
    """A globally optimal network with batch normalisation, in closed form.

    Attributes
    ----------
    objective : float
        The optimal value.
    network : Network
        The network on raw inputs.
    normalised : BatchNormNetwork
        The same with its batch normalisation.
    """

    objective: float
    network: Network
    normalised: BatchNormNetwork


def batch_norm_closed_form(X: ArrayLike, y: ArrayLike, alpha: float) -> BatchNormOptimum:
    """Return the optimal ReLU network with batch normalisation of data of full row rank.

    The objective is that of the estimators with ``batch_norm=True`` and the squared loss,
    ``||F - y||**2 / (2 n) + alpha / 2 * sum_j (gamma_j**2 + beta_j**2 + ||v_j||**2)`` with output
    weights v_j, without an output bias. Where the rows of X with a one appended are linearly
    independent, each column of y is fitted apart in its positive and its negative part, by one
    neuron each: the part shrunk to where its root mean square is less by alpha, and none if it is
    not above alpha.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Data; n_samples is at most n_features + 1. For deep networks, the inputs of the last hidden
        layer.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Targets, with at most one non-zero entry a row: one output, or indicators of classes.
    alpha : float
        Regularisation strength. For batch normalisation to norm one in place of variance one, and
        losses that are summed, ``beta = sqrt(n_samples) * alpha``.

    Returns
    -------
    BatchNormOptimum

    Raises
    ------
    ValueError
        If an argument is malformed, X does not have full row rank, or a row of y has several
        non-zero entries: the formula is then no more than an upper bound.

    References
    ----------
    T. Ergen, A. Sahiner, B. Ozturkler, J. Pauly, M. Mardani, M. Pilanci (2022), Demystifying batch
    normalization in ReLU networks, ICLR, section 3.

    Examples
    --------
    >>> import cvxnn, numpy as np
    >>> X = np.random.default_rng(0).standard_normal((4, 6))
    >>> y = np.array([1.0, 2.0, -1.0, 0.0])
    >>> optimum = cvxnn.batch_norm_closed_form(X, y, alpha=0.1)
    >>> print(f"{optimum.objective:.6f}", optimum.network.width)
    0.151803 2
    >>> bool(np.allclose(optimum.network.predict(X)[:2], (1 - 0.1 / np.sqrt(5 / 4)) * y[:2]))
    True
    """
    data, alpha = check_data(X), check_positive(alpha, "alpha")
    n_samples = len(data)
    targets = check_targets(y, n_samples, labels=False, shares=False, several=True)
    several = np.flatnonzero(np.count_nonzero(targets, axis=1) > 1)
    if len(several):
        raise ValueError(
            "y must have at most one non-zero entry in each row, for the closed form, "
            f"got several in row {several[0]}"
        )
    whitener = Whitener(data, np.ones(n_samples))
    if whitener.n_columns + 1 != n_samples:
        raise ValueError(
            "X must have full row rank with a column of ones, for the closed form, "
            f"got rank {whitener.n_columns + 1} for {n_samples} samples"
        )
    parts = np.hstack([np.maximum(targets, 0.0), np.maximum(-targets, 0.0)])
    size = np.sqrt(np.mean(parts**2, axis=0))
    objective = np.sum(0.5 * np.minimum(size, alpha) ** 2 + alpha * np.maximum(size - alpha, 0.0))
    used = np.flatnonzero(size > alpha)
    # The design's inverse is its transpose over n: a neuron's weights have the norm of its part's
    # root mean square, and balanced scaling leaves the root of that on either side.
    design = whitener.transform(np.asarray(data, dtype=np.float64), constant_column=True)
    scale = np.sqrt(size[used] - alpha)
    hidden = design.T @ parts[:, used] / n_samples * (scale / size[used])
    n_outputs = targets.shape[1]
    output = np.vstack([np.eye(n_outputs), -np.eye(n_outputs)])[used] * scale[:, None]
    normalised = normalised_network(
        whitener, hidden, output, np.zeros(n_outputs), activation="relu"
    )
    return BatchNormOptimum(float(objective), normalised.network(), normalised)
