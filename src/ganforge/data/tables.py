"""Tables of labels beside pictures: labels.csv, and the dataset.json of StyleGAN."""

from __future__ import annotations

import csv
import io
import json
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from ganforge.data.archives import Files, Store
from ganforge.errors import DataError
from ganforge.files import parsing
from ganforge.text import printable

TABLES = ("labels.csv", "labels.tsv", "labels.txt")
STYLEGAN = "dataset.json"
DELIMITERS = (",", ";", "\t")
# columns of a table, by the names that people give them, the first one that is there counts
FILE_COLUMNS = (
    "file", "filename", "file_name", "image", "image_id", "path", "id", "filepath", "file_path",
    "image_path", "image_name",
)  # fmt: skip
LABEL_COLUMNS = ("label", "class", "category", "target", "breed", "class_name", "label_name")


def read(files: Files, top: str) -> tuple[bool, dict[str, str], list[str]]:
    """(whether there is a table, picture -> class, notes).

    top: the folder that all pictures share; a table lies in it, or in a folder around it.
    """
    every, around = set(files.every), _around(top)
    lower = {name.lower(): name for name in files.every}
    for name in TABLES:
        for prefix in around:
            place = lower.get((prefix + name).lower())
            if place is not None:
                return True, *_from_rows(files, place)
    for place in (prefix + STYLEGAN for prefix in around):
        found = _from_stylegan(files, place) if place in every else None
        if found is not None:
            return True, found, [f"{STYLEGAN} says the labels"] if found else []
    return False, {}, []


def elsewhere(files: Files, top: str) -> list[str]:
    """Notes on tables beside pictures that have no labels, of another name.

    DataError for a table in a folder that does not hold all pictures: it would be of no use.
    """
    others = []
    for place in files.every:
        folder, _, name = place.rpartition("/")
        if name.lower() in TABLES or (name == STYLEGAN and _from_stylegan(files, place)):
            one = printable(min(files.names))[:200]
            raise DataError(
                f"{files.store.path}: {place} lies in a folder that does not hold all pictures: "
                f"put one {TABLES[0]} at the top, which names each picture, as {one!r}"
            )
        if name.lower().endswith((".csv", ".tsv")) and f"{folder}/".lstrip("/") in _around(top):
            others.append(place)
    shown = ", ".join(others[:4])
    return [f"not read: {shown}; a table of labels is called {TABLES[0]}"] if others else []


def _around(top: str) -> list[str]:
    """A folder and those around it, the outermost one first; each with a slash at its end."""
    steps = top.split("/")
    return ["".join(f"{step}/" for step in steps[:depth]) for depth in range(len(steps))]


@dataclass
class Matching:
    """Pictures by the names that a table gives them; adds up the labels."""

    where: str
    files: Files
    prefix: str
    found: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.known = {_plain(name): name for name in self.files.names}
        self.unread = {_plain(name) for name in self.files.unread}
        self.unread |= {name.rpartition(".")[0] for name in self.unread}
        self.stems: dict[str, list[str]] = {}
        for name in self.known:
            self.stems.setdefault(name.rpartition(".")[0], []).append(name)

    def knows(self, name: str) -> bool:
        """Whether a name means a picture."""
        return self.picture(name) is not None

    def picture(self, name: str) -> str | None:
        """The picture that a name means, with its suffix or, if that is unique, without."""
        exact = _plain(self.prefix + name)  # a \ may be of a byte that is not UTF-8, as \xe9
        plain = exact if exact in self.known else self.with_slashes(name)
        alike = self.stems.get(plain, [])
        return self.known.get(plain) or (self.known[alike[0]] if len(alike) == 1 else None)

    def with_slashes(self, name: str) -> str:
        """The name as in `known`, of one that Windows may have written."""
        return _plain(self.prefix + name.replace("\\", "/").removeprefix("./"))

    def add(self, name: str, label: str, place: str) -> None:
        """Note the label that a place of the table gives; DataError if it does not fit."""
        picture = self.picture(name)
        if picture is None:
            if self.with_slashes(name) in self.unread:
                return
            one = printable(min(self.files.names)).removeprefix(self.prefix)
            raise DataError(
                f"{self.where}: {place} names {name[:200]!r}, which is no picture here, as "
                f"{one[:200]!r} is"
            )
        if self.found.setdefault(picture, label) != label:
            raise DataError(f"{self.where}: {place} gives {name[:200]!r} a second label")

    def whole(self) -> dict[str, str]:
        """Picture -> class; DataError if one has none, or if all labels differ."""
        for name in self.files.names:
            if name not in self.found:
                raise DataError(
                    f"{self.where}: no label for {name[:200]!r}: add a line, or remove the file"
                )
        refuse_continuous(self.where, list(self.found.values()))
        return without_points(self.where, self.found)


def _plain(name: str) -> str:
    """A file's name as a table may write it: without bytes that are not UTF-8, composed (NFC)."""
    return unicodedata.normalize("NFC", printable(name))


