"""Penalties: f(players, batch, inputs, aux) -> (one value per example, aux), frozen dataclasses.

Each names the player that pays it and how often: a penalty with interval n is computed every n-th
step and counted n times, which does not change its expectation (lazy regularisation, Karras et al.
2020). Gradients with respect to x are taken of the sum of the logits. That is the gradient of each
logit only if a logit depends on one example alone: with batch norm, D pays a coupled penalty.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

import torch
from torch import Tensor

from ganforge.errors import check
from ganforge.nets.base import RandomInput

if TYPE_CHECKING:
    from ganforge.gan.batch import Aux, Batch, RandomInputs
    from ganforge.gan.players import Players


class Penalty(Protocol):
    """What the step knows of a penalty.

    player: "discriminator" or "generator", who pays. interval: steps between payments.
    random_inputs: random numbers wanted for each example, name -> (law, shape).
    """

    kind: ClassVar[str]
    player: ClassVar[str]
    random_inputs: ClassVar[dict[str, RandomInput]]

    @property
    def interval(self) -> int: ...

    def scale(self, used: float) -> float:
        """The factor of the values when the fraction `used` of the budget is used."""
        ...

    def __call__(
        self, players: Players, batch: Batch, inputs: RandomInputs, aux: Aux
    ) -> tuple[Tensor, Aux]:
        """(B,) values, before `interval` is counted, and the new aux."""
        ...


def squared_gradient(
    players: Players,
    x: Tensor,
    label: Tensor | None,
    source: Tensor | None,
    inputs: RandomInputs,
) -> Tensor:
    """|grad_x D(x)|^2 for each example, (B,), differentiable in D's parameters."""
    x = x.detach().requires_grad_()
    logits = players.discriminate(x, label, source, inputs.networks.get("penalty"))
    (gradient,) = torch.autograd.grad(logits.sum(), x, create_graph=True)
    return gradient.square().flatten(1).sum(1)


@dataclass(frozen=True)
class ZeroCentred:
    """gamma / 2 |grad D|^2 at some examples; what R1 and R2 share.

    gamma_to: what gamma becomes by the fraction `until` of the budget, by a constant factor a
    step; None keeps it.
    """

    player: ClassVar[str] = "discriminator"
    random_inputs: ClassVar[dict[str, RandomInput]] = {}
    gamma: float = 1.0
    interval: int = 1
    gamma_to: float | None = None
    until: float = 1.0

    def __post_init__(self) -> None:
        _check(self.gamma, self.interval, self.gamma_to, self.until)

    def scale(self, used: float) -> float:
        return _geometric(self.gamma, self.gamma_to, used / self.until)

    def examples(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """The examples, (B, ...), and their labels, at which the gradient is taken."""
        raise NotImplementedError

    def __call__(
        self, players: Players, batch: Batch, inputs: RandomInputs, aux: Aux
    ) -> tuple[Tensor, Aux]:
        x, label = self.examples(batch)
        return 0.5 * self.gamma * squared_gradient(players, x, label, batch.source, inputs), aux


class R1(ZeroCentred):
    """gamma / 2 |grad D|^2 at real examples. Mescheder et al. 2018, eq. 9."""

    kind: ClassVar[str] = "r1"

    def examples(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        return batch.real, batch.label


class R2(ZeroCentred):
    """gamma / 2 |grad D|^2 at generated examples. Mescheder et al. 2018, eq. 10."""

    kind: ClassVar[str] = "r2"

    def examples(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        return batch.generated(), batch.fake_label


@dataclass(frozen=True)
class GradientPenalty:
    """weight (|grad D| - target)^2 between pairs of real and generated. Gulrajani et al. 2017.

    epsilon ~ U[0, 1) mixes each real example with a generated one; it is an input.
    In a conditional game both have the same label (`fake_labels = "data"`).
    """

    kind: ClassVar[str] = "gradient-penalty"
    player: ClassVar[str] = "discriminator"
    random_inputs: ClassVar[dict[str, RandomInput]] = {"epsilon": RandomInput("unit", (1,))}
    weight: float = 10.0
    target: float = 1.0
    interval: int = 1

    def __post_init__(self) -> None:
        _check(self.weight, self.interval)

    def scale(self, used: float) -> float:
        return 1.0

    def __call__(
        self, players: Players, batch: Batch, inputs: RandomInputs, aux: Aux
    ) -> tuple[Tensor, Aux]:
        fake = batch.generated()
        epsilon = inputs.extra["epsilon"].view(-1, *[1] * (fake.dim() - 1))
        mixed = epsilon * batch.real + (1 - epsilon) * fake
        norm = squared_gradient(players, mixed, batch.label, batch.source, inputs)
        # sqrt has an infinite gradient at 0, where a dead D would put a NaN into every weight
        return self.weight * (norm.clamp_min(1e-24).sqrt() - self.target).square(), aux


def _check(weight: float, interval: int, to: float | None = None, until: float = 1.0) -> None:
    check(weight >= 0, "weight", weight, "0 or more")
    check(interval >= 1, "interval", interval, "at least 1 step")
    check(to is None or min(to, weight) > 0, "gamma_to", to, "more than 0, from a gamma above 0")
    check(0 < until <= 1, "until", until, "a fraction in (0, 1]")


def _geometric(first: float, last: float | None, share: float) -> float:
    """(last / first)^share; 1 if there is no last."""
    return 1.0 if last is None else math.pow(last / first, min(1.0, share))
