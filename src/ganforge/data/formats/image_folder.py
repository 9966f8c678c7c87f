"""A folder or a zip of pictures as one array, with the parts and labels that `labels` finds."""

from __future__ import annotations

import math
import os
from collections import Counter, deque
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

import numpy as np

from ganforge.data import labels
from ganforge.data.archives import Store
from ganforge.data.dataset import Examples, PictureOptions, check_size
from ganforge.data.decode import Header, Work, brightest, decode, probe, quiet, set_filters, work_on
from ganforge.data.levels import DARK, by_picture, dark, spread
from ganforge.data.listing import listed, summary
from ganforge.errors import DataError
from ganforge.text import command_line, printable
from ganforge.types import Array, Pixels

T = TypeVar("T")

CORRUPT_PERCENT = 1
_CHUNK = 32  # pictures that a worker is given at a time
_WINDOW = 32  # most chunks at work, so that results do not pile up


def recognises(path: Path, head: bytes) -> bool:
    """Whether a path is a folder or a zip; asked after the formats that are folders or zips too."""
    return path.is_dir() or head.startswith(b"PK")


def read(path: Path, options: PictureOptions) -> Examples:
    """Every picture in a folder or zip, in order of name, uint8 (N, H, W, C).

    C = 1 if all pictures are grey, else 3. Damaged pictures are left out and listed; see `labels`
    for parts and labels.

    Args:
        path: of the folder or zip.
        options: size, workers and memory.

    Raises:
        DataError: no pictures, more than 1 % of them left out, one above the pixel cap, sizes that
            differ without `options.size`, or a table of labels that does not fit.
        UsageError: an impossible size.
        DiskError: a file cannot be read.
    """
    check_size(options.size)
    seen = look(path, options)
    values, decoded, damaged = decode_all(seen.store, seen.good, options)
    skipped = seen.skipped | damaged
    check_share(path, skipped, len(seen.good) + len(seen.skipped))

    said = seen.said
    values, dark = in_range(seen, values, decoded, options)
    number, classes = labels.numbered(path, said.labels, said.empty)
    refuse_empty(path, classes, [*{said.labels[name] for name in decoded}] if number else [])
    counts = {part: len(set(inside) & set(decoded)) for part, inside in said.names.items()}
    return Examples(
        values,
        np.array([number[name] for name in decoded], np.int64) if number else None,
        classes if number else (),
        tuple(printable(f"{name}: {reason}") for name, reason in sorted(skipped.items())),
        test=counts.get("test", 0),
        validation=counts.get("validation", 0),
        drawn=not counts.get("validation", 0),
        notes=tuple(map(printable, [*seen.notes, *said.notes, *dark])),
    )


@dataclass(frozen=True)
class Seen:
    """Pictures whose headers have been read.

    good: the headers of those that are data, in order of part and name. said: their parts and
    labels. skipped: what cannot be read, and why. notes: what else is left out.
    """

    store: Store
    good: dict[str, Header]
    said: labels.Labelled
    skipped: dict[str, str]
    notes: list[str]


def look(path: Path, options: PictureOptions) -> Seen:
    """The pictures of a folder or zip by their names and headers; errors as in `read`."""
    files, notes = listed(path)
    found, damaged = headers(files.store, files.names, options)
    names, drawn = without_drawn_pictures(found)
    notes += drawn + frames(path, {name: found[name] for name in names})
    skipped = files.unread | damaged
    check_share(path, skipped, len(names) + len(skipped))
    said = labels.find(replace(files, names=names, unread=skipped), options.reading.level)
    good = {name: found[name] for part in said.names.values() for name in part}
    return Seen(files.store, good, said, skipped, notes)


def headers(
    store: Store, names: list[str], options: PictureOptions, half: int | None = None
) -> tuple[dict[str, Header], dict[str, str]]:
    """The header of each picture by its name, and why other pictures cannot be read.

    half: 0 for the left half of each picture, 1 for the right one, None for the whole.
    """
    good: dict[str, Header] = {}
    skipped: dict[str, str] = {}
    with quiet(), executor(options) as pool:
        for name, found in _results(pool, partial(probe, half=half), store, names):
            if isinstance(found, str):
                skipped[name] = found
            else:
                good[name] = found
    return good, skipped


def without_drawn_pictures(found: dict[str, Header]) -> tuple[list[str], list[str]]:
    """Pictures that are not drawn by this package, and a note on the others.

    If it has drawn all of them, they are samples that somebody wants as data.
    """
    names = [name for name, header in found.items() if not header.ours]
    drawn = len(found) - len(names)
    if not drawn or not names:
        return list(found), []
    return names, [f"left out, drawn by ganforge: {drawn} pictures"]


