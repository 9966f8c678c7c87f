"""Updates of many games whose parameters are stacked: each member takes its step, or skips it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ganforge.gan import optimizers
from ganforge.gan.batch import Log
from ganforge.gan.state import State
from ganforge.gan.step import Update


@dataclass
class MemberSteps:
    """How the members of an ensemble differ in one optimiser.

    inactive (M,): takes no updates any more. skipped_steps (M,) int64: updates left out so far, by
    which a member's count of steps is behind. any_inactive, any_behind: whether there are such.
    """

    inactive: Tensor
    skipped_steps: Tensor
    any_inactive: bool = False
    any_behind: bool = False


def member_steps(optimizer: torch.optim.Optimizer, members: int) -> MemberSteps:
    """The `MemberSteps` of an optimiser of stacked parameters, made if there are none yet."""
    attributes: dict[str, Any] = optimizer.__dict__
    if "member_steps" not in attributes:
        device = optimizer.param_groups[0]["params"][0].device
        inactive = torch.zeros(members, dtype=torch.bool, device=device)
        zeros = torch.zeros_like(inactive, dtype=torch.int64)
        attributes["member_steps"] = MemberSteps(inactive, zeros)
    found: MemberSteps = attributes["member_steps"]
    return found


def apply_gradients(state: State, update: Update) -> Log:
    """One step of every member's optimiser, skipped by the members with a gradient not finite.

    The counterpart of `gan.step.apply_gradients`; all that is reported is (M,).
    """
    optimizer, initial = state.optimizers[update.side], update.side[0]
    optimizers.assign(optimizers.parameters(optimizer), update.gradients)
    norm = norms(update.gradients)
    skipped = guarded_step(optimizer, norm + update.log[f"loss_{initial}"])
    if update.saved_buffers and bool(skipped.any()):
        for buffer, before in zip(state.players.buffers, update.saved_buffers, strict=True):
            gone = skipped.view(-1, *[1] * (buffer.dim() - 1)) > 0
            buffer.data.copy_(torch.where(gone, before, buffer))
    return update.log | {f"gradient_{initial}": norm, f"skipped_{initial}": skipped}


def norms(gradients: Sequence[Tensor]) -> Tensor:
    """The norm of each member's gradients together, (M,)."""
    return torch.stack([g.flatten(1).square().sum(1) for g in gradients]).sum(0).sqrt()


def guarded_step(optimizer: torch.optim.Optimizer, witness: Tensor) -> Tensor:
    """Take the step for the members whose number in `witness` (M,) is finite.

    Returns:
        (M,), 1. for a member that skipped it.
    """
    skip = (~torch.isfinite(witness)).to(torch.float32)
    steps = member_steps(optimizer, len(skip))
    if steps.any_inactive:
        skip = skip.masked_fill(steps.inactive, 1.0)
    if not (steps.any_behind or bool(skip.any())):
        optimizer.step()
        return skip

    # A member that has skipped updates has had fewer steps, which Adam's correction of its moments
    # needs: it takes its step by itself, as its single run would.
    apart = ((skip > 0) | (steps.skipped_steps > 0)).nonzero().flatten()
    saved = []
    for parameter in optimizers.parameters(optimizer):
        moments = [v for v in optimizer.state[parameter].values() if v.dim()]
        saved += [(t, t.detach()[apart].clone()) for t in (parameter, *moments)]
    optimizer.step()
    with torch.no_grad():
        for tensor, before in saved:
            tensor[apart] = before
    for index in apart.tolist():
        if not skip[index]:
            step_one(optimizer, index, int(steps.skipped_steps[index]))
    steps.skipped_steps += skip.to(torch.int64)
    steps.any_behind = True
    return skip


def step_one(optimizer: torch.optim.Optimizer, index: int, behind: int) -> None:
    """The step of one member whose count of steps is `behind`, just after all others'."""
    options = {k: v for k, v in optimizer.param_groups[0].items() if k != "params"}
    ones = []
    for parameter in optimizers.parameters(optimizer):
        ones.append(nn.Parameter(parameter.detach()[index]))
        assert parameter.grad is not None
        ones[-1].grad = parameter.grad[index]
    single = type(optimizer)(ones, **options)
    for one, parameter in zip(ones, optimizers.parameters(optimizer), strict=True):
        moments = optimizer.state[parameter]
        single.state[one] = {k: v[index] if v.dim() else v - 1 - behind for k, v in moments.items()}
    single.step()
