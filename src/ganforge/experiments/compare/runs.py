"""Compare finished runs: check that they are comparable, score them alike, group them by recipe."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ganforge.callbacks.evaluate import BEST_MODEL
from ganforge.config import convert
from ganforge.config.schema import Config
from ganforge.config.user_code import folded
from ganforge.errors import DataError, UsageError, check
from ganforge.evaluation import evaluate, features, store
from ganforge.evaluation.inputs import Real
from ganforge.evaluation.metrics import LABELLED, METRICS
from ganforge.evaluation.score import Score
from ganforge.experiments.compare.comparison import SEED, Comparison, Entry, Group, Scoring
from ganforge.experiments.plan import ENDED
from ganforge.recipes import RECIPES
from ganforge.runs import folder, load, model
from ganforge.runs.folder import Run
from ganforge.runs.model import OwnNetworks

OF_LABELS = [name for name, m in METRICS.items() if m.needs == LABELLED]  # conditional alone
MAY_DIFFER = ("device", "threads", "output.")  # settings in which runs of one recipe may differ
BUDGET, UNNAMED = ("epochs", "kimg"), ("seed", *MAY_DIFFER)  # settings left out of names


def of_runs(
    paths: Sequence[Path | str],
    scoring: Scoring | None = None,
    networks: OwnNetworks | None = None,
) -> Comparison:
    """Compare finished runs; runs with the same settings except for the seed are one group.

    Scores that a run's scores.json holds already are not made again.

    Args:
        paths: of run folders, or of folders of runs, which stand for all runs inside.
        scoring: how. [default: by the Frechet distance of 10,000 samples]
        networks: your function, if the models were trained with one.

    Returns:
        The comparison.

    Raises:
        UsageError: runs of different data or sizes, the same recipe and seed twice, a metric that
            is not known or fits none of the runs.
        DataError: no runs, a run that is not finished, scores that were made in different ways.
    """
    groups = by_recipe(paths)
    return judge(groups, dict.fromkeys(groups, networks), scoring or Scoring())


def by_recipe(paths: Sequence[Path | str]) -> dict[str, list[Run]]:
    """The runs of `paths` by the name of their recipe; raises what `of_runs` does for none."""
    found: list[Run] = []
    for path in map(Path, paths):
        inside = [] if Run(path).exists() or not path.is_dir() else folder.find_runs(path)
        found += inside or [folder.open_run(path)]
    check(len(found) > 0, "runs", list(paths), "at least one")
    names = labels([convert.to_dict(load.load_config(run)) for run in found])
    members: dict[str, list[Run]] = {}
    for name, run in zip(names, found, strict=True):
        members.setdefault(name, []).append(run)
    return members


def differences(one: Config, two: Config) -> list[tuple[str, Any, Any]]:
    """(key, of one, of two) of every setting that differs and matters to a comparison."""
    pairs = convert.difference(convert.to_dict(one), convert.to_dict(two))
    return [p for p in pairs if not p[0].startswith(MAY_DIFFER)]


# --- names ------------------------------------------------------------------------------------


def labels(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """A name for the recipe of each run, written like a variant: name:key=value:...

    It shows the settings in which the recipes of one name differ, unless the value is the recipe's
    default; the budget, and a part of the sha256 of the user's code, only if nothing else separates
    two recipes.
    """
    tables = [dict(convert.flat(folded(s, 8))) for s in settings]
    short = [dict(convert.flat(folded(s, 0))) for s in settings]
    full = [label(table, tables, ()) for table in tables]
    brief = [label(table, short, BUDGET) for table in short]
    meanings = Counter(name for name, _ in set(zip(brief, full, strict=True)))
    return [b if meanings[b] == 1 else f for b, f in zip(brief, full, strict=True)]


def label(table: dict[str, Any], tables: Sequence[dict[str, Any]], hidden: Sequence[str]) -> str:
    """The name of one recipe among those of `tables`, without the settings in `hidden`."""
    name = str(table["name"])
    same = [t for t in tables if t["name"] == name]
    default = dict(convert.flat(convert.to_dict(RECIPES[name]()))) if name in RECIPES else {}
    shown = [name]
    for key in dict.fromkeys(k for t in (*same, default) for k in t):
        value = table.get(key)
        varies = any(t.get(key) != value for t in same)
        if varies and value != default.get(key) and not key.startswith((*hidden, *UNNAMED)):
            text = value if isinstance(value, str) else json.dumps(value)
            shown.append(f"{key}={'none' if value is None else text}")
    return ":".join(shown)


# --- scores -----------------------------------------------------------------------------------


def judge(
    members: Mapping[str, Sequence[Run]],
    networks: Mapping[str, OwnNetworks | None],
    scoring: Scoring,
) -> Comparison:
    """Score the runs of each recipe in the same way. networks: the user's, by recipe, if any."""
    runs = [run for group in members.values() for run in group]
    infos = {run: finished_info(run) for run in runs}
    refuse_different_data(infos)
    refuse_equal_seeds(members, infos)
    settings = runs[0].settings()
    real = evaluate.load_real(settings["data"], settings.get("size"), scoring.split)
    if real.train.sha256 != infos[runs[0]].get("data_sha256"):
        raise DataError(f"{settings['data']}: not the data {runs[0].path} was trained on")

    good = [run for run in runs if infos[run]["status"] != "diverged"]
    if not good:
        raise DataError("every run has diverged: there is nothing to score")
    refuse_label_metrics(any(run.settings().get("labels") for run in good), scoring.metrics)
    best = all((run.path / BEST_MODEL / model.CONFIG).is_file() for run in good)
    n, note = size_of_scores(real, scoring)
    scoring = replace(scoring, n=n, space=scoring.space or features.default_space(real.train.spec))

    groups = []
    for name, group in members.items():
        entries = [entry(run, infos[run], best, real, networks[name], scoring) for run in group]
        groups.append(Group(name, tuple(sorted(entries, key=lambda e: e.seed))))
    refuse_different_stamps(groups)
    data = (real.train.name, real.held_out.sha256)
    return Comparison(tuple(groups), scoring, *data, "best" if best else "last", note=note)


