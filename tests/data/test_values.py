"""Numbers as people store them: ranges, axes, gaps in labels, parts, small sets, other formats."""

from __future__ import annotations

import ctypes
import io
import mmap
import os
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import ganforge as gf
from ganforge.cli import main
from ganforge.data import load
from ganforge.data.batches import Batches
from ganforge.data.pack import pack
from ganforge.data.settings import short_name, split_off
from ganforge.errors import DataError, UsageError
from tests.data.test_folders import save, shown

RNG = np.random.default_rng(0)
GREYS = RNG.integers(0, 256, (60, 8, 8), dtype=np.uint8)


def npy(path: Path, array: Any) -> Path:
    np.save(path / "a.npy", array)
    return path / "a.npy"


# --- ranges -------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64])
def test_pictures_of_zero_and_one_are_black_and_white(tmp_path: Path, dtype: Any) -> None:
    array = RNG.random((50, 8, 8)) > 0.5
    data = load.load(str(npy(tmp_path, array.astype(dtype))))
    assert set(np.unique(data.values)) == {0, 255} and data.notes == (
        "the values 0 and 1 are shown as 0 and 255",
    )


def test_picture_files_of_zero_and_one_too(tmp_path: Path) -> None:
    for i in range(20):
        mask = (RNG.random((8, 8)) > 0.5).astype(np.uint8)
        Image.fromarray(mask).save(tmp_path / f"{i:02}.png")
    assert set(np.unique(load.load(str(tmp_path)).values)) == {0, 255}
    packed = load.load(str(pack(str(tmp_path), tmp_path.with_suffix(".packed"))))
    assert set(np.unique(packed.values)) == {0, 255} and packed.notes


def test_dark_pictures_are_told_and_the_setting_mends_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = npy(tmp_path, GREYS // 16)
    code, text = shown(capsys, path)
    assert code == 0 and "the brightest pixel is 15 of 255" in text and "@white=15" in text
    data = load.load(f"{path}@white=15")
    assert data.values.max() == 255 and data.notes == ()
    whole = np.concatenate([load.load(f"{path}@white=15", part=p).values for p in load.PARTS])
    assert set(np.unique(whole)) == set(range(0, 256, 17))
    with pytest.raises(DataError, match=r"a pixel of 4095: .* @white=4095"):
        load.load(str(npy(tmp_path, np.full((40, 8, 8), 4095))))
    assert load.load(f"{path}@white=4095").values.min() == 255


def test_twelve_bits_in_sixteen_are_refused_with_the_setting(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for i in range(20):
        deep = RNG.integers(0, 4096, (8, 8)).astype(np.uint16)
        Image.fromarray(deep).save(tmp_path / f"{i:02}.png")
    Image.fromarray(np.full((8, 8), 4095, np.uint16)).save(tmp_path / "00.png")
    code, text = shown(capsys, tmp_path)
    assert code == 65 and "the brightest pixel of 20 pictures of 16 bits is 4095 of 65535" in text
    assert f"--data {tmp_path}@white=4095" in text
    assert load.load(f"{tmp_path}@white=4095").values.max() == 255
    assert load.load(f"{tmp_path}@white=65535").values.max() == 16


# --- axes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "line", "meant"),
    [
        ((28, 28, 500), "np.moveaxis(a, -1, 0) for 500 pictures of 28 x 28", (500, 28, 28)),
        ((28, 32, 500), "np.moveaxis(a, -1, 0) for 500 pictures of 28 x 32", (500, 28, 32)),
        ((64, 64, 3), "a[None] for one picture", (1, 64, 64, 3)),
        ((64, 48, 4), "a[None] for one picture", (1, 64, 48, 4)),
        ((3, 64, 64), "np.moveaxis(a, 0, -1)[None] for one picture", (1, 64, 64, 3)),
        ((32, 32, 3, 60), "np.moveaxis(a, -1, 0) brings the last axis", (60, 32, 32, 3)),
    ],
)
def test_axes_with_two_meanings_are_refused(
    tmp_path: Path, shape: Any, line: str, meant: Any
) -> None:
    with pytest.raises(DataError) as caught:
        load.load(str(npy(tmp_path, RNG.integers(0, 256, shape, dtype=np.uint8))))
    assert line in str(caught.value)
    data = load.load(str(npy(tmp_path, RNG.integers(0, 256, meant, dtype=np.uint8))))
    assert sum(data.counts) == meant[0]


def test_labels_say_how_many_pictures_there_are(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros((28, 28, 60), np.uint8), y=np.arange(28) % 3)
    assert load.load(str(tmp_path / "a.npz")).spec.shape == (1, 28, 60)


# --- labels -------------------------------------------------------------------------------------


@pytest.mark.parametrize("numbers", [(1, 2, 3), (0, 1000, 2000), (3, 5)])
def test_gaps_in_labels_are_closed_and_the_numbers_are_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], numbers: tuple[int, ...]
) -> None:
    labels = np.array(numbers)[np.arange(60) % len(numbers)]
    np.savez(tmp_path / "a.npz", images=GREYS, labels=labels)
    code, text = shown(capsys, tmp_path / "a.npz")
    assert code == 0 and f"classes      {len(numbers)}" in text and "these numbers as names" in text
    data = load.load(str(tmp_path / "a.npz"))
    assert data.class_names == tuple(map(str, numbers))
    for picture, label in zip(data.values, data.labels, strict=True):
        row = next(i for i in range(60) if np.array_equal(GREYS[i], picture[..., 0]))
        assert numbers[label] == labels[row]


