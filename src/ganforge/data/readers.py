"""From a name or a path to all the examples it holds: which reader reads what."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from ganforge.data import archives, arrays, cifar, download, idx, images, toy
from ganforge.data.dataset import Examples
from ganforge.errors import DataError, DiskError, UsageError, did_you_mean
from ganforge.printable import on_disk

# Every data set known by name: a toy law, or a function that reads all of its examples.
SOURCES: dict[str, Callable[[], Examples] | toy.Law] = {
    "mnist": idx.bundled_mnist,
    "mnist-50000": idx.mnist_in_order,
    "fashion-mnist": download.fashion_mnist,
    "cifar10": download.cifar10,
    **toy.LAWS,
}
KINDS = (
    "a folder or .zip of pictures, .npy, .npz, idx files (plain or .gz), CIFAR-10's batches or a "
    "packed folder"
)


def locate(source: str) -> Path:
    """The path that `source` stands for, which may be written as `printable` writes it.

    Raises DataError for something written like a path that is not there, UsageError for a word
    that is neither a known name nor a path.
    """
    if not source:
        raise UsageError(f"no data given: {did_you_mean('', list(SOURCES))}, or a path")
    path = Path(source)
    try:
        path = on_disk(path.expanduser())
        if path.exists():
            return path
    except (OSError, ValueError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise DataError(f"data {source[:200]!r}: not a path that can be read ({reason})") from None
    if os.sep in source or path.suffix:
        raise DataError(f"data {source[:200]!r}: no such file or folder")
    source = source[:200]
    known = did_you_mean(source, list(SOURCES))
    raise UsageError(f"unknown data {source!r}: {known}, or the path of {KINDS}")


def read(
    path: Path,
    size: int | None,
    *,
    workers: int = 0,
    allocate: images.Allocate | None = None,
) -> Examples:
    """All the examples of a path that is not a packed folder; pictures cropped and resized.

    The kind of a file is told by its first bytes, not by its name. workers, allocate: see
    `images.read`. Raises DataError or DiskError.
    """
    if path.is_dir():
        if (batches := cifar.find(path)) is not None:
            return cifar.read_folder(batches)
        if (train := idx.find(path)) is not None:
            return idx.examples(train)
    elif not _is_picture_zip(path):
        return _read_file(path)
    return images.read(path, size, workers=workers, allocate=allocate)


def _is_picture_zip(path: Path) -> bool:
    if not _head(path).startswith(b"PK") or path.suffix == ".npz":
        return False
    names = archives.members(path, most=arrays.MAX_MEMBER, small=arrays.SMALL)
    return not names or not all(name.endswith(".npy") for name in names)


def _read_file(path: Path) -> Examples:
    head = _head(path)
    if head.startswith(b"\x93NUMPY"):
        return arrays.read_npy(path)
    if head.startswith(b"PK"):
        return arrays.read_npz(path)
    if path.name.endswith((".tar.gz", ".tgz")):
        return cifar.read_tar(path)
    if head.startswith(b"\x1f\x8b") or idx.is_idx(head):
        return idx.examples(path)
    if path.suffix == ".bin" and cifar.find(path.parent) is not None:
        raise DataError(f"{path}: one batch of CIFAR-10: give the folder {path.parent}")
    begins = f"it begins with {head.hex(' ')}" if head else "it is empty"
    raise DataError(f"{path}: not {KINDS}: {begins}")


def _head(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise DataError(f"{path}: neither a file nor a folder")
        with path.open("rb") as file:
            return file.read(8)
    except OSError as error:
        raise DiskError(f"{path}: cannot be read ({error.strerror or error})") from None
