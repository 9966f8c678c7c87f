"""A folder or a zip of pictures as one array, with labels from labels.csv or from subfolders."""

from __future__ import annotations

import csv
import io
import math
import os
import posixpath
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path, PurePosixPath
from typing import IO, TypeVar

import numpy as np

from ganforge.data.archives import Archive, Folder, Store
from ganforge.data.dataset import MAX_CLASSES, MAX_SIDE, Examples, PictureOptions
from ganforge.data.decode import (
    FORMATS,
    SUFFIXES,
    Header,
    decode,
    probe,
    quiet,
    set_filters,
    work_on,
)
from ganforge.errors import DataError, UsageError, one_line
from ganforge.text import printable
from ganforge.types import Array

T = TypeVar("T")
Labels = tuple[dict[str, int] | None, tuple[str, ...]]  # file name -> label, class names

CORRUPT_PERCENT = 1
MAX_CSV = 2**27  # bytes
CSV = "labels.csv"
_SPLITS = {"train", "training", "val", "valid", "validation", "test"}
_CHUNK = 32  # pictures that a worker is given at a time
_WINDOW = 32  # most chunks at work, so that results do not pile up


def recognises(path: Path, head: bytes) -> bool:
    """Whether a path is a folder or a zip; asked after the formats that are folders or zips too."""
    return path.is_dir() or head.startswith(b"PK")


def read(path: Path, options: PictureOptions | None = None) -> Examples:
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
    options = options or PictureOptions()
    size = options.size
    if size is not None and not 1 <= size <= MAX_SIDE:
        raise UsageError(f"size = {size}: expected 1 to {MAX_SIDE} pixels")
    store = Folder(path) if path.is_dir() else Archive(path)
    every = store.names()
    names = sorted(name for name in every if _is_picture(name))
    if not names:
        formats = ", ".join(FORMATS)
        raise DataError(f"{path}: no pictures found: put files of the formats {formats} in it")
    labels, classes = find_labels(path, names, every, store.open)

    with quiet(), executor(options) as pool:
        probed = list(zip(names, _stream(pool, probe, store, names), strict=True))
    skipped = [f"{name}: {found}" for name, found in probed if isinstance(found, str)]
    _check_share(path, skipped, len(names))
    good = {name: found for name, found in probed if isinstance(found, Header)}

    values = _allocate((len(good), *_shape(good, size, path)), options, path)
    pixels = sum(header.height * header.width for header in good.values())
    with quiet(), executor(options, pixels) as pool:
        values, decoded, damaged = _decode_all(pool, store, list(good), size, values)
    skipped = [printable(reason) for reason in sorted(skipped + damaged)]
    _check_share(path, skipped, len(names))
    known = None if labels is None else np.array([labels[n] for n in decoded], dtype=np.int64)
    return Examples(values, known, classes, tuple(skipped))


def executor(options: PictureOptions, pixels: int = 0) -> Executor:
    """Threads, or processes if there are many workers and pixels; see `PictureOptions`."""
    if options.workers > options.threads and pixels >= options.many:
        # Not fork: this process may hold torch's threads and locks.
        context = get_context("spawn")
        return ProcessPoolExecutor(options.workers, mp_context=context, initializer=set_filters)
    count = min(8, options.workers or os.cpu_count() or 1)
    return ThreadPoolExecutor(count, "ganforge-pictures")


def _decode_all(
    pool: Executor, store: Store, names: list[str], size: int | None, values: Array
) -> tuple[Array, list[str], list[str]]:
    """Decoded pictures in the order of their names, the names, and what was left out and why."""
    decoded: list[str] = []
    skipped: list[str] = []
    shape = values.shape[1:]
    work = partial(decode, size=size, channels=shape[-1])
    for name, result in zip(names, _stream(pool, work, store, names), strict=True):
        if isinstance(result, str):
            skipped.append(f"{name}: {result}")
        elif result.shape != shape:
            skipped.append(f"{name}: turned by EXIF data behind its pixels; give a size")
        else:
            values[len(decoded)] = result
            decoded.append(name)
    return values[: len(decoded)], decoded, skipped


def _stream(
    pool: Executor,
    work: Callable[[IO[bytes], str], T],
    store: Store,
    names: Sequence[str],
) -> Iterator[T | str]:
    """Results in the order of the names, with a bounded number of chunks at work."""
    running: deque[Future[list[T | str]]] = deque()
    for i in range(0, len(names), _CHUNK):
        running.append(pool.submit(work_on, store, names[i : i + _CHUNK], work))
        if len(running) >= _WINDOW:
            yield from running.popleft().result()
    while running:
        yield from running.popleft().result()


