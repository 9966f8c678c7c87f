"""pix2pix and CycleGAN as plain PyTorch loops, in the order of the authors' port of 2025.

The networks are those of the package, so that only the loops differ: pictures contiguous, masks
drawn by torch, `backward`, an Adam of torch's default kind for each side, losses by torch.nn.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

NO_NOISE = torch.zeros(1, 1)


def adam(networks: Iterable[nn.Module]) -> torch.optim.Adam:
    parameters = itertools.chain(*(n.parameters() for n in networks))
    return torch.optim.Adam(parameters, lr=2e-4, betas=(0.5, 0.999))


def train_only(networks: Iterable[nn.Module], learns: bool) -> None:
    for network in networks:
        network.requires_grad_(learns)


class Pix2Pix:
    """D first; G by the updated D, on the same picture."""

    def __init__(self, g: nn.Module, d: nn.Module, masks: Mapping[str, tuple[int, ...]]):
        self.g, self.d, self.masks = g, d, masks
        self.by_g, self.by_d = adam([g]), adam([d])
        self.judge, self.distance = nn.BCEWithLogitsLoss(), nn.L1Loss()

    def step(self, source: Tensor, target: Tensor) -> tuple[float, float]:
        drawn = {
            name: nn.functional.dropout(torch.ones(len(source), *shape), 0.5)
            for name, shape in self.masks.items()
        }
        fake = self.g(NO_NOISE, None, source, drawn)
        train_only([self.d], True)
        self.by_d.zero_grad()
        on_fake, on_real = self.d(fake.detach(), None, source), self.d(target, None, source)
        loss_d = 0.5 * (
            self.judge(on_fake, torch.zeros_like(on_fake))
            + self.judge(on_real, torch.ones_like(on_real))
        )
        loss_d.backward()
        self.by_d.step()

        train_only([self.d], False)
        self.by_g.zero_grad()
        logit = self.d(fake, None, source)
        loss_g = self.judge(logit, torch.ones_like(logit)) + 100 * self.distance(fake, target)
        loss_g.backward()
        self.by_g.step()
        return loss_d.item(), loss_g.item()


class Pool:
    """The last pictures of a domain, as a list."""

    def __init__(self, size: int = 50):
        self.size = size
        self.pictures: list[Tensor] = []

    def query(self, new: Tensor) -> Tensor:
        shown = []
        for picture in new.detach():
            if len(self.pictures) < self.size:
                self.pictures.append(picture.clone())
                shown.append(picture)
            elif random.random() < 0.5:
                shown.append(picture)
            else:
                at = random.randrange(self.size)
                shown.append(self.pictures[at].clone())
                self.pictures[at] = picture.clone()
        return torch.stack(shown)


class CycleGAN:
    """Both generators by one Adam, then both discriminators by another."""

    def __init__(self, g: Mapping[str, nn.Module], d: Mapping[str, nn.Module]):
        self.g, self.d = g, d
        self.by_g, self.by_d = adam(g.values()), adam(d.values())
        self.pools = {"a": Pool(), "b": Pool()}
        self.judge, self.distance = nn.MSELoss(), nn.L1Loss()

    def step(self, a: Tensor, b: Tensor) -> tuple[float, float]:
        def there(x: Tensor) -> Tensor:
            made: Tensor = self.g["a2b"](NO_NOISE, None, x)
            return made

        def back(x: Tensor) -> Tensor:
            made: Tensor = self.g["b2a"](NO_NOISE, None, x)
            return made

        fake_b, fake_a = there(a), back(b)
        train_only(self.d.values(), False)
        self.by_g.zero_grad()
        on_a, on_b = self.d["a"](fake_a), self.d["b"](fake_b)
        loss_g = (
            self.judge(on_a, torch.ones_like(on_a))
            + self.judge(on_b, torch.ones_like(on_b))
            + 10 * (self.distance(back(fake_b), a) + self.distance(there(fake_a), b))
            + 5 * (self.distance(there(b), b) + self.distance(back(a), a))
        )
        loss_g.backward()
        self.by_g.step()

        train_only(self.d.values(), True)
        self.by_d.zero_grad()
        total = 0.0
        for domain, real, fake in (("a", a, fake_a), ("b", b, fake_b)):
            d = self.d[domain]
            on_real, on_fake = d(real), d(self.pools[domain].query(fake))
            loss = 0.5 * (
                self.judge(on_real, torch.ones_like(on_real))
                + self.judge(on_fake, torch.zeros_like(on_fake))
            )
            loss.backward()
            total += loss.item()
        self.by_d.step()
        return total, loss_g.item()
