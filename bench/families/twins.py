"""The networks that cvxnn found, as torch modules with fixed gates, to train from random weights.

Written apart from cvxnn's own `to_torch`: what gates decide is computed once for the data, and
not at each step. Neurons are along the first axis of all arrays.
"""

from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

import cvxnn

_EPS = 1e-12  # of the normalisation, whose theorem is for zero

Mask = tuple[torch.Tensor, ...]  # what fixed gates decide


class Twin(nn.Module):
    """One layer of neurons on fixed data, and a linear head on what is pooled of their maps."""

    def __init__(
        self, weights: dict[str, np.ndarray], gates: tuple[np.ndarray, ...], activation: str
    ) -> None:
        super().__init__()
        self.activation = activation
        for name in ("hidden", "bias", "gamma", "beta", "output", "intercept"):
            value = weights.get(name)
            tensor = None if value is None else nn.Parameter(torch.tensor(value))
            self.register_parameter(name, tensor)
        self.gates: Mask = tuple(torch.tensor(gate) for gate in gates)

    @classmethod
    def of(cls, network: Any) -> "Twin":
        raise NotImplementedError

    def prepare(self, X: np.ndarray) -> torch.Tensor:
        return torch.tensor(X)

    def scores(self, x: torch.Tensor, hidden: torch.Tensor, bias: torch.Tensor | None) -> Any:
        raise NotImplementedError

    def pooled(self, x: torch.Tensor, maps: torch.Tensor) -> torch.Tensor:  # noqa: ARG002
        return maps

    def mask(self, x: torch.Tensor) -> Mask:
        """Return what the gates decide on data, nothing without gates."""
        if not self.gates:
            return ()
        scores = self.scores(x, *self.gates, *(() if len(self.gates) > 1 else (None,)))
        return ((scores > 0).to(x.dtype),)

    def activated(self, maps: torch.Tensor, mask: Mask) -> torch.Tensor:
        if self.activation == "linear":
            return maps
        return maps * mask[0] if mask else torch.relu(maps)

    def forward(self, x: torch.Tensor, mask: Mask) -> torch.Tensor:
        maps = self.scores(x, self.hidden, self.bias)
        if self.gamma is not None:
            maps = functional.batch_norm(
                maps, None, None, self.gamma, self.beta, training=True, eps=_EPS
            )
        features = self.pooled(x, self.activated(maps, mask))
        return features.flatten(1) @ self.output.flatten(0, -2) + self.intercept

    def decayed(self) -> list[nn.Parameter]:
        """Return the parameters with weight decay; scale and shift in place of what they scale."""
        hidden = (self.hidden, self.bias) if self.gamma is None else (self.gamma, self.beta)
        return [part for part in (*hidden, self.output) if part is not None]

    def objective(self, x: torch.Tensor, mask: Mask, signs: torch.Tensor, alpha: float) -> Any:
        """Return the mean logistic loss and the weight decay."""
        decay = sum(part.square().sum() for part in self.decayed())
        return logistic(self(x, mask), signs) + 0.5 * alpha * decay

    def reset(self, seed: int) -> None:
        """Draw weights as torch's linear layers and convolutions do."""
        generator = torch.Generator().manual_seed(seed)
        inputs = self.hidden[0].numel()
        outputs = self.output[..., 0].numel()
        for part, fan_in in (
            (self.hidden, inputs),
            (self.bias, inputs),
            (self.output, outputs),
            (self.intercept, outputs),
        ):
            if part is not None:
                nn.init.uniform_(part, -(fan_in**-0.5), fan_in**-0.5, generator=generator)
        if self.gamma is not None:
            nn.init.ones_(self.gamma)
            nn.init.zeros_(self.beta)

    def resize(self, width: int, gates: tuple[torch.Tensor, ...]) -> None:
        """Take another number of neurons, and gates for them; weights are then to be reset."""
        for name, part in list(self.named_parameters()):
            if name != "intercept":
                setattr(self, name, nn.Parameter(part.new_zeros(width, *part.shape[1:])))
        self.gates = gates

    def to_dtype(self, dtype: torch.dtype) -> "Twin":
        self.gates = tuple(gate.to(dtype) for gate in self.gates)
        return self.to(dtype)


def logistic(outputs: torch.Tensor, signs: torch.Tensor) -> torch.Tensor:
    return functional.softplus(-signs * outputs[:, 0]).mean()