def test_as_many_labels_as_examples_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=GREYS, labels=np.arange(60))
    with pytest.raises(DataError, match="60 examples have 60 different labels"):
        load.load(str(tmp_path / "a.npz"))


def test_a_number_on_the_command_line_is_a_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "a.npz", images=RNG.integers(0, 256, (60, 16, 16), np.uint8),
             labels=np.where(np.arange(60) % 2, 3, 5))  # fmt: skip
    run = tmp_path / "run"
    words = ["train", "cgan", "--data", str(tmp_path / "a.npz"), "--kimg", "0.1", "--threads", "1"]
    assert main([*words, "--out", str(run)]) == 0
    sample = ["sample", str(run), "-n", "2", "-o", str(tmp_path / "s.npz")]
    sample += ["--overwrite", "--label"]
    assert main([*sample, "5"]) == 0
    assert np.load(tmp_path / "s.npz")["labels"].tolist() == [1, 1]
    capsys.readouterr()
    assert main([*sample, "1"]) == 2
    assert "label 1: cgan knows the labels 3, 5" in capsys.readouterr().err
    sampler = replace(gf.load(run).sampler, class_names=("-1", "1"))
    assert sampler.label("1") == 1 and sampler.label(1) == 1
    with pytest.raises(UsageError, match="knows the labels -1, 1"):
        sampler.label("0")


# --- files of other kinds -----------------------------------------------------------------------


@pytest.mark.parametrize("keys", ["x_{}", "X_{}", "{}_images"])
def test_parts_of_an_npz_are_used_as_parts(tmp_path: Path, keys: str) -> None:
    label = "{}_labels" if "images" in keys else "y_{}"
    arrays = {}
    for part, rows in (("train", slice(0, 40)), ("test", slice(40, 60))):
        arrays[keys.format(part)] = GREYS[rows]
        arrays[label.format(part)] = np.arange(60)[rows][:, None] % 3
    np.savez(tmp_path / "a.npz", **arrays)
    train, test = (load.load(str(tmp_path / "a.npz"), part=part) for part in ("train", "test"))
    assert train.counts == (38, 2, 20) and np.array_equal(test.values[..., 0], GREYS[40:])
    assert np.array_equal(test.labels, np.arange(40, 60) % 3)
    arrays[keys.format("val")], arrays[label.format("val")] = GREYS[:5], np.arange(5) % 3
    np.savez(tmp_path / "a.npz", **arrays)
    data = load.load(str(tmp_path / "a.npz"), part="validation")
    assert data.counts == (40, 5, 20) and np.array_equal(data.values[..., 0], GREYS[:5])


def archive(path: Path, *names: str) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = 3
            tar.addfile(info, io.BytesIO(b"abc"))
    return path


