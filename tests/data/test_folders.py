"""Folders and zips as people have them: other formats, links, parts, tables, our own output."""

from __future__ import annotations

import json
import os
import unicodedata
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganforge import images
from ganforge.cli import main
from ganforge.data import decode, load
from ganforge.data.archives import Folder
from ganforge.data.pack import pack
from ganforge.data.parts import part_of
from ganforge.errors import DataError
from ganforge.runs import folder as runs

RNG = np.random.default_rng(0)


def save(path: Path, count: int = 20, suffix: str = ".png", side: int = 8) -> Path:
    """`count` colour pictures in the folder `path`."""
    path.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        pixels = RNG.integers(0, 256, (side, side, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path / f"{i:03}{suffix}")
    return path


def zipped(path: Path, rename: str = "/") -> Path:
    out = path.with_suffix(".zip")
    with zipfile.ZipFile(out, "w") as archive:
        for file in sorted(path.rglob("*")):
            if file.is_file():
                info = zipfile.ZipInfo("x")
                info.filename = file.relative_to(path).as_posix().replace("/", rename)
                archive.writestr(info, file.read_bytes())
    return out


def shown(capsys: pytest.CaptureFixture[str], path: Path, *options: str) -> tuple[int, str]:
    """Exit code and output of `ganforge data show`."""
    out = path.parent / "shown.png"
    code = main(["data", "show", str(path), "-o", str(out), *options])
    out.unlink(missing_ok=True)
    printed = capsys.readouterr()
    return code, printed.out + printed.err


def count(text: str, row: str) -> str:
    """The value of a row of `data show`."""
    return next(line.split(None, 1)[1] for line in text.splitlines() if line.startswith(row))


# --- what can be read, and what is left out -----------------------------------------------------


def test_avif_is_read(tmp_path: Path) -> None:
    pytest.importorskip("PIL._avif")
    pixels = np.full((16, 16, 3), (200, 30, 90), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.avif", quality=100)
    data = load.load(str(tmp_path))
    assert data.spec.shape == (3, 16, 16)
    assert np.abs(data.values[0].astype(int) - pixels).max() < 8


@pytest.mark.parametrize(
    "suffix", [".HEIC", ".heif", ".jxl", ".svg", ".tga", ".dng", ".CR2", ".psd"]
)
def test_pictures_of_formats_that_are_not_read_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], suffix: str
) -> None:
    if suffix.lower() in decode.SUFFIXES:
        pytest.skip("this format is installed here")
    folder = save(tmp_path / "d", 100)
    (folder / f"new{suffix}").write_bytes(b"picture")
    code, text = shown(capsys, folder)
    assert code == 0 and f"new{suffix}: " in text
    assert "left out     1 files that cannot be read" in text
    assert main(["data", "pack", str(folder), str(tmp_path / "packed")]) == 0
    assert f"new{suffix}: " in capsys.readouterr().out
    (folder / f"newer{suffix}").write_bytes(b"picture")
    code, text = shown(capsys, folder)
    assert (
        code == 65
        and f"2 of 102 pictures cannot be read, more than 1 % (2 {suffix.lower()})" in text
    )


def test_training_tells_what_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = save(tmp_path / "d", 100)
    (folder / "a.svg").write_text("<svg/>")
    words = [
        "train",
        "dcgan",
        "--size",
        "16",
        "--data",
        str(folder),
        "--kimg",
        "0.1",
        "--out",
        str(tmp_path / "run"),
    ]
    assert main([*words, "--dry-run"]) == 0
    assert "1 files left out, the first: a.svg" in capsys.readouterr().out
    assert main(words) == 0
    assert "1 files left out, the first: a.svg" in capsys.readouterr().out


def test_links_to_folders_are_followed_and_loops_are_cut(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(tmp_path / "d" / "cats")
    save(tmp_path / "elsewhere" / "dogs")
    (tmp_path / "d" / "dogs").symlink_to("../elsewhere/dogs")
    assert load.load(str(tmp_path / "d")).class_names == ("cats", "dogs")
    (tmp_path / "d" / "up").symlink_to("..")
    (tmp_path / "d" / "cats" / "loop").symlink_to("../dogs")
    (tmp_path / "elsewhere" / "dogs" / "loop").symlink_to(tmp_path / "d" / "cats")
    names = Folder(tmp_path / "d").names()
    assert len(names) == len(set(names)) == 4 * 20 + 3  # the links that lead back stand as files
    code, text = shown(capsys, tmp_path / "d")
    assert code == 65 and "a link that leads back" in text


@pytest.mark.parametrize("name", ["dogs", "a.png"])
@pytest.mark.parametrize("to_itself", [False, True])
def test_a_link_that_leads_nowhere_is_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, to_itself: bool
) -> None:
    folder = save(tmp_path / "d", 120)
    (folder / name).symlink_to(name if to_itself else "nowhere")
    code, text = shown(capsys, folder)
    assert code == 0 and f"{name}: a link that leads nowhere" in text and "1 files" in text