def entry(
    run: Run,
    info: Mapping[str, Any],
    best: bool,
    real: Real,
    networks: OwnNetworks | None,
    scoring: Scoring,
) -> Entry:
    """Score one run; scores that its scores.json has for this model are not made again."""
    settings = run.settings()
    made = Entry(
        run.path,
        seed=int(info["seed"]),
        images=int(info["samples_seen"]),
        step_images=int(settings["batch"]) * int(settings.get("game", {}).get("d_steps", 1)),
        seconds=float(info["seconds"]),
        epoch=float(info["epoch"]),
        diverged=info["status"] == "diverged",
        stacked=int(info.get("resolved", {}).get("stacked", 0)),
    )
    if made.diverged:
        return made
    subject = evaluate.open_subject(run.path / BEST_MODEL if best else run.path, networks)
    wanted = [m for m in scoring.metrics if m not in OF_LABELS or settings.get("labels")]
    cards = saved_cards(subject, real, scoring)
    missing = [m for m in wanted if m not in cards]
    if missing:
        scores = evaluate.evaluate(
            subject, real, n=scoring.n, metrics=missing, space=scoring.space, seed=SEED
        )
        cards |= {s.name: s for s in scores}
    steps = int(info["step"])
    step = steps if subject.step is None else subject.step
    return replace(
        made, epoch=made.epoch * step / max(1, steps), scores={m: cards[m] for m in wanted}
    )


