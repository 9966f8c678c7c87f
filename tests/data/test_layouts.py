"""Folders as people lay them out: classes beside parts, stray files, tables further up."""

from __future__ import annotations

import json
import re
import shlex
import unicodedata
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganforge.cli import main
from ganforge.data import load
from ganforge.data.dataset import Dataset
from ganforge.errors import DataError
from ganforge.runs.folder import CONFIG, INFO

RNG = np.random.default_rng(0)


def save(folder: Path, count: int = 10, suffix: str = ".png") -> Path:
    """`count` pictures in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        pixels = RNG.integers(0, 256, (8, 8), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:03}{suffix}", "PNG")
    return folder


def laid_out(path: Path, folders: str, count: int = 10) -> Path:
    for name in folders.split():
        save(path / name, count)
    return path


def zipped(path: Path) -> Path:
    with zipfile.ZipFile(out := path.with_suffix(".zip"), "w") as archive:
        for file in sorted(path.rglob("*")):
            archive.write(file, file.relative_to(path))
    return out


def refused(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        load.load(str(path))
    return str(caught.value)


def remedies(text: str, path: Path, capsys: pytest.CaptureFixture[str]) -> list[Dataset]:
    """The data of every `--data ...` in an error."""
    named = [shlex.split(found)[0] for found in re.findall(r"--data ([^\s,]+)", text)]
    for data in named:
        assert main(["data", "show", data, "-o", str(path / "shown.png")]) == 0, data
    capsys.readouterr()
    return [load.load(data) for data in named]


# --- parts and classes --------------------------------------------------------------------------


def test_unlabelled_pictures_beside_classes_are_left_out_and_counted(tmp_path: Path) -> None:
    data = load.load(str(laid_out(tmp_path, "cats dogs unlabeled pred")))
    assert data.class_names == ("cats", "dogs") and sum(data.counts) == 20
    assert {"left out: unlabeled, 10 pictures without a class"} <= set(data.notes)
    (tmp_path / "unlabelled").mkdir()  # empty, and no class either
    assert load.load(str(tmp_path)).class_names == ("cats", "dogs")


@pytest.mark.parametrize("folders", ["a b test", "control test", "train/a train/b extra"])
def test_one_part_among_other_folders_is_never_guessed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], folders: str
) -> None:
    text = refused(laid_out(tmp_path, folders))
    assert "is the name of a part" in text
    part, classes = remedies(text, tmp_path, capsys)
    assert sum(classes.counts) > sum(part.counts) and classes.spec.classes > 1
    zip_file = zipped(laid_out(tmp_path / "z", folders))
    assert "unpack it and give one of them" in refused(zip_file)


def test_a_class_called_train_is_said(tmp_path: Path) -> None:
    data = load.load(str(laid_out(tmp_path, "bus car train")))
    assert data.class_names == ("bus", "car", "train")
    assert "the folder train is a class" in data.notes


def test_the_same_one_folder_in_each_part_is_no_class(tmp_path: Path) -> None:
    assert load.load(str(laid_out(tmp_path, "train/images val/images"))).labels is None


@pytest.mark.parametrize("wrapped", ["", "data/set/"])
@pytest.mark.parametrize("more", ["", " blue/huge"])
def test_the_level_that_is_told_is_that_of_the_folders(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], wrapped: str, more: str
) -> None:
    folders = "red/small red/big blue/small blue/big" + more
    laid_out(tmp_path / "d" / wrapped, folders)
    first, second = remedies(refused(tmp_path / "d"), tmp_path, capsys)
    assert first.class_names == ("blue", "red")
    assert second.class_names == (("big", "huge", "small") if more else ("big", "small"))


def test_stray_pictures_do_not_hide_classes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    laid_out(tmp_path / "d", "cats dogs", 60)
    (tmp_path / "d" / "logo.svg").write_text("<svg/>")
    save(tmp_path / "d", 1)
    data = load.load(str(tmp_path / "d"))
    assert data.class_names == ("cats", "dogs") and sum(data.counts) == 120
    assert "left out: 1 pictures beside the folders of all others, as 000.png" in data.notes
    save(tmp_path / "d", 2)
    data = load.load(str(tmp_path / "d"))
    assert data.labels is None and sum(data.counts) == 122
    assert any("lie beside the folders cats, dogs" in note for note in data.notes)

    laid_out(tmp_path / "p", "train/a train/b test/a test/b .")
    text = refused(tmp_path / "p")
    assert "10 pictures, such as 000.png, lie in none" in text
    assert remedies(text, tmp_path, capsys)[0].class_names == ("a", "b")


def test_a_file_above_the_classes_does_not_hide_them(tmp_path: Path) -> None:
    laid_out(tmp_path / "in", "cats dogs", 60)
    (tmp_path / "logo.svg").write_text("<svg/>")
    assert load.load(str(tmp_path)).class_names == ("cats", "dogs")


# --- classes without pictures -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("folders", "hollow"),
    [
        ("cats birds", "dogs"), ("in/cats in/birds", "in/dogs"),
        ("train/a train/b test/a test/b", "train/c test/c"), ("train/in/a train/in/b test/a test/b",
        "train/in/c test/c"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("file", ["", "Thumbs.db", "all.zip", "a.npy", "a.mp4", "a.jxl"])
def test_a_class_without_pictures_never_vanishes(
    tmp_path: Path, folders: str, hollow: str, file: str
) -> None:
    laid_out(tmp_path / "d", folders, 60)
    for name in hollow.split():
        (tmp_path / "d" / name).mkdir()
        if file:
            (tmp_path / "d" / name / file).write_bytes(b"something")
    for path in (tmp_path / "d", zipped(tmp_path / "d")):
        text = refused(path)
        assert hollow.rpartition("/")[2] in text and "of 3 class folders have no picture" in text


def test_folders_of_texts_and_of_runs_are_no_classes(tmp_path: Path) -> None:
    laid_out(tmp_path, "cats dogs")
    for name in ("annotations/a.xml", f"runs/x/{CONFIG}", f"runs/x/{INFO}", "@eaDir/a.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{}")
    assert load.load(str(tmp_path)).class_names == ("cats", "dogs")


def test_archives_beside_pictures_are_told(tmp_path: Path) -> None:
    zipped(save(tmp_path / "more")).rename(save(tmp_path / "d") / "more.zip")
    assert any("not read: 1 .zip" in note for note in load.load(str(tmp_path / "d")).notes)


def test_pictures_are_found_whatever_they_are_called(tmp_path: Path) -> None:
    save(tmp_path / "cats")
    for number, end in enumerate(("", ".jpg?w=200", ".jpg_large", ".PNG", ".image")):
        save(tmp_path / "dogs" / str(number), 2, end)
    (tmp_path / "dogs" / "notes").write_text("no picture")
    data = load.load(str(tmp_path))
    assert data.class_names == ("cats", "dogs") and sum(data.counts) == 20


def test_two_names_that_look_the_same_are_refused(tmp_path: Path) -> None:
    laid_out(tmp_path, " ".join(unicodedata.normalize(form, "café") for form in ("NFC", "NFD")))
    assert "are written café: rename one" in refused(tmp_path)


# --- tables -------------------------------------------------------------------------------------


def rows(prefix: str = "", labels: str = "ab", count: int = 10) -> str:
    return "".join(f"{prefix}{i:03}.png,{labels[i % len(labels)]}\n" for i in range(count))


@pytest.mark.parametrize("place", ["", "top/", "top/in/"])
@pytest.mark.parametrize("zip_it", [False, True])
@pytest.mark.parametrize("name", ["labels.csv", "dataset.json"])
def test_a_table_in_any_folder_around_the_pictures_counts(
    tmp_path: Path, place: str, zip_it: bool, name: str
) -> None:
    save(tmp_path / "d" / "top" / "in" / "00000")
    inside = "top/in/00000/".removeprefix(place)
    text = rows(inside)
    if name == "dataset.json":
        text = json.dumps({"labels": [row.split(",") for row in text.split()]})
    (tmp_path / "d" / place / name).write_text(text)
    path = zipped(tmp_path / "d") if zip_it else tmp_path / "d"
    assert load.load(str(path)).class_names == ("a", "b")


def test_a_table_that_would_not_be_read_is_told(tmp_path: Path) -> None:
    laid_out(tmp_path / "d", "train test")
    (tmp_path / "d" / "train" / "labels.csv").write_text(rows())
    text = refused(tmp_path / "d")
    assert "train/labels.csv lies in a folder that does not hold all" in text
    (tmp_path / "d" / "train" / "labels.csv").unlink()
    (tmp_path / "d" / "train.csv").write_text(rows())
    assert any("not read: train.csv" in note for note in load.load(str(tmp_path / "d")).notes)


def test_the_columns_that_are_used_are_told(tmp_path: Path) -> None:
    table = "id,age,class,label\n" + "".join(f"{i:03},9,{'xy'[i % 2]},{i % 3}\n" for i in range(10))
    (save(tmp_path) / "labels.csv").write_text(table)
    data = load.load(str(tmp_path))
    assert data.class_names == ("0", "1", "2")
    assert "labels.csv: the columns id and label are used" in data.notes


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        (["a", "nan"], "line 2 has no label"),
        (["0.5", "1.5"], "the label 0.5 is a fraction and no class"),
        (["1.0", "3.0"], ("1", "3")),
        (["1.0", "x"], ("1.0", "x")),
        (["-1", "1"], ("-1", "1")),
    ],
)
def test_labels_of_a_table(tmp_path: Path, labels: list[str], says: str | tuple[str, ...]) -> None:
    lines = [f"{i:03}.png,{labels[i % 2]}" for i in range(10)]
    (save(tmp_path) / "labels.csv").write_text("\n".join(lines))
    if isinstance(says, str):
        assert says in refused(tmp_path)
    else:
        assert load.load(str(tmp_path)).class_names == says


@pytest.mark.parametrize("some", [False, True])
def test_labels_of_stylegan_that_are_null(tmp_path: Path, some: bool) -> None:
    table = [[f"{i:03}.png", i % 2 if some and i != 3 else None] for i in range(10)]
    (save(tmp_path) / "dataset.json").write_text(json.dumps({"labels": table}))
    if some:
        assert "no label for '003.png'" in refused(tmp_path)
    else:
        assert load.load(str(tmp_path)).labels is None


def test_a_table_may_name_a_picture_that_cannot_be_read_without_its_suffix(tmp_path: Path) -> None:
    table = "".join(f"{i:03},{'ab'[i % 2]}\n" for i in range(120))
    (save(tmp_path, 120) / "labels.csv").write_text(table)
    (tmp_path / "007.png").rename(tmp_path / "007.jxl")
    assert sum(load.load(str(tmp_path)).counts) == 119
