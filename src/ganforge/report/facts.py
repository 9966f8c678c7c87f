"""What the files of a run say: state, settings, scores, versions, hashes."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganforge import files, recipes, registry
from ganforge.callbacks import evaluate as scoring
from ganforge.config import convert
from ganforge.config.convert import TOP_LEVEL
from ganforge.config.schema import Config
from ganforge.config.user_code import KIND
from ganforge.errors import GanforgeError
from ganforge.evaluation import store
from ganforge.evaluation.score import Score
from ganforge.plotting import overview
from ganforge.runs import folder as runs
from ganforge.runs import model, samples
from ganforge.runs.folder import Run
from ganforge.runs.model import OwnNetworks
from ganforge.text import command_line
from ganforge.training import trainer

Pair = tuple[str, str]
NONE = "–"
FILE = "FILE.py"  # of a user, if the file is not known
OPTIONS = ("data", "size", "batch", "epochs", "kimg", "seed", "device", "precision")  # of `train`


@dataclass(frozen=True)
class Entry:
    """Scores that were computed together.

    stamp: what they share: split, N, seed, space. foreign: computed with other data than those that
    trained the run.
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
    """A run, as its files describe it.

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
        """The progress: the newer of run.json and the last record of the log."""
        newest = self.log[-1] if self.log else {}
        ahead = newest.get("step", 0) >= self.info.get("step", 0)
        return {**self.info, **newest} if ahead else {**newest, **self.info}

    @property
    def score(self) -> Score | None:
        """The Frechet distance to quote: of the newest step, test before validation."""
        return self.named("frechet")

    @property
    def scored(self) -> Entry | None:
        """The entry of that score."""
        return self.entry_of("frechet")

    def named(self, name: str) -> Score | None:
        """The newest score of a metric, computed with the data that trained the run."""
        found = self.entry_of(name)
        return found.named(name) if found else None

    def entry_of(self, name: str) -> Entry | None:
        """The newest entry with a metric, computed with the data that trained the run."""
        return next((e for e in self.entries if not e.foreign and e.named(name)), None)


def gather(run: Run, code: OwnNetworks | None = None) -> Facts:
    """Read a run's files; DataError if config.toml, run.json or scores.json is damaged."""
    settings, info = run.settings(), run.info()
    table = store.read(run.path / store.SCORES)
    ours = sorted(table.values(), key=rank, reverse=True)
    return Facts(
        run,
        run.path.resolve().name,
        overview.title(run, settings),
        runs.state(run),
        settings,
        info,
        run.log(),
        store.curve(run),
        tuple(map(entry, ours)),
        trainer.best(run)["step"],
        changes(settings),
        command(run.path, settings, code),
        tuple(hashes(run, info)),
    )


def entry(table: Mapping[str, Any]) -> Entry:
    """One entry of scores.json."""
    scores = tuple(store.cards(table))
    n = max((s.n for s in scores), default=0)
    stamp = f"{table['split']} split, N = {n:,}, seed {table['seed']}, {table['space']}"
    if table.get("data"):
        stamp = f"{Path(str(table['data'])).name}, {stamp}"
    step, foreign = int(table["step"] or 0), bool(table.get("foreign"))
    return Entry(step, str(table["split"]), str(table["made"]), stamp, scores, foreign)


def rank(table: Mapping[str, Any]) -> tuple[Any, ...]:
    """The key by which entries are sorted: step, the run's data after others, then `store.rank`."""
    return table["step"] or 0, not table.get("foreign"), store.rank(table)


def complete(settings: Mapping[str, Any]) -> Config | None:
    """The run's config; None if this version cannot read it."""
    try:
        return convert.from_dict(Config, settings, registry.PARTS)
    except GanforgeError:
        return None