def test_an_archive_is_looked_into_before_it_is_called_cifar(tmp_path: Path) -> None:
    pickled = archive(tmp_path / "cifar-10-python.tar.gz", "cifar-10-batches-py/data_batch_1")
    for path in (pickled, tmp_path / "cifar-10-batches-py"):
        if path != pickled:
            path.mkdir()
            (path / "data_batch_1").write_bytes(b"pickle")
        with pytest.raises(DataError, match="pickles, which are never read: give --data cifar10"):
            load.load(str(path))
    with pytest.raises(DataError, match="an archive of pictures: unpack it and give the folder"):
        load.load(str(archive(tmp_path / "pics.tar.gz", "a/1.jpg", "a/2.jpg")))
    with pytest.raises(DataError, match=r"not CIFAR-10 \(notes\.txt\): unpack it"):
        load.load(str(archive(tmp_path / "other.tgz", "notes.txt")))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("a.csv", "a CSV table: save its arrays: "), ("a.h5", "h5py"), ("a.parquet", "pandas"),
        ("a.mat", "scipy.io.loadmat"), ("a.tar", "unpack it"), ("a.rar", "unpack it"),
    ],
)  # fmt: skip
def test_known_formats_are_named_with_what_to_do(tmp_path: Path, name: str, says: str) -> None:
    (tmp_path / name).write_bytes(b"1,2,3\n")
    with pytest.raises(DataError) as caught:
        load.load(str(tmp_path / name))
    assert says in str(caught.value)
    assert ("np.savez" in str(caught.value)) == ("unpack" not in says)


def test_a_folder_of_arrays_names_one_to_give(tmp_path: Path) -> None:
    npy(tmp_path, GREYS)
    with pytest.raises(DataError, match=r"it holds 1 \.npy: give one file, for example a\.npy"):
        load.load(str(tmp_path))


# --- small sets, settings, stores ---------------------------------------------------------------


def test_the_size_of_each_part_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = save(tmp_path / "d", 30)
    assert "parts        train 26, validation 2, test 2" in shown(capsys, folder)[1]
    words = ["train", "dcgan", "--data", str(folder), "--size", "16", "--dry-run"]
    assert main([*words, "--out", str(tmp_path / "run")]) == 0
    assert "parts          train 26, validation 2, test 2" in capsys.readouterr().out


@pytest.mark.parametrize(("share", "counts"), [("0.2", (18, 6, 6)), ("0", (30, 0, 0))])
def test_the_split_is_a_setting(tmp_path: Path, share: str, counts: tuple[int, ...]) -> None:
    folder = save(tmp_path / "d", 30)
    assert load.load(f"{folder}@held_out={share}").counts == counts
    packed = pack(f"{folder}@held_out={share}", tmp_path / "packed")
    assert load.load(str(packed)).counts == counts
    with pytest.raises(UsageError, match="is packed already"):
        load.load(f"{packed}@held_out=0.1")


def test_settings_that_make_no_sense(tmp_path: Path) -> None:
    folder = save(tmp_path / "d", 10)
    for text, says in (
        ("held_out=0.5", r"held_out = 0\.5"), ("held=1", "no setting 'held'"),
        ("white=x", "white = 'x' is not a number"), ("level=-2", "level = -2"),
    ):  # fmt: skip
        with pytest.raises(UsageError, match=says):
            load.load(f"{folder}@{text}")
    odd = folder.rename(tmp_path / "d@level=1")
    assert split_off(str(odd))[0] == str(odd) and len(load.load(str(odd))) == 8
    assert short_name("a/b.zip@white=3") == "b"
    with pytest.raises(UsageError, match="is drawn from a law"):
        load.load("ring@held_out=0.1")


def resident(path: Path) -> int:
    """Bytes of a file that are in the page cache."""
    libc = ctypes.CDLL(None, use_errno=True)
    size, page = path.stat().st_size, mmap.PAGESIZE
    pages = (ctypes.c_ubyte * (-(-size // page)))()
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as view:
        start = np.frombuffer(view, np.uint8)
        address = ctypes.c_void_p(start.ctypes.data)
        failed = libc.mincore(address, ctypes.c_size_t(size), pages)
        del start
    return -1 if failed else page * sum(one & 1 for one in pages)


@pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="the page cache cannot be emptied")
def test_a_mapped_store_reads_little_more_than_its_rows(tmp_path: Path) -> None:
    values = RNG.integers(0, 256, (3000, 64, 64, 3), dtype=np.uint8)
    np.save(tmp_path / "a.npy", values)
    store = pack(str(tmp_path / "a.npy"), tmp_path / "packed")
    data = load.load(str(store))
    with (store / "images.npy").open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    if resident(store / "images.npy") != 0:
        pytest.skip("the page cache of this file system cannot be emptied")
    batches = Batches(data, device=torch.device("cpu"), seed=0, resident_bytes=0, group_bytes=1)
    batches.at(0, 64)
    batches.close()
    read = resident(store / "images.npy")
    assert 64 * 64 * 64 * 3 <= read < 3 * 2 * 64 * 64 * 64 * 3  # a group is read ahead
