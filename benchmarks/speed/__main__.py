"""Ours beside the published loops, in turn, in one run: `make bench`, or

    python -m benchmarks.speed --systems mlp,dcgan --rounds 5 --seconds 4 --json result.json
    python -m benchmarks.speed --against HEAD~5          ours against ours of another commit

Each side is a separate process; they play by turns (A B A B ...), so that what else the machine
does falls on both. Medians and ratios of medians are printed, then the goals that were missed.
Against a commit it ends with 1 where a system has become slower than SLOWER of its rate then.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.speed import machine
from benchmarks.speed.systems import SYSTEMS

ROOT = Path(__file__).parents[2]
SLOWER = 0.9  # of the rate then, from where on it is called a slowdown: of a quiet machine


class Side:
    """A worker process, with the package and the benchmark of one tree."""

    def __init__(self, words: Sequence[str], threads: int, tree: Path = ROOT):
        # the sources of the tree, not a copy of them that was installed once
        paths = os.pathsep.join([str(tree / "src"), str(tree)])
        environment = dict(os.environ, OMP_NUM_THREADS=str(threads), PYTHONPATH=paths)
        self.process = subprocess.Popen(
            [sys.executable, "-m", worker(tree), *words, "--threads", str(threads)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=tree, env=environment,
        )  # fmt: skip
        self.first = self.read()["first"]
        self.rounds: list[dict[str, float]] = []

    def read(self) -> dict[str, Any]:
        """The next line the worker tells."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the worker ended with {self.process.wait()}")
        table: dict[str, Any] = json.loads(line)
        return table

    def ask(self, line: str) -> dict[str, Any]:
        """Send a line, read the answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.read()

    def go(self, seconds: float) -> None:
        """One round."""
        self.rounds.append(self.ask(f"go {seconds}"))

    def result(self) -> dict[str, Any]:
        """Medians over the rounds; the process ends."""
        end = self.ask("end")
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()
        self.process.wait()
        return {
            "rate": median(r["images"] / r["seconds"] for r in self.rounds),
            "rate_cpu": median(r["images"] / r["cpu"] for r in self.rounds),
            "rounds": self.rounds,
            "first": self.first,
            **end,
        }


def worker(tree: Path) -> str:
    """The module that plays one side: of an older commit the place was another."""
    old = (tree / "benchmarks/worker.py").is_file()
    return "benchmarks.worker" if old else "benchmarks.speed.worker"


def in_turn(sides: Sequence[Side], rounds: int, seconds: float) -> list[dict[str, Any]]:
    """A B A B ...; each side's result."""
    for _ in range(rounds):
        for side in sides:
            side.go(seconds)
    return [side.result() for side in sides]


def row(name: str, batch: int, given: argparse.Namespace) -> dict[str, Any]:
    """One system at one batch size: the published loop, ours, ours in fp32."""
    system, size = SYSTEMS[name], ["--batch", str(batch)]
    sides = [
        Side(["peer", system.peer, *size], given.threads),
        Side(["ours", name, *size], given.threads),
    ]
    if system.plain:
        exact = ["ours", name, *size, "--precision", "fp32", "--flops"]
        sides.append(Side(exact, given.threads))
    peer, ours, *full = in_turn(sides, given.rounds, given.seconds)
    return {
        "name": name,
        "batch": batch,
        "unit": system.unit,
        "goal": system.goal if batch == system.batches[0] else None,
        "peer": peer,
        "ours": ours,
        "fp32": full[0] if full else None,
        "ratio": ours["rate"] / peer["rate"],
    }


def against(commit: str, given: argparse.Namespace) -> list[dict[str, Any]]:
    """Ours against ours of another commit, at the first batch size of each system."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "-q", "--detach", tree, commit], check=True)
        try:
            for name in given.systems:
                words = ["ours", name, "--batch", str(SYSTEMS[name].batches[0])]
                sides = [Side(words, given.threads, tree), Side(words, given.threads)]
                then, now = in_turn(sides, given.rounds, given.seconds)
                rows.append({"name": name, "then": then, "now": now})
        finally:
            subprocess.run([*git, "remove", "--force", tree], check=True)
    return rows


def table(rows: Sequence[dict[str, Any]], facts: dict[str, Any]) -> str:
    """The rows as Markdown."""
    peak = facts["product"]
    lines = [
        machine.line(facts),
        "",
        "| system | batch | published loop /s | ours /s | ratio | goal | ours in fp32 /s | "
        "share of the product, fp32 | peak memory MB (theirs) | first step s (theirs) |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for r in rows:
        full = r["fp32"]
        rate = f"{full['rate']:,.0f}" if full else ""
        share = f"{full['rate'] * full['flops'] / peak['fp32']:.0%}" if full else ""
        goal = "" if r["goal"] is None else f"{r['goal']:g} x"
        lines.append(
            f"| {r['name']} | {r['batch']} | {r['peer']['rate']:,.0f} | {r['ours']['rate']:,.0f} | "
            f"{r['ratio']:.2f} x | {goal} | {rate} | {share} | "
            f"{r['ours']['peak']:.0f} ({r['peer']['peak']:.0f}) | "
            f"{r['ours']['first']:.1f} ({r['peer']['first']:.1f}) |"
        )
    return "\n".join(lines)


def missed(rows: Sequence[dict[str, Any]]) -> list[str]:
    """A line for every goal that was not met."""
    return [
        f"missed: {r['name']} at batch {r['batch']}, {r['ratio']:.2f} x instead of {r['goal']:g} x"
        for r in rows
        if r["goal"] is not None and r["ratio"] < r["goal"]
    ]


def slower(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The systems that have become slower than then."""
    return [r["name"] for r in rows if r["now"]["rate"] < SLOWER * r["then"]["rate"]]


def known(commit: str) -> bool:
    """Whether there is such a commit here."""
    words = ["git", "-C", str(ROOT), "rev-parse", "--verify", "--quiet", "--end-of-options"]
    try:
        found = subprocess.run([*words, f"{commit}^{{commit}}"], capture_output=True, check=False)
        return found.returncode == 0
    except FileNotFoundError:
        return False


def main(words: Sequence[str] | None = None) -> int:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__)
    parser.add_argument("--systems", default=",".join(SYSTEMS), help="names, with commas between")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="of one round of one side")
    parser.add_argument("--against", help="a commit: ours against ours of then")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args(words)
    given.systems = given.systems.split(",")
    unknown = [name for name in given.systems if name not in SYSTEMS]
    if unknown:
        parser.error(f"unknown system {unknown[0]}: one of {', '.join(SYSTEMS)}")
    if min(given.threads, given.rounds) < 1 or not 0 < given.seconds < 1e6:
        parser.error("--threads and --rounds are at least 1, --seconds more than 0")
    if given.against and not known(given.against):
        parser.error(f"--against {given.against}: there is no such commit here")
    facts, lost = machine.describe(given.threads), []
    if given.against:
        rows = against(given.against, given)
        for r in rows:
            then, now = r["then"]["rate"], r["now"]["rate"]
            print(f"{r['name']:<18}{then:>11,.0f} then {now:>11,.0f} now  {now / then:.2f} x")
        lost = slower(rows)
        if lost:
            print(f"slower than {SLOWER:g} of then: {', '.join(lost)}")
    else:
        rows = [row(n, batch, given) for n in given.systems for batch in SYSTEMS[n].batches]
        print("\n".join([table(rows, facts), "", *missed(rows)]))
    if given.json:
        machine.keep(given.json, {**facts, "rows": rows})
    return 1 if lost else 0


if __name__ == "__main__":
    raise SystemExit(main())
