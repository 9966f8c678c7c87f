"""`python -m tests.stress.mutations`: a score by package, and the mutants that survived."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from ganforge.text import columns
from tests.stress.mutations import choose, run
from tests.stress.mutations.named import EQUIVALENTS
from tests.stress.mutations.operators import Mutant
from tests.stress.mutations.protections import TAKEN_OUT
from tests.stress.mutations.related import near, package, related
from tests.stress.mutations.run import ROOT, Outcome

PROTECTION = "protection "  # how the name of a protection's outcome begins
ENOUGH = 90.0  # seconds of tests, as they took without a mutant, that judge one mutant
SLOWEST = 20 * ENOUGH  # after which the tests of a mutant count as failed


def main() -> int:
    """0 if no mutant survived that is not an equivalent."""
    given = arguments()
    package_root = ROOT / run.PACKAGE
    wanted = [] if given.sampled else choose.named(package_root)
    wanted += choose.sample(package_root, given.each, given.seed)
    wanted = [m for m in wanted if given.only in m.name]
    if given.package is not None:
        wanted = [m for m in wanted if package(m.file) == given.package]
    if given.list:
        print("\n".join(m.name for m in wanted))
        return 0
    outcomes = {o.name: o for o in read(given.json)}
    run.warm()
    for outcome in judged([m for m in wanted if m.name not in outcomes], given):
        outcomes[outcome.name] = outcome
        keep(given.json, outcome)
    for script, protection, tries in TAKEN_OUT if given.protections else ():
        outcome = without(script, protection, tries)
        outcomes[outcome.name] = outcome
        keep(given.json, outcome)
    names = [m.name for m in wanted]
    names += [name for name in outcomes if name.startswith(PROTECTION)]
    print(report([outcomes[name] for name in names]))
    return int(any(not outcomes[name].killed for name in names))


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.stress.mutations", description=__doc__)
    parser.add_argument("--each", type=int, default=8, help="sampled mutants of a package")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--package", help="of this package only; '' for the files beside them")
    parser.add_argument("--only", default="", help="mutants whose name has this text")
    parser.add_argument("--tests", nargs="+", help="judge by these files, whatever they enter")
    parser.add_argument("--near", action="store_true", help="judge by the files that import it")
    parser.add_argument("--trace", type=Path, help="folder that keeps which test enters what")
    parser.add_argument("--sampled", action="store_true", help="leave the named mutants out")
    parser.add_argument("--protections", action="store_true", help="the stress scripts too")
    parser.add_argument("--json", type=Path, help="outcomes, a line each; those there are skipped")
    parser.add_argument("--list", action="store_true", help="the names alone")
    return parser.parse_args()


def judged(wanted: Sequence[Mutant], given: argparse.Namespace) -> Iterator[Outcome]:
    """The outcome of every mutant; a line for each."""
    with run.copied(ROOT) as tree:
        parts = {package(m.file) for m in wanted if not m.tests}
        parts = set() if given.tests or given.near else parts
        by_function = related_tests(tree, parts, given.trace)
        for mutant in wanted:
            tests = given.tests or mutant.tests or quickest(by_function.get(mutant.where, ()))
            tests = near(tree, mutant.file) if given.near and not mutant.tests else tests
            outcome = run.judge(tree, mutant, tests, SLOWEST)
            verdict = "killed" if outcome.killed else "SURVIVED"
            print(f"{verdict:8} {outcome.seconds:5.1f} s  {outcome.name}", flush=True)
            yield outcome


def related_tests(tree: Path, parts: Iterable[str], saved: Path | None) -> run.Table:
    """The tests that enter each function, of the test files related to packages.

    Args:
        tree: a copy of the project.
        parts: packages.
        saved: a folder for the result of each test file; what is there already is read.
    """
    found: run.Table = defaultdict(list)
    for file in sorted({file for part in parts for file in related(tree, part)}):
        cached = saved / f"{file.replace('/', '-')}.json" if saved else None
        if cached is not None and cached.exists():
            continue
        table = run.traced(tree, [file], f"{run.MARKS} and not slow")
        print(f"  {file}: {len(table):,} functions entered", flush=True)
        if cached is None:
            add(found, table)
        else:
            cached.parent.mkdir(parents=True, exist_ok=True)
            cached.write_text(json.dumps(table))
    for path in sorted(saved.glob("*.json")) if saved else ():
        add(found, json.loads(path.read_text()))
    return {name: sorted(tests, key=lambda pair: pair[1]) for name, tests in found.items()}


def add(found: run.Table, table: run.Table) -> None:
    """The tests of a table, added to those of another."""
    for function, tests in table.items():
        found[function] += [(test, seconds) for test, seconds in tests]


def quickest(tests: Iterable[tuple[str, float]]) -> list[str]:
    """The tests that take at most `ENOUGH` seconds together, those of a file side by side."""
    left, files = ENOUGH, defaultdict[str, list[str]](list)
    for test, seconds in tests:
        left -= seconds
        if left > 0 or not files:
            files[test.partition("::")[0]].append(test)
    return [test for found in files.values() for test in found]


def without(script: str, protection: str, tries: int) -> Outcome:
    """Whether a stress script fails where a protection is taken out."""
    words = [sys.executable, "-m", f"tests.stress.{script}", "--n", str(tries)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*words, "--without", protection], cwd=ROOT, env=environment,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    killed = done.returncode == 1 and f"{script:<9} FAILED" in done.stdout
    return Outcome(f"{PROTECTION}{protection} ({script})", killed, script if killed else "", 0.0)


def read(path: Path | None) -> list[Outcome]:
    """The outcomes of an earlier run, of which this one is the rest."""
    if path is None or not path.exists():
        return []
    return [Outcome(**json.loads(line)) for line in path.read_text().splitlines()]


def keep(path: Path | None, outcome: Outcome) -> None:
    """Append an outcome to the file of outcomes."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            file.write(json.dumps(asdict(outcome)) + "\n")


def report(outcomes: list[Outcome]) -> str:
    """The score by package, the survivors, and the equivalents with their reasons."""
    parts: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        of_code = not outcome.name.startswith(PROTECTION)
        file = outcome.name.partition(":")[0]
        parts[(package(file) or "top-level files") if of_code else "protections"].append(outcome)
    rows = [("package", "mutants", "killed", "score")]
    rows += [_row(part, parts[part]) for part in sorted(parts)]
    rows.append(_row("all", outcomes))
    lines = [columns(rows, right=range(1, 4))]
    alive = [o.name for o in outcomes if not o.killed]
    lines += [f"\n{len(alive)} survived:", *alive] if alive else ["\nnone survived"]
    if EQUIVALENTS:
        lines.append(f"\n{len(EQUIVALENTS)} that no test can tell from the code, not counted:")
        lines += [f"{name}\n    {reason}" for name, reason in sorted(EQUIVALENTS.items())]
    return "\n".join(lines)


def _row(name: str, outcomes: list[Outcome]) -> tuple[str, ...]:
    killed = sum(o.killed for o in outcomes)
    return name, str(len(outcomes)), str(killed), f"{100 * killed / max(len(outcomes), 1):.1f} %"


if __name__ == "__main__":
    raise SystemExit(main())
