"""Path length regularisation of a style generator. Karras et al. 2020, section 3.2."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ganforge.errors import UsageError, check
from ganforge.gan.batch import Aux, Batch, RandomInputs
from ganforge.gan.penalties import Penalty
from ganforge.gan.players import Players
from ganforge.nets.base import RandomInput
from ganforge.nets.stylegan import Generator

MEAN = "path_length"


@dataclass(frozen=True)
class PathLength(Penalty):
    """weight (|J^T y| - a)^2, J = dG(w) / dw, y ~ N(0, 1) / sqrt(H W), for half of the batch.

    |.| is the root of the mean over layers of the squares in a layer's style. a follows the mean
    length: a <- a + decay (mean - a), after the turn.
    """

    kind: ClassVar[str] = "path-length"
    player: ClassVar[str] = "generator"
    random_inputs: ClassVar[dict[str, RandomInput]] = {"path": RandomInput("normal", ())}
    aux: ClassVar[tuple[str, ...]] = (MEAN,)
    weight: float = 2.0
    decay: float = 0.01
    interval: int = 4

    def __post_init__(self) -> None:
        check(self.weight >= 0, "weight", self.weight, "0 or more")
        check(0 < self.decay <= 1, "decay", self.decay, "a fraction in (0, 1]")
        check(self.interval >= 1, "interval", self.interval, "at least 1 step")

    def __call__(
        self, players: Players, batch: Batch, inputs: RandomInputs, aux: Aux
    ) -> tuple[Tensor, Aux]:
        generator = players.generator
        if not isinstance(generator, Generator):
            raise UsageError(
                "penalty path-length: needs the styles of a generator, give --networks.kind "
                "stylegan2, or leave the penalty out"
            )
        half = slice(0, None, 2)  # also of the whole, if the batch comes in pieces
        inputs, label = inputs.rows(half), batch.fake_label
        maps = inputs.networks.get("generator")
        y = inputs.extra["path"].to(inputs.z.dtype)
        y = y / math.sqrt(math.prod(y.shape[2:]))
        with players.autocast():
            ws = generator.styles(inputs.z, None if label is None else label[half], maps)
            picture = generator.pictures(ws, maps).to(y.dtype)
        (gradient,) = torch.autograd.grad((picture * y).sum(), ws, create_graph=True)
        # sqrt has an infinite gradient at 0
        length = gradient.square().sum(2).mean(1).clamp_min(1e-24).sqrt()
        mean = aux[MEAN] + self.decay * (length.detach().mean() - aux[MEAN])
        return self.weight * (length - aux[MEAN]).square(), {MEAN: mean}
