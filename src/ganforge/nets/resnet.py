"""Residual players for pictures: blocks of two 3x3 convolutions beside a shortcut.

Gulrajani et al. 2017 (WGAN-GP), section 5 and their ResNet for CIFAR-10. The generator doubles the
side three times, from an eighth of the picture's; the discriminator halves it twice, and two more
blocks leave it. A 1x1 convolution and a mean over 2x2 pixels commute, and so do a 1x1 convolution
and a doubling of pixels: shortcuts convolve the smaller picture, which is the same function.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from ganforge.data.spec import DataSpec
from ganforge.errors import UsageError, check, choice
from ganforge.nets import spectral
from ganforge.nets.base import Inputs, Network, TwoPartDiscriminator
from ganforge.nets.init import Init
from ganforge.nets.layers import SPECTRAL, Join, Projection

Layer = TypeVar("Layer", nn.Linear, nn.Conv2d)
DOUBLINGS = 3
# layer norm over channels and pixels of an example, with a gain and a bias for each channel
NORMS: dict[str, Callable[[int], nn.Module]] = {
    "none": nn.Identity,
    "batch": nn.BatchNorm2d,
    "layer": partial(nn.GroupNorm, 1),
}


def glorot(layer: Layer) -> Layer:
    """The layer with weights U(-b, b), b = sqrt(6 / (fan_in + fan_out)), and biases 0."""
    nn.init.xavier_uniform_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    if isinstance(layer, spectral.Spectral):
        layer.reset()
    return layer


class Block(nn.Module):
    """x (B, inputs, h, w) -> shortcut(x) + residual(x), (B, outputs, h', w').

    residual: norm, ReLU, 3x3 convolution, norm, ReLU, 3x3 convolution.

    Args:
        resample: "up" doubles the side before the first convolution, "down" halves it after the
            second one, "" leaves it.
        first: the block begins with the convolution, as its input is a picture.
    """

    def __init__(
        self, inputs: int, outputs: int, norm: str, resample: str = "", first: bool = False
    ):
        super().__init__()
        conv = spectral.Conv2d if norm == SPECTRAL else nn.Conv2d
        normalise = NORMS["none" if norm == SPECTRAL else norm]
        up = [nn.Upsample(scale_factor=2)] if resample == "up" else []
        down = [nn.AvgPool2d(2)] if resample == "down" else []
        before = [] if first else [normalise(inputs), nn.ReLU()]
        self.residual = nn.Sequential(
            *before, *up, conv(inputs, outputs, 3, padding=1),
            normalise(outputs), nn.ReLU(), conv(outputs, outputs, 3, padding=1), *down,
        )  # fmt: skip
        changed = resample or inputs != outputs
        ones = [glorot(conv(inputs, outputs, 1))] if changed else []
        self.shortcut = nn.Sequential(*down, *ones, *up)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.shortcut(x) + self.residual(x)
        return out


class Generator(Network):
    """z (B, Z), label (B,) -> pictures (B, C, H, W) in [-1, 1]."""

    def __init__(self, spec: DataSpec, noise: int, config: ResNet):
        super().__init__()
        channels, height, width = spec.shape
        maps, norm = config.generator_width, config.generator_norm
        self.grid = (maps, height >> DOUBLINGS, width >> DOUBLINGS)
        self.join = Join(noise, spec.classes, config.embedding)
        self.project = glorot(nn.Linear(self.join.outputs, math.prod(self.grid)))
        self.body = nn.Sequential(
            *(Block(maps, maps, norm, "up") for _ in range(DOUBLINGS)),
            NORMS[norm](maps), nn.ReLU(), glorot(nn.Conv2d(maps, channels, 3, padding=1)),
        )  # fmt: skip

    def forward(
        self,
        x: Tensor,
        label: Tensor | None = None,
        source: Tensor | None = None,
        inputs: Inputs | None = None,
    ) -> Tensor:
        x = self.project(self.join(x, label)).unflatten(1, self.grid)
        return torch.tanh(self.body(x))


class Discriminator(TwoPartDiscriminator):
    """Pictures (B, C, H, W), label (B,) -> logits (B,)."""

    batch_independent = True

    def __init__(self, spec: DataSpec, config: ResNet):
        super().__init__()
        maps, norm = config.discriminator_width, config.discriminator_norm
        self.total = config.pool == "sum"
        self.body = nn.Sequential(
            Block(spec.shape[0], maps, norm, "down", first=True),
            Block(maps, maps, norm, "down"),
            Block(maps, maps, norm),
            Block(maps, maps, norm),
        )
        self.out = Projection(maps, spec.classes, norm)

    def features(self, x: Tensor, label: Tensor | None, inputs: Inputs | None) -> Tensor:
        pixels = relu(self.body(x)).flatten(2)
        return pixels.sum(2) if self.total else pixels.mean(2)


@dataclass(frozen=True)
class ResNet:
    """A pair of residual players for pictures whose sides are multiples of 8.

    generator_width, discriminator_width: channels everywhere. generator_norm: "batch" or "none".
    discriminator_norm: "none", "layer" (over channels and pixels of each example), or "spectral".
    pool: D's features are the "mean" or the "sum" over pixels. embedding: numbers a label becomes,
    joined to z; D reads labels by projection. init: of the 3x3 convolutions in the blocks; the
    other weights follow Glorot's law.
    """

    kind: ClassVar[str] = "resnet"
    generator_width: int = 128
    discriminator_width: int = 128
    generator_norm: str = "batch"
    discriminator_norm: str = "none"
    pool: str = "mean"
    embedding: int = 10
    init: Init = Init("he")

    def __post_init__(self) -> None:
        for key in ("generator_width", "discriminator_width", "embedding"):
            check(getattr(self, key) >= 1, key, getattr(self, key), "at least 1")
        choice("generator_norm", self.generator_norm, ("none", "batch"))
        choice("discriminator_norm", self.discriminator_norm, ("none", "layer", SPECTRAL))
        choice("pool", self.pool, ("mean", "sum"))

    def __call__(self, spec: DataSpec, noise: int) -> dict[str, nn.Module]:
        if not spec.is_image or any(side % 2**DOUBLINGS for side in spec.shape[1:]):
            raise UsageError(
                f"networks.kind = 'resnet' makes pictures whose sides are multiples of "
                f"{2**DOUBLINGS}, these examples are {spec.shape}: give --size, such as --size 32"
            )
        players: dict[str, nn.Module] = {
            "generator": Generator(spec, noise, self),
            "discriminator": Discriminator(spec, self),
        }
        for player in players.values():
            for block in player.modules():
                if isinstance(block, Block):
                    self.init.apply(block.residual)
        return players
