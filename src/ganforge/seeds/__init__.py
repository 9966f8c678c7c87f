"""Many seeds of one recipe at once: a run folder for each, and one summary of all.

    trained = gf.population(gf.recipes.gaussian(), seeds=range(64), out="runs/g64")
    trained.summary["scores"]["frechet"]["median"]

runs/g64/seed-0, seed-1, ...  ordinary run folders
runs/g64/population.json      which seeds are trained together
runs/g64/summary.json, .png   median, spread, best, share collapsed; a table by seed
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ganforge import display, runs, session
from ganforge.config import Config
from ganforge.data.source import Dataset
from ganforge.errors import DivergedError, UsageError
from ganforge.progress import Control, Progress
from ganforge.runs import Run
from ganforge.scoring import Scorer
from ganforge.seeds import group as groups
from ganforge.seeds import plan as plans
from ganforge.seeds import summary
from ganforge.seeds.group import Group
from ganforge.seeds.health import Health
from ganforge.seeds.plan import Plan, parse

__all__ = ["Seeds", "parse", "train"]


@dataclass(frozen=True)
class Seeds:
    """A population that has been trained, as far as it got.

    runs: of the seeds, in their order. summary: what summary.json holds; see `summary.make`.
    signal: the number of the signal that stopped it, 0 where it came to its end.
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
    at_once: int | None = None,
    data: Dataset | None = None,
    validation: Dataset | None = None,
) -> Seeds:
    """Train a config with every seed, in OUT/seed-N each, or go on with what is there.

    Each run is that of `session.train` with its seed, but for the last digits of fp32 sums. Seeds
    are stacked where that pays and can be done, else trained one by one.

    Arguments:
        out: `runs/<name>` where none is given.
        seeds: whole numbers from 0 up, each once.
        show: see `session.train`; figures are of all seeds together.
        at_once: games in memory at a time; None takes what half of the free memory holds.
        data, validation: a `Dataset` of your own, and examples held out of it to score by.

    Raises UsageError, DataError, DiskError and OutOfMemoryError as `session.train`; DivergedError
    where no seed is left. One that diverges stops alone.
    """
    if not isinstance(config, Config):
        raise UsageError(f"{config!r}: expected a Config; call the recipe, as gf.recipes.cdcgan()")
    control = Control()
    with session.signals(control), control.may_give_up():
        plan = plans.make(config, out, seeds, at_once, data)
    return carry_out(plan, show, control, validation)


def carry_out(
    plan: Plan,
    show: str | display.Display,
    control: Control | None = None,
    validation: Dataset | None = None,
) -> Seeds:
    """Train what a plan says, and sum up."""
    control = control or Control()
    play(plan, show, control, validation)
    with session.signals(control):
        why = "" if control.stop else summary.score(plan, control, validation)
        table = summary.make(plan) | {"unscored": why}
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
    validation: Dataset | None = None,
) -> dict[int, str]:
    """Train what a plan says; why each seed that diverged did."""
    if not plan.groups:
        return {}
    plans.record(plan)
    if plan.alone:
        return one_by_one(plan, show, control, validation)
    fallen: dict[int, str] = {}
    shown = display.choose(show) if isinstance(show, str) else show
    with session.signals(control), shown:
        for progress in stacked(plan, control, validation, fallen):
            with suppress(OSError):  # nobody reads any more, or a full disk: training goes on
                shown.show(progress)
    again = [s for s in plan.seeds if rolls_back(plan, s)]
    alone = replace(plan, groups=tuple((s,) for s in again))
    over = one_by_one(alone, show, control, validation)
    return {s: why for s, why in fallen.items() if s not in again} | over


def rolls_back(plan: Plan, seed: int) -> bool:
    """Whether a member that diverged goes on alone, from its last checkpoint at half the rates."""
    return plan.config.on_nan == "rollback" and runs.state(plan.run(seed)) == "diverged"


def one_by_one(
    plan: Plan, show: str | display.Display, control: Control, validation: Dataset | None
) -> dict[int, str]:
    """Train each seed by itself; why each that diverged did, which leaves the others alone."""
    fallen: dict[int, str] = {}
    for (seed,) in plan.groups:
        if control.stop:
            break
        own = plan.config_of(seed)
        try:
            trained = session.train(
                own,
                plan.run(seed).path,
                show=show,
                data=plan.data,
                validation=validation,
                take_over=control.take_over,
                race=False,  # seeds must not differ by the machine's load
            )
        except DivergedError as error:
            fallen[seed] = str(error)
            continue
        if trained.signal:
            control.stop, control.signal = True, trained.signal
    return fallen


