"""The rules of messages that many commands share."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

import pytest

import ganforge
from ganforge.errors import UsageError, require_extra

PROJECT = Path(__file__).parents[1] / "pyproject.toml"


def test_an_extra_is_named_if_one_of_its_modules_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "heavy_extra.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    require_extra("this", "some", "json", "heavy_extra")  # found, and not imported
    monkeypatch.setitem(sys.modules, "json", None)
    wanted = r"^this needs an extra: pip install 'ganforge\[some\]', or go without$"
    with pytest.raises(UsageError, match=wanted):
        require_extra("this", "some", "heavy_extra", "json", otherwise=", or go without")


def test_every_extra_that_a_message_names_can_be_installed() -> None:
    extras = tomllib.loads(PROJECT.read_text())["project"]["optional-dependencies"]
    for path in Path(ganforge.__file__).parent.rglob("*.py"):
        text = path.read_text()
        named = re.findall(r"ganforge\[([a-z]+)\]", text)
        named += re.findall(r"require_extra\(\"[^\"]+\", \"([a-z]+)\"", text)
        assert set(named) <= set(extras), path
