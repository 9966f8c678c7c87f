"""The convolutional players of InfoGAN, for pictures whose sides are multiples of 4.

Chen et al. 2016, appendix C.1, in the form of their code. Two linear layers before two transposed
convolutions, and the reverse. Both players see pictures in [0, 1], so that the padding is black.
The published code has biases before batch norms, which remove them again: here there are none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from ganforge.data.spec import DataSpec
from ganforge.errors import UsageError, check
from ganforge.nets.base import Inputs, Network, TwoPartDiscriminator
from ganforge.nets.init import Init
from ganforge.nets.layers import Join, Projection


class Generator(Network):
    """z (B, Z), label (B,) -> pictures (B, C, H, W) in [-1, 1]."""

    def __init__(self, spec: DataSpec, noise: int, config: InfoGAN):
        super().__init__()
        channels, height, width = spec.shape
        narrow, hidden = config.width, config.hidden
        self.grid = (2 * narrow, height // 4, width // 4)
        self.join = Join(noise, spec.classes, config.embedding)
        flat = math.prod(self.grid)
        self.linear = nn.Sequential(
            nn.Linear(self.join.outputs, hidden, bias=False), nn.BatchNorm1d(hidden), nn.ReLU(),
            nn.Linear(hidden, flat, bias=False), nn.BatchNorm1d(flat), nn.ReLU(),
        )  # fmt: skip
        self.body = nn.Sequential(
            nn.ConvTranspose2d(2 * narrow, narrow, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(narrow),
            nn.ReLU(),
            nn.ConvTranspose2d(narrow, channels, 4, stride=2, padding=1),
        )

    def forward(
        self,
        x: Tensor,
        label: Tensor | None = None,
        source: Tensor | None = None,
        inputs: Inputs | None = None,
    ) -> Tensor:
        x = self.linear(self.join(x, label)).unflatten(1, self.grid)
        return 2 * torch.sigmoid(self.body(x)) - 1


class Discriminator(TwoPartDiscriminator):
    """Pictures (B, C, H, W), label (B,) -> logits (B,)."""

    def __init__(self, spec: DataSpec, config: InfoGAN):
        super().__init__()
        channels, height, width = spec.shape
        narrow, hidden, slope = config.width, config.hidden, config.slope
        self.body = nn.Sequential(
            nn.Conv2d(channels, narrow, 4, stride=2, padding=1),
            nn.LeakyReLU(slope),
            nn.Conv2d(narrow, 2 * narrow, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(2 * narrow),
            nn.LeakyReLU(slope),
            nn.Flatten(),
            nn.Linear(2 * narrow * (height // 4) * (width // 4), hidden, bias=False),
            nn.BatchNorm1d(hidden),
            nn.LeakyReLU(slope),
        )
        self.out = Projection(hidden, spec.classes)

    def features(self, x: Tensor, label: Tensor | None, inputs: Inputs | None) -> Tensor:
        out: Tensor = self.body((x + 1) / 2)
        return out


@dataclass(frozen=True)
class InfoGAN:
    """A pair of players with two convolutions and two linear layers each.

    width: channels of the layer nearest the picture, and half of those of the other one. hidden:
    features of the linear layers. slope: of D's leaky ReLU. embedding: numbers a label becomes,
    joined to z; D reads labels by projection.
    """

    kind: ClassVar[str] = "infogan"
    width: int = 64
    hidden: int = 1024
    slope: float = 0.01
    embedding: int = 10
    init: Init = Init("normal", 0.02)

    def __post_init__(self) -> None:
        for key in ("width", "hidden", "embedding"):
            check(getattr(self, key) >= 1, key, getattr(self, key), "at least 1")
        check(0 <= self.slope <= 1, "slope", self.slope, "a slope in [0, 1]")

    def __call__(self, spec: DataSpec, noise: int) -> dict[str, nn.Module]:
        if not spec.is_image or any(side % 4 for side in spec.shape[1:]):
            raise UsageError(
                "networks.kind = 'infogan' makes pictures whose sides are multiples of 4, these "
                f"examples are {spec.shape}: give --size, such as --size 28"
            )
        generator, discriminator = Generator(spec, noise, self), Discriminator(spec, self)
        self.init.apply(generator)
        self.init.apply(discriminator)
        return {"generator": generator, "discriminator": discriminator}
