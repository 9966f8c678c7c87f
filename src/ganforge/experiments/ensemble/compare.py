"""Missing runs of a comparison that are trained at once: those of a variant, where that pays.

Each has the folder, the files and, but for the last digits, the numbers of a run trained alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from ganforge import api, diagnosis
from ganforge.callbacks.diagnose import SHORTEST
from ganforge.config.schema import Config
from ganforge.errors import GanforgeError, Interrupted, OutOfMemoryError
from ganforge.experiments import seeds
from ganforge.experiments.seeds import plan as plans
from ganforge.experiments.seeds.plan import Plan
from ganforge.runs import checkpoint
from ganforge.runs.folder import Run
from ganforge.runs.records import Control
from ganforge.training import distributed, signals


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


def turns(todo: Sequence[Job], missing: Sequence[Job]) -> Iterator[tuple[list[Job], Plan | None]]:
    """What is trained in turn: several jobs by a plan that stacks them, or one alone.

    In the order of `missing`; the first of several that go together brings the others. Every
    variant is looked at before the first is given.
    """
    stacks: dict[tuple[str, int], Plan] = {}
    for label in dict.fromkeys(job.label for job in missing):
        own = [job for job in todo if job.label == label]
        for stack in stacked(own, [job for job in missing if job.label == label]):
            stacks |= {(label, seed): stack for seed in stack.seeds}
    given: set[Path] = set()
    for job in missing:
        if job.folder in given:
            continue
        plan = stacks.get((job.label, job.config.seed))
        jobs = [job]
        if plan is not None:
            jobs = [j for j in missing if stacks.get((j.label, j.config.seed)) is plan]
        given |= {j.folder for j in jobs}
        yield jobs, plan


def stacked(own: Sequence[Job], missing: Sequence[Job]) -> list[Plan]:
    """Plans of one group each for what is missing of a variant; the rest is trained alone.

    own: all of its jobs. A run that was begun alone goes on alone, one of a group with its group.
    """
    config, folder = missing[0].config, missing[0].folder.parent
    if config.compile or config.on_nan == "rollback" or distributed.from_environment().size > 1:
        return []
    grouped = {s for group in plans.read_groups(folder) if len(group) > 1 for s in group}
    named = [
        job.config.seed
        for job in own
        if replace(job.config, seed=config.seed) == config
        and job.folder == folder / f"seed-{job.config.seed}"
        and (job.config.seed in grouped or not begun(job))
    ]
    left = {job.config.seed for job in missing} & set(named)
    if len(left) < 2 and not left & grouped:
        return []
    plan = plans.make(config, folder, named)
    several = [group for group in plan.groups if len(group) > 1]
    return [
        replace(plan, seeds=group, groups=(group,), notes=() if i else plan.notes)
        for i, group in enumerate(several)
    ]


def begun(job: Job) -> bool:
    """Whether a run that is not at its end has a checkpoint to go on from."""
    run = Run(job.folder)
    ended = run.exists() and run.info().get("status") in plans.ENDED
    return not ended and bool(checkpoint.listed(run.checkpoints))


def train(jobs: Sequence[Job], plan: Plan, show: str, control: Control) -> dict[int, str]:
    """Train jobs at once and leave what each leaves that is trained alone; why seeds diverged.

    control: says afterwards whether a signal has come.
    """
    try:
        fallen = seeds.play(plan, show, control)
    except OutOfMemoryError as error:
        raise OutOfMemoryError(
            f"{jobs[0].label}: {str(error).split(':')[0]} at once: leave more memory free, or give "
            "fewer --seeds at a time"
        ) from None
    with signals.handling(control), suppress(Interrupted):
        for job in jobs:
            with control.may_be_interrupted():
                plot_and_diagnose(job)
    return fallen


def plot_and_diagnose(job: Job) -> None:
    """Plot and diagnose a run that has finished."""
    run = Run(job.folder)
    info = run.info()
    if info.get("status") != "finished":
        return
    api.draw(run)
    if float(info.get("epoch", 0.0)) >= SHORTEST:
        with suppress(GanforgeError):
            diagnosis.diagnose(run.path, networks=plans.user_networks(job.config))
