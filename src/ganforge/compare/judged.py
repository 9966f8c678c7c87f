"""Runs that are compared: checked to be of the same data, scored alike, grouped by recipe."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path
from typing import Any

from ganforge import config, judging, model, runs
from ganforge.compare import paired
from ganforge.compare.paired import Summary, Test
from ganforge.compare.plan import DONE, FREE, runs_config
from ganforge.errors import DataError, UsageError, check
from ganforge.evaluation import features
from ganforge.evaluation.score import Score
from ganforge.judging import Real
from ganforge.model import OwnNetworks
from ganforge.recipes import RECIPES
from ganforge.runs import Run
from ganforge.scoring import BEST_MODEL

SEED = 0  # of every score: the same noise, the same real examples
OF_LABELS = ("label-accuracy", "worst-class", "cas")  # metrics of conditional recipes alone
OWN_N = ("worst-class",)  # metrics whose N is a part of the samples, another in each run
CLAIM = 5  # seeds
BUDGET, UNTOLD = ("epochs", "kimg"), ("seed", *FREE)  # settings that are left out of names
EQUAL = 0.01  # relative difference of budgets that are called the same


@dataclass(frozen=True)
class Scoring:
    """How every run is scored, the same for all.

    metrics: keys of `METRICS`. n, split, space: as `judging.judge`.
    """

    metrics: tuple[str, ...] = ("frechet",)
    n: int = judging.N
    split: str = "test"
    space: str | None = None

    def __post_init__(self) -> None:
        judging.check_request(self.n, self.metrics, self.space, self.split)


@dataclass(frozen=True)
class Entry:
    """One run: its folder, what it took, the model that is judged and its scores by metric.

    images: real ones that D saw, `step_images` of them a step; seconds of training; epoch: of the
    model judged. diverged: there are no scores. stacked: seats of the group of runs trained at once
    that these seconds are of, 0 for a run alone.
    """

    path: Path
    seed: int
    images: int
    step_images: int
    seconds: float
    epoch: float
    diverged: bool = False
    stacked: int = 0
    scores: Mapping[str, Score] = field(default_factory=dict)


@dataclass(frozen=True)
class Group:
    """The runs of one recipe or variant, by seed."""

    label: str
    entries: tuple[Entry, ...]

    def values(self, metric: str) -> dict[int, float]:
        """The metric's value by seed, {} where it does not fit this recipe."""
        return {e.seed: e.scores[metric].value for e in self.entries if metric in e.scores}

    def gaps(self, metric: str) -> dict[int, float]:
        """What ranks, by seed: the value, or its distance from the floor where that is best."""
        return {
            e.seed: abs(s.value - s.floor) if s.better == "floor" else s.value
            for e in self.entries
            for s in [e.scores.get(metric)]
            if s is not None
        }


@dataclass(frozen=True)
class Comparison:
    """What was compared, and how: every score has this data, split, N, seed and space.

    scoring: with the N that the data allow, and the space. note: what N was cut to, if it was.
    model: "best" where the checkpoint of every run was chosen on the validation split, or "last".
    """

    groups: tuple[Group, ...]
    scoring: Scoring
    data: str
    data_sha256: str
    model: str
    seed: int = SEED
    note: str = ""

    def ranked(self, metric: str) -> list[tuple[Group, Summary]]:
        """The groups that have the metric with the summary of its values, best first."""
        rows = []
        for group in self.groups:
            values, gaps = group.values(metric), group.gaps(metric)
            if values:
                sign = -1.0 if self.card(metric).better == "higher" else 1.0
                rank = sign * paired.summarise(list(gaps.values())).mean
                summary = paired.summarise(list(values.values()))
                rows.append((math.inf if math.isnan(rank) else rank, group, summary))
        return [(group, summary) for _, group, summary in sorted(rows, key=lambda r: r[0])]

    def tests(self, metric: str) -> list[Test]:
        """Every two groups of `ranked`, the better one first, on the seeds that both have."""
        pairs = combinations([group for group, _ in self.ranked(metric)], 2)
        made = [paired.compare(a.label, b.label, a.gaps(metric), b.gaps(metric)) for a, b in pairs]
        return paired.adjusted(made)

    def card(self, metric: str) -> Score:
        """Any score of a metric, for what they all share."""
        return next(e.scores[metric] for e in self.entries if metric in e.scores)

    @property
    def entries(self) -> list[Entry]:
        return [entry for group in self.groups for entry in group.entries]

    @property
    def equal_images(self) -> bool:
        """Whether every run saw as many images, but for a hundredth or for one step."""
        images = [e.images for e in self.entries]
        apart = max(images) - min(images)
        return apart <= max(EQUAL * max(images), *(e.step_images for e in self.entries))


