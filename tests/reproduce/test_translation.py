"""The ablations of the translators: small runs, floors, claims, and a second call that goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganforge import api
from ganforge.cli import main
from ganforge.errors import DataError
from ganforge.reproduce import EXPERIMENTS, translation
from ganforge.reproduce.translation import Claim, Study
from tests.helpers.tiny import narrow, pairs


def small(study: Callable[[], Study], rows: tuple[str, ...] = ()) -> Study:
    """The study with networks of two channels, and a few of its rows."""
    found = study()
    kept = rows or tuple(found.rows)
    configs = {k: replace(narrow(found.rows[k]), size=None, batch=4, device="cpu") for k in kept}
    return replace(found, rows=configs)


def parts(unpaired: bool = False) -> dict[str, object]:
    return {"train": pairs(12, unpaired=unpaired), "test": pairs(12, part="test")}


@pytest.mark.parametrize(("name", "count"), [("pix2pix", 6), ("pix2pix-64", 6), ("cyclegan", 4)])
def test_every_row_is_a_config_of_its_own(name: str, count: int) -> None:
    study = EXPERIMENTS[name].keywords["study"]()  # type: ignore[attr-defined]
    configs = list(study.rows.values())
    assert len(configs) == count and all(configs.count(config) == 1 for config in configs)
    assert {config.data for config in configs} == {"openmoji-lines"}
    assert {config.size for config in configs} == {64 if name.endswith("64") else 32}
    assert all({claim.better, claim.worse} <= study.rows.keys() for claim in study.claims)


@pytest.mark.parametrize(
    ("study", "unpaired"), [(translation.pix2pix, False), (translation.cyclegan, True)]
)
def test_the_command_in_small(
    study: Callable[[], Study], unpaired: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every row is trained and scored beside the floors; a second call trains the new seed only."""
    rows = ("cycle", "GAN+cycle") if unpaired else ("L1", "L1+cGAN")
    shown = partial(small, study, rows)
    run = partial(
        translation.run, tmp_path, study=shown, budget=1, threads=1, display="quiet",
        parts=parts(unpaired),
    )  # fmt: skip
    text = run(seeds=(0,)).text
    lines = text.splitlines()
    floors = ["copy", "mean", "the targets"] if unpaired else ["copy", "mean", "nearest"]
    for row in (*rows, *floors):
        assert any(line.startswith(row) for line in lines), (row, text)
    targets = next(line for line in lines if line.startswith("the targets")).split()
    assert targets[2:4] == (["0.0000", "1.000"] if unpaired else ["0.0000", "1.0000"])
    assert (tmp_path / "table.txt").read_text() == f"{text}\n"
    with Image.open(tmp_path / "translations.png") as sheet:
        assert sheet.width == 2 * ((2 + len(rows)) * 34 + 2)
    trained = []
    train = api.train
    monkeypatch.setattr(
        api, "train", lambda c, *a, **k: trained.append(c.seed) or train(c, *a, **k)
    )
    assert "  2  " in run(seeds=(0, 1)).text and trained == [1, 1]
    with pytest.raises(DataError, match=r"after 1 epochs, and 2 are asked for: give --out"):
        run(seeds=(0,), budget=2)


def test_a_claim_is_shown_only_if_the_seeds_agree() -> None:
    claim = Claim("it is better", "l1", -1, "a", "b")
    for b, verdict in (
        ([0.2, 0.21, 0.19], "shown"), ([0.1, 0.4, 0.2], "so far"), ([0.05, 0.06, 0.04], "other"),
    ):  # fmt: skip
        known = {
            "a": {str(i): {"l1": v} for i, v in enumerate([0.1, 0.12, 0.09])},
            "b": {str(i): {"l1": v} for i, v in enumerate(b)},
        }
        assert verdict in translation.tested([claim], known).splitlines()[1]
    one = {row: {"0": {"l1": v}} for row, v in (("a", 0.1), ("b", 0.2))}
    assert "one seed, no test): so far" in translation.tested([claim], one)
    assert translation.tested([claim], {"a": one["a"]}) == "The published claims:"


def test_grey_and_smooth_pictures_are_measured_as_such() -> None:
    pictures = np.zeros((1, 4, 4, 3), dtype=np.uint8)
    assert translation.saturation(pictures) == translation.gradient(pictures) == 0
    pictures[..., 0] = 255
    assert translation.saturation(pictures) == 1
    pictures[0, :, 2:] = 255  # one edge of three, in two channels
    assert translation.gradient(pictures) == pytest.approx(2 * 2 / 3 / 3)


def test_an_unknown_experiment_names_them_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reproduce", "pix2pixx"]) == 2
    assert "did you mean 'pix2pix'" in capsys.readouterr().err
