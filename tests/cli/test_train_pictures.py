"""`ganforge train PICTURES/` from the command line: chosen, told, trained, gone on with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganforge.cli import main
from ganforge.config.schema import Config
from ganforge.registry import PARTS
from ganforge.runs.folder import Run
from ganforge.runs.load import load_config

SMALL = [
    "--networks.generator_width", "4", "--networks.discriminator_width", "4",
    "--batch", "8", "--device", "cpu", "--precision", "fp32", "--threads", "1",
]  # fmt: skip


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with 40 pictures of 20 x 16 in `pics`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pics").mkdir()
    chance = np.random.default_rng(0)
    for i in range(40):
        pixels = chance.integers(0, 256, (16, 20, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "pics" / f"{i:02}.png")
    return tmp_path


def config_of(path: Path) -> Config:
    return load_config(Run(path))


def test_it_says_what_it_chose_and_trains(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "pics", "--kimg", "0.04", *SMALL]) == 0
    printed = capsys.readouterr().out
    for line in ("40 colour pictures of 16 x 20, no labels", "recipe   pictures", "as they are"):
        assert line in printed
    assert "takes    about" in printed
    config = config_of(place / "runs" / "pictures-pics")
    assert (config.name, config.data, config.size) == ("pictures", "pics", None)
    assert config.game.augment[0].colour == 1.0
    # the folder is a name too, and the run is finished
    assert main(["train", "runs/pictures-pics"]) == 0
    assert "already finished" in capsys.readouterr().out
    # by the same command it goes on, and nothing is measured or chosen anew
    assert main(["train", "pics", "--kimg", "0.08", *SMALL]) == 0
    printed = capsys.readouterr().out
    assert "resumed at step 5 of 10" in printed
    assert "takes    about" not in printed


def test_minutes_from_the_command_line(place: Path) -> None:
    assert main(["train", "pics", "--minutes", "0.001", *SMALL]) == 0
    config = config_of(place / "runs" / "pictures-pics")
    assert config.minutes == 0.001
    assert config.kimg is not None and config.kimg >= 0.1
    assert main(["train", "pics", "--minutes", "0.001", *SMALL]) == 0
    assert config_of(place / "runs" / "pictures-pics") == config


def test_fine_tuning_and_mirror_images(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "pics", "--kimg", "0.04", "--out", "a", *SMALL]) == 0
    more = ["--from", "a", "--mirror", "--size", "32", "--kimg", "0.04", "--out", "b"]
    assert main(["train", "pics", *more, *SMALL]) == 0
    assert "begins from a:" in capsys.readouterr().out
    assert config_of(place / "b").mirror


def test_another_augmentation_by_its_kind(place: Path) -> None:
    more = ["--game.augment.0.kind", "adaptive", "--kimg", "0.04", "--out", "a"]
    assert main(["train", "pictures", "--data", "pics", *more, *SMALL]) == 0
    assert config_of(place / "a").game.augment == (PARTS["augmentations"]["adaptive"](),)


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        (["pics", "--data", "mnist"], 2, "both name data"),
        (["pics", "--epochs", "1", "--minutes", "2"], 2, "--epochs and --minutes both state"),
        (["pics", "--minutes", "-1"], 2, "minutes = -1.0"),
        (["pics", "--seeds", "0..1", "--minutes", "2"], 2, "--minutes 2.0 and --seeds 0..1"),
        (["pics", "--gpus", "2", "--minutes", "2"], 2, "give --kimg with --gpus 2"),
        (["spirals"], 2, "ganforge train gaussian-stable --data spirals"),
        (["nowhere/"], 65, "no such file or folder"),
        (["picz"], 2, "is no recipe, no data set and no path"),
        (["pics", "--from", "nothing"], 65, "no such run or model folder"),
        (["gaussian", "--mirror"], 2, "mirror changes pictures"),
    ],
)
def test_bad_words_are_one_line_and_write_nothing(
    words: list[str], code: int, line: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", *words]) == code
    assert line in capsys.readouterr().err
    assert not (place / "runs").exists()
