"""The runs of a comparison: which are missing, and how they are trained, at once or one by one.

The missing runs of a variant are trained at once if that pays. Each has the folder, the files and,
but for the last digits, the numbers of a run trained alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from ganforge import api, diagnosis
from ganforge.callbacks.diagnose import SHORTEST
from ganforge.config.schema import Config
from ganforge.errors import DivergedError, GanforgeError, Interrupted, OutOfMemoryError, UsageError
from ganforge.experiments import plan as plans
from ganforge.experiments import seeds
from ganforge.experiments.compare import runs
from ganforge.experiments.compare.comparison import Scoring
from ganforge.experiments.plan import Plan
from ganforge.experiments.seeds import StoppedError
from ganforge.runs import checkpoint, folder, load
from ganforge.runs.folder import Run
from ganforge.runs.records import Control
from ganforge.training import checks, distributed, signals


@dataclass(frozen=True)
class Job:
    """One run of a comparison: the name of its recipe or variant, its settings, its folder."""

    label: str
    config: Config
    folder: Path

    @property
    def name(self) -> str:
        """As lines call it."""
        return f"{self.label}, seed {self.config.seed}"


def by_label(jobs: Sequence[Job]) -> dict[str, list[Job]]:
    """The jobs of each recipe or variant."""
    out: dict[str, list[Job]] = {}
    for job in jobs:
        out.setdefault(job.label, []).append(job)
    return out


def is_trained(job: Job) -> bool:
    """Whether the run of a job has ended; UsageError if its folder has another run in it."""
    run = Run(job.folder)
    if not run.exists():
        return False
    changed = runs.differences(load.load_config(run), job.config)
    if changed:
        listed = ", ".join(f"{key} = {old!r} there, {new!r} here" for key, old, new in changed[:4])
        raise UsageError(f"{run.path} holds another run: {listed}; give another --out")
    return run.info().get("status") in plans.ENDED


def train_missing(
    jobs: Sequence[Job], show: str = "auto", scoring: Scoring | None = None
) -> Iterator[str]:
    """Train the runs that are missing; yields a line before each run.

    Runs of one variant are trained at once if that pays. All folders are checked before the first
    step. A run that was begun is continued; a run that has ended, or diverged, is left as it is.

    Raises:
        StoppedError: a signal ended a run.
    """
    missing = [job for job in jobs if not is_trained(job)]
    require_trainable(missing, scoring or Scoring())
    number = 0
    for some, plan in turns(jobs, missing):
        for job in some:
            number += 1
            yield f"{job.name}: run {number} of {len(missing)} to train, in {job.folder}"
        if len(some) > 1:
            yield f"{some[0].label}: these {len(some)} are trained at once"
        control = Control()
        diverged = train(some, plan, show, control)
        for job in some:
            if job.config.seed in diverged:
                yield f"{job.name}: {diverged[job.config.seed]}"
        if control.signal:
            name = some[0].name if len(some) == 1 else f"{some[0].label}, {len(some)} seeds"
            raise StoppedError(name, control.signal)


def progress_lines(jobs: Sequence[Job], scoring: Scoring) -> Iterator[str]:
    """The lines of `train_missing`, with the runs that are there already and the scoring."""
    before = sum(map(is_trained, jobs))
    if before:
        yield f"{before} of {len(jobs)} runs are there already"
    yield from train_missing(jobs, scoring=scoring)
    yield f"scoring {len(jobs)} runs"


def require_trainable(jobs: Sequence[Job], scoring: Scoring) -> None:
    """UsageError, DataError or DiskError if a job cannot be trained, or its run not be scored."""
    for same in by_label(jobs).values():
        folder.refuse_occupied(same[0].folder.parent, folder.of_seeds)
        checks.require_trainable({job.folder: job.config for job in same})
    if jobs:
        runs.refuse_unscorable([job.config for job in jobs], scoring)


def turns(jobs: Sequence[Job], missing: Sequence[Job]) -> Iterator[tuple[list[Job], Plan | None]]:
    """What is trained in turn: several jobs by a plan that stacks them, or one alone.

    In the order of `missing`; the first of several that go together brings the others. Every
    variant is looked at before the first is given.
    """
    all_jobs = by_label(jobs)
    stacks: dict[Path, Plan] = {}
    for label, some in by_label(missing).items():
        for plan in stacked(all_jobs[label], some):
            stacks |= dict.fromkeys((run.path for run in plan.runs), plan)
    for job in missing:
        found = stacks.get(job.folder)
        group = [j for j in missing if found and stacks.get(j.folder) is found] or [job]
        if group[0] is job:
            yield group, found


def stacked(jobs: Sequence[Job], missing: Sequence[Job]) -> list[Plan]:
    """Plans of one group each for what is missing of a variant; the rest is trained alone.

    jobs: all of the variant. A run that was begun alone continues alone, one of a group with its
    group.
    """
    config, out = missing[0].config, missing[0].folder.parent
    if config.compile or config.on_nan == "rollback" or distributed.from_environment().size > 1:
        return []
    grouped = {s for group in plans.read_groups(out) if len(group) > 1 for s in group}
    named = [
        seed
        for seed, job in ((job.config.seed, job) for job in jobs)
        if job == Job(job.label, replace(config, seed=seed), out / f"seed-{seed}")
        and (
            seed in grouped or is_trained(job) or not checkpoint.listed(Run(job.folder).checkpoints)
        )
    ]
    left = {job.config.seed for job in missing} & set(named)
    if len(left) < 2 and not left & grouped:
        return []
    plan = plans.make(config, out, named)
    several = [group for group in plan.groups if len(group) > 1]
    return [
        replace(plan, seeds=group, groups=(group,), notes=() if i else plan.notes)
        for i, group in enumerate(several)
    ]


def train(jobs: Sequence[Job], plan: Plan | None, show: str, control: Control) -> dict[int, str]:
    """Train a job, or several at once by a plan; returns the reason for each seed that diverged.

    control: says afterwards whether a signal has come.
    """
    if plan is None:
        (job,) = jobs
        try:
            control.signal = api.train(job.config, job.folder, show=show, race=False).signal
        except DivergedError as error:
            return {job.config.seed: str(error)}
        return {}
    try:
        diverged = seeds.play(plan, show, control)
    except OutOfMemoryError as error:
        raise OutOfMemoryError(
            f"{jobs[0].label}: {str(error).split(':')[0]} at once: leave more memory free, or give "
            "fewer --seeds at a time"
        ) from None
    with signals.handling(control), suppress(Interrupted):
        for job in jobs:
            with control.may_be_interrupted():
                plot_and_diagnose(job)
    return diverged


def plot_and_diagnose(job: Job) -> None:
    """Leave what a run that is trained alone leaves: its plot and its diagnosis, if it finished."""
    run = Run(job.folder)
    info = run.info()
    if info.get("status") != "finished":
        return
    api.draw(run)
    if float(info.get("epoch", 0.0)) >= SHORTEST:
        with suppress(GanforgeError):
            diagnosis.diagnose(run.path, networks=plans.user_networks(job.config))