def frames(path: Path, found: dict[str, Header]) -> list[str]:
    """A note on the frames of animations behind the first; DataError for many further pages."""
    pages = {name: header.more for name, header in found.items() if header.paged and header.more}
    if (total := sum(pages.values())) * 100 > CORRUPT_PERCENT * (len(found) + total):
        name = next(iter(pages))
        raise DataError(
            f"{path}: {total} pages of {len(pages)} files are behind the first and would be left "
            f"out, {pages[name]} of them in {name}: save each page as a file"
        )
    moving = [h.more for h in found.values() if h.more and not h.paged]
    notes = {"pages": pages.values(), "frames": moving}
    return [
        f"left out: {sum(more)} {kind} behind the first of {len(more)} files"
        for kind, more in notes.items()
        if more
    ]


def decode_all(
    store: Store, good: dict[str, Header], options: PictureOptions, half: int | None = None
) -> tuple[Array, list[str], dict[str, str]]:
    """Decoded pictures (N, H, W, C), their names, and why others were left out."""
    shape = _shape(list(good.values()), options.size, store.path)
    values = _allocate((len(good), *shape), options, store.path)
    decoded: list[str] = []
    skipped: dict[str, str] = {}
    pixels = sum(header.height * header.width for header in good.values())
    white = options.reading.white
    work = partial(decode, size=options.size, channels=shape[-1], white=white, half=half)
    with quiet(), executor(options, pixels) as pool:
        for name, picture in _results(pool, work, store, list(good)):
            if isinstance(picture, str):
                skipped[name] = picture
            elif picture.shape != shape:
                skipped[name] = "turned by EXIF data behind its pixels; give a size"
            else:
                values[len(decoded)] = picture
                decoded.append(name)
    return values[: len(decoded)], decoded, skipped


def in_range(
    seen: Seen, values: Pixels, decoded: list[str], options: PictureOptions
) -> tuple[Pixels, tuple[str, ...]]:
    """The decoded pictures, those of 0 and 1 spread to 0 and 255; a note on dark ones.

    DataError for deep pictures that hardly use their range: as bytes they would lose their levels.
    """
    white, path = options.reading.white, seen.store.path
    deep = [row for row, name in enumerate(decoded) if seen.good[name].deep]
    tops = by_picture(values[deep], np.max) if deep and not white else np.empty(0)
    if dark(tops):
        names = [decoded[row] for row, top in zip(deep, tops, strict=True) if top < DARK]
        with quiet(), executor(options) as pool:
            found = [top for _, top in _results(pool, brightest, seen.store, names)]
        top = max(each for each in found if isinstance(each, int))
        white_is = command_line(["--data", f"{path}@white={2 ** top.bit_length() - 1}"])
        raise DataError(
            f"{path}: the brightest pixel of {len(names)} pictures of 16 bits is {top} of 65535, "
            f"so they would be nearly black: say which number is white, as {white_is}, or "
            "@white=65535 to read them as they are"
        )
    return (values, ()) if white or deep else spread(values)


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


def _shape(shapes: list[Header], size: int | None, path: Path) -> tuple[int, int, int]:
    """(H, W, C) of the set; DataError if sizes differ and `size` is None."""
    channels = max(header.channels for header in shapes)
    if size is not None:
        return size, size, channels
    sizes = Counter((header.height, header.width) for header in shapes)
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


def check_share(path: Path, skipped: dict[str, str], count: int) -> None:
    """DataError if more than CORRUPT_PERCENT of the pictures cannot be read."""
    if len(skipped) * 100 > CORRUPT_PERCENT * count:
        name, reason = next(iter(skipped.items()))
        raise DataError(
            f"{path}: {len(skipped)} of {count} pictures cannot be read, more than "
            f"{CORRUPT_PERCENT} % ({summary(skipped)}); the first is {name}: {reason}; repair or "
            "remove them"
        )


def refuse_empty(path: Path, classes: Sequence[str], used: Collection[str]) -> None:
    """DataError if more than CORRUPT_PERCENT of the classes have no picture that can be read."""
    empty = sorted(set(classes) - set(map(printable, used))) if used else []
    if len(empty) * 100 > CORRUPT_PERCENT * len(classes):
        raise DataError(
            f"{path}: {len(empty)} of {len(classes)} class folders have no picture that can be "
            f"read: {', '.join(empty[:8])}: add pictures, or remove the folders"
        )
