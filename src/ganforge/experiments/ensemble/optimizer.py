"""Updates of many games whose parameters are stacked: each member takes its step, or skips it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ganforge.gan import optimizers
from ganforge.gan.batch import Log
from ganforge.gan.state import State
from ganforge.gan.step import Update


@dataclass(frozen=True)
class MemberSteps:
    """How the members of an ensemble differ in their steps; changed in place.

    inactive (M,) bool: takes no updates any more. skipped: side -> (M,) int64, updates left out so
    far, by which a member's count of steps is behind.
    """

    inactive: Tensor
    skipped: dict[str, Tensor]

    def apply_gradients(self, state: State, update: Update) -> Log:
        """One step of every member's optimiser, skipped by members with a gradient not finite.

        The counterpart of `gan.step.apply_gradients`; all that is reported is (M,).
        """
        optimizer, initial = state.optimizers[update.side], update.side[0]
        optimizers.assign(optimizers.parameters(optimizer), update.gradients)
        norm = norms(update.gradients)
        skip = ~torch.isfinite(norm + update.log[f"loss_{initial}"]) | self.inactive
        guarded_step(optimizer, skip, self.skipped[update.side])
        if update.saved_buffers and bool(skip.any()):
            for buffer, before in zip(state.players.buffers, update.saved_buffers, strict=True):
                gone = skip.view(-1, *[1] * (buffer.dim() - 1))
                buffer.data.copy_(torch.where(gone, before, buffer))
        return update.log | {f"gradient_{initial}": norm, f"skipped_{initial}": skip.float()}


def norms(gradients: Sequence[Tensor]) -> Tensor:
    """The norm of each member's gradients together, (M,)."""
    return torch.stack([g.flatten(1).square().sum(1) for g in gradients]).sum(0).sqrt()


@torch.no_grad()
def guarded_step(optimizer: torch.optim.Optimizer, skip: Tensor, behind: Tensor) -> None:
    """Take the step for all members but those that skip it, (M,) bool.

    behind: (M,), the updates that each has skipped so far; counted on in place.
    """
    # A member that has skipped updates has had fewer steps, which Adam's correction of its moments
    # needs: it takes its step by itself, as its single run would.
    apart = (skip | (behind > 0)).nonzero().flatten()
    if not len(apart):
        optimizer.step()
        return
    saved = []
    for parameter in optimizers.parameters(optimizer):
        moments = [v for v in optimizer.state[parameter].values() if v.dim()]
        saved += [(t, t[apart].clone()) for t in (parameter, *moments)]
    optimizer.step()
    for tensor, before in saved:
        tensor[apart] = before
    for index in apart.tolist():
        if not skip[index]:
            step_one(optimizer, index, int(behind[index]))
    behind += skip


def step_one(optimizer: torch.optim.Optimizer, index: int, behind: int) -> None:
    """The step of one member whose count of steps is `behind`, just after all others'."""
    options = {k: v for k, v in optimizer.param_groups[0].items() if k != "params"}
    parameters = optimizers.parameters(optimizer)
    ones = [nn.Parameter(parameter.detach()[index]) for parameter in parameters]
    single = type(optimizer)(ones, **options)
    for one, parameter in zip(ones, parameters, strict=True):
        assert parameter.grad is not None
        one.grad = parameter.grad[index]
        moments = optimizer.state[parameter]
        single.state[one] = {k: v[index] if v.dim() else v - 1 - behind for k, v in moments.items()}
    single.step()
