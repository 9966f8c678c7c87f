"""A group of seeds in progress: one population, and for each member its own run folder.

Every member has a `Training` whose state is a view of the population, so that its checkpoints,
samples, model and log are written by what writes those of a single run.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from ganforge import checkpoint, loop, members, openmp, restore, runs, stepping, stuck, training
from ganforge.data.batches import Batches
from ganforge.distributed import ALONE
from ganforge.errors import (
    DiskError,
    DivergedError,
    GanforgeError,
    OutOfMemoryError,
    lacks_memory,
)
from ganforge.members import Population
from ganforge.progress import LOGGED, MEANS, SUMS, Control
from ganforge.scoring import Scorer
from ganforge.seeds.plan import Plan, common_step
from ganforge.training import Training

FLUSH_SECONDS = 5.0  # between two writes of all logs


@dataclass
class Group:
    """The members of one group, by seat.

    members: their runs. live: those that are trained; the others' seats are empty. totals, counted:
    the statistics of the interval under way, (M,). seconds: of training, over all sessions.
    notes: what is worth telling, until somebody has. fallen: why each seed that diverged did.
    """

    population: Population
    members: list[Training]
    live: list[int]
    controls: list[Control]
    scorers: list[Scorer]
    totals: dict[str, Tensor] = field(default_factory=dict)
    counted: int = 0
    seconds: float = 0.0
    timing: dict[str, float] = field(default_factory=dict)
    speed: float = 0.0
    notes: list[str] = field(default_factory=list)
    fallen: dict[int, str] = field(default_factory=dict)
    clock: Clock | None = None

    @property
    def step(self) -> int:
        return self.population.state.step

    @property
    def lead(self) -> Training:
        """The run whose step, budget and output settings are everyone's."""
        return self.members[0]

    def note(self) -> str:
        """What is new, once."""
        told, self.notes = self.notes, []
        return "; ".join(dict.fromkeys(told))


def enter(stack: ExitStack, plan: Plan, seeds: tuple[int, ...], take_over: bool = False) -> Group:
    """The group's population at the step it stands at, its folders made and locked."""
    torch.set_num_threads(plan.resolved.threads)
    live = [i for i, seed in enumerate(seeds) if plan.pending(seed)]
    before = {}
    for i in live:
        run = plan.run(seeds[i])
        before[i] = runs.last_known(run) if run.exists() else {}
        loop.occupy(stack, run, plan.config_of(seeds[i]), take_over)
        runs.prepare(run.path, plan.config_of(seeds[i]))
    step = common_step(plan, [seeds[i] for i in live])
    for i in live:
        checkpoint.drop_after(plan.run(seeds[i]).checkpoints, step or 0)
    p = members.build(plan.config, seeds, plan.data, plan.resolved.precision, plan.resolved.device)
    training.one_label_a_mix(plan.config)
    training.enough_for_batch_norm(plan.config, p.alone[0], ALONE)
    batches = Batches(plan.data, device=torch.device("cpu"), seed=0)
    resolved = replace(plan.resolved, stacked=len(seeds))
    stack.callback(batches.close)
    made = [
        Training(
            plan.config_of(seed), plan.run(seed), plan.data, batches, resolved,
            p.member(i), p.drawers[i], p.steps,
        )
        for i, seed in enumerate(seeds)
    ]  # fmt: skip
    controls = [Control() for _ in seeds]
    group = Group(p, made, live, controls, [], notes=openmp.switch_off())
    for i, t in enumerate(made):
        if i in before:
            group.notes += restore.resume(t)[1] + restore.same_machine(t, before[i])
            t.exact = t.exact and seeds[i] not in plan.moved
            p.enter(i, t.state.step)
            group.seconds = max(group.seconds, t.seconds)
    for i in set(range(len(seeds))) - set(live):
        p.leave(i)
    gather(group)
    for i in live:
        made[i].run.write_info(**training.facts(made[i], "running"))
    return group


def gather(group: Group) -> None:
    """Stack the statistics of an interval under way, which every member brought from its save."""
    known = group.members[group.live[0]]
    zero = {name: torch.zeros_like(value) for name, value in known.totals.items()}
    group.counted = known.counted
    group.totals = {
        name: torch.stack([t.totals.get(name, zero[name]) for t in group.members]) for name in zero
    }


