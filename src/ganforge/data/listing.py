"""What lies in a folder or zip: pictures, files that only look like them, our output."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from ganforge.data.archives import Archive, Files, Folder, Store
from ganforge.data.decode import FORMATS, SUFFIXES, UNREAD, begins_a_picture
from ganforge.data.formats import packed
from ganforge.data.labels import HOLDERS, is_hidden
from ganforge.errors import DataError, UnreadableError

# What this package writes -> files in one folder that show it.
OURS = {"run": {"config.toml", "run.json"}, "model": {"config.json", "model.safetensors"}}
# Files that may hold a whole data set.
WHOLE = (".npy", ".npz", ".zip", ".tar", ".gz", ".tgz", ".csv", ".h5", ".hdf5", ".parquet", ".mat")
TORCH = "/data.pkl"  # in a .pt file, which is a zip
# Files that are not looked into: they are texts, code or whole data sets.
NO_PICTURES = (
    *HOLDERS, ".txt", ".csv", ".tsv", ".json", ".jsonl", ".xml", ".md", ".html", ".yaml", ".yml",
    ".toml", ".py", ".ipynb", ".log", ".pt", ".pth", ".pkl", ".safetensors",
)  # fmt: skip


def listed(path: Path) -> tuple[Files, list[str]]:
    """The files of a folder or zip that may be data, and notes on what is left out.

    Raises:
        DataError: no pictures, a run or a model in place of data, or a zip that is refused.
    """
    store = Folder(path) if path.is_dir() else Archive(path)
    every = [name for name in store.names() if not is_hidden(name)]
    ours = written_folders(store, every)
    if "" in ours:
        raise DataError(
            f"{path}: a {ours['']} of ganforge and not data: give the pictures, or samples that "
            "were drawn from it (ganforge sample)"
        )
    if ours:
        inside = tuple(f"{folder}/" for folder in ours)
        every = [name for name in every if not name.startswith(inside)]
    names = {name for name in every if name.lower().endswith(SUFFIXES)}
    unread = {n: reason for n in sorted({*every} - names) if (reason := _unread(store, n))}
    names |= {n for n in {*every} - names - set(unread) if _begins_like_a_picture(store, n)}
    if not names:
        raise DataError(f"{path}: no pictures found: {_instead(every, unread)}")
    notes = [f"left out, made by ganforge: {_counted(ours.values())}"] if ours else []
    if whole := {name: "" for name in every if name.lower().endswith(HOLDERS)}:
        notes.append(f"not read: {summary(whole)}; pictures in such files have to be unpacked")
    return Files(store, sorted(names), unread, every, tuple(ours)), notes


def written_folders(store: Store, every: list[str]) -> dict[str, str]:
    """Folder -> what it is, of the runs, models and packed folders among the files of a store."""
    inside: dict[str, set[str]] = {}
    for name in every:
        folder, _, file = name.rpartition("/")
        inside.setdefault(folder, set()).add(file)
    found: dict[str, str] = {}
    for folder, files in inside.items():
        for kind, marks in OURS.items():
            if marks <= files:
                found[folder] = kind
        if packed.MANIFEST in files:
            with store.open(f"{folder}/{packed.MANIFEST}".lstrip("/")) as manifest:
                if packed.is_manifest(manifest.read(), packed.IMAGES in files):
                    found[folder] = "packed folder"
    parents = {folder: [p.as_posix() for p in PurePosixPath(folder).parents] for folder in found}
    return {f: kind for f, kind in found.items() if not set(parents[f]) & set(found) or f == ""}


def summary(skipped: dict[str, str]) -> str:
    """Files that were left out, counted by their suffix: "80 .heic, 2 .png"."""
    return _counted(PurePosixPath(name).suffix.lower() or "without suffix" for name in skipped)


def _counted(kinds: Iterable[str]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in sorted(Counter(kinds).items()))


def _begins_like_a_picture(store: Store, name: str) -> bool:
    """Whether a file is a picture although its name does not say so, as downloaded ones are."""
    if name.lower().endswith(NO_PICTURES):
        return False
    try:
        with store.open(name) as file:
            head = file.read(12)
    except UnreadableError:
        return False
    return begins_a_picture(head)


def _unread(store: Store, name: str) -> str:
    """Why a file that looks like a picture, or a link, is not read; empty for other files."""
    link = store.path / name if isinstance(store, Folder) else None
    if link is not None and link.is_symlink() and not link.is_file():
        return "a link that leads back" if link.exists() else "a link that leads nowhere"
    return UNREAD.get(PurePosixPath(name).suffix.lower(), "")


def _instead(every: list[str], unread: dict[str, str]) -> str:
    """What to do about a folder without pictures, in view of what is in it."""
    if unread:
        name, reason = next(iter(unread.items()))
        return f"{summary(unread)}; {name}: {reason}"
    if any(name.endswith(TORCH) for name in every):
        return "it is a file of torch: save its arrays as data.npz, images and labels"
    if other := [name for name in every if name.lower().endswith(WHOLE)]:
        kinds = summary(dict.fromkeys(other, ""))
        return f"it holds {kinds}: give one file, for example {other[0]}"
    kinds = f"it holds {summary(dict.fromkeys(every, ''))}: " if every else ""
    return f"{kinds}put files of the formats {', '.join(FORMATS)} in it"
