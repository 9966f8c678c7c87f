"""CIFAR-10: the published binary batches, or the same pictures as sheets in PNG files.

https://www.cs.toronto.edu/~kriz/cifar.html describes the batches: 10,000 records of one label
byte and 3 x 32 x 32 colour bytes. A sheet holds 10,000 rows of 1,024 RGB pixels, with the labels
in a JSON list beside it.
"""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from ganforge.data.archives import Folder
from ganforge.data.dataset import Examples
from ganforge.data.decode import SUFFIXES, decode, quiet
from ganforge.errors import DataError, UnreadableError
from ganforge.files import parsing, reading
from ganforge.types import Array, Ints

Fetch = Callable[[str], bytes | None]  # file name -> its bytes, or None without such a file

CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip
BATCHES = (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch")
SIDE = 32
PIXELS = SIDE * SIDE
RECORD = 1 + 3 * PIXELS
MAX_FILE = 2**26
MAX_TAR = 2**30
MAX_OTHERS = 1000  # other files before it is clear that an archive is not CIFAR-10
PYTHON, PICKLED = "cifar-10-batches-py", "data_batch_1"
AS_PICKLES = (
    "CIFAR-10 as Python pickles, which are never read: give --data cifar10, which fetches it, or "
    "cifar-10-binary.tar.gz"
)
# The labels of the sheets are published under a name with a slip in it.
_LABELS = {
    "train": ("train_labels.json", "train_lables.json"),
    "test": ("test_labels.json", "test_lables.json"),
}
_NAMES = {
    *(f"{batch}{end}" for batch in BATCHES for end in (".bin", ".png")),
    *(name for names in _LABELS.values() for name in names),
}


def recognises(path: Path, head: bytes) -> bool:
    """Whether a path is a folder of CIFAR-10, one of its batches or a .tar.gz."""
    folder = path.parent if path.suffix == ".bin" else path
    if any((place / PICKLED).is_file() for place in (path, path / PYTHON)):
        return True
    return path.name.endswith((".tar.gz", ".tgz")) or find(folder) is not None


def read(path: Path, options: object) -> Examples:
    """CIFAR-10 from a folder or a .tar.gz.

    Raises:
        DataError: a file is missing, damaged or something else.
        DiskError: a file cannot be read.
    """
    if path.suffix == ".bin":
        raise DataError(f"{path}: one batch of CIFAR-10: give the folder {path.parent}")
    folder = find(path)
    if folder is None and path.is_dir():
        raise DataError(f"{path}: {AS_PICKLES}")
    return read_tar(path) if folder is None else read_folder(folder)


def find(folder: Path) -> Path | None:
    """`folder`, or the folder in it, that holds the batches or the sheets; None without them."""
    for place in (folder, folder / "cifar-10-batches-bin"):
        if any((place / f"data_batch_1{end}").is_file() for end in (".bin", ".png")):
            return place
    return None


def read_folder(folder: Path) -> Examples:
    """CIFAR-10 from a folder of six .bin files, or of six .png sheets and two .json lists.

    The sixth batch is the published test part; 5,000 of the other 50,000 validate. DataError if a
    file is missing, cut short or something else.
    """

    def fetch(name: str) -> bytes | None:
        with reading(folder / name):
            if not (folder / name).is_file():
                return None
            with Folder(folder).open(name) as file:
                return file.read()

    return _read(fetch, str(folder))


def read_tar(path: Path) -> Examples:
    """CIFAR-10 from a .tar.gz of the batches or the sheets, which is read and not unpacked."""
    files: dict[str, bytes] = {}
    names: list[str] = []
    total = 0
    too_large = DataError(f"{path}: larger than the cap of {MAX_TAR} bytes unpacked")
    with (
        parsing(path, f"{path}: not a .tar.gz archive, or a damaged one"),
        gzip.open(path) as whole,
        tarfile.open(fileobj=whole, mode="r|") as tar,
    ):
        for member in tar:
            name, total = PurePosixPath(member.name).name, total + member.size
            if member.isreg():
                names.append(name)
            if name == PICKLED or (not files and len(names) > MAX_OTHERS):
                break
            if total > MAX_TAR:
                raise too_large
            if member.isreg() and name in _NAMES and member.size <= MAX_FILE:
                stream = tar.extractfile(member)
                files[name] = b"" if stream is None else stream.read()
        while files and whole.read(MAX_FILE // 4):  # to its end, which has the checksum
            if whole.tell() > MAX_TAR:
                raise too_large
    if not files:
        pickled = PICKLED in names
        raise DataError(f"{path}: {AS_PICKLES if pickled else other_archive(names)}")
    return _read(files.get, str(path))


def other_archive(names: list[str]) -> str:
    """What to do with an archive that is not CIFAR-10."""
    if any(name.lower().endswith(SUFFIXES) for name in names):
        return "an archive of pictures: unpack it and give the folder, or make a .zip of it"
    return f"an archive that is not CIFAR-10 ({', '.join(names[:3]) or 'empty'}): unpack it"


def parse_batch(raw: bytes, where: str) -> tuple[Array, Ints]:
    """Pictures uint8 (N, 32, 32, 3) and labels int64 (N,) of one binary batch."""
    if not raw or len(raw) % RECORD:
        raise DataError(
            f"{where}: {len(raw)} bytes are no whole number of records of {RECORD}: "
            "fetch the file again"
        )
    records = np.frombuffer(raw, np.uint8).reshape(-1, RECORD)
    pictures = records[:, 1:].reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(pictures), _labels(records[:, 0].tolist(), where)


def _read(fetch: Fetch, where: str) -> Examples:
    end = ".png" if fetch("data_batch_1.bin") is None else ".bin"
    raws: dict[str, bytes] = {}
    for name in (batch + end for batch in BATCHES):
        if (raw := fetch(name)) is None:
            raise DataError(f"{where}: {name} is missing: all six batches are needed")
        raws[f"{where}/{name}"] = raw
    pictures: list[Array]
    labels: list[Ints]
    if end == ".bin":
        pictures, labels = map(list, zip(*map(parse_batch, raws.values(), raws), strict=True))
    else:
        pictures = [_sheet(raw, name) for name, raw in raws.items()]
        counts = {"train": sum(map(len, pictures[:-1])), "test": len(pictures[-1])}
        labels = [_label_list(fetch, part, count, where) for part, count in counts.items()]
    values, test = np.concatenate(pictures), len(pictures[-1])
    validation = (len(values) - test) // 10
    return Examples(values, np.concatenate(labels), CLASSES, test=test, validation=validation)


def _sheet(raw: bytes, where: str) -> Array:
    """Pictures uint8 (N, 32, 32, 3) of a PNG with one picture a row."""
    try:
        with quiet():
            sheet = decode(io.BytesIO(raw), where, None, 3)
    except UnreadableError as error:
        raise DataError(f"{where}: {error}; fetch the file again") from None
    if sheet.shape[1] != PIXELS:
        raise DataError(f"{where}: {sheet.shape[1]} pixels a row: a sheet has {PIXELS}")
    return sheet.reshape(-1, SIDE, SIDE, 3)


def _label_list(fetch: Fetch, part: str, count: int, where: str) -> Ints:
    name, raw = next(((n, r) for n in _LABELS[part] if (r := fetch(n)) is not None), ("", b""))
    if not name:
        raise DataError(f"{where}: {_LABELS[part][0]} is missing beside the sheets")
    with parsing(where, f"{where}/{name}: not a JSON list of labels"):
        labels = json.loads(raw)
    if not isinstance(labels, list) or len(labels) != count:
        raise DataError(f"{where}/{name}: must be a list of {count} labels, one for each picture")
    return _labels(labels, f"{where}/{name}")


def _labels(labels: list[Any], where: str) -> Ints:
    for label in labels:
        if type(label) is not int or not 0 <= label < len(CLASSES):
            raise DataError(f"{where}: label {label!r:.80}: labels are 0..{len(CLASSES) - 1}")
    return np.array(labels, dtype=np.int64)