def changes(settings: Mapping[str, Any]) -> tuple[tuple[str, str, str], ...] | None:
    """(setting, recipe's default, the run's); None if the package has no such recipe."""
    name = str(settings.get("name"))
    if name not in recipes.RECIPES:
        return None
    found = complete(settings)  # settings that an older version did not have get their defaults
    used = convert.to_dict(found) if found else settings
    differing = convert.difference(convert.to_dict(recipes.RECIPES[name]()), used)
    return tuple((key, text(old), text(new)) for key, old, new in differing)


def text(value: Any) -> str:
    """A setting's value as TOML writes it, or a dash for none."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(text, value))}]"
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    return NONE if value is None else str(value)


def command(path: Path, settings: Mapping[str, Any], code: OwnNetworks | None = None) -> str:
    """A command whose settings are exactly the run's.

    code: the user's file, which the command names for a run with parts that are code.
    """
    out = ["--out", str(path)]
    kinds = [value for key, value in convert.flat(settings) if key.rpartition(".")[2] == "kind"]
    if KIND in kinds:
        file = code.get("__file__", FILE) if isinstance(code, Mapping) else FILE
        config = ["--config", str(path / runs.CONFIG)]
        return command_line(["ganforge", "train", *config, "--code", str(file), *out])
    wanted, name, differing = complete(settings), str(settings.get("name")), changes(settings)
    if wanted is not None and differing is not None:
        given = {key: new for key, _, new in differing if new != NONE}
        plain = all("." in key or key in OPTIONS or key in TOP_LEVEL for key in given)
        with contextlib.suppress(GanforgeError):
            same = convert.override(recipes.RECIPES[name](), given, registry.PARTS) == wanted
            if plain and same:
                options = [part for key, value in given.items() for part in (f"--{key}", value)]
                return command_line(["ganforge", "train", name, *options, *out])
    return command_line(["ganforge", "train", "--config", str(path / runs.CONFIG), *out])


def hashes(run: Run, info: Mapping[str, Any]) -> list[Pair]:
    """(what, sha256): of the weights, the training data and the settings."""
    found = []
    for what, folder in (("model", run.model), ("best model", run.path / scoring.BEST_MODEL)):
        weights = folder / model.WEIGHTS
        if weights.is_file():
            digest = files.digest(files.read_file(weights))
            found.append((f"{what}, {folder.name}/{model.WEIGHTS}", digest))
    for what, key in (("training data", "data_sha256"), ("settings", "config_hash")):
        if info.get(key):
            found.append((what, str(info[key])))
    return found


def progress(facts: Facts) -> str:
    """How far a run has come: passes, examples, time."""
    parts = samples.progress(facts.last)
    if seconds := facts.last.get("seconds"):
        parts.append(duration(float(seconds)))
    return ", ".join(parts)


def duration(seconds: float) -> str:
    """12 s, 2 min 03 s, 1 h 05 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.2g} s" if seconds < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole // 60 % 60:02} min"


def hardware(facts: Facts) -> list[Pair]:
    """The machine, the device and the speed of the run."""
    info, resolved = facts.info, facts.info.get("resolved", {})
    versions = facts.info.get("versions", {})
    rows = [("machine", str(versions.get("machine", "")))]
    if resolved:
        kind = [str(resolved.get("device", "")), str(resolved.get("precision", ""))]
        for one, many in (("thread", "threads"), ("process", "processes")):
            if count := resolved.get(many):
                kind.append(f"{count} {one if count == 1 else many}")
        rows.append(("device", ", ".join(filter(None, kind))))
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
        rows.append(("skipped updates", f"{info['skipped']:,}: their gradients were not finite"))
    if info.get("rate_scale", 1.0) != 1.0:
        rows.append(
            ("learning rates", f"{info['rate_scale']:g} of the configured ones, after a rollback")
        )
    if not info.get("exact", True):
        rows.append(("exactness", "resumed with other settings or software: not bit for bit"))
    return [(k, v) for k, v in rows if v]


def versions(facts: Facts) -> list[Pair]:
    """The software the run was trained with."""
    table = facts.info.get("versions", {})
    return [(k, str(v)) for k, v in table.items() if k != "machine"]
