"""What has changed in a run folder since the last look."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from ganforge.diagnosis import findings
from ganforge.errors import GanforgeError
from ganforge.evaluation import store
from ganforge.runs.folder import INFO, Run, state, well_typed
from ganforge.serve.watch.curve import Curve
from ganforge.text import json_values

CHUNK = 2**22  # bytes of the log that are read at once
LONG = 2**25  # bytes; a longer log has a preview, and a look reads one chunk of it
PREVIEW = 2000  # records, evenly spaced
RECENT = 1.0  # seconds in which a file may change without another time of change

Mark = tuple[tuple[int, int, int], ...]  # file, size and time of change of some files
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
    preview: Curve | None = None
    seen: dict[str, Any] = field(default_factory=dict)
    marks: dict[str, Mark | None] = field(default_factory=dict)

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
                    self.at, self.curve, self.preview = Place(found.st_ino), Curve(), None
                    if found.st_size > LONG:
                        self.preview = preview(file, found.st_size)
                        return [self.all()]
                return self.read(file, fresh)
        except FileNotFoundError:
            if not self.at.file:
                return []
            self.at, self.curve, self.preview = Place(), Curve(), None
            return [self.all()]

    def read(self, file: BinaryIO, fresh: bool) -> list[Event]:
        """The records after the place; all of them, thinned, if they are many."""
        before, new = self.at, list[dict[str, Any]]()
        file.seek(before.byte)
        while part := whole_lines(file.read(CHUNK)):
            records = parsed(part)
            self.curve.add(records)
            new += records[: MOST + 1]
            self.at = Place(before.file, self.at.byte + len(part))
            file.seek(self.at.byte)
            if self.preview is not None and len(part) > CHUNK // 2:
                return []  # the rest at the next look: pages that open meanwhile get the preview
        if fresh or self.preview is not None or len(new) > MOST:
            self.preview = None
            return [self.all()]
        return [Event("rows", rows(new, before), self.at)] if self.at != before else []

    @property
    def shown(self) -> Place:
        """The place up to which pages have the records; none while they have the preview."""
        return self.at if self.preview is None else Place()

    def all(self) -> Event:
        """The whole log, thinned, or its preview."""
        table = (self.curve if self.preview is None else self.preview).table()
        return Event("reset", table | {"preview": self.preview is not None}, self.shown)

    def since(self, known: Place | None) -> list[Event]:
        """What a page that knows the log up to a place lacks of it."""
        if (
            known is None
            or known.file != self.shown.file
            or not 0 <= self.shown.byte - known.byte <= CHUNK
        ):
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
        """The state, the samples, the scores and the findings, as far as they have changed.

        Files that are as they were at the last look are not read again, except for the state of a
        run that is not finished: it depends on processes too.
        """
        parts: dict[str, tuple[Callable[[Run], Any], tuple[Path, ...]]] = {
            "status": (status, (self.run.path / INFO,)),
            "sample": (samples, (self.run.samples,)),
            "score": (scores, (self.run.path / store.CURVE, self.run.path / store.SCORES)),
            "finding": (found, (self.run.path / findings.FILE,)),
        }
        out = []
        for kind, (read, paths) in parts.items():
            mark = marked(paths)
            if mark is not None and self.marks.get(kind) == mark:
                continue
            try:
                value = read(self.run)
            except (GanforgeError, OSError) as error:
                value = {"error": getattr(error, "strerror", None) or type(error).__name__}
            lives = kind == "status" and value.get("state") in ("running", "interrupted")
            self.marks[kind] = None if lives else mark
            if self.seen.get(kind) != value:
                self.seen[kind] = value
                out.append(Event(kind, value))
        return out


def marked(paths: Sequence[Path]) -> Mark | None:
    """What changes with files; None if one has just changed, and may again at the same instant."""
    found = []
    for path in paths:
        try:
            stat = path.stat()
        except OSError:
            found.append((0, 0, 0))
        else:
            if abs(time.time() - stat.st_mtime) < RECENT:
                return None
            found.append((stat.st_ino, stat.st_size, stat.st_mtime_ns))
    return tuple(found)


def preview(file: BinaryIO, size: int) -> Curve:
    """The curve of some records of a long log, evenly spaced."""
    lines = []
    for i in range(PREVIEW):
        file.seek(i * size // PREVIEW)
        file.readline()  # the rest of a line
        lines.append(file.readline())
    curve = Curve()
    curve.add(parsed(b"".join(dict.fromkeys(lines))))
    return curve


def whole_lines(data: bytes) -> bytes:
    """`data` without a last line that has no end yet."""
    return data[: data.rfind(b"\n") + 1]


def parsed(data: bytes) -> list[dict[str, Any]]:
    """The records in whole lines; lines that are none are left out."""
    out = []
    for line in data.splitlines():
        with suppress(ValueError, RecursionError):
            out.append(json.loads(line))
    return [record for record in out
            if isinstance(record, dict) and {"step", "epoch"} <= record.keys()
            and all(map(well_typed, record.items()))]  # fmt: skip


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
    keys = ("name", "value", "spread", "floor", "n", "split", "verdict")
    return {"step": step, **json_values({key: getattr(score, key) for key in keys})}


def found(run: Run) -> Mapping[str, Any]:
    """The findings of diagnosis.json, and whether or why not the run is healthy."""
    diagnosis = findings.read(run.path / findings.FILE)
    if diagnosis is None:
        return {"known": False}
    named = [{"code": f.code, "name": f.name, "evidence": f.evidence, "remedy": f.remedy}
             for f in diagnosis.findings]  # fmt: skip
    facts = {"healthy": diagnosis.healthy, "open": diagnosis.open}
    return {"known": True, "findings": named, **facts}
