"""What a game is played with: the two networks, a batch, the draws of a turn, the state."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from ganforge.gan.batch import Batch
from ganforge.nets.base import Headed, Player
from ganforge.nets.spectral import Triple


@dataclass(frozen=True)
class Players:
    """The two networks, called in one way.

    autocast: the precision of every forward pass. members: of a population, whose tensors all have
    one more axis in front (M, B, ...); 0 for a single game. classes: K, 0 without labels.

    Each pass has an autocast of its own: one around a whole step would keep using the cast of D's
    weights from before D's update.
    """

    generator: nn.Module
    discriminator: nn.Module
    autocast: Callable[[], AbstractContextManager[Any]] = nullcontext
    members: int = 0
    classes: int = 0

    @cached_property
    def buffers(self) -> list[Tensor]:
        """The buffers of both networks (batch statistics), which are looked for once."""
        return [b for m in (self.generator, self.discriminator) for b in m.buffers()]

    @cached_property
    def normalised(self) -> list[Triple]:
        """(W, u, v) of D's spectrally normalised weights, which are looked for once."""
        d = self.discriminator
        return d.normalised() if isinstance(d, Player) else []

    @property
    def lead(self) -> int:
        """Axes in front of an example: (B, ...) or (M, B, ...)."""
        return 2 if self.members else 1

    def generate(
        self, z: Tensor, label: Tensor | None = None, masks: Mapping[str, Tensor] | None = None
    ) -> Tensor:
        """z (B, Z), label (B,) -> examples (B, ...), in z's precision."""
        with self.autocast():
            x: Tensor = self.generator(z, label, masks)
        return x.to(z.dtype)

    def discriminate(
        self,
        x: Tensor,
        label: Tensor | None = None,
        masks: Mapping[str, Tensor] | None = None,
        every: bool = False,
    ) -> Tensor:
        """x (B, ...), label (B,) -> logits, in x's precision; (B, K) with `every` label in turn."""
        with self.autocast():
            logits: Tensor = self.discriminator(x, self.asked(x, label, every), masks)
        return logits.to(x.dtype)

    def discriminate_both(
        self, batch: Batch, masks: Mapping[str, Mapping[str, Tensor]], every: bool = False
    ) -> tuple[Tensor, Tensor]:
        """The logits of a batch's real and of its fake examples.

        In one pass where D judges each example alone: weights are read and cast once, and products
        of matrices are twice as tall.
        """
        real, fake, d = batch.real, batch.generated(), self.discriminator
        on_real, on_fake = masks.get("real", {}), masks.get("fake", {})
        if not (isinstance(d, Headed) and d.alone):
            real_logit = self.discriminate(real, batch.label, on_real or None, every)
            return real_logit, self.discriminate(fake, batch.fake_label, on_fake or None, every)
        both = {name: torch.cat([mask, on_fake[name]]) for name, mask in on_real.items()}
        label = batch.label
        if label is not None and batch.fake_label is not None:
            label = torch.cat([label, batch.fake_label])
        with self.autocast():
            features = d.features(torch.cat([real, fake]), label, both or None)
            # a head for each: where a loss sees only differences of logits, as the relativistic
            # one, the gradient of the head's bias is 0, and so it stays to the last bit
            real_logit = d.out(features[: len(real)], self.asked(real, batch.label, every))
            fake_logit = d.out(features[len(real) :], self.asked(fake, batch.fake_label, every))
        return real_logit.to(real.dtype), fake_logit.to(fake.dtype)

    def asked(self, x: Tensor, label: Tensor | None, every: bool) -> Tensor | None:
        """The labels D is asked for: each example's own (B,), or every one (B, K)."""
        if not (every and self.classes):
            return label
        labels = torch.arange(self.classes, device=x.device)
        return labels.expand(*x.shape[: self.lead], -1)
