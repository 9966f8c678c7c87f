"""`pack`: decode a data set once into a packed folder that opens in a millisecond."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np

from ganforge.data import toy
from ganforge.data.dataset import PictureOptions
from ganforge.data.formats import packed
from ganforge.data.load import NAMED, locate, read
from ganforge.errors import DiskError, UsageError
from ganforge.types import Array


def pack(data: str, out: Path, size: int | None = None, seed: int = 0, *, workers: int = 0) -> Path:
    """Decode `data` once into the packed folder `out`, split by `seed`; returns `out`.

    The folder appears whole or not at all: it is written beside `out` and renamed. An earlier
    packed folder is replaced.

    Args:
        data, size: as in `load.load`.
        out: the new folder.
        seed: of the split.
        workers: see `PictureOptions`; more than 4 may be processes, which need a `__main__` guard
            in the calling script.

    Raises:
        UsageError: `out` holds something else, or there is nothing to decode.
        DiskError: `out` cannot be written.
        DataError: as in `load.load`.
    """
    _check_free(out)
    entry = NAMED.get(data)
    if isinstance(entry, toy.Law):
        raise UsageError(f"data {data!r} is a law that is drawn when needed: nothing to pack")
    with _building(out) as folder:
        decoded = folder / "decoded.tmp"
        if entry is not None:
            examples = entry()
        else:
            path = locate(data)
            if packed.is_store(path):
                raise UsageError(f"{data} is a packed folder already: pack what it was made from")
            examples = read(path, PictureOptions(size, workers, _MappedFile(decoded)))
        packed.write(folder, examples, Path(data).name, size, seed)
        decoded.unlink(missing_ok=True)
    return out


@dataclass(frozen=True)
class _MappedFile:
    """Makes the array of decoded pictures as a mapped file: a set may be larger than memory."""

    path: Path

    def __call__(self, shape: tuple[int, ...]) -> Array:
        with self.path.open("wb") as file:
            if hasattr(os, "posix_fallocate"):
                # A hole in a mapped file that the disk has no room for would kill the process.
                os.posix_fallocate(file.fileno(), 0, max(1, prod(shape)))
            else:
                file.truncate(max(1, prod(shape)))
        return np.memmap(self.path, np.uint8, "r+", shape=shape)


@contextmanager
def _building(out: Path) -> Iterator[Path]:
    """A folder beside `out` that takes its place if the block ends without an exception."""
    folder = out.absolute().parent / f".{out.name}.{os.getpid()}.tmp"
    aside = folder.with_suffix(".old")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir()
        yield folder
        if out.exists():
            out.rename(aside)
        folder.rename(out)
    except OSError as error:
        raise DiskError(f"{out}: cannot be written ({error.strerror or error})") from None
    finally:
        if aside.exists() and not out.exists():
            aside.rename(out)
        for leftover in (folder, aside):
            shutil.rmtree(leftover, ignore_errors=True)


def _check_free(out: Path) -> None:
    """UsageError unless `out` is nothing, an empty folder or an earlier packed folder."""
    try:
        if not out.exists() or (out.is_dir() and (packed.is_store(out) or not any(out.iterdir()))):
            return
    except OSError as error:
        raise DiskError(f"{out}: cannot be written ({error.strerror or error})") from None
    raise UsageError(f"{out} exists and is no packed folder: give another one, or move it away")
