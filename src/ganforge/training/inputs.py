"""Where a captured or compiled step finds what it is given: tensors that stay in one place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ganforge.errors import UsageError
from ganforge.gan.batch import Batch, Draws
from ganforge.gan.state import Knobs
from ganforge.gan.step import Game
from ganforge.nets import SIDES

Given = tuple[list[Batch], dict[str, list[Draws]]]


class NotCompiledError(UsageError):
    """This game is played step by step; the text says why."""


class Inputs:
    """Static copies of a step's examples and draws.

    Arguments:
        batches, draws: as of one step, or of several, each tensor with their number in front.
        rows: the most steps at a time, 0 where the tensors have no such axis.
    """

    def __init__(
        self, batches: Sequence[Batch], draws: Mapping[str, Sequence[Draws]], rows: int = 0
    ):
        self.rows = rows
        self.form = exchanged(lambda t: t, batches, draws)
        self.tensors = [
            t.new_zeros(rows, *t.shape[1:]) if rows else t.clone() for t in leaves(*self.form)
        ]

    def fill(self, batches: Sequence[Batch], draws: Mapping[str, Sequence[Draws]]) -> int:
        """Take in examples and draws; returns the number of steps they are for."""
        news = leaves(batches, draws)
        for place, new in zip(self.tensors, news, strict=True):
            (place[: len(new)] if self.rows else place).copy_(new)
        return len(news[0]) if self.rows else 1

    def shown(self, tensors: Sequence[Tensor]) -> Given:
        """These tensors, in the order of `self.tensors`, as batches and draws."""
        source: Iterator[Tensor] = iter(tensors)
        return exchanged(lambda _: next(source), *self.form)


def exchanged(
    f: Callable[[Tensor], Tensor],
    batches: Sequence[Batch],
    draws: Mapping[str, Sequence[Draws]],
) -> Given:
    """The same batches and draws, each tensor exchanged by `f`, in an order that never changes."""

    def maybe(t: Tensor | None) -> Tensor | None:
        return None if t is None else f(t)

    played = [Batch(f(b.real), maybe(b.label), maybe(b.source)) for b in batches]
    drawn = {
        side: [
            Draws(
                f(d.z),
                maybe(d.label),
                {role: {k: f(v) for k, v in masks.items()} for role, masks in d.masks.items()},
                {name: f(value) for name, value in d.extra.items()},
            )
            for d in draws[side]
        ]
        for side in SIDES
    }
    return played, drawn


def leaves(batches: Sequence[Batch], draws: Mapping[str, Sequence[Draws]]) -> list[Tensor]:
    """All tensors of batches and draws, in the order of `exchanged`."""
    found: list[Tensor] = []

    def see(t: Tensor) -> Tensor:
        found.append(t)
        return t

    exchanged(see, batches, draws)
    return found


def numbers(knobs: Knobs, game: Game) -> list[Any]:
    """What the schedules say at a step, in a row: rates, EMA decay, momenta, penalties' scales."""
    scales = knobs.penalties or (1.0,) * len(game.penalties)
    momenta = [knobs.momenta[side] for side in SIDES if side in knobs.momenta]
    return [*(knobs.rates[s] for s in SIDES), knobs.ema, *momenta, *map(float, scales)]


def knobs_of(row: Sequence[Tensor], like: Knobs, dtype: torch.dtype) -> Knobs:
    """The inverse of `numbers`, of tensors in double precision.

    like: tells which momenta there are. dtype: of losses, which double precision would widen.
    """
    values = iter(row)
    # the fused kernels of a GPU read rates in single precision
    rates = {}
    for side in SIDES:
        value = next(values)
        rates[side] = value if value.device.type == "cpu" else value.float()
    average = next(values)
    momenta = {side: next(values) for side in SIDES if side in like.momenta}
    return Knobs(rates, average, momenta, tuple(scale.to(dtype) for scale in values))


def due(game: Game, step: int) -> tuple[bool, ...]:
    """Which penalties are paid at a step: steps that agree in it are the same computation."""
    return tuple(step % penalty.interval == 0 for penalty in game.penalties)
