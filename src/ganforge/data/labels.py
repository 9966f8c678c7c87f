"""Labels of picture files: from a labels.csv, or from the subfolders they lie in."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath
from typing import IO

from ganforge.data.archives import brief
from ganforge.data.dataset import MAX_CLASSES
from ganforge.errors import DataError
from ganforge.printable import printable

MAX_CSV = 2**27  # bytes
CSV = "labels.csv"
_SPLITS = {"train", "training", "val", "valid", "validation", "test"}

Labels = tuple[dict[str, int] | None, tuple[str, ...]]


def find_labels(
    path: Path, names: list[str], every: list[str], read: Callable[[str], IO[bytes]]
) -> Labels:
    """(name -> label, class names) of the picture files `names`; (None, ()) where there are none.

    every: all files of the source; `labels.csv` counts at its top, or in the folder that all of
    the pictures share. Subfolders are classes where every picture lies in one. Classes are sorted,
    as numbers where all of them are numbers; their names are printable. Raises DataError where
    labels.csv does not fit, or two folders have the same printable name.
    """
    top = _shared_folder(names)
    for place in (CSV, f"{top}{CSV}"):
        if place in every:
            with read(place) as file:
                return _from_csv(file, f"{path}/{place}", names, place.removesuffix(CSV))
    return _from_folders(path, names, top)


def _from_folders(path: Path, names: list[str], top: str) -> Labels:
    parts = [PurePosixPath(name.removeprefix(top)).parts for name in names]
    if any(len(p) < 2 for p in parts):
        return None, ()
    folders = {p[0] for p in parts}
    if len({f.lower() for f in folders} & _SPLITS) == len(folders) > 1:
        raise DataError(
            f"{path}: holds the parts {', '.join(sorted(folders))} and not classes: give one of "
            f"them, for example {path / top / min(folders)}"
        )
    classes = ordered(folders)
    number = {name: k for k, name in enumerate(classes)}
    shown = tuple(map(printable, classes))
    if len(set(shown)) < len(shown):
        twice = next(name for name in shown if shown.count(name) > 1)
        raise DataError(f"{path}: two of its folders are written {twice}: rename one of them")
    return {n: number[p[0]] for n, p in zip(names, parts, strict=True)}, shown


def _from_csv(file: IO[bytes], where: str, names: list[str], prefix: str) -> Labels:
    """Columns `file` and `label` by their names in the header, or the first two columns."""
    rows = _rows(file, where)
    known = {printable(name): name for name in names}
    columns = (0, 1)
    if rows and prefix + rows[0][1][0].strip() not in known:
        header = [cell.strip().lower() for cell in rows[0][1]]
        if "file" in header and "label" in header:
            columns = header.index("file"), header.index("label")
        rows = rows[1:]
    found: dict[str, str] = {}
    for line, row in rows:
        if len(row) <= max(columns) or not row[columns[1]].strip():
            raise DataError(f"{where}: line {line} has no label: each line is file,label")
        name, label = prefix + row[columns[0]].strip(), row[columns[1]].strip()
        if name not in known:
            raise DataError(f"{where}: line {line} names {name[:200]!r}, which is no picture here")
        if found.setdefault(known[name], label) != label:
            raise DataError(f"{where}: line {line} gives {name[:200]!r} a second label")
    lacking = next((name for name in names if name not in found), None)
    if lacking is not None:
        raise DataError(f"{where}: no label for {lacking[:200]!r}: add a line, or remove the file")
    classes = ordered(set(found.values()))
    if len(classes) > MAX_CLASSES:
        raise DataError(f"{where}: {len(classes)} different labels, the cap is {MAX_CLASSES}")
    number = {name: k for k, name in enumerate(classes)}
    return {name: number[label] for name, label in found.items()}, classes


def ordered(names: Iterable[str]) -> tuple[str, ...]:
    """Sorted, as numbers where all are whole numbers: 2 before 10."""
    words = sorted(names)
    if all(word.isascii() and word.isdigit() and len(word) < 18 for word in words):
        return tuple(sorted(words, key=int))
    return tuple(words)


def _rows(file: IO[bytes], where: str) -> list[tuple[int, list[str]]]:
    """(line number, cells) of every line that is not empty."""
    raw = file.read(MAX_CSV + 1)
    if len(raw) > MAX_CSV:
        raise DataError(f"{where}: larger than the cap of {MAX_CSV} bytes")
    try:
        reader = csv.reader(io.StringIO(raw.decode("utf-8-sig"), newline=""), strict=True)
        return [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except UnicodeDecodeError:
        raise DataError(f"{where}: not UTF-8 text: save it as CSV in UTF-8") from None
    except csv.Error as error:
        raise DataError(f"{where}: not a CSV file of file,label lines ({brief(error)})") from None


def _shared_folder(names: list[str]) -> str:
    """The folder that holds all of `names`, with a slash at its end; "" for the top."""
    folders = [PurePosixPath(name).parts[:-1] for name in names]
    shared = min(folders, key=len)
    for folder in folders:
        while folder[: len(shared)] != shared:
            shared = shared[:-1]
    return "".join(f"{part}/" for part in shared)
