"""Samplers of untrained generators, and a toy that truncates its style."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ganforge import nets, recipes
from ganforge.data.spec import DataSpec
from ganforge.nets.base import Network
from ganforge.sampling.sampler import Sampler


def fresh(spec: DataSpec, recipe: str = "cdcgan") -> Sampler:
    """A sampler of a recipe's generator, in its full size, untrained but with contrast.

    Batch statistics are those of 32 samples, and the last weights are larger than at a start, whose
    pictures are all grey.
    """
    config = recipes.find(recipe)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = nets.build(config.networks, spec, config.noise.size)["generator"]
        made.train().requires_grad_(False)
        norms = [m for m in made.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
        for norm in norms:
            norm.momentum = 1.0
        label = torch.arange(32) % spec.classes if spec.classes else None
        x = made(torch.randn(32, config.noise.size), label)
        for norm in norms:
            norm.momentum = 0.1
        if spec.bounded:
            [p for p in made.parameters() if p.dim() > 1][-1].mul_(0.5 / x.std())
    return Sampler(made.eval(), spec, config.noise, recipe)


class Styled(Network):
    """A toy with the law "style": G(z) = 10 w, w = z / |z|, w_mean = (0.5, 0)."""

    truncation: ClassVar[str] = "style"

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.5, 0.0]))

    def forward(
        self, x: Tensor, label: Any = None, source: Any = None, inputs: Any = None
    ) -> Tensor:
        w = nn.functional.normalize(x)
        psi = inputs["truncation"] if inputs else 1
        return 10 * (self.mean + psi * (w - self.mean))
