"""The packed store: a folder of images.npy, labels.npy and dataset.json, decoded once.

Rows are ordered train, validation, test, so that each part is one stretch of a memory map.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy

from ganforge.codec import Array, DataSpec
from ganforge.data import toy
from ganforge.data.arrays import map_npy
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
from ganforge.data.readers import SOURCES, locate, read
from ganforge.errors import DataError, DiskError, UsageError
from ganforge.printable import json_bytes, printable
from ganforge.rng import Ints

FORMAT, VERSION = "ganforge-dataset", 1
MANIFEST, IMAGES, LABELS = "dataset.json", "images.npy", "labels.npy"
MAX_MANIFEST = 2**26  # bytes


def is_store(path: Path) -> bool:
    """Whether a path is a packed store."""
    return (path / MANIFEST).is_file()


def pack(
    source: str, out: Path, size: int | None = None, seed: int = 0, *, workers: int = 0
) -> Path:
    """Decode `source` once into the packed store `out`, split by `seed`; returns `out`.

    source, size: as `source.load` takes them. workers: as for `images.read`; more than 4
    may be processes, which need a `__main__` guard in the calling script.

    The store appears whole or not at all: it is written beside `out` and renamed. An earlier store
    is replaced. Raises UsageError where `out` holds anything else, DiskError where it cannot be
    written, and what `source.load` raises.
    """
    _check_free(out)
    entry = SOURCES.get(source)
    if isinstance(entry, toy.Law):
        raise UsageError(f"data {source!r} is a law that is drawn when needed: nothing to pack")
    with _building(out) as folder:
        if entry is not None:
            examples = entry()
        else:
            path = locate(source)
            if is_store(path):
                raise UsageError(f"{source} is a packed folder already: pack what it was made from")
            decoded = folder / "decoded.tmp"
            examples = read(path, size, workers=workers, allocate=_Scratch(decoded))
        _write(folder, examples, Path(source).name, size, seed)
        (folder / "decoded.tmp").unlink(missing_ok=True)
    return out


def load(
    path: Path,
    *,
    part: str = "train",
    size: int | None = None,
    name: str = "",
    verify: bool = False,
) -> Dataset:
    """One part of a packed store, its values a read-only memory map.

    Checked always: the manifest, the lengths of the files, shape and dtype of the values, the hash
    of the labels; with `verify` the hash of the values too. Raises DataError where one is wrong.
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
    first = sum(store.counts[p] for p in PARTS[: PARTS.index(part)])
    stretch = slice(first, first + store.counts[part])
    values, labels = values[stretch], None if labels is None else labels[stretch]
    sha256 = store.sha256[part]
    if size is not None and spec.shape[1:] != (size, size):
        spec = resized_spec(spec, size, name)
        values = resize(values, size)
        sha256 = digest(values, labels)
    return Dataset(name, part, spec, values, labels, store.class_names, sha256, store.skipped)


@dataclass(frozen=True)
class Manifest:
    """dataset.json. counts, sha256: for each part; files: name -> bytes and sha256."""

    spec: DataSpec
    class_names: tuple[str, ...]
    counts: dict[str, int]
    sha256: dict[str, str]
    files: dict[str, dict[str, Any]]
    skipped: tuple[str, ...]


@dataclass(frozen=True)
class _Scratch:
    """Makes the array that pictures are decoded into, as a file: a set may outgrow memory."""

    path: Path

    def __call__(self, shape: tuple[int, ...]) -> Array:
        with self.path.open("wb") as file:
            if hasattr(os, "posix_fallocate"):
                # A hole in a mapped file that the disk has no room for would kill the process.
                os.posix_fallocate(file.fileno(), 0, max(1, prod(shape)))
            else:
                file.truncate(max(1, prod(shape)))
        return np.memmap(self.path, np.uint8, "r+", shape=shape)