def of_runs(
    paths: Sequence[Path | str],
    scoring: Scoring | None = None,
    networks: OwnNetworks | None = None,
) -> Comparison:
    """Compare finished runs; those with the same settings but for the seed are one group.

    A folder that holds runs stands for all of them. Scores that a run's scores.json has already
    are not made again.

    Arguments:
        paths: of run folders, or of folders of them.
        scoring: by what; the Frechet distance of 10,000 samples where nothing is said.
        networks: your own function, where models were trained with one.

    Raises:
        UsageError: runs of different data or sizes, the same recipe and seed twice, a metric that
            is not known or fits none of them.
        DataError: no runs, or one that is not at its end; scores that were made otherwise.
    """
    members = grouped(paths)
    return judge(members, dict.fromkeys(members, networks), scoring or Scoring())


def grouped(paths: Sequence[Path | str]) -> dict[str, list[Run]]:
    """The runs of `paths` by the name of their recipe; what `of_runs` raises where there are none.

    paths: of run folders, or of folders of them.
    """
    found: list[Run] = []
    for path in map(Path, paths):
        inside = [] if Run(path).exists() or not path.is_dir() else runs.find_runs(path)
        found += inside or [runs.open_run(path)]
    check(len(found) > 0, "runs", list(paths), "at least one")
    settings = [config.to_dict(runs_config(run)) for run in found]
    names = labels(settings)
    members: dict[str, list[Run]] = {}
    for name, run in zip(names, found, strict=True):
        members.setdefault(name, []).append(run)
    return members


