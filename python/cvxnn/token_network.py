"""Networks on tokens: self-attention, mixers, Fourier operators; files, and other libraries."""

import os
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from cvxnn._extras import import_extra
from cvxnn._files import read_network, write_atomically, write_network
from cvxnn._token_layers import TokenLayers
from cvxnn._token_onnx import to_model

_KIND = "cvxnn.token_network"


class TokenNetwork(TokenLayers):
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

    def to_onnx(
        self, path: str | os.PathLike[str] | None = None, *, dtype: DTypeLike = "float64"
    ) -> Any:
        """Return the network as an ONNX model, and write it; it needs the extra ``onnx``.

        The input is "X" (N, n_tokens, n_channels), the output "y" (N, n_outputs), one output is a
        column; without ``pool_tokens`` (N, n_tokens, n_outputs). Attention takes any number of
        tokens.

        Parameters
        ----------
        path : str, path-like or None, default=None
            File to write, atomically.
        dtype : {'float64', 'float32'} or numpy dtype, default='float64'
            Of data, arithmetic and outputs. float32 has about six digits, and scores that close to
            a gate may fall on its other side.

        Returns
        -------
        onnx.ModelProto

        Raises
        ------
        ImportError, ValueError
            If onnx is missing, or dtype is another one or cannot hold the weights.

        Examples
        --------
        >>> import cvxnn, numpy as np
        >>> network = cvxnn.TokenNetwork("mlp_mixer", [np.eye(2)[None], np.ones((1, 3, 1))])
        >>> [node.op_type for node in network.to_onnx().graph.node][:2]
        ['Unsqueeze', 'MatMul']
        """
        model = to_model(self._exported(), dtype)
        if path is not None:
            write_atomically(path, lambda file: file.write(model.SerializeToString()))
        return model

    def _exported(self) -> "TokenNetwork":
        """Return the network with a head of zeros if it has none: others refuse empty arrays."""
        if self.n_heads > 0:
            return self
        hidden, output = (np.zeros((1, *weights.shape[1:])) for weights in self.coefs_)
        return TokenNetwork(
            self.mixing,
            [hidden, output],
            self.intercept_,
            activation=self.activation,
            gates=None if self.gates_ is None else hidden,
            pool_tokens=self.pool_tokens,
            constant_channel=self.constant_channel,
        )

    def __repr__(self) -> str:
        return (
            f"TokenNetwork(mixing={self.mixing!r}, activation={self.activation!r}, "
            f"n_channels={self.n_channels}, n_heads={self.n_heads}, n_outputs={self.n_outputs_}, "
            f"pool_tokens={self.pool_tokens})"
        )
