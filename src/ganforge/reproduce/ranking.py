"""The ranking of the report on three GANs: DCGAN best, CGAN controllable, the MLP GAN worst.

The report says so in words. Here its three systems and a convolutional conditional one are trained
for the same number of images over seeds; the checkpoint of a run is chosen on the validation split
and scored once on the test split. The claim is judged by the Frechet distance, with paired t tests
over the seeds at 5 %, after Holm's correction for the three pairs it speaks of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ganforge import charts, compare, history, judging, pictures, plots, recipes, session
from ganforge.compare import Budget, Comparison, Entry, Group, Scoring, paired, plan, show, subject
from ganforge.config import Config
from ganforge.pictures import Pixels
from ganforge.runs import Run
from ganforge.scoring import BEST_MODEL

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAMES = {
    "mnist-dropout": "GAN (perceptrons)",
    "dcgan-report": "DCGAN",
    "cgan": "CGAN (perceptrons)",
    "cdcgan": "conditional DCGAN",
}
MLP, BEST, THIRD = "mnist-dropout", "dcgan-report", "cgan"  # of the report: worst, best, the other
SEEDS, EPOCHS, N = range(5), 3.0, judging.N
METRIC = "frechet"
METRICS = (METRIC, "precision", "recall", "label-accuracy", "worst-class")
LEVEL = 0.05
ROWS, COLUMNS, SCALE, GAP = 10, 7, 2, 4  # of the grids; device pixels
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
) -> str:
    """Train what is missing, compare, draw the samples side by side: tables and claim as text.

    Arguments:
        folder: FOLDER/RECIPE/seed-N, ranking.png, compare.json and compare.png; the same call goes
            on where it was stopped.
        budget: epochs for every run. [default: 3]
        threads: of the CPU, 0 for all.
        variants: configs in place of the recipes, by their names.
        n: samples that are scored. display: how training shows itself, see `session.train`.
    Raises UsageError where the folder holds the ranking over other seeds.
    """
    named = variants or {name: recipes.find(name) for name in NAMES}
    named = {name: replace(one, threads=threads) for name, one in named.items()}
    epochs = EPOCHS if budget is None else budget
    runs = {k: [(seed, plan.run_folder(folder, k, seed)) for seed in seeds] for k in named}
    subject.refuse_another(folder, subject.subject(runs, folder))
    found = compare.of_recipes(
        named,
        seeds,
        folder,
        scoring=Scoring(METRICS, n),
        budget=Budget(epochs=epochs),
        show=display,
    )
    saved = [pictures.save(folder / PICTURE, charts.png(picture(found)))]
    saved += compare.save(found, folder)
    return "\n\n".join(
        [compare.text(found), claim(found), "saved in " + ", ".join(map(str, saved))]
    )


def claim(found: Comparison) -> str:
    """Both halves of the claim, each held or not held, with the tests it rests on."""
    gaps = {group.label: group.gaps(METRIC) for group in found.groups}
    pairs = ((BEST, THIRD), (BEST, MLP), (THIRD, MLP))  # the better one of the claim first
    tests = paired.adjusted([paired.compare(a, b, gaps[a], gaps[b]) for a, b in pairs])
    holds = [t.difference.mean < 0 and t.t_holm < LEVEL for t in tests]
    lines = ["The report's claim, by the Frechet distance:"]
    for t, held in zip(tests, holds, strict=True):
        mean = t.difference.mean
        told = "lower" if mean < 0 else "higher"
        chance = f"p = {t.t_holm:.2g}" if t.difference.count > 1 else "one seed, no test"
        shown = "shown" if held else "not shown" if mean < 0 else "the other way round"
        lines.append(
            f"  {NAMES[t.a]} {told} than {NAMES[t.b]} by {abs(mean):.3g} ({chance}): {shown}"
        )
    word = {True: "held", False: "not held"}
    lines.append(f"DCGAN's samples are best: {word[holds[0] and holds[1]]}")
    lines.append(f"the MLP GAN's samples are worst: {word[holds[1] and holds[2]]}")
    return "\n".join(lines)


def picture(found: Comparison) -> Figure:
    """Samples and losses of the first seed's runs, side by side, with every seed's figures."""
    edge, gap = 40.0, 24.0
    wide = (charts.WIDTH - 2 * edge - gap * (len(found.groups) - 1)) / len(found.groups)
    high = (ROWS * (28 * SCALE + GAP) - GAP) / 2
    figure = charts.page(high + 360)
    images = max(e.images for e in found.entries)
    seed = found.groups[0].entries[0].seed
    title = f"Four GANs after {images:,} images each, seed {seed}"
    charts.write(figure, edge, 20, title, 13, weight="bold")
    for i, group in enumerate(found.groups):
        column(figure, edge + i * (wide + gap), wide, group, found)
    return figure


def column(figure: Figure, left: float, wide: float, group: Group, found: Comparison) -> None:
    """One system: its name and figures, a grid, the losses of the same run."""
    shown = next((e for e in group.entries if not e.diverged), None)
    charts.write(figure, left, 58, NAMES.get(group.label, group.label), 11, weight="bold")
    told = {METRIC: f"FD[{found.scoring.space}]", "label-accuracy": "obeys its label"}
    for row, (metric, name) in enumerate(told.items()):
        if group.values(metric):
            line = f"{name} {figures(group.values(metric), metric != METRIC)}"
            charts.write(figure, left, 80 + 18 * row, line, 9, color=charts.MUTED)
    if shown is None:
        charts.write(figure, left, 130, "diverged", 11)
        return
    tiles = samples(shown, found.model == "best")
    mosaic = history.mosaic(tiles, COLUMNS, SCALE, GAP)
    plots.show(figure, (left, 124), mosaic)
    log, settings = Run(shown.path).log(), Run(shown.path).settings()
    axes = charts.place(figure, left + 14, 124 + mosaic.shape[0] / 2 + 60, wide - 34, 110)
    epoch = charts.column(log, "epoch")
    lines = [("D", charts.column(log, "loss_d"), charts.D),
             ("G", charts.column(log, "loss_g"), charts.G)]  # fmt: skip
    game = {} if group.label not in NAMES else settings.get("game", {})
    even = plots.references(game) if game.get("loss") == "relativistic" else {}
    charts.curves(axes, epoch, lines, even)
    charts.head(axes, "Loss", "epoch")
    charts.legend(axes)


def figures(values: Mapping[int, float], share: bool) -> str:
    """Mean and standard error as they stand above a grid; shares in percent."""
    scale, unit = (100, " %") if share else (1, "")
    summary = paired.summarise([scale * v for v in values.values()])
    error = "" if len(values) < 2 else f" +- {show.number(summary.error, 2)}"
    return show.number(summary.mean, 3) + error + unit


def samples(entry: Entry, best: bool) -> Pixels:
    """(N, H, W, 3) uint8 samples of the judged model; a row a label where it takes labels."""
    sampler = session.open_sampler(entry.path / BEST_MODEL if best else entry.path)
    made = pictures.as_uint8(sampler.grid(ROWS * COLUMNS), sampler.spec)[: ROWS * COLUMNS]
    return made.repeat(3, axis=3) if made.shape[3] == 1 else made
