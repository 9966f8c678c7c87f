"""Scores of several variants: every run, and the mean of each variant with its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ganforge.plotting import style
from ganforge.types import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOG_FROM = 20  # ratio of the largest score to the lowest from which the scale is logarithmic
LONGEST = 48  # letters of a label
EDGE = 20  # units left of the labels
ROOM = 0.04  # of the axis, at each end


@dataclass(frozen=True)
class Row:
    """One variant: the finite scores of its runs, their mean, and its interval (NaN if unknown)."""

    label: str
    values: Sequence[float]
    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Panel:
    """One metric. rows: best first. floor: the score of real examples. below: how it was made."""

    title: str
    below: str
    floor: float
    rows: Sequence[Row]


def intervals(panels: Sequence[Panel]) -> Figure:
    """A panel a metric, a row a variant, the first on top."""
    left = 50 + 6.2 * max(len(short(row.label)) for panel in panels for row in panel.rows)
    heights = [34 * len(panel.rows) + 14 for panel in panels]
    figure = style.page(sum(heights) + 105 * len(panels) + 15)
    top = 50.0
    for panel, height in zip(panels, heights, strict=True):
        width = style.WIDTH - left - 60
        axes = style.add_axes(figure, left, top, width, height)
        draw(axes, panel, (EDGE - left) / width)
        top += height + 105
    return figure


def short(label: str) -> str:
    """A label that leaves room for the rows: of a long one its beginning and its end."""
    half = LONGEST // 2
    return label if len(label) <= LONGEST else f"{label[:half]} ... {label[-half:]}"


def draw(axes: Axes, panel: Panel, start: float) -> None:
    """One metric's rows: dots for runs, a bar for the interval of the mean, the floor dashed.

    start: where the title begins, in widths of the axes: over the labels, which may leave little.
    """
    low, high, log = span(panel)
    if log:
        room = (high / low) ** ROOM
        axes.set(xscale="log", xlim=(low / room, high * room))
    else:
        room = ROOM * (high - low)
        axes.set_xlim(low - room, high + room)
    for y, row in enumerate(panel.rows):
        axes.plot(row.values, [y + 0.17] * len(row.values), "o", color=style.FAKE, markersize=4.5,
                  alpha=0.75, markeredgewidth=0)  # fmt: skip
        axes.plot([row.mean], [y - 0.17], "|", color=style.INK, markersize=11,
                  markeredgewidth=1.8)  # fmt: skip
        if math.isfinite(row.low):
            ends = np.clip([row.low, row.high], low, high)
            axes.plot(ends, [y - 0.17] * 2, color=style.INK, linewidth=1.6)
            for end, here, arrow in zip((row.low, row.high), ends, "<>", strict=True):
                if not np.isclose(end, here):  # the interval goes on beyond the axis
                    axes.plot([here], [y - 0.17], arrow, color=style.INK, markersize=6)
    axes.axvline(panel.floor, color=style.REAL, linewidth=1, linestyle=(0, (4, 3)), zorder=0)
    set_ticks(axes, log and high > 1000 * low)
    labels = [short(row.label) for row in panel.rows]
    axes.set_yticks(range(len(panel.rows)), labels, parse_math=False)
    axes.tick_params(axis="y", labelsize=9, labelcolor=style.INK, length=0)
    axes.set_ylim(len(panel.rows) - 0.5, -0.5)
    style.add_title(axes, panel.title, panel.below, start=start)
    interval = any(math.isfinite(row.low) for row in panel.rows)
    axes.plot([], [], "o", color=style.FAKE, markersize=4.5, alpha=0.75, label="a run")
    axes.plot([], [], "-" if interval else "|", color=style.INK, markersize=8, linewidth=1.6,
              label="mean, 95 % interval" if interval else "mean")  # fmt: skip
    axes.plot([], [], color=style.REAL, linewidth=1, linestyle=(0, (4, 3)), label="real (floor)")
    style.add_legend(axes, 3, bbox_to_anchor=(1.0, 1.0), labelcolor=style.INK)


def span(panel: Panel) -> tuple[float, float, bool]:
    """What the x axis shows, and whether it is logarithmic.

    It is filled by the scores of the runs and the floor; intervals, which two seeds make many times
    as wide, extend it by half of its length at most at each end.
    """
    every = [v for row in panel.rows for v in row.values]
    known = np.array([v for v in (*every, panel.floor) if math.isfinite(v)])
    log = bool(len(known)) and 0 < LOG_FROM * known.min() < known.max()

    def place(values: Array) -> Array:
        return np.log10(np.maximum(values, 1e-300)) if log else values

    low, high = (float(v) for v in (place(known).min(), place(known).max())) if len(known) else (
        0.0, 1.0)  # fmt: skip
    ends = np.array([v for row in panel.rows for v in (row.low, row.high) if math.isfinite(v)])
    length = (high - low) or max(abs(high), 1.0)
    at = place(ends).clip(low - length / 2, high + length / 2)
    left, right = min([low, *at]), max([high, *at])
    if not log and low >= 0:
        left = max(left, 0.0)  # no score is below
    if left == right:
        left, right = left - length / 2, right + length / 2
    return (10**left, 10**right, True) if log else (left, right, False)


def set_ticks(axes: Axes, decades: bool) -> None:
    """Plain numbers below: of a logarithmic axis 1, 2 and 5, or 1 alone of many decades."""
    from matplotlib.ticker import LogLocator

    if axes.get_xscale() == "log":
        axes.xaxis.set_major_locator(LogLocator(subs=(1,) if decades else (1, 2, 5)))
        axes.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
        axes.minorticks_off()
