"""torch.optim for one player, and the guard every update passes through."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, RMSprop
from torch.optim import Adam as TorchAdam

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


LightAdam = light(TorchAdam)


def adam_step(self: Any) -> None:
    """A step of Adam that saves the lists, which its fused kernel reads, for the next step.

    torch sorts the tensors by device and precision at every step, which takes longer than the
    update of a small game. On one CPU and in one precision there is nothing to sort.
    """
    (group,) = self.param_groups
    parameters = group["params"]
    gradients = [p.grad for p in parameters]
    missing = any(gradient is None for gradient in gradients)  # torch leaves such parameters out
    if missing or not group["fused"] or parameters[0].device.type != "cpu":
        LightAdam.step(self)
        return
    first = self.state[parameters[0]]["exp_avg"]
    if getattr(self, "first", None) is not first:  # its state was replaced, as by a load
        moments = [self.state[p] for p in parameters]
        self.first = first
        self.lists = [[m[key] for m in moments] for key in ("exp_avg", "exp_avg_sq", "step")]
    exp_avgs, exp_avg_sqs, steps = self.lists
    beta1, beta2 = group["betas"]
    found_inf = getattr(self, "found_inf", None)

    with torch.no_grad():
        torch._foreach_add_(steps, 1)
        torch._fused_adam_(
            parameters, gradients, exp_avgs, exp_avg_sqs, [], steps,
            lr=group["lr"], beta1=beta1, beta2=beta2, weight_decay=group["weight_decay"],
            eps=group["eps"], amsgrad=False, maximize=False, found_inf=found_inf,
        )  # fmt: skip
        if found_inf is not None:
            torch._foreach_sub_(steps, [found_inf] * len(steps))


adam_step.hooked = True  # type: ignore[attr-defined]  # as torch marks those it has wrapped

KINDS: dict[str, Any] = {
    "adam": type("Adam", (LightAdam,), {"step": adam_step}),
    "sgd": light(SGD),
    "rmsprop": light(RMSprop),
}


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
        options["betas"], names = choice.betas, ["exp_avg", "exp_avg_sq"]
    else:
        options["momentum"] = choice.momentum
        names = ["momentum_buffer"] if choice.momentum or choice.momentum_steps else []
    if choice.name == "rmsprop":
        names.append("square_avg")
    else:
        options["fused"] = fused
    optimizer: torch.optim.Optimizer = KINDS[choice.name](parameters, **options)
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
    (group,) = optimizer.param_groups
    return list(group["params"])


def guarded_step(optimizer: torch.optim.Optimizer, witness: Tensor) -> Tensor:
    """Take the step unless the number `witness` is not finite.

    The fused kernels read the flag on the device, so nothing waits for it.

    Returns:
        1. if the step was skipped, else 0.
    """
    skip = (~torch.isfinite(witness)).to(torch.float32)
    if optimizer.defaults.get("fused"):
        vars(optimizer).update(found_inf=skip, grad_scale=None)
        optimizer.step()
    elif not skip.item():
        optimizer.step()
    return skip


def total_norm(gradients: Sequence[Tensor]) -> Tensor:
    """The norm of all gradients together."""
    norm: Tensor = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(list(gradients))))
    return norm


def aligned(parameter: Tensor, gradient: Tensor) -> Tensor:
    """`gradient` with the strides of its parameter.

    `autograd.grad` may return other strides (every convolution under R1, channels_last, vmapped
    linears). The fused optimisers read memory in order: the update would go to wrong elements,
    silently.
    """
    if gradient.stride() == parameter.stride():
        return gradient
    return torch.empty_like(parameter).copy_(gradient)


def assign(parameters: Sequence[nn.Parameter], gradients: Sequence[Tensor]) -> None:
    """Set each parameter's `.grad`, in the strides of the parameter."""
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = aligned(parameter, gradient)


def set_rate(
    optimizer: torch.optim.Optimizer, rate: float | Tensor, momentum: float | Tensor | None = None
) -> None:
    """Set the learning rate of the next step, and the momentum if it has a schedule."""
    (group,) = optimizer.param_groups
    group["lr"] = rate
    if momentum is not None:
        group["momentum"] = momentum if isinstance(momentum, Tensor) else max(momentum, TINY)
