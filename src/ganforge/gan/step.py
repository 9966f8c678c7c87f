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

The step knows no files and no devices, and draws nothing: examples, noise, labels and dropout masks
come in. Letters: B batch, Z size of the noise, K classes.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, ClassVar

import torch
from torch import Tensor

from ganforge.gan import augmentation, ema, optimizers
from ganforge.gan.batch import Aux, Batch, Log, Memory, RandomInputs, same
from ganforge.gan.objective import Objective, Reduce, Term
from ganforge.gan.players import Players
from ganforge.gan.state import State, StepHyperparameters
from ganforge.nets import spectral
from ganforge.nets.base import RandomInput


class Game:
    """What one step needs to know: who plays how often, and for what.

    Kinds are frozen dataclasses; their fields say what differs from these defaults. See
    `adversarial.Adversarial` for the meaning of each.
    """

    kind: ClassVar[str] = "python"  # of classes of the user's
    pairing: ClassVar[str] = ""  # of sources and targets, "paired" or "unpaired"
    infers: ClassVar[bool] = False  # D infers the codes of z
    d_steps: int = 1
    g_steps: int = 1
    reduction: str = "mean"
    fresh_noise: bool = True
    simultaneous: bool = False
    fake_labels: str = "uniform"
    pack: int = 1
    penalties: tuple[Any, ...] = ()
    augment: tuple[Any, ...] = ()

    def passes(self, side: str) -> Mapping[str, str]:
        """The forward passes of a turn that want separate random inputs -> their network."""
        raise NotImplementedError

    def random_inputs(self, side: str) -> Mapping[str, RandomInput]:
        """The numbers that the game itself wants for each example, by name."""
        return {}

    def initial_aux(self, shapes: Mapping[str, tuple[int, ...]]) -> Aux:
        """What the game stores between steps, before the first one, by name.

        shapes: of a picture of each domain, "a" (sources) and "b" (targets).
        """
        return {}

    def discriminator_objective(
        self, players: Players, batch: Batch, inputs: RandomInputs, memory: Memory
    ) -> Objective:
        """What D descends."""
        raise NotImplementedError

    def generator_objective(
        self, players: Players, batch: Batch, inputs: RandomInputs, memory: Memory
    ) -> Objective:
        """What G descends."""
        raise NotImplementedError


def step(
    state: State,
    game: Game,
    batches: Sequence[Batch],
    inputs: Mapping[str, Sequence[RandomInputs]],
    hyper: StepHyperparameters,
    options: StepOptions | None = None,
) -> Log:
    """One iteration of Algorithm 1: k discriminator turns, then the generator's.

    Changes `state` in place.

    Args:
        batches: k of them, fresh examples each.
        inputs: "discriminator" -> k, "generator" -> g_steps random inputs.
        hyper: learning rates and the like at this step.
        options: how the step is carried out.

    Returns:
        Scalars on the device, of each player's last turn: its loss (and each term, if there are
        several), its gradient's norm, what the game logs; and the number of skipped updates.
    """
    options = options or StepOptions()
    for side, optimizer in state.optimizers.items():
        optimizers.set_rate(optimizer, hyper.rates[side], hyper.momenta.get(side))
    log: Log = {}

    for batch, drawn in zip(batches, inputs["discriminator"], strict=True):
        of_d = compute_gradients(state, game, "discriminator", batch, drawn, hyper, options)
        if not game.simultaneous:
            merge(log, options.apply_gradients(state, of_d))

    images = (options.batch or len(batches[-1].real)) * game.d_steps
    log |= augmentation.adjust(game.augment, state.aux, of_d.log, state.step, images)

    # micro-batches: only the fakes of the last one are there
    batch = batches[-1] if options.micro_batch else with_fakes_of(of_d, batches[-1], game)
    for drawn in inputs["generator"]:
        of_g = compute_gradients(state, game, "generator", batch, drawn, hyper, options)
        merge(log, options.apply_gradients(state, of_g))
        if game.simultaneous:
            merge(log, options.apply_gradients(state, of_d))
        batch = batches[-1]  # G has moved: D's fakes are no longer those of this G

    if state.average is not None:
        average, model = state.average, state.players.generator
        ema.update(average, model, hyper.ema, hyper.average_statistics)
    state.step += 1
    return log


