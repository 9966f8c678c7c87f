"""idx files, the format of MNIST: a big-endian header and the bare values, plain or gzipped.

http://yann.lecun.com/exdb/mnist describes it: two zero bytes, a type, the number of axes, their
lengths as uint32, then the values.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import zlib
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import IO

import numpy as np

from ganforge.data.dataset import Examples, PictureOptions, check_labels
from ganforge.data.formats.arrays import pictures
from ganforge.errors import DataError, one_line
from ganforge.files import reading
from ganforge.types import Array

TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
MAX_AXES = 4
MAX_BYTES = 2**34  # of values, uncompressed
MAX_RATIO = 1000  # of gzip; blank pictures come close to deflate's limit of 1032
_CHUNK = 2**24

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
    arrays = {}
    for name, md5 in MNIST.items():
        with (folder / f"{name}.gz").open("rb") as file:
            raw = _unpack(file, f"{name}.gz")
        if hashlib.md5(raw, usedforsecurity=False).hexdigest() != md5:
            raise DataError(f"{name}.gz inside the package is damaged: install ganforge again")
        arrays[name] = parse(raw, name)
    images = [pictures(arrays[f"{part}-images-idx3-ubyte"], "mnist") for part in ("train", "t10k")]
    labels = [arrays[f"{part}-labels-idx1-ubyte"] for part in ("train", "t10k")]
    return published(images[0], images[1], labels[0], labels[1], "mnist")


def mnist_in_order() -> Examples:
    """MNIST split as in papers of 2014: the last 10,000 training digits validate."""
    return replace(bundled_mnist(), validation=10_000, drawn=False)


def recognises(path: Path, head: bytes) -> bool:
    """Whether a path is a folder laid out like MNIST's, or an idx file, plain or gzipped."""
    return find(path) is not None or head.startswith(b"\x1f\x8b") or is_idx(head)


def read(path: Path, options: PictureOptions | None = None) -> Examples:
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
    images, labels = _pair(path)
    other = _test_file(path)
    if other is None:
        return Examples(
            images, None if labels is None else check_labels(labels, len(images), str(path))
        )
    test, test_labels = _pair(other)
    if test.shape[1:] != images.shape[1:]:
        raise DataError(
            f"{other}: pictures of shape {test.shape[1:]} beside training pictures of shape "
            f"{images.shape[1:]}: move the file away, or give one set"
        )
    if (labels is None) != (test_labels is None):
        unlabelled = path if labels is None else other
        raise DataError(f"{unlabelled}: no labels file beside it, though the other part has one")
    return published(images, test, labels, test_labels, str(path))


def published(
    train: Array, test: Array, labels: Array | None, test_labels: Array | None, where: str
) -> Examples:
    """Training and test files as one; a twelfth of the training file, at most 5,000, validates."""
    every = None
    if labels is not None and test_labels is not None:
        pairs = ((labels, train), (test_labels, test))
        every = np.concatenate([check_labels(a, len(b), where) for a, b in pairs])
    validation = min(5_000, len(train) // 12)
    return Examples(np.concatenate([train, test]), every, test=len(test), validation=validation)


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
    count = _expected(raw[: 4 + 4 * MAX_AXES], where)
    if len(raw) != count:
        what = "is cut short" if len(raw) < count else "has bytes after its end"
        raise DataError(
            f"{where}: {what}: {len(raw)} bytes where its header promises {count}; "
            "fetch the file again"
        )
    axes = raw[3]
    shape = np.frombuffer(raw, ">u4", axes, 4).astype(int)
    kind = np.dtype(TYPES[raw[2]])
    values = np.frombuffer(raw, kind, offset=4 + 4 * axes).reshape(shape)
    return values.astype(kind.newbyteorder("="))


def is_idx(head: bytes) -> bool:
    """Whether a file that begins with `head` (4 bytes or more) can be an idx file."""
    return len(head) >= 4 and head[:2] == b"\0\0" and head[2] in TYPES and 1 <= head[3] <= MAX_AXES


def _expected(head: bytes, where: str) -> int:
    """The length in bytes of an idx file with this header."""
    if not is_idx(head):
        raise DataError(f"{where}: not an idx file: it begins with {head[:4].hex() or 'nothing'}")
    axes = head[3]
    if len(head) < 4 + 4 * axes:
        raise DataError(f"{where}: is cut short inside its header; fetch the file again")
    shape = [int(n) for n in np.frombuffer(head, ">u4", axes, 4)]
    size = math.prod(shape) * np.dtype(TYPES[head[2]]).itemsize
    if size > MAX_BYTES:
        raise DataError(f"{where}: its header promises {size} bytes, above the cap of {MAX_BYTES}")
    return 4 + 4 * axes + size


def _unpack(file: IO[bytes], where: str) -> bytes:
    """All bytes of an idx file, gunzipped, never more than its header promises (and one)."""
    start = file.read(2)
    size = file.seek(0, 2)
    file.seek(0)
    if start != b"\x1f\x8b":
        expected = _expected(file.read(4 + 4 * MAX_AXES), where)
        file.seek(0)
        return file.read(min(expected, size) + 1)  # memory is reserved for as many bytes
    try:
        with gzip.GzipFile(fileobj=file) as stream:
            head = stream.read(4 + 4 * MAX_AXES)
            expected = _expected(head, where)
            if expected > MAX_RATIO * size + 4096:
                raise DataError(
                    f"{where}: {size} compressed bytes cannot hold the {expected} its header "
                    "promises; fetch the file again"
                )
            parts, have = [head], len(head)
            while have <= expected and (chunk := stream.read(min(_CHUNK, expected + 1 - have))):
                parts.append(chunk)
                have += len(chunk)
            return b"".join(parts)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(
            f"{where}: corrupt gzip file ({one_line(error)}); fetch the file again"
        ) from None


def _pair(path: Path) -> tuple[Array, Array | None]:
    """Pictures uint8 (N, H, W, C) of an idx file, and the labels beside it."""
    images = read_array(path)
    if images.dtype != np.uint8 or images.ndim < 3:
        raise DataError(
            f"{path}: {images.ndim} axes of {images.dtype}: pictures are uint8 with 3 or 4 axes "
            "(give the images file, not the labels file)"
        )
    beside = _labels_file(path)
    return pictures(images, str(path)), None if beside is None else read_array(beside)


def _labels_file(path: Path) -> Path | None:
    stem = path.name.removesuffix(".gz")
    name = stem.replace("images", "labels").replace("idx3", "idx1").replace("idx4", "idx1")
    return None if name == stem else _either(path.with_name(name))


def _test_file(path: Path) -> Path | None:
    stem = path.name.removesuffix(".gz")
    if "train" not in stem:
        return None
    found = (_either(path.with_name(stem.replace("train", word))) for word in ("t10k", "test"))
    return next((f for f in found if f is not None), None)


def _either(path: Path) -> Path | None:
    """`path` or `path`.gz, whichever is a file."""
    zipped = path.with_name(path.name + ".gz")
    return next((p for p in (path, zipped) if p.is_file()), None)
