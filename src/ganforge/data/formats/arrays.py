"""Arrays from .npy and .npz files, and the rules that say what an array means."""

from __future__ import annotations

import io
import math
import warnings
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import IO, Any, Literal

import numpy as np
from numpy.lib import format as npy

from ganforge.data import archives
from ganforge.data.dataset import Examples, PictureOptions, blocks, check_labels
from ganforge.data.levels import by_picture, flat, spread, to_bytes
from ganforge.errors import DataError
from ganforge.files import parsing, reading
from ganforge.types import Array, Pixels

CHANNELS = (1, 2, 3, 4)
ZIP = b"PK"
VALUE_KEYS = ("images", "samples", "x", "arr_0")
LABEL_KEYS = ("labels", "y")
PART_NAMES = (("train", "training"), ("val", "valid", "validation", "dev"), ("test", "testing"))
VALUES_OF_PART = ("x_{}", "{}_x", "{}_images", "images_{}", "{}_data", "data_{}", "x{}")
LABELS_OF_PART = ("y_{}", "{}_y", "{}_labels", "labels_{}", "{}_targets", "y{}")
# Caps of an .npz: sorted labels of a real data set are compressed a thousand times.
CAPS = archives.Caps(member=2**35, small=2**24)


def recognises(path: Path, head: bytes) -> bool:
    """Whether a file is a .npy file, or a zip of arrays and of nothing else."""
    if not head.startswith(ZIP):
        return head.startswith(b"\x93NUMPY")
    if path.suffix == ".npz":
        return True
    names = archives.members(path, CAPS)
    return bool(names) and all(name.endswith(".npy") for name in names)


def read(path: Path, options: PictureOptions) -> Examples:
    """The examples in an .npz file (see `read_npz`), or in a .npy file, which holds no labels.

    Raises:
        DataError: a damaged file, a pickled object, or an array that holds no examples.
        DiskError: the file cannot be read.
    """
    with reading(path), path.open("rb") as file:
        zipped = file.read(2) == ZIP
    white = options.reading.white
    return read_npz(path, white) if zipped else examples(map_npy(path), None, str(path), white)


def read_npz(path: Path, white: int = 0) -> Examples:
    """The examples in an .npz file: images, samples, x or arr_0, with labels or y if it has them.

    x_train, y_train, x_test and y_test, or other names of the same kind, are parts.

    Raises:
        DataError: a damaged file, a pickled object, or arrays that hold no examples.
        DiskError: the file cannot be read.
    """
    sizes = archives.members(path, CAPS)
    keys = {name.removesuffix(".npy").lower(): name for name in sizes if name.endswith(".npy")}
    if parts := part_keys(keys):
        return read_parts(path, parts, white)
    key = next((k for k in VALUE_KEYS if k in keys), None)
    if key is None:
        found = ", ".join(sorted(keys)[:10]) or "no arrays"
        raise DataError(f"{path}: holds {found}: name the array one of {', '.join(VALUE_KEYS)}")
    of_labels = next((k for k in LABEL_KEYS if k in keys), None)
    labels = None if of_labels is None else _member(path, keys[of_labels])
    whole = examples(_member(path, keys[key]), labels, str(path), white)
    others = [keys[k].removesuffix(".npy") for k in sorted(set(keys) - {key, of_labels})]
    note = f"not read: {', '.join(others[:8])}; labels are called {' or '.join(LABEL_KEYS)}"
    return replace(whole, notes=(*whole.notes, note)) if others else whole


def part_keys(keys: dict[str, str]) -> list[tuple[str, str]]:
    """Members with the values and labels ("" for none) of the train, validation and test part.

    Empty without a train and another part; a part that is missing is two empty names.
    """

    def member(forms: tuple[str, ...], names: tuple[str, ...]) -> str:
        found = (keys.get(form.format(name), "") for form in forms for name in names)
        return next(filter(None, found), "")

    parts = [(member(VALUES_OF_PART, names), member(LABELS_OF_PART, names)) for names in PART_NAMES]
    return parts if parts[0][0] and (parts[1][0] or parts[2][0]) else []


