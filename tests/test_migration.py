"""docs/migration.md has every old name, and a program of 0.1 is stopped by the command it gives."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from ganforge import _deprecated

PAGE = (Path(__file__).parent.parent / "docs/migration.md").read_text()


def table(heading: str) -> dict[str, str]:
    """The rows below a heading: old -> new, the new places with blanks between."""
    section = PAGE.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    rows = re.findall(r"^\| `(.+?)` \| (.+) \|$", section, re.MULTILINE)
    return {old: " ".join(re.findall(r"`(.+?)`", new)) for old, new in rows}


def test_the_page_has_the_modules_of_the_map() -> None:
    assert table("Modules") == _deprecated.MOVED


def test_the_page_has_the_names_of_the_map() -> None:
    assert table("Names that changed") == _deprecated.RENAMED


def test_its_command_stops_at_an_old_name(tmp_path: Path) -> None:
    flag = re.search(r"`python -W (error\S+) your_program\.py`", PAGE)
    assert flag is not None
    (tmp_path / "program.py").write_text("from ganforge.game import Adversarial\nprint('on')\n")
    done = subprocess.run(
        [sys.executable, "-W", flag[1], tmp_path / "program.py"],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode and not done.stdout
    assert "ganforge.game.Adversarial is now ganforge.gan.adversarial.Adversarial" in done.stderr
