"""The chapter's Gaussian game in four frameworks, in turn, in one run: `make bench-frameworks`, or

    python -m benchmarks.speed.frameworks --seeds 0,1 --json result.json

Each side is a separate process on one core. A framework that cannot be installed here is
left out, with the reason. Ends with 1 where a gradient is not ours or a side that could be
installed fails.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.speed import machine
from benchmarks.speed.frameworks import environment, gradients, table
from benchmarks.speed.frameworks.environment import ENVIRONMENTS, UnavailableError
from benchmarks.speed.frameworks.gradients import EXACT, ROUGH, Arrays, Case
from benchmarks.speed.frameworks.table import SIDES, Side
from ganforge.runs import folder as runs

ROOT = Path(__file__).parents[3]
OWN = "torch"


def surroundings(ours: bool) -> dict[str, str]:
    """The environment variables of a side: one thread, and our modules for ours alone."""
    out = dict(os.environ, OMP_NUM_THREADS="1", TF_CPP_MIN_LOG_LEVEL="2", CUDA_VISIBLE_DEVICES="")
    if not ours:
        out.pop("PYTHONPATH", None)
    return out


def ask(python: Path, framework: str, words: Sequence[str]) -> str:
    """What a side's script prints."""
    command = [str(python), "-m", f"benchmarks.speed.frameworks.in_{framework}", *words]
    return environment.quietly(command, ROOT, surroundings(framework == OWN))


def one_core() -> None:
    """Hold this process, and all it starts, to one core, where the system can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def pythons(wanted: Sequence[str], cache: Path) -> tuple[dict[str, Path], dict[str, str]]:
    """(the Python of each framework, why others are left out)."""
    found, missing = {OWN: Path(sys.executable)}, {}
    for name in wanted:
        try:
            found[name] = environment.ready(ENVIRONMENTS[name], cache)
        except UnavailableError as error:
            missing[name] = str(error)
            tell(f"{name} is left out: {error}")
    return found, missing


def games(
    sides: Sequence[Side], found: dict[str, Path], seeds: Sequence[int], epochs: int
) -> tuple[list[dict[str, Any]], list[str]]:
    """(what each game of each side gave, what failed): A B C ... A B C ..."""
    played, failed = [], []
    for seed in seeds:
        for side in sides:
            if side.slow and seed != seeds[0]:
                continue
            words = ["play", side.variant, "--seed", str(seed), "--epochs", str(epochs)]
            try:
                result = json.loads(ask(found[side.framework], side.framework, words))
            except UnavailableError as error:
                failed.append(f"{side.name}, seed {seed}: {error}")
                tell(failed[-1])
                continue
            played.append({"side": side.name, "seed": seed, **result})
            tell(f"{side.name}, seed {seed}: {result['rate_cpu']:,.0f} examples a CPU second")
    return played, failed


def compared(found: dict[str, Path]) -> tuple[dict[str, dict[str, dict[str, float]]], list[str]]:
    """(framework -> case -> gradient -> relative difference from ours, what failed).

    Ours in single precision stands among them, compared with ours in double: the rounding there is.
    """
    errors: dict[str, dict[str, dict[str, float]]] = {}
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        ours: dict[Case, Arrays] = {}
        for case in (*EXACT, *ROUGH):
            given, ours[case] = gradients.case(case)
            np.savez(Path(folder) / f"{case.name}.npz", **given)
        files = [str(Path(folder) / f"{case.name}.npz") for case in ours]
        for name, python in found.items():
            if name == OWN:
                continue
            out = Path(folder) / name
            out.mkdir()
            try:
                ask(python, name, ["gradients", str(out), *files])
            except UnavailableError as error:
                failed.append(f"{name}, gradients: {error}")
                tell(failed[-1])
                continue
            errors[name] = {}
            for case, mine in ours.items():
                with np.load(out / f"{case.name}.npz", allow_pickle=False) as file:
                    errors[name][case.name] = gradients.differences(dict(file), mine)
    errors["ours"] = {
        rough.name: gradients.differences(
            {name: value.astype(np.float64) for name, value in ours[rough].items()}, ours[exact]
        )
        for rough, exact in zip(ROUGH, EXACT, strict=True)
    }
    for name, cases in errors.items():
        for case in EXACT:
            wrong = gradients.off(cases.get(case.name, {}))
            failed += [f"{name}, {case.name}: {one} is not ours" for one in wrong]
    return errors, failed


def tell(line: str) -> None:
    """A line of progress."""
    print(line, file=sys.stderr, flush=True)


def main() -> int:
    """Install, play, compare, print, keep."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.frameworks", description=__doc__
    )
    parser.add_argument("--frameworks", default=",".join(ENVIRONMENTS), help="commas between")
    parser.add_argument("--seeds", default="0,1,2", help="a game of each side for each; the slow "
                        "eager loop of TensorFlow plays the first only")  # fmt: skip
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--cache", type=Path, default=ROOT / ".bench")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    wanted = [name for name in given.frameworks.split(",") if name]
    unknown = [name for name in wanted if name not in ENVIRONMENTS]
    if unknown:
        parser.error(f"unknown framework {unknown[0]}: one of {', '.join(ENVIRONMENTS)}")
    seeds = [int(seed) for seed in given.seeds.split(",")]
    found, missing = pythons(wanted, given.cache)
    one_core()
    errors, failed = compared(found)
    sides = [side for side in SIDES if side.framework in found]
    played, fell = games(sides, found, seeds, given.epochs)
    result = {
        "date": date.today().isoformat(),
        "machine": f"one core of {os.cpu_count()} x {runs.cpu_name()}",
        "seeds": seeds,
        "epochs": given.epochs,
        "missing": missing,
        "failed": failed + fell,
        "gradients": errors,
        "games": played,
    }
    print(table.page(result))
    if given.json:
        machine.keep(given.json, result)
    return 1 if result["failed"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
