"""The ranking of the report on three GANs: DCGAN best, CGAN controllable, the MLP GAN worst.

The report gives no numbers. Here its three systems and a convolutional conditional one are trained
for the same number of images over seeds; the checkpoint of a run is chosen on the validation split
and scored once on the test split. The claim is tested on the Frechet distance by paired t tests
over the seeds at 5 %, after Holm's correction for the three pairs of the claim.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from matplotlib.figure import Figure

from ganforge import files, recipes
from ganforge.callbacks.evaluate import BEST_MODEL
from ganforge.config.schema import Config
from ganforge.data import spec
from ganforge.evaluation import evaluate
from ganforge.experiments import compare, statistics
from ganforge.experiments.compare import (
    Budget,
    Comparison,
    Entry,
    Group,
    Scoring,
    show,
    subject,
)
from ganforge.experiments.compare.recipes import run_folder
from ganforge.experiments.statistics import holm_adjusted
from ganforge.plotting import curves, strips, style
from ganforge.plotting.curves import Chart
from ganforge.reproduce.outcome import Outcome
from ganforge.runs import load
from ganforge.runs.folder import Run
from ganforge.types import Pixels

NAMES = {
    "mnist-dropout": "GAN (perceptrons)",
    "dcgan-report": "DCGAN",
    "cgan": "CGAN (perceptrons)",
    "cdcgan": "conditional DCGAN",
}
MLP, BEST, THIRD = "mnist-dropout", "dcgan-report", "cgan"  # the report's worst, best, other
SEEDS, EPOCHS, N = range(5), 3.0, evaluate.N
METRIC = "frechet"
METRICS = (METRIC, "precision", "recall", "label-accuracy", "worst-class")
LEVEL = 0.05
ROWS, COLUMNS, SCALE = 10, 7, 2  # of the grids; device pixels to a pixel
PICTURE = "ranking.png"


def run(
    folder: Path,
    *,
    seeds: Sequence[int] = SEEDS,
    budget: float | None = None,
    threads: int = 0,
    variants: Mapping[str, Config] | None = None,
    n: int = N,
    display: str = "auto",
) -> Outcome:
    """Train what is missing, compare, and draw the samples side by side.

    The same call continues where it was stopped.

    Args:
        folder: for FOLDER/RECIPE/seed-N, ranking.png, compare.json and compare.png.
        seeds: of every system.
        budget: epochs for every run. [default: 3]
        threads: of the CPU, 0 for all.
        variants: configs in place of the recipes, by their names.
        n: samples that are scored.
        display: how training is shown, see `api.train`.

    Returns:
        The tables and the tested claim.
    """
    named = variants or {name: recipes.find(name) for name in NAMES}
    named = {name: replace(one, threads=threads) for name, one in named.items()}
    epochs = EPOCHS if budget is None else budget
    runs = {k: [(seed, run_folder(folder, k, seed)) for seed in seeds] for k in named}
    subject.refuse_another(folder, subject.subject(runs, folder))
    found = compare.of_recipes(
        named,
        seeds,
        folder,
        scoring=Scoring(METRICS, n),
        budget=Budget(epochs=epochs),
        show=display,
    )
    saved = [files.save_file(folder / PICTURE, style.png(picture(found)))]
    saved += compare.save(found, folder)
    text = [compare.text(found), claim(found), "saved in " + ", ".join(map(str, saved))]
    return Outcome(show.records(found), "\n\n".join(text))


def claim(found: Comparison) -> str:
    """Both halves of the claim, confirmed or not, with the tests that decide."""
    gaps = {group.label: group.gaps(METRIC) for group in found.groups}
    pairs = ((BEST, THIRD), (BEST, MLP), (THIRD, MLP))  # the better one of the claim first
    tests = holm_adjusted([statistics.compare(a, b, gaps[a], gaps[b]) for a, b in pairs])
    shown = [t.difference.mean < 0 and t.t_holm < LEVEL for t in tests]
    lines = ["The report's claim, by the Frechet distance:"]
    for t, significant in zip(tests, shown, strict=True):
        mean = t.difference.mean
        p = f"p = {t.t_holm:.2g}" if t.difference.count > 1 else "one seed, no test"
        verdict = "shown" if significant else "not shown" if mean < 0 else "the other way round"
        lines.append(
            f"  {NAMES[t.a]} {'lower' if mean < 0 else 'higher'} than {NAMES[t.b]} by "
            f"{abs(mean):.3g} ({p}): {verdict}"
        )
    for half, tested in (("DCGAN's samples are best", shown[:2]),
                         ("the MLP GAN's samples are worst", shown[1:])):  # fmt: skip
        lines.append(f"{half}: {'confirmed' if all(tested) else 'not confirmed'}")
    return "\n".join(lines)


def picture(found: Comparison) -> Figure:
    """Samples and losses of the first seed's runs, side by side, with the scores over the seeds."""
    edge, gap = 40.0, 24.0
    wide = (style.WIDTH - 2 * edge - gap * (len(found.groups) - 1)) / len(found.groups)
    high = (ROWS * (28 * SCALE + strips.GAP) - strips.GAP) / 2
    figure = style.page(high + 360)
    images = max(e.images for e in found.entries)
    seed = found.groups[0].entries[0].seed
    title = f"Four GANs after {images:,} images each, seed {seed}"
    style.add_text(figure, edge, 20, title, 13, weight="bold")
    for i, group in enumerate(found.groups):
        column(figure, edge + i * (wide + gap), wide, group, found)
    return figure


