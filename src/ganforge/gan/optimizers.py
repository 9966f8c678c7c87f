"""torch.optim for one player, and the guard every update passes through."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, RMSprop

from ganforge.config import schema

FUSED = ("cpu", "cuda", "mps")
TINY = 1e-30  # a momentum of 0, under which torch would forget the gradients seen so far


def light(kind: type[torch.optim.Optimizer]) -> type[torch.optim.Optimizer]:
    """An optimiser of torch without what torch wraps around it for its compiler and its profiler.

    The wrappers import the compiler, a second or more at the start of every run, and take longer
    than the update of a small game.
    """
    update = inspect.unwrap(kind.step)

    def step(self: torch.optim.Optimizer) -> None:
        with torch.no_grad():
            update(self)

    step.hooked = True  # type: ignore[attr-defined]  # as torch marks those it has wrapped
    bare = {"step": step, "add_param_group": inspect.unwrap(kind.add_param_group)}
    return type(kind.__name__, (kind,), bare)


KINDS = {"adam": light(Adam), "sgd": light(SGD), "rmsprop": light(RMSprop)}


def build(
    choice: schema.Optimizer, parameters: Iterable[nn.Parameter], fused: bool = True
) -> torch.optim.Optimizer:
    """The optimiser of one player, its state in place from the start.

    fused: one kernel for all parameters where torch has one (Adam and SGD).
    """
    parameters = list(parameters)
    fused = fused and all(p.device.type in FUSED for p in parameters)
    options: dict[str, Any] = {"lr": choice.lr, "weight_decay": choice.weight_decay}
    if choice.name == "adam":
        options |= {"betas": choice.betas, "fused": fused}
        names = ["exp_avg", "exp_avg_sq"]
    else:
        options |= {"momentum": choice.momentum}
        names = ["momentum_buffer"] if choice.momentum or choice.momentum_steps else []
        if choice.name == "sgd":
            options |= {"fused": fused}
        else:
            names.append("square_avg")
    optimizer = KINDS[choice.name](parameters, **options)
    for p in parameters:
        # torch makes these at the first step; made here, a checkpoint always finds them, and a
        # first update that is skipped leaves no uninitialised momentum behind
        optimizer.state[p].update({name: torch.zeros_like(p) for name in names})
        if choice.name != "sgd":
            on = p.device if fused else torch.device("cpu")
            optimizer.state[p]["step"] = torch.zeros((), dtype=torch.float32, device=on)
    return optimizer


def parameters(optimizer: torch.optim.Optimizer) -> list[nn.Parameter]:
    """The parameters of one player, in the order of their gradients."""
    return [p for group in optimizer.param_groups for p in group["params"]]


def guarded_step(optimizer: torch.optim.Optimizer, witness: Tensor) -> Tensor:
    """Take the step unless `witness` is not finite; returns 1. where it was skipped.

    A scalar: the fused kernels read the flag on the device, so nothing waits for it. One number a
    member (M,) of a population: the members skipped are put back as they were.
    """
    skip = (~torch.isfinite(witness)).to(torch.float32)
    if skip.dim():
        seats = seats_of(optimizer, len(skip))
        skip = skip.masked_fill(seats.shut, 1.0) if seats.closed else skip
        step_members(optimizer, skip, seats)
    elif optimizer.defaults.get("fused"):
        optimizer.found_inf = skip  # type: ignore[attr-defined]
        optimizer.grad_scale = None  # type: ignore[attr-defined]
        optimizer.step()
    elif not skip.item():
        optimizer.step()
    return skip


@dataclass
class Seats:
    """How the members of a population differ in one optimiser.

    shut (M,): takes no updates any more. late (M,) int64: updates left out so far, by which its
    own count of steps is behind. closed, behind: whether there are any such members.
    """

    shut: Tensor
    late: Tensor
    closed: bool = False
    behind: bool = False


def seats_of(optimizer: torch.optim.Optimizer, members: int) -> Seats:
    """The seats of an optimiser of stacked parameters, made where there are none yet."""
    held: dict[str, Any] = optimizer.__dict__
    if "seats" not in held:
        device = optimizer.param_groups[0]["params"][0].device
        shut = torch.zeros(members, dtype=torch.bool, device=device)
        held["seats"] = Seats(shut, torch.zeros_like(shut, dtype=torch.int64))
    seats: Seats = held["seats"]
    return seats


def step_members(optimizer: torch.optim.Optimizer, skip: Tensor, seats: Seats) -> None:
    """Take the step for the members with skip (M,) = 0; the others keep weights and moments.

    A member that has left out updates has had fewer steps, which Adam's correction of its moments
    asks for: it takes its step by itself, as its single run would.
    """
    if not (seats.behind or bool(skip.any())):
        optimizer.step()
        return
    apart = ((skip > 0) | (seats.late > 0)).nonzero().flatten()
    kept = []
    for parameter in parameters(optimizer):
        moments = [v for v in optimizer.state[parameter].values() if v.dim()]
        kept += [(t, t.detach()[apart].clone()) for t in (parameter, *moments)]
    optimizer.step()
    with torch.no_grad():
        for tensor, before in kept:
            tensor[apart] = before
    for index in apart.tolist():
        if not skip[index]:
            step_alone(optimizer, index, int(seats.late[index]))
    seats.late += skip.to(torch.int64)
    seats.behind = True


def step_alone(optimizer: torch.optim.Optimizer, index: int, late: int) -> None:
    """The update of one member whose count of steps is `late` behind, just after all others'."""
    options = {k: v for k, v in optimizer.param_groups[0].items() if k != "params"}
    ones = []
    for parameter in parameters(optimizer):
        ones.append(nn.Parameter(parameter.detach()[index]))
        assert parameter.grad is not None
        ones[-1].grad = parameter.grad[index]
    own = type(optimizer)(ones, **options)
    for one, parameter in zip(ones, parameters(optimizer), strict=True):
        held = optimizer.state[parameter]
        own.state[one] = {k: v[index] if v.dim() else v - 1 - late for k, v in held.items()}
    own.step()


def total_norm(gradients: Sequence[Tensor], members: int = 0) -> Tensor:
    """The norm of all gradients together; of a population one a member, (M,)."""
    if not members:
        norm: Tensor = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(list(gradients))))
        return norm
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


def set_rate(
    optimizer: torch.optim.Optimizer, rate: float | Tensor, momentum: float | Tensor | None = None
) -> None:
    """The learning rate of the next step, and the momentum where it has a schedule."""
    for group in optimizer.param_groups:
        group["lr"] = rate
        if momentum is not None:
            known = not isinstance(momentum, Tensor)
            group["momentum"] = max(momentum, TINY) if known else momentum
