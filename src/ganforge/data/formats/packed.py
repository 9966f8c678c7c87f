"""The packed folder: images.npy, labels.npy, source.npy and dataset.json, decoded once.

Rows are ordered train, validation, test, so that each part is one stretch of a memory map.
`data.pack` makes such a folder.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy

from ganforge.config.convert import from_dict
from ganforge.data.dataset import (
    MAX_CLASSES,
    PARTS,
    Dataset,
    Examples,
    blocks,
    check_labels,
    describe_values,
    digest,
    hides_pairs,
    resize,
    resized_spec,
    source_split,
    split,
)
from ganforge.data.formats.arrays import map_npy
from ganforge.data.settings import Reading
from ganforge.data.spec import DataSpec, spec_table
from ganforge.errors import DataError, GanforgeError
from ganforge.files import file_digest, parsing, read_file, reading, write_file
from ganforge.text import json_bytes, printable
from ganforge.types import Array, Ints

FORMAT, VERSION = "ganforge-dataset", 1
MANIFEST, IMAGES, LABELS, SOURCE = "dataset.json", "images.npy", "labels.npy", "source.npy"
MAX_MANIFEST = 2**26  # bytes


@dataclass(frozen=True)
class Manifest:
    """dataset.json.

    counts, source_counts, sha256: of each part; files: name -> (bytes, sha256).
    """

    spec: DataSpec
    class_names: tuple[str, ...]
    counts: dict[str, int]
    sha256: dict[str, str]
    files: dict[str, tuple[int, str]]
    skipped: tuple[str, ...]
    notes: tuple[str, ...]
    source_counts: dict[str, int]
    unpaired: bool


def is_store(path: Path) -> bool:
    """Whether a path is a packed folder, which says so in its dataset.json."""
    return (path / MANIFEST).is_file() and is_manifest(
        read_file(path / MANIFEST), (path / IMAGES).is_file()
    )


def is_manifest(raw: bytes, images: bool) -> bool:
    """Whether a dataset.json is of a packed folder: other data sets have files of this name too.

    images: images.npy lies beside it, so that a damaged one is of a packed folder.
    """
    try:
        table = json.loads(raw)
    except (ValueError, RecursionError):
        return images
    other = not isinstance(table, dict) or "labels" in table
    return not other and (images or table.get("format") == FORMAT)


def load(
    path: Path,
    *,
    part: str = "train",
    size: int | None = None,
    name: str = "",
    verify: bool = False,
    pairing: str = "",
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
        pairing: "unpaired" hides which source belongs to which example of the train part.

    Raises:
        DataError: the folder is damaged, or has no such part.
        DiskError: a file cannot be read.
    """
    store = _read_manifest(path / MANIFEST)
    name = name or str(path)
    for file, known in store.files.items():
        _check_file(path / file, *known, verify or file == LABELS)
    count, spec = sum(store.counts.values()), store.spec
    values = _mapped(path / IMAGES, count, spec)
    chosen = _stretches(store.counts)[part]
    labels = None
    if LABELS in store.files:
        labels = check_labels(np.asarray(map_npy(path / LABELS)), count, str(path / LABELS))
        if (highest := labels.max(initial=-1)) >= spec.classes:
            raise DataError(f"{path / LABELS}: label {highest} of {spec.classes} classes")
        labels = labels[chosen]
    if store.counts[part] == 0:
        raise DataError(f"data {name!r} was packed without a {part} part: too few examples")
    source = None
    spec = resized_spec(spec, size, name)
    values = resize(values[chosen], size)
    if spec.source is not None:
        every = _mapped(path / SOURCE, sum(store.source_counts.values()), spec.source)
        size_of = size if spec.source.is_image else None  # a vector has no size
        source = resize(every[_stretches(store.source_counts)[part]], size_of)
        spec = replace(spec, source=resized_spec(spec.source, size_of, name))
    unpaired = hides_pairs(source, store.unpaired, part, pairing)
    same = (spec, unpaired) == (store.spec, store.unpaired)
    sha256 = store.sha256[part] if same else digest(values, labels, source, unpaired=unpaired)
    return Dataset(
        name, part, spec, values, labels, store.class_names, sha256, store.skipped, source,
        unpaired,
        counts=tuple(store.counts[each] for each in PARTS),
        notes=store.notes,
    )  # fmt: skip


def _mapped(file: Path, count: int, spec: DataSpec) -> Array:
    """The array of a file; DataError unless it is as the manifest says."""
    values, shape = map_npy(file), (count, *spec.stored_shape)
    if values.shape != shape or values.dtype != spec.dtype:
        raise DataError(
            f"{file}: {values.dtype} {values.shape}, but {MANIFEST} says {spec.dtype} "
            f"{shape}: pack it again"
        )
    return values


