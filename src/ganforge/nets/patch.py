"""The patch discriminator: a logit for each patch of a picture, (B, 1, h, w).

Isola et al. 2017. 4 x 4 convolutions: one of stride 2 without norm, n - 1 of stride 2 that double
the width up to 8 times, one of stride 1, and one to the logits. n = 0 is the PixelGAN of 1 x 1
convolutions, which sees one pixel at a time.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ganforge.data.spec import DataSpec
from ganforge.errors import UsageError, check, choice
from ganforge.nets.base import Inputs, Network

MOST_LAYERS = 5
NORMS = ("instance", "batch", "none")


def receptive_field(layers: int) -> int:
    """Pixels a side that a logit sees: 1, 16, 34, 70, 142, 286 for n = 0 to 5."""
    if layers == 0:
        return 1
    field = 1
    for stride in (1, 1, *[2] * layers):
        field = (field - 1) * stride + 4
    return field


def patches(side: int, layers: int) -> int:
    """Logits along a side of `side` pixels."""
    if layers == 0:
        return side
    for _ in range(layers):
        side //= 2
    return side - 2


def norm_layer(norm: str, channels: int) -> nn.Module:
    """A norm by name; batch norm takes the statistics of the forward pass, also in evaluation."""
    if norm == "instance":
        return nn.InstanceNorm2d(channels)
    if norm == "batch":
        return nn.BatchNorm2d(channels, track_running_stats=False)
    return nn.Identity()


class PatchDiscriminator(Network):
    """Pictures (B, C, H, W) and, if it is conditional, their sources -> logits (B, 1, h, w).

    Args:
        spec: of the pictures.
        width: channels after the first convolution.
        layers: n, of stride 2.
        norm: a key of `norm_layer`.
        conditional: the source is joined to the picture.
    """

    def __init__(self, spec: DataSpec, width: int, layers: int, norm: str, conditional: bool):
        super().__init__()
        channels, height, width_of = spec.shape
        require_patches(height, width_of, layers)
        self.conditional = conditional
        if conditional and spec.source is not None:
            channels += spec.source.shape[0]
        bias = norm != "batch"  # as published: its gain and shift take the place of a bias
        if layers == 0:
            self.body = nn.Sequential(
                nn.Conv2d(channels, width, 1),
                nn.LeakyReLU(0.2),
                nn.Conv2d(width, 2 * width, 1, bias=bias),
                norm_layer(norm, 2 * width),
                nn.LeakyReLU(0.2),
                nn.Conv2d(2 * width, 1, 1, bias=bias),
            )
            return
        body: list[nn.Module] = [nn.Conv2d(channels, width, 4, 2, 1), nn.LeakyReLU(0.2)]
        before = width
        for i in range(1, layers + 1):
            after, stride = width * min(2**i, 8), 2 if i < layers else 1
            body += [nn.Conv2d(before, after, 4, stride, 1, bias=bias)]
            body += [norm_layer(norm, after), nn.LeakyReLU(0.2)]
            before = after
        self.body = nn.Sequential(*body, nn.Conv2d(before, 1, 4, 1, 1))

    def forward(
        self,
        x: Tensor,
        label: Tensor | None = None,
        source: Tensor | None = None,
        inputs: Inputs | None = None,
    ) -> Tensor:
        if self.conditional and source is not None:
            x = torch.cat([source, x], 1)
        logits: Tensor = self.body(x.contiguous())  # a norm of each picture copies other layouts
        return logits


def require_patches(height: int, width: int, layers: int) -> None:
    """UsageError if a picture has no patch of so many layers."""
    if min(patches(height, layers), patches(width, layers)) < 1:
        most = max(n for n in range(layers) if min(patches(height, n), patches(width, n)) >= 1)
        raise UsageError(
            f"patch_layers = {layers}: its patches of {receptive_field(layers)} pixels have no "
            f"logit on pictures of {height} x {width}: give --networks.patch_layers {most}"
        )


def check_patch(width: int, layers: int, norm: str) -> None:
    """UsageError unless a patch discriminator can have these settings."""
    check(width >= 1, "discriminator_width", width, "at least 1")
    check(0 <= layers <= MOST_LAYERS, "patch_layers", layers, f"0 (pixels) to {MOST_LAYERS}")
    choice("norm", norm, NORMS)
