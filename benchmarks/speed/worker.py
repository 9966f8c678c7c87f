"""One side of a benchmark in a separate process: warm, then asked for a few seconds at a time.

    python -m benchmarks.speed.worker ours dcgan --batch 64 --threads 1

A line in, a line of JSON out: `go 3` plays whole updates for 3 seconds and tells how many examples
D saw, wall and processor seconds; `end` tells peak memory and the arithmetic of an update.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import json
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BEGAN = time.perf_counter()


def peer(name: str, batch: int) -> Iterator[int]:
    """The published loop; yields examples seen after every update."""
    play = importlib.import_module(f"benchmarks.speed.peers.{name}").play
    steps = play(batch)
    while True:
        with contextlib.redirect_stdout(io.StringIO()):  # its progress lines are part of its time
            seen = next(steps)
        yield seen


def ours(name: str, batch: int, threads: int, precision: str, folder: Path) -> Iterator[int]:
    """The loop of `ganforge train`, its log and its look at the weights included."""
    from dataclasses import replace

    from benchmarks.speed.systems import SYSTEMS
    from ganforge.data.load import load
    from ganforge.experiments.ensemble import stack
    from ganforge.runs.folder import Run
    from ganforge.training import divergence
    from ganforge.training.device import resolve
    from ganforge.training.trainer import CHECK_STEPS, Trainer

    system = SYSTEMS[name]
    config = replace(system.ours(), batch=batch, threads=threads, precision=precision, epochs=10**4)
    data = load(config.data)
    if system.members > 1:
        games = stack.Ensemble(config, range(system.members), data)
        while True:
            games.step()
            yield system.members * batch
    config = replace(config, compile=system.compiled)
    t = Trainer.build(config, Run(folder), data, resolve(config, spec=data.spec))
    if system.compiled:
        notes = t.choose_steps() + t.prepare_steps()
        assert t.compiled is not None, notes
    folder.mkdir(parents=True, exist_ok=True)
    interval = t.log_interval
    while True:
        before = t.samples_seen
        t.step()
        logged = t.state.step % interval == 0
        if logged or t.state.step % CHECK_STEPS == 0:
            divergence.check(t)
            if logged:
                t.log()
        yield t.samples_seen - before


def go(steps: Iterator[int], seconds: float) -> dict[str, float]:
    """Whole updates for so long."""
    wall, processor, images, updates = time.perf_counter(), time.process_time(), 0, 0
    while time.perf_counter() - wall < seconds:
        images += next(steps)
        updates += 1
    return {
        "images": images,
        "updates": updates,
        "seconds": time.perf_counter() - wall,
        "cpu": time.process_time() - processor,
    }


def arithmetic(steps: Iterator[int]) -> float:
    """Floating-point operations for each example of an update: matrix products, convolutions."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        images = next(steps)
    return counter.get_total_flops() / images


def main() -> None:
    """Obey the lines of standard input."""
    parser = argparse.ArgumentParser()
    parser.add_argument("side", choices=("peer", "ours"))
    parser.add_argument("name")
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--flops", action="store_true", help="count the arithmetic of an update")
    given = parser.parse_args()
    import torch

    torch.set_num_threads(given.threads)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        steps = (
            peer(given.name, given.batch)
            if given.side == "peer"
            else ours(given.name, given.batch, given.threads, given.precision, Path(folder) / "run")
        )
        next(steps)
        tell({"first": time.perf_counter() - BEGAN})
        for _ in range(20):
            next(steps)
        for line in sys.stdin:
            word, _, amount = line.strip().partition(" ")
            if word == "go":
                tell(go(steps, float(amount)))
            else:
                peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
                tell({"peak": peak, "flops": arithmetic(steps) if given.flops else 0.0})
                return


def tell(table: dict[str, Any]) -> None:
    """A line of JSON."""
    print(json.dumps(table), flush=True)


if __name__ == "__main__":
    main()
