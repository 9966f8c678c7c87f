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
from ganforge.nets.layers import LABELS, NORMS, SPECTRAL, Join, Maxout, Projection, Sines

ACTIVATIONS = (*layers.ACTIVATIONS, "maxout")
EPSILON = 1e-7  # of a probability that a bias is made from


class Perceptron(nn.Module):
    """Linear, norm, activation, dropout for each hidden width: (B, inputs) -> (B, outputs).

    A maxout unit takes `pieces` outputs of its linear layer. Sines of the input go into the first
    layer beside it.

    Args:
        inputs: numbers of an example.
        config: the settings.
        side: "generator" or "discriminator", whose settings apply.
        input_dropout: drop probability of the input.
    """

    def __init__(self, inputs: int, config: MLP, side: str, input_dropout: float = 0.0):
        super().__init__()
        keys = ("norm", "dropout", "activation", "sines", "frequency")
        norm, dropout, act, sines, frequency = (getattr(config, f"{side}_{key}") for key in keys)
        widths = getattr(config, side)
        self.drops = {"input": (inputs, input_dropout)}
        self.drops |= {f"hidden{i}": (width, dropout) for i, width in enumerate(widths)}
        pieces = config.pieces if act == "maxout" else 1
        self.sines = Sines(inputs, sines, frequency) if sines else None
        sizes = (inputs + sines, *widths)
        self.outputs = sizes[-1]
        linear = spectral.Linear if norm == SPECTRAL else nn.Linear
        self.linears = nn.ModuleList(
            linear(a, b * pieces) for a, b in zip(sizes, widths, strict=False)
        )
        normed = range({"batch": 0, "batch-after-first": 1}.get(norm, len(widths)), len(widths))
        self.norms = nn.ModuleDict({str(i): nn.BatchNorm1d(widths[i] * pieces) for i in normed})
        self.activation = Maxout(pieces) if act == "maxout" else layers.ACTIVATIONS[act]()

    def random_inputs(self) -> dict[str, RandomInput]:
        """A dropout mask for the input and for each hidden layer, if they are dropped."""
        return {
            name: RandomInput("dropout", (size,), drop)
            for name, (size, drop) in self.drops.items()
            if drop
        }

    def forward(self, x: Tensor, inputs: Inputs | None) -> Tensor:
        x = masked(x, inputs, "input")
        # no stand-ins for what is absent: calling them would take a tenth of a small game's time
        if self.sines is not None:
            x = self.sines(x)
        for i, linear in enumerate(self.linears):
            x = linear(x)
            if str(i) in self.norms:
                x = self.norms[str(i)](x)
            x = masked(self.activation(x), inputs, f"hidden{i}")
        return x


def masked(x: Tensor, inputs: Inputs | None, name: str) -> Tensor:
    """x times the dropout mask of that name, if there is one."""
    mask = (inputs or {}).get(name)
    return x if mask is None else x * mask.to(x.dtype)


class Generator(Network):
    """z (B, Z), label (B,) -> x (B, *shape); tanh if the data are bounded, else linear.

    With unit pixels 2 sigmoid - 1 replaces tanh: the sigmoid is the picture in [0, 1].
    """

    def __init__(self, spec: DataSpec, noise: int, config: MLP):
        super().__init__()
        self.shape, self.bounded = spec.shape, spec.bounded
        self.unit = spec.bounded and config.pixels == "unit"
        self.output_bias = config.output_bias
        self.join = Join(noise, spec.classes, config.embedding)
        self.body = Perceptron(self.join.outputs, config, "generator")
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
        x = self.out(self.body(self.join(x, label), inputs))
        if self.unit:
            wide = x.to(torch.promote_types(x.dtype, torch.float32))  # bf16 near 1 is coarse
            x = 2 * torch.sigmoid(wide) - 1
        elif self.bounded:
            x = torch.tanh(x)
        return x.view(-1, *self.shape)


class Discriminator(TwoPartDiscriminator):
    """x (B, *shape), label (B,) -> logits (B,)."""

    def __init__(self, spec: DataSpec, config: MLP):
        super().__init__()
        self.unit = spec.bounded and config.pixels == "unit"
        projected = spec.classes if config.label == "projection" else 0
        self.join = Join(spec.size, spec.classes - projected, config.embedding)
        dropped = config.discriminator_input_dropout
        self.body = Perceptron(self.join.outputs, config, "discriminator", dropped)
        self.batch_independent = config.discriminator_norm in ("none", SPECTRAL)
        self.out = Projection(self.body.outputs, projected, config.discriminator_norm)

    def random_inputs(self) -> dict[str, RandomInput]:
        return self.body.random_inputs()

    def features(self, x: Tensor, label: Tensor | None, inputs: Inputs | None) -> Tensor:
        x = (x.flatten(1) + 1) / 2 if self.unit else x.flatten(1)
        out: Tensor = self.body(self.join(x, label), inputs)
        return out


@dataclass(frozen=True)
class MLP:
    """A pair of perceptrons for examples of any shape.

    generator, discriminator: hidden widths. *_norm: none, batch, or batch-after-first; of D also
    spectral, which divides its weights by their largest singular values (see `spectral`; not those
    of the sines of its input, nor a label's joined embedding).
    *_dropout: drop probability after each hidden layer; discriminator_input_dropout: of D's input.
    *_activation: see `layers.ACTIVATIONS`, or maxout, the largest of `pieces` linear outputs.
    embedding: numbers a label becomes. label: how D sees it, "concat" or "projection" (G's is
    always joined to z). pixels: bounded data as the players see them, "signed" in [-1, 1] (G ends
    in tanh) or "unit" in [0, 1] (in a sigmoid). output_bias: of G at the start, "init" as the
    other biases or "data", with which G(0 features) is the data's mean. init: of both players;
    discriminator_init: of D, if it differs. *_sines, *_frequency: see `layers.Sines`, of the input
    of the first layer; for data or maps finer than plain perceptrons learn in time.
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
        generator, discriminator = Generator(spec, noise, self), Discriminator(spec, self)
        self.init.apply(generator)
        (self.discriminator_init or self.init).apply(discriminator)
        return {"generator": generator, "discriminator": discriminator}
