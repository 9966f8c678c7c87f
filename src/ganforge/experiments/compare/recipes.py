"""Compare recipes: train what is missing of every recipe with every seed, then score all alike.

A variant is a recipe with settings changed, written `cdcgan:game.loss=hinge`; several settings as
`cdcgan:game.loss=hinge:generator.lr=1e-4`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path

from ganforge import registry
from ganforge.config import convert
from ganforge.config.schema import Config
from ganforge.errors import UsageError, check
from ganforge.experiments import naming
from ganforge.experiments.compare import runs
from ganforge.experiments.compare.budget import Budget, with_budget
from ganforge.experiments.compare.comparison import Comparison, Scoring
from ganforge.experiments.compare.jobs import Job, by_label, train_missing
from ganforge.experiments.plan import checked_seeds, user_networks
from ganforge.recipes import find
from ganforge.runs import folder
from ganforge.runs.folder import Run
from ganforge.training.pairing import load_part

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
        budget: for every run. [default: those of the recipes, which must be equal]
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
        values = {
            key: registry.named(text) for key, text in ({**(settings or {}), **changes}).items()
        }
        return convert.override(chosen, values, registry.PARTS)
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
    for (other, one), (label, two) in combinations(configs.items(), 2):
        if not runs.differences(one, two):
            raise UsageError(f"{other} and {label} have the same settings: name one of them")
        for key in ("data", "size"):
            a, b = getattr(one, key), getattr(two, key)
            if a != b:
                raise UsageError(
                    f"{key} = {a!r} in {other}, {b!r} in {label}: runs of different data "
                    f"cannot be compared; --{key} gives both the same"
                )
    first = next(iter(configs.values()))
    examples = load_part(first).epoch
    ready = {k: with_scores(c, examples) for k, c in with_budget(configs, budget, out).items()}
    return [
        Job(label, replace(config, seed=seed), run_folder(out, label, seed))
        for seed in seeds
        for label, config in ready.items()
    ]


def run_folder(out: Path, label: str, seed: int) -> Path:
    """The folder of one run of a comparison."""
    return out / (naming.slug(label) or "recipe") / f"seed-{seed}"


def belongs(path: Path) -> bool:
    """Whether a file or folder may lie in the folder of a comparison: runs, or what it writes."""

    def ours(p: Path) -> bool:
        return p.name in WRITTEN or folder.of_seeds(p) or Run(p).exists()

    return ours(path) or (
        path.is_dir() and all(ours(p) or folder.leftover(p) for p in path.iterdir())
    )


def with_scores(config: Config, examples: int) -> Config:
    """A config whose run is scored `CANDIDATES` times, evenly, to choose its checkpoint."""
    every = config.images(examples) / examples / CANDIDATES
    return replace(config, output=replace(config.output, score=True, score_every=every))


def of_jobs(jobs: Sequence[Job], scoring: Scoring | None = None) -> Comparison:
    """Compare the runs of jobs that have been trained."""
    grouped = by_label(jobs)
    members = {label: [Run(job.folder) for job in some] for label, some in grouped.items()}
    networks = {label: user_networks(some[0].config) for label, some in grouped.items()}
    return runs.judge(members, networks, scoring or Scoring())
