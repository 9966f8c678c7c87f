"""Mutations of good files: only a GanforgeError may come out, quickly."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import tempfile
import zipfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from ganforge.data import load
from ganforge.data.describe import describe
from ganforge.data.pack import pack
from ganforge.errors import DataError, GanforgeError

RNG = np.random.default_rng(0)
GREYS = RNG.integers(0, 256, (12, 6, 6), dtype=np.uint8)
NAMES = {
    "idx": "a-images-idx3-ubyte",
    "gz": "a-images-idx3-ubyte.gz",
    "npy": "a.npy",
    "npz": "a.npz",
    "zip": "a.zip",
    "csv": "labels.csv",
    "json": "dataset.json",
    **{end: f"a.{end}" for end in ("png", "jpg", "webp", "bmp", "gif", "tif", "pgm")},
}


@cache
def good(kind: str) -> bytes:
    buffer = io.BytesIO()
    if kind in ("idx", "gz"):
        raw = bytes([0, 0, 8, 3, 0, 0, 0, 12, 0, 0, 0, 6, 0, 0, 0, 6]) + GREYS.tobytes()
        return gzip.compress(raw) if kind == "gz" else raw
    if kind == "npy":
        np.save(buffer, GREYS)
    elif kind == "npz":
        np.savez_compressed(buffer, images=GREYS, labels=np.arange(12) % 3)
    elif kind == "zip":
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for i in range(3):
                archive.writestr(f"{i}.png", good("png"))
    elif kind == "csv":
        return b"file,label\na.png,cat\nb.png,dog\n"
    elif kind == "json":
        return (_store() / "dataset.json").read_bytes()
    else:
        Image.init()  # fills the table of extensions
        image = Image.fromarray(RNG.integers(0, 256, (9, 9, 3), dtype=np.uint8))
        image.convert("L" if kind == "pgm" else "RGB").save(buffer, Image.EXTENSION[f".{kind}"])
    return buffer.getvalue()


@cache
def _store() -> Path:
    folder = Path(tempfile.mkdtemp())
    np.savez(folder / "a.npz", images=GREYS, labels=np.arange(12) % 3)
    return pack(str(folder / "a.npz"), folder / "store")


def lay_out(folder: Path, kind: str, raw: bytes) -> str:
    """Writes the mutated file, with what belongs beside it; returns what to load."""
    (folder / NAMES[kind]).write_bytes(raw)
    if kind == "csv":
        for name in ("a.png", "b.png"):
            (folder / name).write_bytes(good("png"))
    if kind == "json":
        for name in ("images.npy", "labels.npy"):
            (folder / name).write_bytes((_store() / name).read_bytes())
    alone = kind in ("idx", "gz", "npy", "npz", "zip")
    return str(folder / NAMES[kind]) if alone else str(folder)


@contextlib.contextmanager
def one_line() -> Iterator[None]:
    """Holds what is raised to one short line that says something."""
    try:
        yield
    except GanforgeError as error:
        if not str(error) or "\n" in str(error) or len(str(error)) > 1000:
            raise AssertionError(f"{error!s}") from error
        raise


@st.composite
def mutations(draw: st.DrawFn, raw: bytes) -> bytes:
    data = bytearray(raw)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        how = draw(st.sampled_from(["flip", "set", "cut", "insert", "repeat", "word"]))
        if how == "flip" and data:
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif how == "set" and data:
            data[at] = draw(st.sampled_from([0, 1, 127, 128, 255]))
        elif how == "cut":
            del data[at : at + draw(st.integers(1, 64))]
        elif how == "insert":
            data[at:at] = draw(st.binary(min_size=1, max_size=16))
        elif how == "repeat":
            data[at:at] = data[at : at + draw(st.integers(1, 64))]
        else:
            data[at : at + 4] = draw(st.sampled_from([b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff"]))
    return bytes(data)


@pytest.mark.parametrize("kind", list(NAMES))
def test_the_unmutated_file_loads(kind: str, tmp_path: Path) -> None:
    assert len(load.load(lay_out(tmp_path, kind, good(kind)))) >= 1


@pytest.mark.parametrize("kind", list(NAMES))
def test_mutated_files_are_read_or_refused(kind: str) -> None:
    @settings(
        max_examples=60,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(mutations(good(kind)))
    def check(raw: bytes) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = lay_out(Path(folder), kind, raw)
            with contextlib.suppress(GanforgeError), one_line():
                load.load(path, size=8)

    check()


def test_a_manifest_of_many_classes_is_refused_before_they_are_counted(tmp_path: Path) -> None:
    table = {**json.loads(good("json")), "classes": 2**33}
    with pytest.raises(DataError, match="damaged"):
        load.load(lay_out(tmp_path, "json", json.dumps(table).encode()))


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(
    st.dictionaries(
        st.sampled_from(sorted(json.loads(good("json")))),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner),
            max_leaves=5,
        ),
        min_size=1,
    )
)
def test_manifests_of_other_types(changes: dict[str, object]) -> None:
    table = {**json.loads(good("json")), **changes}
    with tempfile.TemporaryDirectory() as folder:
        path = lay_out(Path(folder), "json", json.dumps(table).encode())
        with contextlib.suppress(GanforgeError), one_line():
            describe(load.load(path))
