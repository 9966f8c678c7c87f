"""The tool that changes code: where it changes it, what it calls the change, what it chooses."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.stress.mutations import choose
from tests.stress.mutations.entered import plain
from tests.stress.mutations.named import EQUIVALENTS
from tests.stress.mutations.operators import mutants
from tests.stress.mutations.related import package
from tests.stress.mutations.run import PACKAGE, ROOT

CODE = '''"""A module."""
LIMIT = 5


class Shop:
    def sells(self, n: int = 3) -> bool:
        """Whether é is sold."""
        log(n, level=2)
        if not n or n < LIMIT:
            raise ValueError(f"{n + 1}: less than {7}")

        def inner(x):
            return x - 1.5

        return inner(n) is True
'''
CHANGES = {
    "log(n, level=2) -> pass",
    "log(n, level=2) -> log(n)",
    "log(n, level=2) -> log(n, level=3)",
    "not n or n < LIMIT -> (n) or n < LIMIT",
    "not n or n < LIMIT -> (not n and n < LIMIT)",
    "n < LIMIT -> (n <= LIMIT)",
    "return inner(n) is True -> return None",
    "inner(n) is True -> (inner(n) is not True)",
    "inner(n) is True -> inner(n) is False",
}
NESTED = {"return x - 1.5 -> return None", "x - 1.5 -> (x + 1.5)", "x - 1.5 -> x - 3.0"}


def test_the_mutants_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(CODE)
    found = list(mutants(tmp_path / "shop.py", tmp_path))
    assert {m.name for m in found} == {
        *(f"shop.py:Shop.sells {change}" for change in CHANGES),
        *(f"shop.py:Shop.sells.inner {change}" for change in NESTED),
    }
    for mutant in found:
        ast.parse(mutant.text)
        differing = sum(
            a != b for a, b in zip(CODE.splitlines(), mutant.text.splitlines(), strict=True)
        )
        assert differing == 1, mutant.name


def test_the_function_of_a_code_object_is_the_one_in_the_name() -> None:
    assert plain("Shop.sells.<locals>.inner") == "Shop.sells.inner"
    assert plain("sells.<locals>.<listcomp>") == "sells"


def test_every_name_is_unique_and_every_package_is_reached() -> None:
    root = ROOT / PACKAGE
    names = [m.name for path in sorted(root.rglob("*.py")) for m in mutants(path, root)]
    assert len(names) == len(set(names))
    chosen = choose.sample(root, 12, seed=0)
    assert len(chosen) >= 200
    folders = {p.parent.relative_to(root).parts[0] for p in root.glob("*/*.py")}
    assert {package(m.file) for m in chosen} == {"", *folders}
    assert {m.name for m in choose.sample(root, 4, seed=0)} <= {m.name for m in chosen}
    assert {m.name for m in choose.sample(root, 12, seed=1)} != {m.name for m in chosen}
    gone = sorted(set(EQUIVALENTS) - set(names))
    assert not gone, f"no such mutant any more: {gone}"


def test_the_patterns_of_the_named_mutants_are_in_the_code() -> None:
    found = choose.named(ROOT / PACKAGE)
    assert len({m.name for m in found}) == len(found) > 40
    for mutant in found:
        ast.parse(mutant.text)
        assert all((ROOT / test.partition("::")[0]).exists() for test in mutant.tests), mutant.name


@pytest.mark.slow
def test_a_mutant_is_killed_by_the_tests_that_see_it_and_survives_others() -> None:
    words = [sys.executable, "-m", "tests.stress.mutations", "--each", "0", "--only", "steps_for"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "killed" in done.stdout and "none survived" in done.stdout
    words += ["--tests", "tests/test_text.py"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 survived:\ngan/step.py:steps_for math.ceil -> math.floor" in done.stdout
