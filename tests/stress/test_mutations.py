"""Each attack in `tests/stress/` fails where the protection that it tests is taken out."""

from __future__ import annotations

import pytest

from tests.stress.test_stress import attack

pytestmark = pytest.mark.stress

TAKEN_OUT = [
    ("crash", "moments", 6), ("crash", "rename", 20), ("crash", "cut", 20),
    ("damage", "hashes", 24),
    ("diskfull", "rename", 0), ("diskfull", "whole", 0), ("diskfull", "caught", 0),
    ("sigterm", "handlers", 1), ("sigterm", "prompt", 1), ("sigterm", "lock", 1),
    ("nan", "found_inf", 8), ("nan", "finite", 8),
    ("ranks", "all_reduce", 5),
    ("seeds", "seeded", 1),
    ("flat", "freed", 2000),
    ("hostile", "paths", 2),
    ("fuzz", "refusals", 90),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("name", "protection", "tries"), TAKEN_OUT)
def test_it_fails_without(name: str, protection: str, tries: int) -> None:
    done = attack(name, "--n", str(tries), "--without", protection)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"{name:<9} FAILED" in done.stdout
    assert "harness" not in done.stderr.partition("\n")[0]  # what it saw, not that it broke
