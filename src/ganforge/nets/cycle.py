"""The residual generators of CycleGAN, one each way, and a patch discriminator for each domain.

Zhu et al. 2017, after Johnson et al. 2016: a 7 x 7 convolution, two of stride 2, residual blocks of
two 3 x 3 convolutions, two transposed convolutions, a 7 x 7 one. All but the strided ones pad by
reflection. There is no randomness; a picture depends on its source alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ganforge.data.spec import DataSpec
from ganforge.errors import UsageError, check
from ganforge.nets.base import Inputs, Network
from ganforge.nets.init import Init
from ganforge.nets.patch import PatchDiscriminator, check_patch, norm_layer
from ganforge.nets.unet import require_source

SMALLEST = 8  # pixels a side: below it a map is too small to be padded by reflection


class ResidualBlock(nn.Module):
    """x + f(x), f two reflect-padded convolutions; no activation after the sum."""

    def __init__(self, width: int, norm: str):
        super().__init__()
        self.body = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(width, width, 3),
            norm_layer(norm, width),
            nn.ReLU(),
            nn.ReflectionPad2d(1),
            nn.Conv2d(width, width, 3),
            norm_layer(norm, width),
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.body(x)
        return out


class ResidualGenerator(Network):
    """Source (B, C, H, W) -> picture (B, C', H, W) in [-1, 1]; x, the noise, is not read.

    Sides are multiples of `stride`, from SMALLEST up.
    """

    stride = 4

    def __init__(self, channels: int, made: int, width: int, blocks: int, norm: str):
        super().__init__()
        self.batch_independent = norm != "batch"
        layers: list[nn.Module] = [nn.ReflectionPad2d(3), nn.Conv2d(channels, width, 7)]
        layers += [norm_layer(norm, width), nn.ReLU()]
        for w in (width, 2 * width):
            layers += [nn.Conv2d(w, 2 * w, 3, 2, 1), norm_layer(norm, 2 * w), nn.ReLU()]
        layers += [ResidualBlock(4 * width, norm) for _ in range(blocks)]
        for w in (4 * width, 2 * width):
            layers += [nn.ConvTranspose2d(w, w // 2, 3, 2, 1, 1), norm_layer(norm, w // 2)]
            layers += [nn.ReLU()]
        self.body = nn.Sequential(*layers, nn.ReflectionPad2d(3), nn.Conv2d(width, made, 7))

    def fitting(self, side: int) -> int:
        """The least side that the network takes and that is no shorter."""
        return max(SMALLEST, -(-side // self.stride) * self.stride)

    def forward(
        self,
        x: Tensor,
        label: Tensor | None = None,
        source: Tensor | None = None,
        inputs: Inputs | None = None,
    ) -> Tensor:
        if source is None:
            raise ValueError("a translator was called without a source")
        # a norm of each picture copies other layouts
        return torch.tanh(self.body(source.contiguous()))


@dataclass(frozen=True)
class CycleNetworks:
    """Two residual generators, a2b and b2a, and a patch discriminator of each domain.

    generator_width, discriminator_width: channels after the first convolution. blocks: residual
    blocks, 6 for 128 pixels and 9 for 256 as published. patch_layers: n of the patch
    discriminators, 0 for single pixels. norm: "instance", "batch" (the statistics of the forward
    pass) or "none".
    """

    kind: ClassVar[str] = "cycle"
    translates: ClassVar[str] = "unpaired"
    generator_width: int = 64
    discriminator_width: int = 64
    blocks: int = 9
    patch_layers: int = 3
    norm: str = "instance"
    init: Init = Init("normal", 0.02)

    def __post_init__(self) -> None:
        check(self.generator_width >= 1, "generator_width", self.generator_width, "at least 1")
        check(self.blocks >= 0, "blocks", self.blocks, "0 or more")
        check_patch(self.discriminator_width, self.patch_layers, self.norm)

    def __call__(self, spec: DataSpec, noise: int) -> dict[str, Any]:
        source = require_source(spec)
        self.refuse_size(*spec.shape[1:])
        if source.shape[1:] != spec.shape[1:]:
            raise UsageError(
                f"networks.kind = 'cycle': the domains have pictures of {source.shape[1]} x "
                f"{source.shape[2]} and {spec.shape[1]} x {spec.shape[2]} pixels: give one size "
                f"for both, as --size {spec.shape[1] // 4 * 4}"
            )
        a, b = source.shape[0], spec.shape[0]
        players: dict[str, dict[str, nn.Module]] = {
            "generator": {
                name: ResidualGenerator(*ends, self.generator_width, self.blocks, self.norm)
                for name, ends in {"a2b": (a, b), "b2a": (b, a)}.items()
            },
            "discriminator": {
                name: PatchDiscriminator(
                    one, self.discriminator_width, self.patch_layers, self.norm, False
                )
                for name, one in {"a": source, "b": replace(spec, source=None)}.items()
            },
        }
        for side in players.values():
            for network in side.values():
                self.init.apply(network)
        return players

    def refuse_size(self, height: int, width: int) -> None:
        """UsageError for pictures of a size that these networks do not make."""
        if height % 4 or width % 4 or min(height, width) < SMALLEST:
            raise UsageError(
                f"networks.kind = 'cycle' makes pictures whose sides are multiples of 4, from "
                f"{SMALLEST}, these are {height} x {width}: give "
                f"--size {max(SMALLEST, min(height, width) // 4 * 4)}"
            )
