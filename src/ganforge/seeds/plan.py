"""What a population is to train: which seeds, in which folders, how many at once.

A group is what is trained in one set of stacked tensors. population.json keeps the groups, so that
the same command goes on with the same ones: sums over other shapes round otherwise.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ganforge import checkpoint, config, devices, game, loop, nets, runs, session, state
from ganforge.config import Config
from ganforge.data.source import Dataset, load
from ganforge.devices import Resolved
from ganforge.errors import DataError, DiskError, UsageError, check
from ganforge.printable import json_bytes
from ganforge.runs import Run
from ganforge.seeds import trial
from ganforge.seeds.trial import Cost

RECORD, FORMAT = "population.json", 1
MOST = 100_000  # seeds of one command
SHARE = 0.5  # of the free memory that is taken where nothing is said
ENDED = ("finished", "diverged")


@dataclass(frozen=True)
class Plan:
    """A population before it is trained.

    groups: of seeds, in turn. alone: why the seeds are trained one by one; empty where they are
    stacked. cost: of one more member; None where they are not. free: bytes of memory.
    moved: seeds that go on in another group than before, and so no longer bit for bit.
    """

    config: Config
    folder: Path
    seeds: tuple[int, ...]
    data: Dataset
    resolved: Resolved
    steps: int
    groups: tuple[tuple[int, ...], ...]
    alone: str = ""
    cost: Cost | None = None
    free: int = 0
    notes: tuple[str, ...] = ()
    moved: frozenset[int] = frozenset()

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
        """Whether a seed has still to be trained."""
        return not ended(self.run(seed), self.steps)


def parse(text: str) -> tuple[int, ...]:
    """The seeds of "0..63", "0,3,7" or "0..9,20": each once, 0 or more."""
    out: list[int] = []
    for part in text.split(","):
        found = re.fullmatch(r"\s*(\d{1,18})(?:\.\.(\d{1,18}))?\s*", part)
        if found is None:
            raise UsageError(f"seeds = {text!r}: expected numbers and ranges, as 0..63 or 0,3,7")
        first, last = int(found[1]), int(found[2] or found[1])
        if last < first:
            raise UsageError(f"seeds = {text!r}: {part.strip()} goes down: write {last}..{first}")
        if len(out) + last - first >= MOST:
            raise UsageError(f"seeds = {text!r}: {MOST:,} seeds at most")
        out += range(first, last + 1)
    return distinct(out)


def distinct(seeds: Iterable[int]) -> tuple[int, ...]:
    """The seeds as a tuple; UsageError for none, one twice, or one that is no seed."""
    out = tuple(seeds)
    for seed in out:
        whole = isinstance(seed, int) and not isinstance(seed, bool) and 0 <= seed < 10**18
        check(whole, "seeds", seed, "whole numbers from 0 up")
    if not out:
        raise UsageError("seeds: give at least one")
    twice = next((s for s in out if out.count(s) > 1), None) if len(set(out)) < len(out) else None
    if twice is not None:
        raise UsageError(f"seeds: {twice} is named twice")
    return out


def make(
    wanted: Config,
    out: Path | str | None,
    seeds: Iterable[int],
    at_once: int | None = None,
    data: Dataset | None = None,
) -> Plan:
    """What `seeds.train` will do; nothing is written.

    Raises UsageError where a folder holds another run or too many games are wanted at once.
    """
    named = distinct(seeds)
    check(at_once is None or at_once >= 1, "at_once", at_once, "at least 1 game")
    folder = Path(out) if out is not None else session.default_folder(replace(wanted, seed=0))
    nets.refuse_size(wanted.networks, wanted.size)
    data = data or load(wanted.data, size=wanted.size)
    state.players_spec(wanted, data.spec)
    if wanted.labels:
        loop.every_class(wanted, data)
    steps = game.steps_for(wanted.images(len(data)), wanted.batch, wanted.game)
    found = [Run(folder / f"seed-{seed}") for seed in named]
    infos = [same_run(run, replace(wanted, seed=seed), data, steps) for run, seed in
             zip(found, named, strict=True)]  # fmt: skip
    before = next((info for info in infos if info), {})
    resolved = devices.resolve(wanted, before.get("resolved", {}), spec=data.spec)
    plan = Plan(wanted, folder, named, data, resolved, steps, ())
    waiting = [seed for seed in named if plan.pending(seed)]
    if not waiting:
        return plan
    why = trial.why_alone(wanted, resolved, len(named))
    cost = None
    if not why:
        why, cost = trial.trial(replace(wanted, seed=waiting[0]), data, resolved)
    if why or cost is None:
        return replace(plan, groups=tuple((s,) for s in waiting), alone=why)
    free = trial.free_memory(resolved.device)
    most = bounded(at_once, len(named), cost, free)
    plan = replace(plan, resolved=replace(resolved, compile=False))
    groups, notes, moved = grouped(plan, waiting, most, at_once is not None)
    if wanted.compile:
        notes = ("not compiled: the seeds are trained at once", *notes)
    return replace(plan, groups=groups, cost=cost, free=free, notes=notes, moved=moved)


def same_run(run: Run, wanted: Config, data: Dataset, steps: int) -> dict[str, Any]:
    """run.json of a seed's folder; UsageError or DataError where it holds anything else."""
    if not run.exists():
        return {}
    runs.refuse_changes(run, wanted)
    info = runs.last_known(run)
    if info.get("data_sha256", data.sha256) != data.sha256:
        raise DataError(
            f"{wanted.data}: not the data {run.path} was trained on (their sha256 differs): "
            "restore them, or give --out for new runs"
        )
    if steps < int(info.get("step", 0)):
        raise UsageError(
            f"{run.path} has already gone {info['step']:,} steps and this budget is {steps:,}: "
            "give a larger one, or --out for new runs"
        )
    return info


