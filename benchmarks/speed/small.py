"""One small game: the published Gaussian loop, `ganforge train` step by step, and --compile.

    python -m benchmarks.speed.small [--json FILE]

One thread, all in one run and in turn. CPU seconds of this process count; compiling is counted
separately: cold (with the compiler's processes) and from the cache. A second figure counts it: all
the examples of a whole run of `gaussian`, compiling and playing, beside the published loop's.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.speed import machine
from benchmarks.speed.peers import gaussian as published
from ganforge import recipes
from ganforge.data.load import load
from ganforge.runs.folder import Run
from ganforge.training import divergence
from ganforge.training.device import resolve
from ganforge.training.trainer import CHECK_STEPS, Trainer

ROUNDS = 3
SECONDS = 0.5  # of CPU a measurement
NAMES = ("gaussian", "gaussian-stable", "ring")
PEER = "the published loop"
Row = dict[str, Any]


def started(name: str, compile: bool = False, precision: str = "fp32") -> Trainer:
    """A run of a recipe with an endless budget."""
    config = recipes.find(name)
    config = replace(config, threads=1, precision=precision, epochs=10**4, compile=compile)
    folder = Path(tempfile.mkdtemp())
    return Trainer.build(config, Run(folder / "run"), load(config.data), resolve(config))


def spent() -> float:
    """CPU seconds of this process and of the compilers it has waited for."""
    both = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(u.ru_utime + u.ru_stime for u in map(resource.getrusage, both))


def prepared(name: str) -> tuple[Trainer, float]:
    """A compiled run, and the CPU seconds that compiling took."""
    t = started(name, True)
    before = spent()
    notes = t.choose_steps() + t.prepare_steps()
    assert t.compiled is not None, notes
    return t, spent() - before


def examples(t: Trainer) -> Callable[[], int]:
    """One call of the loop, its look at the weights included; real examples played."""
    interval = t.log_interval

    def once() -> int:
        before = t.samples_seen
        t.step()
        if t.state.step % CHECK_STEPS == 0:
            divergence.check(t)
            if t.state.step % interval == 0:
                t.log()
        return t.samples_seen - before

    t.run.path.mkdir(parents=True, exist_ok=True)
    return once


def rate(once: Callable[[], int]) -> float:
    """Real examples a CPU second."""
    seen, began = 0, time.process_time()
    while time.process_time() - began < SECONDS:
        seen += once()
    return seen / (time.process_time() - began)


def a_run() -> int:
    """Real examples of a whole run of `gaussian`."""
    config = recipes.gaussian()
    return config.images(len(load(config.data)))


def whole_run(theirs: float, ratios: Mapping[str, float], compiling: Sequence[float]) -> list[Row]:
    """Each way to play the examples of a run of `gaussian`: CPU seconds in all, and how many times
    as fast as the published loop, which takes `theirs`.

    ratios: of the sides' rates to its. compiling: CPU seconds, cold and from the cache.
    """
    compiled = theirs / ratios["gaussian, --compile"]
    ways = {
        PEER: theirs,
        "step by step": theirs / ratios["gaussian, step by step"],
        "--compile, cold": compiling[0] + compiled,
        "--compile, from the cache": compiling[1] + compiled,
    }
    return [{"side": side, "cpu": s, "ratio": theirs / s} for side, s in ways.items()]


def measured() -> tuple[dict[str, tuple[float, float]], dict[str, list[float]]]:
    """CPU seconds of compiling each game, cold and from the cache; rates of the sides, by turns."""
    torch.manual_seed(0)
    compiling = {}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["GANFORGE_CACHE"] = folder + "/code"
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = folder + "/torch"
        steps = published.play()
        sides = {PEER: lambda: next(steps)}
        for name in NAMES:
            _, cold = prepared(name)
            compiled, warm = prepared(name)
            compiling[name] = (cold, warm)
            print(f"{name}: compiling {cold:.1f} s of CPU, from the cache {warm:.1f}", flush=True)
            sides[f"{name}, step by step"] = examples(started(name, False))
            sides[f"{name}, --compile"] = examples(compiled)
        rates: dict[str, list[float]] = {side: [] for side in sides}
        for once in sides.values():
            once()
        for _ in range(ROUNDS):
            for side, once in sides.items():
                rates[side].append(rate(once))
    return compiling, rates


def main(words: Sequence[str] | None = None) -> None:
    """Print a table of rates, with the cost of compiling, and keep it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed.small", description=__doc__)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args(words)
    facts = machine.describe(1)
    compiling, rates = measured()
    rows: list[Row] = []
    for side, found in rates.items():
        ratio = statistics.median(a / b for a, b in zip(found, rates[PEER], strict=True))
        rows.append({"side": side, "rate": statistics.median(found), "ratio": ratio,
                     "rounds": found})  # fmt: skip
        print(f"{side:32}{rows[-1]['rate']:10,.0f} examples/s  {ratio:6.2f}")
    count = a_run()
    ratios = {r["side"]: r["ratio"] for r in rows}
    run = whole_run(count / rows[0]["rate"], ratios, compiling["gaussian"])
    print(f"the {count:,} examples of a run of gaussian, compiling counted:")
    for r in run:
        print(f"{r['side']:32}{r['cpu']:10.1f} s of CPU      {r['ratio']:6.2f}")
    print(machine.line(facts))
    if given.json:
        table = {"rows": rows, "compiling": compiling, "examples": count, "run": run}
        machine.keep(given.json, {**facts, **table})


if __name__ == "__main__":
    main()
