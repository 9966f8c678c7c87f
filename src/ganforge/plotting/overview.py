"""A run, or many seeds of one, on a single page."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ganforge.errors import DataError
from ganforge.plotting import curves, points, strips, style
from ganforge.plotting.curves import Log
from ganforge.plotting.strips import EDGE
from ganforge.runs import load, samples
from ganforge.runs.folder import Run
from ganforge.runs.samples import Moment, spread

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TOP = 350  # units: where the samples begin, below the losses
LINES = 64  # seeds drawn one by one; more are a band from the 5th to the 95th percentile
PANELS = 12  # seeds whose samples are shown: the first ones, not the best
PICTURES = 10  # samples of each seed


def overview(run: Run) -> bytes:
    """A run on one page, as a PNG file's bytes: losses, newest samples, samples over time.

    Raises:
        DataError: there is neither a finite loss nor a sample, or a file is damaged.
    """
    log, found, settings = run.log(), samples.moments(run), run.settings()
    drawable = curves.has_losses(log)
    if not drawable and not found:
        raise DataError(
            f"{run.path}: none of its {len(log)} log records has a finite loss, and there are no "
            "samples: there is nothing to draw yet, train on"
        )
    top = TOP if drawable else 70
    if not found:
        figure = style.page(top)
    elif found[-1].is_picture:
        figure = strips.picture_page(run, found, top)
    else:
        figure = point_page(run, found, top)
    draw_head(figure, run, settings, log)
    if drawable:
        curves.draw_losses(figure, 80, curves.of_log(log, settings.get("game", {})))
    return style.png(figure)


def draw_head(figure: Figure, run: Run, settings: Mapping[str, Any], log: Log) -> None:
    """The name of the run, its state and its progress."""
    style.add_text(figure, EDGE, 18, title(run, settings), 13, weight="bold")
    done = samples.progress(log[-1]) if log else []
    parts = [str(run.info().get("status", "")), *done, f"seed {settings.get('seed', 0)}"]
    text = ", ".join(filter(None, parts))
    style.add_text(figure, style.WIDTH - EDGE, 22, text, color=style.MUTED, ha="right")


def title(run: Run, settings: Mapping[str, Any]) -> str:
    """The recipe of a run, and its data if they have another name."""
    data = Path(str(settings.get("data", "?"))).name
    name = str(settings.get("name", run.path.name))
    return name if name == data else f"{name} on {data}"


def point_page(run: Run, found: Sequence[Moment], top: float) -> Figure:
    """A page with the newest samples against the data, and beside it small panels over time."""
    fake = found[-1].points()
    known = points.truth(run, fake)
    flat = known.features == 1
    figure = style.page(top + 490)
    names = f"Samples at {found[-1].text}", *points.axis_names(known.features)
    axes = style.add_axes(figure, 60, top + 20, 420, 230 if flat else 420, *names)
    points.draw(axes, fake, known)
    style.add_legend(axes)
    if flat and curves.balance(run.settings().get("game", {})) is not None:
        discriminator = load.discriminator(run)
        if discriminator is not None:
            axes = style.add_axes(figure, 60, top + 310, 420, 130)
            points.draw_discriminator(axes, fake, known, discriminator)
    style.add_heading(figure, 550, top - 4, "The same noise over time")
    rows, size = (4, (130, 81)) if flat else (3, (118, 118))
    panels = [(moment.text, moment) for moment in spread(found, 3 * rows)]
    strips.draw_panels(figure, 550, top + 32, 3, size, panels, known)
    return figure


def of_seeds(runs: Mapping[int, Run], count: int) -> bytes | None:
    """Many seeds on one page, as a PNG file's bytes: all loss curves, newest samples of some seeds.

    Args:
        runs: run folders by seed; some may not exist yet.
        count: seeds of the whole experiment.

    Returns:
        None if there is nothing to draw yet.
    """
    logs = [run.log() for run in runs.values()]
    if not any(map(curves.has_losses, logs)):
        return None
    found = {seed: moments[-1] for seed, run in runs.items() if (moments := samples.moments(run))}
    newest = list(found.items())[:PANELS]
    layout = None
    height = 0
    if newest:
        seed, moment = newest[0]
        height = 40 + 165 * -(-len(newest) // 6)
        if moment.is_picture:
            layout = strips.tiling(runs[seed])
            height = 20 + len(newest) * (layout.height // layout.factor + 6)
    figure = style.page(TOP + height)
    for side, left, colour in (("D", 0, style.D), ("G", 490, style.G)):
        title = f"Loss of {side}, {count} seeds"
        axes = style.add_axes(figure, style.MARGIN + left, 50, 370, 200, title, "epoch")
        draw_seed_curves(axes, logs, f"loss_{side.lower()}", colour)
        style.add_legend(axes)
    if newest:
        few = f"the first {len(newest)} of {count}" if len(newest) < count else "all"
        heading = f"Newest samples of the seeds ({few})"
        style.add_heading(figure, style.MARGIN, TOP - 30, heading)
        with contextlib.suppress(DataError):  # a damaged file: the curves are still worth having
            if layout:
                draw_seed_strips(figure, newest, layout)
            else:
                known = points.truth(runs[seed], moment.points())
                panels = [(f"seed {seed}", moment) for seed, moment in newest]
                strips.draw_panels(figure, style.MARGIN, TOP + 15, 6, (130, 130), panels, known)
                name_points(figure, TOP - 30)
    return style.png(figure)


def name_points(figure: Figure, top: float) -> None:
    """The colours of real and generated points, at the right end of a heading's line."""
    for name, colour, left in (("real", style.REAL, 800), ("generated", style.FAKE, 860)):
        style.add_text(figure, left, top, f"\u25cf {name}", color=colour)


