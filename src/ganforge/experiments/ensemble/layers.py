"""Layers of M networks at once: the examples of all members in one batch, M sets of weights.

A network whose weights all lie in such layers is stacked by replacing them: what stands between
them treats each example by itself and need not know that a batch holds M games. This takes a
third of the time of the same layers under `vmap`, or less.

Two orders of that batch. Member after member (M B, ...) suits products of matrices. Example after
example (B M, ...) suits convolutions, which see the channels of all members side by side, and
layers narrower than a product of matrices is worth: with features first in memory, each sum over a
layer's inputs is one over long vectors of members.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ganforge.nets import spectral

NARROW = 32  # products of a layer's inputs and outputs up to which members lie side by side
SIDE_BY_SIDE = 16  # members from which that pays
KNOWN = (
    nn.Linear, nn.BatchNorm1d, nn.BatchNorm2d, nn.Embedding, nn.Conv2d, nn.ConvTranspose2d,
    spectral.Linear, spectral.Conv2d, spectral.Embedding,
)  # fmt: skip


class Layer(nn.Module):
    """A layer of M members; its tensors, (M, ...), belong to whoever stacked them.

    beside: the batch is example after example, (B M, ...).
    """

    def __init__(self, members: int, beside: bool):
        super().__init__()
        self.members, self.beside = members, beside
        self.tensors: dict[str, Tensor] = {}

    def weight(self) -> Tensor:
        """What the layer multiplies with, (M, ...): of a spectral layer divided by each sigma."""
        weight, u = self.tensors["weight"], self.tensors.get("u")
        return weight if u is None else spectral.normalised(weight, u, self.tensors["v"])


def merge(x: Tensor, beside: bool) -> Tensor:
    """(M, B, ...) -> one batch."""
    return (x.transpose(0, 1) if beside else x).flatten(0, 1)


def part(x: Tensor, members: int, beside: bool) -> Tensor:
    """One batch -> (M, B, ...)."""
    if beside:
        return x.view(-1, members, *x.shape[1:]).transpose(0, 1)
    return x.view(members, -1, *x.shape[1:])


class Linear(Layer):
    """nn.Linear of M members."""

    narrow = False

    def forward(self, x: Tensor) -> Tensor:
        return self.summed(x) if self.narrow and x.dim() == 2 else self.stacked(x)

    def stacked(self, x: Tensor) -> Tensor:
        """As one product of stacks of matrices."""
        weight, bias = self.weight().mT, self.tensors.get("bias")
        rows = part(x, self.members, self.beside)
        flat = rows.flatten(1, -2)
        if bias is None:
            out = torch.bmm(flat, weight)
        else:
            out = torch.baddbmm(bias.unsqueeze(1), flat, weight)
        return merge(out.view(*rows.shape[:-1], out.shape[-1]), self.beside)

    def summed(self, x: Tensor) -> Tensor:
        """(B M, I) -> (B M, O) as sums over I of products of (O, I, B, M), all in memory so."""
        rows = x.t().contiguous().view(x.shape[1], -1, self.members)
        weight, bias = self.weight().permute(1, 2, 0).contiguous(), self.tensors.get("bias")
        out: Tensor = (weight.unsqueeze(2) * rows).sum(1)
        if bias is not None:
            out = out + bias.t().contiguous().unsqueeze(1)
        return out.flatten(1).t()


class Channels(Layer):
    """A layer of channels: those of all members side by side, (B, M C, ...)."""

    def forward(self, x: Tensor) -> Tensor:
        rows = part(x, self.members, self.beside).transpose(0, 1).flatten(1, 2)
        out = self.apart(rows)
        out = out.view(len(rows), self.members, -1, *out.shape[2:])
        return merge(out.transpose(0, 1), self.beside)

    def apart(self, rows: Tensor) -> Tensor:
        """(B, M C, ...) -> (B, M O, ...), no member seeing another's."""
        raise NotImplementedError

    def flat(self, name: str) -> Tensor | None:
        """A tensor of all members, one after the other."""
        found = self.tensors.get(name)
        return None if found is None else found.flatten(0, 1)


class BatchNorm(Channels):
    """nn.BatchNorm1d or 2d of M members, each over its own examples."""

    def __init__(self, members: int, beside: bool, layer: nn.modules.batchnorm._BatchNorm):
        super().__init__(members, beside)
        self.momentum, self.eps = layer.momentum or 0.0, layer.eps

    def apart(self, rows: Tensor) -> Tensor:
        if self.training:
            self.tensors["num_batches_tracked"].add_(1)
        return F.batch_norm(
            rows,
            self.tensors["running_mean"].view(-1),  # a view: updated in place
            self.tensors["running_var"].view(-1),
            self.flat("weight"),
            self.flat("bias"),
            self.training,
            self.momentum,
            self.eps,
        )


