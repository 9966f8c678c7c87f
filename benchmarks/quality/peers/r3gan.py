"""R3GAN, written from the paper: Huang, Gokaslan, Kuleshov and Tompkin 2024, arXiv:2501.05441.

Nets     residual blocks x + W3 f(W2 f(W1 x + b1) + b2): 1x1 to twice the width, 3x3 in groups of 16
         channels, 1x1 back; leaky 0.2, no norms; W3 begins at 0. G: a learned 4x4 basis times a
         linear map of z, then a stage for each size, bilinear doubling, 1x1 to colours. D mirrors
         it, halves by the filter [1, 3, 3, 1], and ends in a depthwise 4x4 and a linear layer.
Game     softplus of minus the difference of paired logits, R1 and R2 at every step; G against a
         fresh real batch. Rate, b2, gamma and the average's half-life follow a cosine.
Differs  from the published systems in size: one block a stage, small widths and batches, and the
         cosines run over the whole budget. Of the augmentation the operations without interpolation
         are played: flip, turn by 90 degrees, integer shift, brightness and contrast (at half the
         probability), cutout; their probability rises to 0.3 by the same cosine.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from copy import deepcopy

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.quality.peers.play import Batches, network_input, stored

Z, IN_A_GROUP = 64, 16


def conv(inputs: int, outputs: int, kernel: int, gain: float = 1.0, groups: int = 1) -> nn.Conv2d:
    """Without a bias; weights N(0, gain^2 / fan_in)."""
    layer = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, groups=groups, bias=False)
    fan_in = inputs // groups * kernel**2
    nn.init.normal_(layer.weight, 0.0, gain / math.sqrt(fan_in))
    return layer


class Block(nn.Module):
    """The residual block; `blocks` of its net decide the gain of the first weights."""

    def __init__(self, width: int, blocks: int):
        super().__init__()
        inner, gain = 2 * width, math.sqrt(2 / 1.04) * blocks**-0.25
        self.w1 = conv(width, inner, 1, gain)
        self.w2 = conv(inner, inner, 3, gain, groups=max(1, inner // IN_A_GROUP))
        self.w3 = conv(inner, width, 1, 0.0)
        self.b1, self.b2 = (nn.Parameter(torch.zeros(inner, 1, 1)) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        y = F.leaky_relu(self.w1(x) + self.b1, 0.2)
        y = F.leaky_relu(self.w2(y) + self.b2, 0.2)
        out: Tensor = x + self.w3(y)
        return out


class Half(nn.Module):
    """Half the side by [1, 3, 3, 1] x [1, 3, 3, 1] / 64, each channel alone."""

    def __init__(self, width: int):
        super().__init__()
        line = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
        self.register_buffer("filter", torch.outer(line, line).expand(width, 1, 4, 4).contiguous())

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.filter, stride=2, padding=1, groups=x.shape[1])


def stages(side: int, width: int) -> list[int]:
    """Widths from 4 pixels up; the largest size has half the width, as published at 64 pixels."""
    sizes = (side // 4).bit_length()
    return [width] * (sizes - 1) + [width // 2]


class Generator(nn.Module):
    """z (B, 64) -> pictures (B, 3, side, side), not bounded."""

    def __init__(self, widths: list[int]):
        super().__init__()
        self.basis = nn.Parameter(torch.randn(widths[0], 4, 4))
        self.linear = nn.Linear(Z, widths[0], bias=False)
        nn.init.normal_(self.linear.weight, 0.0, 1 / math.sqrt(Z))
        layers: list[nn.Module] = [Block(widths[0], len(widths))]
        for before, after in itertools.pairwise(widths):
            layers += [conv(before, after, 1)] if before != after else []
            layers += [nn.Upsample(scale_factor=2, mode="bilinear"), Block(after, len(widths))]
        self.layers = nn.Sequential(*layers, conv(widths[-1], 3, 1))

    def forward(self, z: Tensor) -> Tensor:
        out: Tensor = self.layers(self.basis * self.linear(z)[:, :, None, None])
        return out


class Discriminator(nn.Module):
    """Pictures -> logits (B,)."""

    def __init__(self, widths: list[int]):
        super().__init__()
        reverse = widths[::-1]
        layers: list[nn.Module] = [conv(3, reverse[0], 1), Block(reverse[0], len(widths))]
        for before, after in itertools.pairwise(reverse):
            layers += [Half(before)]
            layers += [conv(before, after, 1)] if before != after else []
            layers += [Block(after, len(widths))]
        whole = nn.Conv2d(widths[0], widths[0], 4, groups=widths[0], bias=False)
        nn.init.normal_(whole.weight, 0.0, 1 / 4)
        linear = nn.Linear(widths[0], 1, bias=False)
        nn.init.normal_(linear.weight, 0.0, 1 / math.sqrt(widths[0]))
        self.layers = nn.Sequential(*layers, whole, nn.Flatten(), linear)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x).flatten()
        return out


def either(p: float, changed: Tensor, x: Tensor) -> Tensor:
    """Each picture changed with probability p."""
    return torch.where(torch.rand(len(x), 1, 1, 1) < p, changed, x)


def augment(x: Tensor, p: float) -> Tensor:
    """Flip, turn, shift, brightness, contrast and cutout, each of its own chance for a picture."""
    count, _, side, _ = x.shape
    if p == 0:
        return x
    x = either(p / 2, x.flip(3), x)
    turns = torch.randint(4, (count, 1, 1, 1))
    turned = x
    for k in (1, 2, 3):
        turned = torch.where(turns == k, x.rot90(k, (2, 3)), turned)
    x = either(p, turned, x)
    far = side // 8
    wide = F.pad(x, (far,) * 4, mode="reflect")
    top, left = torch.randint(2 * far + 1, (2, count, 1))
    rows, columns = top + torch.arange(side), left + torch.arange(side)
    moved = wide[torch.arange(count)[:, None, None], :, rows[:, :, None], columns[:, None, :]]
    x = either(p, moved.permute(0, 3, 1, 2), x)
    x = either(p / 2, x + 0.2 * torch.randn(count, 1, 1, 1), x)
    x = either(p / 2, x * 2 ** (0.5 * torch.randn(count, 1, 1, 1)), x)
    place = torch.arange(side) + 0.5
    near = (place - side * torch.rand(2, count, 1)).abs() < side / 4
    return either(p, x * ~(near[0][:, None, :, None] & near[1][:, None, None, :]), x)


class R3GAN:
    """Both players for each batch, every quantity at its place on the cosine."""

    def __init__(
        self,
        pictures: npt.NDArray[np.uint8],
        width: float = 48,
        batch: float = 16,
        lr: float = 2e-4,
        gamma: float = 2.0,
        half_life: float = 10_000,
    ):
        widths = stages(pictures.shape[1], int(width))
        self.g, self.d = Generator(widths), Discriminator(widths)
        self.average = deepcopy(self.g).requires_grad_(False)
        self.by_g, self.by_d = (
            torch.optim.Adam(net.parameters(), lr=lr, betas=(0.0, 0.9)) for net in (self.g, self.d)
        )
        self.batches = Batches(network_input(pictures), int(batch))
        self.lr, self.gamma, self.half_life = lr, gamma, half_life
        self.p = self.half = 0.0
        self.images = 0

    def follow(self, progress: float) -> float:
        """Set what the cosine moves; returns gamma."""
        falling = (1 + math.cos(math.pi * progress)) / 2

        def between(first: float, last: float) -> float:
            return last + (first - last) * falling

        for adam in (self.by_g, self.by_d):
            adam.param_groups[0]["lr"] = between(self.lr, self.lr / 4)
            adam.param_groups[0]["betas"] = (0.0, between(0.9, 0.99))
        self.p = between(0.0, 0.3)
        self.half = between(0.0, self.half_life)
        return between(self.gamma, self.gamma / 10)

    def look(self, x: Tensor) -> Tensor:
        logit: Tensor = self.d(augment(x, self.p))
        return logit

    def step(self, progress: float) -> Mapping[str, float]:
        gamma = self.follow(progress)
        real = next(self.batches).requires_grad_()
        with torch.no_grad():
            fake = self.g(torch.randn(len(real), Z))
        fake.requires_grad_()
        on_real, on_fake = self.look(real), self.look(fake)
        slopes = torch.autograd.grad(on_real.sum() + on_fake.sum(), (real, fake), create_graph=True)
        penalty = sum(slope.square().sum((1, 2, 3)).mean() for slope in slopes)
        loss_d = F.softplus(on_fake - on_real).mean()
        self.by_d.zero_grad()
        (loss_d + gamma / 2 * penalty).backward()
        self.by_d.step()

        self.d.requires_grad_(False)
        fake = self.g(torch.randn(len(real), Z))
        loss_g = F.softplus(self.look(next(self.batches)) - self.look(fake)).mean()
        self.by_g.zero_grad()
        loss_g.backward()
        self.by_g.step()
        self.d.requires_grad_(True)
        self.images += len(real)
        decay = 0.5 ** (len(real) / max(self.half, 1e-8))
        for mean, new in zip(self.average.parameters(), self.g.parameters(), strict=True):
            mean.lerp_(new.detach(), 1 - decay)
        return {"loss_d": loss_d.item(), "loss_g": loss_g.item()}

    @torch.no_grad()
    def samples(self, n: int) -> npt.NDArray[np.uint8]:
        """By the averaged generator."""
        made = [self.average(torch.randn(min(64, n - at), Z)) for at in range(0, n, 64)]
        return stored(torch.cat(made))
