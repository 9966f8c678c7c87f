"""`python -m benchmarks.diagnosis measure OUT FIGURES [SCENARIO ...]`: a JSON line for each run."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.diagnosis.scenarios import SCENARIOS
from ganforge.diagnosis import signals, snapshot
from ganforge.runs.folder import Run


def measure(out: Path, figures: Path, names: Sequence[str]) -> None:
    """Add the runs that FIGURES does not hold yet."""
    done = {(r["scenario"], r["seed"]) for r in read(figures)} if figures.exists() else set()
    for name in names or SCENARIOS:
        for path in sorted((out / name).glob("*")):
            seed = int(path.name)
            ended = Run(path).info().get("status") in ("finished", "diverged")
            if (name, seed) not in done and ended:
                line = json.dumps({"scenario": name, "seed": seed, **one(path, name)})
                with figures.open("a") as file:
                    file.write(line + "\n")
                print(name, seed, file=sys.stderr, flush=True)


def one(path: Path, name: str) -> dict[str, Any]:
    """The figures of a run, and which groups of them are not available."""
    scenario = SCENARIOS[name]
    train, held_out = (scenario.diagnosed or scenario.sets)()
    found = signals.measure(snapshot.of_run(path, train, held_out))
    figures = {
        k: float(f"{v:.6g}") if math.isfinite(v) else None for k, v in sorted(found.figures.items())
    }
    return {"unavailable": found.unavailable, "figures": figures}


def read(path: Path) -> list[dict[str, Any]]:
    """The lines of a file of figures."""
    return [json.loads(line) for line in path.read_text().splitlines()]
