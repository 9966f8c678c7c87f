"""The packed store: equal to what it was made from, whole or not there, and checked on reading."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ganforge.data import load
from ganforge.data.formats import packed
from ganforge.data.pack import pack
from ganforge.errors import DataError, DiskError, UsageError

RNG = np.random.default_rng(0)


def make(path: Path, kind: str) -> str:
    path.mkdir(exist_ok=True)
    if kind == "pictures":
        for i in range(120):
            file = path / "in" / str(i % 3) / f"{i}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(RNG.integers(0, 256, (9, 11, 3), dtype=np.uint8)).save(file)
        (path / "in" / "1" / "bad.png").write_bytes(b"\x89PNG")
        return str(path / "in")
    values = {
        "greys": RNG.integers(0, 256, (40, 12, 12), dtype=np.uint8),
        "floats": RNG.normal(size=(40, 12, 14, 2)),
        "vectors": RNG.normal(3, 2, size=(40, 5)),
    }[kind]
    np.savez(path / "in.npz", images=values, labels=np.arange(40) % 4)
    return str(path / "in.npz")


@pytest.mark.parametrize("kind", ["pictures", "greys", "floats", "vectors"])
@pytest.mark.parametrize("size", [None, 8])
def test_packed_equals_source(tmp_path: Path, kind: str, size: int | None) -> None:
    given = make(tmp_path, kind)
    if kind == "vectors" and size is not None:
        with pytest.raises(UsageError, match="vectors, not pictures"):
            pack(given, tmp_path / "out", size)
        assert not (tmp_path / "out").exists()
        return
    assert pack(given, tmp_path / "out", size, seed=5) == tmp_path / "out"
    for part in load.PARTS:
        there = load.load(str(tmp_path / "out"), part=part)
        here = load.load(given, part=part, size=size, seed=5)
        assert isinstance(there.values, np.memmap) and not there.values.flags.writeable
        assert np.array_equal(there.values, here.values)
        assert np.array_equal(there.labels, here.labels)
        assert there.spec == here.spec and there.sha256 == here.sha256
        assert (there.class_names, there.skipped) == (here.class_names, here.skipped)
    assert sorted(p.name for p in tmp_path.iterdir()) in (["in", "out"], ["in.npz", "out"])
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "dataset.json", "images.npy", "labels.npy",
    ]  # fmt: skip
    packed.load(tmp_path / "out", verify=True)


def test_a_published_test_part_stays_the_test_part(tmp_path: Path) -> None:
    pack("mnist", tmp_path / "m")
    for part in ("validation", "test"):
        a, b = load.load(str(tmp_path / "m"), part=part), load.load("mnist", part=part)
        assert a.sha256 == b.sha256 and len(a) == len(b)


def test_another_size_is_made_when_asked_for(tmp_path: Path) -> None:
    pack(make(tmp_path, "greys"), tmp_path / "out")
    data = load.load(str(tmp_path / "out"), size=6)
    assert data.spec.shape == (1, 6, 6) and data.values.shape[1:] == (6, 6, 1)
    assert load.load(str(tmp_path / "out"), size=12).sha256 != data.sha256


def test_what_is_not_packed(tmp_path: Path) -> None:
    given = make(tmp_path, "greys")
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "a.txt").write_text("mine")
    for out in (tmp_path / "used", tmp_path / "used" / "a.txt"):
        with pytest.raises(UsageError, match="exists and is no packed folder"):
            pack(given, out)
    assert (tmp_path / "used" / "a.txt").read_text() == "mine"
    with pytest.raises(UsageError, match="'ring' is a law"):
        pack("ring", tmp_path / "out")
    pack(given, tmp_path / "out")
    with pytest.raises(UsageError, match="is a packed folder already"):
        pack(str(tmp_path / "out"), tmp_path / "again")
    (tmp_path / "empty").mkdir()
    pack(given, tmp_path / "empty")
    pack(given, tmp_path / "out", 6)  # an earlier store is replaced
    assert load.load(str(tmp_path / "out")).spec.shape == (1, 6, 6)


@pytest.mark.parametrize("where", ["write", "fsync", "rename"])
def test_a_failed_pack_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    given = make(tmp_path, "greys")
    pack(given, tmp_path / "out")
    before = {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()}

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        if where == "write":
            patch.setattr(packed, "write_npy", full)
        elif where == "fsync":
            patch.setattr(packed.os, "fsync", full)
        else:
            patch.setattr(Path, "rename", full)
        with pytest.raises(DiskError, match=r"out: cannot be written .No space left"):
            pack(given, tmp_path / "out", 6)
    assert {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()} == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.npz", "out"]


def test_too_few_examples_for_a_part(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((5, 4, 4), np.uint8))
    pack(str(tmp_path / "a.npy"), tmp_path / "out")
    assert len(load.load(str(tmp_path / "out"))) == 5
    with pytest.raises(DataError, match="packed without a test part"):
        load.load(str(tmp_path / "out"), part="test")


def damage(folder: Path, case: str) -> None:
    manifest = folder / "dataset.json"
    table = json.loads(manifest.read_text())
    images, labels = folder / "images.npy", folder / "labels.npy"
    if case == "cut":
        images.write_bytes(images.read_bytes()[:-1])
    elif case == "labels":
        raw = bytearray(labels.read_bytes())
        raw[-8] ^= 1
        labels.write_bytes(raw)
    elif case == "gone":
        images.unlink()
    elif case == "json":
        manifest.write_text(manifest.read_text()[:-20])
    else:
        key, _, value = case.partition("=")
        table[key] = json.loads(value)
        manifest.write_text(json.dumps(table))


@pytest.mark.parametrize(
    ("case", "says"),
    [
        ("cut", "bytes where dataset.json says"), ("labels", "damaged: its hash"),
        ("gone", "cannot be read"), ("json", "damaged one: pack it again"),
        ("format=3", "not the manifest"), ("version=2", "version 2; this program reads 1"),
        ("counts={}", "damaged"), ('counts={"train":-1,"validation":1,"test":40}', "damaged"),
        ("shape=[1,12,13]", "but dataset.json says"), ('dtype="float32"', "says float32"),
        ("shape=[1]", "but dataset.json says"), ("classes=2", "label 3 of 2 classes"),
        ('files={"../x":{"bytes":1,"sha256":""}}', "damaged"), ("scale=[0]", "scale"),
        ("offset=[1,2]", "damaged"), ("class_names=3", "damaged"),
    ],
)  # fmt: skip
def test_damaged_stores_are_noticed(tmp_path: Path, case: str, says: str) -> None:
    pack(make(tmp_path, "greys"), tmp_path / "out")
    damage(tmp_path / "out", case)
    with pytest.raises((DataError, DiskError), match=says):
        load.load(str(tmp_path / "out"))


def test_verify_reads_every_pixel(tmp_path: Path) -> None:
    pack(make(tmp_path, "greys"), tmp_path / "out")
    raw = bytearray((tmp_path / "out" / "images.npy").read_bytes())
    raw[-1] ^= 1
    (tmp_path / "out" / "images.npy").write_bytes(raw)
    packed.load(tmp_path / "out")
    with pytest.raises(DataError, match=r"images.npy: damaged: its hash"):
        packed.load(tmp_path / "out", verify=True)
