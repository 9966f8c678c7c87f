"""Arrays and pictures whose numbers, axes or keys are not what they seem."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ganforge.cli import main
from ganforge.data import load
from ganforge.errors import DataError

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (40, 8, 8), dtype=np.uint8)
TWO = np.arange(40) % 2


def npz(path: Path, **arrays: Any) -> str:
    np.savez(path / "a.npz", **arrays)
    return str(path / "a.npz")


def npy(path: Path, array: Any) -> str:
    np.save(path / "a.npy", array)
    return str(path / "a.npy")


def refused(data: str) -> str:
    with pytest.raises(DataError) as caught:
        load.load(data)
    return str(caught.value)


def mended(text: str, a: Any) -> Any:
    """The array that the first expression of NumPy in an error makes of `a`."""
    found = re.search(r"(?:np|a)\.(\w+)\((?:a, )?([^)]*)\)", text)
    if found is not None:
        numbers = [float(n) if "." in n else int(float(n)) for n in found[2].split(", ")]
        calls = {"moveaxis": np.moveaxis, "clip": np.clip}
        a = a.reshape(numbers) if found[1] == "reshape" else calls[found[1]](a, *numbers)
    return a[None] if "[None] for one picture" in text else a


# --- axes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "meant"),
    [
        ((3, 48, 64), (1, 48, 64, 3)), ((48, 64, 1), (1, 48, 64, 1)), ((48, 64, 2), (1, 48, 64, 2)),
        ((48, 64, 500), (500, 48, 64)), ((3, 16, 16, 40), (40, 3, 16, 16)),
        ((3, 40, 16, 16), (40, 16, 16, 3)), ((40, 784), (40, 28, 28)),
        ((40, 3072), (40, 3, 32, 32)),
    ],
)  # fmt: skip
def test_the_line_of_numpy_mends_the_axes(tmp_path: Path, shape: Any, meant: Any) -> None:
    a = RNG.integers(0, 256, shape, dtype=np.uint8)
    text = refused(npy(tmp_path, a))
    pictures = re.search(r"a\.reshape\([^)]*\)", text)
    array = mended(pictures[0] if pictures else text, a)
    assert array.shape == meant
    load.load(npy(tmp_path, array))


def test_no_line_of_numpy_is_told_that_would_not_mend(tmp_path: Path) -> None:
    assert "np." not in refused(npy(tmp_path, RNG.integers(0, 9, (40, 5, 16, 16))))


def test_negative_numbers_have_a_remedy_that_works(tmp_path: Path) -> None:
    a = RNG.integers(-1000, 3000, (40, 8, 8))
    text = refused(npy(tmp_path, a))
    assert "a pixel of -1000" not in text or "@white" not in text
    assert load.load(npy(tmp_path, a.astype("float32"))).spec.dtype == "float32"
    assert "save a - a.min(), or floats: a.astype('float32')" in text


# --- ranges -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "kind"), [(0, "u1"), (255, "u1"), (7, "f4")])
def test_pictures_of_one_number_are_told(tmp_path: Path, number: int, kind: str) -> None:
    data = load.load(npy(tmp_path, np.full((20, 8, 8), number, kind)))
    assert data.notes == (f"every pixel is {number}",)


def test_one_bright_picture_does_not_hide_dark_ones(tmp_path: Path) -> None:
    dark = GREY % 2
    dark[3] = GREY[3]
    notes = load.load(npy(tmp_path, dark)).notes
    assert len(notes) == 1
    assert "brightest pixel of 39 of the 40 pictures is 1 of 255" in notes[0]
    assert load.load(npy(tmp_path, GREY)).notes == ()
    few = GREY.copy()
    few[:15] //= 8
    assert load.load(npy(tmp_path, few)).notes == ()


def test_one_hot_pixel_does_not_hide_twelve_bits(tmp_path: Path) -> None:
    for i in range(10):
        a = RNG.integers(0, 4096, (8, 8)).astype(np.uint16)
        a[0, 0] = 65535 if i == 3 else 4095
        Image.fromarray(a).save(tmp_path / f"{i}.png")
    text = refused(str(tmp_path))
    assert "of 9 pictures of 16 bits is 4095 of 65535" in text and "@white=4095" in text


def test_floats_that_use_little_of_their_range_are_told(tmp_path: Path) -> None:
    a = RNG.random((40, 8, 8)).astype(np.float32)
    assert load.load(npy(tmp_path, a)).notes == ()
    a[3, 2, 1] = 1e6
    (note,) = load.load(npy(tmp_path, a)).notes
    assert "of a range from" in note and "to 1e+06" in note
    assert load.load(npy(tmp_path, mended(note, a))).notes == ()


# --- keys and labels ----------------------------------------------------------------------------


def test_arrays_that_are_not_read_are_told(tmp_path: Path) -> None:
    np.savez(tmp_path / "b.npz", GREY, TWO)
    data = load.load(str(tmp_path / "b.npz"))
    assert data.labels is None and data.notes[0].startswith("not read: arr_1; labels are called")
    assert load.load(npz(tmp_path, images=GREY, labels=TWO)).notes == ()
    assert load.load(npz(tmp_path, X=GREY, Y=TWO)).spec.classes == 2


def test_a_label_that_is_one_number_is_refused(tmp_path: Path) -> None:
    assert "labels of shape () for 40 examples" in refused(npz(tmp_path, images=GREY, labels=3))


def test_labels_out_of_range_have_a_remedy_that_works(tmp_path: Path) -> None:
    labels = TWO * 2 - 1
    assert "np.unique(labels, return_inverse=True)[1]" in refused(
        npz(tmp_path, images=GREY, labels=labels)
    )
    labels = np.unique(labels, return_inverse=True)[1]
    assert load.load(npz(tmp_path, images=GREY, labels=labels)).spec.classes == 2


def test_a_class_without_training_examples_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = {"x_train": GREY, "y_train": TWO, "x_test": GREY[:9], "y_test": np.arange(9) % 3}
    data = npz(tmp_path, **parts)
    assert main(["data", "show", data, "-o", str(tmp_path / "a.png")]) == 0
    assert "no training example of 2: recipes with labels refuse this" in capsys.readouterr().out


def test_names_of_classes_stay_in_their_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a\nb", "c\x1b[2J"):
        (tmp_path / "d" / name).mkdir(parents=True)
        for i in range(10):
            Image.fromarray(GREY[i]).save(tmp_path / "d" / name / f"{i}.png")
    assert main(["data", "show", str(tmp_path / "d"), "-o", str(tmp_path / "a.png")]) == 0
    out = capsys.readouterr().out
    assert "  a\\nb " in out and "  c\\x1b[2J" in out and "\x1b" not in out


# --- files of other kinds -----------------------------------------------------------------------


def test_files_of_torch_tensors_and_single_pictures_are_named(tmp_path: Path) -> None:
    import torch

    torch.save(torch.zeros(4, 1, 8, 8), tmp_path / "a.pt")
    assert "it is a file of torch: save its arrays" in refused(str(tmp_path / "a.pt"))
    Image.fromarray(GREY[0]).save(tmp_path / "one.png")
    text = refused(str(tmp_path / "one.png"))
    assert f"one picture: give the folder of all pictures, as --data {tmp_path}" in text
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "data.mdb").write_bytes(b"x")
    assert "it holds 1 .mdb: put files of" in refused(str(tmp_path / "d"))


def test_a_damaged_zip_is_one_error_at_every_door(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import gzip

    (tmp_path / "a.zip").write_bytes(gzip.compress(b"./folder" + bytes(600)))
    words = [["data", "show"], ["data", "pack"], ["train"], ["train", "dcgan", "--data"]]
    errors = set()
    for word in words:
        out = [str(tmp_path / "out")] if word[-1] == "pack" else []
        assert main([*word, str(tmp_path / "a.zip"), *out]) == 65
        errors.add(capsys.readouterr().err)
    assert len(errors) == 1
