"""The recipe `pictures` as a plain PyTorch loop, with the networks of the package.

Only the loop differs: draws by torch, a pass of D for real and one for generated pictures,
`backward`, torch's Adam, an average by hand, and a translation by padding and indexing.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Z, HALF_LIFE, RAMP = 100, 10_000, 0.05
GAMMA, EVERY = 1.0, 4


def moved(x: Tensor) -> Tensor:
    """Each picture by whole pixels, up to an eighth of its side, the border repeated."""
    count, _, side, _ = x.shape
    far = round(side / 8)
    wide = F.pad(x, (far,) * 4, mode="replicate")
    top, left = torch.randint(2 * far + 1, (2, count, 1))
    rows, columns = top + torch.arange(side), left + torch.arange(side)
    found = wide[torch.arange(count)[:, None, None], :, rows[:, :, None], columns[:, None, :]]
    return found.permute(0, 3, 1, 2)


def slope(logit: Tensor, x: Tensor) -> Tensor:
    """The mean squared norm of the gradient of a picture's logit."""
    (gradient,) = torch.autograd.grad(logit.sum(), x, create_graph=True)
    return gradient.square().sum((1, 2, 3)).mean()


class Pictures:
    """D with R1 and R2 at every fourth step; G on fresh noise against the same real batch."""

    def __init__(self, g: nn.Module, d: nn.Module, bf16: bool):
        self.g, self.d, self.bf16 = g, d, bf16
        self.average = deepcopy(g).requires_grad_(False)
        self.by_g, self.by_d = (
            torch.optim.Adam(net.parameters(), lr=1e-3, betas=(0.0, 0.99)) for net in (g, d)
        )
        self.steps = self.images = 0

    def mixed(self) -> AbstractContextManager[object]:
        return torch.autocast("cpu", torch.bfloat16, enabled=self.bf16)

    def judge(self, x: Tensor) -> Tensor:
        with self.mixed():
            logit: Tensor = self.d(moved(x))
        return logit.float()

    def make(self, count: int) -> Tensor:
        with self.mixed():
            x: Tensor = self.g(torch.randn(count, Z))
        return x.float()

    def step(self, real: Tensor) -> tuple[float, float]:
        with torch.no_grad():
            fake = self.make(len(real))
        lazy = self.steps % EVERY == 0
        real.requires_grad_(lazy)
        fake.requires_grad_(lazy)
        on_real, on_fake = self.judge(real), self.judge(fake)
        loss_d = F.softplus(on_fake - on_real).mean()
        total = loss_d
        if lazy:
            total = total + EVERY * GAMMA / 2 * (slope(on_real, real) + slope(on_fake, fake))
        self.by_d.zero_grad()
        total.backward()
        self.by_d.step()

        self.d.requires_grad_(False)
        with torch.no_grad():
            on_real = self.judge(real)
        loss_g = F.softplus(on_real - self.judge(self.make(len(real)))).mean()
        self.by_g.zero_grad()
        loss_g.backward()
        self.by_g.step()
        self.d.requires_grad_(True)

        self.steps += 1
        self.images += len(real)
        share = 1 - 0.5 ** (len(real) / min(HALF_LIFE, RAMP * self.images))
        with torch.no_grad():
            for mean, new in zip(self.average.parameters(), self.g.parameters(), strict=True):
                mean.lerp_(new, share)
        return loss_d.item(), loss_g.item()
