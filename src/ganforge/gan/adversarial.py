"""The unconditional and the class-conditional game."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from ganforge.errors import check, choice
from ganforge.gan import losses
from ganforge.gan.batch import Batch, Draws, Stats
from ganforge.gan.losses import LOSSES
from ganforge.gan.players import Players


@dataclass(frozen=True)
class Adversarial:
    """The game of the paper, its losses and penalties as arguments.

    loss: see `losses.LOSSES`. smoothing: the real target is 1 - smoothing for D (cross-entropy
    losses only). classify: weight of an auxiliary classification (see `losses.classification`): D
    tells the label of real examples, G makes examples whose label D tells. reduction: "mean" or
    "sum" over the batch. halve: D's loss is (real + fake) / 2.
    d_steps: k. g_steps: generator steps. fresh_noise: False lets G's turn reuse D's last z, labels
    and dropout of G, and so its fakes. simultaneous: both gradients at one point, before either
    player moves (k = 1 only); the published code of 2014 does so. fake_labels: of the fakes,
    "uniform" over all K or those of the real batch ("data").
    """

    kind: ClassVar[str] = "adversarial"
    loss: str = "non-saturating"
    smoothing: float = 0.0
    classify: float = 0.0
    reduction: str = "mean"
    halve: bool = False
    d_steps: int = 1
    g_steps: int = 1
    fresh_noise: bool = True
    simultaneous: bool = False
    fake_labels: str = "uniform"
    penalties: tuple[Any, ...] = field(default=(), metadata={"parts": "penalties"})

    def __post_init__(self) -> None:
        choice("loss", self.loss, list(LOSSES))
        choice("reduction", self.reduction, ("mean", "sum"))
        choice("fake_labels", self.fake_labels, ("uniform", "data"))
        check(self.d_steps >= 1, "d_steps", self.d_steps, "at least 1")
        check(self.g_steps >= 0, "g_steps", self.g_steps, "0 or more")
        once = not self.simultaneous or self.d_steps == self.g_steps == 1
        check(once, "simultaneous", True, "false where d_steps or g_steps is not 1")
        smooth = f"a target in [0, 1), and 0 for the {self.loss} loss, which has no targets"
        ok = 0 <= self.smoothing < 1 and (LOSSES[self.loss].cross_entropy or not self.smoothing)
        check(ok, "smoothing", self.smoothing, smooth)
        check(0 <= self.classify < math.inf, "classify", self.classify, "a weight of 0 or more")

    def roles(self, side: str) -> tuple[str, ...]:
        if side == "discriminator":
            return ("generator", "real", "fake", *(("penalty",) if self.penalties else ()))
        return ("generator", "fake", *(("real",) if LOSSES[self.loss].uses_real else ()))

    def discriminator_objective(
        self, players: Players, batch: Batch, draws: Draws
    ) -> tuple[Tensor, Batch, Stats]:
        label = self.label_of_fakes(batch, draws)
        with torch.set_grad_enabled(not self.fresh_noise):
            made = players.generate(draws.z, label, draws.masks.get("generator"))
        # G's turn may take these fakes up, and then wants the graph they were made by
        kept = None if self.fresh_noise else made
        batch = replace(batch, fake=made.detach(), fake_label=label, made=kept)
        real_logit, fake_logit = players.discriminate_both(batch, draws.masks, self.classify > 0)
        real_logit, extra = self.own(real_logit, batch.label)
        fake_logit, _ = self.own(fake_logit, label)
        same_shape(real_logit, fake_logit, len(made))
        loss = LOSSES[self.loss].discriminator(real_logit, fake_logit) + extra
        if self.smoothing:
            loss = loss + losses.smoothing(real_logit, self.smoothing)
        if self.halve:
            loss = loss / 2
        return loss, batch, {"logit_real": real_logit.detach(), "logit_fake": fake_logit.detach()}

    def generator_objective(
        self, players: Players, batch: Batch, draws: Draws
    ) -> tuple[Tensor, Batch, Stats]:
        fake, label = batch.made, batch.fake_label
        if fake is None:
            label = self.label_of_fakes(batch, draws)
            fake = players.generate(draws.z, label, draws.masks.get("generator"))
        fake_logit = players.discriminate(fake, label, draws.masks.get("fake"), self.classify > 0)
        fake_logit, extra = self.own(fake_logit, label)
        real_logit = fake_logit.new_empty(0)
        if LOSSES[self.loss].uses_real:
            with torch.no_grad():
                real_logit = players.discriminate(batch.real, batch.label, draws.masks.get("real"))
            same_shape(real_logit, fake_logit, len(fake))
        batch = replace(batch, fake=fake, fake_label=label)
        return LOSSES[self.loss].generator(real_logit, fake_logit) + extra, batch, {}

    def own(self, logit: Tensor, label: Tensor | None) -> tuple[Tensor, Tensor | float]:
        """Logits with the own label and the auxiliary loss, of logits (B, K) with every label."""
        if not self.classify or label is None:
            return logit, 0.0
        own = logit.gather(-1, label.unsqueeze(-1)).squeeze(-1)
        return own, self.classify * losses.classification(logit, own)

    def label_of_fakes(self, batch: Batch, draws: Draws) -> Tensor | None:
        return batch.label if self.fake_labels == "data" else draws.label


def same_shape(real: Tensor, fake: Tensor, count: int) -> None:
    """Guard: (B, 1) minus (B,) would broadcast to (B, B), and train on every pair, silently."""
    if real.shape != fake.shape or real.shape[:1] != (count,):
        raise ValueError(
            f"a discriminator gave logits {tuple(real.shape)} for the real and "
            f"{tuple(fake.shape)} for the fake of {count} examples: it must give one row for each"
        )
