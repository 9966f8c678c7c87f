"""idx files: the bundled MNIST, pairs that lie beside each other, and everything malformed."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from ganforge.data import load
from ganforge.data.formats import idx
from ganforge.errors import DataError


def idx_bytes(array: np.ndarray, kind: int = 8) -> bytes:
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, kind, array.ndim, *array.shape)
    return header + array.astype(idx.TYPES[kind]).tobytes()


def write_set(folder: Path, *, zipped: bool = True, count: int = 60) -> Path:
    rng = np.random.default_rng(0)
    end = ".gz" if zipped else ""
    pack = gzip.compress if zipped else bytes
    for part, n in (("train", count), ("t10k", count // 3)):
        images = rng.integers(0, 256, (n, 7, 5))
        (folder / f"{part}-images-idx3-ubyte{end}").write_bytes(pack(idx_bytes(images)))
        labels = np.arange(n) % 4
        (folder / f"{part}-labels-idx1-ubyte{end}").write_bytes(pack(idx_bytes(labels)))
    return folder / f"train-images-idx3-ubyte{end}"


def test_mnist_is_the_published_set() -> None:
    parts = {part: load.load("mnist", part=part) for part in load.PARTS}
    assert [len(parts[p]) for p in load.PARTS] == [55_000, 5_000, 10_000]
    for part in parts.values():
        assert part.spec.shape == (1, 28, 28) and part.spec.classes == 10
        assert part.values.dtype == np.uint8 and part.values.shape[1:] == (28, 28, 1)
        assert part.labels is not None and part.labels.dtype == np.int64
    counts = sum(np.bincount(parts[p].labels) for p in ("train", "validation"))
    assert counts.tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    # Both are subsets of the training file: its mean is 33.3184, to four decimals.
    total = parts["train"].values.sum() + parts["validation"].values.sum()
    assert total / (60_000 * 784) == pytest.approx(33.3184, abs=5e-5)
    assert parts["test"].labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]


def test_a_damaged_installation_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(idx.MNIST, "t10k-labels-idx1-ubyte", "0" * 32)
    with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte.gz .* damaged: install"):
        load.load("mnist")


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("as_folder", [True, False])
def test_a_set_of_four_files(tmp_path: Path, zipped: bool, as_folder: bool) -> None:
    path = write_set(tmp_path, zipped=zipped)
    given = str(tmp_path if as_folder else path)
    parts = {part: load.load(given, part=part) for part in load.PARTS}
    assert [len(parts[p]) for p in load.PARTS] == [55, 5, 20]
    assert parts["train"].spec.shape == (1, 7, 5) and parts["train"].spec.classes == 4
    assert np.array_equal(parts["test"].labels, np.arange(20) % 4)


def test_a_lone_pair_is_split_and_a_lone_file_has_no_labels(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 256, (40, 6, 6))
    (tmp_path / "my-images-idx3-ubyte").write_bytes(idx_bytes(values))
    bare = load.load(str(tmp_path / "my-images-idx3-ubyte"))
    assert bare.labels is None and len(bare) == 36
    (tmp_path / "my-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx_bytes(np.arange(40) % 3)))
    both = load.load(str(tmp_path / "my-images-idx3-ubyte"))
    assert both.labels is not None and both.spec.classes == 3
    assert np.array_equal(both.values, bare.values)


def test_other_types_and_colour(tmp_path: Path) -> None:
    for kind, name in idx.TYPES.items():
        array = np.arange(-6 if name != "u1" else 0, 6).reshape(-1, 2)
        read = idx.parse(idx_bytes(array, kind), "x")
        assert np.array_equal(read, array) and read.dtype.isnative
    path = tmp_path / "c-images-idx4-ubyte"
    path.write_bytes(idx_bytes(np.zeros((20, 3, 8, 6), dtype=np.uint8)))
    assert load.load(str(path)).spec.shape == (3, 8, 6)


GOOD = idx_bytes(np.arange(20 * 6 * 6).reshape(20, 6, 6) % 256)


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "empty"),
        (GOOD[:3], "not a folder|begins with"),
        (GOOD[:10], "cut short inside its header"),
        (GOOD[:-1], "is cut short: 735 bytes where its header promises 736"),
        (GOOD + b"x", "has bytes after its end"),
        (b"\0\0\x07" + GOOD[3:], "begins with"),
        (b"\0\0\x08\x00" + GOOD[4:], "begins with"),
        (b"\0\0\x08\x03" + b"\xff" * 12 + GOOD, "above the cap"),
        (idx_bytes(np.arange(30)), "give the images file, not the labels file"),
        (idx_bytes(np.zeros((20, 5, 5)), 0x0D), "pictures are uint8"),
        (idx_bytes(np.zeros((0, 5, 5))), "holds no examples"),
        (idx_bytes(np.zeros((20, 0, 5))), "neither|no examples"),
        (gzip.compress(GOOD, mtime=0)[:-12], "corrupt gzip"),
        (gzip.compress(GOOD, mtime=0)[:30] + b"\xff" * 40, "corrupt gzip"),
        (gzip.compress(GOOD + b"x", mtime=0), "bytes after its end"),
        (gzip.compress(GOOD[:-1], mtime=0), "cut short"),
        (gzip.compress(b"hello, world", mtime=0), "not an idx file"),
        (
            gzip.compress(struct.pack(">BBBB3I", 0, 0, 8, 3, 60000, 500, 500), mtime=0),
            "cannot hold",
        ),
    ],
)
def test_malformed_files_are_refused_by_name(tmp_path: Path, raw: bytes, says: str) -> None:
    path = tmp_path / "bad-images-idx3-ubyte"
    path.write_bytes(raw)
    with pytest.raises(DataError, match=says) as caught:
        load.load(str(path))
    assert "bad-images-idx3-ubyte" in str(caught.value)


def test_labels_that_do_not_fit(tmp_path: Path) -> None:
    path = write_set(tmp_path, zipped=False)
    labels = tmp_path / "train-labels-idx1-ubyte"
    labels.write_bytes(idx_bytes(np.arange(59)))
    with pytest.raises(DataError, match=r"labels of shape \(59,\) for 60 examples"):
        load.load(str(path))
    labels.write_bytes(idx_bytes(np.full(60, -1), 0x0C))
    with pytest.raises(DataError, match="label -1 of row 0 is out of range"):
        load.load(str(path))
    labels.unlink()
    with pytest.raises(DataError, match="no labels file beside it"):
        load.load(str(path))
