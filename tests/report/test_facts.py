"""What the files of a run say: the score to quote, the command, the changed settings."""

from __future__ import annotations

import shlex
import shutil
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ganforge import recipes
from ganforge.cli import main
from ganforge.config import Average
from ganforge.report import facts, words
from ganforge.runs.folder import Run
from tests.helpers.pages import bare
from tests.helpers.reported import CARD, add_scores


def test_the_newest_score_on_the_test_split_is_quoted(digits: Path, tmp_path: Path) -> None:
    path = tmp_path / "r"
    shutil.copytree(digits, path)
    add_scores(path, replace(CARD, value=7.0, split="test"), split="test", step=4)
    add_scores(path, replace(CARD, value=3.0), step=2)
    known = facts.gather(Run(path))
    assert [e.step for e in known.entries] == [4, 4, 2]
    assert known.score is not None and known.score.value == 7.0
    add_scores(path, replace(CARD, value=0.1, split="test", n=900), split="test", foreign=True)
    known = facts.gather(Run(path))
    assert known.score is not None and known.score.value == 7.0
    assert words.figures(known, None)[0].value.startswith("7 ")
    assert "(N 100, test)" in words.figures(known, None)[0].beside
    assert len(known.entries) == 4  # still shown, with its stamp
    add_scores(path, replace(CARD, value=0.1), step=9, foreign=True)
    newer = facts.gather(Run(path))
    assert newer.entries[0].foreign and newer.score is not None
    assert newer.score.to_json() == known.score.to_json()  # NaN equals itself there


@pytest.mark.parametrize(
    "changes",
    [{}, {"seed": 3, "batch": 32}, {"epochs": 2.5}, {"kimg": 1.5}, {"data": "a b/pictures"},
     {"ema": 0.9, "threads": 2}, {"sync_bn": True}, {"ema": 0.0},
     {"ema": Average(half_life=1e4, ramp_up=0.05)}, {"ema": Average(0.9, 5, buffers="average")},
     {"generator": replace(recipes.cdcgan().generator, betas=(0.5, 0.9), lr=1e-5)},
     {"game": replace(recipes.cdcgan().game, penalties=())}],
)  # fmt: skip
def test_the_command_has_the_settings_of_the_run(
    changes: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = bare(tmp_path / "r", replace(recipes.cdcgan(), **changes))
    words = shlex.split(facts.command(run.path, run.settings()))
    assert words[:2] == ["ganforge", "train"] and words[-2:] == ["--out", str(run.path)]
    assert main([*words[1:], "--print-config"]) == 0
    assert tomllib.loads(capsys.readouterr().out) == run.settings()


def test_changes_are_those_from_the_recipe(tmp_path: Path) -> None:
    run = bare(tmp_path / "r", replace(recipes.gaussian(), seed=3, kimg=2.0))
    assert facts.changes(run.settings()) == (("seed", "0", "3"), ("kimg", "–", "2"))
    old = run.settings()
    del old["output"]["score"]  # by an older version, which had no such setting
    assert facts.changes(old) == facts.changes(run.settings())
    assert facts.changes({"name": "mine"}) is None
