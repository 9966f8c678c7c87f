"""Where a recorded or compiled step finds its inputs: tensors that stay in one place."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ganforge.errors import UsageError
from ganforge.gan.batch import Batch, RandomInputs
from ganforge.gan.state import StepHyperparameters
from ganforge.gan.step import Game
from ganforge.nets import SIDES

Drawn = Mapping[str, Sequence[RandomInputs]]
# batches, random inputs and hyperparameters of some steps, tensors with their number in front
Inputs = tuple[Sequence[Batch], Drawn, Sequence[StepHyperparameters]]


class NotCompiledError(UsageError):
    """This game is played step by step; the text says why."""


class StaticInputs:
    """Examples, random inputs and hyperparameters of up to `rows` steps, in tensors that stay.

    Args:
        inputs: like those that will come.
        game: that is played.
        rows: the most steps at a time.
    """

    def __init__(self, inputs: Inputs, game: Game, rows: int):
        self.form, self.hyper, self.game = inputs[:2], inputs[2][0], game
        # zeros_like: pictures of one step stay channels_last
        self.tensors = [
            torch.zeros_like(t) if len(t) == rows else t.new_zeros(rows, *t.shape[1:])
            for t in leaves(*self.form)
        ]
        row = torch.tensor(numbers(self.hyper, game), dtype=torch.float64)
        self.tensors.append(row.to(self.tensors[0].device).repeat(rows, 1))
        self.fill(inputs)

    def fill(self, inputs: Inputs) -> None:
        """Copy the inputs of some steps in."""
        batches, drawn, hypers = inputs
        table = torch.tensor([numbers(h, self.game) for h in hypers], dtype=torch.float64)
        for place, new in zip(self.tensors, [*leaves(batches, drawn), table], strict=True):
            place[: len(hypers)].copy_(new)

    def shown(self, row: Sequence[Tensor]) -> tuple[Any, Any, StepHyperparameters]:
        """One step's part of `self.tensors`, in their order, as what `gan.step.step` takes."""
        *tensors, table = row
        source = iter(tensors)
        batches, drawn = tree_map(lambda _: next(source), *self.form)
        return batches, drawn, from_numbers(table.unbind(), self.hyper, batches[0].real.dtype)


def tree_map(
    f: Callable[[Tensor], Tensor], batches: Sequence[Batch], drawn: Drawn
) -> tuple[list[Batch], dict[str, list[RandomInputs]]]:
    """The same batches and inputs, each tensor replaced by f of it, in a fixed order."""
    mapped = [batch.map(f) for batch in batches]
    return mapped, {side: [one.map(f) for one in drawn[side]] for side in SIDES}


def leaves(batches: Sequence[Batch], drawn: Drawn) -> list[Tensor]:
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
    rates = {side: next(values) for side in SIDES}
    if rates[SIDES[0]].device.type != "cpu":  # a GPU's fused kernels read them in single precision
        rates = {side: rate.float() for side, rate in rates.items()}
    average = next(values)
    momenta = {side: next(values) for side in SIDES if side in like.momenta}
    scales = tuple(scale.to(dtype) for scale in values)
    return StepHyperparameters(rates, average, momenta, scales, like.average_statistics)


def due(game: Game, step: int) -> tuple[bool, ...]:
    """What is due at a step, penalties and controllers: steps that agree are one computation."""
    paid = [step % penalty.interval == 0 for penalty in game.penalties]
    return (*paid, *((step + 1) % each.interval == 0 for each in game.augment))


def steps_by_due(game: Game, first: int) -> dict[tuple[bool, ...], int]:
    """A step for each set of what is due together, from step `first` on."""
    period = math.lcm(1, *(each.interval for each in (*game.penalties, *game.augment)))
    return {due(game, step): step for step in range(first, first + period)}
