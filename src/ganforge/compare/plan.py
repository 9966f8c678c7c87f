"""What a comparison trains: recipes and their variants, one budget, a run folder a seed.

A variant is a recipe with settings changed, written `cdcgan:game.loss=hinge`; several settings as
`cdcgan:game.loss=hinge:generator.lr=1e-4`.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ganforge import checkpoint, config, loop, naming, recipes, runs, session
from ganforge.compare import together
from ganforge.compare.together import Job
from ganforge.config import Config
from ganforge.data.source import load
from ganforge.errors import DataError, DivergedError, GanforgeError, UsageError, check
from ganforge.pictures import save
from ganforge.printable import json_bytes
from ganforge.progress import Control
from ganforge.runs import Run

CANDIDATES = 5  # scores on the validation split a run, of which the best names its checkpoint
PROBE = 10.0  # seconds in which a recipe's speed is measured, at most a tenth of the budget
SPEEDS = "speeds.json"
FREE = ("device", "threads", "output.")  # settings in which runs of one recipe may differ
DONE = ("finished", "diverged")


class StoppedError(GanforgeError):
    """Somebody asked the training to stop: all is saved, the same command goes on."""


@dataclass(frozen=True)
class Budget:
    """What every run is given: passes over the data, thousands of real images, or seconds.

    At most one; none for the recipes' own, which must then be the same.
    """

    epochs: float | None = None
    kimg: float | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        given = {k: v for k, v in vars(self).items() if v is not None}
        if len(given) > 1:
            names = " and ".join(f"--{name}" for name in given)
            raise UsageError(f"{names} all state the budget: give one of them")
        for name, value in given.items():
            check(0 < value < float("inf"), name, value, "more than 0")


def variant(text: str, settings: Mapping[str, str] | None = None) -> Config:
    """The config of `recipe:key=value:...`; `settings` are laid over the recipe before its own.

    UsageError for a recipe or a setting that there is not.
    """
    first, *rest = text.strip().split(":")
    own: dict[str, str] = {}
    last = ""
    for word in rest:
        key, equals, value = word.partition("=")
        if equals:
            last = key.strip().replace("-", "_")
            own[last] = value.strip()
        elif last:  # a colon inside a value, as in device=cuda:0
            own[last] += f":{word}"
        else:  # a function of a file, as in mine.py:run
            first += f":{word}"
    if "seed" in own:
        raise UsageError(f"{text}: seeds are given by --seeds, for every recipe the same")
    chosen = recipes.find(first)
    try:
        return config.override(chosen, {**(settings or {}), **own}, recipes.PARTS)
    except UsageError as error:
        raise UsageError(f"{text}: {error}") from None


def jobs(
    variants: Mapping[str, Config], seeds: Sequence[int], budget: Budget, out: Path
) -> list[Job]:
    """Every run of a comparison, seed by seed, in OUT/RECIPE/seed-N; nothing is trained.

    Raises UsageError where two recipes are the same, their data or their budgets are not, or seeds
    are missing, negative or given twice.
    """
    check(len(variants) > 0, "recipes", "", "at least one")
    check(len(seeds) > 0, "seeds", list(seeds), "at least one")
    check(len(set(seeds)) == len(seeds), "seeds", list(seeds), "each seed once")
    check(min(seeds) >= 0, "seeds", list(seeds), "0 or more")
    given = list(variants.items())
    for i, (label, one) in enumerate(given):
        for other, two in given[:i]:
            if not settled(one, two):
                raise UsageError(f"{other} and {label} have the same settings: name one of them")
            for key in ("data", "size"):
                a, b = getattr(two, key), getattr(one, key)
                if a != b:
                    raise UsageError(
                        f"{key} = {a!r} in {other}, {b!r} in {label}: runs of different data "
                        f"cannot be compared; --{key} gives both the same"
                    )
    count = len(load(given[0][1].data, size=given[0][1].size))
    sized = {label: spent(label, one, budget, out) for label, one in given}
    if budget == Budget():
        same_budget(sized)
    return [
        Job(label, scored(replace(one, seed=seed), count), run_folder(out, label, seed))
        for seed in seeds
        for label, one in sized.items()
    ]


def settled(one: Config, two: Config) -> list[tuple[str, Any, Any]]:
    """(key, of one, of two) of every setting that matters to a comparison and differs."""
    pairs = config.difference(config.to_dict(one), config.to_dict(two))
    return [p for p in pairs if not p[0].startswith(FREE)]


def run_folder(out: Path, label: str, seed: int) -> Path:
    """The folder of one run of a comparison."""
    return out / (naming.slug(label) or "recipe") / f"seed-{seed}"


def spent(label: str, one: Config, budget: Budget, out: Path) -> Config:
    """A config with the budget; seconds become the images that this machine takes in them."""
    if budget.epochs is not None:
        return replace(one, epochs=budget.epochs, kimg=None)
    if budget.kimg is not None:
        return replace(one, kimg=budget.kimg)
    if budget.seconds is None:
        return one
    known = read_speeds(out)
    before = known.get(label, {})
    if before.get("seconds") != budget.seconds:
        speed = images_a_second(one, min(PROBE, budget.seconds / 10))
        kimg = round(max(speed * budget.seconds, one.batch) / 1000, 3)
        known[label] = {"seconds": budget.seconds, "images_per_second": round(speed, 1)}
        known[label]["kimg"] = kimg
        save(out / SPEEDS, json_bytes(known, indent=1))
    return replace(one, kimg=known[label]["kimg"])


def read_speeds(out: Path) -> dict[str, dict[str, float]]:
    """The speeds measured before in this folder: a comparison that goes on keeps its budget."""
    path = out / SPEEDS
    if not path.is_file():
        return {}
    try:
        table = json.loads(checkpoint.read_file(path))
        return {k: {n: float(x) for n, x in v.items()} for k, v in table.items()}
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise DataError(f"{path}: damaged: remove it, the speeds are measured again") from None


def images_a_second(one: Config, seconds: float) -> float:
    """D's real images a second of training, measured for so long in a folder of its own."""
    output = replace(one.output, log_every=10, score_every=0.0, patience=0.0)
    trial = replace(one, epochs=1e6, kimg=None, output=output)
    control, seen = Control(), []
    with tempfile.TemporaryDirectory() as folder:
        for t, progress in loop.training(trial, Path(folder) / "trial", control, race=False):
            if t.state.step and not progress.saved:
                seen.append((t.samples_seen, t.seconds))
                control.stop = t.seconds > seconds and len(seen) > 1
    (first, began), (last, ended) = seen[0], seen[-1]
    return (last - first) / max(ended - began, 1e-9)


