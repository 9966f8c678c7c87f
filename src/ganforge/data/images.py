"""A folder or a zip of pictures, as one array."""

from __future__ import annotations

import math
import os
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path, PurePosixPath
from typing import TypeVar

import numpy as np

from ganforge.codec import Array
from ganforge.data.dataset import MAX_SIDE, Examples
from ganforge.data.labels import find_labels
from ganforge.data.pictures import FORMATS, SUFFIXES, Header, quiet, set_filters
from ganforge.data.stores import Archive, Folder, Store, decode_chunk, probe_chunk
from ganforge.errors import DataError, UsageError
from ganforge.printable import printable

T = TypeVar("T")
Allocate = Callable[[tuple[int, ...]], Array]

CORRUPT_PERCENT = 1
_MANY = 5 * 10**8  # pixels; for fewer, processes take longer to start than they save
_THREADS = 4  # so many share one interpreter without waiting: decoders run outside its lock
_CHUNK = 32  # pictures a worker takes at a time
_WINDOW = 32  # chunks under way at most, so that results do not pile up


def read(
    path: Path, size: int | None, *, workers: int = 0, allocate: Allocate | None = None
) -> Examples:
    """Every picture in a folder or zip, in order of name, uint8 (N, H, W, C).

    size: side of the square each picture is cropped and resized to; None where all have one size.
    workers: decode in so many threads, or processes where more than 4 have much to decode; 0 takes
    threads, which need no `__main__` guard in the caller's script. allocate: makes the uint8 array
    of the shape given.

    Grey pictures give C = 1 where all are grey, else C = 3. Labels come from `labels.csv`, or from
    subfolders. Damaged pictures are left out and listed; more than 1 % of them is a DataError, as
    are no pictures at all and a picture above the pixel cap.
    """
    if size is not None and not 1 <= size <= MAX_SIDE:
        raise UsageError(f"size = {size}: expected 1 to {MAX_SIDE} pixels")
    store = Folder(path) if path.is_dir() else Archive(path)
    every = store.names()
    names = sorted(name for name in every if _is_picture(name))
    if not names:
        formats = ", ".join(FORMATS)
        raise DataError(f"{path}: no pictures found: put files of the formats {formats} in it")
    labels, classes = find_labels(path, names, every, store.open)
    with quiet(), _executor(workers) as executor:
        probed = list(zip(names, _stream(executor, probe_chunk, store, names), strict=True))
        skipped = [f"{name}: {found}" for name, found in probed if isinstance(found, str)]
        _check_share(path, skipped, len(names))
        good = {name: found for name, found in probed if isinstance(found, Header)}
    values = _allocate((len(good), *_shape(good, size, path)), allocate, path)
    pixels = sum(header.height * header.width for header in good.values())
    with quiet(), _executor(workers, pixels) as executor:
        values, kept, damaged = _decode_all(executor, store, list(good), size, values)
    skipped = [printable(reason) for reason in sorted(skipped + damaged)]
    _check_share(path, skipped, len(names))
    known = None if labels is None else np.array([labels[n] for n in kept], dtype=np.int64)
    return Examples(values, known, classes, tuple(skipped))


def _decode_all(
    executor: Executor, store: Store, names: list[str], size: int | None, values: Array
) -> tuple[Array, list[str], list[str]]:
    """Decoded pictures in the order of their names, the names, and those left out with reasons."""
    kept: list[str] = []
    skipped: list[str] = []
    shape = values.shape[1:]
    work = partial(decode_chunk, size=size, channels=shape[-1])
    for name, result in zip(names, _stream(executor, work, store, names), strict=True):
        if isinstance(result, str):
            skipped.append(f"{name}: {result}")
        elif result.shape != shape:
            skipped.append(f"{name}: turned by EXIF data behind its pixels; give a size")
        else:
            values[len(kept)] = result
            kept.append(name)
    return values[: len(kept)], kept, skipped


def _executor(workers: int = 0, pixels: int = 0) -> Executor:
    if workers > _THREADS and pixels >= _MANY:
        # Not fork: this process may hold torch's threads and locks.
        context = get_context("spawn")
        return ProcessPoolExecutor(workers, mp_context=context, initializer=set_filters)
    return ThreadPoolExecutor(min(8, workers or os.cpu_count() or 1), "ganforge-pictures")


def _stream(
    executor: Executor,
    work: Callable[[Store, Sequence[str]], list[T]],
    store: Store,
    names: Sequence[str],
) -> Iterator[T]:
    """Results in the order of the names, with a bounded number of chunks under way."""
    running: deque[Future[list[T]]] = deque()
    for i in range(0, len(names), _CHUNK):
        running.append(executor.submit(work, store, names[i : i + _CHUNK]))
        if len(running) >= _WINDOW:
            yield from running.popleft().result()
    while running:
        yield from running.popleft().result()


def _shape(headers: dict[str, Header], size: int | None, path: Path) -> tuple[int, int, int]:
    """(H, W, C) of the set; DataError where sizes differ and none was asked for."""
    channels = 1 if all(header.grey for header in headers.values()) else 3
    if size is not None:
        return size, size, channels
    sizes = Counter((header.height, header.width) for header in headers.values())
    (height, width), _ = sizes.most_common(1)[0]
    if len(sizes) > 1:
        side = max(8, min(256, *(min(pair) for pair in sizes)))
        raise DataError(
            f"{path}: pictures of {len(sizes)} different sizes ({height} x {width} the most "
            f"common): give the size they shall have, for example --size {side}"
        )
    return height, width, channels


def _allocate(shape: tuple[int, ...], allocate: Allocate | None, path: Path) -> Array:
    if allocate is not None:
        return allocate(shape)
    try:
        return np.empty(shape, dtype=np.uint8)
    except MemoryError:
        raise DataError(
            f"{path}: {math.prod(shape) / 2**30:.0f} GiB of pixels do not fit in memory: "
            "pack the pictures first (ganforge data pack), or give a smaller size"
        ) from None


def _check_share(path: Path, skipped: list[str], count: int) -> None:
    """DataError where more than CORRUPT_PERCENT of the pictures cannot be read."""
    if len(skipped) * 100 > CORRUPT_PERCENT * count:
        raise DataError(
            f"{path}: {len(skipped)} of {count} pictures cannot be read, more than "
            f"{CORRUPT_PERCENT} %; the first is {skipped[0]}; repair or remove them"
        )


def _is_picture(name: str) -> bool:
    """By the end of the name; hidden files and the folders that macOS puts in zips are not."""
    parts = PurePosixPath(name).parts
    if any(part.startswith(".") or part == "__MACOSX" for part in parts):
        return False
    return name.lower().endswith(SUFFIXES)