def read_parts(path: Path, parts: list[tuple[str, str]], white: int) -> Examples:
    """The examples of the parts in an .npz file, in this order."""
    there = [part for part in parts if part[0]]
    if len({bool(label) for _, label in there}) > 1:
        bare = next(values for values, label in there if not label)
        raise DataError(
            f"{path}: {bare} has no labels, though another part has: add or remove them"
        )
    arrays = [_member(path, values) for values, _ in there]
    shapes = {array.shape[1:] for array in arrays}
    if len(shapes) > 1:
        raise DataError(f"{path}: parts of different shapes, {sorted(shapes)}: give them one shape")
    labels = [
        check_labels(_member(path, label), len(array), f"{path}: {label}")
        for (_, label), array in zip(there, arrays, strict=True)
        if label
    ]
    sizes = {values: len(array) for (values, _), array in zip(there, arrays, strict=True)}
    counts = [sizes.get(values, 0) for values, _ in parts]
    whole = examples(
        np.concatenate(arrays), np.concatenate(labels) if labels else None, str(path), white
    )
    notes = (*whole.notes, "arrays of this file are used as parts")
    return replace(whole, validation=counts[1], test=counts[2], drawn=not counts[1], notes=notes)


def map_npy(path: Path) -> Array:
    """A read-only memory map of a .npy file whose header and length have been checked."""
    with reading(path):
        with path.open("rb") as file:
            shape, order, dtype, start = header(file, path.stat().st_size, str(path))
        if 0 in shape:
            return np.empty(shape, dtype)
        return np.memmap(path, dtype, "r", start, shape, order)


def header(
    file: IO[bytes], size: int, where: str
) -> tuple[tuple[int, ...], Literal["C", "F"], np.dtype[Any], int]:
    """(shape, order, dtype, place of the first value) of a .npy file of `size` bytes.

    Raises:
        DataError: anything but an array of plain numbers, of the length that its header says.
    """
    fault = f"{where}: not a .npy array, or a damaged one"
    with parsing(where, fault), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        version = npy.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"version {version}")
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = read(file)
    if dtype.hasobject:
        raise DataError(f"{where}: holds pickled Python objects, never read: save numbers")
    if dtype.kind not in "biuf":
        raise DataError(f"{where}: an array of {dtype}: save plain numbers")
    if any(n < 0 for n in shape) or math.prod(shape) * dtype.itemsize >= 2**62:
        raise DataError(f"{where}: a damaged .npy header: shape {shape}")
    check_length(size - file.tell(), shape, dtype, where)
    return shape, "F" if fortran else "C", dtype, file.tell()


def check_length(have: int, shape: tuple[int, ...], dtype: np.dtype[Any], where: str) -> None:
    """DataError unless `have` bytes are exactly an array of this shape and dtype."""
    need = math.prod(shape) * dtype.itemsize
    if have != need:
        what = "is cut short" if have < need else "has bytes after its end"
        raise DataError(f"{where}: {what}: {have} bytes of values where its header promises {need}")


def examples(values: Array, labels: Array | None, where: str, white: int = 0) -> Examples:
    """Examples from arrays as users have them.

    Args:
        values: pictures of whole numbers 0..255 or of finite floats, (N, H, W), (N, H, W, C) or
            (N, C, H, W); or vectors of finite floats, (N, F) or (N,).
        labels: integers 0..K-1, (N,), or None.
        where: what the arrays are called in errors.
        white: the whole number that is shown as white; 0 for 255.

    Raises:
        DataError: arrays of another shape or type.
    """
    notes: tuple[str, ...] = ()
    if values.ndim == 1:
        values = values[:, None]
    if values.ndim == 0 or 0 in values.shape:
        raise DataError(f"{where}: an array of shape {values.shape} holds no examples")
    if values.ndim != 2:
        values = pictures(values, where, labels.size if labels is not None else None)
    if values.dtype.kind == "f":
        with np.errstate(over="ignore", invalid="ignore"):  # `check_stored` refuses such values
            values = values.astype(np.float32, copy=False)
            notes = flat(values, by_picture(values, np.max)) if values.ndim == 4 else ()
    elif values.dtype.kind in "biu" and values.ndim == 4:
        values, notes = _bytes(values, where, white)
    else:
        raise DataError(
            f"{where}: {values.ndim} axes of {values.dtype}: pictures are whole numbers 0..255 or "
            f"floats, vectors are floats; convert them with a.astype('float32'){_unrolled(values)}"
        )
    labels = None if labels is None else check_labels(labels, len(values), where)
    return Examples(values, labels, notes=notes)


