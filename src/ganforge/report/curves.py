"""Curves and clouds of points as SVG geometry: numbers and path texts, which the template draws.

Colours are names of the style sheet ("real", "fake", "d", "g", "s1" ...), never values, so that
one drawing serves in light, in dark and on paper. A y here grows downwards, as in SVG.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ganforge.plotting import charts, plots
from ganforge.types import Array

WIDTH, HEIGHT = 440, 250  # of a chart, in its own units
LEFT, RIGHT, TOP, BOTTOM = 46, 432, 10, 212  # of its plot area
NAMES = 66  # that the names of levels take at its right
POINTS = 300  # of a curve at most: a chart has no more columns of pixels
SERIES = 6  # colours that tell runs apart; from there on the dashes do


@dataclass(frozen=True)
class Line:
    """One curve. raw: its path, drawn light where `soft`, the smoothed one, is drawn over it."""

    name: str
    colour: str
    raw: str
    soft: str = ""
    dash: bool = False


@dataclass(frozen=True)
class Chart:
    """A chart with its axes.

    label: what it shows, in a sentence, for those who do not see it. x_ticks, y_ticks: (position,
    text). levels: (position, text) of thin lines to compare with. note: what is left out.
    right: where the plot area ends.
    """

    title: str
    label: str
    lines: tuple[Line, ...]
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    levels: tuple[tuple[float, str], ...] = ()
    note: str = ""
    right: float = RIGHT
    x_name: str = "epoch"


@dataclass(frozen=True)
class Series:
    """Values over epochs, before they are drawn. x, y: (N,) float64."""

    name: str
    colour: str
    x: Array
    y: Array
    dash: bool = False


def colour(index: int) -> str:
    """The style sheet's name of the colour of run `index`."""
    return f"s{index % SERIES + 1}"


def of_run(log: Sequence[Mapping[str, Any]], game: Mapping[str, Any]) -> list[Chart]:
    """The losses of both players, and what D says of real and of generated; [] without records."""
    if not charts.drawable(log):
        return []
    epoch = charts.column(log, "epoch")

    def series(name: str, colour: str, key: str) -> Series:
        return Series(name, colour, epoch, charts.column(log, key))

    even = plots.balance(game)
    kind = "logit" if even is None else "d"
    losses = [series("loss of D", "d", "loss_d"), series("loss of G", "g", "loss_g")]
    views = [
        series("real", "real", f"{kind}_real"),
        series("generated", "fake", f"{kind}_fake"),
    ]
    seen = "D’s mean logit" if even is None else "What D takes for real"
    levels = {} if even is None else {"cannot tell": even}
    limits = None if even is None else (-0.02, 1.02)
    return [
        draw("Loss of each player", losses, plots.references(game)),
        draw(seen, views, levels, limits),
    ]


def of_scores(records: Sequence[Mapping[str, Any]], title: str) -> Chart | None:
    """The Frechet distance of a run's scores over its epochs, beside its floor; None without."""
    epoch = charts.column(records, "epoch")
    values, floors = (charts.column(records, key) for key in ("frechet", "floor"))
    if not (np.isfinite(epoch) & np.isfinite(values)).any():
        return None
    lines = [
        Series("generated", "fake", epoch, values),
        Series("real (floor)", "real", epoch, floors, dash=True),
    ]
    return draw(title, lines, log_scale=True)


