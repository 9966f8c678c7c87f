"""The two-player game: Algorithm 1 of Goodfellow et al. 2014, for any loss and any penalty.

    min_G max_D V(D, G) = E_x log D(x) + E_z log(1 - D(G(z)))

    for number of training iterations do
      for k steps do
        sample a minibatch of m noise vectors z and of m examples x
        update the discriminator by ascending its stochastic gradient
          grad 1/m sum [ log D(x) + log(1 - D(G(z))) ]
      sample a minibatch of m noise vectors z
      update the generator by descending its stochastic gradient
        grad 1/m sum log(1 - D(G(z)))                   (or by ascending log D(G(z)))

This page knows no files, no logs and no devices, and draws nothing: examples, noise, labels and
dropout masks come in. Letters: B batch, Z size of the noise, K classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from ganforge.gan import ema, optimizers
from ganforge.gan.batch import Batch, Draws, Reduce, Stats
from ganforge.gan.penalties import Penalty
from ganforge.gan.players import Players
from ganforge.gan.state import Knobs, State
from ganforge.nets import spectral


class Game(Protocol):
    """What one step needs to know: who plays how often, and for what."""

    kind: ClassVar[str]

    @property
    def d_steps(self) -> int: ...
    @property
    def g_steps(self) -> int: ...
    @property
    def reduction(self) -> str: ...
    @property
    def fresh_noise(self) -> bool: ...
    @property
    def simultaneous(self) -> bool: ...
    @property
    def fake_labels(self) -> str: ...
    @property
    def penalties(self) -> tuple[Penalty, ...]: ...

    def roles(self, side: str) -> tuple[str, ...]:
        """The forward passes of a turn that want dropout masks of their own."""
        ...

    def discriminator_objective(
        self, players: Players, batch: Batch, draws: Draws
    ) -> tuple[Tensor, Batch, Stats]:
        """D's loss for each example, the batch with its fakes, what to report."""
        ...

    def generator_objective(
        self, players: Players, batch: Batch, draws: Draws
    ) -> tuple[Tensor, Batch, Stats]:
        """G's loss for each example, the batch with its fakes, what to report."""
        ...


def reduce_batch(loss: Tensor, how: str) -> Tensor:
    """The step's only reduction: mean over all logits, or their sum."""
    return loss.mean() if how == "mean" else loss.sum()


@contextmanager
def frozen(parameters: Sequence[Tensor]) -> Iterator[None]:
    """A player's parameters out of the graph: the other one's turn costs no gradients of them."""
    for p in parameters:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in parameters:
            p.requires_grad_(True)


@dataclass(frozen=True)
class How:
    """Where a step runs, which does not change what it computes.

    reduce: how losses become a number (a population keeps one a member). batch: the global batch
    B, 0 for that of the tensors given. micro: examples a forward pass, 0 for all at once.
    exchange: the sum of tensors over all ranks, in place.
    """

    reduce: Reduce = reduce_batch
    batch: int = 0
    micro: int = 0
    exchange: Callable[[list[Tensor]], None] | None = None

    def parts(self, batch: Batch, draws: Draws) -> Iterator[tuple[Batch, Draws, float]]:
        """The pieces of a turn, each with its share of the global batch."""
        count = len(batch.real)
        size = self.micro or count
        for first in range(0, count, size):
            part = slice(first, min(first + size, count))
            share = (part.stop - first) / (self.batch or count)
            if size >= count:
                yield batch, draws, share
            else:
                yield batch.rows(part), draws.rows(part), share


@dataclass(frozen=True)
class Move:
    """An update that is not taken yet.

    stats: what the turn reports; kept: the players' buffers before it; batch: the last piece of its
    batch, as it was played.
    """

    side: str
    gradients: list[Tensor]
    stats: Stats
    kept: list[Tensor]
    batch: Batch


def prepare(
    state: State,
    game: Game,
    side: str,
    batch: Batch,
    draws: Draws,
    how: How = How(),
    scales: Sequence[float | Tensor] = (),
) -> Move:
    """The gradients of one player's turn: its objective, and the penalties due at this step.

    scales: by what each penalty of the game is multiplied, 1 where it is empty.
    """
    ours = side == "discriminator"
    objective = game.discriminator_objective if ours else game.generator_objective
    parameters = optimizers.parameters(state.optimizers[side])
    others = optimizers.parameters(state.optimizers["generator" if ours else "discriminator"])
    kept = [b.clone() for b in state.players.buffers]
    if ours:  # once a turn: all passes up to D's next one, whoever makes them, share u and v
        for triple in state.players.normalised:
            spectral.iterate(*triple)
    stats: Stats = {}
    gradients: list[Tensor] = []
    with nullcontext() if ours and not game.fresh_noise else frozen(others):
        for piece, drawn, share in how.parts(batch, draws):
            loss, part, seen = objective(state.players, piece, drawn)
            total = how.reduce(loss, game.reduction)
            total = total + penalties_due(state, game, side, part, drawn, how, scales)
            if game.reduction == "mean":
                total = total * share
            # a population's members share no weights: the gradient of the sum is each one's own
            found = torch.autograd.grad(total.sum(), parameters, allow_unused=True)
            add(gradients, used(parameters, found))
            add_stats(stats, observed(side, loss, seen, how), share)
    if how.exchange is not None:
        how.exchange([*gradients, *stats.values()])
    return Move(side, gradients, stats, kept, part)


