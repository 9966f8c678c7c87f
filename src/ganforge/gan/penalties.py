"""Penalties: f(players, batch, inputs, aux) -> (one value per example, new aux), dataclasses.

Each names the player that pays it and how often: a penalty with interval n is computed every n-th
step and counted n times, which does not change its expectation (lazy regularisation, Karras et al.
2020). Gradients with respect to x are those of the sum of the logits. That is the gradient of each
logit only if a logit depends on one example alone: with batch norm, D pays a coupled penalty.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ganforge.errors import check
from ganforge.gan.batch import Aux, Batch, RandomInputs
from ganforge.gan.players import Players
from ganforge.nets.base import RandomInput


class Penalty:
    """What the step knows of a penalty. Kinds are frozen dataclasses.

    player: "discriminator" or "generator", who pays. interval: steps between payments.
    random_inputs: random numbers wanted for each example, name -> (law, shape); the shape () is
    that of an example. aux: the names of numbers that it has between steps, 0 at the start.
    """

    kind: ClassVar[str] = "python"  # of classes of the user's
    player: ClassVar[str] = "discriminator"
    random_inputs: ClassVar[dict[str, RandomInput]] = {}
    aux: ClassVar[tuple[str, ...]] = ()
    interval: int = 1

    def scale(self, used: float) -> float:
        """The factor of the values when the fraction `used` of the budget is used."""
        return 1.0

    def __call__(
        self, players: Players, batch: Batch, inputs: RandomInputs, aux: Aux
    ) -> tuple[Tensor, Aux]:
        """(B,) values, before `interval` is counted, and the new numbers of `aux`.

        A new number is a mean over the examples, or the old number and such a mean with weights
        that add up to 1: the step averages it over the pieces of the batch and the processes.
        """
        raise NotImplementedError


def squared_gradient(
    players: Players,
    x: Tensor,
    label: Tensor | None,
    source: Tensor | None,
    inputs: RandomInputs,
) -> Tensor:
    """|grad_x D(x)|^2 for each example or pack, (B,), differentiable in D's parameters."""
    x = x.detach().requires_grad_()
    logits = players.discriminate(x, label, source, inputs.networks.get("penalty"))
    (gradient,) = torch.autograd.grad(logits.sum(), x, create_graph=True)
    return gradient.square().reshape(len(logits), -1).sum(1)


@dataclass(frozen=True)
class ZeroCentred(Penalty):
    """gamma / 2 |grad D|^2 at real or at generated examples; what R1 and R2 share.

    gamma_to: what gamma becomes by the fraction `until` of the budget, by a constant factor a
    step; None for a constant gamma.
    """

    at_fakes: ClassVar[bool]
    gamma: float = 1.0
    interval: int = 1
    gamma_to: float | None = None
    until: float = 1.0

    def __post_init__(self) -> None:
        _check(self.gamma, self.interval)
        last = self.gamma_to
        rule = "more than 0, from a gamma above 0"
        check(last is None or min(last, self.gamma) > 0, "gamma_to", last, rule)
        check(0 < self.until <= 1, "until", self.until, "a fraction in (0, 1]")

    def scale(self, used: float) -> float:
        if self.gamma_to is None:
            return 1.0
        return math.pow(self.gamma_to / self.gamma, min(1.0, used / self.until))

    def __call__(
        self, players: Players, batch: Batch, inputs: RandomInputs, aux: Aux
    ) -> tuple[Tensor, Aux]:
        x, label = batch.real, batch.label
        if self.at_fakes:
            x, label = batch.generated(), batch.fake_label
        return 0.5 * self.gamma * squared_gradient(players, x, label, batch.source, inputs), {}


class R1(ZeroCentred):
    """gamma / 2 |grad D|^2 at real examples. Mescheder et al. 2018, eq. 9."""

    kind: ClassVar[str] = "r1"
    at_fakes = False


class R2(ZeroCentred):
    """gamma / 2 |grad D|^2 at generated examples. Mescheder et al. 2018, eq. 10."""

    kind: ClassVar[str] = "r2"
    at_fakes = True


@dataclass(frozen=True)
class GradientPenalty(Penalty):
    """weight (|grad D| - target)^2 between pairs of real and generated. Gulrajani et al. 2017.

    epsilon ~ U[0, 1) mixes each real example with a generated one; it is an input.
    In a conditional game both have the same label (`fake_labels = "data"`).
    """

    kind: ClassVar[str] = "gradient-penalty"
    random_inputs: ClassVar[dict[str, RandomInput]] = {"epsilon": RandomInput("unit", (1,))}
    weight: float = 10.0
    target: float = 1.0
    interval: int = 1

    def __post_init__(self) -> None:
        _check(self.weight, self.interval)

    def __call__(
        self, players: Players, batch: Batch, inputs: RandomInputs, aux: Aux
    ) -> tuple[Tensor, Aux]:
        fake = batch.generated()
        epsilon = inputs.extra["epsilon"].view(-1, *[1] * (fake.dim() - 1))
        if players.pack > 1:  # the examples of a pack are mixed alike: a pack lies on one line
            epsilon = epsilon[:: players.pack].repeat_interleave(players.pack, 0)
        mixed = epsilon * batch.real + (1 - epsilon) * fake
        norm = squared_gradient(players, mixed, batch.label, batch.source, inputs)
        # sqrt has an infinite gradient at 0, where a dead D would put a NaN into every weight
        return self.weight * (norm.clamp_min(1e-24).sqrt() - self.target).square(), {}


def _check(weight: float, interval: int) -> None:
    check(weight >= 0, "weight", weight, "0 or more")
    check(interval >= 1, "interval", interval, "at least 1 step")