def draw(
    title: str,
    series: Sequence[Series],
    levels: Mapping[str, float] | None = None,
    limits: tuple[float, float] | None = None,
    log_scale: bool = False,
) -> Chart:
    """A chart of finite and infinite values; what it leaves out is in its note.

    limits: of y; those of the values where None. log_scale: where the values span a factor of 20.
    """
    levels = levels or {}
    values = np.concatenate([s.y for s in series])
    known = values[np.isfinite(values)]
    power = bool(log_scale and len(known) and known.min() > 0 and known.max() > 20 * known.min())
    low, high = limits or charts.fit(np.log10(known) if power else values, list(levels.values()))
    last = max((s.x[np.isfinite(s.x)].max(initial=0) for s in series), default=0) or 1.0
    right = RIGHT - (NAMES if levels else 0)

    def across(x: Array) -> Array:
        return np.asarray(LEFT + (right - LEFT) * x / last)

    def down(y: Array) -> Array:
        with np.errstate(divide="ignore", invalid="ignore"):
            y = np.log10(y) if power else y
        return np.asarray(BOTTOM - (BOTTOM - TOP) * (np.clip(y, low, high) - low) / (high - low))

    lines = tuple(
        line(s, across(s.x), down(s.y), down(soft(s.y, low, high, power))) for s in series
    )
    outer = (10**low, 10**high) if power else (low, high)
    return Chart(
        title,
        f"{title}, against the epoch. {ends(series)}",
        lines,
        tuple((float(across(np.array(t))), f"{t:g}") for t in ticks(0, last, 6)),
        tuple((float(down(np.array(t))), f"{t:g}") for t in ticks(*outer, 5, power)),
        tuple((float(down(np.array(v))), name) for name, v in levels.items()),
        charts.left_out(values, *outer),
        right,
    )


def soft(y: Array, low: float, high: float, power: bool) -> Array:
    """The smoothed curve; empty where the records are too few to need one."""
    many = not power and np.isfinite(y).sum() >= charts.SMOOTHED
    known = np.where(np.isfinite(y), np.clip(y, low, high), np.nan)
    return charts.smooth(known) if many else np.empty(0)


def line(series: Series, x: Array, raw: Array, smoothed: Array) -> Line:
    """The paths of a series whose points are on the chart already."""
    broken = np.where(np.isfinite(series.y), raw, np.nan)
    return Line(
        series.name,
        series.colour,
        path(*thinned(x, broken, wild=True)),
        path(*thinned(x, smoothed)) if len(smoothed) else "",
        series.dash,
    )


def ends(series: Sequence[Series]) -> str:
    """Where each curve begins and ends, in words."""
    told = []
    for s in series:
        known = s.y[np.isfinite(s.y)]
        if len(known):
            told.append(f"{s.name}: from {known[0]:.3g} to {known[-1]:.3g}")
    return "; ".join(told) + "."


def ticks(low: float, high: float, most: int, power: bool = False) -> list[float]:
    """Round numbers between two limits."""
    from matplotlib.ticker import LogLocator, MaxNLocator

    wide = power and high > 100 * low
    locator = LogLocator() if wide else MaxNLocator(most, steps=[1, 2, 5, 10])
    return [float(t) for t in locator.tick_values(low, high) if low <= t <= high]


def thinned(x: Array, y: Array, wild: bool = False) -> tuple[Array, Array]:
    """At most about `POINTS` points of a curve; with `wild`, the extremes of every stretch."""
    if len(x) <= POINTS:
        return x, y
    if not wild:
        kept = np.unique(np.linspace(0, len(x) - 1, POINTS).round().astype(int))
        return x[kept], y[kept]
    picked: list[int] = []
    for rows in np.array_split(np.arange(len(x)), POINTS // 2):
        known = rows[np.isfinite(y[rows])]
        picked += sorted({known[y[known].argmin()], known[y[known].argmax()]} if len(known) else
                         {rows[0]})  # fmt: skip
    return x[picked], y[picked]


def path(x: Array, y: Array) -> str:
    """A polyline through finite points, (N,) each; a gap where one is not, a dash where alone."""
    out, begun = [], False
    finite = np.isfinite(x) & np.isfinite(y)
    for i, ok in enumerate(finite):
        alone = ok and not begun and not (i + 1 < len(x) and finite[i + 1])
        if alone:
            out.append(f"M{x[i] - 2:.1f} {y[i]:.1f}h4")
        elif ok:
            out.append(f"{'L' if begun else 'M'}{x[i]:.1f} {y[i]:.1f}")
        begun = bool(ok)
    return "".join(out)


def dots(points: Array) -> str:
    """Points (N, 2) as a path of dots: with round caps, a line of no length is one."""
    return "".join(f"M{x:.1f} {y:.1f}h0" for x, y in points)