def draw_seed_curves(axes: Axes, logs: Sequence[Log], key: str, colour: str) -> None:
    """Every seed's curve, thin, or a band of them; their median, thick."""
    epoch = curves.column(max(logs, key=len), "epoch")
    values = np.full((len(logs), len(epoch)), np.nan)
    for row, log in zip(values, logs, strict=True):
        row[: len(log)] = curves.column(log, key)
    known = ~np.isnan(values)
    filled = known.any(0)
    limits = curves.fit(values[known])
    epoch, values = epoch[filled], values[:, filled]
    if len(logs) <= LINES:
        alpha = max(0.15, 0.8 / len(logs) ** 0.5)
        dot = "o" if len(epoch) == 1 else None
        seeds = axes.plot(epoch, values.T, color=colour, linewidth=0.6, alpha=alpha, marker=dot,
                          markersize=3)  # fmt: skip
        seeds[0].set_label("a seed")
    else:
        low, high = np.nanquantile(values, [0.05, 0.95], axis=0)
        axes.fill_between(
            epoch, low, high, color=colour, alpha=0.2, linewidth=0, label="90 % of seeds"
        )
    axes.plot(epoch, np.nanmedian(values, axis=0), color=colour, linewidth=1.6, label="median",
              marker="_" if len(epoch) == 1 else None)  # fmt: skip
    room = 1 if len(epoch) >= curves.SMOOTHED else 1.02  # a dot at the end is whole
    axes.set(xlim=(0, room * epoch.max(initial=0) or 1), ylim=limits)
    curves.set_ticks(axes)


def draw_seed_strips(
    figure: Figure, newest: Sequence[tuple[int, Moment]], layout: strips.Tiling
) -> None:
    """A row of pictures a seed; with labels, one of each label."""
    top = float(TOP)
    for seed, moment in newest:
        some = strips.strip_tiles(moment, layout, PICTURES)
        pixels = strips.mosaic(some, len(some), 2)
        middle = top + pixels.shape[0] / 4
        style.add_text(figure, style.MARGIN, middle - 6, f"seed {seed}", 8.5, color=style.MUTED)
        style.add_picture(figure, style.MARGIN + 70, top, pixels)
        top += some.shape[1] + 6
