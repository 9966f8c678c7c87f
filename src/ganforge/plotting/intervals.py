"""Scores of several variants: every run, and the mean of each variant with its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ganforge.plotting import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOG_FROM = 20  # ratio of the largest score to the lowest from which the scale is logarithmic
LONGEST = 48  # letters of a label


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
        axes = style.add_axes(figure, left, top, style.WIDTH - left - 60, height)
        draw(axes, panel)
        top += height + 105
    return figure


def short(label: str) -> str:
    """A label that leaves room for the rows: of a long one its beginning and its end."""
    half = LONGEST // 2
    return label if len(label) <= LONGEST else f"{label[:half]} ... {label[-half:]}"


def draw(axes: Axes, panel: Panel) -> None:
    """One metric's rows: dots for runs, a bar for the interval of the mean, the floor dashed."""
    for y, row in enumerate(panel.rows):
        axes.plot(row.values, [y + 0.17] * len(row.values), "o", color=style.FAKE, markersize=4.5,
                  alpha=0.75, markeredgewidth=0, label=None if y else "a run")  # fmt: skip
        axes.plot([row.mean], [y - 0.17], "|", color=style.INK, markersize=11,
                  markeredgewidth=1.8)  # fmt: skip
        if math.isfinite(row.low):
            axes.plot([row.low, row.high], [y - 0.17] * 2, color=style.INK, linewidth=1.6,
                      label=None if y else "mean, 95 % interval")  # fmt: skip
    axes.axvline(panel.floor, color=style.REAL, linewidth=1, linestyle=(0, (4, 3)),
                 label="real (floor)", zorder=0)  # fmt: skip
    every = [v for row in panel.rows for v in row.values]
    low = np.nanmin([*every, panel.floor, *(row.low for row in panel.rows)])
    if 0 < LOG_FROM * low < max(every, default=0):
        axes.set_xscale("log")
    axes.set_yticks(
        range(len(panel.rows)), [short(row.label) for row in panel.rows], parse_math=False
    )
    axes.tick_params(axis="y", labelsize=9, labelcolor=style.INK, length=0)
    axes.set_ylim(len(panel.rows) - 0.5, -0.5)
    style.add_title(axes, panel.title, panel.below)
    style.add_legend(axes, 3, bbox_to_anchor=(1.0, 1.0), labelcolor=style.INK)
