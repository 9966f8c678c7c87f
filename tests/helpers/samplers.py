"""Samplers of untrained generators, and a toy that truncates its style."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ganforge import nets, recipes
from ganforge.config.schema import Noise
from ganforge.data.spec import DataSpec
from ganforge.nets.base import Network
from ganforge.sampling.sampler import Sampler


def fresh(spec: DataSpec, recipe: str = "cdcgan", **networks: Any) -> Sampler:
    """A sampler of a recipe's generator, in its full size, untrained but with contrast.

    networks: other settings of the networks than the recipe's.

    Batch statistics are those of 32 samples, and the last weights are larger than at a start, whose
    pictures are all grey.
    """
    config = recipes.find(recipe)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        players = replace(config.networks, **networks) if networks else config.networks
        made = nets.build(players, spec, config.noise.size)["generator"]
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


def styled(classes: int = 3, side: int = 16) -> Sampler:
    """A small style generator whose noise and average style do something."""
    spec = DataSpec((3, side, side), classes)
    config = replace(recipes.find("stylegan2").networks, base=512, most=24, styles=20)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        network = nets.build(config, spec, 12)["generator"].eval()
        for name, parameter in network.named_parameters():
            if "strength" in name or "bias" in name:
                parameter.add_(0.3 * torch.randn_like(parameter))
        network.w_mean.normal_()
    return Sampler(network, spec, Noise(12), "stylegan2")


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
