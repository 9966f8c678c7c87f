"""The words of a command before they are parsed."""

from __future__ import annotations

import pytest

from ganforge.cli import arguments
from ganforge.cli.arguments import split_overrides
from ganforge.errors import UsageError


def test_settings_are_split_from_the_arguments() -> None:
    rest, found = split_overrides(
        ["train", "dcgan", "--a.b", "-1", "--seed", "3", "--c.d=x y", "--ema", "0.9"]
    )
    assert rest == ["train", "dcgan", "--seed", "3"]
    assert found == {"a.b": "-1", "c.d": "x y", "ema": "0.9"}


def test_settings_of_one_command_do_not_reach_the_next() -> None:
    assert arguments.read(["train", "--game.loss", "hinge"]) == ["train"]
    assert arguments.overrides == {"game.loss": "hinge"}
    assert arguments.again() == "ganforge train --game.loss hinge"
    assert arguments.read(["runs", "--game.loss", "hinge"]) == ["runs", "--game.loss", "hinge"]
    assert arguments.overrides == {}


@pytest.mark.parametrize("words", [["--batch", "7.6"], ["--seed=1.0"], ["-n", "9" * 30]])
def test_numbers_that_the_parser_would_round_or_no_machine_holds(words: list[str]) -> None:
    with pytest.raises(UsageError, match=r"whole number|at most"):
        arguments.read(["sample", *words])
