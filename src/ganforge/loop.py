"""`train(config, run)`: the loop that yields. Whoever iterates writes ordinary code in the body.

    for progress in loop.train(recipes.cdcgan(), "runs/a"):
        print(progress.step, progress.loss_d)

It resumes by itself: the same config and folder go on where the last good checkpoint stands, bit
for bit. It evaluates nothing, and prints nothing unless its first step does not end.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ganforge import (
    config,
    distributed,
    meeting,
    nets,
    openmp,
    runs,
    state,
    stepping,
    stuck,
    threads,
)
from ganforge.config import Config
from ganforge.data.source import Dataset, load
from ganforge.devices import Resolved, resolve
from ganforge.distributed import World
from ganforge.errors import DataError, DivergedError, Interrupted, UsageError
from ganforge.meeting import Meeting
from ganforge.progress import MEANS, SUMS, Control, Progress
from ganforge.restore import begin_again, resume, same_machine, same_start
from ganforge.runs import Run
from ganforge.stepping import CHECK_STEPS, advance, captured_now, compiled_now, interval
from ganforge.training import (
    Training,
    append_log,
    build,
    compile_step,
    facts,
    finish,
    save,
    save_grid,
)

SAVE_SECONDS = 600.0  # a checkpoint at least this often
MAX_ROLLBACKS = 3


def train(
    wanted: Config,
    path: Path | str,
    control: Control | None = None,
    data: Dataset | None = None,
) -> Iterator[Progress]:
    """Train `wanted` in the run folder `path`, or go on with it; yields at every log interval.

    control: to stop or save from outside. data: in place of what `wanted.data` names.
    Raises UsageError, DataError, DivergedError, OutOfMemoryError, DiskError; the last good
    checkpoint stays.
    """
    for _, progress in training(wanted, path, control, data):
        yield progress


def training(
    wanted: Config,
    path: Path | str,
    control: Control | None = None,
    data: Dataset | None = None,
    race: bool = True,
) -> Iterator[tuple[Training, Progress]]:
    """`train`, with the run in progress beside each record, for whoever samples or scores it.

    race: False where the threads must not depend on the machine's load, see `threads.settle`.
    """
    if not isinstance(wanted, Config):
        raise UsageError(f"{wanted!r}: expected a Config; call the recipe, as gf.recipes.cdcgan()")
    control = control or Control()
    run = Run(Path(path))
    with ExitStack() as stack:
        with control.may_give_up():
            world = distributed.from_environment()
            m = stack.enter_context(meeting.attended(world, control.timeout))
            before, t = begin(stack, m, wanted, run, control, data)
        if world.leads:
            occupy(stack, run, wanted, control.take_over)
        notes = compile_step(t) + resume(t)[1]
        if world.leads:
            runs.prepare(run.path, wanted)
        enough = t.state.step >= t.steps or control.enough
        if enough and before.get("status") == "finished":
            yield t, t.report(note="already finished: nothing to do", done=True)
            return
        if t.compiled is not None:
            yield t, t.report(note="compiling the step, or taking it from the cache")
            with control.may_give_up():
                notes += compiled_now(t)
        elif t.captured is not None:
            notes += captured_now(t)
        notes += settled(t, control, before, race)
        if world.leads:
            run.write_info(**facts(t, "running"))
        try:
            yield from play(t, control, notes)
        except DivergedError:
            if world.leads:
                run.write_info(status="diverged")
            raise


def begin(
    stack: ExitStack,
    m: Meeting,
    wanted: Config,
    run: Run,
    control: Control,
    data: Dataset | None,
) -> tuple[dict[str, Any], Training]:
    """What was last known of the run, and `wanted` before its first step, on every process.

    Nothing is written. The leader alone looks into the run folder; a process that would train on
    other data, or other settings, ends all of them.
    """
    world = m.world
    known = meeting.from_leader(m, last_known(run, wanted, control.enough) if world.leads else None)
    before: dict[str, Any] = known["before"]
    control.enough |= known["enough"]
    nets.refuse_size(wanted.networks, wanted.size)
    data = data or load(wanted.data, size=wanted.size)
    state.players_spec(wanted, data.spec)  # refused before a folder is made
    if wanted.labels:
        every_class(wanted, data)
    if before.get("data_sha256", data.sha256) != data.sha256:
        raise DataError(
            f"{wanted.data}: not the data this run was trained on (their sha256 differs): restore "
            "them, or give --out for a new run"
        )
    resolved = resolve(wanted, chosen_before(before, world), world, data.spec)
    same_everywhere(m, wanted, data, resolved)
    distributed.join(world, resolved.device, m.store, m.timeout)
    t = build(wanted, run, data, resolved, m)
    stack.callback(t.batches.close)
    if t.steps < int(before.get("step", 0)):
        raise UsageError(
            f"{run.path} has already gone {before['step']:,} steps and this budget is "
            f"{t.steps:,}: give a larger one, or --out for a new run"
        )
    if not known["exists"]:
        same_start(t)
    return before, t


def last_known(run: Run, wanted: Config, enough: bool) -> dict[str, Any]:
    """What the leader finds in the run folder, for all processes, before the data are loaded.

    Raises UsageError where the folder holds another run: the data may be what differs.
    """
    exists = run.exists()
    if exists:
        runs.refuse_changes(run, wanted)
    before = runs.last_known(run) if exists else {}
    return {"exists": exists, "before": before, "enough": enough}


def same_everywhere(m: Meeting, wanted: Config, data: Dataset, resolved: Resolved) -> None:
    """UsageError, DataError where a process would train otherwise than the leader."""
    kind = resolved.device.partition(":")[0]
    choices = {"device": kind, "precision": resolved.precision}
    settings = config.to_dict(wanted)
    for key in ("data", "device", "threads"):  # a path, a number of a GPU, cores: each machine's
        del settings[key]
    found = meeting.gather(m, choices | {"settings": settings, "data": data.sha256})
    for rank, there in enumerate(found):
        who = f"rank {rank} of {m.world.size}"
        changed = config.difference(found[0]["settings"], there["settings"])
        for key, value, other in changed[:1]:
            raise UsageError(
                f"{who} has {key} = {other!r}, rank 0 has {value!r}: give all the same settings"
            )
        if there["data"] != found[0]["data"]:
            raise DataError(
                f"{wanted.data}: {who} has other data than rank 0 (their sha256 differs): give "
                "every machine the same"
            )
        for key in choices:
            if there[key] != found[0][key]:
                raise UsageError(
                    f"{key}: {who} would train with {there[key]}, rank 0 with {found[0][key]}: "
                    f"give --{key}, the same for all"
                )


def settled(t: Training, control: Control, before: dict[str, Any], race: bool) -> list[str]:
    """Choose the threads, now that it is known how steps are played; what the user should know."""
    notes = openmp.switch_off()
    with suppress(Interrupted), control.may_give_up():  # `play` then ends before the first step
        threads.settle(t, before, race)
    return notes + same_machine(t, before)


def every_class(wanted: Config, data: Dataset) -> None:
    """DataError where a conditional game would train a label that has no examples."""
    if data.labels is None:
        return
    counts = np.bincount(data.labels, minlength=data.spec.classes)
    empty = np.flatnonzero(counts == 0)
    if len(empty):
        shown = ", ".join(map(str, empty[:8])) + (", ..." if len(empty) > 8 else "")
        raise DataError(
            f"{wanted.data}: no training example has the label {shown}, of 0 to "
            f"{data.spec.classes - 1}: number the labels 0..K-1 without gaps, or add examples"
        )


def chosen_before(before: dict[str, Any], world: World) -> dict[str, Any]:
    """What `auto` chose at the run's start; of several GPUs each process takes its own."""
    kept: dict[str, Any] = before.get("resolved", {})
    if world.size > 1 and "device" in kept:
        kept = kept | {"device": kept["device"].partition(":")[0]}
    return kept


