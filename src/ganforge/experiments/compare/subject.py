"""What a comparison compares, and that its file is not written over another's."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ganforge import files
from ganforge.errors import DataError, UsageError
from ganforge.experiments import naming
from ganforge.text import printable

JSON = "compare.json"

# recipe or variant -> seed -> the run's folder, from the folder of the comparison
Subject = dict[str, dict[str, str]]


def subject(runs: Mapping[str, Iterable[tuple[int, Path]]], folder: Path) -> Subject:
    """What a comparison of `runs` that is written in `folder` compares.

    runs: (seed, run folder) by the name of the recipe or variant.
    """
    return {
        printable(label): {
            str(seed): printable(Path(os.path.relpath(path, folder)).as_posix())
            for seed, path in group
        }
        for label, group in runs.items()
    }


def name(runs: Mapping[str, Iterable[int]]) -> str:
    """The name of a comparison: its variants in order of the alphabet, and its seeds."""
    every = sorted({seed for group in runs.values() for seed in group})
    return naming.joined([naming.joined(sorted(runs)), f"seeds-{spelled(every)}"], "-")


def spelled(seeds: list[int]) -> str:
    """Seeds in their order as --seeds takes them: 0..4, or 0,3,7."""
    if len(seeds) > 1 and seeds == list(range(seeds[0], seeds[-1] + 1)):
        return f"{seeds[0]}..{seeds[-1]}"
    return ",".join(map(str, seeds))


def refuse_another(folder: Path, wanted: Subject) -> None:
    """UsageError if a folder holds the comparison of other variants, seeds or runs.

    DataError if its compare.json is damaged.
    """
    path = folder / JSON
    if not path.is_file():
        return
    try:
        there = read(json.loads(files.read_file(path)), folder)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise DataError(f"{path}: damaged: remove it, or give another --out") from None
    if there != wanted:
        seeds = sorted({int(seed) for group in there.values() for seed in group})
        same = {k: set(v) for k, v in there.items()} == {k: set(v) for k, v in wanted.items()}
        others = ", of runs in other folders" if same else ""
        raise UsageError(
            f"{path} is the comparison of {', '.join(there)} over the seeds "
            f"{spelled(seeds)}{others}: give another --out, or remove that file, its runs stay"
        )


def read(table: Any, folder: Path) -> Subject:
    """The subject of a compare.json; of one without it, from the runs that it names."""
    if "runs" in table:
        return {label: dict(group) for label, group in table["runs"].items()}
    groups = table["recipes"].items()
    runs = {label: [(int(e["seed"]), Path(e["path"])) for e in group] for label, group in groups}
    return subject(runs, folder)