def refuse_continuous(where: str, labels: Sequence[object]) -> None:
    """DataError if there are as many classes as examples, more than two: those are no classes."""
    if len(labels) == len(set(labels)) > 2:
        raise DataError(
            f"{where}: {len(labels)} examples have {len(labels)} different labels, such as "
            f"{str(labels[0])[:40]!r}: a class has several examples, and continuous labels are not "
            "supported: remove the labels to train without them"
        )


def without_points(where: str, labels: dict[str, str]) -> dict[str, str]:
    """Labels that are whole numbers with a point, as 1.0, without it; DataError for fractions."""
    if not any("." in label for label in labels.values()):
        return labels
    try:
        numbers = {name: float(label) for name, label in labels.items()}
    except ValueError:  # words
        return labels
    for number in numbers.values():
        if not number.is_integer():
            raise DataError(
                f"{where}: the label {number:g} is a fraction and no class: continuous labels are "
                "not supported: give whole numbers or words, or remove the labels"
            )
    return {name: str(int(number)) for name, number in numbers.items()}


def csv_rows(store: Store, place: str, line: str = "file,label") -> list[tuple[int, list[str]]]:
    """(line, cells) of the lines of a table that are not empty; its delimiter is , ; or a tab."""
    where = f"{store.path}/{place}"
    fault = f"{where}: not a CSV file of {line} lines, or not UTF-8 text"
    with store.open(place) as file, parsing(where, fault):
        text = file.read().decode("utf-8-sig")
        first = next((row for row in text.splitlines() if row.strip()), "")
        delimiter = max(DELIMITERS, key=first.count)
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        return [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]


def _from_rows(files: Files, place: str) -> tuple[dict[str, str], list[str]]:
    """Labels from a table with a known header, or of two columns; and notes."""
    where = f"{files.store.path}/{place}"
    matching = Matching(where, files, place[: place.rfind("/") + 1])
    rows = csv_rows(files.store, place)
    columns, notes = (0, 1), []
    if rows:
        first = [cell.strip() for cell in rows[0][1]]
        columns, header = _columns(where, first, matching)
        rows = rows[1:] if header else rows
        if len(first) > 2:
            notes.append(f"{place}: the columns {' and '.join(first[c] for c in columns)} are used")
    for line, row in rows:
        if len(row) <= max(columns) or row[columns[1]].strip().lower() in ("", "nan"):
            raise DataError(
                f"{where}: line {line} has no label: each line is file,label; a file that is no "
                "table of labels needs another name"
            )
        matching.add(row[columns[0]].strip(), row[columns[1]].strip(), f"line {line}")
    return matching.whole(), notes


def _columns(where: str, first: list[str], matching: Matching) -> tuple[tuple[int, int], bool]:
    """The columns of file and label, and whether the first line is a header."""
    lower = [cell.lower() for cell in first]
    file, label = (
        next((lower.index(name) for name in names if name in lower), None)
        for names in (FILE_COLUMNS, LABEL_COLUMNS)
    )
    if file is not None and label is not None:
        return (file, label), True
    if len(first) > 2:
        raise DataError(
            f"{where}: which columns are file and label is not known, of {', '.join(first)[:300]}: "
            f"name them {FILE_COLUMNS[0]} and {LABEL_COLUMNS[0]} in the first line"
        )
    return (0, 1), not (matching.knows(first[0]) or PurePosixPath(first[0]).suffix)


def _from_stylegan(files: Files, place: str) -> dict[str, str] | None:
    """Labels from a dataset.json of StyleGAN; empty if it has none, None if it is another file."""
    where = f"{files.store.path}/{place}"
    with files.store.open(place) as file, parsing(where, f"{where}: not a JSON file"):
        table = json.load(file)
    if not isinstance(table, dict) or "labels" not in table:
        return None
    rows = table["labels"] or []
    if isinstance(rows, dict):
        rows = list(rows.items())
    if not all(isinstance(row, list | tuple) and len(row) == 2 for row in rows):
        raise DataError(f"{where}: labels must be a list of [file, label]")
    matching = Matching(where, files, place[: -len(STYLEGAN)])
    rows = [(number, *row) for number, row in enumerate(rows) if row[1] is not None]
    for number, name, label in rows:
        matching.add(str(name), _one_label(where, label), f"entry {number}")
    return matching.whole() if rows else {}


def _one_label(where: str, label: Any) -> str:
    """A label, or the place of the 1 in a list of zeros and a one."""
    if isinstance(label, list):
        if sorted(label) == [0] * (len(label) - 1) + [1] and len(label) > 1:
            return str(label.index(1))
        raise DataError(f"{where}: the label {str(label)[:80]} is no class: give whole numbers")
    if isinstance(label, float) and not label.is_integer():
        raise DataError(f"{where}: the label {label} is no class: give whole numbers")
    return str(int(label)) if isinstance(label, float | bool) else str(label)
