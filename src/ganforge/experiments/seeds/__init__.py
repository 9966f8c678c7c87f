"""Train many seeds of one config: a run folder for each, and one summary of all.

    trained = gf.population(gf.recipes.gaussian(), seeds=range(64), out="runs/g64")
    trained.summary["scores"]["frechet"]["median"]

runs/g64/seed-0, seed-1, ...  ordinary run folders
runs/g64/population.json      which seeds are trained in one group
runs/g64/summary.json, .png   median, spread, best, share collapsed; a table by seed
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ganforge import api
from ganforge.callbacks import display
from ganforge.callbacks.log import Loggers, split, with_names
from ganforge.config.schema import Config
from ganforge.data.load import Dataset
from ganforge.errors import DivergedError, GanforgeError, UsageError
from ganforge.experiments import plan as plans
from ganforge.experiments.ensemble import train as ensembles
from ganforge.experiments.plan import Plan, parse
from ganforge.experiments.seeds import summary
from ganforge.experiments.seeds.progress import AggregateProgress
from ganforge.runs import folder
from ganforge.runs.folder import Run
from ganforge.runs.records import Control, Progress
from ganforge.training import loop, signals

__all__ = ["Seeds", "StoppedError", "parse", "train"]


class StoppedError(GanforgeError):
    """A signal stopped a training: all is saved, and the same command continues."""

    def __init__(self, name: str, signal: int):
        super().__init__(f"{name}: stopped and saved; the same command continues")
        self.exit_code = 128 + signal


@dataclass(frozen=True)
class Seeds:
    """Many seeds of one config after training.

    runs: one for each seed, in their order. summary: the contents of summary.json, see
    `summary.make`. signal: the number of the signal that stopped the training, 0 for none.
    """

    path: Path
    runs: tuple[Run, ...]
    summary: dict[str, Any]
    signal: int = 0

    def __iter__(self) -> Iterator[Path]:
        """The run folders."""
        return (run.path for run in self.runs)

    def __len__(self) -> int:
        return len(self.runs)


def train(
    config: Config,
    out: Path | str | None = None,
    seeds: Iterable[int] = range(10),
    *,
    show: str | display.Display = "auto",
    log: Any = None,
    at_once: int | None = None,
    data: Dataset | None = None,
    validation: Dataset | None = None,
) -> Seeds:
    """Train a config with every seed, each in OUT/seed-N, or continue the runs that are there.

    Each run equals the run of `api.train` with its seed, up to the last digits of fp32 sums. Seeds
    are stacked in one set of tensors if that is possible and faster, else trained one by one.

    Args:
        config: of every run; its seed is not used.
        out: the folder. [default: runs/<name>]
        seeds: whole numbers from 0 up, each once.
        show: see `api.train`; numbers are of all seeds together.
        log: see `api.train`; of a user's logger the class, of which every run gets an object.
        at_once: games in memory at a time. [default: as many as half of the free memory holds]
        data: a `Dataset` in place of what `config.data` names.
        validation: examples not in `data`, to score by.

    Returns:
        The runs and their summary.

    Raises:
        UsageError, DataError, DiskError, OutOfMemoryError: as `api.train`.
        DivergedError: every seed diverged. A seed that diverges does not stop the others.
    """
    if not isinstance(config, Config):
        raise UsageError(f"{config!r}: expected a Config; call the recipe, as gf.recipes.cdcgan()")
    control = Control()
    names, loggers = split(log)
    config = with_names(config, names)
    with signals.handling(control), control.may_be_interrupted():
        plan = plans.make(config, out, seeds, at_once, data, validation, loggers)
    return carry_out(plan, show, control)


def carry_out(
    plan: Plan,
    show: str | display.Display,
    control: Control | None = None,
) -> Seeds:
    """Train, score and summarise what a plan names; see `train`."""
    control = control or Control()
    play(plan, show, control)
    with signals.handling(control):
        unscored = "" if control.stop else summary.score(plan, control)
        table = summary.make(plan) | {"unscored": unscored}
        summary.write(plan, table, picture=not control.stop)
    if len(plan.seeds) > 1 and table["statuses"].get("diverged", 0) == len(plan.seeds):
        raise DivergedError(
            f"all {len(plan.seeds)} seeds diverged: try lower rates or --precision fp32; see "
            f"{plan.folder}"
        )
    unfinished = any(plan.pending(seed) for seed in plan.seeds)
    return Seeds(plan.folder, plan.runs, table, control.signal if unfinished else 0)


def play(
    plan: Plan,
    show: str | display.Display,
    control: Control,
) -> dict[int, str]:
    """Train what a plan names; returns the reason for each seed that diverged."""
    if not plan.groups:
        return {}
    plans.write_groups(plan)
    if plan.one_by_one:
        return train_one_by_one(plan, show, control)

    diverged: dict[int, str] = {}
    shown = display.choose(show) if isinstance(show, str) else show
    with signals.handling(control), shown:
        for progress in train_groups(plan, control, diverged):
            with suppress(OSError):  # a closed pipe or a full disk: training continues
                shown.show(progress)

    # a member that rolls back continues alone, from its last checkpoint at half the rates
    again = [
        seed for seed in plan.seeds
        if plan.config.on_nan == "rollback" and folder.state(plan.run(seed)) == "diverged"
    ]  # fmt: skip
    rest = replace(plan, groups=tuple((seed,) for seed in again))
    later = train_one_by_one(rest, show, control)
    return {seed: why for seed, why in diverged.items() if seed not in again} | later


def train_one_by_one(plan: Plan, show: str | display.Display, control: Control) -> dict[int, str]:
    """Train each seed by itself; returns the reason for each seed that diverged."""
    diverged: dict[int, str] = {}
    for (seed,) in plan.groups:
        if control.stop:
            break
        config, path = plan.config_of(seed), plan.run(seed).path
        try:
            trained = api.train(
                config, path, show=show, data=plan.data, validation=plan.validation,
                take_over=control.take_over, race=False,  # seeds must not differ by the load
                log=plan.log,
            )  # fmt: skip
        except DivergedError as error:
            diverged[seed] = str(error)
            continue
        if trained.signal:
            control.stop, control.signal = True, trained.signal
    return diverged


def train_groups(plan: Plan, control: Control, diverged: dict[int, str]) -> Iterator[Progress]:
    """Train the groups in turn; yields records of all seeds together, and fills `diverged`."""
    total = AggregateProgress(plan)
    for note in plan.notes:
        yield total.record(note=note)
    for number, seeds in enumerate(plan.groups, 1):
        if control.stop:
            break
        with ExitStack() as stack:
            with control.may_be_interrupted():
                group = ensembles.begin(stack, plan, seeds, control)
            log = [*plan.config.output.log, *plan.log]
            loggers = [stack.enter_context(Loggers(t.run.path, log)) for t in group.members]
            if len(plan.groups) > 1:
                which = f"group {number} of {len(plan.groups)}"
                group.notes.insert(0, f"{which}: {len(seeds)} seeds from {seeds[0]}")
            group.score()  # what a kill has prevented
            for progress in loop.play(group, control, [], group.check):
                if not progress.done and group.is_due(plan.config.output.score_every):
                    group.score()
                for i in group.live if log else ():
                    group.notes += loggers[i].add(group.members[i].progress())
                group.diagnose()
                note = group.note()
                if note:
                    yield total.record(group, note=note)
                if not progress.done:
                    yield total.record(group)
            total.update(group)
            diverged |= group.fallen
    yield total.record(done=True)
