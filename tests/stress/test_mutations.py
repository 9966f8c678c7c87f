"""Each attack in `tests/stress/` fails where the protection that it tests is taken out."""

from __future__ import annotations

import pytest

from tests.stress.mutations.protections import TAKEN_OUT
from tests.stress.test_stress import attack

pytestmark = pytest.mark.stress


@pytest.mark.slow
@pytest.mark.parametrize(("name", "protection", "tries"), TAKEN_OUT)
def test_it_fails_without(name: str, protection: str, tries: int) -> None:
    done = attack(name, "--n", str(tries), "--without", protection)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"{name:<9} FAILED" in done.stdout
    assert "harness" not in done.stderr.partition("\n")[0]  # what it saw, not that it broke
