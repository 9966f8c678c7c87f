"""Time to quality: the published DCGAN loop for 5 epochs, and `ganforge train`, seed by seed.

    python -m benchmarks.quality.time_to_quality --seeds 0..9 --json runs/bench/quality.jsonl
    python -m benchmarks.quality.time_to_quality --table runs/bench/quality.jsonl

One thread. A seed: the published loop plays its 5 epochs; then the default recipe, unchanged, plays
its budget, and is scored once a tenth of the published loop's time has gone, and at its end.
Time is the CPU time of training (data loading included, scores not); the clock's stands beside it.
10,000 samples against the test file, on which nothing was chosen; seeds below 100, with which
nothing was searched. A line a seed is appended, so that a stop loses one seed.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from benchmarks.speed import machine
from benchmarks.speed.peers import dcgan, dropout
from ganforge import recipes
from ganforge.data.dataset import Examples
from ganforge.evaluation import evaluate
from ganforge.evaluation.inputs import Real
from ganforge.experiments import plan
from ganforge.sampling.sampler import Sampler
from ganforge.training import loop

EPOCHS, N = 5, 10_000
METRICS = ("frechet", "precision", "recall", "coverage")
CLASSES = ("label-accuracy", "worst-class")
FLOORS = ("frechet", "coverage")
EARLY = 0.1  # of the published loop's time


class Timer:
    """CPU seconds and seconds by the clock, while it runs."""

    def __init__(self) -> None:
        self.cpu = self.wall = 0.0

    def __enter__(self) -> Timer:
        self.began = time.process_time(), time.perf_counter()
        return self

    def __exit__(self, *error: object) -> None:
        self.cpu += time.process_time() - self.began[0]
        self.wall += time.perf_counter() - self.began[1]

    def times(self) -> dict[str, float]:
        return {"cpu": round(self.cpu, 1), "wall": round(self.wall, 1)}


def scores(subject: Sampler | Examples, real: Real) -> dict[str, float]:
    """Values by metric, and the floors of some."""
    labelled = isinstance(subject, Sampler) and subject.spec.classes > 0
    names = METRICS + CLASSES if labelled else METRICS
    cards = evaluate.evaluate(subject, real, n=N, metrics=names)
    found = {card.name: card.value for card in cards}
    found |= {f"{card.name} floor": card.floor for card in cards if card.name in FLOORS}
    return {name: float(f"{value:.5g}") for name, value in found.items()}


def published(seed: int, real: Real, epochs: float) -> dict[str, Any]:
    """The plain loop, and what its generator makes with batch statistics of either kind."""
    torch.manual_seed(seed)
    made: list[torch.nn.Module] = []

    def players() -> tuple[torch.nn.Module, torch.nn.Module]:
        pair: tuple[torch.nn.Module, torch.nn.Module] = dcgan.players()
        made.append(pair[0])
        return pair

    timer, seen = Timer(), 0
    with timer, contextlib.redirect_stdout(io.StringIO()):
        for count in dropout.play(64, None, players):
            seen += count
            if seen >= epochs * len(real.train):
                break
    generator = made[0]
    kinds = {}
    for kind in ("eval", "train"):  # the better one counts: tutorials leave it in training mode
        generator.train(kind == "train")
        with torch.no_grad():
            parts = [generator(torch.rand(100, 100) * 2 - 1) for _ in range(N // 100)]
        stored = (torch.cat(parts) * 127.5 + 127.5).round().clamp(0, 255).to(torch.uint8)
        values = np.ascontiguousarray(stored.permute(0, 2, 3, 1).numpy())
        kinds[kind] = scores(Examples(values), real)
    best = min(kinds, key=lambda kind: kinds[kind]["frechet"])
    return timer.times() | {"images": seen, "mode": best, **kinds[best]}


def ours(seed: int, real: Real, epochs: float, early: float) -> list[dict[str, Any]]:
    """The default: scored after `early` CPU seconds, and at its end."""
    config = replace(recipes.find("cdcgan"), seed=seed, threads=1)
    config = replace(config, epochs=config.epochs * epochs / EPOCHS)
    timer, points = Timer(), []
    with tempfile.TemporaryDirectory() as folder:
        steps = loop.training(config, Path(folder) / "run", data=real.train)
        while True:
            with timer:
                at = next(steps, None)
            if at is None:
                return points
            training, progress = at
            first = not points and timer.cpu >= early and not progress.done
            if first or progress.done:
                known = timer.times() | {"images": progress.step * config.batch}
                points.append(known | scores(training.sampler(), real))


def play(seed: int, real: Real, epochs: float) -> dict[str, Any]:
    """Both sides, one after the other."""
    theirs = published(seed, real, epochs)
    points = ours(seed, real, epochs, EARLY * theirs["cpu"])
    return {"seed": seed, "published": theirs, "early": points[0], "end": points[-1]}


# --- the table --------------------------------------------------------------------------------

COLUMNS = ("cpu", *METRICS, *CLASSES)


def span(values: Sequence[float]) -> str:
    """Median, and the worst and best beside it."""
    return f"{median(values):.4g} ({min(values):.4g} .. {max(values):.4g})" if values else ""


def table(lines: Sequence[dict[str, Any]]) -> str:
    """A row a side, medians over seeds and extremes; then the goals, each with its figure."""
    sides = ("published", "early", "end")
    names = {"published": "published DCGAN, 5 epochs", "early": "default, a tenth of its time",
            "end": "default, its budget"}  # fmt: skip
    rows = ["| | CPU s | FD | precision | recall | coverage | labels % | worst digit % |",
            "|---|---|---|---|---|---|---|---|"]  # fmt: skip
    for side in sides:
        cells = [
            span([r[side][c] * (100 if c in CLASSES else 1) for r in lines if c in r[side]])
            for c in COLUMNS
        ]
        rows.append(f"| {names[side]} | {' | '.join(cells)} |")
    floors = [span([r["end"][f"{name} floor"] for r in lines]) for name in FLOORS]
    rows.append(f"| real against real | | {floors[0]} | | | {floors[1]} | | |")
    ends = [r["end"] for r in lines]
    goals: dict[str, Callable[[dict[str, Any]], bool]] = {
        "its FD in a tenth of its time": lambda r: (
            r["early"]["frechet"] <= r["published"]["frechet"]
        ),
        "in its time": lambda r: r["end"]["cpu"] <= r["published"]["cpu"],
        "FD at most a twentieth of its": lambda r: (
            r["end"]["frechet"] <= r["published"]["frechet"] / 20
        ),
        "coverage at least .95": lambda r: r["end"]["coverage"] >= 0.95,
        "labels at least 99.5 %": lambda r: r["end"]["label-accuracy"] >= 0.995,
        "worst digit at least 99 %": lambda r: r["end"]["worst-class"] >= 0.99,
    }
    rows.append("")
    for goal, holds in goals.items():
        rows.append(f"- {goal}: {sum(map(holds, lines))} of {len(ends)} seeds")
    return "\n".join(rows)


def main() -> None:
    """Play the seeds that are not in the file yet, then print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality.time_to_quality", description=__doc__
    )
    parser.add_argument("--seeds", default="0..9")
    parser.add_argument("--epochs", type=float, default=EPOCHS, help="less, for a try")
    parser.add_argument("--json", type=Path, default=Path("runs/bench/quality.jsonl"))
    parser.add_argument("--table", type=Path, help="of the lines of a file; nothing is played")
    given = parser.parse_args()
    if given.table:
        print(table([json.loads(line) for line in given.table.read_text().splitlines()]))
        return
    torch.set_num_threads(1)
    facts = machine.describe(1)
    real = evaluate.load_real("mnist", None, "test")
    given.json.parent.mkdir(parents=True, exist_ok=True)
    done = (
        [json.loads(s) for s in given.json.read_text().splitlines()] if given.json.exists() else []
    )
    for seed in plan.parse(given.seeds):
        if seed in {line["seed"] for line in done}:
            continue
        line = play(seed, real, given.epochs) | {"facts": facts}
        with given.json.open("a") as file:
            file.write(json.dumps(line) + "\n")
        done.append(line)
        print(json.dumps(line), flush=True)
    print(table(done))


if __name__ == "__main__":
    main()
