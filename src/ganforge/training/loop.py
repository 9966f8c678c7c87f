"""`train(config, run)`: the loop that yields. Whoever iterates writes ordinary code in the body.

    for progress in loop.train(recipes.cdcgan(), "runs/a"):
        print(progress.step, progress.loss_d)

It resumes by itself: the same config and folder go on where the last good checkpoint stands, bit
for bit. It evaluates nothing, and prints nothing unless its first step does not end.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from ganforge.config import convert
from ganforge.config.schema import Config
from ganforge.data.load import Dataset, load
from ganforge.errors import DataError, DivergedError, Interrupted, UsageError
from ganforge.runs import folder
from ganforge.runs.folder import Run
from ganforge.runs.records import Control, Progress
from ganforge.training import checks, distributed, meeting, openmp, stepping, stuck, threads
from ganforge.training.checks import every_class
from ganforge.training.clock import Clock
from ganforge.training.device import Resolved, resolve
from ganforge.training.distributed import World
from ganforge.training.divergence import watch
from ganforge.training.meeting import Meeting
from ganforge.training.restore import resume, same_machine, same_start
from ganforge.training.stepping import CHECK_STEPS, advance, captured_now, compiled_now, interval
from ganforge.training.trainer import (
    Training,
    build,
    compile_step,
    facts,
    finish,
    save,
    save_grid,
)


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
            folder.prepare(run.path, wanted)
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
    checks.refuse_size(wanted.networks, wanted.size)
    data = data or load(wanted.data, size=wanted.size)
    checks.players_spec(wanted, data.spec)  # refused before a folder is made
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
        folder.refuse_changes(run, wanted)
    before = folder.last_known(run) if exists else {}
    return {"exists": exists, "before": before, "enough": enough}


def same_everywhere(m: Meeting, wanted: Config, data: Dataset, resolved: Resolved) -> None:
    """UsageError, DataError where a process would train otherwise than the leader."""
    kind = resolved.device.partition(":")[0]
    choices = {"device": kind, "precision": resolved.precision}
    settings = convert.to_dict(wanted)
    for key in ("data", "device", "threads"):  # a path, a number of a GPU, cores: each machine's
        del settings[key]
    found = meeting.gather(m, choices | {"settings": settings, "data": data.sha256})
    for rank, there in enumerate(found):
        who = f"rank {rank} of {m.world.size}"
        changed = convert.difference(found[0]["settings"], there["settings"])
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


def chosen_before(before: dict[str, Any], world: World) -> dict[str, Any]:
    """What `auto` chose at the run's start; of several GPUs each process takes its own."""
    kept: dict[str, Any] = before.get("resolved", {})
    if world.size > 1 and "device" in kept:
        kept = kept | {"device": kept["device"].partition(":")[0]}
    return kept


def occupy(stack: ExitStack, run: Run, wanted: Config, take_over: bool = False) -> None:
    """Make the run folder, or make sure that it holds this run; and lock it."""
    if not run.exists():
        folder.prepare(run.path, wanted)
    stack.enter_context(folder.locked(run, take_over))
    folder.refuse_changes(run, wanted)  # under the lock: another trainer may have changed them
    folder.clean(run)


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


def passed(t: Training, epochs: float) -> bool:
    """Whether this step completes `epochs` more passes (at least LEAST_GAP steps apart)."""
    return t.state.step % interval(t, epochs) == 0
