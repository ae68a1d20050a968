"""Convolutional networks: their output, objective and files, and their forms in other libraries."""

import os
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from cvxnn._conv_layers import ConvLayers, conv_arrays
from cvxnn._conv_onnx import to_model
from cvxnn._extras import import_extra
from cvxnn._files import read_network, write_atomically, write_network

_FORMAT = "cvxnn.conv_network"


class ConvNetwork(ConvLayers):
    """A convolutional network: one layer of filters, pooling, and a linear head.

    Filter j makes of a patch p the value ``max(h, 0)`` for ``relu``, ``1[p . gates_[j] +
    gate_biases_[j] > 0] * h`` for ``gated_relu`` and h for ``linear``, where
    ``h = p . filters_[j] + biases_[j]``. Its map is pooled, and the output is the sum over filters
    and pooled positions of their values times ``head_``, plus ``intercepts_``. For ``gated_relu``
    max pooling takes the patch of a window on which the gate has the largest score.

    Parameters
    ----------
    filters : array-like of shape (n_filters, n_channels, length) or (..., height, width)
        Filters.
    biases : array-like of shape (n_filters,)
        Their biases.
    head : array-like of shape (n_filters, n_positions, n_outputs)
        Output weights, for each position of a pooled map; one for pooling over the whole map.
    intercepts : array-like of shape (n_outputs,)
        Output biases.
    activation : {'relu', 'gated_relu', 'linear'}, default='relu'
        Kind of the neurons.
    gates : array-like of the shape of filters, or None, default=None
        Gate filters, for ``gated_relu`` only.
    gate_biases : array-like of shape (n_filters,) or None, default=None
        Offsets of the gates; None is zero.
    stride : int or tuple of int, default=1
        Step of the filters, along each axis of space.
    padding : int or tuple of int, default=0
        Zeros before and after each axis of space.
    circular : bool, default=False
        Filters start at each position and wrap around.
    pooling : {'mean', 'max'}, tuple or None, default='mean'
        Over the whole map, or as ``('mean', size)`` over windows side by side; None keeps the map.

    Attributes
    ----------
    filters_, biases_, head_, intercepts_ : ndarray
        As the parameters.
    gates_, gate_biases_ : ndarray or None
        As the parameters.

    Raises
    ------
    ValueError
        If a shape does not fit or an entry is not finite.

    References
    ----------
    T. Ergen, M. Pilanci (2021), Implicit convex regularizers of CNN architectures, ICLR.

    Examples
    --------
    >>> import cvxnn
    >>> net = cvxnn.ConvNetwork([[[1.0, -1.0]]], [0.0], [[[1.0]]], [0.0], pooling="max")
    >>> net.predict([[[0.0, 3.0, 1.0]], [[0.0, 1.0, 2.0]]])  # the largest fall
    array([2., 0.])
    """

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the network to a file, atomically.

        The file is an ``.npz`` archive of plain arrays with a format version; it holds no pickles.

        Parameters
        ----------
        path : str or path-like
            Name of the file, used as it is.
        """
        size = self.pool.size
        settings = {
            "activation": np.array(self.activation),
            "stride": np.array(self.stride),
            "padding": np.array(self.padding),
            "circular": np.array(int(self.circular)),
            "pooling": np.array(self.pool.kind),
            "pooling_size": np.array(() if size is None else size, dtype=np.int64),
        }
        write_network(path, {**settings, **conv_arrays(self)}, _FORMAT)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "ConvNetwork":
        """Read a network that `save` wrote.

        Parameters
        ----------
        path : str or path-like
            Name of the file.

        Returns
        -------
        ConvNetwork

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If the file is broken, is no convolutional network, or has a newer format version.

        Examples
        --------
        >>> import cvxnn, tempfile, os
        >>> net = cvxnn.ConvNetwork([[[1.0, -1.0]]], [0.0], [[[1.0]]], [0.0], pooling="max")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     net.save(os.path.join(folder, "net.npz"))
        ...     cvxnn.ConvNetwork.load(os.path.join(folder, "net.npz"))
        ConvNetwork(activation='relu', n_channels=1, kernel_size=(2,), width=1, pooling='max',
                    n_outputs=1)
        """
        arrays = read_network(path, _FORMAT)
        try:
            kind, size = str(arrays["pooling"]), arrays["pooling_size"].tolist()
            return cls(
                arrays["filters"],
                arrays["biases"],
                arrays["head"],
                arrays["intercepts"],
                activation=str(arrays["activation"]),
                gates=arrays.get("gates"),
                gate_biases=arrays.get("gate_biases"),
                stride=tuple(arrays["stride"].tolist()),
                padding=tuple(arrays["padding"].tolist()),
                circular=bool(arrays["circular"]),
                pooling=(kind, size) if size else kind,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path} is a broken convolutional network: {error}") from None

    def to_torch(self, dtype: Any = None) -> Any:
        """Return a torch module with the same predictions, trainable; it needs the extra ``torch``.

        Parameters
        ----------
        dtype : torch.dtype or None, default=None
            Of weights and data; None is float64. Others agree to their precision.

        Returns
        -------
        torch.nn.Module
            From (n_samples, n_channels, ...) to (n_samples, n_outputs); one output is a column. It
            is a ``Sequential`` of padding, convolution, ReLU, pooling, ``Flatten`` and ``Linear``;
            gated filters, with their gates as buffers, are in a module of cvxnn.

        Raises
        ------
        ImportError, TypeError, ValueError
            If torch is missing, dtype is not a floating one, or cannot hold the weights.

        Examples
        --------
        >>> import cvxnn
        >>> net = cvxnn.ConvNetwork([[[1.0, -1.0]]], [0.0], [[[1.0]]], [0.0], pooling="max")
        >>> import torch  # doctest: +SKIP
        >>> net.to_torch(torch.float32)(torch.tensor([[[0.0, 3.0, 1.0]]]))  # doctest: +SKIP
        tensor([[2.]], grad_fn=<AddmmBackward0>)
        """
        import_extra("torch")
        from cvxnn._conv_torch import to_module

        return to_module(self._exported(), dtype)

    def to_onnx(
        self, path: str | os.PathLike[str] | None = None, *, dtype: DTypeLike = "float32"
    ) -> Any:
        """Return the network as an ONNX model, and write it; it needs the extra ``onnx``.

        The input is "X" (N, n_channels, ...), the output "y" (N, n_outputs); one output is a
        column.

        Parameters
        ----------
        path : str, path-like or None, default=None
            File to write, atomically.
        dtype : {'float32', 'float64'} or numpy dtype, default='float32'
            Of data, arithmetic and outputs. onnxruntime has convolutions in float32 only. float32
            has about six digits, and patches that close to a gate may fall on its other side.

        Returns
        -------
        onnx.ModelProto

        Raises
        ------
        ImportError, ValueError
            If onnx is missing, or dtype is another one or cannot hold the weights.

        Examples
        --------
        >>> import cvxnn
        >>> net = cvxnn.ConvNetwork([[[1.0, -1.0]]], [0.0], [[[1.0]]], [0.0], pooling="max")
        >>> [node.op_type for node in net.to_onnx().graph.node]
        ['Conv', 'Relu', 'GlobalMaxPool', 'Flatten', 'Gemm']
        """
        model = to_model(self._exported(), dtype)
        if path is not None:
            write_atomically(path, lambda file: file.write(model.SerializeToString()))
        return model

    def _exported(self) -> "ConvNetwork":
        """Return the network with a filter of zeros if it has none: others refuse empty maps."""
        if self.width > 0:
            return self
        filters = np.zeros((1, *self.filters_.shape[1:]))
        gated = self.gates_ is not None
        return ConvNetwork(
            filters,
            [0.0],
            np.zeros((1, *self.head_.shape[1:])),
            self.intercepts_,
            activation=self.activation,
            gates=filters if gated else None,
            stride=self.stride,
            padding=self.padding,
            circular=self.circular,
            pooling=self.pooling,
        )

    def __repr__(self) -> str:
        return (
            f"ConvNetwork(activation={self.activation!r}, n_channels={self.n_channels}, "
            f"kernel_size={self.filters_.shape[2:]}, width={self.width}, "
            f"pooling={self.pooling!r}, n_outputs={self.n_outputs_})"
        )
