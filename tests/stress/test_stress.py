"""The scripts in `tests/stress/`: what one tells and keeps. `make crash fuzz` runs them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ganforge.recipes import RECIPES
from tests.stress.__main__ import FORMS

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.stress


def attack(name: str, *words: str) -> subprocess.CompletedProcess[str]:
    """One script, in a process that has never differentiated anything: it forks."""
    start = [sys.executable, "-m", f"tests.stress.{name}", *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        start, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=600
    )


@pytest.mark.slow
def test_a_result_is_one_line_and_a_record(tmp_path: Path) -> None:
    done = attack("damage", "--n", "3", "--seed", "5", "--json", str(tmp_path / "result.json"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(done.stdout.splitlines()) == 1 and done.stdout.startswith("damage    ok: 3 tries")
    result = json.loads((tmp_path / "result.json").read_text())
    assert (result["tries"], result["seed"], result["failures"]) == (3, 5, [])
    assert {"date", "machine", "versions", "facts", "seconds"} <= result.keys()


@pytest.mark.parametrize("form", [0, 1])
def test_the_forms_are_those_of_the_table(form: int) -> None:
    """What CI tries, and what the long form does."""
    least = {"crash": (30, 1000), "damage": (100, 2000), "sigterm": (10, 100), "nan": (10, 200),
             "fuzz": (500, 20_000), "hostile": (60, 60), "ranks": (50, 200), "flat": (2000, 20_000),
             "diskfull": (0, 2), "seeds": (len(RECIPES), 99)}  # fmt: skip
    assert {name: tries[form] for name, tries in FORMS.items()} == {
        name: tries[form] for name, tries in least.items()
    }
