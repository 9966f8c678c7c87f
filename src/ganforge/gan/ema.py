"""The averaged generator: an exponential moving average of the weights, to sample from."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def decay_at(decay: float, step: int) -> float:
    """min(decay, (1 + step) / (10 + step)): the average forgets the random start quickly."""
    return min(decay, (1 + step) / (10 + step))


@torch.no_grad()
def update(average: nn.Module, model: nn.Module, decay: float | Tensor) -> None:
    """average <- decay average + (1 - decay) model; buffers (batch statistics) are copied."""
    ours: list[Tensor] = list(average.parameters())
    theirs: list[Tensor] = list(model.parameters())
    if isinstance(decay, Tensor):
        for a, b in zip(ours, theirs, strict=True):
            a.lerp_(b, (1 - decay).to(a.dtype))
    elif ours:
        torch._foreach_lerp_(ours, theirs, 1 - decay)
    for a, b in zip(average.buffers(), model.buffers(), strict=True):
        a.copy_(b)