@dataclass(frozen=True)
class Update:
    """A player's gradients, not applied yet.

    log: what the turn reports. aux: the new numbers of its penalties, and what the game stores.
    saved_buffers: the players' buffers before it. batch: the last piece of its batch, as it was
    played.
    """

    side: str
    gradients: list[Tensor]
    log: Log
    aux: Aux
    saved_buffers: list[Tensor]
    batch: Batch


def with_fakes_of(of_d: Update, batch: Batch, game: Game) -> Batch:
    """The batch of G's first turn: with the fakes of D's last turn, unless the noise is fresh.

    The same noise through the same G gives the same fakes, so they are not made twice.
    """
    made = of_d.batch
    return replace(
        batch,
        fake_with_graph=made.fake_with_graph,
        fake_label=made.fake_label,
        fakes={} if game.fresh_noise else made.fakes,
    )


def compute_gradients(
    state: State,
    game: Game,
    side: str,
    batch: Batch,
    inputs: RandomInputs,
    hyper: StepHyperparameters,
    options: StepOptions,
) -> Update:
    """The gradients of one player's turn: its objective, and the penalties due at this step."""
    ours = side == "discriminator"
    objective_of = game.discriminator_objective if ours else game.generator_objective
    parameters = optimizers.parameters(state.optimizers[side])
    others = optimizers.parameters(state.optimizers["generator" if ours else "discriminator"])

    saved_buffers = [b.clone() for b in state.players.buffers]
    if ours:  # once a turn: all passes up to D's next one, whoever makes them, share u and v
        for weight in state.players.spectral_weights:
            spectral.iterate(*weight)

    inputs = augmentation.with_strengths(game.augment, inputs, state.aux)
    log: Log = {}
    aux: Aux = {}
    stored: Aux = {}
    gradients: list[Tensor] = []
    # G's turn goes back through fakes of D's turn if it uses them again, so G is in their graph
    reused = ours and not game.fresh_noise
    with nullcontext() if reused else frozen(others):
        for piece, drawn, share in options.pieces(batch, inputs):
            memory = Memory(state.aux | stored, options.gather, options.first)
            objective = objective_of(state.players, piece, drawn, memory)
            stored |= objective.aux
            due, new_aux = penalties_due(state, game, side, objective.batch, drawn, hyper)
            add_log(aux, new_aux, share)
            terms = [*objective.terms.values(), *due]
            totals, means = zip(*(t.total(options.reduce, share) for t in terms), strict=True)
            # several games in one batch share no weights: the sum's gradient is each one's;
            # a parameter of a user's module that takes no part has the gradient 0
            total = reduce(operator.add, totals)
            total = total.sum() if total.dim() else total
            found = torch.autograd.grad(total, parameters, materialize_grads=True)
            if gradients:
                torch._foreach_add_(gradients, found)
            gradients = gradients or list(found)
            named = dict(zip(objective.terms, means, strict=False))  # penalties have no name
            add_log(log, observed(side, named, objective.log, options.reduce), share)

    if options.all_reduce is not None:
        options.all_reduce([*gradients, *log.values(), *aux.values()])
    return Update(side, gradients, log, aux | stored, saved_buffers, objective.batch)


def apply_gradients(state: State, update: Update) -> Log:
    """One step of a player's optimiser, skipped whole if a gradient is not finite.

    A skipped update leaves weights, moments and buffers as they were; the flag stays on the device,
    so nothing waits for it. Returns all there is to report of the turn.
    """
    optimizer, initial = state.optimizers[update.side], update.side[0]
    optimizers.assign(optimizers.parameters(optimizer), update.gradients)
    norm = optimizers.total_norm(update.gradients)
    skipped = optimizers.guarded_step(optimizer, norm + update.log[f"loss_{initial}"])
    restore(state.players, update.saved_buffers, skipped)
    for name, new in update.aux.items():
        state.aux[name].copy_(torch.where(skipped > 0, state.aux[name], new))
    return update.log | {f"gradient_{initial}": norm, f"skipped_{initial}": skipped}


def turn(
    state: State,
    game: Game,
    side: str,
    batch: Batch,
    inputs: RandomInputs,
) -> Log:
    """One update of one player, the other standing still, at the rates of the optimisers."""
    constant = StepHyperparameters({})
    update = compute_gradients(state, game, side, batch, inputs, constant, StepOptions())
    return apply_gradients(state, update)


