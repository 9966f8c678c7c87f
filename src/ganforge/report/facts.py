"""What a run folder tells in words and figures: state, settings, scores, versions, hashes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganforge import checkpoint, config, history, judging, model, recipes, runs, scoring, training
from ganforge.arguments import TOP_LEVEL
from ganforge.config import Config
from ganforge.errors import GanforgeError
from ganforge.evaluation.score import Score
from ganforge.printable import command_line
from ganforge.runs import Run

Pair = tuple[str, str]
OPTIONS = ("data", "size", "batch", "epochs", "kimg", "seed", "device", "precision")  # of `train`


@dataclass(frozen=True)
class Entry:
    """Scores that were made together. stamp: what they share: split, N, seed, space.

    foreign: by other data than those that trained the run.
    """

    step: int
    split: str
    made: str
    stamp: str
    scores: tuple[Score, ...]
    foreign: bool = False

    def named(self, name: str) -> Score | None:
        """One score by the name of its metric."""
        return next((s for s in self.scores if s.name == name), None)


@dataclass(frozen=True)
class Facts:
    """A run as its files have it.

    state: as `runs.state`. changed: (setting, recipe's default, the run's). entries: newest step
    first, the test split before others. curve: records of scores.jsonl.
    """

    run: Run
    name: str
    title: str
    state: str
    settings: Mapping[str, Any]
    info: Mapping[str, Any]
    log: Sequence[Mapping[str, Any]]
    curve: Sequence[Mapping[str, Any]]
    entries: tuple[Entry, ...]
    best: int
    changed: tuple[tuple[str, str, str], ...] | None
    command: str
    hashes: tuple[tuple[str, str], ...]

    @property
    def last(self) -> Mapping[str, Any]:
        """The newest of what run.json and the log tell of the progress."""
        newest = self.log[-1] if self.log else {}
        ahead = newest.get("step", 0) >= self.info.get("step", 0)
        return {**self.info, **newest} if ahead else {**newest, **self.info}

    @property
    def score(self) -> Score | None:
        """The Frechet distance to quote: of the newest step, test before validation."""
        return next((s for e in self.own for s in e.scores if s.name == "frechet"), None)

    @property
    def own(self) -> tuple[Entry, ...]:
        """The entries by the data that trained the run: what may be said of it."""
        return tuple(e for e in self.entries if not e.foreign)


def gather(run: Run) -> Facts:
    """Read a run's files; DataError where config.toml, run.json or scores.json is damaged."""
    settings, info = run.settings(), run.info()
    name, data = str(settings.get("name", run.path.name)), Path(str(settings.get("data", "?"))).name
    kept = judging.read(run.path / judging.SCORES)
    entries = sorted(map(entry, kept.values()), key=rank, reverse=True)
    return Facts(
        run,
        run.path.resolve().name,
        name if name == data else f"{name} on {data}",
        runs.state(run),
        settings,
        info,
        run.log(),
        list(runs.read_log(run.path / scoring.LOG)),
        tuple(entries),
        training.best(run)["step"],
        changes(settings),
        command(run.path, settings),
        tuple(hashes(run, info)),
    )


def entry(table: Mapping[str, Any]) -> Entry:
    """One entry of scores.json."""
    scores = tuple(judging.cards(table))
    n = max((s.n for s in scores), default=0)
    stamp = f"{table['split']} split, N = {n:,}, seed {table['seed']}, {table['space']}"
    if table.get("data"):
        stamp = f"{Path(str(table['data'])).name}, {stamp}"
    step, foreign = int(table["step"] or 0), bool(table.get("foreign"))
    return Entry(step, str(table["split"]), str(table["made"]), stamp, scores, foreign)


def rank(found: Entry) -> tuple[int, bool, bool, int, str]:
    """What makes one entry more worth telling than another."""
    n = max((s.n for s in found.scores), default=0)
    return found.step, not found.foreign, found.split == "test", n, found.made


def complete(settings: Mapping[str, Any]) -> Config | None:
    """The run's config; None where it is not one that this version can read."""
    try:
        return config.from_dict(Config, settings, recipes.PARTS)
    except GanforgeError:
        return None


def changes(settings: Mapping[str, Any]) -> tuple[tuple[str, str, str], ...] | None:
    """(setting, recipe's default, the run's); None where the recipe is not one of the package."""
    name = settings.get("name")
    if name not in recipes.RECIPES:
        return None
    found = complete(settings)  # settings that an older run does not name have their defaults
    mine = config.to_dict(found) if found else settings
    differing = config.difference(config.to_dict(recipes.RECIPES[str(name)]()), mine)
    return tuple((key, text(old), text(new)) for key, old, new in differing)


