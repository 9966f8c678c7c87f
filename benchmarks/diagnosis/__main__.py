"""`python -m benchmarks.diagnosis train|measure|limits|table`."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from benchmarks.diagnosis.measure import measure
from benchmarks.diagnosis.table import limits, table
from benchmarks.diagnosis.train import train


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.diagnosis", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("train", help="every run that has not ended yet")
    one.add_argument("out", type=Path)
    one.add_argument("scenarios", nargs="*")
    one.add_argument("--seeds", type=int, nargs="*", default=list(range(10)))
    one = commands.add_parser("measure", help="the figures of every run")
    one.add_argument("out", type=Path)
    one.add_argument("figures", type=Path)
    one.add_argument("scenarios", nargs="*")
    for name, what in (
        ("limits", "what separates them from healthy"),
        ("table", "what is named"),
    ):
        one = commands.add_parser(name, help=what)
        one.add_argument("figures", type=Path)
        one.add_argument(
            "--seeds", choices=("even", "odd"), default="odd" if name == "table" else "even"
        )
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.command == "train":
        train(given.out, given.scenarios, given.seeds)
    elif given.command == "measure":
        measure(given.out, given.figures, given.scenarios)
    else:
        text = {"limits": limits, "table": table}[given.command]
        print(text(given.figures, int(given.seeds == "odd")))


if __name__ == "__main__":
    main()
