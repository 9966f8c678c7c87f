"""`python -m benchmarks.diagnosis train|measure|bounds|table`."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from benchmarks.diagnosis.measure import measure
from benchmarks.diagnosis.table import bounds, table
from benchmarks.diagnosis.train import train


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.diagnosis", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("train", help="every run that is not there yet")
    one.add_argument("out", type=Path)
    one.add_argument("ways", nargs="*")
    one.add_argument("--seeds", type=int, nargs="*", default=list(range(10)))
    one = commands.add_parser("measure", help="the figures of every run")
    one.add_argument("out", type=Path)
    one.add_argument("figures", type=Path)
    one.add_argument("ways", nargs="*")
    for name, what in (("bounds", "what parts sick from healthy"), ("table", "what is named")):
        one = commands.add_parser(name, help=what)
        one.add_argument("figures", type=Path)
        one.add_argument(
            "--seeds", choices=("even", "odd"), default="odd" if name == "table" else "even"
        )
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.command == "train":
        train(given.out, given.ways, given.seeds)
    elif given.command == "measure":
        measure(given.out, given.figures, given.ways)
    else:
        told = {"bounds": bounds, "table": table}[given.command]
        print(told(given.figures, int(given.seeds == "odd")))


if __name__ == "__main__":
    main()
