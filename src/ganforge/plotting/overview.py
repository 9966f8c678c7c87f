"""A run, or many seeds of one, on a single page."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ganforge.errors import DataError
from ganforge.plotting import curves, points, strips, style
from ganforge.plotting.strips import COLUMNS, EDGE, GAP
from ganforge.runs import load, samples
from ganforge.runs.folder import Run
from ganforge.runs.samples import Moment, spread

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TOP = 350  # units: where the samples begin, below the losses
CROP = 10  # rows and columns of the newest grid at most
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
        figure = picture_page(run, found, top)
    else:
        figure = point_page(run, found, top)
    draw_head(figure, run, settings, log)
    if drawable:
        curves.draw_losses(figure, 80, curves.of_log(log, settings.get("game", {})))
    return style.png(figure)


def draw_head(
    figure: Figure, run: Run, settings: Mapping[str, Any], log: Sequence[Mapping[str, Any]]
) -> None:
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


def picture_page(run: Run, found: Sequence[Moment], top: float) -> Figure:
    """A page with the newest grid, and beside it its first column over time."""
    layout = strips.tiling(run)
    left = layout.margin
    newest = strips.tiles(found[-1], layout)
    across = len(newest) // layout.rows if layout.rows else math.ceil(math.sqrt(len(newest)))
    rows, shown = min(math.ceil(len(newest) / across), CROP), min(across, CROP)
    cells = [
        r * across + c for r in range(rows) for c in range(shown) if r * across + c < len(newest)
    ]
    column = strips.strip_tiles(found[-1], layout, rows)
    width, single = style.WIDTH - left - EDGE, len(found) == 1
    if single:
        scale, shown = strips.fit(width, 0, column, shown)
    else:
        scale, count = strips.fit(width - 40, shown, column, min(COLUMNS, len(found)))
    high, wide = ((column.shape[i] * scale + GAP) / 2 for i in (1, 2))
    figure = style.page(top + 45 + rows * high + EDGE)
    style.add_heading(figure, left, top, f"Samples at {found[-1].text}")
    style.add_picture(figure, left, top + 45, strips.mosaic(newest[cells], shown, scale))
    strips.draw_names(figure, (left, top + 45), layout.names[:rows], high)
    if not single:
        right = left + shown * wide + 40
        strips.draw_strip(figure, (right, top), spread(found, count), layout, rows, scale)
    return figure


def point_page(run: Run, found: Sequence[Moment], top: float) -> Figure:
    """A page with the newest samples against the data, and beside it small panels over time."""
    fake = found[-1].points()
    known = points.truth(run, fake)
    flat = known.features == 1
    figure = style.page(top + 490)
    axes = style.add_axes(figure, 60, top + 20, 420, 230 if flat else 420)
    points.draw(axes, fake, known)
    style.add_title(axes, f"Samples at {found[-1].text}", *points.axis_names(None, fake))
    style.add_legend(axes)
    if flat and curves.balance(run.settings().get("game", {})) is not None:
        discriminator = load.discriminator(run)
        if discriminator is not None:
            axes = style.add_axes(figure, 60, top + 310, 420, 130)
            points.draw_discriminator(axes, fake, known, discriminator)
    style.add_heading(figure, 550, top - 4, "The same noise over time")
    rows, size = (4, (130, 81)) if flat else (3, (118, 118))
    panels = [(moment.text, moment) for moment in spread(found, 3 * rows)]
    strips.draw_panels(figure, (550, top + 32), 3, size, panels, known)
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
    if not any(curves.has_losses(log) for log in logs):
        return None
    newest = {seed: found[-1] for seed, run in runs.items() if (found := samples.moments(run))}
    newest = dict(list(newest.items())[:PANELS])
    tiled = bool(newest) and next(iter(newest.values())).is_picture
    height = seed_strips_height(runs, newest) if tiled else 40 + 165 * -(-len(newest) // 6)
    figure = style.page(TOP + (height if newest else 0))
    for side, left, colour in (("D", 0, style.D), ("G", 490, style.G)):
        axes = style.add_axes(figure, style.MARGIN + left, 50, 370, 200)
        draw_seed_curves(axes, logs, f"loss_{side.lower()}", colour)
        style.add_title(axes, f"Loss of {side}, {count} seeds", "epoch")
        style.add_legend(axes)
    if newest:
        few = f"the first {len(newest)} of {count}" if len(newest) < count else "all"
        heading = f"Newest samples of the seeds ({few})"
        style.add_heading(figure, style.MARGIN, TOP - 30, heading)
        with contextlib.suppress(DataError):  # a damaged file: the curves are still worth having
            (draw_seed_strips if tiled else draw_seed_points)(figure, runs, newest)
    return style.png(figure)


def draw_seed_curves(
    axes: Axes, logs: Sequence[Sequence[Mapping[str, Any]]], key: str, colour: str
) -> None:
    """Every seed's curve, thin, or a band of them; their median, thick."""
    epoch = curves.column(max(logs, key=len), "epoch")
    values = np.full((len(logs), len(epoch)), np.nan)
    for i, log in enumerate(logs):
        values[i, : len(log)] = curves.column(log, key)
    values[~np.isfinite(values)] = np.nan
    filled = ~np.isnan(values).all(0)
    epoch, values = epoch[filled], values[:, filled]
    if len(logs) <= LINES:
        alpha = max(0.15, 0.8 / len(logs) ** 0.5)
        for one in values:
            axes.plot(epoch, one, color=colour, linewidth=0.6, alpha=alpha)
    else:
        low, high = np.nanquantile(values, [0.05, 0.95], axis=0)
        axes.fill_between(epoch, low, high, color=colour, alpha=0.2, linewidth=0, label="90 %")
    axes.plot(epoch, np.nanmedian(values, axis=0), color=colour, linewidth=1.6, label="median")
    axes.set(xlim=(0, epoch.max(initial=0) or 1), ylim=curves.fit(values[~np.isnan(values)]))
    curves.set_ticks(axes)


def draw_seed_points(figure: Figure, runs: Mapping[int, Run], newest: Mapping[int, Moment]) -> None:
    """A small panel a seed, all with the same limits."""
    first = next(iter(newest))
    known = points.truth(runs[first], newest[first].points())
    panels = [(f"seed {seed}", moment) for seed, moment in newest.items()]
    strips.draw_panels(figure, (style.MARGIN, TOP + 15), 6, (130, 130), panels, known)


def seed_strips_height(runs: Mapping[int, Run], newest: Mapping[int, Moment]) -> float:
    """Units that the rows of pictures need."""
    layout = strips.tiling(runs[next(iter(newest))])
    factor = -(-max(layout.height, layout.width) // strips.LARGEST)
    return 20 + len(newest) * (layout.height // factor + 6)


def draw_seed_strips(figure: Figure, runs: Mapping[int, Run], newest: Mapping[int, Moment]) -> None:
    """A row of pictures a seed; with labels, one of each label."""
    top = float(TOP)
    for seed, moment in newest.items():
        some = strips.strip_tiles(moment, strips.tiling(runs[seed]), PICTURES)
        pixels = strips.mosaic(some, len(some), 2)
        style.add_text(figure, style.MARGIN, top + pixels.shape[0] / 4 - 6, f"seed {seed}", 8.5,
                       color=style.MUTED)  # fmt: skip
        style.add_picture(figure, style.MARGIN + 70, top, pixels)
        top += some.shape[1] + 6
