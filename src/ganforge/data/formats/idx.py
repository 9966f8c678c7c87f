"""idx files, the format of MNIST: a big-endian header and the bare values, plain or gzipped.

http://yann.lecun.com/exdb/mnist describes it: two zero bytes, a type, the number of axes, their
lengths as uint32, then the values.
"""

from __future__ import annotations

import gzip
import hashlib
import math
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import IO, Any

import numpy as np

from ganforge.data.dataset import Examples
from ganforge.data.formats.arrays import examples
from ganforge.errors import DataError
from ganforge.files import parsing, reading
from ganforge.types import Array

TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
MAX_AXES = 4
MAX_BYTES = 2**34  # of values, uncompressed
MAX_RATIO = 1000  # of gzip; blank pictures come close to deflate's limit of 1032
GZIP = b"\x1f\x8b"
_CHUNK = 2**24
_HEAD = 4 + 4 * MAX_AXES

# md5 of the uncompressed files, as published.
MNIST = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}


def bundled_mnist() -> Examples:
    """MNIST, 60,000 + 10,000 digits of 28 x 28, from the four files inside this package.

    Raises:
        DataError: the md5 of a file is not the published one (a damaged installation).
    """
    folder = resources.files("ganforge.data") / "mnist"
    arrays: list[Array] = []
    for name, md5 in MNIST.items():
        with (folder / f"{name}.gz").open("rb") as file:
            raw = _unpack(file, f"{name}.gz")
        if hashlib.md5(raw, usedforsecurity=False).hexdigest() != md5:
            raise DataError(f"{name}.gz inside the package is damaged: install ganforge again")
        arrays.append(parse(raw, name))
    train, labels, test, test_labels = arrays
    return published(examples(train, labels, "mnist"), examples(test, test_labels, "mnist"))


def mnist_in_order() -> Examples:
    """MNIST split as in papers of 2014: the last 10,000 training digits validate."""
    return replace(bundled_mnist(), validation=10_000, drawn=False)


def recognises(path: Path, head: bytes) -> bool:
    """Whether a path is a folder laid out like MNIST's, or an idx file, plain or gzipped."""
    return find(path) is not None or head.startswith(GZIP) or is_idx(head)


def read(path: Path, options: object = None) -> Examples:
    """The pictures of an idx file, with the labels file and the test pair beside it.

    Beside `train-images-idx3-ubyte[.gz]` the labels are `train-labels-idx1-ubyte[.gz]` and the test
    part is the same pair of names with `t10k` or `test` for `train`.

    Args:
        path: of the file with the (training) pictures, or of the folder that holds it.
        options: not used.

    Raises:
        DataError: a malformed file, or files that do not fit together.
        DiskError: a file cannot be read.
    """
    path = find(path) or path
    train = _pair(path)
    other = _beside(path, train="t10k") or _beside(path, train="test")
    if other is None:
        return train
    test = _pair(other)
    shape, test_shape = train.values.shape[1:], test.values.shape[1:]
    if shape != test_shape:
        raise DataError(
            f"{other}: pictures of shape {test_shape} beside training pictures of shape {shape}: "
            "move the file away, or give one set"
        )
    if (train.labels is None) != (test.labels is None):
        unlabelled = path if train.labels is None else other
        raise DataError(f"{unlabelled}: no labels file beside it, though the other part has one")
    return published(train, test)


