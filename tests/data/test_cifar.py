"""CIFAR-10 from batches, sheets and archives; downloads from a local server."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import io
import json
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganforge.data import download, load
from ganforge.data.formats import cifar
from ganforge.errors import DataError
from tests.helpers.tiny import cifar_batch

RNG = np.random.default_rng(0)


def write(folder: Path, *, sheets: bool, each: int = 20) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(3)
    every = []
    for batch in cifar.BATCHES:
        values = rng.integers(0, 256, (each, 32, 32, 3), dtype=np.uint8)
        labels = rng.integers(0, 10, each)
        every.append(labels)
        if sheets:
            Image.fromarray(values.reshape(each, 1024, 3)).save(folder / f"{batch}.png")
        else:
            (folder / f"{batch}.bin").write_bytes(cifar_batch(values, labels))
    if sheets:
        train = np.concatenate(every[:5]).tolist()
        (folder / "train_lables.json").write_text(json.dumps(train))
        (folder / "test_lables.json").write_text(json.dumps(every[5].tolist()))
    return folder


def tar_of(folder: Path, path: Path) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        tar.add(folder, "cifar-10-batches-bin")
    return path


def test_batches_sheets_and_archives_are_the_same_set(tmp_path: Path) -> None:
    a = write(tmp_path / "a", sheets=False)
    b = write(tmp_path / "b" / "package", sheets=True)
    given = [a, b, tar_of(a, tmp_path / "a.tar.gz"), tar_of(b, tmp_path / "b.tgz")]
    inner = tmp_path / "outer"
    inner.mkdir()
    a_again = write(inner / "cifar-10-batches-bin", sheets=False)
    for part, count in (("train", 90), ("validation", 10), ("test", 20)):
        sets = [load.load(str(path), part=part) for path in [*given, inner, a_again]]
        assert len({s.sha256 for s in sets}) == 1
        assert len(sets[0]) == count and sets[0].spec.shape == (3, 32, 32)
        assert sets[0].class_names[0] == "airplane" and sets[0].spec.classes == 10


def test_a_record_is_a_label_and_three_planes() -> None:
    raw = bytes([7]) + bytes([1]) * 1024 + bytes([2]) * 1024 + bytes([3]) * 1024
    values, labels = cifar.parse_batch(raw, "x")
    assert labels.tolist() == [7] and values[0, 5, 9].tolist() == [1, 2, 3]
    assert cifar_batch(values, labels) == raw


@pytest.mark.parametrize(
    ("name", "raw", "says"),
    [
        ("data_batch_3.bin", None, "data_batch_3.bin is missing"),
        ("data_batch_3.bin", b"", "0 bytes are no whole number of records"),
        ("test_batch.bin", b"x" * 3000, "3000 bytes are no whole number"),
        ("test_batch.bin", b"\x0b" * 3073, "label 11: labels are 0..9"),
        ("data_batch_2.png", None, "data_batch_2.png is missing"),
        ("data_batch_2.png", b"\x89PNG", "data_batch_2.png: not a picture"),
        ("train_lables.json", None, "train_labels.json is missing"),
        ("train_lables.json", b"{", "not a JSON list"),
        ("train_lables.json", b"[1, 2]", "must be a list of 100 labels"),
        ("test_lables.json", json.dumps([11] * 20).encode(), "label 11: labels are 0..9"),
        ("test_lables.json", json.dumps([True] * 20).encode(), "label True"),
    ],
)
def test_what_is_missing_or_damaged_is_named(
    tmp_path: Path, name: str, raw: bytes | None, says: str
) -> None:
    write(tmp_path, sheets=not name.endswith(".bin"))
    (tmp_path / name).unlink()
    if raw is not None:
        (tmp_path / name).write_bytes(raw)
    with pytest.raises(DataError, match=says):
        load.load(str(tmp_path))


def test_sheets_of_another_width_and_single_batches(tmp_path: Path) -> None:
    write(tmp_path, sheets=True)
    Image.new("RGB", (100, 20)).save(tmp_path / "data_batch_1.png")
    with pytest.raises(DataError, match="100 pixels a row: a sheet has 1024"):
        load.load(str(tmp_path))
    write(tmp_path / "b", sheets=False)
    with pytest.raises(DataError, match="one batch of CIFAR-10: give the folder"):
        load.load(str(tmp_path / "b" / "data_batch_1.bin"))


def test_damaged_archives(tmp_path: Path) -> None:
    path = tar_of(write(tmp_path / "a", sheets=False), tmp_path / "a.tar.gz")
    raw = path.read_bytes()
    for bad in (
        raw[:5000],
        raw[:-20],
        gzip.compress(b"x" * 3000),
        b"\x1f\x8b",
        raw[:99] + b"!" * 99,
    ):
        path.write_bytes(bad)
        with pytest.raises(DataError, match=r"a.tar.gz"):
            load.load(str(path))


def test_every_published_file_has_a_whole_hash_and_a_mirror() -> None:
    length = {"md5": 32, "sha256": 64}
    for remote in (*download.FASHION, *download.CIFAR):
        kind, _, digest = remote.digest.partition(":")
        assert len(digest) == length[kind] and int(digest, 16)
        assert all(url.endswith(remote.name) for url in remote.urls) and remote.urls


def test_offline_says_where_to_put_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GANFORGE_OFFLINE", "1")
    monkeypatch.setenv("GANFORGE_DATA", str(tmp_path))
    for name, file in (("cifar10", "cifar-10-binary.tar.gz"), ("fashion-mnist", "train-images")):
        with pytest.raises(DataError, match=f"GANFORGE_OFFLINE is set: put {file}") as caught:
            load.load(name)
        assert str(tmp_path) in str(caught.value)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    folder = tmp_path / "served"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: object) -> None:
            super().__init__(*args, directory=str(folder))

        def log_message(self, *_: object) -> None: ...

    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    thread = threading.Thread(target=running.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{running.server_port}", folder
    running.shutdown()
    thread.join()
    running.server_close()


def test_mirrors_are_tried_in_order_and_hashes_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: tuple[str, Path]
) -> None:
    url, folder = server
    cache = tmp_path / "cache"
    monkeypatch.setenv("GANFORGE_DATA", str(cache))
    monkeypatch.setenv("GANFORGE_OFFLINE", "0")
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    raw = tar_of(write(tmp_path / "a", sheets=False), folder / "good.tar.gz").read_bytes()
    (folder / "wrong.tar.gz").write_bytes(raw[:-1])
    digest = "md5:" + hashlib.md5(raw, usedforsecurity=False).hexdigest()
    bad = (f"{url}/none.tar.gz", f"{url}/wrong.tar.gz")
    good = download.Remote("c.tar.gz", digest, (*bad, f"{url}/good.tar.gz"))
    with pytest.raises(DataError, match=r"could not be downloaded from 2 mirrors .*: put c.tar.gz"):
        download.fetch(download.Remote("c.tar.gz", digest, bad), "cifar10")
    assert not (cache / "c.tar.gz").exists()
    monkeypatch.setattr(download, "CIFAR", (good,))
    assert load.load("cifar10").spec.shape == (3, 32, 32)
    monkeypatch.setenv("GANFORGE_OFFLINE", "1")
    assert len(load.load("cifar10", part="test")) == 20  # from the cache
    (cache / "c.tar.gz").write_bytes(b"damaged")
    with pytest.raises(DataError, match="not in the cache"):
        load.load("cifar10")


def test_fashion_mnist_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANFORGE_DATA", str(tmp_path))
    remotes = []
    for remote in download.FASHION:
        n = 60 if remote.name.startswith("train") else 20
        shape = (n, 28, 28) if "images" in remote.name else (n,)
        header = bytes([0, 0, 8, len(shape)]) + b"".join(d.to_bytes(4, "big") for d in shape)
        body = RNG.integers(0, 10, shape, dtype=np.uint8)
        buffer = io.BytesIO()
        with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as file:
            file.write(header + body.tobytes())
        (tmp_path / remote.name).write_bytes(buffer.getvalue())
        md5 = hashlib.md5(buffer.getvalue(), usedforsecurity=False).hexdigest()
        remotes.append(download.Remote(remote.name, f"md5:{md5}", ()))
    monkeypatch.setattr(download, "FASHION", tuple(remotes))
    data = load.load("fashion-mnist")
    assert len(data) == 55 and data.class_names[9] == "ankle boot"
