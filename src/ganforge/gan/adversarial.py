"""The game of the paper, with or without labels; its losses and penalties are arguments."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from ganforge.errors import check, choice
from ganforge.gan import losses
from ganforge.gan.batch import NO_MEMORY, Batch, Log, Memory, RandomInputs
from ganforge.gan.objective import Objective, Term
from ganforge.gan.players import Players
from ganforge.gan.step import Game

NO_LOGITS = torch.empty(0)  # for losses of G that do not read D's logits of the real examples


@dataclass(frozen=True)
class Adversarial(Game):
    """The two-player game.

    Args:
        loss: a name in `losses.LOSSES`, or two functions (of D, of G), see `losses.checked`.
        smoothing: the real target is 1 - smoothing for D (cross-entropy losses only).
        classify: weight of an auxiliary classification (see `losses.classification`): D classifies
            real examples, G makes examples that D classifies as asked for.
        reduction: "mean" or "sum" over the batch.
        halve: D's loss is (real + fake) / 2.
        d_steps, g_steps: turns of D (k) and of G in one step.
        fresh_noise: False gives G's turn the noise, labels and dropout of D's last turn again, and
            so the same fakes.
        simultaneous: both gradients at one point, before either player moves (k = 1 only); the
            published code of 2014 does so.
        fake_labels: labels of the fakes, "uniform" over all K or those of the real batch ("data").
        pack: examples that D judges together (see `nets.packing`); the batch is a multiple of it.
        penalties: what D or G pays besides, see `penalties.Penalty`.
        augment: what changes every picture in front of D.
    """

    kind: ClassVar[str] = "adversarial"
    loss: Any = field(default="non-saturating", metadata={"parts": "losses"})
    smoothing: float = 0.0
    classify: float = 0.0
    reduction: str = "mean"
    halve: bool = False
    d_steps: int = 1
    g_steps: int = 1
    fresh_noise: bool = True
    simultaneous: bool = False
    fake_labels: str = "uniform"
    pack: int = 1
    penalties: tuple[Any, ...] = field(default=(), metadata={"parts": "penalties"})
    augment: tuple[Any, ...] = field(default=(), metadata={"parts": "augmentations"})

    def __post_init__(self) -> None:
        object.__setattr__(self, "loss", losses.checked(self.loss))
        choice("reduction", self.reduction, ("mean", "sum"))
        choice("fake_labels", self.fake_labels, ("uniform", "data"))
        check(self.d_steps >= 1, "d_steps", self.d_steps, "at least 1")
        check(self.g_steps >= 0, "g_steps", self.g_steps, "0 or more")
        once = not self.simultaneous or self.d_steps == self.g_steps == 1
        check(once, "simultaneous", True, "false where d_steps or g_steps is not 1")
        smooth = f"a target in [0, 1), and 0 for the {self.loss} loss, which has no targets"
        has_target = not self.smoothing or losses.find(self.loss).cross_entropy
        ok = 0 <= self.smoothing < 1 and has_target
        check(ok, "smoothing", self.smoothing, smooth)
        check(self.pack >= 1, "pack", self.pack, "at least 1")
        check(0 <= self.classify < math.inf, "classify", self.classify, "a weight of 0 or more")

    def passes(self, side: str) -> dict[str, str]:
        found = {"generator": "generator", "fake": "discriminator"}
        if side == "discriminator" or losses.find(self.loss).uses_real:
            found["real"] = "discriminator"
        if side == "discriminator" and self.penalties:
            found["penalty"] = "discriminator"
        return found

    def discriminator_objective(
        self, players: Players, batch: Batch, inputs: RandomInputs, memory: Memory = NO_MEMORY
    ) -> Objective:
        """D's terms: the adversarial one, and the classification of real examples."""
        batch = self.with_detached_fakes(players, batch, inputs)
        logits = players.discriminate_both(batch, inputs.networks, self.classify > 0)
        real_logit, classification = self.split_class_logits(logits[0], batch.label)
        fake_logit, _ = self.split_class_logits(logits[1], batch.fake_label)
        require_same_shape(real_logit, fake_logit, len(batch.generated()) // self.pack)

        loss = self.discriminator_loss(real_logit, fake_logit)
        terms = self.terms(loss, classification, 0.5 if self.halve else 1.0)
        return Objective(terms, batch, self.logged(real_logit.detach(), fake_logit.detach()))

    def generator_objective(
        self, players: Players, batch: Batch, inputs: RandomInputs, memory: Memory = NO_MEMORY
    ) -> Objective:
        """G's terms: the adversarial one, and the classification of its fakes."""
        batch = self.with_fakes(players, batch, inputs)
        fake, label = batch.generated(), batch.fake_label
        on_fake = inputs.networks.get("fake")
        fake_logit, classification = self.split_class_logits(
            players.discriminate(fake, label, batch.source, on_fake, self.classify > 0), label
        )

        loss = self.generator_loss(players, batch, inputs, fake_logit)
        return Objective(self.terms(loss, classification), batch, {})

    def discriminator_loss(self, real_logit: Tensor, fake_logit: Tensor) -> Tensor:
        """The loss of D, not reduced."""
        loss: Tensor = losses.find(self.loss).discriminator(real_logit, fake_logit)
        return loss + losses.smoothing(real_logit, self.smoothing) if self.smoothing else loss

    def generator_loss(
        self, players: Players, batch: Batch, inputs: RandomInputs, fake_logit: Tensor
    ) -> Tensor:
        """The loss of G, not reduced; some losses read D's logits of the real examples too."""
        real_logit, loss = NO_LOGITS, losses.find(self.loss)
        if loss.uses_real:
            on_real = inputs.networks.get("real")
            with torch.no_grad():
                real_logit = players.discriminate(batch.real, batch.label, batch.source, on_real)
            require_same_shape(real_logit, fake_logit, len(batch.generated()) // self.pack)
        return loss.generator(real_logit, fake_logit)

    def logged(self, real_logit: Tensor, fake_logit: Tensor) -> Log:
        """What D's turn reports of the logits."""
        log = logged_logits(real_logit, fake_logit)
        if self.augment:
            log["sign_real"] = torch.sign(real_logit)  # what controllers follow
        return log

    def with_detached_fakes(self, players: Players, batch: Batch, inputs: RandomInputs) -> Batch:
        """The batch with the fakes of D's turn, out of the graph of their making."""
        with torch.set_grad_enabled(not self.fresh_noise):
            fake, label = self.fakes(players, batch, inputs)
        # G's turn may start from these fakes, and then needs the graph of their making
        with_graph = None if self.fresh_noise else fake
        return replace(batch, fake=fake.detach(), fake_label=label, fake_with_graph=with_graph)

    def with_fakes(self, players: Players, batch: Batch, inputs: RandomInputs) -> Batch:
        """The batch with the fakes of G's turn: those of D's turn if it starts from them."""
        fake, label = batch.fake_with_graph, batch.fake_label
        if fake is None:
            fake, label = self.fakes(players, batch, inputs)
        return replace(batch, fake=fake, fake_label=label)

    def terms(
        self, loss: Tensor, classification: Tensor | None, weight: float = 1.0
    ) -> dict[str, Term]:
        """The terms of an objective by name."""
        terms = {"adversarial": Term(loss, weight, self.reduction)}
        if classification is not None:
            terms["classification"] = Term(classification, weight * self.classify, self.reduction)
        return terms

    def split_class_logits(
        self, logit: Tensor, label: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """(B, K) logits, one a label -> those of the labels (B,), and the classification loss."""
        if not self.classify or label is None or logit.dim() == label.dim():
            return logit, None
        labelled = logit.gather(-1, label.unsqueeze(-1)).squeeze(-1)
        return labelled, losses.classification(logit, labelled)

    def fakes(
        self, players: Players, batch: Batch, inputs: RandomInputs
    ) -> tuple[Tensor, Tensor | None]:
        """The fakes and their labels, which are those of the real batch, or drawn."""
        label = batch.label if self.fake_labels == "data" else inputs.label
        noise = inputs.networks.get("generator")
        return players.generate(inputs.z, label, batch.source, noise), label


def logged_logits(real: Tensor, fake: Tensor) -> Log:
    """What D says of real and fake examples: its logits a, and D(x) = sigmoid(a)."""
    log: Log = {}
    for name, logit in (("real", real), ("fake", fake)):
        log |= {f"logit_{name}": logit, f"d_{name}": torch.sigmoid(logit)}
    return log


def require_same_shape(real: Tensor, fake: Tensor, count: int) -> None:
    """Guard: (B, 1) minus (B,) would broadcast to (B, B), and train on every pair, silently."""
    if real.shape != fake.shape or real.shape[:1] != (count,):
        raise ValueError(
            f"a discriminator gave logits {tuple(real.shape)} for the real and "
            f"{tuple(fake.shape)} for the fake of {count} examples or packs: "
            "it must give one row for each"
        )