def occupy(stack: ExitStack, run: Run, wanted: Config, take_over: bool = False) -> None:
    """Make the run folder, or make sure that it holds this run; and lock it."""
    if not run.exists():
        runs.prepare(run.path, wanted)
    stack.enter_context(runs.locked(run, take_over))
    runs.refuse_changes(run, wanted)  # under the lock: another trainer may have changed them
    runs.clean(run)


def play(t: Training, control: Control, notes: list[str]) -> Iterator[tuple[Training, Progress]]:
    """The steps from where `t` stands to its last, with logs, grids and checkpoints between."""
    clock, pace = Clock(t), threads.Pace(t)
    step_once = stuck.first_watched(advance, t.world.leads)
    output = t.config.output
    for note in notes:
        yield t, t.report(note=note)
    if t.state.step == 0:
        yield t, t.report(grid=clock.timed("sample", save_grid, t))
    stop = told_to_stop(t, control)
    while t.state.step < t.steps and not stop:
        clock.timed("step", step_once, t)
        told = [control.save or clock.save_due(), control.stop]
        ask, stop = distributed.any_rank(t.world, told, t.resolved.device)
        step, last = t.state.step, t.state.step == t.steps
        logged = last or step % output.log_every == 0
        near = t.steps - step < stepping.LEAST_GAP  # the last step draws and saves anyway
        drawn = last or (passed(t, output.sample_every) and not near)
        scored = output.score_every > 0 and passed(t, output.score_every)
        saved = ask or ((passed(t, output.save_every) or scored) and not near)
        if logged or step % CHECK_STEPS == 0:
            note = clock.timed("log", watch, t, clock, logged)
            if note:
                yield t, t.report(note=note)
                continue
        if not (logged or drawn or saved):
            continue
        grid = clock.timed("sample", save_grid, t) if drawn else None
        path = clock.timed("save", save, t) if saved else None
        if saved:
            control.save = False
        note = f"{t.disk}; training goes on" if t.disk else pace.look() if logged else ""
        given = time.perf_counter()
        yield t, replace(t.report(), grid=grid, saved=path, note=note)
        clock.start += time.perf_counter() - given  # what the body does is not training
        stop = stop or told_to_stop(t, control)
    end = finish(t, control.enough)
    distributed.barrier(t.world)  # the leader's save is everybody's
    yield t, end


