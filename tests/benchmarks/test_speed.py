"""The arithmetic and the refusals of the benchmark, not what it measures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.speed import __main__ as bench
from benchmarks.speed import everyday, machine, populations, small, threads
from benchmarks.speed.systems import SYSTEMS
from ganforge.experiments.ensemble import capability

ROOT = Path(__file__).parents[2]

FACTS = {
    "date": "2026-01-01", "machine": "2 x a CPU", "threads": 1, "versions": {"torch": "2"},
    "product": {"fp32": 1e11, "bf16": 1e11},
}  # fmt: skip


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
        answer = f'{{"images": {rate}, "seconds": 1.0, "cpu": 1.0}}' if word == "go" else (
            '{"peak": 1.0, "flops": 0.0}')  # fmt: skip
        self.lines.append(answer + "\n")

    def flush(self) -> None:
        pass

    close = flush

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


def test_the_place_of_the_worker_is_that_of_the_tree(tmp_path: Path) -> None:
    (tmp_path / "benchmarks").mkdir()
    assert bench.worker(tmp_path) == bench.worker(ROOT) == "benchmarks.speed.worker"
    (tmp_path / "benchmarks/worker.py").touch()
    assert bench.worker(tmp_path) == "benchmarks.worker"


@pytest.mark.parametrize("side", [("peer", SYSTEMS["gaussian"].peer), ("ours", "gaussian")])
def test_both_sides_play_in_a_process(side: tuple[str, str]) -> None:
    """Nothing replaced: the worker starts, plays a round and ends."""
    (result,) = bench.in_turn([bench.Side([*side, "--batch", "8"], 1)], 1, 0.05)
    assert result["rate"] > 0 and result["peak"] > 0


def test_a_small_game_plays_and_logs() -> None:
    once = small.examples(small.started("gaussian"))
    assert [once() for _ in range(50)] == [8] * 50


def test_goals_that_are_missed_are_reported() -> None:
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
        assert (ROOT / "benchmarks/speed/peers" / f"{system.peer}.py").is_file()
        assert system.ours().name


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose facts are not measured."""
    monkeypatch.setattr(machine, "describe", lambda threads: dict(FACTS))


def saved(path: Path) -> dict[str, Any]:
    """The JSON that a benchmark left, without its facts."""
    table: dict[str, Any] = json.loads(path.read_text())
    assert {key: table.pop(key) for key in FACTS} == FACTS
    return table


def test_compiling_is_counted_in_a_whole_run(
    known: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """20,000 examples at 10,000 a second are 2 s; compiled at 100,000, 0.2 s and compiling."""
    rates = {small.PEER: 10_000.0, "gaussian, step by step": 8_000.0,
             "gaussian, --compile": 100_000.0}  # fmt: skip
    monkeypatch.setattr(
        small, "measured",
        lambda: ({"gaussian": (19.8, 0.3)}, {side: [r] * 3 for side, r in rates.items()}),
    )  # fmt: skip
    small.main(["--json", str(tmp_path / "deep/small.json")])
    table = saved(tmp_path / "deep/small.json")
    assert table["examples"] == 20_000
    assert [r["cpu"] for r in table["run"]] == pytest.approx([2.0, 2.5, 20.0, 0.5])
    assert [r["ratio"] for r in table["run"]] == pytest.approx([1.0, 0.8, 0.1, 4.0])
    assert [r["ratio"] for r in table["rows"]] == [1.0, 0.8, 10.0]
    said = capsys.readouterr().out
    assert "--compile, cold" in said and "20,000 examples" in said and "2 x a CPU" in said


def test_the_rates_of_populations_are_saved(
    known: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(populations, "one", lambda config: 1)
    monkeypatch.setattr(populations, "many", lambda config, count: 1)
    monkeypatch.setattr(populations, "loop_of_the_chapter", lambda: 1)
    monkeypatch.setattr(populations, "rate", lambda step: populations.Rate(3.0, 2.0))
    populations.main(["--json", str(tmp_path / "p.json")])
    table = saved(tmp_path / "p.json")
    assert table["what"] == "speed" and {r["ratio"] for r in table["rows"]} == {1.0}
    assert table["rows"][1]["against"] == "published loop, Gaussian"
    assert len(table["rows"][0]["rounds"]) == populations.ROUNDS
    assert all(r["name"] in capsys.readouterr().out for r in table["rows"][:1])


def test_a_choice_of_threads_that_costs_is_reported(
    known: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a quiet machine all cores must win, beside busy processes one thread."""
    found = {0: (90.0, 50.0, 100.0), 1: (90.0, 100.0, 20.0), 2: (20.0, 100.0, 20.0)}

    def measured(name: str, count: int) -> dict[str, Any]:
        rates = {s: [r] * 3 for s, r in zip(("chosen", "one", "all"), found[count], strict=True)}
        return {"system": name, "busy": count, "threads": 1, "race": 1.0, "rates": rates,
                **threads.ratios(rates)}  # fmt: skip

    monkeypatch.setattr(threads, "measured", measured)
    words = ["--systems", "dcgan", "--json", str(tmp_path / "threads.json")]
    assert threads.main(words) == 1
    said = capsys.readouterr().out
    assert "missed: dcgan beside 0 busy, 0.90 of the rate of all instead of 0.95" in said
    assert "missed: dcgan beside 2 busy, 0.20 of the rate of one instead of 0.80" in said
    assert said.count("missed") == 2
    rows = saved(tmp_path / "threads.json")["rows"]
    assert [(r["to_one"], r["to_all"]) for r in rows] == [(1.8, 0.9), (0.9, 4.5), (0.2, 1.0)]
    assert threads.main([*words, "--busy", "1"]) == 0


def test_busy_processes_end_with_the_block() -> None:
    with threads.busy(1):
        (child,) = children()
    assert child not in children()


def children() -> list[int]:
    """The processes that this one has started and not waited for."""
    listed = Path("/proc/self/task").glob("*/children")
    return [int(pid) for file in listed for pid in file.read_text().split()]


def test_a_comparison_is_trained_both_ways(
    known: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["compare", "--kimg", "0.04", "--seeds", "2", "--json", str(tmp_path / "c.json")]
    most = capability.PAYS
    populations.main(words)
    assert set(saved(tmp_path / "c.json")["seconds"]) == {"one by one", "at once"}
    assert capsys.readouterr().out.count("for 4 runs") == 2 and most == capability.PAYS


@pytest.mark.parametrize(("main", "words", "why"), [
    (everyday.main, ["--only", "nope"], "unknown part 'nope': one of help, "),
    (everyday.main, ["--only", "help,"], "unknown part ''"),
    (populations.main, ["nope"], "invalid choice: 'nope'"),
    (populations.main, ["compare", "--seeds", "0"], "at least 1"),
    (small.main, ["--only", "x"], "unrecognized arguments"),
    (threads.main, ["--systems", "nope"], "unknown system 'nope'"),
    (threads.main, ["--busy", "0,-1"], "expected numbers from 0 up"),
])  # fmt: skip
def test_no_traceback_for_what_there_is_not(
    main: Any, words: list[str], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as refused:
        main(words)
    assert refused.value.code == 2
    assert why in capsys.readouterr().err


def test_make_bench_keeps_every_figure() -> None:
    recipe = (ROOT / "Makefile").read_text().partition("\nbench:")[2].partition("\n\n")[0]
    lines = [line for line in recipe.splitlines() if line.startswith("\t")]
    files = [line.partition("--json runs/bench/")[2] for line in lines]
    assert len(files) == 4 and all(files) and len(set(files)) == 4
