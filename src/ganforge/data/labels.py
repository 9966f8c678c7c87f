"""Labels of pictures: from a table beside them, or from folders."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from ganforge.data import parts, tables
from ganforge.data.archives import Files
from ganforge.data.dataset import MAX_CLASSES
from ganforge.errors import DataError
from ganforge.text import command_line, printable

_SHARD = re.compile(r"\d{5}")  # a folder of a StyleGAN data set: the next thousand pictures
_NUMBERED = re.compile(r"(?:img)?(\d{5,})")
# Files that may hold the pictures of a class, by the ends of their names.
HOLDERS = (
    ".npy", ".npz", ".zip", ".tar", ".gz", ".tgz", ".7z", ".rar", ".h5", ".hdf5", ".parquet",
    ".mat", ".mp4", ".avi", ".mov", ".mkv", ".webm", ".pdf",
)  # fmt: skip
SYSTEM = ("__MACOSX", "@eaDir", "$RECYCLE.BIN", "Thumbs.db", "desktop.ini")
STRAY_PERCENT = 1  # most pictures that are left out since they lie beside the folders of classes


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


def find(files: Files, level: int = -1) -> Labelled:
    """Parts and labels of pictures.

    A table lies in a folder that all pictures share. Without one, subfolders are parts if their
    names say so, else classes if nearly every picture lies in one.

    Args:
        files: of the folder or zip.
        level: see `Reading`.

    Raises:
        DataError: a table that does not fit the pictures, or folders that could mean two things.
    """
    path, names, top = files.store.path, files.names, shared_folder(files.names)
    if level >= 0:
        return Labelled({"": names}, {name: _at(path, name, level) for name in names if level})
    table, labels, notes = tables.read(files, top)
    if not table:
        top, names, notes = _class_level(files)
    folders = _by_folder(names, top)

    def at_level(level: int) -> str:
        level += top.count("/") * (level > 0)
        return command_line(["--data", f"{path}@level={level}"])

    def empty_in(folder: str) -> set[str]:
        return _empty_folders(files, top + folder)

    found = parts.find(path / top, folders, table, empty_in, at_level)
    if found is not None:
        used = sorted(set(folders) - set(found.left))
        notes += [f"used as parts: {', '.join(used)}"]
        notes += [f"left out: {f}, {n} pictures without classes" for f, n in found.left.items()]
        labels = labels or {top + n: k for n, k in found.classes.items()}
        within = {p: [top + n for n in part] for p, part in found.names.items()}
        said = Labelled(within, labels, tuple(sorted(found.empty)))
    elif table:
        said = Labelled({"": names}, labels)
    else:
        said = _from_folders(path, names, top, folders, empty_in(""), at_level)
    if not table and not said.labels:
        notes += tables.elsewhere(files, top)
    return replace(said, notes=(*notes, *said.notes))


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
    alike = Counter(unicodedata.normalize("NFC", name) for name in shown)
    if len(alike) < len(shown):
        twice = next(name for name, times in alike.items() if times > 1)
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


def _class_level(files: Files) -> tuple[str, list[str], list[str]]:
    """(the folder whose subfolders may be classes, the pictures in them, notes).

    A picture or two beside all folders are left out.
    """
    names, notes = files.names, []
    while True:
        top = shared_folder(names)
        loose = [name for name in names if "/" not in name.removeprefix(top)]
        if not loose or len(loose) * 100 > STRAY_PERCENT * len(names):
            break
        notes += [
            f"left out: {len(loose)} pictures beside the folders of all others, as {loose[0]}"
        ]
        names = sorted(set(names) - set(loose))
    above = top[: top.rstrip("/").rfind("/") + 1]
    if top and len(loose) == len(names) and _empty_folders(files, above):
        top = above  # one of several class folders may be the only one with pictures
    return top, names, notes


def _empty_folders(files: Files, inside: str) -> set[str]:
    """Folders in `inside` that may be classes without a picture that can be read.

    Those without files, and those with pictures or other files that are not read. A folder of
    texts is no class, and neither is one that this package has written.
    """
    below = _by_folder((n for n in files.every if n.startswith(inside)), inside)
    full = _by_folder((n for n in files.names if n.startswith(inside)), inside)
    made = {n.removeprefix(inside).partition("/")[0] for n in files.made if n.startswith(inside)}

    def may_be_class(folder: str) -> bool:
        within = below.get(folder, [])
        unread = (f"{inside}{folder}/{name}" in files.unread for name in within)
        return not within or any(unread) or any(n.lower().endswith(HOLDERS) for n in within)

    found = {name for name in files.store.folders(inside) if not is_hidden(name)}
    return {name for name in found - set(full) - made if may_be_class(name)}


def _from_folders(
    path: Path,
    names: list[str],
    top: str,
    folders: dict[str, list[str]],
    empty: set[str],
    at_level: Callable[[int], str],
) -> Labelled:
    """Classes from the folders in `top`, which are no parts."""
    shown = ", ".join(ordered(set(folders) - {""})[:4])
    if "" in folders:
        loose = folders[""]
        why = f"no classes: {len(loose)} pictures, as {loose[0]}, lie beside the folders {shown}"
        return Labelled({"": names}, {}, notes=(why,) if shown else ())
    if are_shards(folders):
        return Labelled({"": names}, {}, notes=("numbered folders are shards and not classes",))
    unlabelled = {f for f in folders if parts.part_of(f)[0] == ""}
    notes = [f"left out: {f}, {len(folders[f])} pictures without a class" for f in unlabelled]
    notes += [f"the folder {f} is a class" for f in folders if parts.part_of(f)[0]]
    folders = {f: found for f, found in folders.items() if f not in unlabelled}
    _refuse_two_levels(path, folders, at_level)
    labels = {f"{top}{folder}/{name}": folder for folder in folders for name in folders[folder]}
    names = [name for name in names if name in labels]
    empty = {name for name in empty if parts.part_of(name)[0] != ""}
    return Labelled({"": names}, labels, tuple(sorted(empty)), tuple(notes))


def _refuse_two_levels(
    path: Path, folders: dict[str, list[str]], at_level: Callable[[int], str]
) -> None:
    """DataError if folders have subfolders of the same names: either could be the classes."""
    inside = [
        {name.partition("/")[0] for name in names if "/" in name} for names in folders.values()
    ]
    shared = {n for n, times in Counter(n for found in inside for n in found).items() if times > 1}
    if len(shared) > 1 and all(found & shared for found in inside):
        outer, inner = (", ".join(ordered(found)[:4]) for found in (folders, shared))
        raise DataError(
            f"{path}: the classes may be {outer}, or {inner}, which are in several of them: "
            f"say which by {at_level(1)} or {at_level(2)}"
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


def is_hidden(name: str) -> bool:
    """Whether a file or folder is hidden, or is one that a system puts beside pictures."""
    return any(part.startswith(".") or part in SYSTEM for part in PurePosixPath(name).parts)
