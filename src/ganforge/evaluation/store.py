"""Scores on disk: scores.json beside what was scored, scores.jsonl of a run on the way."""

from __future__ import annotations

import errno
import json
import math
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ganforge import files
from ganforge._version import __version__
from ganforge.errors import DataError
from ganforge.evaluation.features import default_space
from ganforge.evaluation.inputs import Real
from ganforge.evaluation.score import Score
from ganforge.runs import folder
from ganforge.runs.folder import Run

SCORES, CURVE, FORMAT = "scores.json", "scores.jsonl", 1


def scores_path(path: Path | str) -> Path:
    """The file with the scores of a run, a model or a file of samples."""
    path = Path(path)
    return path.with_suffix(".scores.json") if path.suffix == ".npz" else path / SCORES


def add(
    path: Path,
    scores: Sequence[Score],
    real: Real,
    *,
    step: int | None = None,
    space: str | None = None,
    foreign: bool = False,
) -> None:
    """Add scores to a scores.json, beside all that is there.

    Scores of the same data, split, N, seed, space and step are one entry, in which a metric that
    is computed again replaces itself.

    Args:
        path: of the file.
        scores: made together.
        real: the examples they were made with.
        step: of the run, None if unknown.
        space: the one named for them; None for the default of the data.
        foreign: whether the data are others than those that trained the generator.
    """
    if not scores:
        return
    entries = read(path)
    first, data, digest = scores[0], real.train.name, real.held_out.sha256
    n, space = max(s.n for s in scores), space or default_space(real.train.spec)
    key = f"{data} {first.split} n={n} seed={first.seed} {space} step={step}"
    made = {s.name: s.to_json() for s in scores}
    before = entries.pop(key, {})
    if before.get("data_sha256") == digest:
        made = {c["name"]: c for c in before["scores"]} | made
    entries[key] = {
        "data": data,
        "data_sha256": digest,
        "split": first.split,
        "n": n,
        "seed": first.seed,
        "space": space,
        "step": step,
        "foreign": foreign,
        "ganforge": __version__,
        "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "scores": list(made.values()),
    }
    files.write_json(path, {"format": FORMAT, "entries": entries}, finite=True)


def read(path: Path) -> dict[str, dict[str, Any]]:
    """The entries of a scores.json by their key, {} if there is no file; DataError if damaged."""
    if not path.is_file():
        return {}
    try:
        table = json.loads(files.read_file(path))
        for entry in table["entries"].values():
            entry["step"], entry["split"], entry["n"], entry["made"]
            cards(entry)
        if table["format"] == FORMAT:
            return dict(table["entries"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise DataError(f"{path}: damaged: restore it from a copy, or remove it") from None
    raise DataError(f"{path}: format {table['format']}, this ganforge reads {FORMAT}")


def check_writable(path: Path) -> None:
    """DataError for a damaged file, DiskError for a folder that cannot be written."""
    read(path)
    if not os.access(path.parent, os.W_OK):
        raise files.disk_error(path, PermissionError(errno.EACCES, os.strerror(errno.EACCES)))


def cards(entry: Mapping[str, Any]) -> list[Score]:
    """The scores of an entry of scores.json, or of a record of a run's scores.jsonl."""
    return [Score.from_json(card) for card in entry["scores"]]


def frechet(entry: Mapping[str, Any]) -> Score | None:
    """The Frechet distance of an entry or a record, if it is there."""
    return next((score for score in cards(entry) if score.name == "frechet"), None)


def entries(run: Run) -> list[dict[str, Any]]:
    """The entries of a run's scores.json by the data that trained it."""
    return [entry for entry in read(run.path / SCORES).values() if not entry.get("foreign")]


def of_step(run: Run, step: int | None, n: int, seed: int) -> list[Score]:
    """The scores of a run's step on the validation split, of n samples or of all there are."""
    wanted = {"step": step, "split": "validation", "seed": seed}
    found = [e for e in entries(run) if wanted.items() <= e.items() and e["n"] <= n]
    return cards(max(found, key=lambda entry: int(entry["n"]))) if found else []


def newest(run: Run) -> Score | None:
    """The newest finite Frechet distance of a run's newest step, by the data that trained it.

    The test split comes before validation, a larger N first.
    """
    found = [frechet(entry) for entry in sorted(entries(run), key=rank)]
    return next((s for s in reversed(found) if s and math.isfinite(s.value)), None)


def first(run: Run) -> Score | None:
    """The first finite score of a run's newest step, in the order of `newest`."""
    found = sorted(entries(run), key=rank)
    return next((s for s in cards(found[-1]) if math.isfinite(s.value)), None) if found else None


def rank(entry: Mapping[str, Any]) -> tuple[int, bool, int, str]:
    """The key by which entries are sorted: step, the test split after the others, N, time."""
    return entry["step"] or 0, entry["split"] == "test", int(entry["n"]), str(entry["made"])


def curve(run: Run) -> list[dict[str, Any]]:
    """The records of a run's scores.jsonl, in order; a torn last line is left out."""
    return list(folder.read_log(run.path / CURVE))


def add_record(run: Run, record: dict[str, Any]) -> None:
    """Append a record to a run's scores.jsonl."""
    folder.append_log(run.path / CURVE, [record])


def cut_curve(run: Run, step: int) -> list[dict[str, Any]]:
    """Remove the records after `step`, and a torn last line; the records that are left."""
    path, records = run.path / CURVE, curve(run)
    torn = path.exists() and not path.read_bytes().endswith(b"\n")
    if not torn and (not records or records[-1]["step"] <= step):
        return records
    folder.cut_log(path, step)
    return curve(run)