def write(
    folder: Path,
    examples: Examples,
    name: str,
    size: int | None,
    seed: int,
    held_out: float = Reading.held_out,
) -> None:
    """Write the files of a packed folder.

    Args:
        folder: an empty one.
        examples: all of them.
        name: of the data set.
        size: side in pixels to which pictures are cropped and resized; None leaves them.
        seed: of the split.
        held_out: see `split`.

    Raises:
        DataError: no examples.
        UsageError: a size that pictures cannot have.
    """
    labels, source = examples.labels, examples.source
    parts = split(examples, name, "train", seed, held_out)
    spec = _write_values(folder / IMAGES, examples.values, parts, name, size, examples.classes)
    of_source = source_split(examples, parts, name, "train", seed, held_out)
    translated = {} if source is None else _write_source(folder, examples, of_source, name, size)
    source = None if source is None else map_npy(folder / SOURCE)
    if labels is not None:
        labels = labels[np.concatenate([parts[part] for part in PARTS])]
        write_npy(folder / LABELS, labels.shape, labels.dtype, [labels])

    values, counts = map_npy(folder / IMAGES), {part: len(parts[part]) for part in PARTS}
    chosen_source = _stretches({part: len(of_source[part]) for part in PARTS})
    manifest = {
        "format": FORMAT,
        "version": VERSION,
        "source": name,
        **spec_table(spec),
        "class_names": examples.class_names,
        "counts": counts,
        "split": {"seed": seed, "held_out": held_out, "published_test": examples.test > 0},
        "sha256": {
            part: digest(
                values[chosen],
                None if labels is None else labels[chosen],
                None if source is None else source[chosen_source[part]],
                unpaired=examples.unpaired,
            )
            for part, chosen in _stretches(counts).items()
        },
        "files": {
            file.name: {"bytes": file.stat().st_size, "sha256": file_digest(file)}
            for file in sorted(folder.glob("*.npy"))
        },
        "skipped": examples.skipped,
        "notes": examples.notes,
        **translated,
    }
    write_file(folder / MANIFEST, json_bytes(manifest, indent=1))


def _write_source(
    folder: Path, examples: Examples, parts: dict[str, Ints], name: str, size: int | None
) -> dict[str, Any]:
    """Write the sources, and return what the manifest says of them."""
    assert examples.source is not None
    size_of = size if examples.source.ndim == 4 else None  # a vector has no size
    spec = _write_values(folder / SOURCE, examples.source, parts, name, size_of)
    return {
        "source_spec": asdict(spec),
        "source_counts": {part: len(parts[part]) for part in PARTS},
        "unpaired": examples.unpaired,
    }


def _write_values(
    file: Path,
    values: Array,
    parts: dict[str, Ints],
    name: str,
    size: int | None,
    classes: int = 0,
) -> DataSpec:
    """Write the rows of all parts, resized; their spec."""
    spec = resized_spec(describe_values(values, parts["train"], classes), size, name)
    order = np.concatenate([parts[part] for part in PARTS])
    stored = (resize(values[order[chunk]], size) for chunk in blocks(values, len(order)))
    write_npy(file, (len(order), *spec.stored_shape), np.dtype(spec.dtype), stored)
    return spec


def write_npy(
    path: Path, shape: tuple[int, ...], dtype: np.dtype[Any], rows: Iterable[Array]
) -> None:
    """Write a .npy file from blocks of its rows, and flush it to the disk."""
    with path.open("wb") as file:
        fields = {"descr": dtype.str, "fortran_order": False, "shape": shape}
        npy.write_array_header_1_0(file, fields)
        for block in rows:
            file.write(np.ascontiguousarray(block).data)
        file.flush()
        os.fsync(file.fileno())


def _stretches(counts: dict[str, int]) -> dict[str, slice]:
    """The rows of each part."""
    ends = np.cumsum([counts[part] for part in PARTS]).tolist()
    return {part: slice(end - counts[part], end) for part, end in zip(PARTS, ends, strict=True)}


def _read_manifest(path: Path) -> Manifest:
    fault = f"{path}: not the manifest of a packed folder, or a damaged one: pack it again"
    with parsing(path, fault):
        if path.stat().st_size > MAX_MANIFEST:
            raise DataError(f"{path}: larger than the cap of {MAX_MANIFEST} bytes")
        table = json.loads(path.read_text(encoding="utf-8"))
        if table["format"] != FORMAT:
            raise ValueError("format")
        if (version := table["version"]) != VERSION:
            raise DataError(f"{path}: version {version!r:.40}; this program reads {VERSION}")
        spec = _spec(table)
        if "source_spec" in table:
            spec = replace(spec, source=_spec(table["source_spec"]))
        class_names, skipped, notes = (
            tuple(printable(str(text)) for text in texts)
            for texts in (table["class_names"], table["skipped"], table.get("notes", []))
        )
        if spec.classes > MAX_CLASSES:  # each is counted when the data are shown
            raise ValueError("classes")
        if len(class_names) not in (0, _count(spec.classes)):
            raise ValueError("class_names")
        files = {
            name: (_count(known["bytes"]), str(known["sha256"]))
            for name, known in table["files"].items()
        }
        needed = {IMAGES} if spec.source is None else {IMAGES, SOURCE}
        if not needed <= set(files) <= needed | {LABELS}:
            raise ValueError("files")
        counts, source_counts = (
            {part: _count(table[key][part]) for part in PARTS}
            for key in ("counts", "counts" if spec.source is None else "source_counts")
        )
        sha256 = {part: str(table["sha256"][part]) for part in PARTS}
        unpaired = bool(table.get("unpaired", False))
    return Manifest(
        spec, class_names, counts, sha256, files, skipped, notes, source_counts, unpaired
    )


def _spec(table: dict[str, Any]) -> DataSpec:
    """The spec of one kind of examples; ValueError or KeyError if the table is damaged."""
    names = [field.name for field in fields(DataSpec) if field.name != "source"]
    try:
        return from_dict(DataSpec, {name: table[name] for name in names}, {})
    except GanforgeError as error:
        raise ValueError(str(error)) from None


def _count(value: object) -> int:
    if type(value) is not int or not 0 <= value < 2**48:
        raise ValueError(f"{value!r:.40} is not a count")
    return value


def _check_file(path: Path, size: int, sha256: str, verify: bool) -> None:
    with reading(path):
        found = path.stat().st_size
    if found != size:
        raise DataError(f"{path}: {found} bytes where {MANIFEST} says {size}: pack it again")
    if verify and file_digest(path) != sha256:
        raise DataError(f"{path}: damaged: its hash is not the one in {MANIFEST}; pack it again")
