"""Folders whose names say that they are parts of a data set, and not classes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
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
A_CLASS = "train"  # the one name that is a class too, beside bus and car
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
    folder -> number of its pictures, of parts that have no classes although the others do. empty:
    classes without a picture that can be read.
    """

    names: dict[str, list[str]]
    classes: dict[str, str] = field(default_factory=dict)
    left: dict[str, int] = field(default_factory=dict)
    empty: set[str] = field(default_factory=set)


def part_of(folder: str) -> tuple[str | None, str]:
    """The part that a folder's name says, "" for an unlabelled one, or None; and A or B."""
    found = _PATTERN.fullmatch(_CAMEL.sub("_", folder).lower())
    if found is None:
        return None, ""
    return NAMES[found["part"]], (found["domain"] or "").upper()


def find(
    path: Path,
    folders: dict[str, list[str]],
    labelled: bool,
    hollow: Callable[[str], set[str]],
    at_level: Callable[[int], str],
) -> Parts | None:
    """The parts that top folders are; None if they are classes.

    Args:
        path: of the data.
        folders: top folder -> its pictures, relative to it; "" -> those in none.
        labelled: the classes are known from a table.
        hollow: folders without pictures in a folder, which has a slash at its end.
        at_level: how to say which folders are the classes, 0 for none, 1 for the top ones.

    Raises:
        DataError: parts that cannot be used together.
    """
    said = {folder: part_of(folder) for folder in folders}
    known = {folder: part for folder, (part, _) in said.items() if part is not None}
    stated = set(known.values()) - {""}
    others = sorted(set(folders) - set(known))
    if (not stated and others) or len(folders) < 2 or (labelled and len(known) < 2):
        return None
    one = path / min(known, key=lambda folder: known[folder] != "train")
    remedy = f"give one of them, for example {command_line(['--data', str(one)])}"
    if not path.is_dir():
        remedy = "unpack it and give one of them"
    if others and len(known) == 1:
        level = at_level(0 if "" in others else 1)
        _refuse_one(path, folders, next(iter(known)), f"{remedy}, or, if it is none, {level}")
        return None
    shown = ", ".join(sorted(folders))
    where = f"{path}: {shown} are parts and not classes"
    if others:
        raise DataError(
            f"{path}: {', '.join(sorted(known))} are parts, {_called(others[0], folders)}: {remedy}"
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
    return _sorted_into(where, folders, known, labelled, hollow, remedy)


def _refuse_one(path: Path, folders: dict[str, list[str]], folder: str, remedy: str) -> None:
    """DataError for one folder with the name of a part, unless it may well be a class."""
    others = sorted(set(folders) - {folder})
    flat = all("/" not in name for name in folders[folder])
    if folder.lower() == A_CLASS and flat and len(others) > 1 and "" not in others:
        return
    raise DataError(
        f"{path}: {folder} is the name of a part, and {_called(others[0], folders)}: {remedy}"
    )


def _called(other: str, folders: dict[str, list[str]]) -> str:
    """A folder that is no part, or the pictures in none."""
    if other:
        return f"{other} is none"
    return f"{len(folders[''])} pictures, such as {folders[''][0]}, lie in none"


def _sorted_into(
    where: str,
    folders: dict[str, list[str]],
    known: dict[str, str],
    labelled: bool,
    hollow: Callable[[str], set[str]],
    remedy: str,
) -> Parts:
    """The pictures of each part, if all parts have the same classes."""
    classes: dict[str, dict[str, str]] = {}
    empty: dict[str, set[str]] = {}
    for folder, names in folders.items():
        nested, classes[folder] = ("", {}) if labelled else classes_in(names)
        empty[folder] = hollow(f"{folder}/{nested}") if classes[folder] else set()
    every = {folder: {*classes[folder].values(), *empty[folder]} for folder in folders}
    if len(set().union(*every.values())) < 2:  # one folder in each part is no class
        classes = {folder: {} for folder in folders}
        every = {folder: set() for folder in folders}
    train = next(folder for folder in known if known[folder] == "train")
    parts = Parts({"train": [], "validation": [], "test": []})
    for folder, part in known.items():
        if not part or (every[train] and not every[folder]):
            parts.left[folder] = len(folders[folder])
        elif every[folder] != every[train]:
            differ = ", ".join(sorted(every[train] ^ every[folder])[:5])
            raise DataError(
                f"{where}, and {train} and {folder} differ in classes ({differ}): {remedy}"
            )
        else:
            parts.names[part] += [f"{folder}/{name}" for name in folders[folder]]
            parts.classes.update({f"{folder}/{name}": k for name, k in classes[folder].items()})
    parts.empty.update(every[train] - set(parts.classes.values()))
    return parts


def classes_in(names: Iterable[str]) -> tuple[str, dict[str, str]]:
    """The folder of the classes in a part, with a slash at its end, and picture -> class.

    No classes if a picture lies in none. A folder that holds all folders of the part is no class.
    """
    split = {name: PurePosixPath(name).parts for name in names}

    def one_at(depth: int) -> bool:
        return len({p[depth] for p in split.values()}) == 1

    depth = 0
    while all(len(p) > depth + 2 for p in split.values()) and one_at(depth):
        depth += 1
    nested = "".join(f"{folder}/" for folder in next(iter(split.values()))[:depth])
    if any(len(p) < depth + 2 for p in split.values()):
        return nested, {}
    return nested, {name: p[depth] for name, p in split.items()}
