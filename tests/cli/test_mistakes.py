"""What people type by mistake, or in other words: it works, or one line says the right word."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganforge import recipes
from ganforge.api import default_folder
from ganforge.cli import main
from ganforge.config import convert
from ganforge.experiments.plan import parse
from ganforge.registry import PARTS
from ganforge.runs import folder

REFUSED = {
    "resume runs/dcgan": "ganforge train runs/NAME goes on",
    "generate runs/dcgan": "ganforge sample runs/NAME",
    "evaluate runs/dcgan --metrics fid": "here it is called 'frechet'",
    "evaluate runs/dcgan --metrics kid": "here it is called 'kernel'",
    "train dcgan --generator.lr fast --dry-run": "generator.lr = 'fast': expected float",
    "train dcgam": "did you mean 'dcgan'",
    "train --data minst --dry-run": "did you mean 'mnist'",
    "train dcgan --game.los hinge": "did you mean 'loss'",
    "train dcgan --game.loss hing": "did you mean 'hinge'",
    "train dcgan --game.penalties.0.gamma 1": "game.penalties is empty; --game.penalties r1,r2",
    "train dcgan --game.penalties r3": "known: gradient-penalty",
    "train dcgan --batch 7.5": "expected a whole number",
    "train dcgan --epochs 0 --dry-run": "epochs = 0.0: expected more than 0",
    "train --data mixed --size none": "size",
    "train dcgan --data mixed --dry-run": "--size 32",
    "sample runs/nothing": "no such run",
    "train cdcgan --data vectors.npy --dry-run": "needs labels",
    "diagnose --explain gf99": "code = 'GF099'",
    "train nothing": "is no recipe, no data set and no path",
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a run, pictures of two sizes, and vectors."""
    monkeypatch.chdir(tmp_path)
    folder.prepare("runs/dcgan", recipes.dcgan())
    (tmp_path / "runs/dcgan/run.json").write_text("{}")
    (tmp_path / "mixed").mkdir()
    for i in range(12):
        Image.new("L", (32, 32 + i % 2)).save(tmp_path / f"mixed/{i}.png")
    np.save(tmp_path / "vectors.npy", np.zeros((40, 3)))
    return tmp_path


@pytest.mark.parametrize("words", REFUSED)
def test_a_mistake_is_told_in_one_line(
    place: Path, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(shlex.split(words)) != 0
    said = capsys.readouterr().err
    assert REFUSED[words] in said and "Traceback" not in said and "a bug of ours" not in said


@pytest.mark.parametrize("data", ["photos", "some/photos", "photos.npy"])
def test_data_that_a_run_names_and_that_are_gone_are_missing_data(
    place: Path, data: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A name that is typed may be misspelt, which is another exit code; a run's is not."""
    config = replace(recipes.find("gaussian"), data=data)
    folder.prepare("runs/gone", config)
    assert main(["train", "runs/gone"]) == 65
    said = capsys.readouterr().err
    assert f"data '{data}': no such file or folder" in said
    assert main(["train", "gaussian", "--data", "photos", "--dry-run"]) == 2


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("train dcgan --lr 1e-3 --print-config", "lr = 0.001"),
        ("train dcgan --game.penalties r1,r2 --print-config", 'kind = "r2"'),
        (
            "train dcgan --game.penalties r1,r2 --game.penalties.0.gamma 3 --print-config",
            "gamma = 3.0",
        ),
        ("train runs/dcgan --print-config", 'name = "dcgan"'),
        ("diagnose --explain gf1", "GF001"),
        ("sample", "to sample a run: ganforge sample runs/dcgan"),
    ],
)
def test_other_ways_work(
    place: Path, words: str, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(shlex.split(words)) == 0
    assert shown in capsys.readouterr().out


def test_seeds_with_a_dash() -> None:
    assert parse("0-3") == (0, 1, 2, 3) and parse("0-1,7") == (0, 1, 7)


def test_a_second_experiment_gets_a_folder_of_its_settings(place: Path) -> None:
    hinge = convert.override(recipes.dcgan(), {"game.loss": "hinge"}, PARTS)
    assert default_folder(recipes.dcgan()) == Path("runs/dcgan")
    assert default_folder(hinge) == Path("runs/dcgan-loss-hinge")
    folder.prepare("runs/dcgan-loss-hinge", hinge)
    assert default_folder(hinge) == Path("runs/dcgan-loss-hinge")  # the same command goes on
    more = convert.override(recipes.dcgan(), {"epochs": "99"}, PARTS)
    assert default_folder(more) == Path("runs/dcgan")


def test_data_that_are_read_otherwise_get_a_folder_of_that_setting(place: Path) -> None:
    """The remedy of too few held-out pictures, FOLDER@held_out=0.2, is a new run."""
    one = replace(recipes.pictures(), data="photos")
    wide = replace(one, data="photos@held_out=0.2")
    folder.prepare(default_folder(one), one)
    assert default_folder(wide) == Path("runs/pictures-photos-held_out-0.2")
    folder.prepare(default_folder(wide), wide)
    assert default_folder(wide) == Path("runs/pictures-photos-held_out-0.2")
    assert default_folder(replace(one, data="elsewhere/photos")) == Path("runs/pictures-photos")
