"""Compare recipes: train what is missing of every recipe with every seed, then score all alike.

A variant is a recipe with settings changed, written `cdcgan:game.loss=hinge`; several settings as
`cdcgan:game.loss=hinge:generator.lr=1e-4`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ganforge import api, registry
from ganforge.config import convert
from ganforge.config.schema import Config
from ganforge.data.load import load
from ganforge.errors import DivergedError, UsageError, check
from ganforge.experiments import naming
from ganforge.experiments.compare import runs
from ganforge.experiments.compare.budget import Budget, with_budget
from ganforge.experiments.compare.comparison import Comparison, Scoring
from ganforge.experiments.ensemble import compare as ensembles
from ganforge.experiments.ensemble.compare import Job
from ganforge.experiments.seeds import StoppedError
from ganforge.experiments.seeds.plan import ENDED, checked_seeds, user_networks
from ganforge.recipes import find
from ganforge.runs import folder
from ganforge.runs.folder import Run
from ganforge.runs.model import OwnNetworks
from ganforge.runs.records import Control
from ganforge.training import checks

WRITTEN = ("compare.json", "compare.png", "speeds.json")  # in the folder of a comparison
CANDIDATES = 5  # scores of a run on the validation split, of which the best chooses its checkpoint


def of_recipes(
    recipes: Sequence[str] | Mapping[str, Config],
    seeds: Sequence[int],
    out: Path | str,
    *,
    scoring: Scoring | None = None,
    budget: Budget | None = None,
    settings: Mapping[str, str] | None = None,
    show: str = "auto",
) -> Comparison:
    """Train what is missing of every recipe with every seed, and compare.

    Args:
        recipes: names and variants, such as "cdcgan:game.loss=hinge", or configs by name.
        seeds: the same for every recipe; five support a claim.
        out: the folder of the runs: OUT/RECIPE/seed-N.
        scoring: see `of_runs`.
        budget: for every run. [default: the recipes' own budgets, which must be equal]
        settings: of every named recipe, applied before the variant's settings.
        show: how training is shown, see `api.train`.

    Returns:
        The comparison.

    Raises:
        UsageError, DataError: see `of_runs` and `plan_jobs`.
        StoppedError: a signal ended the training; the same call continues.
    """
    configs = recipes if isinstance(recipes, Mapping) else variants(recipes, settings)
    jobs = plan_jobs(configs, list(seeds), budget or Budget(), Path(out))
    for _ in train_missing(jobs, show, scoring):
        pass
    return of_jobs(jobs, scoring)


def variants(texts: Sequence[str], settings: Mapping[str, str] | None = None) -> dict[str, Config]:
    """Configs by label, from recipes and variants as they are written."""
    twice = next((text for i, text in enumerate(texts) if text in texts[:i]), None)
    if twice is not None:
        raise UsageError(f"recipes: {twice!r} is named twice")
    return {text: variant(text, settings) for text in texts}


def variant(text: str, settings: Mapping[str, str] | None = None) -> Config:
    """The config of `recipe:key=value:...`; `settings` are applied first.

    UsageError for an unknown recipe or setting.
    """
    recipe, *rest = text.strip().split(":")
    changes: dict[str, str] = {}
    last = ""
    for word in rest:
        key, equals, value = word.partition("=")
        if equals:
            last = key.strip().replace("-", "_")
            changes[last] = value.strip()
        elif last:  # a colon inside a value, as in device=cuda:0
            changes[last] += f":{word}"
        else:  # a function of a file, as in mine.py:run
            recipe += f":{word}"
    if "seed" in changes:
        raise UsageError(f"{text}: seeds are given by --seeds, for every recipe the same")
    chosen = find(recipe)
    try:
        return convert.override(chosen, {**(settings or {}), **changes}, registry.PARTS)
    except UsageError as error:
        raise UsageError(f"{text}: {error}") from None


def plan_jobs(
    configs: Mapping[str, Config], seeds: Sequence[int], budget: Budget, out: Path
) -> list[Job]:
    """Every run of a comparison, seed by seed, in OUT/RECIPE/seed-N; nothing is trained.

    Raises:
        UsageError: two recipes are the same, their data or budgets differ, or `seeds` are invalid.
    """
    check(len(configs) > 0, "recipes", "", "at least one")
    seeds = checked_seeds(seeds)
    folder.refuse_occupied(out, belongs)
    given = list(configs.items())
    for i, (label, one) in enumerate(given):
        for other, two in given[:i]:
            if not differences(one, two):
                raise UsageError(f"{other} and {label} have the same settings: name one of them")
            for key in ("data", "size"):
                a, b = getattr(two, key), getattr(one, key)
                if a != b:
                    raise UsageError(
                        f"{key} = {a!r} in {other}, {b!r} in {label}: runs of different data "
                        f"cannot be compared; --{key} gives both the same"
                    )
    examples = len(load(given[0][1].data, size=given[0][1].size))
    ready = {
        label: with_scores(config, examples)
        for label, config in with_budget(configs, budget, out).items()
    }
    return [
        Job(label, replace(config, seed=seed), run_folder(out, label, seed))
        for seed in seeds
        for label, config in ready.items()
    ]


def differences(one: Config, two: Config) -> list[tuple[str, Any, Any]]:
    """(key, of one, of two) of every setting that differs and matters to a comparison."""
    pairs = convert.difference(convert.to_dict(one), convert.to_dict(two))
    return [p for p in pairs if not p[0].startswith(runs.MAY_DIFFER)]


def run_folder(out: Path, label: str, seed: int) -> Path:
    """The folder of one run of a comparison."""
    return out / (naming.slug(label) or "recipe") / f"seed-{seed}"


def belongs(path: Path) -> bool:
    """Whether a file or folder may lie in the folder of a comparison: runs, or what it writes."""
    if path.name in WRITTEN or folder.of_seeds(path) or Run(path).exists():
        return True
    return path.is_dir() and all(p.name in WRITTEN or folder.of_seeds(p) or Run(p).exists()
                                 or folder.leftover(p) for p in path.iterdir())  # fmt: skip


def with_scores(config: Config, examples: int) -> Config:
    """A config whose run is scored `CANDIDATES` times, evenly, to choose its checkpoint."""
    every = config.images(examples) / examples / CANDIDATES
    return replace(config, output=replace(config.output, score=True, score_every=every))


def is_trained(job: Job) -> bool:
    """Whether the run of a job has ended; UsageError if its folder holds another run."""
    run = Run(job.folder)
    if not run.exists():
        return False
    changed = differences(runs.config_of(run), job.config)
    if changed:
        listed = ", ".join(f"{key} = {old!r} there, {new!r} here" for key, old, new in changed[:4])
        raise UsageError(f"{run.path} holds another run: {listed}; give another --out")
    return run.info().get("status") in ENDED


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
    for some, plan in ensembles.turns(jobs, missing):
        for job in some:
            number += 1
            yield f"{job.name}: run {number} of {len(missing)} to train, in {job.folder}"
        if plan is None:
            signal, diverged = train_one(some[0], show)
        else:
            if len(some) > 1:
                yield f"{some[0].label}: these {len(some)} are trained at once"
            control = Control()
            diverged = ensembles.train(some, plan, show, control)
            signal = control.signal
        for job in some:
            if job.config.seed in diverged:
                yield f"{job.name}: {diverged[job.config.seed]}"
        if signal:
            name = some[0].name if len(some) == 1 else f"{some[0].label}, {len(some)} seeds"
            raise StoppedError(name, signal)


def require_trainable(jobs: Sequence[Job], scoring: Scoring) -> None:
    """UsageError, DataError or DiskError if a job cannot be trained, or its run not be scored."""
    for label in dict.fromkeys(job.label for job in jobs):
        same = [job for job in jobs if job.label == label]
        folder.refuse_occupied(same[0].folder.parent, folder.of_seeds)
        checks.require_trainable({job.folder: job.config for job in same})
    if jobs:
        runs.refuse_unscorable([job.config for job in jobs], scoring)


def train_one(job: Job, show: str) -> tuple[int, dict[int, str]]:
    """Train one run; returns the signal that stopped it, 0 for none, and why it diverged."""
    try:
        return api.train(job.config, job.folder, show=show, race=False).signal, {}
    except DivergedError as error:
        return 0, {job.config.seed: str(error)}


def of_jobs(jobs: Sequence[Job], scoring: Scoring | None = None) -> Comparison:
    """Compare the runs of jobs that have been trained."""
    members: dict[str, list[Run]] = {}
    networks: dict[str, OwnNetworks | None] = {}
    for job in jobs:
        members.setdefault(job.label, []).append(Run(job.folder))
        networks[job.label] = user_networks(job.config)
    return runs.judge(members, networks, scoring or Scoring())


def progress_lines(
    jobs: Sequence[Job], show: str = "auto", scoring: Scoring | None = None
) -> Iterator[str]:
    """The lines of `train_missing`, with the runs that are there already and the scoring."""
    before = sum(is_trained(job) for job in jobs)
    if before:
        yield f"{before} of {len(jobs)} runs are there already"
    yield from train_missing(jobs, show, scoring)
    yield f"scoring {len(jobs)} runs"
