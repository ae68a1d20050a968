"""Networks as torch modules. Imported only by those who ask for one: it needs torch."""

import copy
from typing import Any

import numpy as np
import torch
from torch import nn

from cvxnn._layers import Layers
from cvxnn._validation import Float

# Of `torch.nn.BatchNorm1d`, which wants it positive; the variances are one.
_EPS = 1e-12


class TwoLayerNetwork(nn.Module):
    """A gated network, or one with a skip connection; ``n_features`` in, ``n_outputs`` out.

    ``hidden``, ``output`` and ``skip`` are linear layers, ``norm`` is the batch normalisation,
    before the gates or, if not `norm_first`, after them, ``gates`` (n_features, width) and
    ``gate_intercepts`` (width,) are buffers. ``skip``, ``norm`` and the buffers are None where the
    network has none.
    """

    def __init__(
        self,
        hidden: nn.Linear,
        output: nn.Linear,
        *,
        gates: torch.Tensor | None = None,
        gate_intercepts: torch.Tensor | None = None,
        skip: nn.Linear | None = None,
        norm: nn.Module | None = None,
        norm_first: bool = True,
    ) -> None:
        super().__init__()
        self.hidden = hidden
        self.output = output
        self.skip = skip
        self.norm = norm
        self.norm_first = norm_first
        self.register_buffer("gates", gates)
        self.register_buffer("gate_intercepts", gate_intercepts)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the outputs (n_samples, n_outputs)."""
        neurons = self.hidden(x)
        if self.norm is not None and self.norm_first:
            neurons = self.norm(neurons)
        if self.gates is None:
            neurons = torch.relu(neurons)
        else:
            neurons = neurons * (x @ self.gates + self.gate_intercepts > 0)
        if self.norm is not None and not self.norm_first:
            neurons = self.norm(neurons)
        outputs = self.output(neurons)
        return outputs if self.skip is None else outputs + self.skip(x)


def as_tensor(array: Float, name: str, dtype: torch.dtype) -> torch.Tensor:
    """Return an array as a tensor; raise if the dtype cannot hold it."""
    tensor = torch.tensor(array, dtype=dtype).contiguous()  # torch.tensor keeps the order of axes
    if not torch.isfinite(tensor).all():
        raise ValueError(
            f"dtype must hold the network, got {dtype} for {name} up to {np.abs(array).max():g}"
        )
    return tensor


def to_linear(weights: Float, bias: Float | None, name: str, dtype: torch.dtype) -> nn.Linear:
    """Return a linear layer of weights (n_inputs, n_outputs)."""
    # On "meta" nothing is drawn from torch's generator; a size of zero would warn.
    layer = nn.Linear(1, 1, bias=bias is not None, device="meta")
    layer.in_features, layer.out_features = weights.shape
    layer.weight = nn.Parameter(as_tensor(weights.T, f"{name} weights", dtype))
    if bias is not None:
        layer.bias = nn.Parameter(as_tensor(bias, f"{name} biases", dtype))
    return layer


def check_dtype(dtype: Any) -> torch.dtype:
    """Return a floating dtype, float64 for None."""
    dtype = torch.float64 if dtype is None else dtype
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise TypeError(f"dtype must be a floating torch.dtype or None, got {dtype!r}")
    return dtype


def to_norm(
    kind: Any, affine: tuple[Float, Float], moments: tuple[Float, Float], dtype: torch.dtype
) -> nn.Module:
    """Return batch normalisation with a scale and shift and running moments."""
    norm = kind(len(affine[0]), eps=_EPS, dtype=dtype)
    norm.weight = nn.Parameter(as_tensor(affine[0], "gamma", dtype))
    norm.bias = nn.Parameter(as_tensor(affine[1], "beta", dtype))
    norm.running_mean = as_tensor(moments[0], "running_mean", dtype)
    norm.running_var = as_tensor(moments[1], "running_var", dtype)
    module: nn.Module = norm
    return module


def to_normalised_module(
    layers: Layers,
    affine: tuple[Float, Float],
    moments: tuple[Float, Float],
    dtype: Any,
    *,
    first: bool,
) -> nn.Module:
    """Return the module of layers with batch normalisation, `first` or after the ReLU or gate.

    Its scale and shift are `affine`, its running mean and variance `moments`.
    """
    dtype = check_dtype(dtype)
    bias = None if first else layers.intercepts_[0]  # the normalisation takes it away
    hidden = to_linear(layers.coefs_[0], bias, "hidden", dtype)
    output = to_linear(layers.coefs_[1], layers.intercepts_[1], "output", dtype)
    norm = to_norm(nn.BatchNorm1d, affine, moments, dtype)
    if layers.gates_ is None or layers.gate_intercepts_ is None:
        inner = [norm, nn.ReLU()] if first else [nn.ReLU(), norm]
        return nn.Sequential(hidden, *inner, output).eval()
    gates = as_tensor(layers.gates_, "gates", dtype)
    offsets = as_tensor(layers.gate_intercepts_, "gate_intercepts", dtype)
    module = TwoLayerNetwork(
        hidden, output, gates=gates, gate_intercepts=offsets, norm=norm, norm_first=first
    )
    return module.eval()


def to_module(network: Layers, dtype: Any) -> nn.Module:
    """Return a module with the same predictions; `dtype` None is float64."""
    dtype = check_dtype(dtype)
    hidden, output = (
        to_linear(weights, bias, name, dtype)
        for weights, bias, name in zip(
            network.coefs_, network.intercepts_, ("hidden", "output"), strict=True
        )
    )
    skip = None if network.skip_ is None else to_linear(network.skip_, None, "skip", dtype)
    if network.gates_ is None or network.gate_intercepts_ is None:
        if skip is None:
            return nn.Sequential(hidden, nn.ReLU(), output)
        return TwoLayerNetwork(hidden, output, skip=skip)
    return TwoLayerNetwork(
        hidden,
        output,
        gates=as_tensor(network.gates_, "gates", dtype),
        gate_intercepts=as_tensor(network.gate_intercepts_, "gate_intercepts", dtype),
        skip=skip,
    )


def check_same_outputs(module: nn.Module, network: Layers, name: str) -> None:
    """Raise unless a module computes what the network that was read from its state does."""
    if isinstance(module, TwoLayerNetwork):
        return
    rng = np.random.default_rng(0)
    probe = rng.standard_normal((96, network.n_features_in_)) * np.logspace(-1, 2, 96)[:, None]
    try:
        # A copy: its mode, device and precision, and what hooks record, are the owner's affair.
        with torch.no_grad():
            outputs = copy.deepcopy(module).cpu().double().eval()(torch.from_numpy(probe))
        got = outputs.numpy().reshape(len(probe), network.n_outputs_)
    except Exception as error:
        raise ValueError(
            f"{name} must map float64 data of shape (n_samples, {network.n_features_in_}) to "
            f"outputs (n_samples, {network.n_outputs_}), its forward raised {error!r}; "
            "its state dict is taken unseen"
        ) from error
    difference = np.abs(got - network.predict(probe).reshape(got.shape))
    if not (difference <= 1e-12 * _magnitude(network, np.abs(probe))).all():
        kinds = [type(part).__name__ for part in module.modules() if not list(part.children())]
        raise ValueError(
            f"{name} must compute a linear layer, ReLU and a linear layer: its outputs differ by "
            f"up to {difference.max():g} from those of such a network with its weights; "
            f"it holds {kinds}"
        )


def _magnitude(network: Layers, rows: Float) -> Float:
    """Return the outputs with all signs dropped, which rounding errors are relative to."""
    hidden, output = (np.abs(weights) for weights in network.coefs_)
    first, second = (np.abs(bias) for bias in network.intercepts_)
    size: Float = (rows @ hidden + first) @ output + second
    return size if network.skip_ is None else size + rows @ np.abs(network.skip_)
