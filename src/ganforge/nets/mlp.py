"""Perceptrons: any widths, norm, dropout and activation, with labels or without."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from ganforge.codec import DataSpec
from ganforge.errors import check, choice
from ganforge.nets.layers import (
    LABELS,
    NORMS,
    Init,
    Join,
    Masks,
    Player,
    Projection,
    activation,
    required,
)


class Perceptron(Player):
    """Linear, norm, activation, dropout for each hidden width: (B, inputs) -> (B, widths[-1])."""

    def __init__(self, inputs: int, widths: tuple[int, ...], norm: str, dropout: float, act: str):
        super().__init__()
        self.dropout, self.widths = dropout, widths
        sizes = (inputs, *widths)
        self.linears = nn.ModuleList(nn.Linear(a, b) for a, b in zip(sizes, widths, strict=False))
        self.norms = nn.ModuleList(
            nn.BatchNorm1d(w)
            if norm == "batch" or (norm == "batch-after-first" and i)
            else nn.Identity()
            for i, w in enumerate(widths)
        )
        self.activation = activation(act)

    def mask_shapes(self) -> dict[str, tuple[float, tuple[int, ...]]]:
        if not self.dropout:
            return {}
        return {f"hidden{i}": (self.dropout, (w,)) for i, w in enumerate(self.widths)}

    def forward(self, x: Tensor, label: Tensor | None = None, masks: Masks | None = None) -> Tensor:
        for i, (linear, norm) in enumerate(zip(self.linears, self.norms, strict=True)):
            x = self.activation(norm(linear(x)))
            if self.dropout and masks is not None:
                x = x * masks[f"hidden{i}"].to(x.dtype)
        return x


class Generator(Player):
    """z (B, Z), label (B,) -> x (B, *shape); tanh where the data are bounded, linear elsewhere."""

    def __init__(self, spec: DataSpec, noise: int, config: MLP):
        super().__init__()
        self.shape, self.bounded = spec.shape, spec.bounded
        self.join = Join(spec.classes, config.embedding) if spec.classes else None
        inputs = noise + (config.embedding if spec.classes else 0)
        widths = config.generator
        self.body = Perceptron(
            inputs, widths, config.generator_norm, config.generator_dropout,
            config.generator_activation,
        )  # fmt: skip
        self.out = nn.Linear(widths[-1] if widths else inputs, spec.size)

    def mask_shapes(self) -> dict[str, tuple[float, tuple[int, ...]]]:
        return self.body.mask_shapes()

    def forward(self, x: Tensor, label: Tensor | None = None, masks: Masks | None = None) -> Tensor:
        if self.join is not None:
            x = self.join(x, required(label))
        x = self.out(self.body(x, masks=masks))
        if self.bounded:
            x = torch.tanh(x)
        return x.view(-1, *self.shape)


class Discriminator(Player):
    """x (B, *shape), label (B,) -> logits (B,)."""

    def __init__(self, spec: DataSpec, config: MLP):
        super().__init__()
        concat = bool(spec.classes) and config.label == "concat"
        self.join = Join(spec.classes, config.embedding) if concat else None
        inputs = spec.size + (config.embedding if concat else 0)
        widths = config.discriminator
        self.body = Perceptron(
            inputs, widths, config.discriminator_norm, config.discriminator_dropout,
            config.discriminator_activation,
        )  # fmt: skip
        projected = spec.classes if config.label == "projection" else 0
        self.out = Projection(widths[-1] if widths else inputs, projected)

    def mask_shapes(self) -> dict[str, tuple[float, tuple[int, ...]]]:
        return self.body.mask_shapes()

    def forward(self, x: Tensor, label: Tensor | None = None, masks: Masks | None = None) -> Tensor:
        x = x.flatten(1)
        if self.join is not None:
            x = self.join(x, required(label))
        logits: Tensor = self.out(self.body(x, masks=masks), label)
        return logits


@dataclass(frozen=True)
class MLP:
    """A pair of perceptrons for examples of any shape.

    generator, discriminator: hidden widths. *_norm: none, batch, or batch-after-first.
    *_dropout: drop probability after each hidden layer. *_activation: see `layers.activation`.
    embedding: numbers a label becomes. label: how D sees it, "concat" or "projection" (G's is
    always joined to z).
    """

    kind: ClassVar[str] = "mlp"
    generator: tuple[int, ...] = (256, 512, 1024)
    discriminator: tuple[int, ...] = (512, 256)
    generator_norm: str = "none"
    discriminator_norm: str = "none"
    generator_dropout: float = 0.0
    discriminator_dropout: float = 0.0
    generator_activation: str = "leaky"
    discriminator_activation: str = "leaky"
    embedding: int = 10
    label: str = "concat"
    init: Init = Init()

    def __post_init__(self) -> None:
        for side in ("generator", "discriminator"):
            widths, dropout = getattr(self, side), getattr(self, f"{side}_dropout")
            check(all(w >= 1 for w in widths), side, widths, "widths of at least 1")
            check(0 <= dropout < 1, f"{side}_dropout", dropout, "a probability in [0, 1)")
            choice(f"{side}_norm", getattr(self, f"{side}_norm"), NORMS)
            activation(getattr(self, f"{side}_activation"))
        check(self.embedding >= 1, "embedding", self.embedding, "at least 1")
        choice("label", self.label, LABELS)

    def __call__(self, spec: DataSpec, noise: int) -> dict[str, nn.Module]:
        players: dict[str, nn.Module] = {
            "generator": Generator(spec, noise, self),
            "discriminator": Discriminator(spec, self),
        }
        for player in players.values():
            self.init.apply(player)
        return players
