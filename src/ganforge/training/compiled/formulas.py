"""Adam, SGD and RMSprop as plain tensor maths on one long vector, for a step that is traced.

They follow torch.optim, take rates and momenta as tensors, and leave everything as it was where
the update is skipped, without waiting for the flag. `Formula` answers to what `game.step` asks of
an optimiser: groups of parameters, their gradients, `found_inf`, and a step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

Vectors = dict[str, Tensor]  # "weights" and the moments, (P,); "step", a number


class Formula:
    """The optimiser of one player whose parameters are slices of a vector.

    Arguments:
        like: the torch optimiser whose settings it takes.
        vectors: "weights" (P,), each moment (P,) and "step".
    """

    defaults: ClassVar[dict[str, bool]] = {
        "fused": True
    }  # skips by `found_inf`, as torch's fused ones do

    def __init__(self, like: torch.optim.Optimizer, vectors: Vectors):
        self.kind = type(like).__name__.lower()
        self.vectors = dict(vectors)
        self.found_inf = torch.zeros(())
        self.grad_scale: Tensor | None = None
        (group,) = like.param_groups
        self.shapes = [p.shape for p in group["params"]]
        self.param_groups: list[dict[str, Any]] = [dict(group)]
        self.places: list[tuple[dict[str, Any], str]] = []

    def take_places(self, owners: Sequence[tuple[dict[str, Any], str]]) -> None:
        """Let the modules see the slices: owners are (a module's parameters, name) in order."""
        self.places = list(owners)
        self.show()

    def show(self) -> None:
        """Make the weights as they are now the leaves of a new graph."""
        parts = torch.split(self.vectors["weights"], [s.numel() for s in self.shapes])
        ones = [
            part.view(shape).detach().requires_grad_()
            for part, shape in zip(parts, self.shapes, strict=True)
        ]
        self.param_groups[0]["params"] = ones
        for (owner, name), one in zip(self.places, ones, strict=True):
            owner[name] = one

    @torch.no_grad()
    def step(self) -> None:
        """One update by the gradients of the parameters, none of it where `found_inf` is 1."""
        group = self.param_groups[0]
        gradient = torch.cat([p.grad.reshape(-1) for p in group["params"]])
        if group["weight_decay"]:
            gradient = gradient + group["weight_decay"] * self.vectors["weights"]
        new = RULES[self.kind](self.vectors, gradient, group)
        taken = self.found_inf == 0
        self.vectors |= {k: torch.where(taken, new[k], self.vectors[k]) for k in new}
        self.show()


def adam(old: Vectors, gradient: Tensor, group: dict[str, Any]) -> Vectors:
    """Kingma & Ba 2015, in torch's order of operations."""
    beta1, beta2 = group["betas"]
    step = old["step"] + 1
    wide = step.double()
    first = old["exp_avg"] + (1 - beta1) * (gradient - old["exp_avg"])
    second = beta2 * old["exp_avg_sq"] + (1 - beta2) * gradient * gradient
    size = (group["lr"] / (1 - beta1**wide)).to(gradient.dtype)
    scale = (1 - beta2**wide).sqrt().to(gradient.dtype)
    moved = old["weights"] - size * (first / (second.sqrt() / scale + group["eps"]))
    return {"weights": moved, "exp_avg": first, "exp_avg_sq": second, "step": step}


def sgd(old: Vectors, gradient: Tensor, group: dict[str, Any]) -> Vectors:
    """Descent, with heavy-ball momentum where there is a buffer for it."""
    new = {}
    if "momentum_buffer" in old:
        gradient = cast(group["momentum"], gradient) * old["momentum_buffer"] + gradient
        new["momentum_buffer"] = gradient
    return new | {"weights": old["weights"] - cast(group["lr"], gradient) * gradient}


def rmsprop(old: Vectors, gradient: Tensor, group: dict[str, Any]) -> Vectors:
    """Tieleman & Hinton 2012, uncentred."""
    alpha = group["alpha"]
    square = alpha * old["square_avg"] + (1 - alpha) * gradient * gradient
    change = gradient / (square.sqrt() + group["eps"])
    new = {"square_avg": square, "step": old["step"] + 1}
    if "momentum_buffer" in old:
        change = cast(group["momentum"], change) * old["momentum_buffer"] + change
        new["momentum_buffer"] = change
    return new | {"weights": old["weights"] - cast(group["lr"], change) * change}


def cast(number: float | Tensor, like: Tensor) -> float | Tensor:
    """A rate in the precision of the weights it is for."""
    return number.to(like.dtype) if isinstance(number, Tensor) else number


RULES = {"adam": adam, "sgd": sgd, "rmsprop": rmsprop}
