"""What `threads = 0` chooses on a quiet machine and beside busy processes, against one and all.

    python -m benchmarks.speed.threads [--busy 0,1,2] [--systems dcgan,mnist-mlp] [--json FILE]

A busy process is a Python child that counts. For each load a run is begun beside it, as `ganforge
train` begins one, and then plays by turns with what it chose, with one thread and with all cores;
real examples a second by the clock, medians over the rounds and of the ratios within them.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.speed import machine
from ganforge import recipes
from ganforge.data.load import load
from ganforge.runs.folder import Run
from ganforge.training import device, threads
from ganforge.training.trainer import Trainer

ROUNDS = 5
SECONDS = 2.0  # of a turn, in whole steps
LEAST = 0.8  # of one thread's rate, that the choice has to make beside busy processes
Row = dict[str, Any]


@contextmanager
def busy(count: int) -> Iterator[None]:
    """So many processes that use a core each, for as long as the block lasts."""
    spinning = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in spinning:
            process.kill()
            process.wait()


def begun(name: str, folder: Path) -> tuple[Trainer, float]:
    """A run of a recipe whose threads are settled, and the seconds that took."""
    config = replace(recipes.find(name), epochs=10**4)
    data = load(config.data)
    t = Trainer.build(config, Run(folder), data, device.resolve(config, spec=data.spec))
    t.step()  # what only a process's first step costs is no part of the race
    t.state.step = 0
    began = time.perf_counter()
    threads.settle(t, {})
    return t, time.perf_counter() - began


def rate(t: Trainer, count: int) -> float:
    """Real examples a second with so many threads."""
    torch.set_num_threads(count)
    t.step()
    before, began = t.samples_seen, time.perf_counter()
    while time.perf_counter() - began < SECONDS:
        t.step()
    return (t.samples_seen - before) / (time.perf_counter() - began)


def measured(name: str, count: int) -> Row:
    """One system beside `count` busy processes."""
    with tempfile.TemporaryDirectory() as folder, busy(count):
        t, seconds = begun(name, Path(folder) / "run")
        sides = {"chosen": t.resolved.threads, "one": 1, "all": device.cores()}
        rates: dict[str, list[float]] = {side: [] for side in sides}
        for _ in range(ROUNDS):
            for side, number in sides.items():
                rates[side].append(rate(t, number))
    return {"system": name, "busy": count, "threads": t.resolved.threads, "race": seconds,
            "race_rates": t.rates, "rates": rates, **ratios(rates)}  # fmt: skip


def ratios(rates: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """How many times as fast the choice is as one thread, and as all cores: medians of rounds."""
    return {
        f"to_{side}": statistics.median(
            a / b for a, b in zip(rates["chosen"], rates[side], strict=True)
        )
        for side in ("one", "all")
    }


def missed(rows: Sequence[Row]) -> list[str]:
    """Where the choice is slower than it may be: quiet than all cores, busy than one thread."""
    out = []
    for row in rows:
        side, least = ("one", LEAST) if row["busy"] else ("all", 1 / threads.GAIN)
        if row[f"to_{side}"] < least:
            out.append(
                f"missed: {row['system']} beside {row['busy']} busy, {row[f'to_{side}']:.2f} of "
                f"the rate of {side} instead of {least:.2f}"
            )
    return out


def line(row: Row) -> str:
    """A row of the table."""
    one, every, chosen = (statistics.median(row["rates"][s]) for s in ("one", "all", "chosen"))
    return (
        f"{row['system']:<14}{row['busy']:>5}{row['threads']:>9}{row['race']:>9.1f}"
        f"{chosen:>10,.0f}{one:>10,.0f}{every:>10,.0f}{row['to_one']:>9.2f}{row['to_all']:>9.2f}"
    )


def numbers(text: str) -> list[int]:
    """Whole numbers between commas."""
    try:
        found = [int(word) for word in text.split(",")]
    except ValueError:
        found = [-1]
    if min(found) < 0:
        raise argparse.ArgumentTypeError(f"{text!r}: expected numbers from 0 up, as 0,1,2")
    return found


def main(words: Sequence[str] | None = None) -> int:
    """Print a table, say what is missed, and keep the figures; 1 where something is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed.threads", description=__doc__)
    parser.add_argument("--busy", type=numbers, default=[0, 1, 2])
    parser.add_argument("--systems", default="dcgan,mnist-mlp")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args(words)
    names = given.systems.split(",")
    for name in names:
        if name not in recipes.RECIPES:
            parser.error(f"unknown system {name!r}: one of {', '.join(recipes.RECIPES)}")
    facts = machine.describe(device.cores())
    print("system         busy  threads  race, s    chosen       one       all  to one   to all")
    rows = []
    for name in names:
        for count in given.busy:
            rows.append(measured(name, count))
            print(line(rows[-1]), flush=True)
    short = missed(rows)
    print("\n".join([*short, machine.line(facts)]))
    if given.json:
        machine.keep(given.json, {**facts, "rows": rows})
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main())