def test_pages_are_an_error_and_frames_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def moving(folder: str, suffix: str) -> Path:
        save(tmp_path / folder)
        pages = [Image.new("L", (8, 8), k) for k in range(3)]
        pages[0].save(tmp_path / folder / f"a{suffix}", save_all=True, append_images=pages[1:])
        return tmp_path / folder

    code, text = shown(capsys, moving("pages", ".tif"))
    assert code == 65 and "2 pages of 1 files" in text and "a.tif: save each page" in text
    code, text = shown(capsys, moving("frames", ".gif"))
    assert code == 0 and "left out: 2 frames behind the first of 1 files" in text


@pytest.mark.parametrize("fault", ["empty", "unread", "damaged"])
def test_a_class_never_vanishes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], fault: str
) -> None:
    save(tmp_path / "d" / "cats", 300)
    (tmp_path / "d" / "dogs").mkdir()
    if fault != "empty":
        name = "a.svg" if fault == "unread" else "a.png"
        (tmp_path / "d" / "dogs" / name).write_bytes(b"picture")
    code, text = shown(capsys, tmp_path / "d")
    assert code == 65 and "1 of 2 class folders have no picture" in text and "dogs" in text


def test_one_empty_class_of_many_stays_a_class(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for k in range(100):
        save(tmp_path / "d" / f"c{k:03}", 3)
    (tmp_path / "d" / "empty").mkdir()
    code, text = shown(capsys, tmp_path / "d")
    assert code == 0 and count(text, "classes") == "101"
    words = ["train", "cdcgan", "--data", str(tmp_path / "d"), "--size", "16", "--dry-run"]
    assert main([*words, "--out", str(tmp_path / "run")]) == 65
    assert "no training example has the label empty" in capsys.readouterr().err


# --- parts --------------------------------------------------------------------------------------


def test_names_of_parts() -> None:
    parts = {
        "train": "train training Train seg_train train2017 mnist-train trainA trainset",
        "validation": "val valid validation dev eval val2017 Val_images",
        "test": "test testing TEST seg_test testB images-test",
        "": "pred seg_pred unlabeled unlabeled2017",
    }
    for part, names in parts.items():
        assert {part_of(name)[0] for name in names.split()} == {part}, part
    assert {
        part_of(name)[0] for name in ["cats", "trainer", "strain", "contest", "latest", "devil"]
    } == {None}
    assert part_of("trainA")[1] == "A" and part_of("test_b")[1] == "B" and part_of("train")[1] == ""


@pytest.mark.parametrize("names", [("seg_train", "seg_test", "seg_pred"), ("training", "testing")])
@pytest.mark.parametrize("zip_it", [False, True])
def test_folders_that_are_parts_are_used_as_parts(
    tmp_path: Path, names: tuple[str, ...], zip_it: bool
) -> None:
    for name, number in zip(names, (20, 6, 9), strict=False):
        for kind in ("sea", "forest"):
            save(tmp_path / "d" / name / kind, number if "pred" not in name else 0)
        if "pred" in name:
            save(tmp_path / "d" / name, number)
    path = zipped(tmp_path / "d") if zip_it else tmp_path / "d"
    train, test = load.load(str(path)), load.load(str(path), part="test")
    assert train.counts == (38, 2, 12) and train.class_names == ("forest", "sea")
    published = list((tmp_path / "d" / names[1]).rglob("*.png"))
    pixels = {
        np.asarray(Image.open(f)).tobytes() for f in (tmp_path / "d" / names[1]).rglob("*.png")
    }
    assert {value.tobytes() for value in test.values} == pixels and len(published) == 12
    assert any("used as parts" in note for note in train.notes)
    left = [note for note in train.notes if "seg_pred, 9 pictures" in note]
    assert len(left) == (len(names) == 3)


def test_a_validation_part_without_a_test_part(tmp_path: Path) -> None:
    for part, number in (("train2017", 40), ("val2017", 8)):
        for kind in ("a", "b"):
            save(tmp_path / part / kind, number)
    data = load.load(str(tmp_path), part="validation")
    assert data.counts == (76, 16, 4)
    expected = {np.asarray(Image.open(f)).tobytes() for f in (tmp_path / "val2017").rglob("*.png")}
    assert {value.tobytes() for value in data.values} == expected


@pytest.mark.parametrize(
    ("folders", "says"),
    [
        ("train/a train/b test/a", "train and test differ in classes (b)"),
        ("train test other", "train are parts, other is none"),
        ("val test", "none of them is the training part"),
        ("train_images train_masks", "several of them are the train part"),
    ],
)
def test_parts_that_do_not_fit_are_refused_with_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], folders: str, says: str
) -> None:
    for name in folders.split():
        save(tmp_path / "d" / name, 2)
    code, text = shown(capsys, tmp_path / "d")
    assert (
        code == 65
        and says in text
        and f"give one of them, for example --data {tmp_path}/d/" in text
    )


