"""Ring of 8 and grid of 25: how many modes, how precisely, how evenly.

2,500 samples a run; a sample is of high quality within 3 sigma of its nearest mode, a mode counts
with one such sample, and the reverse KL is that of the histogram of high-quality samples to the
uniform one (Srivastava et al. 2017; Lin et al. 2018, PacGAN, table 1: ten runs, +- standard error,
400,000 iterations). All seeds are trained at once, stacked. Beside ours stand fresh draws of the
law (what a perfect sampler gets) and 500 training points drawn again and again (a memoriser).
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ganforge import files, recipes
from ganforge.config import convert
from ganforge.config.schema import Config, Noise, Optimizer
from ganforge.data.load import Dataset, load
from ganforge.data.toy import LAWS
from ganforge.errors import DivergedError, UsageError
from ganforge.evaluation.modes import Mixture, Modes, count_modes
from ganforge.experiments.ensemble import stack
from ganforge.files import read, write
from ganforge.gan import state
from ganforge.gan.adversarial import Adversarial
from ganforge.nets import MLP, Init
from ganforge.plotting import points, style
from ganforge.plotting.points import Truth
from ganforge.reproduce.table import stated
from ganforge.rng import Stream
from ganforge.runs import checkpoint
from ganforge.sampling.sampler import Sampler
from ganforge.text import columns
from ganforge.training import device
from ganforge.types import Array

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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
SAVE_SECONDS = 60.0
CHECK_STEPS = 200
CLAIM, SCORES, CHECKPOINTS, FOLDER = "experiment.json", "scores.json", "checkpoints", "samples"


def run(
    folder: Path,
    *,
    name: str,
    seeds: Sequence[int] = SEEDS,
    budget: float | None = None,
    threads: int = 0,
    base: Config | None = None,
    data: Dataset | None = None,
) -> str:
    """Train all seeds at once, score each and the controls: the table as text.

    Arguments:
        folder: checkpoints, samples, scores and a picture; the same call goes on where it was
            stopped.
        name: "ring" or "grid". base: in place of the recipe of that name. data: in place of its.
        budget: epochs of the 100,000 points, of 1,000 iterations each. [default: the recipe's]
        threads: of the CPU, 0 for all.
    Raises UsageError where the folder holds another experiment, DivergedError.
    """
    config = base or recipes.find(name)
    config = config if budget is None else replace(config, epochs=budget, kimg=None)
    claim(folder, config, seeds)
    torch.set_num_threads(threads or device.cores())
    data = data or load(config.data)
    known = read(folder / SCORES)
    if known is None:
        population = stack.build(config, seeds, data)
        seconds = play(population, folder / CHECKPOINTS)
        found = [asdict(one) for one in score(population, name, folder / FOLDER)]
        spent = {"steps": population.steps, "threads": torch.get_num_threads()}
        known = {"seconds": seconds, **spent, "runs": found}
        write(folder / SCORES, known)
    ours = [Run(**table) for table in known["runs"]]
    files.save(folder / f"{name}.png", style.png(picture(name, ours, folder / FOLDER)))
    return report(name, ours, known, config)


def published(folder: Path, *, name: str, **options: Any) -> str:
    """`run` with the plain GAN of the published tables, for the budget given (4 epochs unless)."""
    return run(folder, name=name, base=plain(name), **options)


def plain(name: str) -> Config:
    """The GAN row's setup. Srivastava et al. 2017, appendix; Lin et al. 2018, section 4.1."""
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
    """Mark a folder as this experiment's; UsageError where it is another's."""
    wanted = {"seeds": list(seeds), "config": convert.to_dict(config)}
    before = read(folder / CLAIM)
    if before is None:
        if folder.exists() and any(folder.iterdir()):
            raise UsageError(f"{folder} holds something else: give --out for a new folder")
        write(folder / CLAIM, wanted)
        return
    changed = convert.difference(before, json.loads(json.dumps(wanted)))
    if changed:
        told = "; ".join(f"{key} was {old}, is {new}" for key, old, new in changed[:4])
        raise UsageError(f"{folder} holds another experiment ({told}): give --out for a new folder")


def play(population: stack.Population, folder: Path) -> float:
    """Train to the end of the budget, from the newest checkpoint; the seconds it took in all."""
    checkpoint.clean(folder)
    found, _ = checkpoint.newest(folder)
    seconds = 0.0
    if found is not None:
        state.load(population.state, found.tensors, str(found.path))
        population.state.step = found.step
        seconds = float(found.manifest["seconds"])
    checkpoint.set_aside(folder, population.state.step if found else -1)
    saved = began = time.perf_counter()
    skipped = torch.zeros(len(population.seeds))
    while population.state.step < population.steps:
        stats = population.step()
        skipped += stats["skipped_d"] + stats["skipped_g"]
        step = population.state.step
        last = step == population.steps
        if step % CHECK_STEPS and not last:
            continue
        lost = (~population.finite() | (skipped > max(10, 0.01 * step))).nonzero().flatten()
        if len(lost):
            seed = population.seeds[int(lost[0])]
            raise DivergedError(
                f"seed {seed} diverged by step {step:,}: its updates are not finite"
            )
        now = time.perf_counter()
        if last or now - saved > SAVE_SECONDS:
            tensors = state.tensors(population.state)
            checkpoint.save(folder, step, tensors, {"seconds": seconds + now - began})
            checkpoint.prune(folder, 1)
            saved = now
    return seconds + time.perf_counter() - began


def score(population: stack.Population, name: str, folder: Path) -> Iterator[Run]:
    """Each member's samples, kept in the folder, and what they hold."""
    config = population.config
    for index, seed in enumerate(population.seeds):
        model = state.sampling_model(population.member(index))
        samples = Sampler(model, population.data.spec, config.noise).sample(SAMPLES, seed=seed)
        folder.mkdir(exist_ok=True)
        files.save(folder / f"seed-{seed}.npz", files.npz(samples=samples))
        yield measured(seed, samples, name)


def measured(seed: int, samples: Array, name: str) -> Run:
    """The three figures of one set of samples."""
    found: Modes = count_modes(samples, mixture(name))
    return Run(seed, found.held, found.heavy, 100 * found.high_quality, found.reverse_kl)


def mixture(name: str) -> Mixture:
    """Centres and sigma of the law the data are drawn from."""
    law = LAWS[name]
    if law.modes is None or law.sigma is None:
        raise UsageError(f"law {name!r} has no modes to count")
    return Mixture(law.modes.astype(np.float64), law.sigma)


def controls(name: str, seeds: Sequence[int]) -> dict[str, list[Run]]:
    """A perfect sampler and a memoriser at the same N, once a seed."""
    law = LAWS[name]
    perfect, memoriser = [], []
    for seed in seeds:
        fresh = law.sample(SAMPLES, Stream(seed, f"reproduce/{name}/perfect"))
        kept = load(name).values[:MEMORISED]
        rows = Stream(seed, f"reproduce/{name}/memoriser").integers(0, SAMPLES, MEMORISED)
        perfect.append(measured(seed, fresh, name))
        memoriser.append(measured(seed, kept[rows], name))
    return {"a perfect sampler": perfect, f"a memoriser of {MEMORISED} points": memoriser}


def report(name: str, ours: Sequence[Run], known: dict[str, Any], config: Config) -> str:
    """The published rows, ours, the controls, and every run."""
    modes = len(mixture(name).centres)
    rows = [(f"{name} of {modes}", "modes", "high quality %", "reverse KL")]
    rows += [(who, *figures) for who, figures in PUBLISHED[name].items()]
    every = {f"ours, {len(ours)} seeds": ours, **controls(name, [one.seed for one in ours])}
    rows += [(who, *summary(group)) for who, group in every.items()]
    each = [("seed", "modes", f"with 1/{3 * modes} of the mass", "high quality %", "reverse KL")]
    each += [(str(one.seed), str(one.held), str(one.heavy), f"{one.high_quality:.1f}",
              f"{one.reverse_kl:.3f}") for one in ours]  # fmt: skip
    whole = sum(one.held == modes for one in ours)
    return (
        f"{columns(rows)}\n\n{columns(each)}\n\n"
        f"{SAMPLES:,} samples a run, +- standard error over runs; published: 400,000 iterations.\n"
        f"Ours: {known['steps']:,} iterations of batch {config.batch}, all seeds at once in "
        f"{known['seconds'] / 60:.1f} minutes on {known['threads']} thread(s); all {modes} modes "
        f"in {whole} of {len(ours)} seeds."
    )


def summary(group: Sequence[Run]) -> tuple[str, str, str]:
    """Mean +- standard error of the three figures."""
    return (
        stated([one.held for one in group], 1),
        stated([one.high_quality for one in group], 1),
        stated([one.reverse_kl for one in group], 3),
    )


def picture(name: str, ours: Sequence[Run], folder: Path) -> Figure:
    """Every seed's samples over real ones, five to a line."""
    real = load(name, part="test").values[:SAMPLES]
    across, side = min(5, len(ours)), 190.0
    lines = -(-len(ours) // across)
    figure = style.page(lines * (side + 30) + 10, across * (side + 10) + 10)
    for i, one in enumerate(ours):
        left, top = 10 + (i % across) * (side + 10), 30 + (i // across) * (side + 30)
        axes = style.add_axes(figure, left, top, side, side)
        with np.load(folder / f"seed-{one.seed}.npz", allow_pickle=False) as file:
            fake = file["samples"]
        points.draw(axes, fake, Truth(2, points.extent(real, real), real), small=True)
        style.frame(axes)
        style.add_title(axes, f"seed {one.seed}: {one.held} modes, {one.high_quality:.0f} %")
    return figure


@dataclass(frozen=True)
class Run:
    """One seed: modes held, modes with a third of their due, high quality in %, reverse KL."""

    seed: int
    held: int
    heavy: int
    high_quality: float
    reverse_kl: float