def text(value: Any) -> str:
    """A setting's value as TOML would have it, or a dash for none."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(text, value))}]"
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    return "–" if value is None else str(value)


def command(path: Path, settings: Mapping[str, Any]) -> str:
    """A command that trains the same; it is checked that its settings are the run's."""
    out = ["--out", str(path)]
    wanted, name = complete(settings), str(settings.get("name"))
    if settings.get("networks", {}).get("kind") == "python":
        return ""  # the code is not in the folder
    if wanted is not None and name in recipes.RECIPES:
        base = recipes.RECIPES[name]()
        differing = config.difference(config.to_dict(base), config.to_dict(wanted))
        given = {key: text(new) for key, _, new in differing if new is not None}
        plain = all("." in key or key in OPTIONS or key in TOP_LEVEL for key in given)
        try:
            same = config.override(base, given, recipes.PARTS) == wanted
        except GanforgeError:
            same = False
        if plain and same:
            words = [word for key, value in given.items() for word in (f"--{key}", value)]
            return command_line(["ganforge", "train", name, *words, *out])
    return command_line(["ganforge", "train", "--config", str(path / runs.CONFIG), *out])


def hashes(run: Run, info: Mapping[str, Any]) -> list[Pair]:
    """(what, sha256): of the weights, the training data and the settings."""
    found = []
    for what, folder in (("model", run.model), ("best model", run.path / scoring.BEST_MODEL)):
        weights = folder / model.WEIGHTS
        if weights.is_file():
            digest = checkpoint.digest(checkpoint.read_file(weights))
            found.append((f"{what}, {folder.name}/{model.WEIGHTS}", digest))
    for what, key in (("training data", "data_sha256"), ("settings", "config_hash")):
        if info.get(key):
            found.append((what, str(info[key])))
    return found


def progress(facts: Facts) -> str:
    """How far a run has come: passes, examples, time."""
    last, told = facts.last, []
    epoch, seen = last.get("epoch"), last.get("samples_seen")
    if isinstance(epoch, int | float):
        passes = history.epoch_text(float(epoch))
        told.append(f"{passes} {'epoch' if passes == '1' else 'epochs'}")
    if isinstance(seen, int):
        told.append(f"{seen:,} real examples seen")
    if last.get("seconds"):
        told.append(duration(float(last["seconds"])))
    return ", ".join(told)


def duration(seconds: float) -> str:
    """12 s, 2 min 03 s, 1 h 05 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.2g} s" if seconds < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole // 60 % 60:02} min"


def hardware(facts: Facts) -> list[Pair]:
    """What the run ran on, and how fast."""
    info, resolved = facts.info, facts.info.get("resolved", {})
    versions = facts.info.get("versions", {})
    rows = [("machine", str(versions.get("machine", "")))]
    if resolved:
        how = [str(resolved.get("device", "")), str(resolved.get("precision", ""))]
        for one, many in (("thread", "threads"), ("process", "processes")):
            if count := resolved.get(many):
                how.append(f"{count} {one if count == 1 else many}")
        rows.append(("device", ", ".join(h for h in how if h)))
    rows.append(("seed", text(facts.settings.get("seed"))))
    seconds, seen = info.get("seconds"), info.get("samples_seen")
    if seconds and seen:
        rows.append(
            ("training", f"{duration(seconds)}, {seen / seconds:,.0f} real examples a second")
        )
    timing = info.get("timing")
    if isinstance(timing, Mapping):
        spent = sorted(timing.items(), key=lambda item: -float(item[1]))
        rows.append(("of which", ", ".join(f"{k} {duration(float(v))}" for k, v in spent)))
    if info.get("skipped"):
        rows.append(("updates left out", f"{info['skipped']:,}, their gradients were not finite"))
    if info.get("rate_scale", 1.0) != 1.0:
        rows.append(("learning rates", f"{info['rate_scale']:g} of those set, after going back"))
    if not info.get("exact", True):
        rows.append(("exactness", "gone on with otherwise than begun: not bit for bit"))
    return [(k, v) for k, v in rows if v]


def versions(facts: Facts) -> list[Pair]:
    """The software the run was trained with."""
    table = facts.info.get("versions", {})
    return [(k, str(v)) for k, v in table.items() if k != "machine"]
