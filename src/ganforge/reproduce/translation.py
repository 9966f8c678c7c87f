"""The ablations of pix2pix and CycleGAN, on pairs of OpenMoji's line drawings and colours.

The published figures are those of an FCN that segments streets, which nobody can have here; what is
reproduced is their order. Of pix2pix (Isola et al. 2017, table 1 and figures 4 and 6): L1 alone is
greyer and smoother, a GAN whose D does not see the source ignores it, L1 + cGAN is best, and a
U-Net is better than the same network without skips. Of CycleGAN (Zhu et al. 2017, tables 4 and 5),
trained on the same pictures without their pairs: GAN + cycle is better than the GAN alone, and that
than the cycle alone. All is measured on the test part, beside what needs no training.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ganforge import api, files, images, recipes
from ganforge.config.schema import Config
from ganforge.data.dataset import Dataset
from ganforge.data.describe import at_size, beside, spread_rows
from ganforge.errors import DataError
from ganforge.evaluation.inputs import Real
from ganforge.evaluation.pairs import OF_PAIRS, PairCase, colours, l1, unlike, with_channels
from ganforge.evaluation.translation import case_of
from ganforge.experiments.compare.recipes import run_folder
from ganforge.experiments.seeds import StoppedError
from ganforge.experiments.statistics import Estimate, compare, estimated
from ganforge.reproduce.outcome import Outcome, text_table
from ganforge.runs.load import open_sampler
from ganforge.sampling.translate import BACK, FORTH, Translator
from ganforge.training.pairing import load_part
from ganforge.types import Pixels

SCORES, TABLE, SHEET = "scores.json", "table.txt", "translations.png"
SEEDS = tuple(range(5))
LEVEL = 0.05
MOST = 1000  # held-out pairs that are scored
SHOWN, SCALE = 12, 2  # pairs of the sheet; device pixels to a pixel
DIGITS = {"retrieval": 3, "psnr": 2}  # decimals of a measure; 4 of all others

Scores = dict[str, dict[str, dict[str, float]]]  # row -> seed -> measure


class Claim(NamedTuple):
    """`better` has a higher (sign 1) or lower (sign -1) `measure` than `worse`."""

    text: str
    measure: str
    sign: int
    better: str
    worse: str


@dataclass(frozen=True)
class Study:
    """An ablation: its rows, its budget in epochs, what is shown, and what was claimed of them."""

    rows: Mapping[str, Config]
    epochs: float
    measures: tuple[str, ...]
    claims: tuple[Claim, ...]


def run(
    folder: Path,
    *,
    study: Callable[[], Study],
    seeds: Sequence[int] = SEEDS,
    budget: float | None = None,
    threads: int = 0,
    parts: Mapping[str, Dataset] | None = None,
    display: str = "auto",
) -> Outcome:
    """Train every row with every seed, one seed of all rows before the next; score each at once.

    The same call goes on where it was stopped; more seeds may be asked for later.

    Args:
        folder: for FOLDER/ROW/seed-N, scores.json, table.txt and translations.png.
        study: its rows and claims, as `pix2pix`.
        seeds: of every row.
        budget: epochs for every run. [default: the study's]
        threads: of the CPU, 0 for all.
        parts: "train" and "test" in place of the data of the rows.
        display: how training is shown, see `api.train`.

    Returns:
        The table and the tested claims.

    Raises:
        StoppedError: a signal ended a training.
        DataError: scores.json has scores of another budget.
    """
    chosen = study()
    epochs = chosen.epochs if budget is None else budget
    rows = {name: ready(config, epochs, threads) for name, config in chosen.rows.items()}
    first = next(iter(rows.values()))
    data = parts or {part: load_part(first, part) for part in ("train", "test")}
    known = read_scores(folder, epochs)
    for seed in seeds:
        for name, config in rows.items():
            if str(seed) in known.get(name, {}):
                continue
            place = run_folder(folder, name, seed)
            trained = api.train(replace(config, seed=seed), place, show=display, data=data["train"])
            if trained.signal:
                raise StoppedError(f"{name}, seed {seed}", trained.signal)
            measures = scored(open_translator(place), Real(data["train"], data["test"]))
            measures |= {
                "images": float(trained.progress.samples_seen),
                "seconds": trained.progress.seconds,
            }
            known.setdefault(name, {})[str(seed)] = measures
            files.write_json(folder / SCORES, {"epochs": epochs, "rows": known})
            files.save_file(folder / TABLE, f"{report(chosen, known, data).text}\n".encode())
    pictures = sheet(folder, list(rows), data["test"], seeds[0])
    files.save_file(folder / SHEET, images.png(pictures, SCALE))
    return report(chosen, known, data)


def ready(config: Config, epochs: float, threads: int) -> Config:
    """A row with its budget, in fp32, without the scores that `reproduce` makes itself."""
    output = replace(config.output, score=False, sample_every=max(1.0, epochs / 8))
    return replace(config, epochs=epochs, precision="fp32", threads=threads, output=output)


def read_scores(folder: Path, epochs: float) -> Scores:
    """What scores.json has; DataError if it was made with another budget."""
    table = files.read_json(folder / SCORES) or {"epochs": epochs, "rows": {}}
    if table["epochs"] != epochs:
        raise DataError(
            f"{folder / SCORES}: scores after {table['epochs']:g} epochs, and {epochs:g} are asked "
            "for: give --out for a new folder"
        )
    found: Scores = table["rows"]
    return found


def open_translator(path: Path) -> Translator:
    """The translator of a run folder; DataError if it makes pictures from noise."""
    found = open_sampler(path)
    if not isinstance(found, Translator):
        raise DataError(f"{path}: makes pictures from noise: give --out for a new folder")
    return found


def scored(translator: Translator, real: Real) -> dict[str, float]:
    """Every measure of a translator's held-out pictures; names of the way back end in -b2a."""
    found: dict[str, float] = {}
    for direction in translator.directions:
        ending = "" if direction == FORTH else f"-{BACK}"
        case = case_of(translator, real, direction, MOST, 0)
        found |= {f"{k}{ending}": v for k, v in measured(case.output, case.target).items()}
        if case.again is not None:
            found[f"cycle{ending}"] = float(l1(case.again, case.source).mean())
    return found


def measured(pictures: Pixels, target: Pixels) -> dict[str, float]:
    """Measures of pictures against their targets, uint8 (N, H, W, C)."""
    found = {name: float(f(pictures, target).mean()) for name, (f, _) in OF_PAIRS.items()}
    return found | {
        "colours": unlike(colours(pictures), colours(target)),
        "saturation": saturation(pictures),
        "gradient": gradient(pictures),
    }


def saturation(pictures: Pixels) -> float:
    """The mean difference of the largest and the smallest channel of a pixel, in [0, 1]."""
    return float(np.ptp(pictures, axis=-1).mean() / 255)


def gradient(pictures: Pixels) -> float:
    """The mean absolute difference of neighbours, across and down, in model values."""
    x = pictures.astype(np.float32) / 127.5
    return float(np.abs(np.diff(x, axis=1)).mean() + np.abs(np.diff(x, axis=2)).mean())


def report(study: Study, known: Scores, data: Mapping[str, Dataset]) -> Outcome:
    """The rows that need no training, ours, and the claims."""
    names = study.measures
    table: list[dict[str, Any]] = []
    for floor, values in baselines(data).items():
        shown = {n: Estimate(values[n], None, f"{values[n]:.{digits(n)}f}")
                 for n in names if n in values}  # fmt: skip
        table.append({"": floor, "seeds": None, **dict.fromkeys(names), **shown})
    for row in study.rows:
        runs = known.get(row, {}).values()
        if runs:
            cells = {n: estimated([one[n] for one in runs], digits(n)) for n in names}
            table.append({"": row, "seeds": len(runs), **cells})
    every = [one for runs in known.values() for one in runs.values()]
    minutes = sum(one["seconds"] for one in every) / 60
    return Outcome(
        table,
        f"{text_table(table)}\n\n{len(data['test']):,} pairs of the test part, mean +- standard "
        f"error over seeds; {every[0]['images']:,.0f} pictures a run, {minutes:,.1f} minutes of "
        f"training in all.\n\n{tested(study.claims, known)}",
    )


def digits(measure: str) -> int:
    """Decimals of a measure in the table."""
    return DIGITS.get(measure.removesuffix(f"-{BACK}"), 4)


def baselines(data: Mapping[str, Dataset]) -> dict[str, dict[str, float]]:
    """What needs no training, measured like a translator; the targets themselves come last."""
    paired = not data["train"].unpaired
    found: dict[str, dict[str, float]] = {}
    for ending, sides in {"": (0, 1), f"-{BACK}": (1, 0)}.items():
        source, target = (ends(data["test"])[i] for i in sides)
        train_source, train_target = (ends(data["train"])[i] for i in sides)
        case = PairCase(source, target, target, train_source, train_target, True, paired)
        for name, pictures in {**case.baselines, "the targets": target}.items():
            values = measured(pictures, target)
            found.setdefault(name, {}).update({f"{k}{ending}": v for k, v in values.items()})
    return found


def ends(part: Dataset) -> tuple[Pixels, Pixels]:
    """Sources and targets of a part, in one size and with as many channels as the targets."""
    assert part.source is not None and part.spec.source is not None
    size = part.spec.shape[1:]
    sources = at_size(np.asarray(part.source[:MOST]), part.spec.source, size)
    targets = at_size(np.asarray(part.values[:MOST]), part.spec, size)
    return with_channels(sources, targets.shape[-1]), targets


def tested(claims: Sequence[Claim], known: Scores) -> str:
    """A line for each claim whose rows are there: the difference, its p, shown or not."""
    lines = ["The published claims:"]
    for claim in claims:
        a, b = (
            {int(seed): one[claim.measure] for seed, one in known.get(row, {}).items()}
            for row in (claim.better, claim.worse)
        )
        if not a.keys() & b.keys():
            continue
        test = compare(claim.better, claim.worse, a, b)
        right = claim.sign * test.difference.mean > 0
        p = f"p = {test.t:.2g}" if len(test.seeds) > 1 else "one seed, no test"
        verdict = "shown" if right and test.t < LEVEL else "so far" if right else "the other way"
        lines.append(
            f"  {claim.text}: {claim.measure} of {claim.better} - {claim.worse} = "
            f"{test.difference.mean:+.4g} ({p}): {verdict}"
        )
    return "\n".join(lines)


def sheet(folder: Path, rows: Sequence[str], test: Dataset, seed: int) -> Pixels:
    """Held-out sources, the translations of every row's run with this seed, and the targets."""
    assert test.source is not None and test.spec.source is not None
    picked = spread_rows(len(test.source), SHOWN)
    sources = np.asarray(test.source[picked])
    shown = [(sources, test.spec.source)]
    for row in rows:
        translator = open_translator(run_folder(folder, row, seed))
        shown.append((translator.translate(sources, 0), test.spec))
    shown.append((np.asarray(test.values[picked]), test.spec))
    return images.grid(beside(shown, test.spec.shape[1:]), len(shown))


# --- the studies ----------------------------------------------------------------------------------

LINES = "openmoji-lines"
SIZE = 32


def pix2pix(size: int = SIZE) -> Study:
    """Table 1 and the ablation of the skips, at 32 pixels, or at 64 with the recipe's batch."""
    recipe = recipes.find("pix2pix")
    small = size == SIZE
    networks = replace(recipe.networks, patch_layers=1 if small else 2)
    base = replace(recipe, networks=networks, data=LINES, size=size, batch=8 if small else 4)
    blind = replace(base, networks=replace(networks, conditional=False))
    plain = replace(networks, skips=False)
    rows = {
        "L1": replace(base, game=replace(base.game, adversarial=0.0)),
        "GAN": replace(blind, game=replace(base.game, l1=0.0)),
        "cGAN": replace(base, game=replace(base.game, l1=0.0)),
        "L1+GAN": blind,
        "L1+cGAN": base,
        "L1+cGAN, no skips": replace(base, networks=plain),
    }
    claims = (
        Claim("L1 alone is greyer", "saturation", 1, "L1+cGAN", "L1"),
        Claim("L1 alone is smoother", "gradient", 1, "L1+cGAN", "L1"),
        Claim("the GAN's colours are nearer", "colours", -1, "L1+cGAN", "L1"),
        Claim("D that does not see the source lets G ignore it", "retrieval", 1, "cGAN", "GAN"),
        Claim("L1 helps the cGAN", "l1", -1, "L1+cGAN", "cGAN"),
        Claim("skips help", "l1", -1, "L1+cGAN", "L1+cGAN, no skips"),
    )
    measures = ("l1", "ssim", "retrieval", "colours", "saturation", "gradient")
    return Study(rows, 40.0, measures, claims)


def cyclegan() -> Study:
    """The ablation of the cycle and of the identity, on the same pairs, hidden."""
    recipe = recipes.find("cyclegan")
    networks = replace(
        recipe.networks, generator_width=16, discriminator_width=32, blocks=3, patch_layers=1
    )
    base = replace(recipe, networks=networks, data=LINES, size=SIZE, batch=4)
    plain = replace(base.game, identity=0.0)
    rows = {
        "cycle": replace(base, game=replace(plain, adversarial=0.0)),
        "GAN": replace(base, game=replace(plain, cycle=0.0)),
        "GAN+cycle": replace(base, game=plain),
        "GAN+cycle+identity": base,
    }
    claims = (
        Claim("the cycle helps the GAN", "retrieval", 1, "GAN+cycle", "GAN"),
        Claim("the cycle helps the GAN", "l1", -1, "GAN+cycle", "GAN"),
        Claim("and back", "l1-b2a", -1, "GAN+cycle", "GAN"),
        Claim("the GAN is better than the cycle alone", "l1", -1, "GAN", "cycle"),
        Claim("the identity helps", "l1", -1, "GAN+cycle+identity", "GAN+cycle"),
    )
    measures = ("l1", "retrieval", "colours", "cycle", "l1-b2a", "retrieval-b2a", "cycle-b2a")
    return Study(rows, 20.0, measures, claims)
