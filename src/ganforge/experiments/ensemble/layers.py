"""Layers of M networks at once: the examples of all members in one batch, M sets of weights.

A network whose weights all lie in such layers is stacked by replacing them: what stands between
them treats each example by itself and need not know that a batch holds M games. This is up to 1.6
times as fast as the same layers under `vmap`.

Two orders of that batch. Member after member (M B, ...) suits products of matrices. Example after
example (B M, ...) suits convolutions, which see the channels of all members side by side, and
layers narrower than a product of matrices is worth: with features first in memory, each sum over a
layer's inputs is one over long vectors of members.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ganforge.nets import spectral

NARROW = 32  # products of a layer's inputs and outputs up to which members lie side by side
SIDE_BY_SIDE = 16  # members from which that pays


def part(x: Tensor, members: int, beside: bool = False) -> Tensor:
    """One batch -> (M, B, ...)."""
    if beside:
        return x.view(-1, members, *x.shape[1:]).transpose(0, 1)
    return x.view(members, -1, *x.shape[1:])


def merge(x: Tensor, beside: bool = False) -> Tensor:
    """(M, B, ...) -> one batch."""
    return (x.transpose(0, 1) if beside else x).flatten(0, 1)


class Layer(nn.Module):
    """A layer of M members in the place of `module`, with its settings and its tensors, (M, ...).

    beside: the batch is example after example, (B M, ...). narrow: members lie side by side.
    """

    weight: Any
    bias: Any
    u: Tensor
    v: Tensor

    def __init__(self, module: nn.Module, members: int, beside: bool, narrow: bool):
        super().__init__()
        vars(self).update(vars(module))  # all but the way forward
        self.members, self.beside, self.narrow = members, beside, narrow

    def factor(self) -> Tensor:
        """What the layer multiplies with, (M, ...): of a spectral layer divided by each sigma."""
        weight: Tensor = self.weight
        return spectral.normalised(weight, self.u, self.v) if "u" in self._buffers else weight


class Linear(Layer):
    """nn.Linear of M members."""

    def forward(self, x: Tensor) -> Tensor:
        return self.summed(x) if self.narrow and x.dim() == 2 else self.stacked(x)

    def stacked(self, x: Tensor) -> Tensor:
        """As one product of stacks of matrices."""
        weight = self.factor().mT
        rows = part(x, self.members, self.beside)
        flat = rows.flatten(1, -2)
        if self.bias is None:
            out = torch.bmm(flat, weight)
        else:
            out = torch.baddbmm(self.bias.unsqueeze(1), flat, weight)
        return merge(out.view(*rows.shape[:-1], out.shape[-1]), self.beside)

    def summed(self, x: Tensor) -> Tensor:
        """(B M, I) -> (B M, O) as sums over I of products of (O, I, B, M), all in memory so."""
        rows = x.t().contiguous().view(x.shape[1], -1, self.members)
        weight = self.factor().permute(1, 2, 0).contiguous()
        out: Tensor = (weight.unsqueeze(2) * rows).sum(1)
        if self.bias is not None:
            out = out + self.bias.t().contiguous().unsqueeze(1)
        return out.flatten(1).t()


class Channels(Layer):
    """A layer of channels: those of all members side by side, (B, M C, ...)."""

    stride: Any
    padding: Any
    dilation: Any
    output_padding: Any

    def forward(self, x: Tensor) -> Tensor:
        rows = part(x, self.members, self.beside).transpose(0, 1).flatten(1, 2)
        weight, bias = (t if t is None else t.flatten(0, 1) for t in (self.factor(), self.bias))
        out = self.apart(rows, weight, bias)
        out = out.view(len(rows), self.members, -1, *out.shape[2:])
        return merge(out.transpose(0, 1), self.beside)

    def apart(self, rows: Tensor, weight: Any, bias: Tensor | None) -> Tensor:
        """(B, M C, ...) -> (B, M O, ...), no member seeing another's: as a convolution."""
        return F.conv2d(rows, weight, bias, self.stride, self.padding, self.dilation, self.members)


class ConvTranspose(Channels):
    """nn.ConvTranspose2d of M members: one of M groups."""

    def apart(self, rows: Tensor, weight: Any, bias: Tensor | None) -> Tensor:
        return F.conv_transpose2d(
            rows, weight, bias, self.stride, self.padding, self.output_padding, self.members,
            self.dilation,
        )  # fmt: skip


class BatchNorm(Channels):
    """nn.BatchNorm1d or 2d of M members, each over the examples of that member."""

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor
    momentum: float
    eps: float

    def apart(self, rows: Tensor, weight: Any, bias: Tensor | None) -> Tensor:
        if self.training:
            self.num_batches_tracked.add_(1)
        # views, updated in place
        mean, variance = self.running_mean.view(-1), self.running_var.view(-1)
        return F.batch_norm(
            rows, mean, variance, weight, bias, self.training, self.momentum, self.eps
        )


class Embedding(Layer):
    """nn.Embedding of M members: one table, a member's rows after those of the one before."""

    def forward(self, label: Tensor) -> Tensor:
        table = self.factor()
        first = torch.arange(self.members, device=label.device) * table.shape[1]
        rows = part(label, self.members, self.beside)
        rows = rows + first.view(-1, *[1] * (rows.dim() - 1))
        return F.embedding(merge(rows, self.beside), table.flatten(0, 1))


KINDS: dict[type[nn.Module], type[Layer]] = {
    nn.Linear: Linear, spectral.Linear: Linear,
    nn.Embedding: Embedding, spectral.Embedding: Embedding,
    nn.Conv2d: Channels, spectral.Conv2d: Channels, nn.ConvTranspose2d: ConvTranspose,
    nn.BatchNorm1d: BatchNorm, nn.BatchNorm2d: BatchNorm,
}  # fmt: skip
SETTINGS = {  # of a layer, besides its sizes: the only values that are known here
    "groups": 1, "padding_mode": "zeros", "padding_idx": None, "max_norm": None,
    "track_running_stats": True,
}  # fmt: skip


def is_known(module: nn.Module) -> bool:
    """Whether there is a layer of M members for a layer with these settings."""
    usual = all(getattr(module, key, value) == value for key, value in SETTINGS.items())
    return type(module) in KINDS and usual and bool(getattr(module, "momentum", True))


def replace(network: nn.Module, members: int) -> bool | None:
    """Put layers of M members in the places of a network's layers, whose tensors are stacked.

    Returns:
        Whether the network's batch is now example after example; None if a weight or a buffer lies
        in a layer that is not known here, and nothing was replaced.
    """
    found = {
        name: module
        for name, module in network.named_modules()
        if [*module.parameters(recurse=False), *module.buffers(recurse=False)]
    }
    if "" in found or not all(map(is_known, found.values())):
        return None
    sizes = [m.in_features * m.out_features for m in found.values() if isinstance(m, nn.Linear)]
    narrow = members >= SIDE_BY_SIDE and max(sizes, default=NARROW + 1) <= NARROW
    pictures = any(isinstance(m, nn.Conv2d | nn.ConvTranspose2d) for m in found.values())
    beside = narrow or pictures
    for name, module in found.items():
        parent, _, last = name.rpartition(".")
        layer = KINDS[type(module)](module, members, beside, narrow)
        setattr(network.get_submodule(parent), last, layer)
    return beside
