"""The bar of work that takes a while."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from ganforge import bar
from ganforge.bar import counted
from ganforge.cli import main

PIECES = ((2, "a"), (1, "b"))
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """The standard error is a terminal, as far as the bar can see."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    """A file of samples that stand beside the toy law of `evaluate --data`."""
    values = np.random.default_rng(0).normal(1, 2, (300, 2)).astype(np.float32)
    np.savez(tmp_path / "samples.npz", samples=values)
    return tmp_path / "samples.npz"


def test_every_piece_passes_and_a_stream_that_is_no_terminal_gets_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert list(counted(PIECES, 3, "letters")) == ["a", "b"]
    assert capsys.readouterr() == ("", "")


@pytest.mark.usefixtures("terminal")
def test_a_terminal_gets_a_bar_by_units(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(counted(PIECES, 3, "letters")) == ["a", "b"]
    out, error = capsys.readouterr()
    assert not out and "letters" in error and "100%" in error


def score(samples: Path, *words: str) -> int:
    asked = ["--data", "gaussian", "--metrics", "frechet,energy", "-n", "200"]
    return main(["evaluate", str(samples), *asked, *words])


@pytest.mark.usefixtures("terminal")
def test_an_evaluation_names_its_phases_and_metrics(
    samples: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert score(samples) == 0
    out, error = capsys.readouterr()
    names = re.findall(r"(\w[\w ]*\w) +\S*━", ESCAPES.sub("", error))
    assert list(dict.fromkeys(names)) == [
        "metrics", "metric frechet", "features", "features of the floor", "metric energy",
    ]  # fmt: skip
    assert "━" not in out


@pytest.mark.usefixtures("terminal")
def test_one_phase_is_shown_and_counts_its_unit_alone(capsys: pytest.CaptureFixture[str]) -> None:
    with bar.shown(), bar.phase("outer", 4, "metrics"):
        bar.advance("metrics", 1, "outer again")
        with bar.phase("inner", 10, "examples"):
            bar.advance("metrics", 2, "of nobody")
            bar.advance("examples", 5, "half")
        bar.advance("metrics", 1, "outer after")
    error = capsys.readouterr().err
    assert "\x1b[1A" not in error  # the cursor goes up if two lines were drawn
    frames = ESCAPES.sub("", error).replace("\r", "\n").split("\n")
    drawn = [re.sub(r" +\S*━.* (?=\d+%)", " ", frame)[: -len(" 0:00:00")] for frame in frames]
    shown = [frame for frame in drawn if frame.strip()]
    assert list(dict.fromkeys(shown)) == [
        "outer 0%", "outer again 25%", "inner 0%", "half 50%", "outer after 50%",
    ]  # fmt: skip


@pytest.mark.usefixtures("terminal")
def test_a_table_for_a_program_comes_without_a_bar(
    samples: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert score(samples, "--format", "json") == 0
    assert "━" not in "".join(capsys.readouterr())


def test_a_pipe_gets_no_bar(samples: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert score(samples) == 0
    out, error = capsys.readouterr()
    assert "frechet" in out and not error