def _write(folder: Path, examples: Examples, name: str, size: int | None, seed: int) -> None:
    parts = rows(examples, name, "train", seed)
    spec = describe_values(examples, parts["train"])
    if size is not None:
        spec = resized_spec(spec, size, name)
    files, sha256 = {}, {}
    order = np.concatenate([parts[p] for p in PARTS])
    labels = None if examples.labels is None else examples.labels[order]
    with _Hashed(folder / IMAGES) as file:
        shape = (len(order), *spec.stored_shape)
        file.header(shape, np.dtype(spec.dtype))
        for part in PARTS:
            state = hashlib.sha256()
            dtype = np.dtype(spec.dtype)
            state.update(f"{dtype.str}{(len(parts[part]), *spec.stored_shape)}".encode())
            for block in _stored(examples.values, parts[part], size):
                state.update(block.data)
                file.write(block)
            if examples.labels is not None:
                own = examples.labels[parts[part]]
                state.update(f"{own.dtype.str}{own.shape}".encode() + own.tobytes())
            sha256[part] = state.hexdigest()
    files[IMAGES] = file.known()
    if labels is not None:
        with _Hashed(folder / LABELS) as file:
            file.header(labels.shape, labels.dtype)
            file.write(labels)
        files[LABELS] = file.known()
    manifest = {
        "format": FORMAT,
        "version": VERSION,
        "source": name,
        **asdict(spec),
        "class_names": examples.class_names,
        "counts": {part: len(parts[part]) for part in PARTS},
        "split": {"seed": seed, "published_test": examples.test > 0},
        "sha256": sha256,
        "files": files,
        "skipped": examples.skipped,
    }
    with (folder / MANIFEST).open("wb") as text:
        text.write(json_bytes(manifest, indent=1))
        text.flush()
        os.fsync(text.fileno())


def _stored(values: Array, part: Ints, size: int | None) -> Iterator[Array]:
    """The rows `part` of `values`, resized, a block of memory at a time."""
    for chunk in blocks(len(part), values[:1].nbytes):
        block = np.ascontiguousarray(values[part[chunk]])
        yield block if size is None else np.ascontiguousarray(resize(block, size))


class _Hashed:
    """A file being written, with its hash; on the disk when the `with` block ends."""

    def __init__(self, path: Path):
        self._file = path.open("wb")
        self._state = hashlib.sha256()
        self._bytes = 0

    def __enter__(self) -> _Hashed:
        return self

    def __exit__(self, *_: object) -> None:
        with self._file:
            self._file.flush()
            os.fsync(self._file.fileno())

    def header(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        """The header of a .npy file."""
        fields = {"descr": dtype.str, "fortran_order": False, "shape": shape}
        text = io.BytesIO()
        npy.write_array_header_1_0(text, fields)
        self.write(np.frombuffer(text.getvalue(), np.uint8))

    def write(self, block: Array) -> None:
        self._file.write(block.data)
        self._state.update(block.data)
        self._bytes += block.nbytes

    def known(self) -> dict[str, Any]:
        return {"bytes": self._bytes, "sha256": self._state.hexdigest()}


@contextmanager
def _building(out: Path) -> Iterator[Path]:
    """A folder beside `out` that takes its place when the block ends without an exception."""
    folder = out.absolute().parent / f".{out.name}.{os.getpid()}.tmp"
    aside = folder.with_suffix(".old")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir()
        yield folder
        if out.exists():
            out.rename(aside)
        folder.rename(out)
    except OSError as error:
        raise DiskError(f"{out}: cannot be written ({error.strerror or error})") from None
    finally:
        if aside.exists() and not out.exists():
            aside.rename(out)
        for leftover in (folder, aside):
            shutil.rmtree(leftover, ignore_errors=True)


def _check_free(out: Path) -> None:
    """UsageError unless `out` is nothing, an empty folder or an earlier store."""
    try:
        if not out.exists() or (out.is_dir() and (is_store(out) or not any(out.iterdir()))):
            return
    except OSError as error:
        raise DiskError(f"{out}: cannot be written ({error.strerror or error})") from None
    raise UsageError(f"{out} exists and is no packed folder: give another one, or move it away")


def _read_manifest(path: Path) -> Manifest:
    damaged = f"{path}: not the manifest of a packed folder, or a damaged one"
    try:
        if path.stat().st_size > MAX_MANIFEST:
            raise DataError(f"{path}: larger than the cap of {MAX_MANIFEST} bytes")
        table = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DiskError(f"{path}: cannot be read ({error.strerror or error})") from None
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
    """The typed manifest; any exception means that the table is damaged."""
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
    try:
        size = path.stat().st_size
        if size != known["bytes"]:
            raise DataError(
                f"{path}: {size} bytes where {MANIFEST} says {known['bytes']}: pack it again"
            )
        if not verify:
            return
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DiskError(f"{path}: cannot be read ({error.strerror or error})") from None
    if found != known["sha256"]:
        raise DataError(f"{path}: damaged: its hash is not the one in {MANIFEST}; pack it again")
