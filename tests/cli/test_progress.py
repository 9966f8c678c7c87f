"""The bar of commands that take a while."""

from __future__ import annotations

import pytest

from ganforge.cli.progress import counted

PIECES = ((2, "a"), (1, "b"))


def test_every_piece_passes_and_a_stream_that_is_no_terminal_gets_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert list(counted(PIECES, 3, "letters")) == ["a", "b"]
    assert capsys.readouterr() == ("", "")


def test_a_terminal_gets_a_bar_by_units(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes the stream for a terminal
    assert list(counted(PIECES, 3, "letters")) == ["a", "b"]
    out, error = capsys.readouterr()
    assert not out and "letters" in error and "100%" in error