def labels(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """A name for each run's recipe, as a variant is written: name:key=value:...

    Of the settings in which the recipes of a name differ, those that are not the recipe's own;
    the budget only where nothing else tells two apart.
    """
    tables = [dict(config.flat(s)) for s in settings]
    whole = [distinct(table, tables, ()) for table in tables]
    brief = [distinct(table, tables, BUDGET) for table in tables]
    unclear = {
        b for b, w in zip(brief, whole, strict=True)
        if any(b == b2 and w != w2 for b2, w2 in zip(brief, whole, strict=True))
    }  # fmt: skip
    return [w if b in unclear else b for b, w in zip(brief, whole, strict=True)]


def distinct(table: dict[str, Any], tables: Sequence[dict[str, Any]], hidden: Sequence[str]) -> str:
    """The name of one recipe among those of `tables`, without the settings in `hidden`."""
    name = str(table["name"])
    same = [t for t in tables if t["name"] == name]
    own = dict(config.flat(config.to_dict(RECIPES[name]()))) if name in RECIPES else {}
    shown = [name]
    for key in dict.fromkeys(k for t in (*same, own) for k in t):
        value = table.get(key)
        varies = any(t.get(key) != value for t in same)
        if varies and value != own.get(key) and key not in hidden and not key.startswith(UNTOLD):
            text = (
                value if isinstance(value, str) else "none" if value is None else json.dumps(value)
            )
            shown.append(f"{key}={text}")
    return ":".join(shown)


def judge(
    members: Mapping[str, Sequence[Run]],
    own: Mapping[str, OwnNetworks | None],
    scoring: Scoring,
) -> Comparison:
    """Score the runs of each group alike. own: the user's networks of each group, if any."""
    everyone = [run for group in members.values() for run in group]
    infos = {run: ended(run) for run in everyone}
    same_data(everyone, infos)
    no_run_twice(members, infos)
    settings = everyone[0].settings()
    real = judging.load_real(settings["data"], settings.get("size"), scoring.split)
    if real.train.sha256 != infos[everyone[0]].get("data_sha256"):
        raise DataError(f"{settings['data']}: not the data {everyone[0].path} was trained on")
    good = [run for run in everyone if infos[run]["status"] != "diverged"]
    check_labels(good, scoring.metrics)
    best = all((run.path / BEST_MODEL / model.CONFIG).is_file() for run in good)
    counts = {f"{scoring.split} examples": len(real.held), "training examples": len(real.train)}
    n, note = judging.limited(scoring.n, counts)
    scoring = replace(scoring, n=n, space=scoring.space or features.default_space(real.train.spec))
    groups = []
    for label, group in members.items():
        made = [entry(run, infos[run], best, real, own[label], scoring) for run in group]
        groups.append(Group(label, tuple(sorted(made, key=lambda e: e.seed))))
    same_stamps(groups)
    chosen = "best" if best else "last"
    data = (real.train.name, real.held.sha256)
    return Comparison(tuple(groups), scoring, *data, chosen, note=note)


def ended(run: Run) -> dict[str, Any]:
    """run.json of a run at its end; DataError for any other."""
    info = run.info()
    if info.get("status") not in DONE:
        raise DataError(
            f"{run.path}: {info.get('status', 'not begun')} at step {info.get('step', 0):,} of "
            f"{info.get('steps', 0):,}: train it to its end, or leave it out"
        )
    return info


def same_data(everyone: Sequence[Run], infos: Mapping[Run, Mapping[str, Any]]) -> None:
    """UsageError that names the difference where runs were trained on different data."""
    first = everyone[0]
    for run in everyone[1:]:
        for key in ("data", "size"):
            a, b = first.settings().get(key), run.settings().get(key)
            if a != b and (
                key == "size" or infos[first]["data_sha256"] != infos[run]["data_sha256"]
            ):
                raise UsageError(
                    f"{key} = {a!r} in {first.path}, {b!r} in {run.path}: runs of different data "
                    "cannot be compared"
                )
        if infos[first]["data_sha256"] != infos[run]["data_sha256"]:
            raise UsageError(
                f"{first.path} and {run.path} were trained on different {a!r} (their sha256 "
                "differs): they cannot be compared"
            )


def no_run_twice(
    members: Mapping[str, Sequence[Run]], infos: Mapping[Run, Mapping[str, Any]]
) -> None:
    """UsageError where a recipe has two runs with one seed: they are no two samples of it."""
    for label, group in members.items():
        seen: dict[int, Run] = {}
        for run in group:
            other = seen.setdefault(int(infos[run]["seed"]), run)
            if other is not run:
                raise UsageError(
                    f"{other.path} and {run.path} are both {label}, seed {infos[run]['seed']}: "
                    "leave one out"
                )


def check_labels(everyone: Sequence[Run], metrics: Sequence[str]) -> None:
    """DataError where all have diverged; UsageError where a metric of labels fits none of them."""
    if not everyone:
        raise DataError("every run has diverged: there is nothing to score")
    asked = [m for m in metrics if m in OF_LABELS]
    if asked and not any(run.settings().get("labels") for run in everyone):
        raise UsageError(f"metric {asked[0]!r}: none of these runs is conditional")


def entry(
    run: Run,
    info: Mapping[str, Any],
    best: bool,
    real: Real,
    own: OwnNetworks | None,
    scoring: Scoring,
) -> Entry:
    """One run, scored; what its scores.json has of this step is not made again."""
    settings, epoch = run.settings(), float(info["epoch"])
    a_step = int(settings["batch"]) * int(settings.get("game", {}).get("d_steps", 1))
    told = (int(info["seed"]), int(info["samples_seen"]), a_step, float(info["seconds"]))
    stacked = int(info.get("resolved", {}).get("stacked", 0))
    if info["status"] == "diverged":
        return Entry(run.path, *told, epoch, diverged=True, stacked=stacked)
    subject = judging.open_subject(run.path / BEST_MODEL if best else run.path, own)
    wanted = [m for m in scoring.metrics if m not in OF_LABELS or settings.get("labels")]
    cards = kept(subject, real, scoring)
    missing = [m for m in wanted if m not in cards]
    if missing:
        made = judging.measure(
            subject.sampler,
            real,
            n=scoring.n,
            metrics=missing,
            space=scoring.space,
            seed=SEED,
            name=subject.name,
        )
        judging.keep(subject.kept, made, real, step=subject.step, space=scoring.space)
        cards |= {s.name: s for s in made}
    step = int(info["step"]) if subject.step is None else subject.step
    at = epoch * step / max(1, int(info["step"]))
    return Entry(run.path, *told, at, stacked=stacked, scores={m: cards[m] for m in wanted})


def kept(subject: judging.Subject, real: Real, scoring: Scoring) -> dict[str, Score]:
    """Scores of this very model that were made the same way before."""
    wanted = (subject.step, scoring.split, SEED, scoring.n, scoring.space, real.held.sha256)
    found: dict[str, Score] = {}
    for e in judging.read(subject.kept).values():
        had = (e["step"], e["split"], e["seed"], e["n"], e["space"], e["data_sha256"])
        if had == wanted:
            found |= {card.name: card for card in judging.cards(e)}
    return found


def same_stamps(groups: Sequence[Group]) -> None:
    """DataError that names the difference where two scores of a metric are not comparable."""
    first: dict[str, tuple[Path, Score]] = {}
    for e in (e for group in groups for e in group.entries):
        for name, card in e.scores.items():
            path, other = first.setdefault(name, (e.path, card))
            keys = ["space", "space_sha256", "split", "seed", *([] if name in OWN_N else ["n"])]
            for key in keys:
                a, b = getattr(other, key), getattr(card, key)
                if a != b:
                    raise DataError(
                        f"{name}: {key} is {a} in {path}, {b} in {e.path}: such scores cannot be "
                        f"compared; remove {e.path}'s scores.json and compare again"
                    )