def reduce_batch(values: Tensor, how: str) -> Tensor:
    """The step's only reduction: the mean of all values, or their sum."""
    return values.mean() if how == "mean" else values.sum()


@dataclass(frozen=True)
class StepOptions:
    """How a step is carried out, which does not change what it computes.

    Args:
        batch: the global batch B, 0 for that of the tensors given.
        micro_batch: examples a forward pass, 0 for all at once.
        all_reduce: the sum of tensors over all processes, in place.
        gather: see `Memory`; so is `first`.
        reduce: how values become a number; or numbers, one for each game in the batch.
        apply_gradients: what takes the optimiser's step.
    """

    batch: int = 0
    micro_batch: int = 0
    all_reduce: Callable[[list[Tensor]], None] | None = None
    gather: Callable[[Tensor], Tensor] = same
    first: int = 0
    reduce: Reduce = reduce_batch
    apply_gradients: Callable[[State, Update], Log] = apply_gradients

    def pieces(
        self, batch: Batch, inputs: RandomInputs
    ) -> Iterator[tuple[Batch, RandomInputs, float]]:
        """The pieces of a turn, each with its share of the global batch."""
        count = len(batch.real)
        size = self.micro_batch or count
        for first in range(0, count, size):
            part = slice(first, min(first + size, count))
            share = (part.stop - first) / (self.batch or count)
            if size >= count:
                yield batch, inputs, share
            else:
                yield batch.rows(part), inputs.rows(part), share


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


def penalties_due(
    state: State,
    game: Game,
    side: str,
    batch: Batch,
    inputs: RandomInputs,
    hyper: StepHyperparameters,
) -> tuple[list[Term], Aux]:
    """The penalties a player pays at this step, each counted `interval` times, and new aux."""
    terms: list[Term] = []
    new_aux: Aux = {}
    scales = hyper.penalties or (1,) * len(game.penalties)
    for penalty, scale in zip(game.penalties, scales, strict=True):
        if penalty.player == side and state.step % penalty.interval == 0:
            values, new = penalty(state.players, batch, inputs, state.aux)
            new_aux |= new
            terms.append(Term(values, penalty.interval * scale, game.reduction))
    return terms, new_aux


def observed(side: str, means: Log, values: Mapping[str, Tensor], number: Reduce) -> Log:
    """What a turn reports: its loss, each term if there are several, and what the game logs."""
    means = {f"{name}_{side[0]}": mean.detach() for name, mean in means.items()}
    log = {f"loss_{side[0]}": reduce(operator.add, means.values())}
    log |= means if len(means) > 1 else {}
    return log | {name: number(value, "mean") for name, value in values.items()}


def add_log(totals: Log, parts: Log, share: float) -> None:
    """Means over the global batch, from those of a piece of it."""
    for name, value in parts.items():
        part = value if share == 1 else value * share
        totals[name] = totals[name] + part if name in totals else part


def sum_logs(totals: Log, log: Log) -> Log:
    """The sums of an interval with one step more, in place; the first step decides the names.

    A step may log more than the sums have: those that an earlier version left had fewer names.
    """
    if not totals:
        return {name: value.clone() for name, value in log.items()}
    names = [name for name in log if name in totals]
    torch._foreach_add_([totals[n] for n in names], [log[n] for n in names])
    return totals


def restore(players: Players, saved: list[Tensor], skipped: Tensor) -> None:
    """Put the buffers back if the turn was skipped, without waiting for the flag."""
    if saved and (skipped.device.type != "cpu" or bool(skipped)):
        for buffer, before in zip(players.buffers, saved, strict=True):
            # .data: a graph that G's turn will still go through saved them, and does not read them
            buffer.data.copy_(torch.where(skipped > 0, before, buffer))


def merge(log: Log, turn_log: Log) -> None:
    """Keep the newest of everything, but count every skipped update."""
    for name, value in turn_log.items():
        counted = name.startswith("skipped") and name in log
        log[name] = log[name] + value if counted else value


def steps_for(images: int, batch: int, game: Game) -> int:
    """Steps in which D sees `images` real examples, at least one."""
    return max(1, math.ceil(images / (batch * game.d_steps)))
