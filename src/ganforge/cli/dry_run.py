"""`ganforge train --dry-run`: everything of a run except the run.

It asks what the run would ask, refuses what the run would refuse, and plays some steps of a copy.
Nothing is written.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganforge.config.schema import Config

if TYPE_CHECKING:
    from ganforge.experiments.plan import Plan
    from ganforge.training.distributed import World
    from ganforge.training.trainer import Trainer

UNTOUCHED = "nothing was trained or written"


def one_run(
    chosen: Config,
    path: Path,
    world: World | None = None,
    read: Any = None,
    take_over: bool = False,
) -> Iterator[str]:
    """What a run would train, on what, from where and for how long.

    Args:
        chosen: its config.
        path: its folder.
        world: the processes that share a batch; None for one.
        read: data that are an object in place of those that the config names.
        take_over: see `ganforge train --help`.
    """
    from ganforge.api.objects import part_of
    from ganforge.recipes import results
    from ganforge.runs import folder, lock
    from ganforge.training import checks, distributed, minutes, restore, threads
    from ganforge.training.meeting import Meeting
    from ganforge.training.trainer import Trainer

    run, world = folder.Run(path), world or distributed.from_environment()
    part = None if read is None else part_of(read, chosen.size)
    chosen = minutes.resolved(chosen, path, part)
    found = checks.require_trainable({path: chosen}, part, world=world)
    lock.require_free(path / lock.LOCK, take_over)
    before = folder.last_known(run) if run.exists() else {}
    data, resolved = found.data, found.resolved
    t = Trainer(chosen, data, run, resolved, found.begun, Meeting(world))
    try:
        checkpoint, notes = restore.foresee(t)
        t.rates = threads.known(before)
        yield f"recipe         {chosen.name}"
        yield f"data           {chosen.data}: {len(data):,} examples of shape {data.spec.shape}"
        if data.counts:
            train, validation, test = data.counts
            yield f"parts          train {train:,}, validation {validation:,}, test {test:,}"
        yield from (*data.remarks(), *notes)
        for side in ("generator", "discriminator"):
            count = sum(p.numel() for p in getattr(t.state.players, side).parameters())
            yield f"{side:<14} {count:,} parameters"
        yield f"budget         {budget(t)}"
        yield f"device         {resolved.device}, {resolved.precision}, {threads.planned(t)}"
        if checkpoint is not None:
            yield f"goes on        from step {t.state.step:,} of {t.steps:,}, {checkpoint}"
        yield from ahead(t, before)
        for i, line in enumerate(results.lines(chosen)):
            yield f"{'' if i else 'reached':<14} {line}"
        yield f"folder         {path}"
        yield UNTOUCHED
    finally:
        t.batches.close()


def budget(t: Trainer) -> str:
    """Steps, batch and real examples."""
    images = t.steps * t.images_a_step
    return f"{t.steps:,} steps of {t.config.batch}: {images:,} {t.data.spec.unit}"


def ahead(t: Trainer, before: dict[str, Any]) -> Iterator[str]:
    """How long the rest of a run takes here, by steps of a copy, and the memory of these."""
    from ganforge.callbacks.evaluate import stale
    from ganforge.evaluation import store
    from ganforge.experiments.ensemble.capability import free_memory
    from ganforge.experiments.plan import size
    from ganforge.training import threads
    from ganforge.training.forecast import forecast

    left = (t.steps - t.state.step) * t.images_a_step
    finished = before.get("status") == "finished"
    if finished and (not left or stale(store.curve(t.run), t.config.output.patience)):
        yield "takes          nothing: the run is finished; a larger budget goes on with it"
        return
    if t.world.size > 1:
        yield f"takes          not measured: {t.world.size} processes share every batch"
        return
    threads.settle(t, before)
    seen = forecast(t)
    number = t.resolved.threads
    where = f" on {number} thread{'s' * (number > 1)}" if t.resolved.device == "cpu" else ""
    yield (
        f"takes          about {lasting(left / seen.rate)} here for {left:,} {t.data.spec.unit}, "
        f"{seen.rate:,.0f} a second in {seen.steps:,} steps of a copy{where}"
        + (", before it is compiled" if t.config.compile else "")
    )
    yield "               scores, grids and checkpoints come on top"
    if seen.memory is not None:
        free = size(free_memory(t.resolved.device))
        yield f"memory         {size(seen.memory)} at the peak of these steps, {free} are free"


def lasting(seconds: float) -> str:
    """A duration in the unit that fits: 40 seconds, 2.1 minutes, 3.0 hours."""
    if seconds < 60:
        return f"{seconds:.2g} seconds"
    return f"{seconds / 60:.1f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"


def seeds(plan: Plan, take_over: bool = False) -> Iterator[str]:
    """What a training with many seeds would do, from where, and for how long.

    Args:
        plan: of the training, before anything is written.
        take_over: see `ganforge train --help`.
    """
    from ganforge.recipes import results
    from ganforge.runs import lock
    from ganforge.training import restore
    from ganforge.training.trainer import Trainer

    config, on = plan.config, plan.resolved
    images = plan.steps * config.batch * config.game.d_steps
    yield f"budget: {plan.steps:,} steps of {config.batch} for each, {images:,} real examples"
    yield f"device: {on.device}, {on.precision}, {on.threads} threads"
    waiting = [seed for seed in plan.seeds if plan.pending(seed)]
    if waiting:
        first = waiting[0]
        t = Trainer.build(plan.config_of(first), plan.run(first), plan.data, on)
        try:
            for seed in waiting:
                t.run = plan.run(seed)
                lock.require_free(t.run.path / lock.LOCK, take_over)
                checkpoint, notes = restore.foresee(t)
                if checkpoint is not None:
                    yield f"seed {seed}: goes on from step {t.state.step:,} of {t.steps:,}"
                yield from (f"seed {seed}: {note}" for note in notes)
            yield from groups_ahead(plan, t)
        finally:
            t.batches.close()
    yield from (f"reached: {line}" for line in results.lines(config))
    yield UNTOUCHED


def groups_ahead(plan: Plan, t: Trainer) -> Iterator[str]:
    """How long the groups of a plan take here, by steps of the largest. t: one seed's trainer."""
    from ganforge.experiments.plan import common_step

    groups = [[plan.run(s) for s in group if plan.pending(s)] for group in plan.groups]
    steps = [plan.steps - (common_step(runs) or 0) for runs in groups]
    count, seconds = step_seconds(plan, t)
    yield (
        f"takes about {lasting(sum(steps) * seconds)} here: {sum(steps):,} steps, {seconds:.2g} "
        f"seconds a step in {count:,} of a copy; scores, grids and checkpoints come on top"
    )


def step_seconds(plan: Plan, t: Trainer) -> tuple[int, float]:
    """(steps, seconds a step) of a copy of the largest group, or of one seed."""
    import time

    from ganforge.experiments.ensemble.stack import Ensemble
    from ganforge.training.forecast import MOST_STEPS, SECONDS, forecast

    if plan.one_by_one:
        seen = forecast(t)
        return seen.steps, seen.seconds / seen.steps
    largest, on = max(plan.groups, key=len), plan.resolved
    games = Ensemble(plan.config, largest, plan.data, on.precision, on.device)
    games.step()
    began, count = time.perf_counter(), 0
    while count < MOST_STEPS and time.perf_counter() - began < SECONDS:
        games.step()
        games.finite().tolist()  # a GPU's work is only queued so far
        count += 1
    return count, (time.perf_counter() - began) / count
