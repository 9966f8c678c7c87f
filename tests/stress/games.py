"""Three small games that run for seconds, and what a run of them leaves behind."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ganforge import recipes
from ganforge.config.schema import Config
from ganforge.data import load
from ganforge.data.dataset import Dataset, digest
from ganforge.data.spec import DataSpec
from ganforge.rng import Stream
from ganforge.runs import checkpoint
from ganforge.training import build, loop
from ganforge.training.trainer import Trainer
from tests.helpers.tiny import data_for, narrow

Trainer.min_gap = 20  # type: ignore[misc,assignment]  # steps between checkpoints, for 100: more saves to hit in a shorter run
CLOCKS = ("seconds", "images_per_second")  # what a log holds that no two runs share
BATCH = 8


def pictures(count: int = 40, side: int = 28, classes: int = 10) -> Dataset:
    """Labelled noise of MNIST's shape."""
    values = Stream(0, "reliability/pictures").integers(0, count * side * side, 256)
    stored = values.astype(np.uint8).reshape(count, side, side, 1)
    labels = np.arange(count, dtype=np.int64) % classes
    return Dataset(
        "noise", "train", DataSpec((1, side, side), classes), stored, labels,
        sha256=digest(stored, labels),
    )  # fmt: skip


def shortened(config: Config, steps: int, log_every: int = 10) -> Config:
    """A narrow form of a recipe for `steps` steps on one thread, saved as often as can be."""
    output = replace(
        config.output, log_every=log_every, save_every=0.01, sample_every=8.0, grid=10, score=False
    )
    return replace(
        narrow(config), batch=BATCH, kimg=steps * BATCH * config.game.d_steps / 1000,
        device="cpu", precision="fp32", threads=1, output=output,
    )  # fmt: skip


def toy(steps: int = 300) -> tuple[Config, Dataset]:
    """The Gaussian of two numbers."""
    config = shortened(recipes.find("gaussian"), steps)
    return config, load.load("gaussian")


def dropout(steps: int = 160) -> tuple[Config, Dataset]:
    """A perceptron with dropout and batch norm in both players."""
    config = recipes.find("mnist-dropout")
    networks = replace(config.networks, generator_norm="batch", discriminator_norm="batch")
    return shortened(replace(config, networks=networks), steps), pictures()


def conditional(steps: int = 100) -> tuple[Config, Dataset]:
    """The conditional DCGAN, with its averaged generator, R1 and R2."""
    return shortened(recipes.find("cdcgan"), steps), pictures()


GAMES = {"toy": toy, "dropout": dropout, "conditional": conditional}


def game(name: str, steps: int = 0) -> tuple[Config, Dataset]:
    """One of the three games, or a recipe of that name, narrowed."""
    if name in GAMES:
        return GAMES[name](steps) if steps else GAMES[name]()
    config = shortened(recipes.find(name), steps or 60)
    return config, pictures() if config.data == "mnist" else data_for(config)


def warm() -> None:
    """Import what a run imports on its way, so that forked children need not."""
    import tomli_w  # noqa: F401

    for name in GAMES:
        config, data = game(name, 1)
        for optimizer in build.initial(config, data.spec).optimizers.values():
            optimizer.step()


def play(config: Config, path: Path, data: Dataset) -> list[str]:
    """Train to the end; the notes on the way."""
    return [p.note for p in loop.train(config, path, data=data) if p.note]


def outcome(path: Path) -> dict[str, Any]:
    """Hashes of all a run leaves: each player, averages, moments, the model, the log, the grids."""
    last = checkpoint.listed(path / "checkpoints")[0]
    checkpoint.verify(last)
    tensors = checkpoint.read_tensors(last / checkpoint.STATE)
    parts: dict[str, Any] = {}
    for name in sorted(tensors):
        digest = parts.setdefault(name.partition(".")[0], hashlib.sha256())
        digest.update(f"{name} {tensors[name].dtype} {tuple(tensors[name].shape)}".encode())
        digest.update(checkpoint.encode_tensors({"x": tensors[name]}))
    out = {name: digest.hexdigest() for name, digest in parts.items()}
    for file in [path / "model" / "model.safetensors", *sorted((path / "samples").iterdir())]:
        out[file.name] = hashlib.sha256(file.read_bytes()).hexdigest()
    records = [json.loads(line) for line in (path / "log.jsonl").read_text().splitlines()]
    out["log"] = [{k: v for k, v in r.items() if k not in CLOCKS} for r in records]
    return out


def difference(a: dict[str, Any], b: dict[str, Any]) -> str:
    """The names of what differs between two outcomes."""
    return ", ".join(k for k in sorted({*a, *b}) if repr(a.get(k)) != repr(b.get(k)))
