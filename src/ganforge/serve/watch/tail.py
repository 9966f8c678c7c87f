"""What has changed in a run folder since the last look."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ganforge.diagnosis import findings
from ganforge.errors import GanforgeError
from ganforge.evaluation import store
from ganforge.runs.folder import Run, state, well_typed
from ganforge.serve.watch.curve import Curve
from ganforge.text import json_values

CHUNK = 2**22  # bytes of the log that are read at once
MOST = 2000  # records that an event has at most; a page that lags more gets the thinned log


@dataclass(frozen=True)
class Place:
    """A place in a log: which file, for a resumed run writes another one, and the byte."""

    file: int = 0
    byte: int = 0

    def __str__(self) -> str:
        return f"{self.file}-{self.byte}"


def place(text: str) -> Place | None:
    """The place of an event's id; None if it is none."""
    file, _, byte = text.partition("-")
    if not (file.isdecimal() and byte.isdecimal() and len(text) < 45):
        return None
    return Place(int(file), int(byte))


@dataclass(frozen=True)
class Event:
    """An event for pages: its kind, its value, and for `reset` and `rows` the place after it."""

    kind: str
    value: Any
    after: Place | None = None


@dataclass
class Tail:
    """One reader of a run folder, however many pages look at it."""

    run: Run
    at: Place = field(default_factory=Place)
    curve: Curve = field(default_factory=Curve)
    seen: dict[str, Any] = field(default_factory=dict)

    def look(self) -> list[Event]:
        """What is new, the log first."""
        return [*self.log(), *self.others()]

    def log(self) -> list[Event]:
        """The new records; all of them, thinned, if the log is another file or is shorter."""
        try:
            with self.run.log_path.open("rb") as file:
                found = os.fstat(file.fileno())
                fresh = found.st_ino != self.at.file or found.st_size < self.at.byte
                if fresh:
                    self.at, self.curve = Place(found.st_ino), Curve()
                before = self.at
                file.seek(before.byte)
                while part := whole_lines(file.read(CHUNK)):
                    records = parsed(part)
                    self.curve.add(records)
                    self.at = Place(self.at.file, self.at.byte + len(part))
                    file.seek(self.at.byte)
                    if not fresh and len(records) <= MOST:
                        return [Event("rows", rows(records, before), self.at)]
                    fresh = True
        except FileNotFoundError:
            if not self.at.file:
                return []
            self.at, self.curve, fresh = Place(), Curve(), True
        return [self.all()] if fresh else []

    def all(self) -> Event:
        """The whole log, thinned."""
        return Event("reset", self.curve.table(), self.at)

    def since(self, known: Place | None) -> list[Event]:
        """What a page that knows the log up to a place lacks of it."""
        behind = known is not None and known.file == self.at.file and known.byte <= self.at.byte
        if known is None or not behind or self.at.byte - known.byte > CHUNK:
            return [self.all()]
        try:
            with self.run.log_path.open("rb") as file:
                if os.fstat(file.fileno()).st_ino != known.file:
                    return [self.all()]
                file.seek(known.byte)
                records = parsed(file.read(self.at.byte - known.byte))
        except FileNotFoundError:
            return [self.all()]
        if len(records) > MOST:
            return [self.all()]
        return [Event("rows", rows(records, known), self.at)] if records else []

    def others(self) -> list[Event]:
        """The state, the samples, the scores and the findings, as far as they have changed."""
        parts: dict[str, Callable[[], Any]] = {
            "status": lambda: status(self.run),
            "sample": lambda: samples(self.run),
            "score": lambda: scores(self.run),
            "finding": lambda: found(self.run),
        }
        out = []
        for kind, read in parts.items():
            try:
                value = read()
            except (GanforgeError, OSError) as error:
                value = {"error": getattr(error, "strerror", None) or type(error).__name__}
            if self.seen.get(kind) != value:
                self.seen[kind] = value
                out.append(Event(kind, value))
        return out


def whole_lines(data: bytes) -> bytes:
    """`data` without a last line that has no end yet."""
    return data[: data.rfind(b"\n") + 1]


def parsed(data: bytes) -> list[dict[str, Any]]:
    """The records in whole lines; lines that are none are left out."""
    out = []
    for line in data.splitlines():
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            continue
        known = isinstance(record, dict) and {"step", "epoch"} <= record.keys()
        if known and all(map(well_typed, record.items())):
            out.append(record)
    return out


def rows(records: list[dict[str, Any]], before: Place) -> dict[str, Any]:
    """Records as an event has them, and the place before them."""
    return {"after": str(before), "rows": json_values(records)}


def status(run: Run) -> dict[str, Any]:
    """State, position and speed, from run.json."""
    info = run.info()
    keys = ("name", "step", "steps", "samples_seen", "epoch", "seconds", "images_per_second")
    return {"state": state(run), **{key: info[key] for key in keys if key in info}}


def samples(run: Run) -> dict[str, Any]:
    """The steps with samples, and whether they are pictures."""
    names = [e.name for e in os.scandir(run.samples)] if run.samples.is_dir() else []
    numbered = [Path(n) for n in names if Path(n).stem.isdecimal()]
    kind = ".png" if any(p.suffix == ".png" for p in numbered) else ".npz"
    steps = sorted(int(p.stem) for p in numbered if p.suffix == kind)
    return {"pictures": kind == ".png", "steps": steps}


def scores(run: Run) -> list[dict[str, Any]]:
    """The Frechet distances on the way, and the newest scores."""
    out = []
    for record in store.curve(run):
        score = store.frechet(record)
        if score is not None:
            out.append(shown(score, record.get("step")))
    for entry in store.entries(run):
        out += [shown(score, entry["step"]) for score in store.cards(entry)]
    return out


def shown(score: Any, step: int | None) -> dict[str, Any]:
    """A score, as a row of the table."""
    keys = ("name", "value", "floor", "n", "split", "verdict")
    return {"step": step, **json_values({key: getattr(score, key) for key in keys})}


def found(run: Run) -> Mapping[str, Any]:
    """The findings of diagnosis.json."""
    diagnosis = findings.read(run.path / findings.FILE)
    if diagnosis is None:
        return {"known": False, "findings": []}
    named = [{"code": f.code, "name": f.name, "evidence": f.evidence, "remedy": f.remedy}
             for f in diagnosis.findings]  # fmt: skip
    return {"known": True, "findings": named}