def take(state: State, move: Move) -> Stats:
    """One step of a player's optimiser, skipped whole where a gradient is not finite.

    A skipped update leaves weights, moments and buffers as they were; the flag stays on the device,
    so nothing waits for it. Returns all there is to report of the turn.
    """
    optimizer, initial = state.optimizers[move.side], move.side[0]
    optimizers.assign(optimizers.parameters(optimizer), move.gradients)
    norm = optimizers.total_norm(move.gradients, state.players.members)
    skipped = optimizers.guarded_step(optimizer, norm + move.stats[f"loss_{initial}"])
    restore(state.players, move.kept, skipped)
    return move.stats | {f"gradient_{initial}": norm, f"skipped_{initial}": skipped}


def turn(
    state: State, game: Game, side: str, batch: Batch, draws: Draws, how: How = How()
) -> Stats:
    """One update of one player, the other standing still."""
    return take(state, prepare(state, game, side, batch, draws, how))


def used(parameters: Sequence[Tensor], found: Sequence[Tensor | None]) -> list[Tensor]:
    """Gradients, 0 for a parameter of a user's module that takes no part in the forward pass."""
    return [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, found, strict=True)]


def add(totals: list[Tensor], parts: Sequence[Tensor]) -> None:
    """Add gradients of one piece of the batch to those of the pieces before."""
    if totals:
        torch._foreach_add_(totals, list(parts))
    else:
        totals.extend(parts)


def add_stats(totals: Stats, parts: Stats, share: float) -> None:
    """Means over the global batch, from those of a piece of it."""
    for name, value in parts.items():
        mine = value if share == 1 else value * share
        totals[name] = totals[name] + mine if name in totals else mine


def observed(side: str, loss: Tensor, seen: Stats, how: How) -> Stats:
    """What a turn reports: its loss for each example, logits, and D(x) = sigmoid of them."""
    stats = {f"loss_{side[0]}": how.reduce(loss.detach(), "mean")}
    for name, logit in seen.items():
        stats[name] = how.reduce(logit, "mean")
        stats[name.replace("logit", "d")] = how.reduce(torch.sigmoid(logit), "mean")
    return stats


def penalties_due(
    state: State,
    game: Game,
    side: str,
    batch: Batch,
    draws: Draws,
    how: How,
    scales: Sequence[float | Tensor] = (),
) -> Tensor | float:
    """The sum of the penalties a player pays at this step, each counted `interval` times."""
    total: Tensor | float = 0.0
    for penalty, scale in zip(game.penalties, scales or (1,) * len(game.penalties), strict=True):
        if penalty.player == side and state.step % penalty.interval == 0:
            loss, state.aux = penalty(state.players, batch, draws, state.aux)
            total = total + penalty.interval * scale * how.reduce(loss, game.reduction)
    return total


def restore(players: Players, kept: list[Tensor], skipped: Tensor) -> None:
    """Put the buffers back where the turn was skipped, without waiting for the flag."""
    if kept and (skipped.device.type != "cpu" or bool(skipped.any())):
        for buffer, before in zip(players.buffers, kept, strict=True):
            gone = skipped.view(-1, *[1] * (buffer.dim() - 1)) if skipped.dim() else skipped
            # .data: a graph that G's turn will still go through saved them, and does not read them
            buffer.data.copy_(torch.where(gone > 0, before, buffer))


def step(
    state: State,
    game: Game,
    batches: Sequence[Batch],
    draws: Mapping[str, Sequence[Draws]],
    knobs: Knobs,
    how: How = How(),
) -> Stats:
    """One iteration of Algorithm 1: k discriminator turns, then the generator's.

    batches: k of them, fresh data each. draws: "discriminator" -> k, "generator" -> g_steps.
    Returns scalars on the device, of each player's last turn: loss_d, loss_g, mean logits and
    D(x), gradient norms; and how many updates were skipped. Changes `state` in place.
    """
    for side, optimizer in state.optimizers.items():
        optimizers.set_rate(optimizer, knobs.rates[side], knobs.momenta.get(side))
    stats: Stats = {}
    for batch, drawn in zip(batches, draws["discriminator"], strict=True):
        move = prepare(state, game, "discriminator", batch, drawn, how, knobs.penalties)
        if not game.simultaneous:
            merge(stats, take(state, move))
    # the same z through the same G: its turn starts from D's fakes, unless they came in pieces
    batch = batches[-1]
    if not how.micro:
        batch = replace(batch, made=move.batch.made, fake_label=move.batch.fake_label)
    for drawn in draws["generator"]:
        answer = prepare(state, game, "generator", batch, drawn, how, knobs.penalties)
        merge(stats, take(state, answer))
        if game.simultaneous:
            merge(stats, take(state, move))
        batch = batches[-1]  # G has moved: D's fakes are no longer its own
    if state.average is not None:
        ema.update(state.average, state.players.generator, knobs.ema)
    state.step += 1
    return stats


def merge(stats: Stats, turn_stats: Stats) -> None:
    """Keep the newest of everything, but count every skipped update."""
    for name, value in turn_stats.items():
        counted = name.startswith("skipped") and name in stats
        stats[name] = stats[name] + value if counted else value


def steps_for(images: int, batch: int, game: Game) -> int:
    """Steps in which D sees `images` real examples, at least one."""
    return max(1, math.ceil(images / (batch * game.d_steps)))
