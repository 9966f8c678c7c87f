"""Search for the default recipe for folders: one variant, a number of CPU minutes, one line.

    python -m benchmarks.quality.pictures base --train emoji64/train --held-out emoji64/held \\
        --recipe FILE.py:function SETTING=VALUE ... --minutes 5

The budget is resolved into images by a short measurement on one thread, so that learning rates fall
over what is trained. The record, a line of --results, has the CPU seconds of training (of the
process, so that a busy machine does not count), the scores at points of the budget in
effnet-lite0@112 against the held-out folder, and the floor: training pictures in place of samples.
A grid of samples of each variant is saved beside the records. Seeds below 100 are for the claim.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from ganforge import images, recipes, registry
from ganforge.config import convert, schema
from ganforge.data import load
from ganforge.data.dataset import Dataset, Examples, PictureOptions
from ganforge.data.spec import DataSpec
from ganforge.evaluation import evaluate
from ganforge.evaluation.inputs import Real
from ganforge.sampling.sampler import Sampler
from ganforge.training import loop
from ganforge.types import Array

METRICS = ("frechet", "kernel", "precision", "recall", "coverage", "authentic", "data-copying")
SPACE = "effnet-lite0@112"
PROBED_STEPS = 40


def main() -> None:
    """Train, score, append a line, print it."""
    asked = arguments()
    data, validation = whole(asked.train, asked.size), whole(asked.held_out, asked.size)
    wanted = variant(asked)
    kimg = resolved_kimg(wanted, data, asked.minutes)
    wanted = replace(wanted, kimg=kimg)
    real = Real(data, validation)
    points: list[dict[str, Any]] = []
    spent, began = 0.0, time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        for training, progress in loop.training(wanted, Path(folder) / "run", data=data):
            spent += time.process_time() - began
            used = progress.step / progress.steps
            if used >= (len(points) + 1) / asked.points - 1e-9 and not progress.done:
                losses = {k: round(float(getattr(progress, k)), 3) for k in ("loss_d", "loss_g")}
                scored = scores(training.sampler(), real, asked.n)
                seen = round(progress.samples_seen / 1000, 1)
                points.append({"kimg": seen, "cpu": round(spent, 1)} | losses | scored)
                print(asked.name, points[-1], flush=True)
                save_grid(training.sampler().sample(64, seed=0), asked)
            began = time.process_time()
    append(asked, recipe=asked.recipe, seed=wanted.seed, points=points)


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", help="what the variant is called in the record")
    add_common(parser, seed=100)
    parser.add_argument("--recipe", default="pictures", help="a recipe, or file.py:function")
    return parser.parse_args()


def add_common(parser: argparse.ArgumentParser, seed: int) -> None:
    """What our recipe and the other systems have in common; `seed` is the default."""
    parser.add_argument("settings", nargs="*", help="NAME=VALUE, as generator.lr=2e-3")
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--held-out", type=Path, required=True)
    parser.add_argument("--set-name", default="")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--minutes", type=float, default=5.0, help="CPU minutes of training")
    parser.add_argument("--seed", type=int, default=seed)
    parser.add_argument("--points", type=int, default=2, help="scores along the budget")
    parser.add_argument("--n", type=int, default=2_000, help="samples that are scored")
    parser.add_argument("--results", type=Path, default=Path(__file__).with_name("pictures.jsonl"))


def whole(path: Path, size: int) -> Dataset:
    """Every picture of a folder as one part."""
    found = load.read(path, PictureOptions(size))
    spec = DataSpec((found.values.shape[3], *found.values.shape[1:3]))
    return Dataset(str(path), "train", spec, found.values)


def variant(asked: argparse.Namespace) -> schema.Config:
    """The recipe with the settings, on one thread, with nothing written on the way."""
    pairs = dict(setting.split("=", 1) for setting in asked.settings)
    changed = convert.override(recipes.find(asked.recipe), pairs, registry.PARTS)
    quiet = schema.Output(sample_every=1e6, save_every=1e6, log_every=10)
    return replace(changed, size=asked.size, seed=asked.seed, threads=1, output=quiet)


def resolved_kimg(config: schema.Config, data: Dataset, minutes: float) -> float:
    """Thousands of images that a number of CPU minutes train, by a measurement of some steps."""
    images = config.batch * config.game.d_steps * PROBED_STEPS
    with tempfile.TemporaryDirectory() as folder:
        output = replace(config.output, log_every=8)
        probe = replace(config, kimg=images / 1000, output=output)
        points = [
            (progress.step, time.process_time())
            for _, progress in loop.training(probe, Path(folder) / "run", data=data)
        ]
    (first, began), (last, ended) = points[0], points[-1]
    a_step = (ended - began) / (last - first)
    return round(minutes * 60 / a_step * images / PROBED_STEPS / 1000, 1)


def scores(samples: Sampler | Examples, real: Real, n: int) -> dict[str, float]:
    """Rounded values and floors by metric."""
    found: dict[str, float] = {}
    for card in evaluate.evaluate(samples, real, n=n, metrics=METRICS, space=SPACE):
        found[card.name] = round(card.value, 4)
        if card.floor is not None:
            found[card.name + "_floor"] = round(float(card.floor), 4)
    return found


def save_grid(samples: Array, asked: argparse.Namespace) -> None:
    """64 samples, 8 x 8."""
    folder = asked.results.with_suffix("")
    folder.mkdir(exist_ok=True)
    file = folder / f"{set_name(asked)}-{asked.name}-{asked.seed}.png"
    file.write_bytes(images.png(images.grid(samples, columns=8)))


def append(asked: argparse.Namespace, **found: Any) -> None:
    """The record, as a line of the results."""
    record = {
        "name": asked.name,
        "settings": asked.settings,
        "data": set_name(asked),
        "minutes": asked.minutes,
        "date": time.strftime("%Y-%m-%d"),
    }
    with asked.results.open("a") as file:
        file.write(json.dumps(record | found) + "\n")


def set_name(asked: argparse.Namespace) -> str:
    """The data in records and names of grids."""
    return str(asked.set_name or asked.train.parent.name)


if __name__ == "__main__":
    main()
