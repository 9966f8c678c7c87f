"""A folder or a zip of pictures as one array, with labels from labels.csv or from subfolders."""

from __future__ import annotations

import csv
import io
import math
import os
import posixpath
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path, PurePosixPath
from typing import TypeVar

import numpy as np

from ganforge.data.archives import Archive, Folder, Store
from ganforge.data.dataset import MAX_CLASSES, Examples, PictureOptions, check_size
from ganforge.data.decode import (
    FORMATS,
    SUFFIXES,
    Work,
    decode,
    probe,
    quiet,
    set_filters,
    work_on,
)
from ganforge.errors import DataError
from ganforge.files import parsing
from ganforge.text import printable
from ganforge.types import Array

T = TypeVar("T")

CORRUPT_PERCENT = 1
CSV = "labels.csv"
_SPLITS = {"train", "training", "val", "valid", "validation", "test"}
_CHUNK = 32  # pictures that a worker is given at a time
_WINDOW = 32  # most chunks at work, so that results do not pile up


def recognises(path: Path, head: bytes) -> bool:
    """Whether a path is a folder or a zip; asked after the formats that are folders or zips too."""
    return path.is_dir() or head.startswith(b"PK")


def read(path: Path, options: PictureOptions) -> Examples:
    """Every picture in a folder or zip, in order of name, uint8 (N, H, W, C).

    C = 1 if all pictures are grey, else 3. Damaged pictures are left out and listed.

    Args:
        path: of the folder or zip.
        options: size, workers and memory.

    Raises:
        DataError: no pictures, more than 1 % of them damaged, one above the pixel cap, sizes that
            differ without `options.size`, or a labels.csv that does not fit.
        UsageError: an impossible size.
        DiskError: a file cannot be read.
    """
    check_size(options.size)
    store, names, every = pictures_of(path)
    labels, classes = find_labels(store, names, every)
    good, skipped = headers(store, names, options)

    shape = _shape(list(good.values()), options.size, path)
    values = _allocate((len(good), *shape), options, path)
    decoded: list[str] = []
    pixels = sum(height * width for height, width, _ in good.values())
    work = partial(decode, size=options.size, channels=shape[-1])
    with quiet(), executor(options, pixels) as pool:
        for name, picture in _results(pool, work, store, list(good)):
            if isinstance(picture, str):
                skipped.append(f"{name}: {picture}")
            elif picture.shape != shape:
                skipped.append(f"{name}: turned by EXIF data behind its pixels; give a size")
            else:
                values[len(decoded)] = picture
                decoded.append(name)
    skipped = [printable(reason) for reason in sorted(skipped)]
    _check_share(path, skipped, len(names))
    numbers = np.array([labels[name] for name in decoded], np.int64) if labels else None
    return Examples(values[: len(decoded)], numbers, classes, tuple(skipped))


def pictures_of(path: Path) -> tuple[Store, list[str], list[str]]:
    """A folder or zip, its picture files in order of name, and all of its files."""
    store = Folder(path) if path.is_dir() else Archive(path)
    every = store.names()
    names = sorted(filter(_is_picture, every))
    if not names:
        formats = ", ".join(FORMATS)
        raise DataError(f"{path}: no pictures found: put files of the formats {formats} in it")
    return store, names, every


def headers(
    store: Store, names: list[str], options: PictureOptions
) -> tuple[dict[str, tuple[int, int, int]], list[str]]:
    """(H, W, C) of each picture by name, and why others have none; DataError if too many do."""
    good: dict[str, tuple[int, int, int]] = {}
    skipped: list[str] = []
    with quiet(), executor(options) as pool:
        for name, found in _results(pool, probe, store, names):
            if isinstance(found, str):
                skipped.append(f"{name}: {found}")
            else:
                good[name] = found
    _check_share(store.path, skipped, len(names))
    return good, skipped


def executor(options: PictureOptions, pixels: int = 0) -> Executor:
    """Threads, or processes if there are many workers and pixels; see `PictureOptions`."""
    if options.workers > options.threads and pixels >= options.many:
        # Not fork: this process may hold torch's threads and locks.
        context = get_context("spawn")
        return ProcessPoolExecutor(options.workers, mp_context=context, initializer=set_filters)
    count = min(8, options.workers or os.cpu_count() or 1)
    return ThreadPoolExecutor(count, "ganforge-pictures")


def _results(
    pool: Executor, work: Work[T], store: Store, names: list[str]
) -> Iterator[tuple[str, T | str]]:
    """`work_on` in the order of the names, with a bounded number of chunks at work."""
    running: deque[Future[list[tuple[str, T | str]]]] = deque()
    for i in range(0, len(names), _CHUNK):
        running.append(pool.submit(work_on, store, names[i : i + _CHUNK], work))
        if len(running) >= _WINDOW:
            yield from running.popleft().result()
    for future in running:
        yield from future.result()