def _shape(headers: dict[str, Header], size: int | None, path: Path) -> tuple[int, int, int]:
    """(H, W, C) of the set; DataError if sizes differ and `size` is None."""
    channels = 1 if all(header.grey for header in headers.values()) else 3
    if size is not None:
        return size, size, channels
    sizes = Counter((header.height, header.width) for header in headers.values())
    (height, width), _ = sizes.most_common(1)[0]
    if len(sizes) > 1:
        side = max(8, min(256, *(min(pair) for pair in sizes)))
        raise DataError(
            f"{path}: pictures of {len(sizes)} different sizes ({height} x {width} the most "
            f"common): give one size for all, for example --size {side}"
        )
    return height, width, channels


def _allocate(shape: tuple[int, ...], options: PictureOptions, path: Path) -> Array:
    if options.allocate is not None:
        return options.allocate(shape)
    try:
        return np.empty(shape, dtype=np.uint8)
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
    if any(part.startswith(".") or part == "__MACOSX" for part in parts):
        return False
    return name.lower().endswith(SUFFIXES)


# --- labels -----------------------------------------------------------------------------------


def find_labels(
    path: Path, names: list[str], every: list[str], read: Callable[[str], IO[bytes]]
) -> Labels:
    """Labels of picture files from labels.csv, or else from the subfolders they lie in.

    labels.csv lies at the top, or in the folder that all pictures share. Subfolders are classes if
    every picture lies in one. Classes are sorted, as numbers if all of them are numbers.

    Args:
        path: of the folder or zip.
        names: the picture files.
        every: all files.
        read: opens a file by its name.

    Returns:
        (name -> label, class names), or (None, ()) without labels.

    Raises:
        DataError: labels.csv does not fit the pictures, or two folders have the same printable
            name.
    """
    top = _shared_folder(names)
    for place in (CSV, f"{top}{CSV}"):
        if place in every:
            with read(place) as file:
                named = _from_csv(file, f"{path}/{place}", names, place.removesuffix(CSV))
            break
    else:
        named = _from_folders(path, names, top)
    classes = ordered(set(named.values()))
    if len(classes) > MAX_CLASSES:
        raise DataError(f"{path}: {len(classes)} different labels, the cap is {MAX_CLASSES}")
    number = {name: k for k, name in enumerate(classes)}
    shown = tuple(map(printable, classes))
    if len(set(shown)) < len(shown):
        twice = next(name for name in shown if shown.count(name) > 1)
        raise DataError(f"{path}: two of its folders are written {twice}: rename one of them")
    return {name: number[label] for name, label in named.items()} or None, shown


def _from_folders(path: Path, names: list[str], top: str) -> dict[str, str]:
    """File name -> name of its subfolder; nothing if a picture lies in none."""
    parts = [PurePosixPath(name.removeprefix(top)).parts for name in names]
    if any(len(p) < 2 for p in parts):
        return {}
    folders = {p[0] for p in parts}
    if len({f.lower() for f in folders} & _SPLITS) == len(folders) > 1:
        raise DataError(
            f"{path}: holds the parts {', '.join(sorted(folders))} and not classes: give one of "
            f"them, for example {path / top / min(folders)}"
        )
    return {name: p[0] for name, p in zip(names, parts, strict=True)}


def _from_csv(file: IO[bytes], where: str, names: list[str], prefix: str) -> dict[str, str]:
    """From the columns `file` and `label` of the header, or else from the first two columns."""
    rows = _rows(file, where)
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
    unlabelled = next((name for name in names if name not in found), None)
    if unlabelled is not None:
        raise DataError(
            f"{where}: no label for {unlabelled[:200]!r}: add a line, or remove the file"
        )
    return found


def ordered(names: Iterable[str]) -> tuple[str, ...]:
    """Sorted, as numbers if all are whole numbers: 2 before 10."""
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
        raise DataError(
            f"{where}: not a CSV file of file,label lines ({one_line(error)})"
        ) from None


def _shared_folder(names: list[str]) -> str:
    """The folder that holds all of `names`, with a slash at its end; "" for the top."""
    shared = posixpath.commonpath([posixpath.dirname(name) for name in names])
    return f"{shared}/" if shared else ""
