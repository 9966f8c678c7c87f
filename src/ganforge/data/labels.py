"""Labels of pictures: from a table beside them, from StyleGAN's dataset.json, or from folders."""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from ganforge.data import parts
from ganforge.data.archives import Store
from ganforge.data.dataset import MAX_CLASSES
from ganforge.errors import DataError
from ganforge.files import parsing
from ganforge.text import command_line, printable

TABLES = ("labels.csv", "labels.tsv", "labels.txt")
STYLEGAN = "dataset.json"
DELIMITERS = (",", ";", "\t")
# columns of a table, by the names that people give them, the first one that is there counts
FILE_COLUMNS = (
    "file", "filename", "file_name", "image", "image_id", "path", "id", "filepath", "file_path",
    "image_path", "image_name",
)  # fmt: skip
LABEL_COLUMNS = ("label", "class", "category", "target", "breed", "class_name", "label_name")
_SHARD = re.compile(r"\d{5}")  # a folder of a StyleGAN data set: the next thousand pictures
_NUMBERED = re.compile(r"(?:img)?(\d{5,})")


@dataclass(frozen=True)
class Labelled:
    """What is known of the pictures before they are read.

    Args:
        names: part -> pictures in order; "" -> those of a set without parts.
        labels: picture -> class; empty without labels.
        empty: class folders without a picture that can be read.
        notes: what the user should know.
    """

    names: dict[str, list[str]]
    labels: dict[str, str]
    empty: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Files:
    """The files of a store.

    names: pictures. unread: files that look like pictures, and why they are not read. every: all.
    """

    store: Store
    names: list[str]
    unread: dict[str, str] = field(default_factory=dict)
    every: list[str] = field(default_factory=list)


def find(files: Files, level: int = -1) -> Labelled:
    """Parts and labels of pictures.

    A table lies at the top, or in the folder that all pictures share. Without one, subfolders are
    parts if their names say so, else classes if every picture lies in one.

    Args:
        files: of the folder or zip.
        level: see `Reading`.

    Raises:
        DataError: a table that does not fit the pictures, or folders that could mean two things.
    """
    path, names = files.store.path, files.names
    if level >= 0:
        return Labelled({"": names}, {name: _at(path, name, level) for name in names if level})
    top = shared_folder([*names, *files.unread])
    bare = _empty_folders(files)
    if bare and all(name.count("/") == 1 for name in names):
        top = ""  # one of several class folders may be the only one with pictures
    table, labels, notes = _from_table(files, top)
    folders = _by_folder(names, top)
    found = parts.find(path / top, folders, bool(table)) if "" not in folders else None
    if found is not None:
        used = ", ".join(sorted(set(folders) - set(found.left)))
        notes += [f"the folders {used} are used as parts"]
        notes += [
            f"left out: {folder}, {count} pictures without classes"
            for folder, count in found.left.items()
        ]
        within = {p: [top + n for n in part] for p, part in found.names.items()}
        return Labelled(
            within, labels or {top + n: k for n, k in found.classes.items()}, (), tuple(notes)
        )
    if table:
        return Labelled({"": names}, labels, (), tuple(notes))
    if "" in folders:
        return Labelled({"": names}, {})
    if are_shards(folders):
        return Labelled({"": names}, {}, (), ("numbered folders are shards and not classes",))
    _refuse_two_levels(path, folders)
    classes = set(_by_folder([*names, *files.unread], top)) - {""} | set(() if top else bare)
    labels = {f"{top}{folder}/{name}": folder for folder in folders for name in folders[folder]}
    return Labelled({"": names}, labels, tuple(sorted(classes - set(folders))))


def numbered(
    path: Path, labels: dict[str, str], every: Iterable[str]
) -> tuple[dict[str, int], tuple[str, ...]]:
    """Numbers of the classes of pictures, and the names of the classes, those in `every` too.

    Raises:
        DataError: too many classes, or two that are written alike.
    """
    classes = ordered({*labels.values(), *every})
    if len(classes) > MAX_CLASSES:
        raise DataError(f"{path}: {len(classes)} different labels, the cap is {MAX_CLASSES}")
    number = {name: k for k, name in enumerate(classes)}
    shown = tuple(map(printable, classes))
    if len(set(shown)) < len(shown):
        twice = next(name for name in shown if shown.count(name) > 1)
        raise DataError(f"{path}: two of its folders are written {twice}: rename one of them")
    return {name: number[label] for name, label in labels.items()}, shown


def shared_folder(names: Sequence[str]) -> str:
    """The folder that all files lie in, with a slash at its end; "" if there is none."""
    folders = [PurePosixPath(name).parent.parts for name in names]
    shared = []
    for level in zip(*folders, strict=False):
        if len(set(level)) > 1:
            break
        shared.append(level[0])
    return "".join(f"{folder}/" for folder in shared)


