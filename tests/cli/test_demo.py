"""`ganforge demo`: the page of a folder's generator, or of a recipe's game."""

from __future__ import annotations

from pathlib import Path

import pytest

from ganforge import recipes
from ganforge.cli import main
from ganforge.data.spec import DataSpec
from ganforge.export.demo import game, page
from ganforge.runs import model
from tests.helpers.samplers import fresh


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    sampler = fresh(DataSpec((1,), 0, "float32", False, (0.0,), (1.5,)), "figure1")
    return model.save(tmp_path / "m", sampler, recipes.find("figure1"), {})


def test_the_page_of_a_folder(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", str(folder)]) == 0
    made = folder / "demo.html"
    assert capsys.readouterr().out == f"{made} ({made.stat().st_size / 1e6:.2f} MB)\n"
    full = folder.parent / "full.html"
    assert main(["demo", str(folder), "-o", str(full), "--full"]) == 0
    assert full.stat().st_size > made.stat().st_size
    assert main(["demo", str(folder), "-o", str(full)]) == 2
    assert "add --overwrite to replace it" in capsys.readouterr().err
    assert main(["demo", str(folder), "-o", str(full), "--overwrite"]) == 0
    assert full.read_text() == made.read_text() == page.html(page.open_sampler(folder))


def test_bad_options_are_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, says in (
        (["demo", str(folder), "-o", "demo.txt"], "expected a file name ending in .html"),
        (["demo", str(folder), "--largest", "0.01"], "MB, more than 0.01"),
        (["demo", "nowhere"], "no such run or model folder"),
        (["demo", "nothing", "--train"], "recipe = 'nothing'"),
        (["demo", "mnist-mlp", "--train"], "data = 'mnist'"),
    ):
        assert main(words) != 0
        error = capsys.readouterr().err
        assert says in error and error.count("\n") == 1
    assert not (folder / "demo.html").exists()


def test_the_game_of_a_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["demo", "gaussian", "--train"]) == 0
    assert capsys.readouterr().out.startswith("gaussian.html (0.0")
    assert (tmp_path / "gaussian.html").read_text() == game.html("gaussian")
    assert main(["demo", "gaussian", "--train"]) == 2