class Dense(Twin):
    @classmethod
    def of(cls, network: Any) -> "Dense":
        norm = {}
        if isinstance(network, cvxnn.BatchNormNetwork):
            norm = {"gamma": network.gamma, "beta": network.beta}
            network = network.layers
        weights = {
            "hidden": network.coefs_[0].T,
            "output": network.coefs_[1],
            "intercept": network.intercepts_[1],
            **(norm or {"bias": network.intercepts_[0]}),
        }
        gated = network.gates_ is not None
        gates = (network.gates_.T, network.gate_intercepts_) if gated else ()
        return cls(weights, gates, network.activation)

    def scores(self, x: torch.Tensor, hidden: torch.Tensor, bias: torch.Tensor | None) -> Any:
        return functional.linear(x, hidden, bias)


class Convolution(Twin):
    """Filters of one channel or more, with the mean or maximum of maps, or all of each map."""

    network: cvxnn.ConvNetwork

    @classmethod
    def of(cls, network: cvxnn.ConvNetwork) -> "Convolution":
        weights = {
            "hidden": network.filters_,
            "output": network.head_,
            "intercept": network.intercepts_,
        }
        if network.activation != "linear":
            weights["bias"] = network.biases_
        gated = network.gates_ is not None
        gates = (network.gates_, network.gate_biases_) if gated else ()
        twin = cls(weights, gates, network.activation)
        twin.network = network
        return twin

    def prepare(self, X: np.ndarray) -> torch.Tensor:
        x = torch.tensor(X)
        if not self.network.circular:
            return x
        widths = [width for pair in reversed(self.network.windows.widths()) for width in pair]
        return functional.pad(x, widths, mode="circular")

    def scores(self, x: torch.Tensor, hidden: torch.Tensor, bias: torch.Tensor | None) -> Any:
        return functional.conv2d(x, hidden, bias)

    def mask(self, x: torch.Tensor) -> Mask:
        if not self.network.pooled_by_gates:
            return super().mask(x)
        largest, winner = self.scores(x, *self.gates).flatten(2).max(dim=2, keepdim=True)
        return (largest > 0).to(x.dtype), winner

    def activated(self, maps: torch.Tensor, mask: Mask) -> torch.Tensor:
        if self.network.pooled_by_gates:
            return maps.flatten(2).gather(2, mask[1]) * mask[0]
        return super().activated(maps, mask)

    def pooled(self, x: torch.Tensor, maps: torch.Tensor) -> torch.Tensor:  # noqa: ARG002
        if self.network.pooling is None or self.network.pooled_by_gates:
            return maps
        return maps.mean(dim=(2, 3)) if self.network.pooling == "mean" else maps.amax(dim=(2, 3))


class Tokens(Twin):
    """Heads on tokens, with a constant channel, whose outputs are means over tokens."""

    mixing: str

    @classmethod
    def of(cls, network: cvxnn.TokenNetwork) -> "Tokens":
        weights = {
            "hidden": network.coefs_[0],
            "output": network.coefs_[1],
            "intercept": network.intercept_,
        }
        gates = () if network.gates_ is None else (network.gates_,)
        twin = cls(weights, gates, network.activation)
        twin.mixing = network.mixing
        return twin

    def prepare(self, X: np.ndarray) -> torch.Tensor:
        x = torch.tensor(np.concatenate([X, np.ones_like(X[..., :1])], axis=2))
        if self.mixing != "fno":
            return x
        steps = torch.arange(x.shape[1])
        return x[:, (steps[:, None] - steps) % x.shape[1]].flatten(2)  # the circulant matrices

    def scores(self, x: torch.Tensor, hidden: torch.Tensor, bias: torch.Tensor | None) -> Any:  # noqa: ARG002
        if self.mixing == "self_attention":
            return torch.einsum("nar,mrk,nbk->nmab", x, hidden, x)
        if self.mixing == "mlp_mixer":
            return torch.einsum("mab,nbl->nmal", hidden, x)
        return torch.einsum("ntk,mk->nmt", x, hidden.flatten(1))

    def pooled(self, x: torch.Tensor, maps: torch.Tensor) -> torch.Tensor:
        means = maps.mean(dim=2)
        return means @ x if self.mixing == "self_attention" else means
