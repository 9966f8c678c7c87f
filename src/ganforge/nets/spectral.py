"""Spectral normalisation: layers whose weight is W / sigma, sigma the largest singular value of W.

Miyato et al. 2018. sigma = u^T W v, where u and v are near the first singular vectors: a power
iteration keeps them so, one round at each turn of D (see `gan/step.py`). They are buffers, the
state of that iteration; in the graph they are constants and W is not, so gradients flow through
sigma. A convolution's weight is the matrix (out, in * height * width). In a generator these layers
would keep the u and v they began with: nothing iterates there.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

ROUNDS = 15  # of the power iteration on fresh weights

SpectralWeight = tuple[Tensor, Tensor, Tensor]  # W (..., O, I, h, w), u (..., O), v (..., I h w)


@torch.no_grad()
def iterate(weight: Tensor, u: Tensor, v: Tensor) -> None:
    """One round of the power iteration: v <- W^T u, u <- W v, of length 1, in place."""
    matrix = weight.reshape(*u.shape, -1)
    v.copy_(F.normalize((matrix.mT @ u.unsqueeze(-1)).squeeze(-1), dim=-1))
    u.copy_(F.normalize((matrix @ v.unsqueeze(-1)).squeeze(-1), dim=-1))


def normalised(weight: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """W / (u^T W v), of W's shape. No product of matrices: autocast would make sigma a bf16."""
    outer = u.unsqueeze(-1) * v.unsqueeze(-2)
    axes = tuple(range(u.dim() - 1, weight.dim()))  # of one weight, if several are stacked
    sigma = (outer.view(weight.shape) * weight).sum(axes, keepdim=True)
    return weight / (sigma + (sigma == 0))  # weights that are all 0 stay so


class Spectral(nn.Module):
    """What such a layer has beside the weight: u (O,), drawn from a normal law, and v (I h w,)."""

    weight: Tensor
    u: Tensor
    v: Tensor

    def __init__(self, *args: Any, **named: Any):
        super().__init__(*args, **named)
        matrix = self.weight.detach().flatten(1)
        self.register_buffer("u", F.normalize(torch.randn(len(matrix)), dim=0))
        self.register_buffer("v", torch.zeros(matrix.shape[1]))
        self.reset()

    def reset(self) -> None:
        """Bring u and v near the singular vectors of fresh weights."""
        for _ in range(ROUNDS):
            iterate(*self.parts())

    def parts(self) -> SpectralWeight:
        """W, u and v."""
        return self.weight, self.u, self.v

    def normal(self) -> Tensor:
        """The weight that the layer multiplies with."""
        return normalised(*self.parts())


class Linear(Spectral, nn.Linear):
    """nn.Linear by W / sigma."""

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.normal(), self.bias)


class Conv2d(Spectral, nn.Conv2d):
    """nn.Conv2d by W / sigma."""

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self._conv_forward(x, self.normal(), self.bias)
        return out


class Embedding(Spectral, nn.Embedding):
    """nn.Embedding of rows of W / sigma."""

    def forward(self, label: Tensor) -> Tensor:
        return F.embedding(label, self.normal())
