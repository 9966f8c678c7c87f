"""`pack`: decode a data set once into a packed folder that opens in a millisecond."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from ganforge.data import toy
from ganforge.data.dataset import PictureOptions
from ganforge.data.formats import packed
from ganforge.data.load import NAMED, locate, read, read_two
from ganforge.data.settings import folders_in, split_off
from ganforge.errors import UsageError
from ganforge.files import sync_folder, writing
from ganforge.types import Array


def pack(
    data: str,
    out: Path,
    size: int | None = None,
    seed: int = 0,
    *,
    workers: int = 0,
    pairing: str = "",
) -> Path:
    """Decode `data` once into the packed folder `out`, split by `seed`; returns `out`.

    The folder appears whole or not at all: it is written beside `out` and renamed. An earlier
    packed folder is replaced.

    Args:
        data, size, pairing: as in `load.load`.
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
    bare, reading = split_off(data)
    entry = NAMED.get(bare)
    if isinstance(entry, toy.Law):
        raise UsageError(f"data {data!r} is a law that is drawn when needed: nothing to pack")
    with building(out) as folder:
        options = PictureOptions(
            size, workers, partial(_mapped_file, folder), reading=reading, pairing=pairing
        )
        if entry is not None:
            examples = entry()
        elif len(folders_in(bare)) > 1:
            examples = read_two(bare, options)
        else:
            path = locate(bare)
            if packed.is_store(path):
                raise UsageError(f"{data} is a packed folder already: pack what it was made from")
            examples = read(path, options)
        packed.write(folder, examples, Path(data).name, size, seed, reading.held_out)
        for decoded in folder.glob("*.tmp"):
            decoded.unlink()
    return out


def _mapped_file(folder: Path, shape: tuple[int, ...]) -> Array:
    """An array of decoded pictures as a mapped file: a set may be larger than memory."""
    path = folder / f"decoded-{len(list(folder.iterdir()))}.tmp"
    with path.open("wb") as file:
        if hasattr(os, "posix_fallocate"):
            # A hole in a mapped file that the disk has no room for would kill the process.
            os.posix_fallocate(file.fileno(), 0, prod(shape))
        else:
            file.truncate(prod(shape))
    return np.memmap(path, np.uint8, "r+", shape=shape)


@contextmanager
def building(out: Path) -> Iterator[Path]:
    """A folder beside `out` that takes its place if the block ends without an exception."""
    parent = out.absolute().parent
    with writing(out):
        parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=f".{out.name}.", dir=parent) as place:
            folder, aside = Path(place) / "new", Path(place) / "old"
            folder.mkdir()
            yield folder
            sync_folder(folder)
            try:
                if out.exists():
                    out.rename(aside)
                folder.rename(out)
                sync_folder(parent)
            finally:
                if aside.exists() and not out.exists():
                    aside.rename(out)


def _check_free(out: Path) -> None:
    """UsageError unless `out` is nothing, an empty folder or an earlier packed folder."""
    with writing(out):
        ours = packed.is_store(out) or (out.is_dir() and not any(out.iterdir()))
        if out.exists() and not ours:
            raise UsageError(
                f"{out} exists and is no packed folder: give another one, or move it away"
            )