def spread(group: Group, index: int) -> Training:
    """A member's run with everything it has of the group, ready to be written."""
    t = group.members[index]
    t.state = group.population.member(index)
    t.totals = {name: value[index] for name, value in group.totals.items()}
    seconds = group.clock.now() if group.clock is not None else group.seconds
    t.counted, t.seconds, t.timing = group.counted, seconds, group.timing
    return t


def play(group: Group, control: Control) -> Iterator[bool]:
    """The steps from where the group stands to its last.

    Yields after every interval in which anything was written: whether it was the last.
    """
    clock, output = Clock(group), group.lead.config.output
    group.clock = clock
    step_once = stuck.first_watched(advance)
    steps = group.lead.steps
    if group.step == 0:
        clock.timed("sample", grids, group)
    score(group, control)  # what a kill kept from it
    yield False
    while group.step < steps and group.live and not control.stop:
        clock.timed("step", step_once, group)
        step, t = group.step, spread_step(group)
        last = step == steps
        logged = last or step % output.log_every == 0
        near = steps - step < stepping.LEAST_GAP
        scored = output.score_every > 0 and loop.passed(t, output.score_every)
        saved = control.save or clock.save_due() or (
            (loop.passed(t, output.save_every) or scored) and not near
        )  # fmt: skip
        if logged or step % stepping.CHECK_STEPS == 0:
            clock.timed("log", watch, group, clock, logged)
        if last or (loop.passed(t, output.sample_every) and not near):
            clock.timed("sample", grids, group)
        if saved:
            clock.timed("save", save, group)
            control.save = False
        if logged or saved:
            if scored and not near:
                score(group, control)
            with aside(group):
                yield False
    finish(group, control)
    group.seconds = clock.now()
    yield True


def spread_step(group: Group) -> Training:
    """The first run, its step that of the group."""
    group.lead.state.step = group.step
    return group.lead


