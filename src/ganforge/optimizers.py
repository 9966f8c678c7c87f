"""torch.optim for one player, and the guard every update passes through."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, RMSprop

from ganforge import config

FUSED = ("cpu", "cuda", "mps")


def build(
    choice: config.Optimizer, parameters: Iterable[nn.Parameter], fused: bool = True
) -> torch.optim.Optimizer:
    """The optimiser of one player, its state in place from the start.

    fused: one kernel for all parameters where torch has one (Adam and SGD).
    """
    parameters = list(parameters)
    fused = fused and all(p.device.type in FUSED for p in parameters)
    decay = choice.weight_decay
    optimizer: torch.optim.Optimizer
    if choice.name == "adam":
        optimizer = Adam(parameters, choice.lr, choice.betas, weight_decay=decay, fused=fused)
        names = ["exp_avg", "exp_avg_sq"]
    elif choice.name == "sgd":
        optimizer = SGD(parameters, choice.lr, choice.momentum, weight_decay=decay, fused=fused)
        names = ["momentum_buffer"] if choice.momentum else []
    else:
        optimizer = RMSprop(parameters, choice.lr, momentum=choice.momentum, weight_decay=decay)
        names = ["square_avg", *(["momentum_buffer"] if choice.momentum else [])]
    for p in parameters:
        # torch makes these at the first step; made here, a checkpoint always finds them, and a
        # first update that is skipped leaves no uninitialised momentum behind
        optimizer.state[p].update({name: torch.zeros_like(p) for name in names})
        if choice.name != "sgd":
            on = p.device if fused else torch.device("cpu")
            optimizer.state[p]["step"] = torch.zeros((), dtype=torch.float32, device=on)
    return optimizer


def guarded_step(optimizer: torch.optim.Optimizer, witness: Tensor) -> Tensor:
    """Take the step unless `witness` is not finite; returns 1. where it was skipped.

    A scalar: the fused kernels read the flag on the device, so nothing waits for it. One number a
    member (M,) of a population: the members skipped are put back as they were.
    """
    skip = (~torch.isfinite(witness)).to(torch.float32)
    if skip.dim():
        step_members(optimizer, skip)
    elif optimizer.defaults.get("fused"):
        optimizer.found_inf = skip  # type: ignore[attr-defined]
        optimizer.grad_scale = None  # type: ignore[attr-defined]
        optimizer.step()
    elif not skip.item():
        optimizer.step()
    return skip


def step_members(optimizer: torch.optim.Optimizer, skip: Tensor) -> None:
    """Take the step for the members with skip (M,) = 0; the others keep weights and moments."""
    gone = skip.nonzero().flatten()
    kept = []
    if len(gone):
        for parameter in (p for group in optimizer.param_groups for p in group["params"]):
            moments = [v for v in optimizer.state[parameter].values() if v.dim()]
            kept += [(t, t.detach()[gone].clone()) for t in (parameter, *moments)]
    optimizer.step()
    with torch.no_grad():
        for tensor, before in kept:
            tensor[gone] = before


def total_norm(gradients: Sequence[Tensor], members: int = 0) -> Tensor:
    """The norm of all gradients together; of a population one a member, (M,)."""
    if not members:
        return torch.nn.utils.get_total_norm(gradients)
    return torch.stack([g.flatten(1).square().sum(1) for g in gradients]).sum(0).sqrt()


def aligned(parameter: Tensor, gradient: Tensor) -> Tensor:
    """`gradient` with the strides of its parameter.

    `autograd.grad` may return other strides (every convolution under R1, channels_last, vmapped
    linears); the fused optimisers read memory in order, so the update would go to the wrong
    elements, silently.
    """
    if gradient.stride() == parameter.stride():
        return gradient
    return torch.empty_like(parameter).copy_(gradient)


def assign(parameters: Sequence[nn.Parameter], gradients: Sequence[Tensor]) -> None:
    """Set each parameter's `.grad`, in the parameter's own strides."""
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = aligned(parameter, gradient)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """The learning rate of the next step."""
    for group in optimizer.param_groups:
        group["lr"] = rate
