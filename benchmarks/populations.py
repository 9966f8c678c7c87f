"""Populations against one game: the published Gaussian loop, ring games, equal outcomes.

    python -m benchmarks.populations            speed, all in one run and in turn
    python -m benchmarks.populations outcomes   32 seeds stacked and one by one, two-sample tests

One thread. CPU seconds of this process count: wall time stands beside them, and says more about
who else uses the machine.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.peers import gaussian as published
from ganforge import game, members, recipes, runs, schedules, seeds, session, state
from ganforge.config import Config
from ganforge.data.batches import Batches
from ganforge.data.source import load
from ganforge.draws import Drawer
from ganforge.game import Adversarial
from ganforge.nets import MLP
from ganforge.players import Batch

ROUNDS = 5
SECONDS = 0.5  # of CPU a measurement
ENDLESS = 10**6  # steps of the budget: no rate falls while it is measured


@dataclass(frozen=True)
class Rate:
    """Real examples a second: of CPU time and of wall time."""

    cpu: float
    wall: float


def rate(step: Callable[[], int]) -> Rate:
    """The rate of `step`, which returns its real examples."""
    step()
    examples, cpu, wall = 0, time.process_time(), time.perf_counter()
    while time.process_time() - cpu < SECONDS:
        examples += step()
    return Rate(examples / (time.process_time() - cpu), examples / (time.perf_counter() - wall))


def loop_of_the_chapter() -> Callable[[], int]:
    """One update of the published loop at a call, data loading included."""
    torch.manual_seed(0)
    steps = published.play()
    return lambda: next(steps)


def one(config: Config) -> Callable[[], int]:
    """One step of one game."""
    data = load(config.data)
    s = state.initial(config, data.spec)
    drawer = Drawer(config, data.spec, s.players)
    batches = Batches(data, device=torch.device("cpu"), seed=0)

    def step() -> int:
        real = [Batch(*batches.at(s.step * config.batch, config.batch))]
        knobs = schedules.knobs(config, s.step, ENDLESS)
        game.step(s, config.game, real, drawer.at(s.step), knobs)
        return config.batch

    return step


def many(config: Config, count: int) -> Callable[[], int]:
    """One step of a population."""
    p = members.build(config, range(count), load(config.data))
    p.steps = ENDLESS

    def step() -> int:
        p.step()
        return count * config.batch

    return step


def ring(width: int, stable: bool) -> Config:
    """Ring of 8 with two hidden layers, batch 64: the plain game, or relativistic with R1 + R2."""
    base = recipes.gaussian_stable()
    nets = MLP(generator=(width, width), discriminator=(width, width))
    config = replace(base, data="ring", networks=nets, batch=64)
    return config if stable else replace(config, game=Adversarial(loss="non-saturating"))


def speed() -> None:
    """The table, medians over rounds in which everything takes its turn."""
    gaussian = recipes.gaussian()
    work = {
        "published loop, Gaussian": loop_of_the_chapter(),
        "one Gaussian": one(gaussian),
        "64 Gaussians": many(gaussian, 64),
        "1,024 Gaussians": many(gaussian, 1024),
    }
    for stable in (False, True):
        for width in (32, 64):
            kind = f"ring, width {width}, {'R1 + R2' if stable else 'plain'}"
            work[f"one {kind}"] = one(ring(width, stable))
            work[f"64 {kind}"] = many(ring(width, stable), 64)
    rates: dict[str, list[Rate]] = {name: [] for name in work}
    for _ in range(ROUNDS):
        for name, step in work.items():
            rates[name].append(rate(step))
    cpu = {name: statistics.median(r.cpu for r in found) for name, found in rates.items()}
    wall = {name: statistics.median(r.wall for r in found) for name, found in rates.items()}
    print(f"{'examples a second':<36}{'of CPU time':>14}{'of wall time':>14}{'ratio':>9}  against")
    for name in work:
        base = next(iter(work)) if "Gaussian" in name else name.replace("64 ", "one ", 1)
        ratio = statistics.median(
            a.cpu / b.cpu for a, b in zip(rates[name], rates[base], strict=True)
        )
        print(f"{name:<36}{cpu[name]:>14,.0f}{wall[name]:>14,.0f}{ratio:>9.1f}  {base}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"median of {ROUNDS} rounds, 1 thread, peak memory {peak:,.0f} MB, {runs.cpu_name()}, "
          f"torch {torch.__version__}, {platform.python_version()}")  # fmt: skip


def covariance_error(path: Path) -> float:
    """The largest relative error of an entry of the covariance of 10,000 samples."""
    samples = session.open_sampler(path).sample(10_000, seed=1)
    known = session.true_moments("gaussian")
    assert known is not None
    return float(np.max(np.abs(np.cov(samples.T) - known[1]) / np.abs(known[1])))


def outcomes(folder: Path, epochs: float, count: int = 32) -> None:
    """The recipe that converges: seeds stacked, the same one by one, and other seeds stacked."""
    from scipy import stats

    config = recipes.gaussian_stable()
    config = replace(config, epochs=epochs, threads=1, output=replace(config.output, score=False))
    first, others = range(count), range(count, 2 * count)
    seeds.train(config, folder / "stacked", first, show="quiet")
    seeds.train(config, folder / "others", others, show="quiet")
    for seed in first:
        session.train(replace(config, seed=seed), folder / f"single/seed-{seed}", show="quiet")
    found = {
        name: [covariance_error(folder / name / f"seed-{seed}") for seed in which]
        for name, which in (("stacked", first), ("single", first), ("others", others))
    }
    (folder / "outcomes.json").write_text(json.dumps(found, indent=1))
    for name, errors in found.items():
        low, middle, high = np.quantile(errors, [0.25, 0.5, 0.75])
        print(f"{name:<8} median {middle:.4f}, quartiles {low:.4f} {high:.4f}, "
              f"most {max(errors):.4f}, n {len(errors)}")  # fmt: skip
    for a, b in (("stacked", "single"), ("others", "single")):
        ks = stats.ks_2samp(found[a], found[b])
        rank = stats.mannwhitneyu(found[a], found[b])
        print(f"{a} against {b}: Kolmogorov-Smirnov p {ks.pvalue:.3f}, Mann-Whitney p "
              f"{rank.pvalue:.3f}")  # fmt: skip


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="?", choices=("speed", "outcomes"), default="speed")
    parser.add_argument("--out", type=Path, default=Path("runs/outcomes"))
    parser.add_argument("--epochs", type=float, default=200)
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.what == "speed":
        speed()
    else:
        outcomes(given.out, given.epochs)


if __name__ == "__main__":
    main()
