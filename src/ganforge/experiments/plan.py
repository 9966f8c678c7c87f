"""The plan of a training with many seeds: which seeds, in which folders, how many at once.

A group is trained in one set of stacked tensors. population.json holds the groups, so that the same
command continues with the same groups: sums over tensors of other shapes round differently.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ganforge import api, files
from ganforge.callbacks.log import require_classes
from ganforge.config.schema import Config, Part
from ganforge.data.load import Dataset
from ganforge.errors import DataError, DiskError, UsageError, check
from ganforge.experiments.ensemble import capability
from ganforge.experiments.ensemble.capability import Cost
from ganforge.runs import checkpoint
from ganforge.runs import folder as runs
from ganforge.runs.folder import Run
from ganforge.runs.model import OwnNetworks
from ganforge.training import checks
from ganforge.training.device import Resolved

GROUPS, FORMAT = "population.json", 1
MOST_SEEDS = 100_000  # of one command
MEMORY_SHARE = 0.5  # of the free memory that is used by default
ENDED = ("finished", "diverged")


@dataclass(frozen=True)
class Plan:
    """Many seeds before they are trained.

    groups: of seeds, trained in this order. one_by_one: why the seeds are trained one by one; empty
    if they are stacked. cost: of one more member; None if they are not stacked. free: bytes of
    memory. moved: seeds that continue in another group than before, so no longer bit for bit.
    validation: the examples to score by, if they are given or scores are made during training.
    data_given: whether the data stand in place of those that the config names. log: classes of the
    user's loggers, of which every run gets an object.
    """

    config: Config
    folder: Path
    seeds: tuple[int, ...]
    data: Dataset
    resolved: Resolved
    steps: int
    groups: tuple[tuple[int, ...], ...] = ()
    one_by_one: str = ""
    cost: Cost | None = None
    free: int = 0
    notes: tuple[str, ...] = ()
    moved: frozenset[int] = frozenset()
    validation: Dataset | None = None
    data_given: bool = False
    log: tuple[Any, ...] = ()

    def run(self, seed: int) -> Run:
        """The run folder of a seed."""
        return Run(self.folder / f"seed-{seed}")

    def config_of(self, seed: int) -> Config:
        """The config of a seed's run."""
        return replace(self.config, seed=seed)

    @property
    def runs(self) -> tuple[Run, ...]:
        return tuple(self.run(seed) for seed in self.seeds)

    def pending(self, seed: int) -> bool:
        """Whether a seed has not reached its last step, an early stop, or divergence."""
        run = self.run(seed)
        info = run.info()
        if info.get("status") != "finished":
            return info.get("status") != "diverged"
        early_stop = float(run.settings()["output"].get("patience", 0)) > 0
        return not early_stop and int(info.get("step", 0)) < self.steps

    def validation_part(self) -> Dataset:
        """The examples to score by; raises what `checks.validation_part` does."""
        data = self.data if self.data_given else None
        return checks.validation_part(self.config, data, self.validation)

    def seconds(self) -> dict[tuple[int, ...], float]:
        """Seconds of training so far of each group, of a seed trained alone as a group of one."""
        group_of = {seed: group for group in read_groups(self.folder) for seed in group}
        out: dict[tuple[int, ...], float] = {}
        for seed in self.seeds:
            spent = float(self.run(seed).info().get("seconds", 0.0))
            group = group_of.get(seed, (seed,))
            out[group] = max(out.get(group, 0.0), spent)
        return out


def parse(text: str) -> tuple[int, ...]:
    """The seeds of "0..63" or "0-63", "0,3,7" or "0..9,20": each once, 0 or more."""
    out: list[int] = []
    for part in text.split(","):
        found = re.fullmatch(r"\s*(\d{1,18})(?:(?:\.\.|-)(\d{1,18}))?\s*", part)
        if found is None:
            raise UsageError(f"seeds = {text!r}: expected numbers and ranges, as 0..63 or 0,3,7")
        first, last = int(found[1]), int(found[2] or found[1])
        if last < first:
            raise UsageError(f"seeds = {text!r}: {part.strip()} goes down: write {last}..{first}")
        if len(out) + last - first >= MOST_SEEDS:
            raise UsageError(f"seeds = {text!r}: {MOST_SEEDS:,} seeds at most")
        out += range(first, last + 1)
    return checked_seeds(out)


def checked_seeds(seeds: Iterable[int]) -> tuple[int, ...]:
    """The seeds as a tuple; UsageError for none, a seed named twice, or a value that is no seed."""
    out = tuple(seeds)
    for seed in out:
        whole = isinstance(seed, int) and not isinstance(seed, bool) and 0 <= seed < 10**18
        check(whole, "seeds", seed, "whole numbers from 0 up")
    if not out:
        raise UsageError("seeds: give at least one")
    for seed, count in Counter(out).items():
        if count > 1:
            raise UsageError(f"seeds: {seed} is named twice: name each seed once")
    return out


def user_networks(config: Config) -> OwnNetworks | None:
    """The user's network function if the config has one; None for a part of the package."""
    return None if isinstance(config.networks, Part) else config.networks


