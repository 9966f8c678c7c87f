"""How many CPU threads a run takes: a short race at its start, and its pace looked at afterwards.

Each parallel part of a step waits for its slowest core. Beside another busy program two threads
can make a fraction of the images that one makes, so cores alone do not decide: a few steps of a
twin of the run are played with one thread, with half of the cores and with all, by turns.
"""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch

from ganforge.errors import OutOfMemoryError, lacks_memory
from ganforge.gan import augmentation, state
from ganforge.nets import MLP
from ganforge.training import build, stuck
from ganforge.training.trainer import Trainer

SECONDS = 1.0  # that a race takes, unless one round takes longer
TURN = 0.04  # seconds of a turn, or one step
ROUNDS = 15
GLANCE, FAR = 0.2, 4.0  # seconds, and times one thread's, beyond which a small part has lost
SHARE = 0.02  # of a run's steps, at the most
GAIN = 1.05  # by which more threads have to be faster
SLOW = 0.9  # of the rate of one thread, below which a run says so
LEAST_LOOK = 1.0  # seconds of steps over which a pace is measured
# Below both a perceptron's step has no part that more threads shorten (docs/notes/performance.md).
TINY_PRODUCTS, TINY_BATCH = 5_000_000, 1_024

Rates = dict[int, float]  # images a second by number of threads
Measure = Callable[[int, int, int], float]  # (threads, first step, steps) -> seconds
Glance = Callable[[int], float]  # threads -> seconds of a small part of a step


def settle(t: Trainer, before: Mapping[str, Any], race: bool = True) -> None:
    """Choose the threads of a fresh run on the CPU, in place; its state is not touched.

    before: what was last known of the run (`runs.folder.last_known`), {} for a new one. race: False
    for a run that is compared with others, whose threads must not depend on the machine's load.
    """
    t.rates = known(before)
    if not (race and undecided(t)):
        return
    threads = t.resolved.threads
    if tiny(t):
        threads = 1
    elif affordable(t):
        t.rates = measured(t, candidates(threads))
        threads = fastest(t.rates) if t.rates else threads
    t.resolved = replace(t.resolved, threads=threads)
    torch.set_num_threads(threads)


def planned(t: Trainer) -> str:
    """In words what `settle` will do for a new run."""
    threads = t.resolved.threads
    if undecided(t) and tiny(t):
        threads = 1
    elif undecided(t) and affordable(t):
        return f"1 to {threads} threads, by a race at the start"
    return f"{threads} thread" + ("s" if threads > 1 else "")


def undecided(t: Trainer) -> bool:
    """Whether threads are not named, not settled before, and matter: steps played on the CPU."""
    named = t.config.threads or t.state.step or t.rates or t.resolved.threads == 1
    apart = t.world.size > 1 or t.compiled is not None or t.resolved.device != "cpu"
    return not (named or apart)


def affordable(t: Trainer) -> bool:
    """Whether the shortest race is at most SHARE of the run's steps."""
    return 2 * len(candidates(t.resolved.threads)) <= SHARE * t.steps


