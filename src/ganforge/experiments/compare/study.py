"""Recipes compared from nothing: what is missing is trained, everything is scored alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ganforge.config.schema import Config, Part
from ganforge.errors import UsageError
from ganforge.experiments.compare import judged, plan
from ganforge.experiments.compare.judged import Comparison, Scoring
from ganforge.experiments.compare.plan import Budget
from ganforge.experiments.ensemble.compare import Job
from ganforge.runs.folder import Run
from ganforge.runs.model import OwnNetworks


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

    Arguments:
        recipes: names and variants, such as "cdcgan:game.loss=hinge", or configs by name.
        seeds: the same for every recipe; five make a claim.
        out: the runs' folder: OUT/RECIPE/seed-N.
        scoring: as `of_runs`.
        budget: for every run; None for the recipes' own, where they are the same.
        settings: laid over every recipe named, before its own.
        show: how training shows itself, see `session.train`.

    Raises what `of_runs` and `jobs` do, and StoppedError where a signal ended the training: the
    same call goes on.
    """
    named = recipes if isinstance(recipes, Mapping) else variants(recipes, settings)
    todo = plan.jobs(named, list(seeds), budget or Budget(), Path(out))
    for _ in plan.train_missing(todo, show):
        pass
    return of_jobs(todo, scoring)


def variants(texts: Sequence[str], settings: Mapping[str, str] | None = None) -> dict[str, Config]:
    """Configs by label, from recipes and variants as they are written."""
    out: dict[str, Config] = {}
    for text in texts:
        if text in out:
            raise UsageError(f"recipes: {text!r} is named twice")
        out[text] = plan.variant(text, settings)
    return out


def of_jobs(todo: Sequence[Job], scoring: Scoring | None = None) -> Comparison:
    """Compare the runs of jobs that have been trained."""
    members: dict[str, list[Run]] = {}
    own: dict[str, OwnNetworks | None] = {}
    for job in todo:
        members.setdefault(job.label, []).append(Run(job.folder))
        built_in = isinstance(job.config.networks, Part)
        own[job.label] = None if built_in else job.config.networks
    return judged.judge(members, own, scoring or Scoring())


def told(todo: Sequence[Job], show: str = "auto") -> Iterator[str]:
    """The lines of `train_missing`, and one about what is there already."""
    before = sum(plan.there(job) for job in todo)
    if before:
        yield f"{before} of {len(todo)} runs are there already"
    yield from plan.train_missing(todo, show)
    yield f"scoring {len(todo)} runs"