def published(train: Examples, test: Examples) -> Examples:
    """Training and test files as one; a twelfth of the training file, at most 5,000, validates."""
    labels = None
    if train.labels is not None and test.labels is not None:
        labels = np.concatenate([train.labels, test.labels])
    values = np.concatenate([train.values, test.values])
    validation = min(5_000, len(train.values) // 12)
    return Examples(values, labels, test=len(test.values), validation=validation, notes=train.notes)


def find(folder: Path) -> Path | None:
    """The file of training pictures in a folder laid out like MNIST's, or None."""
    for name in ("train-images-idx3-ubyte.gz", "train-images-idx3-ubyte"):
        if (folder / name).is_file():
            return folder / name
    return None


def read_array(path: Path) -> Array:
    """The array in an idx file, plain or gzipped, in native byte order.

    Raises:
        DataError: the header, the length or the compression is wrong.
        DiskError: the file cannot be read.
    """
    with reading(path), path.open("rb") as file:
        return parse(_unpack(file, str(path)), str(path))


def parse(raw: bytes, where: str) -> Array:
    """The array in the uncompressed bytes of an idx file, which errors call `where`."""
    kind, shape, count = _header(raw[:_HEAD], where)
    if len(raw) != count:
        what = "is cut short" if len(raw) < count else "has bytes after its end"
        raise DataError(
            f"{where}: {what}: {len(raw)} bytes where its header promises {count}; "
            "fetch the file again"
        )
    values = np.frombuffer(raw, kind, offset=4 + 4 * len(shape)).reshape(shape)
    return values.astype(kind.newbyteorder("="))


def is_idx(head: bytes) -> bool:
    """Whether a file that begins with `head` (4 bytes or more) can be an idx file."""
    return len(head) >= 4 and head[:2] == b"\0\0" and head[2] in TYPES and 1 <= head[3] <= MAX_AXES


def _header(head: bytes, where: str) -> tuple[np.dtype[Any], list[int], int]:
    """(type of the values, shape, length in bytes) of an idx file that begins with `head`."""
    if not is_idx(head):
        raise DataError(f"{where}: not an idx file: it begins with {head[:4].hex() or 'nothing'}")
    axes = head[3]
    if len(head) < 4 + 4 * axes:
        raise DataError(f"{where}: is cut short inside its header; fetch the file again")
    kind, shape = np.dtype(TYPES[head[2]]), np.frombuffer(head, ">u4", axes, 4).tolist()
    size = math.prod(shape) * kind.itemsize
    if size > MAX_BYTES:
        raise DataError(f"{where}: its header promises {size} bytes, above the cap of {MAX_BYTES}")
    return kind, shape, 4 + 4 * axes + size


def _unpack(file: IO[bytes], where: str) -> bytes:
    """All bytes of an idx file, gunzipped, never more than its header promises (and one)."""
    zipped = file.read(2) == GZIP
    size = file.seek(0, 2)
    file.seek(0)
    stream = gzip.GzipFile(fileobj=file) if zipped else file
    with parsing(where, f"{where}: corrupt gzip file; fetch the file again"):
        parts = [stream.read(_HEAD)]
        have, (*_, count) = len(parts[0]), _header(parts[0], where)
        if zipped and count > MAX_RATIO * size + 4096:
            raise DataError(
                f"{where}: {size} compressed bytes cannot hold the {count} its header promises; "
                "fetch the file again"
            )
        while have <= count and (chunk := stream.read(min(_CHUNK, count + 1 - have))):
            parts.append(chunk)
            have += len(chunk)
    return b"".join(parts)


def _pair(path: Path) -> Examples:
    """The pictures of an idx file, with the labels beside it if there are any."""
    images = read_array(path)
    if images.dtype != np.uint8 or images.ndim < 3:
        raise DataError(
            f"{path}: {images.ndim} axes of {images.dtype}: pictures are uint8 with 3 or 4 axes "
            "(give the images file, not the labels file)"
        )
    beside = _beside(path, images="labels", idx3="idx1", idx4="idx1")
    return examples(images, None if beside is None else read_array(beside), str(path))


def _beside(path: Path, **words: str) -> Path | None:
    """The file beside `path`, plain or zipped, in whose name each key of `words` is its value."""
    stem = name = path.name.removesuffix(".gz")
    for old, new in words.items():
        name = name.replace(old, new)
    found = (path.with_name(name + end) for end in ("", ".gz"))
    return None if name == stem else next((file for file in found if file.is_file()), None)
