"""What bf16 gains, and whether it costs: speed of every recipe, and scores over seeds.

    python -m benchmarks.speed.precision speed
    python -m benchmarks.speed.precision outcomes --seeds 0..4 --epochs 2 [--json FILE]

One thread. Speed: steps per CPU second in fp32 and bf16, by turns, medians. Outcomes: the default
recipe in both, scored on the validation part; a paired t test over seeds. A line a run is appended,
so that a stop loses one run.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import torch

from benchmarks.speed import small
from ganforge import recipes
from ganforge.evaluation import evaluate
from ganforge.experiments import plan
from ganforge.experiments.statistics import summarise, t_test
from ganforge.recipes import RECIPES
from ganforge.training import loop
from ganforge.training.device import resolve
from ganforge.training.trainer import Trainer

ROUNDS, N = 5, 5_000
KINDS = ("fp32", "bf16")
METRICS = ("frechet", "precision", "recall", "coverage", "label-accuracy", "worst-class")


def step(t: Trainer) -> Callable[[], int]:
    """A call plays one step."""

    def once() -> int:
        t.step()
        return 1

    return once


def speed() -> None:
    """A row a recipe."""
    for name in RECIPES:
        runs = {kind: small.started(name, precision=kind) for kind in KINDS}
        for t in runs.values():
            for _ in range(5):
                t.step()
        rounds = [{kind: small.rate(step(t)) for kind, t in runs.items()} for _ in range(ROUNDS)]
        fp32, bf16 = (median(r[kind] for r in rounds) for kind in KINDS)
        config = recipes.find(name)
        auto = resolve(config, spec=runs["fp32"].data.spec).precision
        print(f"| `{name}` | {fp32:,.1f} | {bf16:,.1f} | {bf16 / fp32:.2f} | {auto} |", flush=True)


def outcome(seed: int, kind: str, epochs: float) -> dict[str, Any]:
    """One run of the default, and its scores on the validation part."""
    config = replace(recipes.find("cdcgan"), seed=seed, precision=kind, threads=1, epochs=epochs)
    real = evaluate.load_real("mnist", None, "validation")
    spent = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        for t, progress in loop.training(config, Path(folder) / "run", data=real.train):
            if progress.done:
                spent = time.process_time() - spent
                cards = evaluate.evaluate(t.sampler(), real, n=N, metrics=METRICS)
    scores = {card.name: float(f"{card.value:.5g}") for card in cards}
    return {"seed": seed, "kind": kind, "epochs": epochs, "cpu": round(spent, 1), **scores}


def outcomes(lines: Sequence[dict[str, Any]]) -> str:
    """A row a metric: both means, the paired difference, its p."""
    of = {(r["seed"], r["kind"]): r for r in lines}
    seeds = sorted({seed for seed, _ in of if all((seed, kind) in of for kind in KINDS)})
    rows = [f"| {len(seeds)} seeds | fp32 | bf16 | bf16 - fp32 | p |", "|---|---|---|---|---|"]
    for name in ("cpu", *METRICS):
        a, b = ([of[seed, kind][name] for seed in seeds] for kind in KINDS)
        gap = [y - x for x, y in zip(a, b, strict=True)]
        summaries = [summarise(values) for values in (a, b, gap)]
        cells = " | ".join(f"{s.mean:.4g} +- {s.error:.2g}" for s in summaries)
        rows.append(f"| {name} | {cells} | {t_test(gap):.2g} |")
    return "\n".join(rows)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.precision", description=__doc__
    )
    parser.add_argument("what", choices=("speed", "outcomes"))
    parser.add_argument("--seeds", default="0..4")
    parser.add_argument("--epochs", type=float, default=2.0)
    parser.add_argument("--json", type=Path, default=Path("runs/bench/precision.jsonl"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.what == "speed":
        speed()
        return
    given.json.parent.mkdir(parents=True, exist_ok=True)
    known = given.json.read_text().splitlines() if given.json.exists() else []
    lines = [json.loads(line) for line in known]
    for seed in plan.parse(given.seeds):
        for kind in KINDS:
            if not any(r["seed"] == seed and r["kind"] == kind for r in lines):
                lines.append(outcome(seed, kind, given.epochs))
                with given.json.open("a") as file:
                    file.write(json.dumps(lines[-1]) + "\n")
                print(lines[-1], flush=True)
    print(outcomes(lines))


if __name__ == "__main__":
    main()
