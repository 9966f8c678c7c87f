"""Normalisation layers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch import distributed as dist


class SumOverRanks(torch.autograd.Function):
    """The sum of a tensor over all ranks; its gradient is the sum of theirs, and so on."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return sum_over_ranks(gradients[0])


def sum_over_ranks(x: Tensor) -> Tensor:
    """`SumOverRanks`, applied."""
    total: Tensor = SumOverRanks.apply(x)  # type: ignore[no-untyped-call]
    return total


class SyncBatchNorm(nn.Module):
    """Batch norm over the batches of all ranks, twice differentiable, on any device.

    torch's layer refuses the CPU. Two moments are summed by a differentiable all-reduce; every rank
    must hold as many examples. Parameters and buffers are those of the layer it replaces.
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(self, layer: nn.modules.batchnorm._BatchNorm):
        super().__init__()
        self.weight, self.bias = layer.weight, layer.bias
        self.eps, self.momentum = layer.eps, layer.momentum or 0.1
        for name in ("running_mean", "running_var", "num_batches_tracked"):
            self.register_buffer(name, getattr(layer, name))

    def forward(self, x: Tensor) -> Tensor:
        running_mean, running_var = self.running_mean, self.running_var
        if not self.training:
            return nn.functional.batch_norm(
                x, running_mean, running_var, self.weight, self.bias, eps=self.eps
            )
        over = [d for d in range(x.dim()) if d != 1]
        wide = x.float() if x.dtype == torch.bfloat16 else x
        local = torch.stack([wide.mean(over), wide.square().mean(over)])
        mean, square = sum_over_ranks(local) / dist.get_world_size()
        var = square - mean.square()
        count = x.numel() // x.shape[1] * dist.get_world_size()
        with torch.no_grad():
            running_mean.lerp_(mean.to(running_mean.dtype), self.momentum)
            unbiased = var * count / max(1, count - 1)
            running_var.lerp_(unbiased.to(running_var.dtype), self.momentum)
            self.num_batches_tracked.add_(1)
        scale = self.weight * torch.rsqrt(var + self.eps)
        shift = self.bias - mean * scale
        channels = (1, -1, *[1] * (x.dim() - 2))
        out: Tensor = wide * scale.view(channels) + shift.view(channels)
        return out.to(x.dtype)


def synchronise(module: nn.Module) -> None:
    """Replace every batch norm in `module` by one over all ranks, in place."""
    for name, child in module.named_children():
        if isinstance(child, nn.modules.batchnorm._BatchNorm):
            setattr(module, name, SyncBatchNorm(child))
        else:
            synchronise(child)
