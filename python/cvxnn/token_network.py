"""Networks on tokens: self-attention, mixers, Fourier operators."""

import itertools
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cvxnn._ext import core
from cvxnn._extras import import_extra
from cvxnn._files import read_network, write_network
from cvxnn._mixing import MIXINGS
from cvxnn._validation import (
    Data,
    Float,
    check_choice,
    check_matrix,
    check_numeric,
    check_positive,
    check_sample_weight,
    check_targets,
    check_tensor,
    check_vector,
)
from cvxnn.losses import Huber, resolve_loss

ACTIVATIONS = ("gated_relu", "relu", "linear")
TOKEN_AXES = ("n_samples, n_tokens, n_channels",)

_KIND = "cvxnn.token_network"
_BATCH = 2**22  # scores of a head that are held at a time


class TokenNetwork:
    """A network whose heads mix the tokens X (n_tokens, n_channels) of a sample.

    The output of each token, or its mean over tokens, is ``sum_j F_j(X) + intercept``:

    - ``self_attention``: ``act(X W1_j X') X W2_j``, without softmax; W1_j is the product of query
      and key matrices, W2_j that of value and output matrices;
    - ``mlp_mixer``: ``act(W1_j X) W2_j``;
    - ``fno``: ``act(circ(X) w1_j) w2_j'``, a circular convolution over tokens, which is a product
      for each frequency in Fourier space: ``circ(X)[t, (k, r)] = X[(t - k) mod n_tokens, r]``.

    ``act`` is the identity for ``linear``, ``max(., 0)`` for ``relu``, and for ``gated_relu``
    keeps the entries where the gate in the place of W1_j has positive ones.

    Parameters
    ----------
    mixing : {'self_attention', 'mlp_mixer', 'fno'}
        Architecture.
    coefs : sequence of two array-likes, (n_heads, ., .) and (n_heads, ., n_outputs)
        W1: (d, d), (s, s) or (s, d) a head, for s tokens of d channels; and W2: (d, n_outputs),
        for ``fno`` (1, n_outputs) a head.
    intercept : array-like of shape (n_outputs,) or None, default=None
        Output intercept; None is zero.
    activation : {'gated_relu', 'relu', 'linear'}, default='linear'
        Kind of the heads.
    gates : array-like of the shape of W1, or None, default=None
        A gate for each head, for ``gated_relu`` only.
    pool_tokens : bool, default=True
        Whether the output is the mean over tokens.
    constant_channel : bool, default=False
        Whether the network appends a channel of ones to the tokens, which d counts.

    Attributes
    ----------
    coefs_ : list of ndarray
        W1 and W2.
    intercept_, gates_ : ndarray or None
        As the parameters.
    mixing, activation, pool_tokens, constant_channel : str or bool
        As the parameters.

    Raises
    ------
    ValueError
        If a shape does not fit or an entry is not finite.

    References
    ----------
    A. Sahiner, T. Ergen, B. Ozturkler, J. Pauly, M. Mardani, M. Pilanci (2022), Unraveling
    attention via convex duality: analysis and interpretations of vision transformers, ICML.

    Examples
    --------
    >>> import cvxnn, numpy as np
    >>> network = cvxnn.TokenNetwork("self_attention", [np.eye(2)[None], np.ones((1, 2, 1))])
    >>> network.predict([[[1.0, 0.0], [1.0, 1.0]]])
    array([4.])
    """

    def __init__(
        self,
        mixing: str,
        coefs: Sequence[ArrayLike],
        intercept: ArrayLike | None = None,
        *,
        activation: str = "linear",
        gates: ArrayLike | None = None,
        pool_tokens: bool = True,
        constant_channel: bool = False,
    ) -> None:
        self.mixing = check_choice(mixing, "mixing", tuple(MIXINGS))
        self.activation = check_choice(activation, "activation", ACTIVATIONS)
        self.pool_tokens, self.constant_channel = bool(pool_tokens), bool(constant_channel)
        if len(coefs) != 2:
            raise ValueError(f"coefs must hold W1 and W2, got {len(coefs)} arrays")
        hidden = check_matrix(coefs[0], "coefs[0]", (None, None, None))
        m, rows, columns = hidden.shape
        if self.mixing != "fno" and rows != columns:
            raise ValueError(f"coefs[0] must hold square matrices, got shape {hidden.shape}")
        positions = {"self_attention": rows, "mlp_mixer": None, "fno": 1}[self.mixing]
        output = check_matrix(coefs[1], "coefs[1]", (m, positions, None))
        self.coefs_ = [hidden, output]
        if 0 in (rows, columns, *output.shape[1:]) or self.n_channels == 0:
            raise ValueError("coefs must have at least one token, channel and output")
        self.intercept_ = (
            np.zeros(self.n_outputs_)
            if intercept is None
            else check_vector(intercept, "intercept", self.n_outputs_, "n_outputs")
        )
        if (self.activation == "gated_relu") != (gates is not None):
            raise ValueError("gates belong to activation='gated_relu', and to no other")
        self.gates_ = None if gates is None else check_matrix(gates, "gates", hidden.shape)

    @property
    def n_heads(self) -> int:
        """Number of heads."""
        return int(self.coefs_[0].shape[0])

    @property
    def n_outputs_(self) -> int:
        """Number of outputs of a token, or of the mean of all."""
        return int(self.coefs_[1].shape[2])

    @property
    def n_tokens(self) -> int | None:
        """Number of tokens that `predict` wants; None is any."""
        return None if self.mixing == "self_attention" else int(self.coefs_[0].shape[1])

    @property
    def n_channels(self) -> int:
        """Number of channels that `predict` wants."""
        of_mixer = self.coefs_[1].shape[1]
        d = of_mixer if self.mixing == "mlp_mixer" else self.coefs_[0].shape[2]
        return int(d) - self.constant_channel

    def _tokens(self, X: ArrayLike) -> Data:
        data = check_tensor(X, TOKEN_AXES)
        fits = data.shape[1] == self.n_tokens or self.n_tokens is None
        if not fits or data.shape[2] != self.n_channels:
            tokens = "any" if self.n_tokens is None else self.n_tokens
            raise ValueError(
                f"X must hold samples of shape ({tokens}, {self.n_channels}), as the network has, "
                f"got shape {data.shape}"
            )
        return data

    def _forward(self, X: ArrayLike) -> Float:
        """Return outputs (n_samples, n_outputs) or (n_samples, n_tokens, n_outputs)."""
        data = self._tokens(X)
        kind, (n_samples, n_tokens, _) = MIXINGS[self.mixing], data.shape
        n_batches = -(-n_samples * n_tokens * max(data.shape[1:]) // _BATCH)
        cuts = np.linspace(0, n_samples, min(n_batches, n_samples) + 1).astype(int)
        fits = []
        for first, last in itertools.pairwise(cuts):
            tokens = as_tokens(data[first:last], self.constant_channel)
            mixing = kind(tokens, pooled=self.pool_tokens)
            fits.append(
                mixing.outputs(self.coefs_[0], self.coefs_[1], self.activation, self.gates_)
            )
        fit: Float = np.concatenate(fits) + self.intercept_
        return fit if self.pool_tokens else fit.reshape(n_samples, n_tokens, self.n_outputs_)

    def predict(self, X: ArrayLike) -> Float:
        """Return the outputs of the network.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_tokens, n_channels)
            Tokens.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs), float64
            One column an output; one output is a vector. Without ``pool_tokens`` of shape
            (n_samples, n_tokens, n_outputs).

        Raises
        ------
        ValueError
            If X is malformed, not finite, or has other numbers of tokens or channels.
        """
        fit = self._forward(X)
        return fit[:, 0] if self.pool_tokens and self.n_outputs_ == 1 else fit

    def objective(
        self,
        X: ArrayLike,
        y: ArrayLike,
        alpha: float,
        *,
        loss: str | Huber = "squared",
        sample_weight: ArrayLike | None = None,
    ) -> float:
        """Return the regularised training objective of the network, the non-convex one.

        It is the mean loss plus ``alpha / 2 * sum_j (||W1_j||^2 + ||W2_j||^2)`` in Frobenius norms;
        the intercept is free. The mean is over samples, and over tokens without ``pool_tokens``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_tokens, n_channels)
            Tokens.
        y : array-like of shape (n_samples,), (n_samples, n_outputs) or the shape of `predict`
            Targets; -1 and +1 for the logistic loss, shares of classes for ``softmax``.
        alpha : float
            Regularisation strength.
        loss : str or Huber, default='squared'
            Loss.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weights of samples; None is one.

        Returns
        -------
        float

        Raises
        ------
        ValueError
            If an argument is malformed.
        """
        spec = resolve_loss(loss)
        alpha = check_positive(alpha, "alpha")
        fit = self._forward(X)
        omega = check_sample_weight(sample_weight, len(fit))
        if not self.pool_tokens:
            y = token_rows(y, fit.shape[:2])
            omega = np.repeat(omega, fit.shape[1]) / fit.shape[1]
            fit = fit.reshape(-1, self.n_outputs_)
        targets = check_targets(y, len(fit), labels=spec.labels, shares=spec.shares, several=True)
        if targets.shape[1] != self.n_outputs_:
            raise ValueError(f"y must have {self.n_outputs_} outputs, got {targets.shape[1]}")
        value: float = core.loss_value(spec.name, spec.delta, targets, omega, fit)
        return value + 0.5 * alpha * float(sum((weights**2).sum() for weights in self.coefs_))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the network to a file, atomically.

        The file is an ``.npz`` archive of plain arrays with a format version; it holds no pickles.

        Parameters
        ----------
        path : str or path-like
            Name of the file, used as it is.
        """
        arrays: dict[str, NDArray[Any]] = {
            "mixing": np.array(self.mixing),
            "activation": np.array(self.activation),
            "coefs_0": self.coefs_[0],
            "coefs_1": self.coefs_[1],
            "intercept": self.intercept_,
            "pool_tokens": np.array(int(self.pool_tokens)),
            "constant_channel": np.array(int(self.constant_channel)),
        }
        if self.gates_ is not None:
            arrays["gates"] = self.gates_
        write_network(path, arrays, _KIND)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "TokenNetwork":
        """Read a network that `save` wrote.

        Parameters
        ----------
        path : str or path-like
            Name of the file.

        Returns
        -------
        TokenNetwork

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If the file is broken, is no network of this kind, or has a newer format version.
        """
        arrays = read_network(path, _KIND)
        try:
            return cls(
                str(arrays["mixing"]),
                [arrays["coefs_0"], arrays["coefs_1"]],
                arrays["intercept"],
                activation=str(arrays["activation"]),
                gates=arrays.get("gates"),
                pool_tokens=bool(arrays["pool_tokens"]),
                constant_channel=bool(arrays["constant_channel"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path} is a broken cvxnn token network: {error}") from None

    def to_torch(self, dtype: Any = None) -> Any:
        """Return a torch module with the same outputs, trainable; it needs the extra ``torch``.

        Parameters
        ----------
        dtype : torch.dtype or None, default=None
            Of weights and data; None is float64. Others agree to their precision.

        Returns
        -------
        torch.nn.Module
            From (n_samples, n_tokens, n_channels) to (n_samples, n_outputs), without
            ``pool_tokens`` to (n_samples, n_tokens, n_outputs). ``hidden``, ``output`` and
            ``intercept`` are parameters, ``gates`` a buffer.

        Raises
        ------
        ImportError, TypeError, ValueError
            If torch is missing, dtype is not a floating one, or cannot hold the weights.
        """
        import_extra("torch")
        from cvxnn._token_torch import TokenMixer

        return TokenMixer(
            self.mixing,
            self.coefs_,
            self.intercept_,
            self.gates_,
            activation=self.activation,
            pool_tokens=self.pool_tokens,
            constant_channel=self.constant_channel,
            dtype=dtype,
        )

    def __repr__(self) -> str:
        return (
            f"TokenNetwork(mixing={self.mixing!r}, activation={self.activation!r}, "
            f"n_channels={self.n_channels}, n_heads={self.n_heads}, n_outputs={self.n_outputs_}, "
            f"pool_tokens={self.pool_tokens})"
        )


def as_tokens(data: Data, constant_channel: bool) -> Float:
    """Return checked tokens in float64, with a channel of ones after the others if wanted."""
    tokens = np.ones((*data.shape[:2], data.shape[2] + constant_channel))
    tokens[:, :, : data.shape[2]] = data
    return tokens


def token_rows(y: ArrayLike, shape: tuple[int, int]) -> NDArray[Any]:
    """Return targets (n_samples, n_tokens[, n_outputs]) with a row a token."""
    targets = check_numeric(y, "y")
    if targets.ndim not in (2, 3) or targets.shape[:2] != shape:
        raise ValueError(
            f"y must have shape (n_samples, n_tokens, n_outputs) = ({shape[0]}, {shape[1]}, any) "
            f"for outputs of each token, got {targets.shape}"
        )
    return targets.reshape(shape[0] * shape[1], -1)
