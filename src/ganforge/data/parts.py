"""Folders whose names say that they are parts of a data set, and not classes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from ganforge.errors import DataError
from ganforge.text import command_line

NAMES = {
    "train": "train", "training": "train",
    "val": "validation", "valid": "validation", "validation": "validation",
    "dev": "validation", "eval": "validation",
    "test": "test", "testing": "test",
    "pred": "", "unlabeled": "", "unlabelled": "",  # parts that nobody has labelled
}  # fmt: skip
# with words before and behind, a year, and A or B: seg_train, train2017, val-images, testA
_PATTERN = re.compile(
    rf"(?:.*[^a-z])?(?P<part>{'|'.join(sorted(NAMES, key=len, reverse=True))})(?:set)?"
    r"(?:[^a-z]*(?P<domain>[ab])|[^a-z].*)?",
    re.DOTALL,
)
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")  # trainImages


@dataclass(frozen=True)
class Parts:
    """Pictures sorted into the parts that their folders are.

    names: part -> its pictures. classes: picture -> its class, empty if there are none. left:
    folder -> number of its pictures, of parts that have no classes although the others do.
    """

    names: dict[str, list[str]]
    classes: dict[str, str] = field(default_factory=dict)
    left: dict[str, int] = field(default_factory=dict)


def part_of(folder: str) -> tuple[str | None, str]:
    """The part that a folder's name says, "" for an unlabelled one, or None; and A or B."""
    found = _PATTERN.fullmatch(_CAMEL.sub("_", folder).lower())
    if found is None:
        return None, ""
    return NAMES[found["part"]], (found["domain"] or "").upper()


def find(path: Path, folders: dict[str, list[str]], labelled: bool) -> Parts | None:
    """The parts that top folders are; None if they are classes.

    Args:
        path: of the data.
        folders: top folder -> its pictures, relative to it.
        labelled: the classes are known from a table.

    Raises:
        DataError: parts that cannot be used together.
    """
    said = {folder: part_of(folder) for folder in folders}
    known = {folder: part for folder, (part, _) in said.items() if part is not None}
    if len(known) < 2 or len(set(known.values()) - {""}) < 1:
        return None
    others = sorted(set(folders) - set(known))
    if others and len(set(known.values())) < 2:
        return None  # a class may be called train, beside car and bus
    shown = ", ".join(sorted(folders))
    one = path / min(known, key=lambda folder: known[folder] != "train")
    remedy = f"give one of them, for example {command_line(['--data', str(one)])}"
    where = f"{path}: {shown} are parts and not classes"
    if others:
        raise DataError(
            f"{path}: {', '.join(sorted(known))} are parts, {others[0]} is none: {remedy}"
        )
    domains = {part: {said[f][1] for f in known if known[f] == part} for part in known.values()}
    if any({"A", "B"} <= found for found in domains.values()):
        raise DataError(
            f"{path}: {shown} hold two domains, A and B, for the recipe cyclegan; for another "
            f"recipe {remedy}"
        )
    twice = [part for part in known.values() if part and list(known.values()).count(part) > 1]
    if twice:
        raise DataError(f"{where}, and several of them are the {twice[0]} part: {remedy}")
    if "train" not in known.values():
        raise DataError(f"{where}, and none of them is the training part: {remedy}")
    return _sorted_into(where, folders, known, labelled, remedy)


def _sorted_into(
    where: str, folders: dict[str, list[str]], known: dict[str, str], labelled: bool, remedy: str
) -> Parts:
    """The pictures of each part, if all parts have the same classes."""
    classes = {folder: {} if labelled else classes_in(names) for folder, names in folders.items()}
    train = next(folder for folder in known if known[folder] == "train")
    expected = set(classes[train].values())
    parts = Parts({"train": [], "validation": [], "test": []})
    for folder, part in known.items():
        found = set(classes[folder].values())
        if not part or (expected and not found):
            parts.left[folder] = len(folders[folder])
        elif found != expected:
            differ = ", ".join(sorted(expected ^ found)[:5])
            raise DataError(
                f"{where}, and {train} and {folder} differ in classes ({differ}): {remedy}"
            )
        else:
            parts.names[part] += [f"{folder}/{name}" for name in folders[folder]]
            parts.classes.update({f"{folder}/{name}": k for name, k in classes[folder].items()})
    return parts


def classes_in(names: Iterable[str]) -> dict[str, str]:
    """Picture -> class by the folders in a part; empty if a picture lies in none.

    A folder that holds all folders of the part is no class.
    """
    parts = {name: PurePosixPath(name).parts for name in names}
    while all(len(p) > 2 for p in parts.values()) and len({p[0] for p in parts.values()}) == 1:
        parts = {name: p[1:] for name, p in parts.items()}
    if any(len(p) < 2 for p in parts.values()):
        return {}
    return {name: p[0] for name, p in parts.items()}
