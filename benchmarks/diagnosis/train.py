"""`python -m benchmarks.diagnosis train OUT [SCENARIO ...]`: every run, in OUT/SCENARIO/SEED."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.diagnosis.scenarios import SCENARIOS
from ganforge import api
from ganforge.errors import DivergedError, UsageError
from ganforge.runs.folder import Run

ENDED = ("finished", "diverged")
api.draw = lambda run: None  # a plot of each would take longer than some of the runs


def train(out: Path, names: Sequence[str], seeds: Sequence[int]) -> None:
    """Train the runs that have not ended yet."""
    for seed in seeds:
        for name in names or SCENARIOS:
            if seed < SCENARIOS[name].seeds or seed >= 100:
                one(out / name / str(seed), name, seed)


def one(path: Path, name: str, seed: int) -> None:
    """One run, unless it has ended before."""
    scenario, run = SCENARIOS[name], Run(path)
    if run.exists() and run.info().get("status") in ENDED:
        return
    began = time.process_time()
    train, held_out = scenario.sets()
    config = replace(scenario.config(), seed=seed)
    try:
        last = api.train(config, path, show="quiet", data=train, validation=held_out).progress
        result = f"loss_d {last.loss_d:.3f} loss_g {last.loss_g:.3f}"
    except DivergedError as error:
        result = str(error).partition(":")[0]
    except UsageError as error:  # another process trains it
        result = str(error)
    seconds = time.process_time() - began
    print(f"{name} {seed}: {result}, {seconds:.0f} s", file=sys.stderr, flush=True)