def pictures(values: Array, where: str, count: int | None = None) -> Array:
    """Pictures (N, H, W), (N, H, W, C) or (N, C, H, W) as (N, H, W, C).

    Four axes: the last one holds the channels if its length is 1 to 4, else the second one if its
    length is 1 to 4. Any other shape is a DataError, and so is one with two meanings.

    count: of examples, if it is known.
    """
    if values.ndim == 3:
        if count != len(values):
            refuse_ambiguous(values.shape, where)
        return values[..., None]
    if values.ndim == 4 and values.shape[3] in CHANNELS:
        return values
    if values.ndim == 4 and values.shape[1] in CHANNELS:
        return values.transpose(0, 2, 3, 1)
    mended = ""
    if values.ndim == 4:
        first, second, third, last = values.shape
        if third in CHANNELS or (first in CHANNELS and last >= second):
            mended = ": np.moveaxis(a, -1, 0) brings the last axis to the front"
        elif first in CHANNELS:
            mended = ": np.moveaxis(a, 0, -1) brings the first axis to the end"
    raise DataError(
        f"{where}: shape {values.shape}: give pictures as (N, H, W, C) with 1 to 4 channels last, "
        f"or vectors as (N, F){mended}"
    )


def refuse_ambiguous(shape: tuple[int, ...], where: str) -> None:
    """DataError for three axes that may be other things than N grey pictures."""
    n, h, w = shape
    as_grey = f"a[..., None] for {n} grey pictures of {h} x {w}"
    if (w in CHANNELS and h > 4) or (n in (3, 4) and h > 4):
        one = "a[None]" if w in CHANNELS else "np.moveaxis(a, 0, -1)[None]"
        meaning = f"{one} for one picture"
    elif (n == h != w) or w > max(4 * h, n):
        meaning = f"np.moveaxis(a, -1, 0) for {w} pictures of {n} x {h}"
    else:
        return
    raise DataError(f"{where}: shape {shape} has two meanings: save {meaning}, or {as_grey}")


def _unrolled(values: Array) -> str:
    """How rows of numbers become square pictures, if they can be such; "" if they cannot."""
    for channels in (1, 3):
        side = math.isqrt(values.shape[1] // channels)
        if side > 1 and side * side * channels == values.shape[1]:
            shape = f"-1, {side}, {side}" if channels == 1 else f"-1, 3, {side}, {side}"
            return f", a.reshape({shape}) for pictures"
    return ""


def _bytes(values: Array, where: str, white: int) -> tuple[Pixels, tuple[str, ...]]:
    """uint8, and notes; DataError for a number that is negative, or above 255 without `white`."""
    limits = [(values[chunk].min(), values[chunk].max()) for chunk in blocks(values)]
    low, high = min(int(low) for low, _ in limits), max(int(high) for _, high in limits)
    if low < 0:
        raise DataError(
            f"{where}: a pixel of {low}: whole numbers must not be negative: save a - a.min(), or "
            "floats: a.astype('float32')"
        )
    if high > 255 and not white:
        raise DataError(
            f"{where}: a pixel of {high}: whole numbers must lie in 0..255, or say which is white, "
            f"as @white={2 ** high.bit_length() - 1} behind the name of the data"
        )
    if white:
        return np.concatenate([to_bytes(values[chunk], white) for chunk in blocks(values)]), ()
    return spread(values.astype(np.uint8, copy=False))


def _member(path: Path, name: str) -> Array:
    """One array of an .npz, of the length that its header says."""
    raw = archives.read(path, name, CAPS)
    where = f"{path}: {PurePosixPath(name).stem}"
    shape, order, dtype, start = header(io.BytesIO(raw), len(raw), where)
    return np.ndarray(shape, dtype, raw, start, order=order)
