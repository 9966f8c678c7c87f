"""The model in the package: digits without training, by its name, in 16 bits, within a megabyte."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import ganforge as gf
from ganforge import recipes
from ganforge.cli import main
from ganforge.config import convert
from ganforge.config.schema import Config
from ganforge.data.spec import DataSpec
from ganforge.evaluation import features
from ganforge.registry import PARTS
from ganforge.runs import builtin, checkpoint, folder, model
from tests.helpers.samplers import fresh

WEIGHTS, CARD = builtin.FOLDER / model.WEIGHTS, (builtin.FOLDER / model.CARD).read_text()


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_its_digits_are_those_asked_for() -> None:
    labels = np.arange(200) % 10
    digits = gf.load("cdcgan-mnist").sample(200, labels=labels, seed=1)
    assert digits.shape == (200, 28, 28, 1) and digits.dtype == np.uint8
    logits = features.digit_logits(digits, labels, DataSpec((1, 28, 28), 10))
    assert logits is not None and (logits.argmax(1) == labels).mean() > 0.98


def test_it_is_the_default_recipe_as_the_card_says() -> None:
    training = json.loads((builtin.FOLDER / model.CONFIG).read_text())["training"]
    config = convert.from_dict(Config, training["config"], PARTS)
    wanted = convert.override(
        recipes.cdcgan(), {"threads": 1, "precision": "fp32", "seed": 0}, PARTS
    )
    # how often a run writes decides nothing of the model
    assert replace(config, output=wanted.output) == wanted and training["step"] == 4297
    assert "ganforge train --seed 0 --threads 1 --precision fp32" in CARD
    assert "Apache-2.0" in CARD and "CC BY-SA 3.0" in CARD
    assert hashlib.sha256(WEIGHTS.read_bytes()).hexdigest() in CARD
    assert {p.name for p in builtin.FOLDER.iterdir()} == {model.CONFIG, model.WEIGHTS, model.CARD}


def test_it_is_small() -> None:
    assert WEIGHTS.stat().st_size < 700_000
    stored = checkpoint.read_tensors(WEIGHTS)
    large = {t.dtype for t in stored.values() if t.numel() >= model.LEAST_HALVED}
    assert large == {torch.float16}


def test_half_of_the_bits_change_a_pixel_by_a_level(place: Path) -> None:
    full = fresh(DataSpec((1, 28, 28), 10))
    half = model.load(model.save(place / "half", full, recipes.cdcgan(), {}, half=True))
    assert {p.dtype for p in half.model.parameters()} == {torch.float32}
    apart = abs(half.sample(50).astype(int) - full.sample(50))
    assert 0 < apart.max() <= 1
    size = (place / "half" / model.WEIGHTS).stat().st_size
    assert size < 0.52 * len(model.encoded_weights(full))


def test_numbers_beyond_16_bits_stay_in_32(place: Path) -> None:
    full = fresh(DataSpec((1, 28, 28), 10))
    name, large = next((n, p) for n, p in full.model.named_parameters() if p.numel() > 2000)
    with torch.no_grad():
        large.view(-1)[0] = 1e5
    made = model.save(place / "half", full, recipes.cdcgan(), {}, half=True)
    stored = checkpoint.read_tensors(made / model.WEIGHTS)
    assert stored[name].dtype == torch.float32 and stored[name].view(-1)[0] == 1e5


@pytest.mark.parametrize(
    ("words", "file"),
    [
        ("sample", "sample.png"),
        ("sample --label 8", "sample.png"),
        ("sample cdcgan-mnist -n 4", "sample.png"),
        ("interpolate cdcgan-mnist --rows 2 --steps 3", "interpolate.png"),
        ("demo cdcgan-mnist", "demo.html"),
    ],
)
def test_commands_write_to_this_folder(
    place: Path, words: str, file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words.split()) == 0
    assert [p.name for p in place.iterdir()] == [file]
    said = capsys.readouterr().out
    assert file in said and said.count("\n") == 1
    assert ("to sample a run: ganforge sample runs/NAME" in said) == (words[:8] in "sample --l")
    assert main(words.split()) == 2  # the file is there
    assert {p.name for p in builtin.FOLDER.iterdir()} == {model.CONFIG, model.WEIGHTS, model.CARD}


def test_the_label_is_made(place: Path) -> None:
    assert main(["sample", "--label", "8", "-n", "3", "-o", "eight.npz"]) == 0
    with np.load(place / "eight.npz", allow_pickle=False) as file:
        assert (file["samples"] == gf.load("cdcgan-mnist").sample(3, labels=8)).all()


def test_without_a_run_the_newest_is_named(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder.prepare("runs/dcgan", recipes.dcgan())
    (place / "runs/dcgan/run.json").write_text("{}")
    assert main(["sample", "-n", "1"]) == 0
    assert "of cdcgan-mnist, the model in the package" in (said := capsys.readouterr().out)
    assert said.endswith("to sample a run: ganforge sample runs/dcgan\n")


def test_a_folder_of_its_name_comes_first(place: Path) -> None:
    model.save(place / builtin.NAME, fresh(DataSpec((1, 8, 8), 2), "cgan"), recipes.cgan(), {})
    assert gf.load("cdcgan-mnist").sample(1).shape == (1, 8, 8, 1)
    assert main(["sample", "-n", "1"]) == 0  # without a run: that of the package
    with Image.open(place / "sample.png") as picture:
        assert picture.size[0] >= 28


def test_its_scores_are_printed_and_not_saved(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", "cdcgan-mnist", "-n", "200", "--metrics", "label-accuracy"]) == 0
    said = capsys.readouterr().out
    assert "label-accuracy" in said and "saved" not in said
    assert not list(place.iterdir())
    assert {p.name for p in builtin.FOLDER.iterdir()} == {model.CONFIG, model.WEIGHTS, model.CARD}
