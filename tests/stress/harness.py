"""What every script shares: its options, its one line, its record, and processes by fork.

A fork starts in milliseconds where a fresh interpreter needs seconds to import torch. The parent
never differentiates anything: autograd refuses to work in a child whose parent has used it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import torch

from ganforge.runs import folder as runs
from tests.stress.mutations import protections

ENOUGH = 5  # failures after which a script stops: it has failed


@dataclass
class Tally:
    """What a script tried and what went wrong. facts: figures for its line and its record.

    enough: failures after which it stops.
    """

    enough: int = ENOUGH
    tries: int = 0
    failures: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    def check(self, ok: bool, what: str) -> bool:
        """Note a failure unless `ok`."""
        if not ok:
            self.failures.append(what)
        return ok

    def add(self, name: str, number: int = 1) -> None:
        """Count something worth telling."""
        self.facts[name] = self.facts.get(name, 0) + number

    @property
    def hopeless(self) -> bool:
        return len(self.failures) >= self.enough


@dataclass(frozen=True)
class Options:
    """n: tries. seed: of what is random in the attack. scratch: a folder that is removed after."""

    n: int
    seed: int
    scratch: Path


def run(name: str, attack: Callable[[Options, Tally], None], n: int, what: str) -> int:
    """A script's main: parse, attack, print one line, keep the record; the exit code."""
    parser = argparse.ArgumentParser(prog=f"python -m tests.stress.{name}", description=what)
    parser.add_argument("--n", type=int, default=n, help=f"tries (default {n})")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="keep the result here")
    parser.add_argument("--without", choices=sorted(protections.PROTECTIONS), help="must then fail")
    given = parser.parse_args()
    torch.set_num_threads(1)
    os.environ.setdefault("MPLBACKEND", "Agg")
    os.environ["GANFORGE_OFFLINE"] = "1"
    # with a protection taken out, one failure shows what there is to show
    tally, began = Tally(1 if given.without else ENOUGH), time.perf_counter()
    protections.take_out(given.without)
    with scratch() as folder:
        try:
            attack(Options(given.n, given.seed, folder), tally)
        except Exception:
            tally.failures.append(traceback.format_exc())
    seconds = time.perf_counter() - began
    told = "".join(f", {value} {key}" for key, value in tally.facts.items())
    verdict = "ok" if not tally.failures else f"FAILED {len(tally.failures)}"
    print(f"{name:<9} {verdict}: {tally.tries} tries{told}, {seconds:.0f} s", flush=True)
    for failure in tally.failures[:ENOUGH]:
        print(f"  {failure}", file=sys.stderr)
    if given.json:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        table = record(name, tally, given, seconds)
        given.json.write_text(json.dumps(table, indent=1) + "\n")
    return 1 if tally.failures else 0


def record(name: str, tally: Tally, given: argparse.Namespace, seconds: float) -> dict[str, Any]:
    """The result as it is kept."""
    return {
        "name": name,
        "date": date.today().isoformat(),
        "machine": f"{os.cpu_count()} x {runs.cpu_name()}",
        "system": platform.platform(),
        "versions": runs.versions(),
        "seed": given.seed,
        "asked": given.n,
        "without": given.without,
        "tries": tally.tries,
        "failures": tally.failures,
        "facts": tally.facts,
        "seconds": round(seconds, 1),
    }


@contextmanager
def scratch() -> Iterator[Path]:
    """A fresh folder, removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="ganforge-stress-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def fork(function: Callable[[], Any], said: Path | None = None) -> int:
    """Run `function` in a child; its process id. said: where what it prints goes.

    The child's exit code is what `function` returns, 0 for None, 1 for an exception.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        os.setpgid(0, 0)  # a Ctrl-C for the parent is none for the child
        target = os.open(said or os.devnull, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(target, 1)
        os.dup2(target, 2)
        code = int(function() or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def wait(pid: int) -> int:
    """A child's exit code, minus the signal's number where one ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
