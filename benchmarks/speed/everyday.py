"""What is not the step: help, start, files, samples, streaming, packing. Two threads where cores.

    python -m benchmarks.speed.everyday [--json FILE] [--only help,start,...]

Each figure stands beside its goal. Seconds are by the clock, so the machine has to be quiet.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np
import torch
from PIL import Image

import ganforge as gf
from benchmarks.speed import machine
from ganforge import recipes
from ganforge.data.batches import Batches
from ganforge.data.dataset import PictureOptions
from ganforge.data.formats import image_folder
from ganforge.data.load import load
from ganforge.runs.folder import Run
from ganforge.training.device import resolve
from ganforge.training.trainer import Trainer

TRIES, PICTURES, SAMPLES = 5, 10_000, 10_000
COMMAND = [sys.executable, "-m", "ganforge"]
Found = dict[str, Any]


def seconds(work: Callable[[], object]) -> float:
    """How long a call takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def help_(folder: Path) -> Found:
    """`ganforge --help`, and whether it imports torch."""

    def once() -> object:
        return subprocess.run([*COMMAND, "--help"], check=True, capture_output=True)

    once()
    found = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "ganforge", "--help"],
        check=True, capture_output=True, text=True,
    ).stderr  # fmt: skip
    return {
        "ganforge --help, s": median(seconds(once) for _ in range(TRIES)),
        "goal": "0.3",
        "imports torch": "| torch\n" in found,
    }


def start(folder: Path) -> Found:
    """From the command to its first training step in the log, default recipe."""

    def once() -> float:
        with tempfile.TemporaryDirectory(dir=folder) as out:
            words = ["train", "--out", f"{out}/run", "--output.log-every", "1", "--epochs", "0.02"]
            began, log = time.perf_counter(), Path(out, "run/log.jsonl")
            process = subprocess.Popen([*COMMAND, *words, "--output.score", "false"],
                                       stdout=subprocess.DEVNULL)  # fmt: skip
            while not (log.exists() and log.stat().st_size) and process.poll() is None:
                time.sleep(0.005)
            took = time.perf_counter() - began
            process.wait()
            assert process.returncode == 0
            return took

    once()
    return {"first step of `ganforge train`, s": median(once() for _ in range(3)), "goal": "4"}


def whole(folder: Path) -> Found:
    """`ganforge train gaussian`: import, train, score, plots."""

    def once() -> float:
        with tempfile.TemporaryDirectory(dir=folder) as out:
            words = [*COMMAND, "train", "gaussian", "--out", f"{out}/run"]
            return seconds(lambda: subprocess.run(words, check=True, stdout=subprocess.DEVNULL))

    once()
    return {"`ganforge train gaussian`, s": median(once() for _ in range(3)), "goal": "6"}


def files(folder: Path) -> Found:
    """The default for one epoch: where its time went, and the cost of a step along the run."""
    config = replace(recipes.find("cdcgan"), epochs=1)
    gf.train(config, folder / "default", show="quiet")
    run = Run(folder / "default")
    timing = run.info()["timing"]
    spent = sum(timing.get(phase, 0.0) for phase in ("log", "sample", "save"))
    rates = [record["images_per_second"] for record in run.log()[1:]]
    part = len(rates) // 3
    return {
        "log, samples and checkpoints, share of the time": spent / (spent + timing["step"]),
        "goal": "0.03",
        "images/s, last third over first third": mean(rates[-part:]) / mean(rates[:part]),
        "timing": timing,
    }


def samples(folder: Path) -> Found:
    """10,000 MNIST pictures from a saved default model."""
    config = replace(recipes.find("cdcgan"), epochs=0.01)
    gf.train(replace(config, output=replace(config.output, score=False)), folder / "s",
             show="quiet")  # fmt: skip
    generator = gf.load(folder / "s")
    took = median(seconds(lambda: generator.sample(SAMPLES)) for _ in range(3))
    return {f"{SAMPLES:,} samples, s": took, "goal": "3"}


def stream(folder: Path) -> Found:
    """The same training with its data in memory and read from a file, by turns."""
    data = load("mnist")
    np.save(folder / "values.npy", data.values)
    mapped = replace(data, values=np.load(folder / "values.npy", mmap_mode="r"))
    found: Found = {"goal": "0.8"}
    for name in ("mnist-dropout", "dcgan-report"):
        config = replace(recipes.find(name), threads=1, epochs=100)
        made = {}
        for kind, source in (("memory", data), ("file", mapped)):
            t = Trainer.build(config, Run(folder / name / kind), source, resolve(config))
            if kind == "file":
                t.batches = Batches(source, device=t.batches.device, seed=0, resident_bytes=0)
            made[kind] = t
            for _ in range(20):
                t.step()
        ratios = []
        for _ in range(TRIES):
            took = {k: seconds(lambda t=t: [t.step() for _ in range(40)])  # type: ignore[misc]
                    for k, t in made.items()}  # fmt: skip
            ratios.append(took["memory"] / took["file"])
        found[f"{name} from a file, of its rate in memory"] = median(ratios)
        for t in made.values():
            t.batches.close()
    return found


def packing(folder: Path) -> Found:
    """10,000 JPEGs of 256 x 256, as `ganforge data pack` decodes them, on one core and on all."""
    rng = np.random.default_rng(0)
    pictures = folder / "pictures"
    pictures.mkdir()
    noise = rng.integers(0, 256, (64, 32, 32, 3), dtype=np.uint8)
    for i in range(PICTURES):
        small = Image.fromarray(noise[i % 64])
        small.resize((256, 256), Image.Resampling.BICUBIC).save(
            pictures / f"{i:05}.jpg", quality=90
        )
    cores = os.cpu_count() or 1
    tries: dict[int, list[float]] = {1: [], cores: []}
    for _ in range(TRIES):
        for count, found in tries.items():
            os.sched_setaffinity(0, set(range(count)))
            found.append(
                seconds(lambda n=count: image_folder.read(pictures, PictureOptions(64, n)))
            )  # type: ignore[misc]
    took = {count: median(found) for count, found in tries.items()}
    return {
        f"{PICTURES:,} JPEGs, s": took,
        f"speed of {cores} cores over 1": took[1] / took[cores],
        "goal": f"{cores}",
    }


PARTS: dict[str, Callable[[Path], Found]] = {
    "help": help_, "start": start, "whole": whole, "files": files, "samples": samples,
    "stream": stream, "packing": packing,
}  # fmt: skip


def main(words: Sequence[str] | None = None) -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.everyday", description=__doc__
    )
    parser.add_argument("--only", default=",".join(PARTS))
    parser.add_argument("--json", type=Path)
    given = parser.parse_args(words)
    names = given.only.split(",")
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        parser.error(f"unknown part {unknown[0]!r}: one of {', '.join(PARTS)}")
    found: dict[str, Any] = machine.describe(torch.get_num_threads())
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            found[name] = PARTS[name](Path(folder))
        print(name, json.dumps(found[name]), flush=True)
    if given.json:
        machine.keep(given.json, found)


if __name__ == "__main__":
    main()