def ended(run: Run, steps: int) -> bool:
    """Whether a run has come to its end: its last step, a patience's, or divergence."""
    info = run.info() if run.exists() else {}
    status = info.get("status")
    if status == "diverged":
        return True
    patient = run.exists() and float(run.settings().get("output", {}).get("patience", 0)) > 0
    return status == "finished" and (int(info.get("step", 0)) >= steps or patient)


def bounded(at_once: int | None, count: int, cost: Cost, free: int) -> int:
    """Members at once: as many as were asked for, or as half of the free memory holds.

    UsageError where more are asked for than all of it holds.
    """
    fits = max(1, int((free - cost.shared) / cost.member))
    if at_once is None:
        return min(count, max(1, int((SHARE * free - cost.shared) / cost.member)))
    if min(at_once, count) > fits:
        raise UsageError(
            f"at_once = {at_once}: {min(at_once, count):,} games take about "
            f"{size(cost.total(min(at_once, count)))}, and {size(free)} are free: --at-once {fits} "
            "fits"
        )
    return min(at_once, count)


def size(count: float) -> str:
    """Bytes as text: 340 MB, 2.1 GB."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{max(1, round(count / 1e6))} MB"


def grouped(
    plan: Plan, waiting: Sequence[int], most: int, asked: bool
) -> tuple[tuple[tuple[int, ...], ...], tuple[str, ...], frozenset[int]]:
    """The groups, what is worth telling of them, and seeds that go on in another group.

    A group of an earlier session is kept whole, those of it that have ended too, where its members
    can go on from one step. All other seeds are grouped anew by the step they stand at.
    """
    kept, parted = [], False
    for group in recorded(plan.folder):
        if not set(group) & set(waiting):
            continue
        fits = set(group) <= set(plan.seeds) and (len(group) <= most or not asked)
        if fits and common_step(plan, [s for s in group if s in waiting]) is not None:
            kept.append(group)
        else:
            parted = True
    placed = {seed for group in kept for seed in group}
    by_step: dict[int, list[int]] = {}
    for seed in waiting:
        if seed not in placed:
            by_step.setdefault(standing(plan.run(seed)), []).append(seed)
    for step in sorted(by_step):
        here = by_step[step]
        kept += [tuple(here[i : i + most]) for i in range(0, len(here), most)]
    order = {seed: i for i, seed in enumerate(plan.seeds)}
    kept.sort(key=lambda group: order[group[0]])
    note = "seeds are grouped anew: not bit-exact from here, as sums over other shapes round"
    begun = frozenset(seed for step, here in by_step.items() if step for seed in here)
    return tuple(kept), (note,) if parted or begun else (), begun


def recorded(folder: Path) -> list[tuple[int, ...]]:
    """The groups of population.json; none where there is no such file, or it is damaged."""
    try:
        table = json.loads((folder / RECORD).read_bytes())
        groups = [tuple(int(seed) for seed in group) for group in table["groups"]]
        placed = [seed for group in groups for seed in group]
        once = all(groups) and len(set(placed)) == len(placed)
        return groups if once and table["format"] == FORMAT else []
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return []


def record(plan: Plan) -> None:
    """Write population.json: this plan's groups, and those of other seeds that were there."""
    named = {seed for group in plan.groups for seed in group}
    before = [g for g in recorded(plan.folder) if not set(g) & named]
    table = {"format": FORMAT, "groups": [list(g) for g in (*before, *plan.groups)]}
    try:
        plan.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise checkpoint.disk_error(plan.folder, error) from error
    checkpoint.replace_file(plan.folder / RECORD, json_bytes(table))


def good_steps(run: Run) -> list[int]:
    """The steps of a run's checkpoints that verify, newest first."""
    good = []
    for path in checkpoint.listed(run.checkpoints):
        with suppress(DataError, DiskError):
            checkpoint.verify(path)
            good.append(int(path.name[5:]))
    return good


def standing(run: Run) -> int:
    """The step from which a run would go on, 0 at its start."""
    return next(iter(good_steps(run)), 0)


def common_step(plan: Plan, seeds: Sequence[int]) -> int | None:
    """The last step from which all of a group can go on; None where only the start is left.

    A kill between two members' checkpoints leaves some a save ahead: those go back to the one that
    all have, or to the start where that was the first.
    """
    steps = [good_steps(plan.run(seed)) for seed in seeds]
    shared = set.intersection(*(set(s) for s in steps))
    if shared:
        return max(shared)
    if all(len(s) <= 1 for s in steps) and not all(steps):
        return 0
    return None


def settings_hash(wanted: Config) -> str:
    """What the members of a population share: the hash of their settings but for the seed."""
    return config.config_hash(replace(wanted, seed=0))
