"""The two sides of a game, called in one way whatever networks they hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from ganforge.augment.base import Augmentation
from ganforge.gan.batch import Batch
from ganforge.nets import networks_of
from ganforge.nets.base import Inputs, PlainModule, TwoPartDiscriminator
from ganforge.nets.codes import Inferring
from ganforge.nets.packing import pack_of
from ganforge.nets.spectral import SpectralWeight


@dataclass(frozen=True)
class Players:
    """The networks of both sides.

    Each pass has a separate autocast: one around a whole step would keep the cast of D's
    weights from before D's update.

    Args:
        generator, discriminator: a network each, or an `nn.ModuleDict` of several by name.
        autocast: the precision of every forward pass.
        classes: K, 0 without labels.
        augment: what changes every picture in front of D, in this order.
    """

    generator: nn.Module
    discriminator: nn.Module
    autocast: Callable[[], AbstractContextManager[Any]] = nullcontext
    classes: int = 0
    augment: tuple[Augmentation, ...] = ()

    def network(self, name: str) -> nn.Module:
        """A network by name: "generator", or "generator.ab" of a side that holds several."""
        side, _, part = name.partition(".")
        module: nn.Module = getattr(self, side)
        return module.get_submodule(part) if part else module

    @property
    def pack(self) -> int:
        """Examples that D judges together."""
        return pack_of(self.discriminator)

    @cached_property
    def buffers(self) -> list[Tensor]:
        """The buffers of both sides (batch statistics), looked up once."""
        return [b for m in (self.generator, self.discriminator) for b in m.buffers()]

    @cached_property
    def spectral_weights(self) -> list[SpectralWeight]:
        """D's spectrally normalised weights, looked up once."""
        return [w for n in networks_of(self.discriminator) for w in n.spectral_weights()]

    @cached_property
    def draw_globally(self) -> bool:
        """Whether a side holds a user's plain module, which may draw from torch's generator."""
        modules = (m for side in (self.generator, self.discriminator) for m in side.modules())
        return any(isinstance(module, PlainModule) for module in modules)

    def generate(
        self,
        z: Tensor,
        label: Tensor | None = None,
        source: Tensor | None = None,
        inputs: Inputs | None = None,
        network: str = "generator",
    ) -> Tensor:
        """z (B, Z), label (B,), source (B, ...) -> fakes (B, ...), in z's precision."""
        with self.autocast():
            x: Tensor = self.network(network)(z, label, source, inputs)
        return x.to(z.dtype)

    def discriminate(
        self,
        x: Tensor,
        label: Tensor | None = None,
        source: Tensor | None = None,
        inputs: Inputs | None = None,
        all_classes: bool = False,
        network: str = "discriminator",
    ) -> Tensor:
        """x (B, ...) -> logits (B,) or (B, 1, h, w), in x's precision.

        all_classes: D is asked for every label in turn, and the logits are (B, K).
        """
        x = self.augmented(x, inputs)
        queries = self.label_queries(x, label, all_classes)
        with self.autocast():
            logits: Tensor = self.network(network)(x, queries, source, inputs)
        return logits.to(x.dtype)

    def infer(self, x: Tensor, inputs: Inputs | None = None) -> tuple[Tensor, Tensor]:
        """x (B, ...) -> logits (B,) and what Q says of the codes (B, P), in x's precision."""
        assert isinstance(self.discriminator, Inferring)
        x = self.augmented(x, inputs)
        with self.autocast():
            logits, said = self.discriminator.logits_and_codes(x, inputs)
        return logits.to(x.dtype), said.to(x.dtype)

    def discriminate_both(
        self,
        batch: Batch,
        inputs: Mapping[str, Mapping[str, Tensor]],
        all_classes: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """The logits of a batch's real examples and of its fakes.

        They share a pass if D judges each example by itself: weights are read and cast once, and
        products of matrices are twice as tall.

        Args:
            inputs: "real" and "fake" -> D's random inputs in these passes.
        """
        real, fake, d = batch.real, batch.generated(), self.discriminator
        on_real, on_fake = inputs.get("real"), inputs.get("fake")
        if batch.source is not None or not (
            isinstance(d, TwoPartDiscriminator) and d.batch_independent
        ):
            return (
                self.discriminate(real, batch.label, batch.source, on_real, all_classes),
                self.discriminate(fake, batch.fake_label, batch.source, on_fake, all_classes),
            )

        real, fake = self.augmented(real, on_real), self.augmented(fake, on_fake)
        both = None
        if on_real and on_fake:
            both = {name: torch.cat([value, on_fake[name]]) for name, value in on_real.items()}
        label = batch.label
        if label is not None and batch.fake_label is not None:
            label = torch.cat([label, batch.fake_label])
        with self.autocast():
            features = d.features(torch.cat([real, fake]), label, both)
            # a head for each: if a loss sees only differences of logits, as the relativistic one,
            # the gradient of the head's bias is 0, and it must be 0 to the last bit
            real_queries = self.label_queries(real, batch.label, all_classes)
            fake_queries = self.label_queries(fake, batch.fake_label, all_classes)
            rows = len(features) * len(real) // (len(real) + len(fake))
            real_logit = d.out(features[:rows], real_queries)
            fake_logit = d.out(features[rows:], fake_queries)
        return real_logit.to(real.dtype), fake_logit.to(fake.dtype)

    def augmented(self, x: Tensor, inputs: Inputs | None) -> Tensor:
        """x (B, ...) as D sees it in a pass with these random inputs; x itself without any."""
        if inputs is None:
            return x
        for place, augmentation in enumerate(self.augment):
            first = f"augment.{place}."
            numbers = {n.removeprefix(first): v for n, v in inputs.items() if n.startswith(first)}
            x = augmentation(x, numbers)
        return x

    def label_queries(self, x: Tensor, label: Tensor | None, all_classes: bool) -> Tensor | None:
        """The labels D is asked for: each example's (B,), or all of them (B, K)."""
        if not (all_classes and self.classes):
            return label
        return torch.arange(self.classes, device=x.device).expand(len(x), -1)
