"""Networks on tokens as torch modules. Imported only by those who ask for one: it needs torch."""

from typing import Any

import torch
from torch import nn

from cvxnn._torch import as_tensor, check_dtype
from cvxnn._validation import Float


class TokenMixer(nn.Module):
    """A `TokenNetwork`: (n_samples, n_tokens, n_channels) in, outputs of tokens or their mean out.

    ``hidden``, ``output`` and ``intercept`` are parameters, ``gates`` a buffer, None where the
    network has none.
    """

    def __init__(
        self,
        mixing: str,
        coefs: list[Float],
        intercept: Float,
        gates: Float | None,
        *,
        activation: str,
        pool_tokens: bool,
        constant_channel: bool,
        dtype: Any,
    ) -> None:
        super().__init__()
        dtype = check_dtype(dtype)
        self.mixing, self.activation = mixing, activation
        self.pool_tokens, self.constant_channel = pool_tokens, constant_channel
        self.hidden = nn.Parameter(as_tensor(coefs[0], "hidden weights", dtype))
        self.output = nn.Parameter(as_tensor(coefs[1], "output weights", dtype))
        self.intercept = nn.Parameter(as_tensor(intercept, "intercepts", dtype))
        self.register_buffer("gates", None if gates is None else as_tensor(gates, "gates", dtype))

    def _scores(self, x: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """Return the scores (n_samples, n_heads, n_tokens, .) of each head."""
        if self.mixing == "self_attention":
            return torch.einsum("nar,mrk,nbk->nmab", x, weights, x)
        if self.mixing == "mlp_mixer":
            return torch.einsum("mab,nbl->nmal", weights, x)
        steps = torch.arange(x.shape[1], device=x.device)
        circulant = x[:, (steps[:, None] - steps) % x.shape[1]]
        return torch.einsum("ntkr,mkr->nmt", circulant, weights)[..., None]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the outputs (n_samples[, n_tokens], n_outputs)."""
        if self.constant_channel:
            x = torch.cat([x, torch.ones_like(x[..., :1])], dim=-1)
        maps = self._scores(x, self.hidden)
        if self.activation == "relu":
            maps = torch.relu(maps)
        elif self.gates is not None:
            maps = maps * (self._scores(x, self.gates) > 0)
        if self.mixing == "self_attention":
            maps = torch.einsum("nmab,nbl->nmal", maps, x)
        outputs = torch.einsum("nmal,mlq->naq", maps, self.output)
        return (outputs.mean(dim=1) if self.pool_tokens else outputs) + self.intercept
