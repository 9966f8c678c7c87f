"""The averaged generator: an exponential moving average of the weights, to sample from."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ganforge.config.schema import Average

STATISTICS = ("running_mean", "running_var")  # of batch norm, by torch's names


def decay_at(choice: float | Average, step: int, images: int = 1) -> float:
    """The decay of the average in one step, by the formulas of `config.Average`.

    Args:
        choice: the settings; a number is a decay with warm-up.
        step: 0 for the first.
        images: that pass through the generator's updates in one step, in all processes.
    """
    average = Average.of(choice)
    if average.half_life:
        half = average.half_life
        if average.ramp_up:
            half = min(half, average.ramp_up * images * step)
        return float(0.5 ** (images / max(half, 1e-8)))
    since = step - average.start
    if since < 0:
        return 0.0
    return min(average.decay, (1 + since) / (10 + since)) if average.warmup else average.decay


@torch.no_grad()
def update(
    average: nn.Module, model: nn.Module, decay: float | Tensor, statistics: bool = False
) -> None:
    """average <- decay average + (1 - decay) model, of parameters; buffers are copied.

    Args:
        average, model: networks of the same parts; `average` changes in place.
        decay: in [0, 1]; a tensor if a recorded step reads it.
        statistics: the running statistics of batch norm are averaged too.
    """
    ours: list[Tensor] = list(average.parameters())
    theirs: list[Tensor] = list(model.parameters())
    for (name, a), b in zip(average.named_buffers(), model.buffers(), strict=True):
        if statistics and name.endswith(STATISTICS):
            ours.append(a)
            theirs.append(b)
        else:
            a.copy_(b)
    if isinstance(decay, Tensor):
        for a, b in zip(ours, theirs, strict=True):
            a.lerp_(b, (1 - decay).to(a.dtype))
    elif ours:
        torch._foreach_lerp_(ours, theirs, 1 - decay)
