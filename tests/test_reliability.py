"""The short form of every attack in `reliability/`: nothing is lost, and it says so in one line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from reliability.__main__ import FORMS  # noqa: E402

pytestmark = pytest.mark.reliability


def attack(name: str, *words: str) -> subprocess.CompletedProcess[str]:
    """One script, in a process that has never differentiated anything: it forks."""
    start = [sys.executable, "-m", f"reliability.{name}", *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        start, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=600
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMS)
def test_nothing_is_lost(name: str, tmp_path: Path) -> None:
    done = attack(name, "--n", str(FORMS[name][0]), "--json", str(tmp_path / "result.json"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(done.stdout.splitlines()) == 1 and done.stdout.startswith(name)
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["tries"] >= FORMS[name][0]
    assert result["failures"] == []
    assert {"date", "machine", "versions", "seed"} <= result.keys()