def ordered(names: Iterable[str]) -> tuple[str, ...]:
    """Sorted, as numbers if all are whole numbers: 2 before 10."""
    words = sorted(names)
    whole = all(word.isascii() and word.isdigit() and len(word) < 18 for word in words)
    return tuple(sorted(words, key=int) if whole else words)


# --- folders ------------------------------------------------------------------------------------


def _by_folder(names: Iterable[str], top: str) -> dict[str, list[str]]:
    """Folder below `top` -> names in it, relative to it; "" -> those in none."""
    found: dict[str, list[str]] = {}
    for name in names:
        folder, slash, rest = name.removeprefix(top).partition("/")
        found.setdefault(folder if slash else "", []).append(rest if slash else folder)
    return found


def _at(path: Path, name: str, level: int) -> str:
    folders = PurePosixPath(name).parts[:-1]
    if len(folders) < level:
        raise DataError(
            f"{path}: {printable(name)[:200]!r} lies in {len(folders)} folders, level = {level}"
        )
    return folders[level - 1]


def _empty_folders(files: Files) -> list[str]:
    """Folders at the top without any file, which may be classes that nobody has filled."""
    used = {name.partition("/")[0] for name in files.every}
    return [name for name in files.store.folders() if name not in used and not name.startswith(".")]


def _refuse_two_levels(path: Path, folders: dict[str, list[str]]) -> None:
    """DataError if all folders have the same subfolders: either could be the classes."""
    inside = [
        {name.partition("/")[0] for name in names if "/" in name} for names in folders.values()
    ]
    if len(folders) > 1 and len(inside[0]) > 1 and all(found == inside[0] for found in inside):
        outer, inner = (", ".join(ordered(found)[:4]) for found in (folders, inside[0]))
        one, two = (command_line(["--data", f"{path}@level={level}"]) for level in (1, 2))
        raise DataError(
            f"{path}: the classes may be {outer}, or {inner}, which are in each of them: say which "
            f"by {one} or {two}"
        )


def are_shards(folders: dict[str, list[str]]) -> bool:
    """Whether folders hold the pictures of a StyleGAN data set in order of their numbers."""
    if len(folders) < 2 or not all(map(_SHARD.fullmatch, folders)):
        return False
    last = -1
    for _, names in sorted(folders.items()):
        found = [_NUMBERED.fullmatch(PurePosixPath(name).stem) for name in names]
        numbers = [int(one[1]) for one in found if one]
        if len(numbers) < len(names) or min(numbers) <= last:
            return False
        last = max(numbers)
    return True


# --- tables -------------------------------------------------------------------------------------


def _from_table(files: Files, top: str) -> tuple[bool, dict[str, str], list[str]]:
    """(whether there is a table, picture -> class, notes)."""
    lower = {name.lower(): name for name in files.every}
    for name in TABLES:
        for prefix in dict.fromkeys(("", top)):
            place = lower.get((prefix + name).lower())
            if place is not None:
                return True, _from_rows(files, place), []
    for prefix in dict.fromkeys(("", top)):
        if prefix + STYLEGAN in files.every:
            found = _from_stylegan(files, prefix + STYLEGAN)
            if found is not None:
                return True, found, [f"{STYLEGAN} says the labels"] if found else []
    return False, {}, []


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
        self.stems: dict[str, list[str]] = {}
        for name in self.known:
            self.stems.setdefault(name.rpartition(".")[0], []).append(name)

    def knows(self, name: str) -> bool:
        """Whether a name means a picture."""
        return self.picture(name) is not None

    def picture(self, name: str) -> str | None:
        """The picture that a name means, with its suffix or, if that is unique, without."""
        exact = _plain(self.prefix + name)  # a \ may be of a byte that is not UTF-8, as \xe9
        plain = _plain(self.prefix + name.replace("\\", "/").removeprefix("./"))
        plain = exact if exact in self.known else plain
        alike = self.stems.get(plain, [])
        return self.known.get(plain) or (self.known[alike[0]] if len(alike) == 1 else None)

    def add(self, name: str, label: str, place: str) -> None:
        """Note the label that a place of the table gives; DataError if it does not fit."""
        picture = self.picture(name)
        if picture is None:
            if _plain(self.prefix + name) in self.unread:
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
        return self.found


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


def _from_rows(files: Files, place: str) -> dict[str, str]:
    """Labels from a table with a known header, or of two columns."""
    where = f"{files.store.path}/{place}"
    matching = Matching(where, files, place[: place.rfind("/") + 1])
    rows = csv_rows(files.store, place)
    columns = (0, 1)
    if rows:
        columns, header = _columns(where, [cell.strip() for cell in rows[0][1]], matching)
        rows = rows[1:] if header else rows
    for line, row in rows:
        if len(row) <= max(columns) or not row[columns[1]].strip():
            raise DataError(f"{where}: line {line} has no label: each line is file,label")
        matching.add(row[columns[0]].strip(), row[columns[1]].strip(), f"line {line}")
    return matching.whole()


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
    for number, (name, label) in enumerate(rows):
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
