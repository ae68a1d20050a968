"""Convolutional networks as torch modules. Imported only by those who ask for one: needs torch."""

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from cvxnn._conv_layers import ConvLayers
from cvxnn._torch import as_tensor, check_dtype, to_linear, to_norm
from cvxnn._validation import Float


class GatedConvolution(nn.Module):
    """Filters with fixed gates, and their max pooling, which the gates decide.

    ``convolution`` holds the filters, ``gates`` (of their shape) and ``gate_biases`` are buffers.
    ``norm`` is the batch normalisation between them, None for none.
    `size` is that of the windows of max pooling, empty for the whole map; None for no max pooling.
    """

    def __init__(
        self,
        convolution: nn.Module,
        gates: torch.Tensor,
        gate_biases: torch.Tensor,
        size: tuple[int, ...] | None,
        norm: nn.Module | None,
    ) -> None:
        super().__init__()
        self.convolution = convolution
        self.norm = norm
        self.size = size
        self.register_buffer("gates", gates)
        self.register_buffer("gate_biases", gate_biases)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the maps (n_samples, n_filters, ...)."""
        apply = functional.conv1d if self.gates.ndim == 3 else functional.conv2d
        layer: Any = self.convolution
        maps = layer(x) if self.norm is None else self.norm(layer(x))
        scores = apply(x, self.gates, self.gate_biases, layer.stride, layer.padding)
        if self.size is None:
            return maps * (scores > 0)
        pool: Any = functional.max_pool1d if self.gates.ndim == 3 else functional.max_pool2d
        size = self.size or tuple(scores.shape[2:])
        largest, index = pool(scores, size, return_indices=True)
        won = maps.flatten(2).gather(2, index.flatten(2)).reshape(largest.shape)
        return won * (largest > 0)


def _convolution(network: ConvLayers, dtype: torch.dtype) -> nn.Module:
    kind: Any = nn.Conv1d if network.filters_.ndim == 3 else nn.Conv2d
    # On "meta" nothing is drawn from torch's generator.
    layer = kind(
        network.n_channels,
        network.width,
        network.filters_.shape[2:],
        stride=network.stride,
        padding=network.padding,
        device="meta",
    )
    layer.weight = nn.Parameter(as_tensor(network.filters_, "filters", dtype))
    layer.bias = nn.Parameter(as_tensor(network.biases_, "biases", dtype))
    module: nn.Module = layer
    return module


def _pool(network: ConvLayers) -> list[nn.Module]:
    """Return the pooling of maps, nothing where it is that of gates or there is none."""
    if network.pooling is None or network.pooled_by_gates:
        return []
    kind, size = network.pool.kind, network.pool.size
    name = {"mean": "Avg", "max": "Max"}[kind] + f"Pool{network.filters_.ndim - 2}d"
    return [getattr(nn, f"Adaptive{name}")(1) if size is None else getattr(nn, name)(size)]


def _gated(
    network: ConvLayers, convolution: nn.Module, norm: nn.Module | None, dtype: torch.dtype
) -> list[nn.Module]:
    if network.gates_ is None or network.gate_biases_ is None:
        return [convolution] if norm is None else [convolution, norm]
    gates = as_tensor(network.gates_, "gates", dtype)
    biases = as_tensor(network.gate_biases_, "gate_biases", dtype)
    size = network.pool.size or () if network.pooled_by_gates else None
    return [GatedConvolution(convolution, gates, biases, size, norm)]


def to_module(
    network: ConvLayers,
    dtype: Any,
    normalisation: tuple[tuple[Float, Float], tuple[Float, Float]] | None = None,
) -> nn.Module:
    """Return a module with the same predictions; `dtype` None is float64.

    With `normalisation`, scale and shift, mean and variance, maps are normalised after the filters.
    """
    dtype = check_dtype(dtype)
    norm = None
    if normalisation is not None:
        kind = nn.BatchNorm1d if network.filters_.ndim == 3 else nn.BatchNorm2d
        norm = to_norm(kind, *normalisation, dtype)
    layers: list[nn.Module] = []
    if network.circular:
        widths = [width for pair in reversed(network.windows.widths()) for width in pair]
        layers.append(nn.CircularPad1d(widths) if len(widths) == 2 else nn.CircularPad2d(widths))
    layers += _gated(network, _convolution(network, dtype), norm, dtype)
    if network.activation == "relu":
        layers.append(nn.ReLU())
    head: Float = network.head_.reshape(-1, network.n_outputs_)
    last = to_linear(head, network.intercepts_, "head", dtype)
    return nn.Sequential(*layers, *_pool(network), nn.Flatten(), last)
