"""Populations against one game: the published Gaussian loop, ring games, equal outcomes.

    python -m benchmarks.speed.populations            speed, all in one run and in turn
    python -m benchmarks.speed.populations outcomes   32 seeds stacked and one by one
    python -m benchmarks.speed.populations compare    runs of `ganforge compare`, both ways

Each with --json FILE.

One thread. CPU seconds of this process count: wall time stands beside them, and says more about
who else uses the machine.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.speed import machine
from benchmarks.speed.peers import gaussian as published
from ganforge import api, recipes
from ganforge.config.schema import Config
from ganforge.data.batches import Batches
from ganforge.data.load import load
from ganforge.experiments import compare, seeds
from ganforge.experiments.compare import Budget
from ganforge.experiments.compare.recipes import plan_jobs, variant
from ganforge.experiments.ensemble import capability, stack
from ganforge.gan import schedules
from ganforge.gan import step as game
from ganforge.gan.adversarial import Adversarial
from ganforge.gan.batch import Batch
from ganforge.nets import MLP
from ganforge.plotting import points
from ganforge.runs import load as runs_load
from ganforge.training import build
from ganforge.training.random_inputs import RandomInputSource

ROUNDS = 5
SECONDS = 0.5  # of CPU a measurement
ENDLESS = 10**6  # steps of the budget: no rate falls while it is measured
VARIANTS = ("gaussian", "gaussian:game.loss=hinge")


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
    s = build.initial(config, data.spec)
    drawer = RandomInputSource(config, data.spec, s.players)
    batches = Batches(data, device=torch.device("cpu"), seed=0)

    def step() -> int:
        real = [Batch(*batches.at(s.step * config.batch, config.batch))]
        knobs = schedules.hyperparameters(config, s.step, ENDLESS)
        game.step(s, config.game, real, drawer.at(s.step), knobs)
        return config.batch

    return step


def many(config: Config, count: int) -> Callable[[], int]:
    """One step of a population."""
    p = stack.Ensemble(config, range(count), load(config.data))
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


def speed() -> dict[str, Any]:
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
    rows = []
    for name in work:
        base = next(iter(work)) if "Gaussian" in name else name.replace("64 ", "one ", 1)
        ratio = statistics.median(
            a.cpu / b.cpu for a, b in zip(rates[name], rates[base], strict=True)
        )
        print(f"{name:<36}{cpu[name]:>14,.0f}{wall[name]:>14,.0f}{ratio:>9.1f}  {base}")
        rows.append({"name": name, "cpu": cpu[name], "wall": wall[name], "ratio": ratio,
                     "against": base, "rounds": [asdict(r) for r in rates[name]]})  # fmt: skip
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"median of {ROUNDS} rounds, peak memory {peak:,.0f} MB")
    return {"rows": rows, "peak": peak}


def covariance_error(path: Path) -> float:
    """The largest relative error of an entry of the covariance of 10,000 samples."""
    samples = runs_load.open_sampler(path).sample(10_000, seed=1)
    known = points.true_moments("gaussian")
    assert known is not None
    return float(np.max(np.abs(np.cov(samples.T) - known[1]) / np.abs(known[1])))


def outcomes(folder: Path, epochs: float, count: int = 32) -> dict[str, Any]:
    """The recipe that converges: seeds stacked, the same one by one, and other seeds stacked."""
    from scipy import stats

    config = recipes.gaussian_stable()
    config = replace(config, epochs=epochs, threads=1, output=replace(config.output, score=False))
    first, others = range(count), range(count, 2 * count)
    seeds.train(config, folder / "stacked", first, show="quiet")
    seeds.train(config, folder / "others", others, show="quiet")
    for seed in first:
        api.train(replace(config, seed=seed), folder / f"single/seed-{seed}", show="quiet")
    found = {
        name: [covariance_error(folder / name / f"seed-{seed}") for seed in which]
        for name, which in (("stacked", first), ("single", first), ("others", others))
    }
    (folder / "outcomes.json").write_text(json.dumps(found, indent=1))
    for name, errors in found.items():
        low, middle, high = np.quantile(errors, [0.25, 0.5, 0.75])
        print(f"{name:<8} median {middle:.4f}, quartiles {low:.4f} {high:.4f}, "
              f"most {max(errors):.4f}, n {len(errors)}")  # fmt: skip
    summary: dict[str, Any] = {"epochs": epochs, "errors": found}
    for a, b in (("stacked", "single"), ("others", "single")):
        ks = stats.ks_2samp(found[a], found[b])
        rank = stats.mannwhitneyu(found[a], found[b])
        print(f"{a} against {b}: Kolmogorov-Smirnov p {ks.pvalue:.3f}, Mann-Whitney p "
              f"{rank.pvalue:.3f}")  # fmt: skip
        summary[f"{a} against {b}"] = {"ks": float(ks.pvalue), "rank": float(rank.pvalue)}
    return summary


def comparison(kimg: float, count: int) -> dict[str, Any]:
    """CPU seconds of the runs that two variants of a tiny game lack, without the scores of the
    test split: at once, as ever, and one by one, as larger games are; each in a fresh folder."""
    most = capability.PAYS
    found: dict[str, Any] = {"kimg": kimg, "seeds": count, "seconds": {}}
    variants = {text: variant(text, {"threads": "1"}) for text in VARIANTS}
    for name, pays, seeds_each in (("", 0, 1), ("one by one", 0, count), ("at once", most, count)):
        capability.PAYS = pays
        with tempfile.TemporaryDirectory() as folder:
            todo = plan_jobs(variants, range(seeds_each), Budget(kimg=kimg), Path(folder))
            began = time.process_time()
            for _ in compare.train_missing(todo, "quiet"):
                pass
            spent = time.process_time() - began
        if name:  # the first imports what draws and scores
            found["seconds"][name] = spent
            print(f"{name:<12}{spent:8.1f} s of CPU for {len(todo)} runs", flush=True)
    capability.PAYS = most
    found["ratio"] = found["seconds"]["one by one"] / found["seconds"]["at once"]
    print(f"ratio {found['ratio']:.2f}")
    return found


def main(words: Sequence[str] | None = None) -> None:
    """Read the arguments, measure, print, keep."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.populations", description=__doc__
    )
    choices = ("speed", "outcomes", "compare")
    parser.add_argument("what", nargs="?", choices=choices, default="speed")
    parser.add_argument("--out", type=Path, default=Path("runs/outcomes"))
    parser.add_argument("--epochs", type=float, default=200, help="of outcomes")
    parser.add_argument("--kimg", type=float, default=8, help="of compare")
    parser.add_argument("--seeds", type=int, default=8, help="of compare")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args(words)
    if given.seeds < 1 or not 0 < given.kimg < 1e6:
        parser.error("--seeds is at least 1, --kimg more than 0")
    facts = machine.describe(1)
    if given.what == "speed":
        found = speed()
    elif given.what == "outcomes":
        found = outcomes(given.out, given.epochs)
    else:
        found = comparison(given.kimg, given.seeds)
    print(machine.line(facts))
    if given.json:
        machine.keep(given.json, {**facts, "what": given.what, **found})


if __name__ == "__main__":
    main()
