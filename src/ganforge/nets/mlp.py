"""Perceptrons: any widths, norm, dropout and activation, with labels or without."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from ganforge.data.spec import DataSpec
from ganforge.errors import check, choice
from ganforge.nets import layers, spectral
from ganforge.nets.base import Inputs, Network, RandomInput, TwoPartDiscriminator
from ganforge.nets.init import Init
from ganforge.nets.layers import (
    LABELS,
    NORMS,
    SPECTRAL,
    Join,
    Maxout,
    Projection,
    Sines,
    activation,
    required,
)

ACTIVATIONS = (*layers.ACTIVATIONS, "maxout")
EPSILON = 1e-7  # of a probability that a bias is made from


class Perceptron(Network):
    """Linear, norm, activation, dropout for each hidden width: (B, inputs) -> (B, widths[-1]).

    A maxout unit takes `pieces` of its linear layer's outputs; input_dropout is of the input. Sines
    of the input go into the first layer beside it.
    """

    def __init__(
        self,
        inputs: int,
        widths: tuple[int, ...],
        norm: str,
        dropout: float,
        act: str,
        pieces: int = 5,
        input_dropout: float = 0.0,
        sines: int = 0,
        frequency: float = 1.0,
    ):
        super().__init__()
        self.inputs, self.widths = inputs, widths
        self.dropout, self.input_dropout = dropout, input_dropout
        each = pieces if act == "maxout" else 1
        self.sines = Sines(inputs, sines, frequency) if sines else nn.Identity()
        sizes = (inputs + sines, *widths)
        self.outputs = sizes[-1]
        linear = spectral.Linear if norm == SPECTRAL else nn.Linear
        self.linears = nn.ModuleList(
            linear(a, b * each) for a, b in zip(sizes, widths, strict=False)
        )
        self.norms = nn.ModuleList(
            nn.BatchNorm1d(w * each)
            if norm == "batch" or (norm == "batch-after-first" and i)
            else nn.Identity()
            for i, w in enumerate(widths)
        )
        self.activation = Maxout(pieces) if act == "maxout" else activation(act)

    def random_inputs(self) -> dict[str, RandomInput]:
        wanted = {}
        if self.input_dropout:
            wanted["input"] = RandomInput("dropout", (self.inputs,), self.input_dropout)
        if self.dropout:
            for i, width in enumerate(self.widths):
                wanted[f"hidden{i}"] = RandomInput("dropout", (width,), self.dropout)
        return wanted

    def forward(
        self,
        x: Tensor,
        label: Tensor | None = None,
        source: Tensor | None = None,
        inputs: Inputs | None = None,
    ) -> Tensor:
        if self.input_dropout and inputs is not None:
            x = x * inputs["input"].to(x.dtype)
        x = self.sines(x)
        for i, (linear, norm) in enumerate(zip(self.linears, self.norms, strict=True)):
            x = self.activation(norm(linear(x)))
            if self.dropout and inputs is not None:
                x = x * inputs[f"hidden{i}"].to(x.dtype)
        return x


class Generator(Network):
    """z (B, Z), label (B,) -> x (B, *shape); tanh where the data are bounded, linear elsewhere.

    With unit pixels tanh gives way to 2 sigmoid - 1: the sigmoid is the picture in [0, 1].
    """

    def __init__(self, spec: DataSpec, noise: int, config: MLP):
        super().__init__()
        self.shape, self.bounded = spec.shape, spec.bounded
        self.unit, self.output_bias = config.pixels == "unit", config.output_bias
        self.join = Join(spec.classes, config.embedding) if spec.classes else None
        inputs = noise + (config.embedding if spec.classes else 0)
        widths = config.generator
        self.body = Perceptron(
            inputs, widths, config.generator_norm, config.generator_dropout,
            config.generator_activation, config.pieces,
            sines=config.generator_sines, frequency=config.generator_frequency,
        )  # fmt: skip
        self.out = nn.Linear(self.body.outputs, spec.size)

    def random_inputs(self) -> dict[str, RandomInput]:
        return self.body.random_inputs()

    @torch.no_grad()
    def init_from_data(self, mean: Callable[[], Tensor]) -> None:
        if self.output_bias != "data":
            return
        bias = mean().flatten()
        if self.bounded:
            # a pixel that is always black would want an infinite bias
            bias = torch.logit((bias + 1) / 2, EPSILON) / (1 if self.unit else 2)
        self.out.bias.copy_(bias)

    def forward(
        self,
        x: Tensor,
        label: Tensor | None = None,
        source: Tensor | None = None,
        inputs: Inputs | None = None,
    ) -> Tensor:
        if self.join is not None:
            x = self.join(x, required(label))
        x = self.out(self.body(x, inputs=inputs))
        if self.bounded:
            wide = x.to(torch.promote_types(x.dtype, torch.float32))  # bf16 near 1 is coarse
            x = 2 * torch.sigmoid(wide) - 1 if self.unit else torch.tanh(x)
        return x.view(-1, *self.shape)


class Discriminator(TwoPartDiscriminator):
    """x (B, *shape), label (B,) -> logits (B,)."""

    def __init__(self, spec: DataSpec, config: MLP):
        super().__init__()
        self.unit = spec.bounded and config.pixels == "unit"
        concat = bool(spec.classes) and config.label == "concat"
        self.join = Join(spec.classes, config.embedding) if concat else None
        inputs = spec.size + (config.embedding if concat else 0)
        widths = config.discriminator
        self.body = Perceptron(
            inputs, widths, config.discriminator_norm, config.discriminator_dropout,
            config.discriminator_activation, config.pieces, config.discriminator_input_dropout,
            config.discriminator_sines, config.discriminator_frequency,
        )  # fmt: skip
        self.batch_independent = config.discriminator_norm in ("none", SPECTRAL)
        projected = spec.classes if config.label == "projection" else 0
        self.out = Projection(self.body.outputs, projected, config.discriminator_norm)

    def random_inputs(self) -> dict[str, RandomInput]:
        return self.body.random_inputs()

    def features(self, x: Tensor, label: Tensor | None, inputs: Inputs | None) -> Tensor:
        x = (x.flatten(1) + 1) / 2 if self.unit else x.flatten(1)
        if self.join is not None:
            x = self.join(x, required(label))
        out: Tensor = self.body(x, inputs=inputs)
        return out


@dataclass(frozen=True)
class MLP:
    """A pair of perceptrons for examples of any shape.

    generator, discriminator: hidden widths. *_norm: none, batch, or batch-after-first; of D also
    spectral, which divides its weights by their largest singular values (see `spectral`; not those
    of the sines of its input, nor a label's joined embedding).
    *_dropout: drop probability after each hidden layer; discriminator_input_dropout: of D's input.
    *_activation: see `layers.activation`, or maxout, the largest of `pieces` linear outputs.
    embedding: numbers a label becomes. label: how D sees it, "concat" or "projection" (G's is
    always joined to z). pixels: bounded data as the players see them, "signed" in [-1, 1] (G ends
    in tanh) or "unit" in [0, 1] (in a sigmoid). output_bias: of G at the start, "init" as the
    other biases or "data", with which G(0 features) is the data's mean. init: of both players;
    discriminator_init: of D, where it differs. *_sines, *_frequency: see `layers.Sines`, of the
    input of the first layer; where data or maps are finer than plain perceptrons learn in time.
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
    discriminator_init: Init | None = None
    discriminator_input_dropout: float = 0.0
    pieces: int = 5
    pixels: str = "signed"
    output_bias: str = "init"
    generator_sines: int = 0
    discriminator_sines: int = 0
    generator_frequency: float = 16.0
    discriminator_frequency: float = 16.0

    def __post_init__(self) -> None:
        for side in ("generator", "discriminator"):
            widths, dropout = getattr(self, side), getattr(self, f"{side}_dropout")
            check(all(w >= 1 for w in widths), side, widths, "widths of at least 1")
            check(0 <= dropout < 1, f"{side}_dropout", dropout, "a probability in [0, 1)")
            norms = NORMS if side == "generator" else (*NORMS, SPECTRAL)
            choice(f"{side}_norm", getattr(self, f"{side}_norm"), norms)
            sines, frequency = getattr(self, f"{side}_sines"), getattr(self, f"{side}_frequency")
            check(sines >= 0, f"{side}_sines", sines, "0 or more")
            check(frequency > 0, f"{side}_frequency", frequency, "more than 0")
            choice(f"{side}_activation", getattr(self, f"{side}_activation"), ACTIVATIONS)
        dropped = self.discriminator_input_dropout
        check(0 <= dropped < 1, "discriminator_input_dropout", dropped, "a probability in [0, 1)")
        check(self.pieces >= 2, "pieces", self.pieces, "at least 2")
        choice("pixels", self.pixels, ("signed", "unit"))
        choice("output_bias", self.output_bias, ("init", "data"))
        check(self.embedding >= 1, "embedding", self.embedding, "at least 1")
        choice("label", self.label, LABELS)

    def __call__(self, spec: DataSpec, noise: int) -> dict[str, nn.Module]:
        players: dict[str, nn.Module] = {
            "generator": Generator(spec, noise, self),
            "discriminator": Discriminator(spec, self),
        }
        self.init.apply(players["generator"])
        (self.discriminator_init or self.init).apply(players["discriminator"])
        return players
