"""The U-Net that turns a picture into another one, and its patch discriminator.

Isola et al. 2017. log2(side) convolutions 4 x 4 of stride 2 halve the picture to one pixel, as many
transposed ones double it again, each beside the map of its size on the way down. There is no z: the
randomness is dropout in the first three steps up, whose masks are random inputs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from ganforge.data.spec import DataSpec
from ganforge.errors import UsageError, check
from ganforge.nets.base import Inputs, Network, RandomInput
from ganforge.nets.init import Init
from ganforge.nets.patch import PatchDiscriminator, check_patch, norm_layer

SIDES_OF = tuple(2**n for n in range(5, 10))
DROPPED = 3  # steps up with dropout


class UNetGenerator(Network):
    """Source (B, C, S, S) -> picture (B, C', S, S) in [-1, 1]; x, the noise, is not read."""

    def __init__(self, spec: DataSpec, config: UNet):
        super().__init__()
        source = require_source(spec)
        side = spec.shape[1]
        levels = int(math.log2(side))
        width, norm = config.generator_width, config.norm
        self.skips, self.drop = config.skips, config.dropout
        self.noisy_sampling = config.sample_dropout
        self.batch_independent = norm != "batch"
        maps = [width * min(2**i, 8) for i in range(levels)]
        bias = norm != "batch"  # as published: its gain and shift take the place of a bias
        self.down = nn.ModuleList()
        before = source.shape[0]
        for i, after in enumerate(maps):
            conv = nn.Conv2d(before, after, 4, 2, 1, bias=bias)
            # the innermost map is one pixel, which a norm by the statistics of one pixel sets to 0
            inner = 0 < i < levels - 1
            self.down.append(nn.Sequential(conv, norm_layer(norm if inner else "none", after)))
            before = after
        self.up = nn.ModuleList()
        self.masks: list[tuple[int, int, int]] = []
        for i in range(levels - 1, 0, -1):
            after = maps[i - 1]
            conv_up = nn.ConvTranspose2d(before, after, 4, 2, 1, bias=bias)
            self.up.append(nn.Sequential(conv_up, norm_layer(norm, after)))
            if self.drop and len(self.masks) < DROPPED:
                self.masks.append((after, side >> i, side >> i))
            before = after * (2 if self.skips else 1)
        self.out = nn.ConvTranspose2d(before, spec.shape[0], 4, 2, 1)

    def random_inputs(self) -> dict[str, RandomInput]:
        return {
            f"dropout.{i}": RandomInput("dropout", shape, self.drop)
            for i, shape in enumerate(self.masks)
        }

    def sampling_inputs(self) -> dict[str, RandomInput]:
        return self.random_inputs() if self.noisy_sampling else {}

    def forward(
        self,
        x: Tensor,
        label: Tensor | None = None,
        source: Tensor | None = None,
        inputs: Inputs | None = None,
    ) -> Tensor:
        if source is None:
            raise ValueError("a translator was called without a source")
        below: list[Tensor] = []
        now = source.contiguous()  # a norm of each picture copies other layouts
        for i, down in enumerate(self.down):
            now = down(nn.functional.leaky_relu(now, 0.2) if i else now)
            below.append(now)
        for i, up in enumerate(self.up):
            now = up(nn.functional.relu(now))
            if inputs and i < len(self.masks):
                now = now * inputs[f"dropout.{i}"].to(now.dtype)
            if self.skips:
                now = torch.cat([below[-2 - i], now], 1)
        return torch.tanh(self.out(nn.functional.relu(now)))


@dataclass(frozen=True)
class UNet:
    """A U-Net and a patch discriminator, for pictures of 32 to 512 pixels, a power of two.

    generator_width, discriminator_width: channels after the first convolution. patch_layers: n of
    the patch discriminator, 0 for single pixels. conditional: D sees the source beside the picture.
    norm: "instance", "batch" (the statistics of the forward pass) or "none". skips: the way up sees
    the maps of the way down. dropout: probability in the first three steps up; sample_dropout: in
    translation too.
    """

    kind: ClassVar[str] = "unet"
    translates: ClassVar[str] = "paired"
    generator_width: int = 64
    discriminator_width: int = 64
    patch_layers: int = 3
    conditional: bool = True
    norm: str = "instance"
    skips: bool = True
    dropout: float = 0.5
    sample_dropout: bool = True
    init: Init = Init("normal", 0.02)

    def __post_init__(self) -> None:
        check(self.generator_width >= 1, "generator_width", self.generator_width, "at least 1")
        check_patch(self.discriminator_width, self.patch_layers, self.norm)
        check(0 <= self.dropout < 1, "dropout", self.dropout, "a probability in [0, 1)")

    def __call__(self, spec: DataSpec, noise: int) -> dict[str, nn.Module]:
        source = require_source(spec)
        self.refuse_size(*spec.shape[1:])
        if source.shape[1:] != spec.shape[1:]:
            raise UsageError(
                f"networks.kind = 'unet': sources of {source.shape[1]} x {source.shape[2]} and "
                f"targets of {spec.shape[1]} x {spec.shape[2]} pixels: give one size for both, as "
                f"--size {spec.shape[1]}"
            )
        players: dict[str, nn.Module] = {
            "generator": UNetGenerator(spec, self),
            "discriminator": PatchDiscriminator(
                spec, self.discriminator_width, self.patch_layers, self.norm, self.conditional
            ),
        }
        for player in players.values():
            self.init.apply(player)
        return players

    def refuse_size(self, height: int, width: int) -> None:
        """UsageError for pictures of a size that these networks do not make."""
        if height != width or height not in SIDES_OF:
            near = min(SIDES_OF, key=lambda side: abs(math.log2(side / min(height, width))))
            raise UsageError(
                f"networks.kind = 'unet' makes square pictures of {', '.join(map(str, SIDES_OF))} "
                f"pixels, these are {height} x {width}: give --size {near}"
            )


def require_source(spec: DataSpec) -> DataSpec:
    """The spec of the source; UsageError unless pictures are translated to pictures."""
    if spec.source is None or not (spec.is_image and spec.source.is_image):
        raise UsageError(
            "networks that translate take pairs of pictures, these data have none: see "
            "docs/translation.md for their forms"
        )
    if spec.classes:
        raise UsageError("networks that translate take no labels: give --labels false")
    return spec.source
