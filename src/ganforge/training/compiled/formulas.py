"""Adam, SGD and RMSprop as plain tensor maths on one long vector, for a step that is traced.

The steps of torch's optimisers cannot be traced: they read counts of steps, rates and momenta as
numbers of Python, and the fused kernels have no formula that a compiler could join with others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

Vectors = dict[str, Tensor]  # "weights" and the moments, (P,); "step", (number of parameters,)


class Formula:
    """The optimiser of one player as `gan.step` calls it; one vector is all of its parameters.

    Args:
        like: the torch optimiser whose kind and settings count.
        module: the player, whose parameters become slices of the vector.
        vectors: "weights", each moment and "step".
    """

    # skips by `found_inf`, as torch's fused ones do
    defaults: ClassVar[dict[str, bool]] = {"fused": True}
    found_inf: Tensor

    def __init__(self, like: torch.optim.Optimizer, module: nn.Module, vectors: Vectors):
        self.rule = RULES[type(like).__name__]
        self.param_groups: list[dict[str, Any]] = [dict(like.param_groups[0])]
        self.module, self.vectors = module, vectors
        self.show()

    def show(self) -> None:
        """Make the weights as they are now the leaf of a new graph."""
        weights = self.vectors["weights"].detach().requires_grad_()
        self.param_groups[0]["params"] = [weights]
        show(self.module, weights)

    def step(self) -> None:
        """One update by the gradient of the weights, none of it if `found_inf` is 1."""
        old, group = self.vectors, self.param_groups[0]
        gradient = group["params"][0].grad
        with torch.no_grad():
            if group["weight_decay"]:
                gradient = gradient + group["weight_decay"] * old["weights"]
            new = self.rule(old, gradient, group)
            self.vectors = {k: torch.where(self.found_inf == 0, v, old[k]) for k, v in new.items()}
        self.show()  # with gradients: the slices belong to the new graph


def show(module: nn.Module, weights: Tensor) -> None:
    """Make slices of a vector the parameters of a module."""
    slots = [(m._parameters, name) for m in module.modules() for name in m._parameters]
    slots = [(owner, name) for owner, name in slots if owner[name] is not None]
    slices = split(weights, list(module.parameters()))
    for (owner, name), part in zip(slots, slices, strict=True):
        owner[name] = part  # type: ignore[assignment]


def split(vector: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    """A vector in pieces of the shapes of some tensors."""
    pieces = torch.split(vector, [t.numel() for t in like])
    return [piece.view(t.shape) for piece, t in zip(pieces, like, strict=True)]


def adam(old: Vectors, gradient: Tensor, group: dict[str, Any]) -> Vectors:
    """Kingma & Ba 2015, in torch's order of operations."""
    beta1, beta2 = group["betas"]
    count = old["step"] + 1
    step = count[0].double()
    first = old["exp_avg"] + (1 - beta1) * (gradient - old["exp_avg"])
    second = beta2 * old["exp_avg_sq"] + (1 - beta2) * gradient * gradient
    size, scale = group["lr"] / (1 - beta1**step), (1 - beta2**step).sqrt()
    weights = old["weights"] - size * (first / (second.sqrt() / scale + group["eps"]))
    return {"weights": weights, "exp_avg": first, "exp_avg_sq": second, "step": count}


def descend(old: Vectors, change: Tensor, group: dict[str, Any]) -> Vectors:
    """Descent, with heavy-ball momentum if there is a buffer for it."""
    new = {}
    if "momentum_buffer" in old:
        change = group["momentum"] * old["momentum_buffer"] + change
        new["momentum_buffer"] = change
    return new | {"weights": old["weights"] - group["lr"] * change}


def rmsprop(old: Vectors, gradient: Tensor, group: dict[str, Any]) -> Vectors:
    """Tieleman & Hinton 2012, uncentred."""
    square = group["alpha"] * old["square_avg"] + (1 - group["alpha"]) * gradient * gradient
    new = descend(old, gradient / (square.sqrt() + group["eps"]), group)
    return new | {"square_avg": square, "step": old["step"] + 1}


RULES = {"Adam": adam, "SGD": descend, "RMSprop": rmsprop}
