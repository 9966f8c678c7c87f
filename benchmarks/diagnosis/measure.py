"""`python -m benchmarks.diagnosis measure OUT FIGURES [WAY ...]`: a JSON line a run."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.diagnosis.scenarios import WAYS
from ganforge.diagnosis import folder
from ganforge.runs.folder import Run


def measure(out: Path, figures: Path, names: Sequence[str]) -> None:
    """Add the runs that are not there yet."""
    done = {(r["way"], r["seed"]) for r in read(figures)} if figures.exists() else set()
    for name in names or WAYS:
        for path in sorted((out / name).glob("*")):
            seed = int(path.name)
            ended = Run(path).info().get("status") in ("finished", "diverged")
            if (name, seed) not in done and ended:
                line = json.dumps({"way": name, "seed": seed, **one(path, name)})
                with figures.open("a") as file:
                    file.write(line + "\n")
                print(name, seed, file=sys.stderr, flush=True)


def one(path: Path, name: str) -> dict[str, Any]:
    """The figures of a run, and what could not be looked at."""
    way = WAYS[name]
    train, held = (way.judged or way.sets)()
    patient = folder.admit(path, train, held)
    found = patient.figures()
    kept = {k: float(f"{v:.6g}") if math.isfinite(v) else None for k, v in sorted(found.items())}
    return {"lacking": patient.lacking, "figures": kept}


def read(path: Path) -> list[dict[str, Any]]:
    """The lines of a file of figures."""
    return [json.loads(line) for line in path.read_text().splitlines()]