def told_to_stop(t: Training, control: Control) -> bool:
    """Whether a signal, the body or a score has said on any rank that this is the last step."""
    told = [control.stop or control.enough]
    return distributed.any_rank(t.world, told, t.resolved.device)[0]


class Clock:
    """Where the time of a run goes: training seconds over all its sessions, and by phase."""

    def __init__(self, t: Training):
        self.t = t
        self.start = time.perf_counter() - t.seconds
        self.marked = self.start + t.seconds
        self.marked_images = t.samples_seen
        self.saved = time.perf_counter()

    def timed(self, phase: str, function: Any, *arguments: Any) -> Any:
        began = time.perf_counter()
        out = function(*arguments)
        now = time.perf_counter()
        self.t.timing[phase] = self.t.timing.get(phase, 0.0) + now - began
        self.t.seconds = now - self.start
        if phase == "save":
            self.saved = now
        return out

    def save_due(self) -> bool:
        return time.perf_counter() - self.saved > SAVE_SECONDS

    def speed(self) -> float:
        """Real images a second since the last call, everything included."""
        now, images = time.perf_counter(), self.t.samples_seen
        rate = (images - self.marked_images) / max(now - self.marked, 1e-9)
        self.marked, self.marked_images = now, images
        return rate


def passed(t: Training, epochs: float) -> bool:
    """Whether this step completes `epochs` more passes (at least LEAST_GAP steps apart)."""
    return t.state.step % interval(t, epochs) == 0


def watch(t: Training, clock: Clock, logged: bool) -> str:
    """Log the interval where one ends, and look whether the game still is one.

    Returns a note where the run was rolled back; raises DivergedError where it must stop.
    """
    skipped = int(sum(float(t.totals[name]) for name in SUMS if name in t.totals))
    sick = not state.all_finite(t.state)
    finite = not distributed.any_rank(t.world, [sick], t.resolved.device)[0]
    turns = t.state.step * (t.config.game.d_steps + t.config.game.g_steps)
    if not finite or t.skipped + skipped > max(10, 0.01 * turns):
        return diverged(t, finite, skipped)
    if logged:
        log(t, clock, skipped)
    return ""


def log(t: Training, clock: Clock, skipped: int) -> None:
    """Means since the last record, into the log; counted anew from here."""
    names = list(t.totals)
    values = torch.stack([t.totals[n].double() for n in names]).tolist()
    totals, count = dict(zip(names, values, strict=True)), max(1, t.counted)
    t.means = {name: totals[name] / count for name in MEANS if name in totals}
    t.means |= {"skipped": skipped, "images_per_second": clock.speed()}
    t.skipped += skipped
    t.totals, t.counted = {}, 0
    append_log(t, t.report())


def diverged(t: Training, finite: bool, skipped: int) -> str:
    """Stop with the cause and a remedy, or go back to the last checkpoint at half the rates."""
    count = max(1, t.counted)
    loss = {p: float(t.totals.get(f"loss_{p}", math.nan)) / count for p in "dg"}
    player = sick_player(t, loss)
    what = f"{t.skipped + skipped} updates were not finite" if finite else "a weight is not finite"
    rate = getattr(t.config, player).lr * t.rate_scale
    message = (
        f"diverged by step {t.state.step:,}: {what}, in the {player} (loss_d {loss['d']:.4g}, "
        f"loss_g {loss['g']:.4g})"
    )
    rollbacks = round(-math.log2(t.rate_scale))
    if t.config.on_nan == "rollback" and rollbacks < MAX_ROLLBACKS:
        scale = t.rate_scale / 2
        found, _ = resume(t)
        if not found:
            begin_again(t)
        t.rate_scale = scale
        return f"{message}; back at step {t.state.step:,} with the learning rates halved"
    tries = [f"a lower rate (--{player}.lr {rate / 3:.2g})"]
    tries += ["--precision fp32"] if t.resolved.precision != "fp32" else []
    tries += ["--on-nan rollback"] if t.config.on_nan == "stop" else []
    raise DivergedError(f"{message}. Try {' or '.join(tries)}; the last good checkpoint is kept")


def sick_player(t: Training, loss: dict[str, float]) -> str:
    """The player with a weight or a loss that is not finite."""
    for side in ("discriminator", "generator"):
        module = getattr(t.state.players, side)
        if not all(bool(torch.isfinite(p).all()) for p in module.parameters()):
            return side
    return "discriminator" if not math.isfinite(loss["d"]) else "generator"
