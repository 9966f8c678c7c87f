"""Table 1 of Goodfellow et al. 2014, MNIST: mean log-likelihood under a Parzen window, in nats.

10,000 samples are the centres; sigma is the best of ten in logspace(-1, 0) on the first 1,000 of
the last 10,000 training digits; the result is the mean over the 10,000 test digits. Two controls
stand beside it, with real digits in place of samples: 10,000 training digits (a perfect sampler)
and all 50,000 (a memoriser). A generator well above the first has copied.

The number of epochs is not published. Ours is chosen by the likelihood of the 1,000 validation
digits, measured every five epochs; the test digits are read once, at the end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ganforge import recipes
from ganforge.config.schema import Config
from ganforge.data.load import PARTS, Dataset, load
from ganforge.evaluation.metrics.parzen import Parzen, best_sigma, parzen
from ganforge.experiments.statistics import Estimate, estimated
from ganforge.files import read_json, write_json
from ganforge.reproduce.outcome import Outcome, published, text_table
from ganforge.rng import Stream
from ganforge.runs import model
from ganforge.sampling.sampler import Sampler
from ganforge.training import loop
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
EVERY = 5.0  # epochs between two scores on the validation digits
CURVE, SCORE, CONTROLS, BEST = "curve.json", "score.json", "controls.json", "best"


@dataclass(frozen=True)
class Point:
    """One score on the validation part: the best sigma, and its mean log-likelihood in nats."""

    step: int
    epoch: float
    sigma: float
    validation: float


@dataclass(frozen=True)
class Score:
    """A seed's best model by validation, and its score on the test part."""

    seed: int
    best: Point
    test: Parzen


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
) -> Outcome:
    """Train the nets of 2014 with each seed, and score them and the controls.

    The same call continues where it was stopped.

    Args:
        folder: for the runs seed-N and every score.
        seeds: of the runs.
        budget: epochs of the 50,000 training digits. [default: the recipe's 200]
        threads: of the CPU, 0 for all.
        base: the config in place of the recipe `parzen`.
        data: the parts by name, in place of MNIST.
        centres: number of samples.
        every: epochs between two scores on the validation part.

    Returns:
        The published table with our rows.
    """
    config = base or recipes.find("parzen")
    parts = data or {part: load(config.data, part=part) for part in PARTS}
    epochs = config.epochs if budget is None else budget
    config = replace(config, threads=threads, epochs=epochs)
    scores = []
    for seed in seeds:
        path = folder / f"seed-{seed}"
        train(replace(config, seed=seed), path, parts, centres, every)
        scores.append(score_best(path, seed, parts, centres))
    return report(scores, controls(folder / CONTROLS, parts, centres), centres)


def train(
    config: Config, path: Path, parts: Mapping[str, Dataset], centres: int, every: float
) -> None:
    """Train one seed; its validation scores go to curve.json, its best model to best/."""
    curve = {point.step: point for point in read_curve(path)}
    validation = to_unit(parts["validation"].values)
    for t, progress in loop.training(config, path, data=parts["train"]):
        step, interval = t.state.step, max(1, round(every * len(t.data) / t.images_a_step))
        due = step > 0 and (step % interval == 0 or progress.done)
        if not due or step in curve:
            continue
        sigma, mean = best_sigma(sample_centres(t.sampler(), centres, config.seed), validation)
        curve[step] = Point(step, t.epoch, sigma, mean)
        if mean >= max(p.validation for p in curve.values()):
            model.save(path / BEST, t.sampler(), t.config, t.model_facts())
        write_json(path / CURVE, [asdict(curve[step]) for step in sorted(curve)])


def read_curve(path: Path) -> list[Point]:
    """The validation scores of a run so far."""
    return [Point(**point) for point in read_json(path / CURVE, [])]


def score_best(path: Path, seed: int, parts: Mapping[str, Dataset], centres: int) -> Score:
    """The test score of a run's best model, computed once for each model."""
    best = max(read_curve(path), key=lambda p: p.validation)
    known = read_json(path / SCORE, {})
    if known.get("step") != best.step or known.get("centres") != centres:
        samples = sample_centres(model.load(path / BEST), centres, seed)
        found = asdict(log_likelihood(samples, parts))
        known = {"seed": seed, "centres": centres, **asdict(best), **found}
        write_json(path / SCORE, known)
    return Score(seed, best, Parzen(known["mean"], known["error"], known["sigma"]))


def controls(path: Path, parts: Mapping[str, Dataset], centres: int) -> dict[str, Parzen]:
    """A perfect sampler and a memoriser: real training digits in place of samples."""
    train = parts["train"]
    wanted = {"data": train.sha256, "centres": centres}
    known = read_json(path, {})
    if {k: known.get(k) for k in wanted} != wanted:
        rows = np.argsort(Stream(0, "parzen/perfect").words(0, len(train)), kind="stable")
        digits = {"perfect": train.values[np.sort(rows[:centres])], "memoriser": train.values}
        found = {name: log_likelihood(to_unit(some), parts) for name, some in digits.items()}
        known = wanted | {name: asdict(p) for name, p in found.items()}
        write_json(path, known)
    return {name: Parzen(**known[name]) for name in ("perfect", "memoriser")}


def log_likelihood(centres: Array, parts: Mapping[str, Dataset]) -> Parzen:
    """The published protocol for any centres (N, F) in [0, 1]."""
    return parzen(centres, to_unit(parts["validation"].values), to_unit(parts["test"].values))


def sample_centres(sampler: Sampler, count: int, seed: int) -> Array:
    """Samples as centres, (N, F) in [0, 1], rounded as the real digits are."""
    return to_unit(sampler.sample(count, seed=seed))


def to_unit(values: Array) -> Array:
    """Stored pictures (N, H, W, C) uint8 -> (N, F) float64 in [0, 1]."""
    return values.reshape(len(values), -1).astype(np.float64) / 255


def report(scores: Sequence[Score], real: Mapping[str, Parzen], centres: int) -> Outcome:
    """The published rows, ours, and the controls."""
    rows = [row(name, published(figure)) for name, figure in PUBLISHED]
    rows += [of_run(f"ours, seed {s.seed}, epoch {s.best.epoch:g}", s.test) for s in scores]
    if len(scores) > 1:
        rows.append(row(f"ours, {len(scores)} seeds", estimated([s.test.mean for s in scores], 1)))
    names = {
        "perfect": f"a perfect sampler ({centres:,} training digits)",
        "memoriser": "a memoriser (all training digits)",
    }
    rows += [of_run(names[name], p) for name, p in real.items()]
    return Outcome(
        rows,
        f"{text_table(rows)}\n"
        "+- of one run is the standard error over the test digits, as published.\n"
        f"Ours less the published 225: {estimated([s.test.mean - 225 for s in scores], 1)}. Well "
        "above the perfect sampler would mean copying.",
    )


def row(name: str, nats: Estimate, sigma: Estimate | None = None) -> dict[str, Any]:
    """A name with its mean log-likelihood and the sigma of the window."""
    return {"MNIST, Parzen window": name, "nats": nats, "sigma": sigma}


def of_run(name: str, p: Parzen) -> dict[str, Any]:
    """A name with its mean log-likelihood, standard error and sigma."""
    nats = Estimate(p.mean, p.error, f"{p.mean:.1f} +- {p.error:.1f}")
    return row(name, nats, Estimate(p.sigma, None, f"{p.sigma:.3f}"))