class Conv2d(Channels):
    """nn.Conv2d of M members: one convolution of M groups."""

    def __init__(self, members: int, beside: bool, layer: nn.Conv2d):
        super().__init__(members, beside)
        self.stride, self.padding, self.dilation = layer.stride, layer.padding, layer.dilation

    def apart(self, rows: Tensor) -> Tensor:
        weight, bias = self.weight().flatten(0, 1), self.flat("bias")
        return F.conv2d(rows, weight, bias, self.stride, self.padding, self.dilation, self.members)


class ConvTranspose2d(Channels):
    """nn.ConvTranspose2d of M members: one of M groups."""

    def __init__(self, members: int, beside: bool, layer: nn.ConvTranspose2d):
        super().__init__(members, beside)
        self.stride, self.dilation = layer.stride, layer.dilation
        self.padding, self.output_padding = tuple(map(int, layer.padding)), layer.output_padding

    def apart(self, rows: Tensor) -> Tensor:
        weight, bias = self.tensors["weight"].flatten(0, 1), self.flat("bias")
        return F.conv_transpose2d(
            rows, weight, bias, self.stride, self.padding, self.output_padding, self.members,
            self.dilation,
        )  # fmt: skip


class Embedding(Layer):
    """nn.Embedding of M members: one table, a member's rows after those of the one before."""

    def forward(self, label: Tensor) -> Tensor:
        table = self.weight()
        first = torch.arange(self.members, device=label.device) * table.shape[1]
        rows = part(label, self.members, self.beside)
        rows = rows + first.view(-1, *[1] * (rows.dim() - 1))
        return F.embedding(merge(rows, self.beside), table.flatten(0, 1))


def plain(module: nn.Conv2d | nn.ConvTranspose2d) -> bool:
    """Whether a convolution has one group and zeros around it."""
    return module.groups == 1 and module.padding_mode == "zeros"


def layer_of(module: nn.Module, members: int, beside: bool) -> Layer | None:
    """The layer of M members that stands for a layer of one; None where there is none."""
    made: Layer | None = None
    kind = type(module)
    if kind in (nn.Linear, spectral.Linear):
        made = Linear(members, beside)
    elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
        if module.track_running_stats and module.momentum:
            made = BatchNorm(members, beside, module)
    elif isinstance(module, nn.Embedding):
        if module.padding_idx is None and module.max_norm is None:
            made = Embedding(members, beside)
    elif isinstance(module, nn.Conv2d) and plain(module):
        made = Conv2d(members, beside, module)
    elif isinstance(module, nn.ConvTranspose2d) and plain(module):
        made = ConvTranspose2d(members, beside, module)
    return made if kind in KNOWN else None


class StackedNetwork(nn.Module):
    """A network of M members on a batch member after member: x (M B, ...) -> (M B, ...).

    network: that of one member, its layers replaced by those of M members.
    """

    def __init__(self, network: nn.Module, members: int, beside: bool):
        super().__init__()
        self.network, self.members, self.beside = network, members, beside

    def forward(
        self,
        x: Tensor,
        label: Tensor | None = None,
        source: Tensor | None = None,
        inputs: Mapping[str, Tensor] | None = None,
    ) -> Tensor:
        if not self.beside:
            out: Tensor = self.network(x, label, source, inputs)
            return out

        def turned(value: Tensor | None) -> Tensor | None:
            return None if value is None else merge(part(value, self.members, False), True)

        named = None if inputs is None else {name: turned(value) for name, value in inputs.items()}
        out = self.network(turned(x), turned(label), turned(source), named)
        return merge(part(out, self.members, True), False)

    def bind(self, tensors: Mapping[str, Tensor]) -> None:
        """Give the layers their tensors, (M, ...), by the names of the original network's."""
        for name, module in self.network.named_modules():
            if isinstance(module, Layer):
                prefix = f"{name}."
                module.tensors = {
                    key.removeprefix(prefix): tensor
                    for key, tensor in tensors.items()
                    if key.startswith(prefix)
                }


def replaced(network: nn.Module, members: int) -> StackedNetwork | None:
    """`network` for M members, on the meta device.

    None if a weight or a buffer lies in a layer that is not known here.
    """
    made = copy.deepcopy(network).to("meta")
    sizes = [m.in_features * m.out_features for m in made.modules() if isinstance(m, nn.Linear)]
    narrow = members >= SIDE_BY_SIDE and max(sizes, default=NARROW + 1) <= NARROW
    pictures = any(isinstance(m, nn.Conv2d | nn.ConvTranspose2d) for m in made.modules())
    beside = narrow or pictures
    for name, module in list(made.named_modules()):
        if not [*module.parameters(recurse=False), *module.buffers(recurse=False)]:
            continue
        layer = layer_of(module, members, beside)
        if layer is None or not name:
            return None
        if isinstance(layer, Linear):
            layer.narrow = narrow
        parent, _, last = name.rpartition(".")
        setattr(made.get_submodule(parent), last, layer.train(module.training))
    return StackedNetwork(made, members, beside)