def column(figure: Figure, left: float, wide: float, group: Group, found: Comparison) -> None:
    """One system: its name and scores, a grid of samples, the losses of the same run."""
    shown = next((e for e in group.entries if not e.diverged), None)
    style.add_text(figure, left, 58, NAMES[group.label], 11, weight="bold")
    names = {METRIC: f"FD[{found.scoring.space}]", "label-accuracy": "obeys its label"}
    for row, (metric, name) in enumerate(names.items()):
        if group.values(metric):
            line = f"{name} {mean_text(group.values(metric), metric != METRIC)}"
            style.add_text(figure, left, 80 + 18 * row, line, 9, color=style.MUTED)
    if shown is None:
        style.add_text(figure, left, 130, "diverged", 11)
        return
    tiles = samples(shown, found.model == "best")
    mosaic = strips.mosaic(tiles, COLUMNS, SCALE)
    style.add_picture(figure, left, 124, mosaic)
    run = Run(shown.path)
    log, game = run.log(), run.settings()["game"]
    lines = (
        curves.of_records(log, "loss_d", "D", style.D),
        curves.of_records(log, "loss_g", "G", style.G),
    )
    levels = curves.references(game) if game["loss"] == "relativistic" else {}
    axes = style.add_axes(figure, left + 14, 184 + mosaic.shape[0] / 2, wide - 34, 110)
    curves.draw_panel(axes, Chart("Loss", lines, levels))


def mean_text(values: Mapping[int, float], share: bool) -> str:
    """Mean and standard error as they stand above a grid; shares in percent."""
    scale, unit = (100, " %") if share else (1, "")
    summary = statistics.summarise([scale * v for v in values.values()])
    error = "" if summary.count < 2 else f" +- {show.number(summary.error, 2)}"
    return show.number(summary.mean, 3) + error + unit


def samples(entry: Entry, best: bool) -> Pixels:
    """(N, H, W, 3) uint8 samples of the scored model; a row for each label if it has labels."""
    sampler = load.open_sampler(entry.path / BEST_MODEL if best else entry.path)
    made = spec.as_uint8(sampler.grid(ROWS * COLUMNS), sampler.spec)[: ROWS * COLUMNS]
    return made.repeat(3, axis=3) if made.shape[3] == 1 else made
