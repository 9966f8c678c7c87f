"""Train a variant of a recipe on one thread, and score it on the validation part as it goes.

    python -m benchmarks.quality.search lr2 generator.lr=2e-3 discriminator.lr=2e-3 --epochs 1

The record is a line of benchmarks/quality/results.jsonl: CPU seconds of training (of the
process, so that a busy machine does not count) and the scores at several points of the budget. The
test part and the seeds below 100 are left to whoever makes the final claim.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from ganforge import recipes, registry
from ganforge.config import convert, schema
from ganforge.data import load
from ganforge.evaluation import evaluate
from ganforge.evaluation.inputs import Real
from ganforge.sampling.sampler import Sampler
from ganforge.training import loop

N = 5_000  # samples, and real examples of the validation part
METRICS = ("frechet", "precision", "recall", "coverage")
CLASSES = ("label-accuracy", "worst-class")
RESULTS = Path(__file__).with_name("results.jsonl")


def main() -> None:
    """Train, score, append a line, print it."""
    asked = arguments()
    wanted = variant(asked)
    data = load.load(wanted.data, size=wanted.size)
    validation = load.load(wanted.data, part="validation", size=wanted.size)
    real = Real(data, validation)
    points: list[dict[str, float]] = []
    spent, began = 0.0, time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        for training, progress in loop.training(wanted, Path(folder) / "run", data=data):
            spent += time.process_time() - began
            used = progress.step / progress.steps
            if used >= (len(points) + 1) / asked.points - 1e-9 and not progress.done:
                scored = scores(training.sampler(), real, whole=used == 1)
                points.append({"step": progress.step, "cpu": round(spent, 1)} | scored)
                print(asked.name, points[-1], flush=True)
            began = time.process_time()
    record = {
        "name": asked.name,
        "recipe": asked.recipe,
        "settings": asked.settings,
        "seed": wanted.seed,
        "epochs": wanted.epochs,
        "date": time.strftime("%Y-%m-%d"),
        "points": points,
    }
    with RESULTS.open("a") as file:
        file.write(json.dumps(record) + "\n")


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality.search", description=__doc__
    )
    parser.add_argument("name", help="what the variant is called in the record")
    parser.add_argument("settings", nargs="*", help="dotted settings, as generator.lr=2e-3")
    parser.add_argument("--recipe", default="cdcgan", help="a recipe, or file.py:function")
    parser.add_argument("--epochs", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=100, help="100 or more")
    parser.add_argument("--points", type=int, default=2, help="scores along the budget")
    asked = parser.parse_args()
    if asked.seed < 100:
        parser.error(f"seed {asked.seed}: those below 100 are for the final claim only")
    return asked


def variant(asked: argparse.Namespace) -> schema.Config:
    """The recipe with the settings, on one thread, with nothing written on the way."""
    pairs = dict(setting.split("=", 1) for setting in asked.settings)
    changed = convert.override(recipes.find(asked.recipe), pairs, registry.PARTS)
    quiet = schema.Output(sample_every=1e6, save_every=1e6, log_every=10)
    return replace(changed, epochs=asked.epochs, seed=asked.seed, threads=1, output=quiet)


def scores(sampler: Sampler, real: Real, whole: bool) -> dict[str, float]:
    """Rounded values by metric; precision, recall and coverage at the end only."""
    names = METRICS if whole else METRICS[:1]
    if sampler.spec.classes:
        names += CLASSES
    cards = evaluate.evaluate(sampler, real, n=N, metrics=names)
    return {card.name: round(card.value, 4) for card in cards}


if __name__ == "__main__":
    main()
