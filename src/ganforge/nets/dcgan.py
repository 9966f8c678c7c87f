"""Convolutional players for pictures of any size from 16 to 256, square or not, any channels.

Radford et al. 2015. The discriminator halves each side with 4x4/2 convolutions, n times; the
generator starts from the picture's size halved n times (rounding up) and undoes each halving:
a 4x4/2 transposed convolution doubles s to 2s, a 3x3/2 one takes s to 2s - 1, so 28 is made as
4, 7, 14, 28. Nothing is assumed about the size: features are flattened for each example, never
folded into the batch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from ganforge.data.spec import DataSpec
from ganforge.errors import UsageError, check, choice
from ganforge.nets import spectral
from ganforge.nets.base import Inputs, Network, TwoPartDiscriminator
from ganforge.nets.init import Init
from ganforge.nets.layers import LABELS, SPECTRAL, Join, Projection, required

SMALLEST, LARGEST = 16, 256
UPSAMPLING = ("transposed", "bilinear")


def halvings(height: int, width: int) -> int:
    """How often the smaller side is halved: until it is 4 or less (3 times for 28)."""
    return math.ceil(math.log2(min(height, width) / 4))


def sides(side: int, levels: int) -> list[int]:
    """A side's length from the generator's first grid to the picture: 28, 3 -> [4, 7, 14, 28]."""
    out = [side]
    for _ in range(levels):
        out.append((out[-1] + 1) // 2)
    return out[::-1]


def widths(base: int, levels: int) -> list[int]:
    """Channels after each halving: base, 2 base, 4 base, 8 base, 8 base, ..."""
    return [base * min(2**i, 8) for i in range(levels)]


class Generator(Network):
    """z (B, Z), label (B,) -> pictures (B, C, H, W) in [-1, 1]."""

    def __init__(self, spec: DataSpec, noise: int, config: DCGAN):
        super().__init__()
        channels, height, width = spec.shape
        levels = halvings(height, width)
        rows, columns = sides(height, levels), sides(width, levels)
        wide = widths(config.generator_width, levels)[::-1]
        maps = [*wide, channels if config.upsampling == "transposed" else wide[-1]]
        self.join = Join(noise, spec.classes, config.embedding)
        self.grid = (maps[0], rows[0], columns[0])
        bias = not config.project_norm
        self.project = nn.Linear(self.join.outputs, math.prod(self.grid), bias=bias)
        norm = [nn.BatchNorm2d(maps[0]), nn.ReLU()] if config.project_norm else []
        self.project_norm = nn.Sequential(*norm)
        layers: list[nn.Module] = []
        if config.upsampling == "bilinear":
            # the norm before the doubling costs a quarter; the last convolution removes its rings
            for i in range(levels):
                layers += [
                    nn.Conv2d(maps[i], maps[i + 1], 3, padding=1, bias=False),
                    nn.BatchNorm2d(maps[i + 1]),
                    nn.ReLU(),
                    nn.Upsample((rows[i + 1], columns[i + 1]), mode="bilinear"),
                ]
            self.body = nn.Sequential(*layers, nn.Conv2d(maps[-1], channels, 3, padding=1))
            return
        for i in range(levels):
            kernel = (4 - rows[i + 1] % 2, 4 - columns[i + 1] % 2)
            layers.append(
                nn.ConvTranspose2d(maps[i], maps[i + 1], kernel, stride=2, padding=1, bias=False)
            )
            if i < levels - 1:
                layers += [nn.BatchNorm2d(maps[i + 1]), nn.ReLU()]
        self.body = nn.Sequential(*layers)

    def forward(
        self,
        x: Tensor,
        label: Tensor | None = None,
        source: Tensor | None = None,
        inputs: Inputs | None = None,
    ) -> Tensor:
        x = self.project(self.join(x, label)).unflatten(1, self.grid)
        # channels last, as its gradient: ReLU is many times slower if the two differ
        x = x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
        return torch.tanh(self.body(self.project_norm(x)))


class Discriminator(TwoPartDiscriminator):
    """Pictures (B, C, H, W), label (B,) -> logits (B,)."""

    def __init__(self, spec: DataSpec, config: DCGAN):
        super().__init__()
        channels, height, width = spec.shape
        levels = halvings(height, width)
        plane = bool(spec.classes) and config.label == "concat"
        self.plane = nn.Embedding(spec.classes, height * width) if plane else None
        maps = [channels + plane, *widths(config.discriminator_width, levels)]
        norm = config.discriminator_norm == "batch"
        self.batch_independent = not norm
        conv = spectral.Conv2d if config.discriminator_norm == SPECTRAL else nn.Conv2d
        layers: list[nn.Module] = []
        for i in range(levels):
            # a bias before a batch norm does nothing; the published nets have none anywhere
            layers.append(conv(maps[i], maps[i + 1], 4, stride=2, padding=1, bias=config.biases))
            if norm and i > 0:
                layers.append(nn.BatchNorm2d(maps[i + 1]))
            layers.append(nn.LeakyReLU(0.2))
        self.body = nn.Sequential(*layers)
        features = maps[-1] * (height >> levels) * (width >> levels)
        projected = spec.classes if config.label == "projection" else 0
        self.out = Projection(features, projected, config.discriminator_norm)

    def features(self, x: Tensor, label: Tensor | None, inputs: Inputs | None) -> Tensor:
        if self.plane is not None:
            plane = self.plane(required(label)).to(x.dtype)
            x = torch.cat([x, plane.view(-1, 1, *x.shape[2:])], dim=1)
        out: Tensor = self.body(x).flatten(1)
        return out


@dataclass(frozen=True)
class DCGAN:
    """A pair of convolutional players.

    generator_width, discriminator_width: channels of the layer nearest the picture; they double
    away from it, to 8 times. discriminator_norm: "batch" (from the second layer), "none", or
    "spectral": every weight of D by its largest singular value (see `spectral`; not a label's
    plane).
    project_norm: batch norm and ReLU after the generator's first linear layer. biases: in D's
    convolutions. embedding: numbers a label becomes, joined to z. label: how D sees it: "concat"
    (a plane beside the channels) or "projection".
    """

    kind: ClassVar[str] = "dcgan"
    generator_width: int = 64
    discriminator_width: int = 64
    discriminator_norm: str = "batch"
    project_norm: bool = True
    biases: bool = False
    embedding: int = 10
    label: str = "concat"
    init: Init = Init("normal", 0.02)
    upsampling: str = "transposed"

    def __post_init__(self) -> None:
        for key in ("generator_width", "discriminator_width", "embedding"):
            check(getattr(self, key) >= 1, key, getattr(self, key), "at least 1")
        choice("discriminator_norm", self.discriminator_norm, ("none", "batch", SPECTRAL))
        choice("label", self.label, LABELS)
        choice("upsampling", self.upsampling, UPSAMPLING)

    def __call__(self, spec: DataSpec, noise: int) -> dict[str, nn.Module]:
        if not spec.is_image:
            raise UsageError(
                f"networks.kind = 'dcgan' makes pictures, these data are vectors of {spec.size} "
                "numbers: use networks.kind = 'mlp'"
            )
        self.refuse_size(*spec.shape[1:])
        generator, discriminator = Generator(spec, noise, self), Discriminator(spec, self)
        self.init.apply(generator)
        self.init.apply(discriminator)
        return {"generator": generator, "discriminator": discriminator}

    def refuse_size(self, height: int, width: int) -> None:
        """UsageError for pictures of a size that these networks do not make."""
        if not SMALLEST <= min(height, width) <= max(height, width) <= LARGEST:
            raise UsageError(
                f"networks.kind = 'dcgan' makes pictures of {SMALLEST} to {LARGEST} pixels a side, "
                f"these are {height} x {width}: give --size, such as --size 64"
            )
