"""Ring of 8 and grid of 25: how many modes a GAN covers, how precisely and how evenly.

2,500 samples a run; a sample is of high quality within 3 sigma of its nearest mode, a mode is
covered by one such sample, and the reverse KL is that of the histogram of high-quality samples to
the uniform one (Srivastava et al. 2017; Lin et al. 2018, PacGAN, table 1: ten runs, +- standard
error, 400,000 iterations). Two controls stand beside our row: fresh draws of the law (a perfect
sampler) and 500 training points drawn again and again (a memoriser).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ganforge import files, recipes
from ganforge.config import convert
from ganforge.config.schema import Config, Noise, Optimizer
from ganforge.data.load import Dataset, load
from ganforge.data.toy import LAWS
from ganforge.errors import DivergedError, UsageError
from ganforge.evaluation.inputs import Mixture
from ganforge.evaluation.metrics.modes import count_modes
from ganforge.experiments.seeds import StoppedError, train
from ganforge.experiments.statistics import estimated
from ganforge.gan.adversarial import Adversarial
from ganforge.nets import MLP, Init
from ganforge.plotting import points, style
from ganforge.plotting.points import Truth
from ganforge.reproduce.outcome import Outcome, text_table
from ganforge.reproduce.outcome import published as printed
from ganforge.rng import Stream
from ganforge.runs.folder import EXPERIMENT
from ganforge.runs.load import open_sampler
from ganforge.text import columns
from ganforge.types import Array

# modes, high quality %, reverse KL
PUBLISHED = {
    "ring": {
        "GAN": ("6.3 +- .5", "98.2", ".45"),
        "ALI": ("6.6 +- .3", "97.6", ".36"),
        "PacGAN2": ("7.9 +- .1", "95.6", ".07"),
        "PacGAN3": ("7.8 +- .1", "97.7", ".10"),
        "PacGAN4": ("7.8 +- .1", "95.9", ".07"),
    },
    "grid": {
        "GAN": ("17.3 +- .8", "94.8", ".70"),
        "ALI": ("24.1 +- .4", "95.7", ".14"),
        "PacGAN2": ("23.8 +- .7", "91.3", ".13"),
        "PacGAN3": ("24.6 +- .4", "94.2", ".06"),
        "PacGAN4": ("24.8 +- .2", "93.6", ".04"),
    },
}
SEEDS = tuple(range(10))
SAMPLES = 2_500
MEMORISED = 500
SCORES, FOLDER = "scores.json", "samples"
OLD_NAMES = {"held": "covered"}  # of results, in the scores.json of earlier versions
OLD_CHECKPOINTS = "checkpoints"  # of all seeds together, as earlier versions wrote them


@dataclass(frozen=True)
class Result:
    """One seed: modes covered, modes with a third of their share, high quality in %, reverse KL."""

    seed: int
    covered: int
    heavy: int
    high_quality: float
    reverse_kl: float


def run(
    folder: Path,
    *,
    name: str,
    seeds: Sequence[int] = SEEDS,
    budget: float | None = None,
    threads: int = 0,
    base: Config | None = None,
    data: Dataset | None = None,
    display: str = "auto",
) -> Outcome:
    """Train all seeds, count the modes of each and of the controls.

    The same call continues where it was stopped.

    Args:
        folder: for the runs seed-N, samples, scores and a picture.
        name: "ring" or "grid".
        seeds: of the runs.
        budget: epochs of the 100,000 points, of 1,000 iterations each. [default: the recipe's]
        threads: of the CPU, 0 for all.
        base: the config in place of the recipe `name`.
        data: the points in place of the recipe's.
        display: how training is shown, see `api.train`.

    Returns:
        The published table with our rows.

    Raises:
        UsageError: the folder holds another experiment, or an unfinished one of an earlier version.
        StoppedError: a signal ended the training.
        DivergedError: a seed diverged.
    """
    config = base or recipes.find(name)
    config = config if budget is None else replace(config, epochs=budget, kimg=None)
    claim(folder, config, seeds)
    table = files.read_json(folder / SCORES)
    if table is None:
        # fp32 on the CPU: the same numbers on every machine, up to rounding
        output = replace(config.output, score=False)
        fixed = replace(config, device="cpu", precision="fp32", threads=threads, output=output)
        table = train_and_score(folder, fixed, name, seeds, data, display)
        files.write_json(folder / SCORES, table)
    ours = [
        Result(**{OLD_NAMES.get(key, key): value for key, value in one.items()})
        for one in table["runs"]
    ]
    files.save_file(folder / f"{name}.png", style.png(picture(name, ours, folder / FOLDER)))
    return report(name, ours, table, config)


def published(folder: Path, *, name: str, **options: Any) -> Outcome:
    """`run` with the plain GAN of the published tables, for 4 epochs by default."""
    return run(folder, name=name, base=plain(name), **options)


def plain(name: str) -> Config:
    """The GAN of the first row. Srivastava et al. 2017, appendix; Lin et al. 2018, section 4.1."""
    adam = Optimizer(lr=1e-4, betas=(0.8, 0.999))
    return Config(
        name=f"{name}-published",
        networks=MLP(
            generator=(400,) * 4,
            discriminator=(200,) * 3,
            generator_norm="batch",
            generator_activation="relu",
            discriminator_activation="maxout",
            init=Init("normal", 0.02),
        ),
        game=Adversarial(loss="non-saturating"),
        data=name,
        noise=Noise(2),
        batch=100,
        epochs=4.0,
        generator=adam,
        discriminator=adam,
    )


def claim(folder: Path, config: Config, seeds: Sequence[int]) -> None:
    """Write into a new folder which experiment it holds; UsageError if it holds another one."""
    wanted = {"seeds": list(seeds), "config": convert.to_dict(config)}
    before = files.read_json(folder / EXPERIMENT)
    if before is None:
        if folder.exists() and any(folder.iterdir()):
            raise UsageError(f"{folder} holds something else: give --out for a new folder")
        files.write_json(folder / EXPERIMENT, wanted)
        return
    changed = convert.difference(before, json.loads(json.dumps(wanted)))
    if changed:
        listed = "; ".join(f"{key} was {old}, is {new}" for key, old, new in changed[:4])
        raise UsageError(
            f"{folder} holds another experiment ({listed}): give --out for a new folder"
        )
    if (folder / OLD_CHECKPOINTS).exists() and not (folder / SCORES).exists():
        raise UsageError(f"{folder} was made by an earlier version: give --out for a new folder")


def train_and_score(
    folder: Path,
    config: Config,
    name: str,
    seeds: Sequence[int],
    data: Dataset | None,
    display: str,
) -> dict[str, Any]:
    """Train all seeds and count the modes of their samples: the table that scores.json holds."""
    trained = train(config, folder, seeds, show=display, data=data)
    if trained.signal:
        raise StoppedError(f"{name}, {len(trained)} seeds", trained.signal)
    for row in trained.summary["table"]:
        if row["status"] == "diverged":
            seed = row["seed"]
            raise DivergedError(f"seed {seed} diverged, see {folder}/seed-{seed}: {name} is not "
                                "scored without it")  # fmt: skip
    results = []
    for seed, path in zip(seeds, trained, strict=True):
        samples = open_sampler(path).sample(SAMPLES, seed=seed)
        files.save_file(folder / FOLDER / f"seed-{seed}.npz", files.npz(samples=samples))
        results.append(asdict(count(seed, samples, name)))
    info = trained.runs[0].info()
    return {
        "seconds": trained.summary["seconds"],
        "steps": info["step"],
        "threads": info["resolved"]["threads"],
        "runs": results,
    }


def count(seed: int, samples: Array, name: str) -> Result:
    """The result of one set of samples (N, 2) against the law `name`."""
    found = count_modes(samples, mixture(name))
    return Result(seed, found.covered, found.heavy, 100 * found.high_quality, found.reverse_kl)


def mixture(name: str) -> Mixture:
    """Centres and sigma of the law the data are drawn from."""
    law = LAWS[name]
    if law.modes is None or law.sigma is None:
        raise UsageError(f"law {name!r} has no modes to count")
    return Mixture(law.modes.astype(np.float64), law.sigma)


def controls(name: str, seeds: Sequence[int]) -> dict[str, list[Result]]:
    """A perfect sampler and a memoriser at the same N, once for each seed."""
    law, memory = LAWS[name], load(name).values[:MEMORISED]
    perfect, memoriser = [], []
    for seed in seeds:
        fresh = law.sample(SAMPLES, Stream(seed, f"reproduce/{name}/perfect"))
        rows = Stream(seed, f"reproduce/{name}/memoriser").integers(0, SAMPLES, MEMORISED)
        perfect.append(count(seed, fresh, name))
        memoriser.append(count(seed, memory[rows], name))
    return {"a perfect sampler": perfect, f"a memoriser of {MEMORISED} points": memoriser}


def report(name: str, ours: Sequence[Result], table: dict[str, Any], config: Config) -> Outcome:
    """The published rows, ours, the controls, and every seed."""
    modes = len(mixture(name).centres)
    names = (f"{name} of {modes}", "modes", "high quality %", "reverse KL")
    records: list[dict[str, Any]] = [
        dict(zip(names, (who, *map(printed, figures)), strict=True))
        for who, figures in PUBLISHED[name].items()
    ]
    groups = {f"ours, {len(ours)} seeds": ours, **controls(name, [one.seed for one in ours])}
    digits = {"covered": 1, "high_quality": 1, "reverse_kl": 3}
    for who, group in groups.items():
        figures = [estimated([getattr(o, key) for o in group], n) for key, n in digits.items()]
        records.append(dict(zip(names, (who, *figures), strict=True)))
    each = [("seed", "modes", f"with 1/{3 * modes} of the mass", "high quality %", "reverse KL")]
    each += [(str(one.seed), str(one.covered), str(one.heavy), f"{one.high_quality:.1f}",
              f"{one.reverse_kl:.3f}") for one in ours]  # fmt: skip
    return Outcome(
        records,
        f"{text_table(records)}\n\n{columns(each)}\n\n"
        f"{SAMPLES:,} samples a run, +- standard error over runs; published: 400,000 iterations.\n"
        f"Ours: {table['steps']:,} iterations of batch {config.batch}, all seeds in "
        f"{table['seconds'] / 60:.1f} minutes on {table['threads']} thread(s); all {modes} modes "
        f"in {sum(one.covered == modes for one in ours)} of {len(ours)} seeds.",
    )


def picture(name: str, ours: Sequence[Result], folder: Path) -> Figure:
    """Every seed's samples over real ones, five to a line."""
    real = load(name, part="test").values[:SAMPLES]
    known = Truth(2, points.extent(real, None), real)
    across, side, gap = min(5, len(ours)), 190.0, 30.0  # a gap that the titles do not close
    lines = -(-len(ours) // across)
    figure = style.page(lines * (side + gap) + 10, across * (side + gap) + 10)
    for i, one in enumerate(ours):
        left, top = 10 + (i % across) * (side + gap), 30 + (i // across) * (side + gap)
        title = f"seed {one.seed}: {one.covered} modes, {one.high_quality:.0f} %"
        axes = style.add_axes(figure, left, top, side, side, title)
        fake = files.read_npz(folder / f"seed-{one.seed}.npz")["samples"]
        points.draw(axes, fake, known, small=True)
        style.frame(axes)
    return figure
