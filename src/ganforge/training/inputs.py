"""Where a recorded or compiled step finds its inputs: tensors that stay in one place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ganforge.errors import UsageError
from ganforge.gan.batch import Batch, RandomInputs
from ganforge.gan.state import StepHyperparameters
from ganforge.gan.step import Game
from ganforge.nets import SIDES

Examples = Sequence[Batch]
Drawn = Mapping[str, Sequence[RandomInputs]]


class NotCompiledError(UsageError):
    """This game is played step by step; the text says why."""


class StaticInputs:
    """Copies of a step's examples and random inputs that stay in one place.

    Args:
        batches, drawn: as of one step, or of several, each tensor with their number in front.
        rows: the most steps at a time, 0 if the tensors have no such axis.
    """

    def __init__(self, batches: Examples, drawn: Drawn, rows: int = 0):
        self.rows = rows
        self.form = tree_map(lambda t: t, batches, drawn)
        self.tensors = [
            t.new_zeros(rows, *t.shape[1:]) if rows else t.clone() for t in leaves(*self.form)
        ]

    def fill(self, batches: Examples, drawn: Drawn) -> int:
        """Copy examples and random inputs in; returns the number of steps they are for."""
        news = leaves(batches, drawn)
        for place, new in zip(self.tensors, news, strict=True):
            (place[: len(new)] if self.rows else place).copy_(new)
        return len(news[0]) if self.rows else 1

    def shown(self, tensors: Sequence[Tensor]) -> tuple[list[Batch], dict[str, list[RandomInputs]]]:
        """These tensors, in the order of `self.tensors`, as batches and random inputs."""
        source: Iterator[Tensor] = iter(tensors)
        return tree_map(lambda _: next(source), *self.form)


def tree_map(
    f: Callable[[Tensor], Tensor], batches: Examples, drawn: Drawn
) -> tuple[list[Batch], dict[str, list[RandomInputs]]]:
    """The same batches and inputs, each tensor replaced by f of it, in a fixed order."""
    mapped = [batch.map(f) for batch in batches]
    return mapped, {side: [one.map(f) for one in drawn[side]] for side in SIDES}


def leaves(batches: Examples, drawn: Drawn) -> list[Tensor]:
    """All tensors of batches and random inputs, in the order of `tree_map`."""
    found: list[Tensor] = []

    def see(t: Tensor) -> Tensor:
        found.append(t)
        return t

    tree_map(see, batches, drawn)
    return found


def numbers(hyper: StepHyperparameters, game: Game) -> list[Any]:
    """The hyperparameters of a step in a row: rates, EMA decay, momenta, penalties' factors."""
    scales = hyper.penalties or (1.0,) * len(game.penalties)
    momenta = [hyper.momenta[side] for side in SIDES if side in hyper.momenta]
    return [*(hyper.rates[s] for s in SIDES), hyper.ema, *momenta, *map(float, scales)]


def from_numbers(
    row: Sequence[Tensor], like: StepHyperparameters, dtype: torch.dtype
) -> StepHyperparameters:
    """The inverse of `numbers`, of tensors in double precision.

    Args:
        like: says which momenta there are, and what is no number.
        dtype: of losses, which double precision would widen.
    """
    values = iter(row)
    # the fused kernels of a GPU read rates in single precision
    rates = {}
    for side in SIDES:
        value = next(values)
        rates[side] = value if value.device.type == "cpu" else value.float()
    average = next(values)
    momenta = {side: next(values) for side in SIDES if side in like.momenta}
    scales = tuple(scale.to(dtype) for scale in values)
    return StepHyperparameters(rates, average, momenta, scales, like.average_statistics)


def due(game: Game, step: int) -> tuple[bool, ...]:
    """Which penalties are paid at a step: steps that agree in it are the same computation."""
    return tuple(step % penalty.interval == 0 for penalty in game.penalties)