def _shape(
    shapes: list[tuple[int, int, int]], size: int | None, path: Path
) -> tuple[int, int, int]:
    """(H, W, C) of the set; DataError if sizes differ and `size` is None."""
    channels = max(channels for *_, channels in shapes)
    if size is not None:
        return size, size, channels
    sizes = Counter((height, width) for height, width, _ in shapes)
    (height, width), _ = sizes.most_common(1)[0]
    if len(sizes) > 1:
        side = max(8, min(256, *map(min, sizes)))
        raise DataError(
            f"{path}: pictures of {len(sizes)} different sizes ({height} x {width} the most "
            f"common): give one size for all, for example --size {side}"
        )
    return height, width, channels


def _allocate(shape: tuple[int, ...], options: PictureOptions, path: Path) -> Array:
    try:
        return options.allocate(shape)
    except MemoryError:
        raise DataError(
            f"{path}: {math.prod(shape) / 2**30:.0f} GiB of pixels do not fit in memory: "
            "pack the pictures first (ganforge data pack), or give a smaller size"
        ) from None


def _check_share(path: Path, skipped: list[str], count: int) -> None:
    """DataError if more than CORRUPT_PERCENT of the pictures cannot be read."""
    if len(skipped) * 100 > CORRUPT_PERCENT * count:
        raise DataError(
            f"{path}: {len(skipped)} of {count} pictures cannot be read, more than "
            f"{CORRUPT_PERCENT} %; the first is {skipped[0]}; repair or remove them"
        )


def _is_picture(name: str) -> bool:
    """By the end of the name, without hidden files and the folders that macOS puts in zips."""
    parts = PurePosixPath(name).parts
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in parts)
    return not hidden and name.lower().endswith(SUFFIXES)


# --- labels -----------------------------------------------------------------------------------


def find_labels(
    store: Store, names: list[str], every: list[str]
) -> tuple[dict[str, int], tuple[str, ...]]:
    """Labels of picture files from labels.csv, or else from the subfolders they lie in.

    labels.csv lies at the top, or in the folder that all pictures share. Subfolders are classes if
    every picture lies in one. Classes are sorted, as numbers if all of them are numbers.

    Args:
        store: the folder or zip.
        names: the picture files.
        every: all files.

    Returns:
        (name -> label, class names), both empty without labels.

    Raises:
        DataError: labels.csv does not fit the pictures, or two folders have the same printable
            name.
    """
    shared = posixpath.commonpath([posixpath.dirname(name) for name in names])
    top = f"{shared}/" if shared else ""
    found = [place for place in (CSV, top + CSV) if place in every]
    named = _from_csv(store, found[0], names) if found else _from_folders(store.path, names, top)
    classes = ordered(set(named.values()))
    if len(classes) > MAX_CLASSES:
        raise DataError(f"{store.path}: {len(classes)} different labels, the cap is {MAX_CLASSES}")
    number = {name: k for k, name in enumerate(classes)}
    shown = tuple(map(printable, classes))
    if len(set(shown)) < len(shown):
        twice = next(name for name in shown if shown.count(name) > 1)
        raise DataError(f"{store.path}: two of its folders are written {twice}: rename one of them")
    return {name: number[label] for name, label in named.items()}, shown


def _from_folders(path: Path, names: list[str], top: str) -> dict[str, str]:
    """File name -> name of its subfolder; nothing if a picture lies in none."""
    parts = {name: PurePosixPath(name.removeprefix(top)).parts for name in names}
    if any(len(p) < 2 for p in parts.values()):
        return {}
    folders = {p[0] for p in parts.values()}
    if len({f.lower() for f in folders} & _SPLITS) == len(folders) > 1:
        raise DataError(
            f"{path}: holds the parts {', '.join(sorted(folders))} and not classes: give one of "
            f"them, for example {path / top / min(folders)}"
        )
    return {name: p[0] for name, p in parts.items()}


def _from_csv(store: Store, place: str, names: list[str]) -> dict[str, str]:
    """From the columns `file` and `label` of the header, or else from the first two columns."""
    where, prefix = f"{store.path}/{place}", place.removesuffix(CSV)
    fault = f"{where}: not a CSV file of file,label lines, or not UTF-8 text"
    with store.open(place) as file, parsing(where, fault):
        reader = csv.reader(io.TextIOWrapper(file, "utf-8-sig", newline=""), strict=True)
        rows = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    known = {printable(name): name for name in names}  # as a UTF-8 file can name them
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
    for name in names:
        if name not in found:
            raise DataError(f"{where}: no label for {name[:200]!r}: add a line, or remove the file")
    return found


def ordered(names: Iterable[str]) -> tuple[str, ...]:
    """Sorted, as numbers if all are whole numbers: 2 before 10."""
    words = sorted(names)
    whole = all(word.isascii() and word.isdigit() and len(word) < 18 for word in words)
    return tuple(sorted(words, key=int) if whole else words)
