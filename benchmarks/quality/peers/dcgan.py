"""The plain DCGAN loop, written as PyTorch's tutorial describes it, at 64 pixels.

Source   Radford, Metz and Chintala 2015, arXiv:1511.06434; the DCGAN tutorial of PyTorch.
Settings width 64 of both players, batch 128, Adam 2e-4 with betas (0.5, 0.999) are published.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from benchmarks.quality.peers.play import Batches, network_input, stored

Z = 100


def generator(levels: int, width: int) -> nn.Sequential:
    """z (B, 100, 1, 1) -> pictures of 4 x 2^levels pixels: a transposed convolution each level."""
    channels = [width << k for k in reversed(range(levels))]
    layers: list[nn.Module] = [nn.ConvTranspose2d(Z, channels[0], 4, 1, 0, bias=False)]
    for before, after in itertools.pairwise(channels):
        layers += [nn.BatchNorm2d(before), nn.ReLU(True)]
        layers += [nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False)]
    layers += [nn.BatchNorm2d(width), nn.ReLU(True)]
    return nn.Sequential(*layers, nn.ConvTranspose2d(width, 3, 4, 2, 1, bias=False), nn.Tanh())


def discriminator(levels: int, width: int) -> nn.Sequential:
    """Pictures -> one logit (B, 1, 1, 1)."""
    channels = [width << k for k in range(levels)]
    layers: list[nn.Module] = [nn.Conv2d(3, width, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, True)]
    for before, after in itertools.pairwise(channels):
        layers += [nn.Conv2d(before, after, 4, 2, 1, bias=False)]
        layers += [nn.BatchNorm2d(after), nn.LeakyReLU(0.2, True)]
    return nn.Sequential(*layers, nn.Conv2d(channels[-1], 1, 4, 1, 0, bias=False))


def first_weights(module: nn.Module) -> None:
    """N(0, 0.02) for convolutions, N(1, 0.02) for the scale of batch norm."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)


class DCGAN:
    """D by real and by fake pictures in batches of their own; then G on the same fake pictures."""

    def __init__(
        self,
        pictures: npt.NDArray[np.uint8],
        width: float = 64,
        batch: float = 128,
        lr: float = 2e-4,
    ):
        levels = (pictures.shape[1] // 4).bit_length() - 1
        self.g = generator(levels, int(width)).apply(first_weights)
        self.d = discriminator(levels, int(width)).apply(first_weights)
        self.by_g, self.by_d = (
            torch.optim.Adam(net.parameters(), lr=lr, betas=(0.5, 0.999))
            for net in (self.g, self.d)
        )
        self.batches = Batches(network_input(pictures), int(batch))
        self.judge = nn.BCEWithLogitsLoss()
        self.images = 0

    def loss(self, x: Tensor, label: float) -> Tensor:
        logit = self.d(x).flatten()
        found: Tensor = self.judge(logit, torch.full_like(logit, label))
        return found

    def step(self, progress: float) -> Mapping[str, float]:
        del progress  # constant rates
        real = next(self.batches)
        self.by_d.zero_grad()
        on_real = self.loss(real, 1.0)
        on_real.backward()
        fake = self.g(torch.randn(len(real), Z, 1, 1))
        on_fake = self.loss(fake.detach(), 0.0)
        on_fake.backward()
        self.by_d.step()

        self.by_g.zero_grad()
        loss_g = self.loss(fake, 1.0)
        loss_g.backward()
        self.by_g.step()
        self.images += len(real)
        return {"loss_d": on_real.item() + on_fake.item(), "loss_g": loss_g.item()}

    @torch.no_grad()
    def samples(self, n: int) -> npt.NDArray[np.uint8]:
        """With the statistics of the batch, as the tutorial samples."""
        made = [self.g(torch.randn(min(64, n - at), Z, 1, 1)) for at in range(0, n, 64)]
        return stored(torch.cat(made))
