"""The packed folder: images.npy, labels.npy and dataset.json, decoded once.

Rows are ordered train, validation, test, so that each part is one stretch of a memory map.
`data.pack` makes such a folder.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy

from ganforge.data.dataset import (
    PARTS,
    Dataset,
    Examples,
    blocks,
    check_labels,
    describe_values,
    digest,
    resize,
    resized_spec,
    rows,
)
from ganforge.data.formats.arrays import map_npy
from ganforge.data.spec import DataSpec
from ganforge.errors import DataError
from ganforge.files import file_digest, reading, write_file
from ganforge.text import json_bytes, printable
from ganforge.types import Array, Ints

FORMAT, VERSION = "ganforge-dataset", 1
MANIFEST, IMAGES, LABELS = "dataset.json", "images.npy", "labels.npy"
MAX_MANIFEST = 2**26  # bytes


def is_store(path: Path) -> bool:
    """Whether a path is a packed folder."""
    return (path / MANIFEST).is_file()


def load(
    path: Path,
    *,
    part: str = "train",
    size: int | None = None,
    name: str = "",
    verify: bool = False,
) -> Dataset:
    """One part of a packed folder, its values a read-only memory map.

    The manifest, the lengths of the files, shape and dtype of the values and the hash of the labels
    are always checked.

    Args:
        path: of the folder.
        part: "train", "validation" or "test".
        size: side in pixels to which pictures are cropped and resized; None leaves them.
        name: of the data set; the path if it is empty.
        verify: check the hash of the values too.

    Raises:
        DataError: the folder is damaged, or has no such part.
        DiskError: a file cannot be read.
    """
    store = _read_manifest(path / MANIFEST)
    name = name or str(path)
    for file, known in store.files.items():
        _check_file(path / file, known, verify or file == LABELS)
    values = map_npy(path / IMAGES)
    count, spec = sum(store.counts.values()), store.spec
    if values.shape != (count, *spec.stored_shape) or values.dtype != np.dtype(spec.dtype):
        raise DataError(
            f"{path / IMAGES}: {values.dtype} {values.shape}, but {MANIFEST} says {spec.dtype} "
            f"{(count, *spec.stored_shape)}: pack it again"
        )
    labels = None
    if LABELS in store.files:
        labels = check_labels(np.asarray(map_npy(path / LABELS)), count, str(path / LABELS))
        if len(labels) and labels.max() >= spec.classes:
            raise DataError(f"{path / LABELS}: label {labels.max()} of {spec.classes} classes")
    if store.counts[part] == 0:
        raise DataError(f"data {name!r} was packed without a {part} part: too few examples")
    stretch = _stretches(store.counts)[part]
    values, labels = values[stretch], None if labels is None else labels[stretch]
    sha256 = store.sha256[part]
    if size is not None and spec.shape[1:] != (size, size):
        spec = resized_spec(spec, size, name)
        values = resize(values, size)
        sha256 = digest(values, labels)
    return Dataset(name, part, spec, values, labels, store.class_names, sha256, store.skipped)


@dataclass(frozen=True)
class Manifest:
    """dataset.json. counts, sha256: of each part; files: name -> bytes and sha256."""

    spec: DataSpec
    class_names: tuple[str, ...]
    counts: dict[str, int]
    sha256: dict[str, str]
    files: dict[str, dict[str, Any]]
    skipped: tuple[str, ...]


def write(folder: Path, examples: Examples, name: str, size: int | None, seed: int) -> None:
    """Write the files of a packed folder.

    Args:
        folder: an empty one.
        examples: all of them.
        name: of the data set.
        size: side in pixels to which pictures are cropped and resized; None leaves them.
        seed: of the split.

    Raises:
        DataError: no examples, or examples with a source, which this format does not hold.
        UsageError: a size that pictures cannot have.
    """
    if examples.source is not None:
        raise DataError(f"data {name!r} has a source: a packed folder holds none; use it unpacked")
    parts = rows(examples, name, "train", seed)
    spec = describe_values(examples.values, parts["train"], examples.classes)
    if size is not None:
        spec = resized_spec(spec, size, name)
    order = np.concatenate([parts[p] for p in PARTS])
    shape = (len(order), *spec.stored_shape)
    write_npy(folder / IMAGES, shape, np.dtype(spec.dtype), _stored(examples.values, order, size))
    labels = None
    if examples.labels is not None:
        labels = examples.labels[order]
        write_npy(folder / LABELS, labels.shape, labels.dtype, [labels])

    values, counts = map_npy(folder / IMAGES), {part: len(parts[part]) for part in PARTS}
    sha256 = {
        part: digest(values[chosen], None if labels is None else labels[chosen])
        for part, chosen in _stretches(counts).items()
    }
    manifest = {
        "format": FORMAT,
        "version": VERSION,
        "source": name,
        **asdict(spec),
        "class_names": examples.class_names,
        "counts": counts,
        "split": {"seed": seed, "published_test": examples.test > 0},
        "sha256": sha256,
        "files": {
            file.name: {"bytes": file.stat().st_size, "sha256": file_digest(file)}
            for file in sorted(folder.glob("*.npy"))
        },
        "skipped": examples.skipped,
    }
    write_file(folder / MANIFEST, json_bytes(manifest, indent=1))


def _stored(values: Array, part: Ints, size: int | None) -> Iterator[Array]:
    """The rows `part` of `values`, resized, a block of memory at a time."""
    for chunk in blocks(len(part), values[:1].nbytes):
        block = np.ascontiguousarray(values[part[chunk]])
        yield block if size is None else np.ascontiguousarray(resize(block, size))


def write_npy(
    path: Path, shape: tuple[int, ...], dtype: np.dtype[Any], rows: Iterable[Array]
) -> None:
    """Write a .npy file from blocks of its rows, and flush it to the disk."""
    with path.open("wb") as file:
        fields = {"descr": dtype.str, "fortran_order": False, "shape": shape}
        npy.write_array_header_1_0(file, fields)
        for block in rows:
            file.write(block.data)
        file.flush()
        os.fsync(file.fileno())


def _stretches(counts: dict[str, int]) -> dict[str, slice]:
    """The rows of each part."""
    ends = np.cumsum([counts[part] for part in PARTS]).tolist()
    return {part: slice(end - counts[part], end) for part, end in zip(PARTS, ends, strict=True)}


def _read_manifest(path: Path) -> Manifest:
    damaged = f"{path}: not the manifest of a packed folder, or a damaged one"
    try:
        with reading(path):
            if path.stat().st_size > MAX_MANIFEST:
                raise DataError(f"{path}: larger than the cap of {MAX_MANIFEST} bytes")
            table = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        raise DataError(f"{damaged}: pack it again") from None
    if not isinstance(table, dict) or table.get("format") != FORMAT:
        raise DataError(f"{damaged}: pack it again")
    if table.get("version") != VERSION:
        raise DataError(
            f"{path}: version {table.get('version')!r:.40}; this program reads {VERSION}"
        )
    try:
        return _manifest(table)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise DataError(f"{damaged} ({error!r:.80}): pack it again") from None


def _manifest(table: dict[str, Any]) -> Manifest:
    """The typed manifest; any exception means a damaged table."""
    spec = DataSpec(
        tuple(_count(n) for n in table["shape"]),
        _count(table["classes"]),
        str(table["dtype"]),
        bool(table["bounded"]),
        tuple(float(v) for v in table["offset"]),
        tuple(float(v) for v in table["scale"]),
    )
    files = {str(name): dict(known) for name, known in table["files"].items()}
    if not {IMAGES} <= set(files) <= {IMAGES, LABELS}:
        raise ValueError("files")
    for known in files.values():
        known["bytes"], known["sha256"] = _count(known["bytes"]), str(known["sha256"])
    for numbers in (spec.offset, spec.scale):
        if len(numbers) != 1 and (spec.is_image or len(numbers) != spec.size):
            raise ValueError("offset and scale")
    if len(table["class_names"]) not in (0, spec.classes):
        raise ValueError("class_names")
    return Manifest(
        spec,
        tuple(printable(str(name)) for name in table["class_names"]),
        {part: _count(table["counts"][part]) for part in PARTS},
        {part: str(table["sha256"][part]) for part in PARTS},
        files,
        tuple(printable(str(reason)) for reason in table["skipped"]),
    )


def _count(value: object) -> int:
    if type(value) is not int or not 0 <= value < 2**48:
        raise ValueError(f"{value!r:.40} is not a count")
    return value


def _check_file(path: Path, known: dict[str, Any], verify: bool) -> None:
    with reading(path):
        size = path.stat().st_size
    if size != known["bytes"]:
        raise DataError(
            f"{path}: {size} bytes where {MANIFEST} says {known['bytes']}: pack it again"
        )
    if verify and file_digest(path) != known["sha256"]:
        raise DataError(f"{path}: damaged: its hash is not the one in {MANIFEST}; pack it again")