def same_budget(variants: Mapping[str, Config]) -> None:
    """UsageError where recipes bring budgets of their own and they are not the same."""
    each = [
        f"{c.epochs:g} epochs" if c.kimg is None else f"{c.kimg:g} kimg" for c in variants.values()
    ]
    if len(set(each)) > 1:
        told = ", ".join(f"{label} {own}" for label, own in zip(variants, each, strict=True))
        raise UsageError(
            f"{told}: no equal budget; give one for all with --epochs, --kimg or --seconds"
        )


def scored(one: Config, examples: int) -> Config:
    """A config whose run scores itself `CANDIDATES` times, evenly, to choose its checkpoint by."""
    every = one.images(examples) / examples / CANDIDATES
    return replace(one, output=replace(one.output, score=True, score_every=every))


def there(job: Job) -> bool:
    """Whether the job's run is at its end; UsageError where its folder holds another."""
    run = Run(job.folder)
    if not run.exists():
        return False
    changed = settled(runs_config(run), job.config)
    if changed:
        said = ", ".join(f"{key} = {old!r} there, {new!r} here" for key, old, new in changed[:4])
        raise UsageError(f"{run.path} holds another run: {said}; give another --out")
    return run.info().get("status") in DONE


def runs_config(run: Run) -> Config:
    """The settings of a run folder, new settings at their defaults."""
    try:
        return config.from_dict(Config, run.settings(), recipes.PARTS)
    except UsageError as error:
        raise DataError(f"{run.path / runs.CONFIG}: {error}") from None


def train_missing(todo: Sequence[Job], show: str = "auto") -> Iterator[str]:
    """Train what is not there, a variant's runs at once where that pays; a line before each run.

    All folders are looked at before the first step. A run that was begun goes on; one that is at
    its end, or diverged before, is left. Raises StoppedError where a signal ended a run.
    """
    missing = [job for job in todo if not there(job)]
    number = 0
    for jobs, stack in together.turns(todo, missing):
        for job in jobs:
            number += 1
            yield f"{job.name}: run {number} of {len(missing)} to train, in {job.folder}"
        if stack is None:
            signal, fallen = alone(jobs[0], show)
        else:
            if len(jobs) > 1:
                yield f"{jobs[0].label}: these {len(jobs)} are trained at once"
            control = Control()
            fallen = together.train(jobs, stack, show, control)
            signal = control.signal
        for job in jobs:
            if job.config.seed in fallen:
                yield f"{job.name}: {fallen[job.config.seed]}"
        if signal:
            name = jobs[0].name if len(jobs) == 1 else f"{jobs[0].label}, {len(jobs)} seeds"
            stop = StoppedError(f"{name}: stopped and saved; the same command goes on")
            stop.exit_code = 128 + signal
            raise stop


def alone(job: Job, show: str) -> tuple[int, dict[int, str]]:
    """Train one run; the signal that stopped it, 0 for none, and why it diverged, by its seed."""
    try:
        return session.train(job.config, job.folder, show=show, race=False).signal, {}
    except DivergedError as error:
        return 0, {job.config.seed: str(error)}
