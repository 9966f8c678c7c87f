"""What single commands print and pass on: numbers, the newest runs, words for other processes."""

from __future__ import annotations

import os
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from ganforge import recipes
from ganforge.cli import main
from ganforge.cli.commands import train
from ganforge.runs import folder
from ganforge.training import distributed
from tests.helpers.samplers import fresh
from tests.helpers.tiny import VECTORS


@pytest.mark.parametrize("given", [["--gpus", "2"], ["--gpus=2"]])
def test_each_process_gets_the_command_without_its_number(
    given: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[object] = []
    monkeypatch.setattr(distributed, "launch", lambda *words: started.append(words) or 7)
    words = ["train", "gaussian", *given, "--batch", "8", "--out", "runs/a"]
    assert main(words) == 7
    assert started == [(2, ["train", "gaussian", "--batch", "8", "--out", "runs/a"])]


def test_a_sample_without_a_run_names_the_newest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, age in zip("fbdaec", (60, 50, 40, 30, 20, 10), strict=True):
        path = Path("runs") / name
        folder.prepare(path, recipes.find("gaussian"))
        (path / "run.json").write_text("{}")
        os.utime(path, (1e9 - age, 1e9 - age))
    assert main(["sample"]) == 0
    printed = capsys.readouterr()
    assert printed.out.endswith("ganforge sample runs/c\n") and not printed.err


@pytest.mark.parametrize(
    ("fps", "refused"),
    [("0.9", True), ("1", False), ("120", False), ("120.5", True), ("nan", True)],
)
def test_a_film_has_1_to_120_frames_a_second(
    fps: str, refused: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plot", str(tmp_path / "none"), "--fps", fps]) != 0
    assert ("fps = " in capsys.readouterr().err) is refused


def test_moments_of_samples_have_two_decimals() -> None:
    sampler = fresh(VECTORS, "gaussian")
    trained = SimpleNamespace(
        sampler=sampler,
        run=SimpleNamespace(settings=lambda: {"data": "gaussian"}, info=dict),
        sample=sampler.sample,
    )
    lines = list(train.moments(trained))  # type: ignore[arg-type]
    assert [line.split()[0] for line in lines] == ["generated", "true"]
    for line in lines:
        numbers = re.findall(r"-?\d+\.\d+", line)
        assert len(numbers) == 6 and all(len(n.partition(".")[2]) <= 2 for n in numbers), line
