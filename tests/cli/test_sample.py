"""Samples as files: numbered pictures, classes, films; nothing is replaced unless it may be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganforge import images, recipes
from ganforge.cli import main
from ganforge.data.spec import DataSpec
from ganforge.runs import model
from ganforge.sampling.sampler import Sampler
from tests.helpers.samplers import fresh
from tests.helpers.tiny import VECTORS

NAMES = ("cat", "../dog", *map(str, range(2, 10)))


def run(*words: object) -> int:
    return main([str(w) for w in words])


@pytest.fixture(scope="module")
def sampler() -> Sampler:
    return replace(fresh(DataSpec((1, 28, 28), 10)), class_names=NAMES)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory, sampler: Sampler) -> Path:
    folder = tmp_path_factory.mktemp("models") / "digits"
    return model.save(folder, sampler, recipes.cdcgan(), {})


def read(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


@pytest.mark.parametrize("kind", ["png", "webp", "jpg"])
def test_a_folder_of_numbered_pictures(
    digits: Path, sampler: Sampler, tmp_path: Path, kind: str
) -> None:
    out = tmp_path / "new/folder"
    words = ["--seed", 3, "--first", 7, "--truncation", 0.5, "--format", kind]
    assert run("sample", digits, "-n", 300, "-o", f"{out}/", *words) == 0
    files = sorted(out.iterdir())
    assert [p.name for p in files[:2]] == [f"00007.{kind}", f"00008.{kind}"] and len(files) == 300
    wanted = sampler.sample(300, None, 3, 7, 0.5)
    for i in (0, 11, 299):
        found = read(files[i]).reshape(28, 28, -1)[..., :1].astype(int)
        assert abs(found - wanted[i]).max() <= (25 if kind == "jpg" else 0)


def test_pictures_are_enlarged(digits: Path, sampler: Sampler, tmp_path: Path) -> None:
    assert run("sample", digits, "-n", 1, "-o", tmp_path / "f", "--scale", 4) == 0
    large = sampler.sample(1)[0, ..., 0].repeat(4, 0).repeat(4, 1)
    for scale in (65, -1):
        assert run("sample", digits, "-n", 1, "-o", tmp_path / "g", "--scale", scale) == 2
    assert run("sample", digits, "-n", 1, "-o", tmp_path / "h", "--scale", 64) == 0
    assert (read(tmp_path / "f/00000.png") == large).all()
    assert run("sample", digits, "-n", 4, "-o", tmp_path / "g.png", "--scale", 3) == 0
    assert (read(tmp_path / "g.png")[::3, ::3] == images.grid(sampler.sample(4), 10)).all()


def test_classes_have_folders(digits: Path, sampler: Sampler, tmp_path: Path) -> None:
    assert run("sample", digits, "-n", 2, "--classes", "all", "-o", tmp_path / "all") == 0
    assert sorted(p.name for p in (tmp_path / "all").iterdir()) == [
        "0-cat", "1-dog", *map(str, range(2, 10)),
    ]  # fmt: skip
    assert [p.name for p in sorted(tmp_path.iterdir())] == ["all"]
    wanted = sampler.sample(2, labels=1)
    assert (read(tmp_path / "all/1-dog/00001.png") == wanted[1, ..., 0]).all()
    assert run("sample", digits, "-n", 3, "--classes", "cat", 4, "-o", tmp_path / "a.npz") == 0
    with np.load(tmp_path / "a.npz", allow_pickle=False) as file:
        assert file["labels"].tolist() == [0, 0, 0, 4, 4, 4]
        assert (file["samples"][:3] == sampler.sample(3, labels=0)).all()


def test_nothing_is_replaced_unless_it_may_be(
    digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "f").mkdir()
    (tmp_path / "f/00002.png").write_text("mine")
    (tmp_path / "a.png").write_text("mine")
    for out in ("f", "a.png"):
        assert run("sample", digits, "-n", 4, "-o", tmp_path / out) == 2
        assert "add --overwrite" in capsys.readouterr().err
    assert run("interpolate", digits, "-o", tmp_path / "a.png") == 2
    assert [p.name for p in (tmp_path / "f").iterdir()] == ["00002.png"]
    assert (tmp_path / "a.png").read_text() == "mine"
    for out in ("f", "a.png"):
        assert run("sample", digits, "-n", 4, "-o", tmp_path / out, "--overwrite") == 0
    assert read(tmp_path / "f/00002.png").shape == (28, 28)


def test_the_file_in_the_run_is_replaced_and_that_is_said(
    digits: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in ("sample", "interpolate"):
        said = []
        for _ in range(2):
            assert run(command, digits) == 0
            said.append(capsys.readouterr().out.strip())
        assert said[1] == f"{said[0]}, in place of an earlier one; with -o both stay"


def test_what_makes_no_sense(digits: Path, tmp_path: Path) -> None:
    points = model.save(tmp_path / "p", fresh(VECTORS, "gaussian"), recipes.gaussian(), {})
    for words in (
        ["sample", points, "-o", tmp_path / "folder"],
        ["sample", points, "--classes", "all"],
        ["sample", digits, "--classes", "all", "--label", 3],
        ["sample", digits, "--classes", "bird"],
        ["sample", digits, "--truncation", 0],
        ["sample", digits, "--scale", 0],
        ["sample", digits, "-o", tmp_path / "a.jpg"],
        ["sample", digits, "-o", tmp_path / "f", "--format", "bmp"],
        ["interpolate", digits, "-o", tmp_path / "a.mov"],
        ["interpolate", digits, "--fps", 0],
    ):
        assert run(*words) == 2, words
    assert not (tmp_path / "folder").exists()


def test_a_film_of_a_loop(digits: Path, sampler: Sampler, tmp_path: Path) -> None:
    av = pytest.importorskip("av", reason="the extra: pip install 'ganforge[film]'")
    out = tmp_path / "walk.mp4"
    words = ["--label", "cat", "--steps", 12, "--size", 280, "--fps", 12, "--loop"]
    assert run("interpolate", digits, "-o", out, *words) == 0
    with av.open(out) as file:
        stream = file.streams.video[0]
        frames = [f.to_ndarray(format="rgb24") for f in file.decode(stream)]
    assert stream.average_rate == 12 and len(frames) == 12 and frames[0].shape == (280, 280, 3)
    walk = sampler.interpolate(1, 12, 0, "cat", loop=True)
    for wanted, frame in zip(walk, frames, strict=True):
        assert abs(frame[5::10, 5::10, :1].astype(int) - wanted).mean() < 6


def test_a_path_has_no_seams(digits: Path, sampler: Sampler, tmp_path: Path) -> None:
    out = tmp_path / "walk.png"
    assert run("interpolate", digits, "-o", out, "--rows", 2, "--steps", 3) == 0
    walk = sampler.interpolate(2, 3).reshape(2, 3, 28, 28)
    strips = walk.transpose(0, 2, 1, 3).reshape(2, 28, 3 * 28)
    made = read(out)[::2, ::2, 0]
    assert made.shape == (2 * 30 + 2, 3 * 28 + 4)
    assert all((made[2 + 30 * i : 30 + 30 * i, 2:-2] == strips[i]).all() for i in range(2))


def test_a_film_that_is_no_loop_goes_back(digits: Path, tmp_path: Path) -> None:
    out = tmp_path / "walk.gif"
    assert run("interpolate", digits, "-o", out, "--rows", 2, "--steps", 4) == 0
    with Image.open(out) as film:
        assert film.n_frames == 6  # type: ignore[attr-defined]