def stacked(
    plan: Plan, control: Control, validation: Dataset | None, fallen: dict[int, str]
) -> Iterator[Progress]:
    """Train the groups in turn; records are of all seeds together. fallen: see `play`, filled."""
    whole = Whole(plan)
    for note in plan.notes:
        yield whole.record(None, note=note)
    for number, seeds in enumerate(plan.groups):
        if control.stop:
            break
        with ExitStack() as stack:
            with control.may_give_up():
                group = groups.enter(stack, plan, seeds, control.take_over)
            watch_scores(group, plan, validation)
            health = Health(group, lambda: validation or summary.held(plan))
            record = [stack.enter_context(session.events(t.config, t.run.path))
                      for t in group.members] if plan.config.output.tensorboard else []  # fmt: skip
            if len(plan.groups) > 1:
                group.notes.insert(
                    0, f"group {number + 1} of {len(plan.groups)}: {len(seeds)} seeds from "
                    f"{seeds[0]}"
                )  # fmt: skip
            for last in groups.play(group, control):
                for i in group.live if record else ():
                    record[i](group.members[i].report())
                group.notes += health.look(group)
                note = group.note()
                if note:
                    yield whole.record(group, note=note)
                if not last:
                    yield whole.record(group)
            whole.close(group)
            fallen |= group.fallen
    yield whole.record(None, done=True)


def watch_scores(group: Group, plan: Plan, validation: Dataset | None) -> None:
    """Give every member a scorer, where scores on the way are asked for."""
    if not plan.config.output.score_every:
        return
    for t, control in zip(group.members, group.controls, strict=True):
        held = validation or summary.held(plan)
        group.scorers.append(Scorer(t.config, t.run.path, control, plan.data, held, live=False))


class Whole:
    """Records of all seeds together: steps, examples and images/s are sums over them.

    Seeds that have ended count with the steps they have; those not begun with none yet.
    """

    def __init__(self, plan: Plan):
        self.plan = plan
        self.each = plan.config.batch * int(plan.config.game.d_steps)
        self.steps: dict[int, int] = {}
        self.seconds: dict[tuple[int, ...], float] = {}
        self.over: set[int] = set()
        self.speed = 0.0
        self.means: dict[str, Any] = {}
        for seed, run in zip(plan.seeds, plan.runs, strict=True):
            info = run.info() if run.exists() else {}
            self.steps[seed] = int(info.get("step", 0))
            if not plan.pending(seed):
                self.over.add(seed)
        placed = {seed: g for g in plans.recorded(plan.folder) for seed in g}
        for seed, run in zip(plan.seeds, plan.runs, strict=True):
            key = placed.get(seed, (seed,))
            taken = float(run.info().get("seconds", 0.0)) if run.exists() else 0.0
            self.seconds[key] = max(self.seconds.get(key, 0.0), taken)

    def close(self, group: Group) -> None:
        """Remember a group that has ended."""
        self.update(group)
        for t in group.members:
            if not self.plan.pending(t.config.seed):
                self.over.add(t.config.seed)

    def update(self, group: Group) -> None:
        """Take a group's steps, seconds and losses."""
        live = [group.members[i] for i in group.live]
        self.steps |= {t.config.seed: group.step for t in live}
        self.over |= {t.config.seed for t in group.members} - {t.config.seed for t in live}
        self.seconds[tuple(t.config.seed for t in group.members)] = group.seconds
        self.speed = group.speed * len(live)
        columns: dict[str, list[float]] = {}
        for t in live:
            for name, value in t.means.items():
                columns.setdefault(name, []).append(value)
        names = ("loss_d", "loss_g", "d_real", "d_fake")
        self.means = {n: sorted(columns[n])[len(columns[n]) // 2] for n in names if n in columns}

    def record(self, group: Group | None, note: str = "", done: bool = False) -> Progress:
        """Where all stand; losses are the median member's."""
        if group is not None:
            self.update(group)
        step = sum(self.steps.values())
        steps = sum(self.steps[s] if s in self.over else self.plan.steps for s in self.plan.seeds)
        examples = len(self.plan.data) * len(self.plan.seeds)
        return Progress(
            step, steps, step * self.each, step * self.each / examples,
            sum(self.seconds.values()), self.speed, note=note, done=done, **self.means,
        )  # fmt: skip
