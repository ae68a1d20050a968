"""Networks: their output, objective and files, and their forms in other libraries."""

import os
from typing import Any

from numpy.typing import DTypeLike

from cvxnn._extras import import_extra
from cvxnn._files import read_network, write_atomically, write_network
from cvxnn._layers import Layers, stored_arrays
from cvxnn._onnx import to_model
from cvxnn._summary import as_html, as_text


class Network(Layers):
    """A two-layer network, with gated ReLU or ReLU neurons.

    The output is ``sum_j sigma_j(x) * coefs_[1][j] + intercepts_[1] (+ x @ skip_)``, where for
    ``gated_relu`` neuron j computes ``1[x @ gates_[:, j] + gate_intercepts_[j] > 0] * h_j(x)`` and
    for ``relu`` it computes ``max(h_j(x), 0)``, with
    ``h_j(x) = x @ coefs_[0][:, j] + intercepts_[0][j]``.

    Parameters
    ----------
    coefs : sequence of two array-likes, (n_features, m) and (m, n_outputs)
        Hidden and output weights.
    intercepts : sequence of two array-likes, (m,) and (n_outputs,)
        Hidden and output biases.
    activation : {'gated_relu', 'relu'}, default='relu'
        Kind of the neurons.
    gates : array-like of shape (n_features, m) or None, default=None
        Gate vectors, for ``gated_relu`` only.
    gate_intercepts : array-like of shape (m,) or None, default=None
        Offsets of the gates; None is zero.
    skip : array-like of shape (n_features, n_outputs) or None, default=None
        A linear skip connection.
    penalty_weights : array-like of shape (m,) or None, default=None
        Weight of each neuron in `objective`; None is one.

    Attributes
    ----------
    coefs_, intercepts_ : list of ndarray
        As in scikit-learn's MLP.
    gates_, gate_intercepts_, skip_ : ndarray or None
        As the parameters.

    Raises
    ------
    ValueError
        If a shape does not fit or an entry is not finite.

    References
    ----------
    A. Mishkin, A. Sahiner, M. Pilanci (2022), Fast convex optimization for two-layer ReLU networks,
    ICML, equation 4 (gated ReLU).

    Examples
    --------
    >>> import cvxnn
    >>> net = cvxnn.Network([[[1.0, -1.0]], [[1.0], [1.0]]], [[0.0, 0.0], [0.0]])
    >>> net.predict([[-2.0], [3.0]])
    array([2., 3.])
    """

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the network to a file, atomically.

        The file is an ``.npz`` archive of plain arrays with a format version; it holds no pickles.

        Parameters
        ----------
        path : str or path-like
            Name of the file, used as it is.
        """
        write_network(path, stored_arrays(self))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Network":
        """Read a network that `save` wrote.

        Parameters
        ----------
        path : str or path-like
            Name of the file.

        Returns
        -------
        Network

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If the file is broken, is no cvxnn network, or has a newer format version.

        Examples
        --------
        >>> import cvxnn, tempfile, os
        >>> net = cvxnn.Network([[[1.0]], [[2.0]]], [[0.0], [0.5]])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     net.save(os.path.join(folder, "net.npz"))
        ...     cvxnn.Network.load(os.path.join(folder, "net.npz")).predict([[3.0]])
        array([6.5])
        """
        arrays = read_network(path)
        try:
            return cls(
                [arrays["coefs_0"], arrays["coefs_1"]],
                [arrays["intercepts_0"], arrays["intercepts_1"]],
                activation=str(arrays["activation"]),
                gates=arrays.get("gates"),
                gate_intercepts=arrays.get("gate_intercepts"),
                skip=arrays.get("skip"),
                penalty_weights=arrays["penalty_weights"],
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path} is a broken cvxnn network: {error}") from None

    def to_torch(self, dtype: Any = None) -> Any:
        """Return a torch module with the same predictions, trainable; it needs the extra ``torch``.

        Parameters
        ----------
        dtype : torch.dtype or None, default=None
            Of weights and data; None is float64. Others agree to their precision.

        Returns
        -------
        torch.nn.Module
            From (n_samples, n_features) to (n_samples, n_outputs); one output is a column. It is
            ``Sequential(Linear, ReLU, Linear)``; gates, as buffers, and skip connections are in a
            module of cvxnn.

        Raises
        ------
        ImportError, TypeError, ValueError
            If torch is missing, dtype is not a floating one, or cannot hold the weights.

        Examples
        --------
        >>> import cvxnn
        >>> net = cvxnn.Network([[[1.0]], [[2.0]]], [[0.0], [0.5]])
        >>> import torch  # doctest: +SKIP
        >>> net.to_torch(torch.float32)(torch.tensor([[3.0]]))  # doctest: +SKIP
        tensor([[6.5000]], grad_fn=<AddmmBackward0>)
        """
        import_extra("torch")
        from cvxnn._torch import to_module

        return to_module(self, dtype)

    @staticmethod
    def from_torch(module: Any) -> "Network":
        """Return the network of a two-layer ReLU module, or of any that `to_torch` made.

        Parameters
        ----------
        module : torch.nn.Module or mapping of str to array
            A module, whose outputs are compared with those of the network, or its state dict, which
            is believed to be of linear, ReLU, linear. Penalty weights become one.

        Returns
        -------
        Network

        Raises
        ------
        TypeError, ValueError
            If it is something else, or other layers or activations.

        Examples
        --------
        >>> import cvxnn
        >>> state = {"0.weight": [[2.0]], "0.bias": [1.0], "2.weight": [[3.0]], "2.bias": [0.0]}
        >>> cvxnn.Network.from_torch(state).predict([[1.0]])
        array([9.])
        """
        from cvxnn._conversion import from_torch

        return from_torch(module)

    @staticmethod
    def from_sklearn(model: Any) -> "Network":
        """Return the network of a fitted estimator.

        Parameters
        ----------
        model : ReLURegressor, ReLUClassifier, MLPRegressor or MLPClassifier
            Fitted; MLPs with one hidden layer of ReLU neurons.

        Returns
        -------
        Network
            Of classifiers its outputs are decision values: one for two classes, positive for the
            second, else one a class; MLPs take the logistic function or softmax of them.

        Raises
        ------
        TypeError, ValueError
            If it is something else, is not fitted, or has other layers or activations.

        Examples
        --------
        >>> import cvxnn
        >>> model = cvxnn.ReLURegressor().fit([[0.0], [1.0], [2.0]], [1.0, 0.0, 1.0])
        >>> cvxnn.Network.from_sklearn(model) is model.network_
        True
        """
        from cvxnn._conversion import from_sklearn

        return from_sklearn(model)

    def to_onnx(
        self, path: str | os.PathLike[str] | None = None, *, dtype: DTypeLike = "float64"
    ) -> Any:
        """Return the network as an ONNX model, and write it; it needs the extra ``onnx``.

        The input is "X" (N, n_features), the output "y" (N, n_outputs); one output is a column.

        Parameters
        ----------
        path : str, path-like or None, default=None
            File to write, atomically.
        dtype : {'float64', 'float32'} or numpy dtype, default='float64'
            Of data, arithmetic and outputs. float64 agrees with `predict` to rounding. float32 has
            about six digits, and samples that close to a gate may fall on its other side.

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
        >>> model = cvxnn.Network([[[1.0]], [[2.0]]], [[0.0], [0.5]]).to_onnx()
        >>> [node.op_type for node in model.graph.node]
        ['Gemm', 'Relu', 'Gemm']
        """
        model = to_model(self, dtype)
        if path is not None:
            write_atomically(path, lambda file: file.write(model.SerializeToString()))
        return model

    def summary(self) -> str:
        """Return sizes, and norms of the largest neurons, as a short text.

        Returns
        -------
        str
            A neuron's size is the norm of its input weights and bias times that of its output
            weights.

        Examples
        --------
        >>> import cvxnn
        >>> net = cvxnn.Network([[[3.0, 1.0], [4.0, 0.0]], [[2.0], [1.0]]], [[0.0] * 2, [0.0]])
        >>> print(net.summary())
        Network, activation relu
        features 2, neurons 2, outputs 1
        input weights: 3 of 4 are not zero
        largest neurons, 2 of 2:
        neuron  size  input norm  output norm  inputs used
             0    10           5            2            2
             1     1           1            1            1
        """
        return as_text(self)

    def _repr_html_(self) -> str:
        return as_html(self)

    def __repr__(self) -> str:
        return (
            f"Network(activation={self.activation!r}, n_features={self.n_features_in_}, "
            f"width={self.width}, n_outputs={self.n_outputs_})"
        )