def saved_cards(subject: evaluate.Subject, real: Real, scoring: Scoring) -> dict[str, Score]:
    """The saved scores of this very model that were made in the same way."""
    wanted = (subject.step, scoring.split, SEED, scoring.n, scoring.space, real.held_out.sha256)
    keys = ("step", "split", "seed", "n", "space", "data_sha256")
    entries = store.read(subject.file).values() if subject.file else ()
    same = [e for e in entries if tuple(e[key] for key in keys) == wanted]
    return {card.name: card for e in same for card in store.cards(e)}


# --- what cannot be compared ------------------------------------------------------------------


def finished_info(run: Run) -> dict[str, Any]:
    """run.json of a run that has ended; DataError for any other."""
    info = run.info()
    if info.get("status") not in ENDED:
        raise DataError(
            f"{run.path}: {info.get('status', 'not begun')} at step {info.get('step', 0):,} of "
            f"{info.get('steps', 0):,}: train it to its end, or leave it out"
        )
    return info


def refuse_different_data(infos: Mapping[Run, Mapping[str, Any]]) -> None:
    """UsageError that names the difference if runs were trained on different data."""
    first, *others = infos
    for run in others:
        same = infos[first]["data_sha256"] == infos[run]["data_sha256"]
        for key in ("size",) if same else ("data", "size"):
            a, b = first.settings().get(key), run.settings().get(key)
            if a != b:
                raise UsageError(
                    f"{key} = {a!r} in {first.path}, {b!r} in {run.path}: runs of different data "
                    "cannot be compared"
                )
        if not same:
            raise UsageError(
                f"{first.path} and {run.path} were trained on different "
                f"{first.settings().get('data')!r} (their sha256 differs): they cannot be compared"
            )


def refuse_equal_seeds(
    members: Mapping[str, Sequence[Run]], infos: Mapping[Run, Mapping[str, Any]]
) -> None:
    """UsageError if a recipe has two runs with one seed: they are not independent samples."""
    for name, group in members.items():
        seen: dict[int, Run] = {}
        for run in group:
            other = seen.setdefault(int(infos[run]["seed"]), run)
            if other is not run:
                raise UsageError(
                    f"{other.path} and {run.path} are both {name}, seed {infos[run]['seed']}: "
                    "leave one out"
                )


def refuse_label_metrics(conditional: bool, metrics: Sequence[str]) -> None:
    """UsageError if a metric of labels fits none of the runs. conditional: whether some are."""
    of_labels = [m for m in metrics if m in OF_LABELS]
    if of_labels and not conditional:
        raise UsageError(f"metric {of_labels[0]!r}: none of these runs is conditional")


def size_of_scores(real: Real, scoring: Scoring) -> tuple[int, str]:
    """(samples of a score, a note if fewer than wanted); DataError if they are too few."""
    counts = {
        f"{scoring.split} examples": len(real.held_out),
        "training examples for each subset of the floor": len(real.train) // 2,
    }
    return evaluate.limited(scoring.n, counts)


def refuse_unscorable(configs: Sequence[Config], scoring: Scoring) -> None:
    """What `judge` raises of configs and data alone, before runs are trained for it."""
    refuse_label_metrics(any(config.labels for config in configs), scoring.metrics)
    first = configs[0]
    size_of_scores(evaluate.load_real(first.data, first.size, scoring.split), scoring)


def refuse_different_stamps(groups: Sequence[Group]) -> None:
    """DataError that names the difference if two scores of a metric are not comparable."""
    first: dict[str, tuple[Path, Score]] = {}
    for e in (e for group in groups for e in group.entries):
        for name, card in e.scores.items():
            path, other = first.setdefault(name, (e.path, card))
            keys = ["space", "space_sha256", "split", "seed", "n"]
            for key in keys if METRICS[name].shares_n else keys[:-1]:
                a, b = getattr(other, key), getattr(card, key)
                if a != b:
                    raise DataError(
                        f"{name}: {key} is {a} in {path}, {b} in {e.path}: such scores cannot be "
                        f"compared; remove {e.path}'s scores.json and compare again"
                    )
