"""The loop that yields: whoever iterates writes ordinary code in the body.

    for progress in gf.iterate(gf.recipes.cdcgan(), "runs/a"):
        print(progress.step, progress.loss_d)

It resumes by itself: the same config and folder continue from the last good checkpoint, bit for
bit. It evaluates nothing, and prints nothing unless its first step does not end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from ganforge.config import convert
from ganforge.config.schema import Config
from ganforge.data.load import Dataset
from ganforge.errors import DataError, DivergedError, Interrupted, UsageError
from ganforge.runs import folder
from ganforge.runs.folder import Run
from ganforge.runs.records import Control, Progress
from ganforge.training import (
    checks,
    distributed,
    divergence,
    meeting,
    minutes,
    openmp,
    restore,
    stuck,
    threads,
    transfer,
)
from ganforge.training.clock import Clock
from ganforge.training.device import Resolved, resolve
from ganforge.training.meeting import Meeting
from ganforge.training.trainer import CHECK_STEPS, Trainer

FIRST_LINE = 7.0  # seconds of steps after which a run without a record says how it goes


def train(
    config: Config,
    path: Path | str,
    control: Control | None = None,
    data: Dataset | None = None,
) -> Iterator[Progress]:
    """Train `config` in the run folder `path`, or continue the run there.

    Args:
        control: to stop or save from outside.
        data: in place of what `config.data` names.

    Yields:
        A record at every log interval.

    Raises:
        UsageError, DataError, DivergedError, OutOfMemoryError, DiskError, BusyError: the last good
            checkpoint stays.
    """
    for _, progress in training(config, path, control, data):
        yield progress


def training(
    config: Config,
    path: Path | str,
    control: Control | None = None,
    data: Dataset | None = None,
    race: bool = True,
) -> Iterator[tuple[Trainer, Progress]]:
    """`train`, with the trainer beside each record, for whoever samples or scores it.

    race: False if the threads must not depend on the machine's load, see `threads.settle`.
    """
    if not isinstance(config, Config):
        raise UsageError(f"{config!r}: expected a Config; call the recipe, as gf.recipes.cdcgan()")
    control = control or Control()
    run = Run(Path(path))
    with ExitStack() as stack:
        with control.may_be_interrupted():
            world = distributed.from_environment()
            config = minutes.resolved(config, run.path, data)
            m = stack.enter_context(meeting.attended(world, control.timeout))
            before, t = begin(stack, m, config, run, control, data)
        notes = enter_run_folder(stack, t, control)
        if before.get("status") == "finished" and (t.state.step >= t.steps or control.enough):
            yield t, t.progress(note="already finished: nothing to do", done=True)
            return
        if t.compiled is not None:
            yield t, t.progress(note="compiling the step, or loading it from the cache")
        notes += prepare(t, before, control, race)
        try:
            for progress in play(t, control, notes, partial(divergence.check, t)):
                yield t, progress
        except DivergedError:
            if world.is_main_process:
                run.write_info(status="diverged")
            raise


def play(
    t: Trainer,
    control: Control,
    notes: list[str],
    check: Callable[[], str],
    first_line: float = FIRST_LINE,
) -> Iterator[Progress]:
    """The steps from where `t` stands to its last, with logs, samples and checkpoints between.

    check: whether the game has diverged; a note if the run is back at an earlier step.
    first_line: seconds of steps after which a note is due if there is no record yet.
    """
    t.clock = clock = Clock(t.clock.seconds, t.samples_seen)
    step = stuck.first_watched(t.step, t.world.is_main_process)
    pace, silence = threads.Pace(t), stuck.Silence(t, first_line)
    for note in notes:
        yield t.progress(note=note)
    if t.state.step == 0:
        yield t.progress(grid=draw_samples(t))

    drawn, stop = t.state.step, should_stop(t, control)
    while t.state.step < t.steps and not stop:
        with clock.phase("step"):
            step()
        due = due_now(t, control)
        stop = "stop" in due
        if note := rolled_back(t, due, check):
            yield t.progress(note=note)
            continue
        written = write(t, control, due)
        if note := silence.note("log" in due):
            yield t.progress(note=note)
        if due & {"log", "sample", "save"}:
            drawn = t.state.step if "sample" in due else drawn
            slow = pace.look() if "log" in due and not t.disk else ""
            note = f"{t.disk}; training goes on" if t.disk else slow
            with clock.left_out():
                yield replace(t.progress(), **written, note=note)
            stop = stop or should_stop(t, control)

    yield end(t, control, drawn)


def rolled_back(t: Trainer, due: set[str], check: Callable[[], str]) -> str:
    """The note of a check that is due, "" unless the run is back at an earlier step."""
    if "check" not in due:
        return ""
    with t.clock.phase("log"):
        return check()


def draw_samples(t: Trainer) -> Path | None:
    """A new grid."""
    with t.clock.phase("sample"):
        return t.save_samples()


def end(t: Trainer, control: Control, drawn: int) -> Progress:
    """The last record, with the newest grid of a run that was stopped; drawn: the last grid's step.

    The checkpoint is written first: it is what a second signal must not lose.
    """
    last = t.finish(control.enough)
    if t.state.step > drawn:
        last = replace(last, grid=draw_samples(t))
    distributed.barrier(t.world)  # the leader's save is everybody's
    return last


def write(t: Trainer, control: Control, due: set[str]) -> dict[str, Any]:
    """Write the log, the samples and the checkpoint if they are due; the paths for a record."""
    written: dict[str, Any] = {}
    if "log" in due:
        with t.clock.phase("log"):
            t.log()
    if "sample" in due:
        written["grid"] = draw_samples(t)
    if "save" in due:
        with t.clock.phase("save"):
            written["saved"] = t.save()
        control.save = False
    return written


def due_now(t: Trainer, control: Control) -> set[str]:
    """What is due after this step, the same on every process."""
    output, step, last = t.config.output, t.state.step, t.state.step == t.steps
    gap = min(t.min_gap, t.sample_interval)
    asked, stop = distributed.any_rank(
        t.world, [control.save or t.clock.save_due(), control.stop], t.resolved.device
    )
    log = last or step % t.log_interval == 0
    early = t.steps - step >= t.min_gap  # the last step saves and draws samples anyway
    due = {
        "check": log or step % CHECK_STEPS == 0,
        "log": log,
        "sample": last or (t.steps - step >= gap and step % t.sample_interval == 0),
        "save": asked or (early and (t.is_due(output.save_every) or t.is_due(output.score_every))),
        "stop": stop,
    }
    return {name for name, is_due in due.items() if is_due}


def should_stop(t: Trainer, control: Control) -> bool:
    """Whether a signal, the body or a score has asked any process to stop after this step."""
    asked = [control.stop or control.enough]
    return distributed.any_rank(t.world, asked, t.resolved.device)[0]


def begin(
    stack: ExitStack,
    m: Meeting,
    config: Config,
    run: Run,
    control: Control,
    data: Dataset | None,
) -> tuple[dict[str, Any], Trainer]:
    """What was last known of the run, and `config` before its first step, on every process.

    Nothing is written. The leader alone looks into the run folder; a process that would train on
    other data, or other settings, ends all of them.
    """
    world = m.world
    found: dict[str, Any] = {}
    if world.is_main_process:  # before the data are loaded: they may be what differs
        found = {"exists": run.exists(), "before": checks.require_folder(run, config)}
    known = meeting.from_leader(m, found | {"enough": control.enough})
    before: dict[str, Any] = known["before"]
    control.enough |= known["enough"]
    data = checks.require_data(config, data)
    checks.require_same_run(run, config, before, data)
    resolved = resolve(config, before.get("resolved", {}), world, data.spec)
    same_everywhere(m, config, data, resolved)
    distributed.join(world, resolved.device, m.store, m.timeout)
    t = Trainer.build(config, run, data, resolved, m)
    stack.callback(t.batches.close)
    if world.is_main_process:
        checks.require_start(run, config, t.state)
    if not known["exists"]:
        restore.same_start(t)
    return before, t


def enter_run_folder(stack: ExitStack, t: Trainer, control: Control) -> list[str]:
    """Claim the run folder, and put `t` where its newest checkpoint stands; notes about it."""
    if t.world.is_main_process:
        claim_run_folder(stack, t.run, t.config, control.take_over)
    notes = t.data.remarks() + t.choose_steps()
    resumed, found = restore.resume(t)
    notes += found
    if t.config.init_from and not resumed:
        notes.append(transfer.begin_from(t))
        restore.same_start(t)
    if t.world.is_main_process:
        notes += folder.moved(t.run, t.config)
        folder.prepare(t.run.path, t.config)
    return notes


def prepare(t: Trainer, before: dict[str, Any], control: Control, race: bool) -> list[str]:
    """Compile the steps, choose the threads, and say that the run is on its way; notes about it."""
    notes: list[str] = []
    if t.compiled is not None:
        with control.may_be_interrupted():
            notes += t.prepare_steps()
    notes += openmp.switch_off()
    # if interrupted, `play` ends before the first step
    with suppress(Interrupted), control.may_be_interrupted():
        threads.settle(t, before, race)
    notes += restore.same_machine(t, before)
    if t.world.is_main_process:
        t.run.write_info(**t.facts("running"))
    return notes


def same_everywhere(m: Meeting, config: Config, data: Dataset, resolved: Resolved) -> None:
    """UsageError or DataError if a process would train otherwise than the leader."""
    settings = convert.to_dict(config)
    for key in ("data", "device", "threads"):  # a path, a number of a GPU, cores: each machine's
        del settings[key]
    kind = resolved.device.partition(":")[0]
    ours = {"data": data.sha256, "device": kind, "precision": resolved.precision}
    found = meeting.gather(m, ours | {"settings": settings})
    first = found[0]
    for rank, there in enumerate(found):
        who = f"rank {rank} of {m.world.size}"
        for key, value, other in convert.difference(first["settings"], there["settings"])[:1]:
            raise UsageError(
                f"{who} has {key} = {other!r}, rank 0 has {value!r}: give all the same settings"
            )
        changed = [key for key in ours if there[key] != first[key]]
        if "data" in changed:
            raise DataError(
                f"{config.data}: {who} has other data than rank 0 (their sha256 differs): give "
                "every machine the same"
            )
        for key in changed:
            raise UsageError(
                f"{key}: {who} would train with {there[key]}, rank 0 with {first[key]}: "
                f"give --{key}, the same for all"
            )


def claim_run_folder(stack: ExitStack, run: Run, config: Config, take_over: bool = False) -> None:
    """Make the run folder, or make sure that it holds this run; and lock it."""
    if not run.exists():
        folder.prepare(run.path, config)
    stack.enter_context(folder.locked(run, take_over))
    folder.refuse_changes(run, config)  # under the lock: another trainer may have changed them
    folder.clean(run)