def test_one_class_may_be_called_train(tmp_path: Path) -> None:
    for name in ("bus", "car", "train"):
        save(tmp_path / name)
    assert load.load(str(tmp_path)).class_names == ("bus", "car", "train")


def test_folders_with_equal_subfolders_are_never_guessed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for colour in ("red", "blue"):
        for size in ("small", "big"):
            save(tmp_path / "d" / colour / size)
    code, text = shown(capsys, tmp_path / "d")
    assert code == 65 and "d@level=1" in text and "d@level=2" in text
    for level, names in ((1, ("blue", "red")), (2, ("big", "small")), (0, ())):
        assert load.load(f"{tmp_path / 'd'}@level={level}").class_names == names


# --- labels -------------------------------------------------------------------------------------


@pytest.mark.parametrize("zip_it", [False, True])
@pytest.mark.parametrize("labels", ["numbers", "one-hot", "none"])
def test_labels_of_stylegan(tmp_path: Path, zip_it: bool, labels: str) -> None:
    rows = []
    for i in range(60):
        name = f"{i // 20:05d}/img{i:08d}.png"
        (tmp_path / "d" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8), i * 4, np.uint8)).save(tmp_path / "d" / name)
        rows.append([name, [int(k == i % 2) for k in range(2)] if labels == "one-hot" else i % 2])
    table = {"labels": None if labels == "none" else rows}
    (tmp_path / "d" / "dataset.json").write_text(json.dumps(table))
    data = load.load(str(zipped(tmp_path / "d") if zip_it else tmp_path / "d"))
    if labels == "none":
        assert data.labels is None
        (tmp_path / "d" / "dataset.json").unlink()
        assert load.load(str(tmp_path / "d")).labels is None  # shards are no classes without it
    else:
        assert data.class_names == ("0", "1")
        assert np.array_equal(data.labels, data.values[:, 0, 0, 0] // 4 % 2)


def test_labels_of_stylegan_that_are_no_classes(tmp_path: Path) -> None:
    save(tmp_path, 4)
    rows = [[f"{i:03}.png", [0.5, i / 3]] for i in range(4)]
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": rows}))
    with pytest.raises(DataError, match=r"dataset\.json: the label \[0\.5"):
        load.load(str(tmp_path))


def table(path: Path, text: str, name: str = "labels.csv", number: int = 4) -> Path:
    save(path, number)
    (path / name).write_bytes(text.encode())
    return path


@pytest.mark.parametrize(
    ("file", "label", "mark"),
    [
        ("filename", "label", ","), ("file_name", "class", ";"), ("image", "category", "\t"),
        ("image_id", "target", ","), ("path", "Breed", ";"), ("id", "breed", "\t"),
        ("FILE", "Label", ","),
    ],
)  # fmt: skip
def test_columns_of_a_table(tmp_path: Path, file: str, label: str, mark: str) -> None:
    rows = [("width", file, label, "note")]
    rows += [(f"{7 + i}", f"{i:03}.png", "ab"[i % 2], "x") for i in range(4)]
    text = "\ufeff" + "\r\n".join(map(mark.join, rows))
    assert load.load(str(table(tmp_path, text))).class_names == ("a", "b")


def test_columns_that_are_not_known_are_listed(tmp_path: Path) -> None:
    rows = "\n".join(f"{i:03}.png,16,16,{'ab'[i % 2]}" for i in range(4))
    for text in (rows, "name,width,height,kind\n" + rows):
        with pytest.raises(DataError, match=r"not known, of (name, width|000\.png, 16)"):
            load.load(str(table(tmp_path, text)))


def test_names_of_a_table_are_found(tmp_path: Path) -> None:
    save(tmp_path / "sub", 2)
    Image.new("L", (8, 8)).convert("RGB").save(tmp_path / unicodedata.normalize("NFD", "é.png"))
    Image.new("L", (8, 8)).convert("RGB").save(tmp_path / "e.jpg")
    lines = ["sub\\000.png,a", "./sub/001,a", unicodedata.normalize("NFC", "é.png") + ",b", "e,b"]
    (tmp_path / "labels.csv").write_text("\n".join(lines), "utf-8")
    assert load.load(str(tmp_path)).class_names == ("a", "b")
    (tmp_path / "sub" / "001.jpg").write_bytes((tmp_path / "e.jpg").read_bytes())
    with pytest.raises(DataError, match=r"names './sub/001', which is no picture here, as '.+' is"):
        load.load(str(tmp_path))


def test_a_first_line_that_names_a_missing_picture_is_no_header(tmp_path: Path) -> None:
    text = "gone.png,a\n000.png,a\n001.png,b\n002.png,a\n003.png,b\n"
    with pytest.raises(DataError, match=r"line 1 names 'gone\.png', .* '000\.png' is"):
        load.load(str(table(tmp_path, text)))


def test_as_many_classes_as_pictures_are_no_classes(tmp_path: Path) -> None:
    rows = "\n".join(f"{i:03}.png,{i / 7}" for i in range(4))
    with pytest.raises(DataError, match=r"4 examples have 4 different labels, such as '0\.0'"):
        load.load(str(table(tmp_path, rows)))


# --- zips of Windows ----------------------------------------------------------------------------


def test_backslashes_in_a_zip_are_slashes(tmp_path: Path) -> None:
    for name in ("cats", "dogs"):
        save(tmp_path / "d" / name)
    plain = load.load(str(zipped(tmp_path / "d")))
    data = load.load(str(zipped(tmp_path / "d", "\\")))
    assert data.class_names == ("cats", "dogs") and data.sha256 == plain.sha256


# --- what ganforge itself has written -----------------------------------------------------------


def test_own_output_is_skipped_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = save(tmp_path / "here", 30)
    monkeypatch.chdir(folder)
    before = load.load(".")
    assert main(["data", "show", "."]) == 0 and (folder / "data-here.png").exists()
    words = ["train", "dcgan", "--size", "16", "--data", ".", "--threads", "1"]
    assert (
        main([*words, "--kimg", "0.1"]) == 0 and runs.Run(folder / "runs" / "dcgan-here").exists()
    )
    pack(".", folder / "packed")
    capsys.readouterr()
    assert main(["data", "show", ".", "-o", "x.png"]) == 0
    text = capsys.readouterr().out
    assert "left out, made by ganforge: 1 packed folder, 1 run" in text
    assert "left out, drawn by ganforge: 1 pictures" in text
    assert load.load(".").sha256 == before.sha256
    assert main([*words, "--kimg", "0.2"]) == 0
    assert "resumed at step" in capsys.readouterr().out


def test_own_output_that_is_named_is_data(tmp_path: Path) -> None:
    folder = tmp_path / "samples"
    folder.mkdir()
    for i in range(20):
        grid = RNG.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        (folder / f"{i}.png").write_bytes(images.png(grid))
    assert sum(load.load(str(folder)).counts) == 20
    packed = pack(str(folder), tmp_path / "packed")
    assert sum(load.load(str(packed)).counts) == 20
    np.savez(tmp_path / "samples.npz", samples=RNG.normal(size=(40, 2)))
    assert sum(load.load(str(tmp_path / "samples.npz")).counts) == 40


def test_a_run_is_not_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(tmp_path / "run" / "samples", 3)
    for name in ("config.toml", "run.json"):
        (tmp_path / "run" / name).write_text("")
    code, text = shown(capsys, tmp_path / "run")
    assert code == 65 and "a run of ganforge and not data" in text


def test_another_dataset_json_makes_no_packed_folder(tmp_path: Path) -> None:
    save(tmp_path, 20)
    (tmp_path / "dataset.json").write_text('{"name": "somebody\'s"}')
    np.save(tmp_path / "images.npy", np.zeros(3))
    (tmp_path / "images.npy").unlink()
    assert sum(load.load(str(tmp_path)).counts) == 20
    os.remove(tmp_path / "dataset.json")
    assert sum(load.load(str(tmp_path)).counts) == 20