def make(
    wanted: Config,
    out: Path | str | None,
    seeds: Iterable[int],
    at_once: int | None = None,
    data: Dataset | None = None,
    validation: Dataset | None = None,
    log: Sequence[Any] = (),
) -> Plan:
    """Plan what `seeds.train` will do; nothing is written.

    Raises:
        UsageError: `at_once` games need more memory than is free, `seeds` are no seeds, or a
            logger is one object for all.
        UsageError, DataError, DiskError: see `checks.require_trainable`.
    """
    named = checked_seeds(seeds)
    require_classes(log)
    check(at_once is None or at_once >= 1, "at_once", at_once, "at least 1 game")
    folder = Path(out) if out is not None else api.default_folder(replace(wanted, seed=0))
    if not Run(folder).exists():  # a run may have seeds in folders below it
        runs.refuse_occupied(folder, runs.of_experiment)
    configs = {folder / f"seed-{seed}": replace(wanted, seed=seed) for seed in named}
    found = checks.require_trainable(configs, data, validation)
    resolved = found.resolved
    plan = Plan(wanted, folder, named, found.data, resolved, found.steps,
                validation=found.validation, data_given=data is not None,
                log=tuple(log))  # fmt: skip
    waiting = [seed for seed in named if plan.pending(seed)]
    if not waiting:
        return plan

    one = replace(wanted, seed=waiting[0])
    why, cost = capability.trial(one, plan.data, resolved, len(named))
    if cost is None:
        return replace(plan, groups=tuple((s,) for s in waiting), one_by_one=why)

    free = capability.free_memory(resolved.device)
    most = games_at_once(at_once, len(named), cost, free)
    plan = replace(plan, resolved=replace(resolved, compile=False), cost=cost, free=free)
    plan = with_groups(plan, waiting, most, at_once is not None)
    if wanted.compile:
        plan = replace(plan, notes=("not compiled: the seeds are trained at once", *plan.notes))
    return plan


def games_at_once(at_once: int | None, count: int, cost: Cost, free: int) -> int:
    """How many games a group may have: `at_once`, or as many as half of the free memory holds.

    UsageError if all of the free memory does not hold `at_once` games.
    """
    if at_once is None:
        return min(count, cost.games(MEMORY_SHARE * free))
    most = min(at_once, count)
    if most > cost.games(free):
        raise UsageError(
            f"at_once = {at_once}: {most:,} games take about {size(cost.total(most))}, and "
            f"{size(free)} are free: --at-once {cost.games(free)} fits"
        )
    return most


def size(count: float) -> str:
    """Bytes as text: 340 MB, 2.1 GB."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{max(1, round(count / 1e6))} MB"


def with_groups(plan: Plan, waiting: Collection[int], most: int, bounded: bool) -> Plan:
    """The plan with its groups of at most `most` seeds, their notes, and the seeds that moved.

    A group of an earlier session stays whole, with its members that have ended, if its members can
    continue from one step; `bounded`: and if it is not larger than `most`. All other seeds are
    grouped anew by the step that each has reached.
    """
    groups, divided = [], False
    for group in read_groups(plan.folder):
        left = [plan.run(seed) for seed in group if seed in waiting]
        fits = set(group) <= set(plan.seeds) and (len(group) <= most or not bounded)
        if left and fits and common_step(left) is not None:
            groups.append(group)
        elif left:
            divided = True

    placed = {seed for group in groups for seed in group}
    by_step: dict[int, list[int]] = {}
    for seed in waiting:
        if seed not in placed:
            reached = max(whole_steps(plan.run(seed)), default=0)
            by_step.setdefault(reached, []).append(seed)
    for _, some in sorted(by_step.items()):
        groups += [tuple(some[i : i + most]) for i in range(0, len(some), most)]
    order = {seed: i for i, seed in enumerate(plan.seeds)}
    groups.sort(key=lambda group: order[group[0]])

    note = "seeds are grouped anew: not bit-exact from here, as sums over other shapes round"
    moved = frozenset(seed for step, some in by_step.items() if step for seed in some)
    return replace(plan, groups=tuple(groups), notes=(note,) if divided or moved else (),
                   moved=moved)  # fmt: skip


def read_groups(folder: Path) -> list[tuple[int, ...]]:
    """The groups of population.json; none if there is no such file, or it is damaged."""
    try:
        table = json.loads((folder / GROUPS).read_bytes())
        groups = [tuple(int(seed) for seed in group) for group in table["groups"]]
        placed = [seed for group in groups for seed in group]
        once = all(groups) and len(set(placed)) == len(placed)
        return groups if once and table["format"] == FORMAT else []
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return []


def write_groups(plan: Plan) -> None:
    """Write population.json: this plan's groups, and the groups of other seeds in the folder."""
    named = {seed for group in plan.groups for seed in group}
    before = [g for g in read_groups(plan.folder) if not set(g) & named]
    table = {"format": FORMAT, "groups": [list(g) for g in (*before, *plan.groups)]}
    files.write_json(plan.folder / GROUPS, table)


def whole_steps(run: Run) -> set[int]:
    """The steps of a run's checkpoints that verify."""
    out = set()
    for path in checkpoint.listed(run.checkpoints):
        with suppress(DataError, DiskError):
            checkpoint.verify(path)
            out.add(int(path.name[5:]))
    return out


def common_step(runs: Sequence[Run]) -> int | None:
    """The last step from which all runs can continue; None if they share no step.

    A kill between the checkpoints of two members leaves some members a save ahead: they go back to
    the step that all have, or to the start if that save was the first.
    """
    steps = [whole_steps(run) for run in runs]
    from_start = max(map(len, steps)) <= 1 and not all(steps)
    return max(set.intersection(*steps), default=0 if from_start else None)