def advance(group: Group) -> None:
    """One step of all games, their numbers added up on the device."""
    try:
        stats = group.population.step()
    except (RuntimeError, MemoryError) as error:
        if lacks_memory(error):
            half = max(1, len(group.members) // 2)
            raise OutOfMemoryError(
                f"{group.lead.resolved.device} cannot hold {len(group.members)} games: give "
                f"--at-once {half}"
            ) from None
        raise
    if group.totals:
        torch._foreach_add_([group.totals[name] for name in stats], list(stats.values()))
    else:
        group.totals = {name: value.clone() for name, value in stats.items()}
    group.counted += 1


def watch(group: Group, clock: Clock, logged: bool) -> None:
    """Log the interval where one ends; who diverged leaves, the others go on."""
    skipped = sum(group.totals[name] for name in SUMS if name in group.totals)
    assert isinstance(skipped, Tensor)
    left_out, finite = skipped.tolist(), group.population.finite().tolist()
    game = group.lead.config.game
    most = max(10, 0.01 * group.step * (game.d_steps + game.g_steps))
    for i in list(group.live):
        if not finite[i] or group.members[i].skipped + left_out[i] > most:
            diverged(group, i, finite[i], int(left_out[i]))
    if logged:
        log(group, clock, left_out)


def diverged(group: Group, index: int, finite: bool, skipped: int) -> None:
    """Close a member's seat; its folder says that it diverged and keeps its last checkpoint."""
    t = spread(group, index)
    try:  # a rollback is for the member alone, see `seeds.train`
        loop.diverged(replace(t, config=replace(t.config, on_nan="stop")), finite, skipped)
    except DivergedError as error:
        group.fallen[t.config.seed] = str(error)
        group.notes.append(f"seed {t.config.seed} {str(error).split('. Try')[0]}")
    leave(group, index, "diverged")


def leave(group: Group, index: int, status: str) -> None:
    """A member is trained no more."""
    flush(group, [index])
    curve(group, index)
    group.members[index].run.write_info(status=status)
    group.live.remove(index)
    group.population.leave(index)


def log(group: Group, clock: Clock, skipped: list[float]) -> None:
    """Means since the last record, one record a member; written now and then."""
    names, count = list(group.totals), max(1, group.counted)
    columns = torch.stack([group.totals[n].double() for n in names]).T.tolist()
    group.speed = clock.speed()
    for i in group.live:
        t = group.members[i]
        means = dict(zip(names, columns[i], strict=True))
        t.means = {name: means[name] / count for name in MEANS if name in means}
        t.means |= {"skipped": int(skipped[i]), "images_per_second": group.speed}
        t.skipped += int(skipped[i])
        t.state.step, t.seconds = group.step, group.seconds
        progress = t.report()
        t.pending.append({name: getattr(progress, name) for name in LOGGED})
    group.totals, group.counted = {}, 0
    if time.perf_counter() - clock.flushed > FLUSH_SECONDS:
        flush(group, group.live)
        clock.flushed = time.perf_counter()


def flush(group: Group, which: list[int]) -> None:
    """Write the records that wait; a full disk keeps them waiting."""
    for i in which:
        t = group.members[i]
        try:
            if t.pending:
                runs.append_log(t.run.log_path, t.pending)
                t.pending.clear()
        except DiskError as error:
            group.notes.append(f"{error}; training goes on")


def grids(group: Group) -> None:
    """Everyone's samples from its fixed noise."""
    for i in group.live:
        training.save_grid(spread(group, i))


def save(group: Group) -> None:
    """Everyone's log, checkpoint and model."""
    flush(group, group.live)
    for i in group.live:
        t = spread(group, i)
        training.save(t)
        if t.disk:
            group.notes.append(f"{t.disk}; training goes on")


def score(group: Group, control: Control) -> None:
    """Score everyone where that is due; who has had enough is finished.

    A signal leaves those that are still to come to the session that goes on.
    """
    with aside(group):
        for i in list(group.live) if group.scorers else ():
            if control.stop:
                break
            t = spread(group, i)
            told = group.scorers[i].watch(t, t.report()).note
            if told and len(group.live) == 1:
                group.notes.append(told)
            if group.controls[i].enough:
                training.finish(t, enough=True)
                group.scorers[i].close(t)
                leave(group, i, "finished")
                group.notes.append(
                    f"seed {t.config.seed} is finished: no better score for long enough"
                )


def finish(group: Group, control: Control) -> None:
    """Everyone's last checkpoint, status and score; the first fault is raised once all have tried.

    Where there are scores on the way the last step has one too, as in a single run: a member that
    a signal keeps from it is not finished.
    """
    faults: list[GanforgeError] = []
    flush(group, group.live)
    for i in list(group.live):
        try:
            t = spread(group, i)
            training.finish(t)
            if group.scorers and group.step == group.lead.steps:
                if control.stop:
                    t.run.write_info(status="stopped")
                else:
                    last_score(group, i)
        except DivergedError:
            diverged(group, i, False, 0)
        except DiskError as error:
            faults.append(error)
    if faults:
        raise faults[0]


def last_score(group: Group, index: int) -> None:
    """Score a member that has come to its last step, and keep the scores."""
    t = group.members[index]
    with aside(group):
        group.scorers[index].watch(t, t.report())  # what is there of steps that were lost is cut
        unscored = group.scorers[index].close(t)[1]
        if unscored:
            group.notes.append(f"seed {t.config.seed}: {unscored}")
        curve(group, index)


def curve(group: Group, index: int) -> None:
    """The curve of a member that has ended: drawn after every score of all it would take longer
    than their steps."""
    try:
        for scorer in group.scorers[index : index + 1]:
            scorer.draw()
    except DiskError as error:
        group.notes.append(str(error))


@contextmanager
def aside(group: Group) -> Iterator[None]:
    """What is done meanwhile is not training: the group's clock leaves it out."""
    began = time.perf_counter()
    yield
    if group.clock is not None:
        group.clock.start += time.perf_counter() - began


class Clock:
    """Where the time of a group goes, and when to save."""

    def __init__(self, group: Group):
        self.group = group
        self.start = time.perf_counter() - group.seconds
        self.marked, self.marked_step = time.perf_counter(), group.step
        self.saved = self.flushed = time.perf_counter()

    def timed(self, phase: str, function: Any, *arguments: Any) -> None:
        """Call, and add what it took to the group's phases and seconds."""
        began = time.perf_counter()
        function(*arguments)
        now = time.perf_counter()
        timing = self.group.timing
        timing[phase] = timing.get(phase, 0.0) + now - began
        self.group.seconds = now - self.start
        if phase == "save":
            self.saved = now

    def now(self) -> float:
        """Seconds of training so far, over all sessions."""
        return time.perf_counter() - self.start

    def save_due(self) -> bool:
        return time.perf_counter() - self.saved > loop.SAVE_SECONDS

    def speed(self) -> float:
        """Real images a second of one member since the last call, everything included."""
        now, step = time.perf_counter(), self.group.step
        images = (step - self.marked_step) * self.group.lead.images_a_step
        rate = images / max(now - self.marked, 1e-9)
        self.marked, self.marked_step = now, step
        return rate
