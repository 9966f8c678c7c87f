"""The benchmark's own arithmetic and refusals; what it measures is no test's affair."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks import __main__ as bench  # noqa: E402
from benchmarks.systems import SYSTEMS  # noqa: E402


class Played:
    """In place of a worker process: what it was started with, and rates by the sources it has."""

    rates: dict[str, float]
    asked: list[tuple[str, str]]

    def __init__(self, words: list[str], **options: Any):
        self.name, self.path = words[4], options["env"]["PYTHONPATH"].split(":")[0]
        Played.asked.append((self.name, self.path))
        self.lines = ['{"first": 1.0}\n']
        self.stdin = self.stdout = self

    def write(self, line: str) -> None:
        word = line.split(maxsplit=1)[0]
        rate = Played.rates["now" if self.path == str(ROOT / "src") else "then"]
        told = f'{{"images": {rate}, "seconds": 1.0, "cpu": 1.0}}' if word == "go" else (
            '{"peak": 1.0, "flops": 0.0}')  # fmt: skip
        self.lines.append(told + "\n")

    def flush(self) -> None:
        pass

    def readline(self) -> str:
        return self.lines.pop()

    def wait(self) -> int:
        return 0


@pytest.mark.parametrize(("now", "code"), [(95.0, 0), (89.0, 1)])
def test_a_slowdown_is_caught(
    now: float, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both sides play the sources of a tree, whatever is installed."""
    Played.rates, Played.asked = {"then": 100.0, "now": now}, []
    monkeypatch.setattr(bench.subprocess, "Popen", Played)
    monkeypatch.setattr(bench.subprocess, "run", lambda *a, **k: Done())
    monkeypatch.setattr(bench.machine, "describe", lambda threads: {})
    words = ["--against", "HEAD", "--systems", "mlp", "--rounds", "3", "--seconds", "1"]
    assert bench.main(words) == code
    said = capsys.readouterr().out
    assert f"{now / 100:.2f} x" in said
    assert ("slower" in said) == bool(code)
    then, here = (Path(path) for _, path in Played.asked)
    assert then.name == here.name == "src"
    assert here == ROOT / "src" and then != here


class Done:
    """A command that went well."""

    returncode = 0


def test_goals_that_are_missed_are_told() -> None:
    rows = [
        {"name": "mlp", "batch": 64, "goal": 2.5, "ratio": 2.45},
        {"name": "cgan", "batch": 64, "goal": 2.5, "ratio": 2.66},
        {"name": "tutorial", "batch": 256, "goal": None, "ratio": 0.5},
    ]
    assert bench.missed(rows) == ["missed: mlp at batch 64, 2.45 x instead of 2.5 x"]


@pytest.mark.parametrize(("words", "why"), [
    (["--systems", "nope"], "unknown system nope"), (["--rounds", "0"], "at least 1"),
    (["--seconds", "nan"], "more than 0"), (["--against", "no-such-commit"], "no such commit"),
    (["--against=--all"], "no such commit"),
])  # fmt: skip
def test_what_cannot_be_measured_is_refused(
    words: list[str], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as refused:
        bench.main(words)
    assert refused.value.code == 2
    assert why in capsys.readouterr().err


def test_every_system_has_both_sides() -> None:
    for system in SYSTEMS.values():
        assert (ROOT / "benchmarks" / "peers" / f"{system.peer}.py").is_file()
        assert system.ours().name
