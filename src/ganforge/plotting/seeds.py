"""One page of many seeds: all their loss curves, and what some of them make at the end."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ganforge.errors import DataError
from ganforge.plotting import charts, history, plots
from ganforge.runs import samples
from ganforge.runs.folder import Run
from ganforge.runs.samples import Moment
from ganforge.types import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LINES = 64  # seeds drawn one by one; more are a band from the 5th to the 95th percentile
PANELS = 12  # seeds whose samples are shown: the first ones, not the best
PICTURES = 10  # of each
TOP = 350


def draw(runs: Mapping[int, Run], table: Mapping[str, Any]) -> bytes | None:
    """The page as a PNG file's bytes; None where there is nothing to draw yet."""
    logs = [run.log() for run in runs.values() if run.exists()]
    if not any(charts.drawable(log) for log in logs):
        return None
    found = {
        seed: m[-1] for seed, run in runs.items() if run.exists() and (m := samples.moments(run))
    }
    shown = dict(list(found.items())[:PANELS])
    tiled = bool(shown) and next(iter(shown.values())).is_picture
    height = TOP + (
        0 if not shown else (strips_height(runs, shown) if tiled else 40 + 165 * rows(shown))
    )
    figure = charts.page(height)
    count = len(table["seeds"])
    for side, left, colour in (("D", 0, charts.D), ("G", 490, charts.G)):
        axes = charts.place(figure, charts.MARGIN + left, 50, 370, 200)
        curves(axes, logs, f"loss_{side.lower()}", colour)
        charts.head(axes, f"Loss of {side}, {count} seeds", "epoch")
        charts.legend(axes)
    if shown:
        with contextlib.suppress(DataError):  # a damaged file: the curves are worth having
            (draw_strips if tiled else draw_points)(figure, runs, shown, count)
    return charts.png(figure)


def rows(shown: Mapping[int, Moment]) -> int:
    """Rows of panels, six to each."""
    return -(-len(shown) // 6)


def curves(axes: Axes, logs: list[list[dict[str, Any]]], key: str, colour: str) -> None:
    """Every seed's curve, thin, or a band of them; their median, thick."""
    longest = max(logs, key=len)
    epoch = charts.column(longest, "epoch")
    values = np.full((len(logs), len(epoch)), np.nan)
    for i, log in enumerate(logs):
        known = charts.column(log, key)[: len(epoch)]
        values[i, : len(known)] = known
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
    axes.set_ylim(*charts.fit(values[~np.isnan(values)], []))


def title(figure: Figure, shown: Mapping[int, Moment], count: int) -> None:
    """What the panels below are."""
    few = f"the first {len(shown)} of {count}" if len(shown) < count else "all"
    text = f"Newest samples of the seeds ({few})"
    charts.write(figure, charts.MARGIN, TOP - 30, text, 10, weight="bold")


def draw_points(
    figure: Figure, runs: Mapping[int, Run], shown: Mapping[int, Moment], count: int
) -> None:
    """A small panel a seed, all with the same limits."""
    title(figure, shown, count)
    first = next(iter(shown))
    known = history.truth(runs[first], shown[first].points())
    for i, (seed, moment) in enumerate(shown.items()):
        row, column = divmod(i, 6)
        axes = charts.place(figure, charts.MARGIN + column * 150, TOP + 15 + row * 165, 130, 130)
        plots.draw_points(axes, moment.points(), known, small=True)
        charts.frame(axes)
        axes.set_title(f"seed {seed}", fontsize=8, color=charts.MUTED, pad=3)


def tiles(run: Run, moment: Moment) -> Array:
    """Some pictures of a run's newest grid, (n, H, W, 3); with labels, one of each."""
    layout = history.tiling(run)
    return history.strip_tiles(moment, layout, PICTURES)


def strips_height(runs: Mapping[int, Run], shown: Mapping[int, Moment]) -> float:
    """Units that the rows of pictures take."""
    seed = next(iter(shown))
    high, scale = tiles(runs[seed], shown[seed]).shape[1], 2
    return float(20 + len(shown) * (high * scale / 2 + 6))


def draw_strips(
    figure: Figure, runs: Mapping[int, Run], shown: Mapping[int, Moment], count: int
) -> None:
    """A row of pictures a seed."""
    title(figure, shown, count)
    top = float(TOP)
    for seed, moment in shown.items():
        some = tiles(runs[seed], moment)
        pixels = history.mosaic(some, len(some), 2, 4)
        charts.write(figure, charts.MARGIN, top + pixels.shape[0] / 4 - 6, f"seed {seed}", 8.5,
                     color=charts.MUTED)  # fmt: skip
        plots.show(figure, (charts.MARGIN + 70, top), pixels)
        top += some.shape[1] + 6
