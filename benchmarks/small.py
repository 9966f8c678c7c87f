"""One small game: the published Gaussian loop, `ganforge train` step by step, and --compile.

    python -m benchmarks.small

One thread, all in one run and in turn. CPU seconds of this process count; compiling is told apart:
cold (with the compiler's own processes) and from the cache.
"""

from __future__ import annotations

import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.peers import gaussian as published
from ganforge import loop, recipes, stepping, training
from ganforge.data.source import load
from ganforge.devices import resolve
from ganforge.runs import Run
from ganforge.training import Training

ROUNDS = 3
SECONDS = 0.5  # of CPU a measurement
NAMES = ("gaussian", "gaussian-stable", "ring")


def started(name: str, compile: bool = False, precision: str = "fp32") -> Training:
    """A run of a recipe with an endless budget."""
    config = recipes.find(name)
    config = replace(config, threads=1, precision=precision, epochs=10**4, compile=compile)
    folder = Path(tempfile.mkdtemp())
    return training.build(config, Run(folder / "run"), load(config.data), resolve(config))


def spent() -> float:
    """CPU seconds of this process and of the compilers it has waited for."""
    both = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(u.ru_utime + u.ru_stime for u in map(resource.getrusage, both))


def prepared(name: str) -> tuple[Training, float]:
    """A compiled run, and the CPU seconds that compiling took."""
    t = started(name, True)
    before = spent()
    notes = training.compile_step(t) + stepping.compiled_now(t)
    assert t.compiled is not None, notes
    return t, spent() - before


def examples(t: Training) -> Callable[[], int]:
    """One call of the loop, its look at the weights included; real examples played."""

    def once() -> int:
        before = t.samples_seen
        loop.advance(t)
        if t.state.step % stepping.CHECK_STEPS == 0:
            loop.watch(t, clock, t.state.step % t.config.output.log_every == 0)
        return t.samples_seen - before

    t.run.path.mkdir(parents=True, exist_ok=True)
    clock = loop.Clock(t)
    return once


def rate(once: Callable[[], int]) -> float:
    """Real examples a CPU second."""
    seen, began = 0, time.process_time()
    while time.process_time() - began < SECONDS:
        seen += once()
    return seen / (time.process_time() - began)


def main() -> None:
    """Print a table of rates, with the cost of compiling."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["GANFORGE_CACHE"] = folder + "/code"
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = folder + "/torch"
        steps = published.play()
        sides = {"the published loop": lambda: next(steps)}
        for name in NAMES:
            _, cold = prepared(name)
            compiled, warm = prepared(name)
            print(f"{name}: compiling {cold:.1f} s of CPU, from the cache {warm:.1f}", flush=True)
            sides[f"{name}, step by step"] = examples(started(name, False))
            sides[f"{name}, --compile"] = examples(compiled)
        rates: dict[str, list[float]] = {side: [] for side in sides}
        for once in sides.values():
            once()
        for _ in range(ROUNDS):
            for side, once in sides.items():
                rates[side].append(rate(once))
    peer = rates["the published loop"]
    for side, found in rates.items():
        ratio = statistics.median(a / b for a, b in zip(found, peer, strict=True))
        print(f"{side:32}{statistics.median(found):10,.0f} examples/s  {ratio:6.2f}")


if __name__ == "__main__":
    main()
