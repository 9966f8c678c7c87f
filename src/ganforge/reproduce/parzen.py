"""Table 1 of Goodfellow et al. 2014, MNIST: mean log-likelihood under a Parzen window, in nats.

10,000 samples are the centres; sigma is the best of ten in logspace(-1, 0) on the first 1,000 of
the last 10,000 training digits; the figure is the mean over the 10,000 test digits. Beside it the
same for 10,000 training digits in the place of samples (what a perfect sampler gets) and for all
50,000 (what a memoriser gets): a generator well above the first has copied.

The number of epochs is not published. Ours is chosen by the likelihood of the 1,000 validation
digits, measured every five epochs; the test digits are read once, at the end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from ganforge import recipes
from ganforge.config.schema import Config
from ganforge.data.load import PARTS, Dataset, load
from ganforge.evaluation.metrics.parzen import Parzen, best_sigma, parzen
from ganforge.files import read, write
from ganforge.reproduce.table import stated
from ganforge.rng import Stream
from ganforge.runs import model
from ganforge.sampling.sampler import Sampler
from ganforge.text import columns
from ganforge.training import loop
from ganforge.training.trainer import Training, model_facts
from ganforge.types import Array

PUBLISHED = (
    ("DBN", "138 +- 2"),
    ("stacked CAE", "121 +- 1.6"),
    ("deep GSN", "214 +- 1.1"),
    ("adversarial nets", "225 +- 2"),
    ("conditional adversarial nets (2014)", "132 +- 1.8"),
)
SEEDS = (0,)
CENTRES = 10_000
EVERY = 5.0  # epochs between two looks at the validation digits
CURVE, SCORE, CONTROLS = "curve.json", "score.json", "controls.json"


def run(
    folder: Path,
    *,
    seeds: Sequence[int] = SEEDS,
    budget: float | None = None,
    threads: int = 0,
    base: Config | None = None,
    data: Mapping[str, Dataset] | None = None,
    centres: int = CENTRES,
    every: float = EVERY,
) -> str:
    """Train the 2014 nets once a seed, score them and their controls: the table as text.

    Arguments:
        folder: a run a seed and every figure; the same call goes on where it was stopped.
        budget: epochs of the 50,000 training digits. [default: the recipe's 200]
        threads: of the CPU, 0 for all.
        base: in place of the recipe `parzen`. data: its parts by name, in place of MNIST.
        centres: samples. every: epochs between two looks at the validation part.
    """
    config = base or recipes.find("parzen")
    parts = data or {part: load(config.data, part=part) for part in PARTS}
    epochs = config.epochs if budget is None else budget
    config = replace(config, threads=threads, epochs=epochs)
    scores = []
    for seed in seeds:
        path = folder / f"seed-{seed}"
        train(replace(config, seed=seed), path, parts, centres, every)
        scores.append(judge(path, seed, parts, centres))
    return report(scores, controls(folder / CONTROLS, parts, centres), centres)


def train(
    config: Config, path: Path, parts: Mapping[str, Dataset], centres: int, every: float
) -> None:
    """The run of one seed; its curve, and its best model by validation in best/."""
    curve: dict[int, Point] = {p["step"]: Point(**p) for p in read(path / CURVE, [])}
    validation = unit(parts["validation"].values)
    for t, progress in loop.training(config, path, data=parts["train"]):
        looks = max(1, round(every * len(t.data) / t.images_a_step))
        due = t.state.step > 0 and (t.state.step % looks == 0 or progress.done)
        if not due or t.state.step in curve:
            continue
        sigma, mean = best_sigma(drawn(t.sampler(), centres, config.seed), validation)
        curve[t.state.step] = Point(t.state.step, t.epoch, sigma, mean)
        if mean >= max(p.validation for p in curve.values()):
            keep(t, path / "best")
        points = [asdict(curve[step]) for step in sorted(curve)]
        write(path / CURVE, points)


def keep(t: Training, path: Path) -> None:
    """The model as it is now."""
    path.mkdir(exist_ok=True)
    model.save(path, t.sampler(), t.config, model_facts(t))


def judge(path: Path, seed: int, parts: Mapping[str, Dataset], centres: int) -> Score:
    """The test figure of a run's best model, computed once a model."""
    best = max((Point(**p) for p in read(path / CURVE, [])), key=lambda p: p.validation)
    known = read(path / SCORE, {})
    if known.get("step") != best.step or known.get("centres") != centres:
        samples = drawn(model.load(path / "best"), centres, seed)
        found = against(samples, parts)
        table = {"seed": seed, "centres": centres, **asdict(best), **asdict(found)}
        write(path / SCORE, table)
        known = table
    return Score(seed, best, Parzen(known["mean"], known["error"], known["sigma"]))


def controls(path: Path, parts: Mapping[str, Dataset], centres: int) -> dict[str, Parzen]:
    """A perfect sampler and a memoriser: real training digits in the place of samples."""
    train = parts["train"]
    wanted = {"data": train.sha256, "centres": centres}
    known = read(path, {})
    if {k: known.get(k) for k in wanted} != wanted:
        rows = np.argsort(Stream(0, "parzen/perfect").words(0, len(train)), kind="stable")
        found = {
            "perfect": against(unit(train.values[np.sort(rows[:centres])]), parts),
            "memoriser": against(unit(train.values), parts),
        }
        known = wanted | {name: asdict(p) for name, p in found.items()}
        write(path, known)
    return {name: Parzen(**known[name]) for name in ("perfect", "memoriser")}


def against(centres: Array, parts: Mapping[str, Dataset]) -> Parzen:
    """The published protocol for any centres (N, F) in [0, 1]."""
    return parzen(centres, unit(parts["validation"].values), unit(parts["test"].values))


def drawn(sampler: Sampler, count: int, seed: int) -> Array:
    """Samples as centres, (N, F) in [0, 1], after the same rounding as the real digits."""
    return unit(sampler.sample(count, seed=seed))


def unit(values: Array) -> Array:
    """Stored pictures (N, H, W, C) uint8 -> (N, F) float64 in [0, 1]."""
    return values.reshape(len(values), -1).astype(np.float64) / 255


def report(scores: Sequence[Score], real: Mapping[str, Parzen], centres: int) -> str:
    """The published rows, ours, and the controls."""
    rows = [("MNIST, Parzen window", "nats", "sigma")]
    rows += [(name, figure, "") for name, figure in PUBLISHED]
    for s in scores:
        at = f"epoch {s.best.epoch:g}"
        rows.append((f"ours, seed {s.seed}, {at}", told(s.test), f"{s.test.sigma:.3f}"))
    if len(scores) > 1:
        rows.append((f"ours, {len(scores)} seeds", stated([s.test.mean for s in scores], 1), ""))
    names = {
        "perfect": f"a perfect sampler ({centres:,} training digits)",
        "memoriser": "a memoriser (all training digits)",
    }
    rows += [(names[name], told(p), f"{p.sigma:.3f}") for name, p in real.items()]
    gap = [s.test.mean - 225 for s in scores]
    return (
        f"{columns(rows)}\n"
        "+- of one run is the standard error over the test digits, as published.\n"
        f"Ours less the published 225: {stated(gap, 1)}. Well above the perfect sampler would mean "
        "copying."
    )


def told(p: Parzen) -> str:
    """Mean and standard error of one set of centres."""
    return f"{p.mean:.1f} +- {p.error:.1f}"


@dataclass(frozen=True)
class Point:
    """One look at the validation part: the sigma it chose, and its mean log-likelihood."""

    step: int
    epoch: float
    sigma: float
    validation: float


@dataclass(frozen=True)
class Score:
    """A seed's best model by validation, and its test figure."""

    seed: int
    best: Point
    test: Parzen
