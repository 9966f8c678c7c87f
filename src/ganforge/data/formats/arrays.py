"""Arrays from .npy and .npz files, and the rules that say what an array means."""

from __future__ import annotations

import io
import math
import warnings
from pathlib import Path, PurePosixPath
from typing import IO, Any, Literal

import numpy as np
from numpy.lib import format as npy

from ganforge.data import archives
from ganforge.data.dataset import Examples, blocks, check_labels
from ganforge.errors import DataError
from ganforge.files import parsing, reading
from ganforge.types import Array

CHANNELS = (1, 2, 3, 4)
ZIP = b"PK"
VALUE_KEYS = ("images", "samples", "x", "arr_0")
LABEL_KEYS = ("labels", "y")
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


def read(path: Path, options: object) -> Examples:
    """The examples in an .npz file (see `read_npz`), or in a .npy file, which holds no labels.

    Raises:
        DataError: a damaged file, a pickled object, or an array that holds no examples.
        DiskError: the file cannot be read.
    """
    with reading(path), path.open("rb") as file:
        zipped = file.read(2) == ZIP
    return read_npz(path) if zipped else examples(map_npy(path), None, str(path))


def read_npz(path: Path) -> Examples:
    """The examples in an .npz file: images, samples, x or arr_0, with labels or y if it has them.

    Raises:
        DataError: a damaged file, a pickled object, or arrays that hold no examples.
        DiskError: the file cannot be read.
    """
    sizes = archives.members(path, CAPS)
    keys = {name.removesuffix(".npy"): name for name in sizes if name.endswith(".npy")}
    key = next((k for k in VALUE_KEYS if k in keys), None)
    if key is None:
        found = ", ".join(sorted(keys)[:10]) or "no arrays"
        raise DataError(f"{path}: holds {found}: name the array one of {', '.join(VALUE_KEYS)}")
    labels = next((_member(path, keys[k]) for k in LABEL_KEYS if k in keys), None)
    return examples(_member(path, keys[key]), labels, str(path))


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


def examples(values: Array, labels: Array | None, where: str) -> Examples:
    """Examples from arrays as users have them.

    Args:
        values: pictures of whole numbers 0..255 or of finite floats, (N, H, W), (N, H, W, C) or
            (N, C, H, W); or vectors of finite floats, (N, F) or (N,).
        labels: integers 0..K-1, (N,), or None.
        where: what the arrays are called in errors.

    Raises:
        DataError: arrays of another shape or type.
    """
    if values.ndim == 1:
        values = values[:, None]
    if values.ndim == 0 or 0 in values.shape:
        raise DataError(f"{where}: an array of shape {values.shape} holds no examples")
    if values.ndim != 2:
        values = pictures(values, where)
    if values.dtype.kind == "f":
        values = _floats(values, where)
    elif values.dtype.kind in "iu" and values.ndim == 4:
        values = _bytes(values, where)
    else:
        raise DataError(
            f"{where}: {values.ndim} axes of {values.dtype}: pictures are whole numbers 0..255 or "
            "floats, vectors are floats; convert them with .astype"
        )
    return Examples(values, None if labels is None else check_labels(labels, len(values), where))


def pictures(values: Array, where: str) -> Array:
    """Pictures (N, H, W), (N, H, W, C) or (N, C, H, W) as (N, H, W, C).

    Four axes: the last one holds the channels if its length is 1 to 4, else the second one if its
    length is 1 to 4. Any other shape is a DataError.
    """
    if values.ndim == 3:
        return values[..., None]
    if values.ndim == 4 and values.shape[3] in CHANNELS:
        return values
    if values.ndim == 4 and values.shape[1] in CHANNELS:
        return values.transpose(0, 2, 3, 1)
    raise DataError(
        f"{where}: shape {values.shape}: give pictures as (N, H, W, C) with 1 to 4 channels last, "
        "or vectors as (N, F)"
    )


def _floats(values: Array, where: str) -> Array:
    """float32, all finite."""
    with np.errstate(over="ignore"):  # what overflows is found to be infinite below
        out = values.astype(np.float32, copy=False)
    for chunk in blocks(out):
        finite = np.isfinite(out[chunk]).reshape(len(out[chunk]), -1).all(axis=1)
        if not finite.all():
            row = chunk.start + int(np.argmin(finite))
            raise DataError(f"{where}: row {row} holds NaN or infinity: remove or repair it")
    return out


def _bytes(values: Array, where: str) -> Array:
    """uint8; DataError for a number outside 0..255."""
    if values.dtype == np.uint8:
        return values
    for chunk in blocks(values):
        low, high = values[chunk].min(), values[chunk].max()
        if low < 0 or high > 255:
            bad = int(low if low < 0 else high)
            raise DataError(f"{where}: a pixel of {bad}: whole numbers must lie in 0..255")
    return values.astype(np.uint8)


def _member(path: Path, name: str) -> Array:
    """One array of an .npz, of the length that its header says."""
    raw = archives.read(path, name, CAPS)
    where = f"{path}: {PurePosixPath(name).stem}"
    shape, order, dtype, start = header(io.BytesIO(raw), len(raw), where)
    return np.ndarray(shape, dtype, raw, start, order=order)