def candidates(cores: int) -> list[int]:
    """1, half of the cores, all of them."""
    return sorted({1, max(1, cores // 2), cores})


def tiny(t: Trainer) -> bool:
    """Whether more threads cannot help: a perceptron with few products a step."""
    if not isinstance(t.config.networks, MLP):
        return False
    players = (t.state.players.generator, t.state.players.discriminator)
    count = sum(p.numel() for player in players for p in player.parameters())
    return t.config.batch <= TINY_BATCH and count * t.config.batch < TINY_PRODUCTS


def fastest(rates: Rates) -> int:
    """The number of threads with the best rate; more of them only where they gain by GAIN."""
    best = min(rates)
    for threads in sorted(rates):
        if rates[threads] > GAIN * rates[best]:
            best = threads
    return best


def known(before: Mapping[str, Any]) -> Rates:
    """The rates of a race in run.json; none if it has none, or something else in their place."""
    try:
        rates = {int(key): float(rate) for key, rate in before["race"].items()}
    except (KeyError, AttributeError, TypeError, ValueError):
        return {}
    return rates if all(rate > 0 for rate in rates.values()) else {}


def measured(t: Trainer, numbers: Sequence[int]) -> Rates:
    """The race of a run: images a second with each number of threads.

    Empty if the twin does not fit into memory beside the run.
    """
    try:
        with twin(t) as (measure, glance):
            seconds = race(numbers, measure, glance, min(t.steps, t.inputs.block_steps))
    except (OutOfMemoryError, RuntimeError, MemoryError) as error:
        if not isinstance(error, OutOfMemoryError) and not lacks_memory(error):
            raise
        return {}
    return {n: t.images_a_step / each for n, each in seconds.items()}


def race(numbers: Sequence[int], measure: Measure, glance: Glance, steps: int) -> dict[int, float]:
    """Seconds a step with each number of threads, by turns: medians over the rounds.

    numbers: 1 first. Each plays the same steps of the first `steps` in a round. One whose small
    part of a step, or first step, takes far longer than one thread's has lost without a round,
    which would take seconds.
    """
    parts = {n: glance(n) for n in numbers}
    measure(1, 0, 1)  # for which its kernels are made
    single = measure(1, 0, 1)
    seconds = {1: single}
    turns: dict[int, list[float]] = {1: []}
    for n in numbers[1:]:
        if parts[n] > GLANCE + FAR * parts[1]:
            seconds[n] = single * parts[n] / parts[1]
        elif (warm := measure(n, 0, 1)) > SECONDS + FAR * single:
            seconds[n] = warm
        else:
            turns[n] = []
    if len(turns) == 1:
        return seconds
    count = max(1, min(int(TURN / max(single, 1e-9)), steps))
    spent, first = 0.0, 0
    while spent < SECONDS and len(turns[1]) < ROUNDS:
        for n, each in turns.items():
            took = measure(n, first, count)
            each.append(took / count)
            spent += took
        first = first + count if first + 2 * count <= steps else 0
    return seconds | {n: statistics.median(each) for n, each in turns.items()}


@contextmanager
def twin(t: Trainer) -> Iterator[tuple[Measure, Glance]]:
    """A function that times steps of a copy of the run, with the same data and random inputs.

    And what times a small part of one: D's pass over real examples, an eighth of a step or less.
    Examples and draws are functions of the position, so asking for them changes nothing either.
    """
    device = torch.device(t.resolved.device)
    begun = build.initial(t.config, t.data.spec, device, t.resolved.precision)
    state.load(begun, state.tensors(t.state), "the run itself")
    other = copy.copy(t)  # data and random inputs are shared
    other.state, other.totals, other.counted = begun, {}, 0
    steps: dict[int, Callable[[], None]] = {}

    def measure(threads: int, first: int, count: int) -> float:
        torch.set_num_threads(threads)
        begun.step = first
        t.inputs.at(first)  # a block of draws is made for all who play these steps, not by one
        step = steps.setdefault(threads, stuck.first_watched(other.step))
        began = time.perf_counter()
        for _ in range(count):
            step()
        if device.type == "cuda":  # its work is only queued so far
            torch.cuda.synchronize(device)
        return time.perf_counter() - began

    def glance(threads: int) -> float:
        torch.set_num_threads(threads)
        part = slice(0, t.config.micro_batch or t.config.batch)
        real, drawn = t.examples()[0].rows(part), t.inputs.at(0)["discriminator"][0].rows(part)
        drawn = augmentation.with_strengths(t.config.game.augment, drawn, begun.aux)
        began = time.perf_counter()
        with torch.no_grad(), stuck.first_step():
            begun.players.discriminate(
                real.real, real.label, real.source, drawn.networks.get("real")
            )
        return time.perf_counter() - began

    with torch.random.fork_rng(devices=[]):  # a module of the user's may draw
        try:
            yield measure, glance
        finally:
            torch.set_num_threads(t.resolved.threads)


class Pace:
    """Looks whether a run with several threads has become slower than one thread was.

    Of the steps alone: grids, checkpoints and what the body of the loop does have no part in it.
    """

    def __init__(self, t: Trainer):
        self.t, self.said = t, False
        self.images, self.seconds = t.samples_seen, t.clock.timing.get("step", 0.0)

    def look(self) -> str:
        """A note if the run has become slower, once; else empty."""
        t = self.t
        threads, single = t.resolved.threads, t.rates.get(1, 0.0)
        spent = t.clock.timing.get("step", 0.0)
        if self.said or threads == 1 or not single or spent - self.seconds < LEAST_LOOK:
            return ""
        rate = (t.samples_seen - self.images) / (spent - self.seconds)
        self.images, self.seconds = t.samples_seen, spent
        self.said = rate < SLOW * single
        if not self.said:
            return ""
        return (
            f"{threads} threads now make {rate:,.0f} examples/s, 1 thread made {single:,.0f} at "
            "the start: other programs use the cores; stop and go on with --threads 1 (not "
            "bit-exact from there)"
        )
