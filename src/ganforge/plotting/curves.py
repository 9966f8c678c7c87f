"""Curves over the epochs: losses, D's output and scores.

A `Chart` says what is to be drawn; `draw` is the one drawing of it, for pages (PNG) and for the
report (SVG) alike.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ganforge.errors import DataError
from ganforge.plotting import style
from ganforge.types import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SMOOTHED = 20  # points of a curve from which a smoothed curve is drawn over the raw one
STRETCHES = 400  # of a raw curve at most, each drawn by its extremes: a chart has no more pixels
WIDE = 20  # ratio of the largest to the smallest score from which the scale is logarithmic
DASHED = (0, (4, 3))

Log = Sequence[Mapping[str, Any]]  # records of log.jsonl or of scores.jsonl


@dataclass(frozen=True)
class Curve:
    """One curve: x (N,) epochs, y (N,) values; a value that is not finite leaves a gap."""

    name: str
    colour: str
    x: Array
    y: Array
    dashed: bool = False


@dataclass(frozen=True)
class Chart:
    """A chart: its curves, its reference lines and the range of y.

    levels: {name: y} of horizontal reference lines. limits: of y; None: from the values, which a
    few extreme ones cannot stretch. log_scale: if the values span a factor of `WIDE`.
    """

    title: str
    curves: tuple[Curve, ...]
    levels: Mapping[str, float] = field(default_factory=dict)
    limits: tuple[float, float] | None = None
    log_scale: bool = False

    @property
    def values(self) -> Array:
        """All values of all curves, (N,)."""
        return np.concatenate([curve.y for curve in self.curves])

    @property
    def known(self) -> Array:
        """All values that are finite, (M,)."""
        return self.values[np.isfinite(self.values)]

    @property
    def scale(self) -> tuple[float, float, bool]:
        """Lowest and highest y on the chart; whether the scale is logarithmic."""
        known = self.known
        if self.log_scale and len(known) and 0 < WIDE * known.min() < known.max():
            low, high = fit(np.log10(known))
            return 10**low, 10**high, True
        return *(self.limits or fit(known, list(self.levels.values()))), False

    @property
    def note(self) -> str:
        """The number of values that the chart does not show, in words; empty if it shows all."""
        low, high, _ = self.scale
        known, count = self.known, len(self.values)
        notes = []
        if len(outside := known[(known < low) | (known > high)]):
            values = "value" if len(outside) == 1 else "values"
            most = outside[np.abs(outside).argmax()]
            notes.append(f"{len(outside):,} {values} outside, up to {most:.3g}")
        if len(known) < count:
            notes.append(f"{count - len(known):,} of {count:,} not finite")
        return "; ".join(notes)

    @property
    def summary(self) -> str:
        """The chart in a sentence: the first and the last value of every curve."""
        ends = []
        for curve in self.curves:
            known = curve.y[np.isfinite(curve.y)]
            if len(known):
                ends.append(f"{curve.name}: from {known[0]:.3g} to {known[-1]:.3g}")
        return f"{self.title}, against the epoch. {'; '.join(ends)}."


def column(records: Log, key: str) -> Array:
    """One quantity of a log, (N,) float64; NaN where a record has no finite number of that name."""
    values = [record.get(key) for record in records]
    return np.array(
        [v if isinstance(v, int | float) and math.isfinite(v) else np.nan for v in values],
        dtype=np.float64,
    )


def of_records(records: Log, key: str, name: str, colour: str, dashed: bool = False) -> Curve:
    """The curve of one quantity of a log."""
    return Curve(name, colour, column(records, "epoch"), column(records, key), dashed)


def has_losses(log: Log) -> bool:
    """Whether a log has a finite loss."""
    losses = [column(log, key) for key in ("loss_d", "loss_g")]
    return bool(np.isfinite(losses + column(log, "epoch")).any())


def of_log(log: Log, game: Mapping[str, Any] | None = None) -> tuple[Chart, Chart]:
    """Two charts of a log: both losses; D's output on real and on generated examples.

    Args:
        log: records with epoch, loss_d, loss_g, d_real, d_fake, logit_real and logit_fake, as
            `Run.log()` returns them.
        game: settings of the game, which decide the reference lines; None if unknown: D(x) is
            drawn, without reference lines for the losses.

    Raises:
        DataError: no record has a finite loss.
    """
    if not has_losses(log):
        raise DataError(
            f"{len(log)} log records, none with a finite loss: there is nothing to draw, train on"
        )
    losses = (
        of_records(log, "loss_d", "loss of D", style.D),
        of_records(log, "loss_g", "loss of G", style.G),
    )
    best = 0.5 if game is None else balance(game)
    kind = "d" if best else "logit"
    outputs = (
        of_records(log, f"{kind}_real", "real", style.REAL),
        of_records(log, f"{kind}_fake", "generated", style.FAKE),
    )
    return (
        Chart("Loss of each player", losses, references(game or {})),
        Chart("D's probability of real", outputs, {"equilibrium": best}, (-0.02, 1.02))
        if best
        else Chart("D's mean logit", outputs),
    )


def of_scores(records: Log) -> Chart:
    """The Frechet distance over the epochs and its floor.

    Args:
        records: of scores.jsonl, with epoch, frechet, floor and scores, oldest first, at least one.
    """
    card = next(s for s in records[-1]["scores"] if s["name"] == "frechet")
    title = "FD[{space}], {split} split, N = {n:,}, seed {seed}".format_map(card)
    curves = (
        of_records(records, "frechet", "generated", style.FAKE),
        of_records(records, "floor", "real (floor)", style.REAL, dashed=True),
    )
    return Chart(title, curves, log_scale=True)


def losses(log: Log, game: Mapping[str, Any] | None = None) -> Figure:
    """Both charts of `of_log` on a page."""
    charts = of_log(log, game)
    figure = style.page(320)
    draw_losses(figure, 50, charts)
    return figure


def draw_losses(figure: Figure, top: float, charts: Sequence[Chart]) -> None:
    """Two charts side by side, 200 units high, at a height of a page 1000 units wide."""
    for i, chart in enumerate(charts):
        draw_panel(style.add_axes(figure, style.MARGIN + 490 * i, top, 370, 200), chart)


def scores(records: Log) -> Figure:
    """The chart of `of_scores` on a page."""
    figure = style.page(320)
    width = style.WIDTH - 3 * style.MARGIN
    draw_panel(style.add_axes(figure, style.MARGIN, 50, width, 200), of_scores(records))
    return figure


def draw_panel(axes: Axes, chart: Chart) -> None:
    """A chart with title, legend and the note on what is left out."""
    draw(axes, chart)
    style.add_title(axes, chart.title, "epoch")
    style.add_legend(axes)
    below = -44 * style.DPI / style.UNITS / axes.bbox.height  # 44 units, in heights of the axes
    style.add_label(axes, 1, below, chart.note, size=8, transform=axes.transAxes, ha="right",
                    va="top")  # fmt: skip


def draw(axes: Axes, chart: Chart) -> None:
    """The curves of a chart, its reference lines, scales and grid.

    A curve of `SMOOTHED` points or more is drawn raw and thin, and smoothed over it (on a linear
    scale); values beyond the limits count for the smoothed curve as if they were at the limit.
    """
    low, high, log = chart.scale
    axes.set(yscale="log" if log else "linear", ylim=(low, high))
    for curve in chart.curves:
        y = np.where(np.isfinite(curve.y), curve.y, np.nan)
        line: dict[str, Any] = {"color": curve.colour, "ls": DASHED if curve.dashed else "-"}
        many = np.isfinite(y).sum() >= SMOOTHED
        if many and not log:
            axes.plot(*thinned(curve.x, y), **line, alpha=0.35, linewidth=0.6)
            y = smooth(np.clip(y, low, high))
        dots = isolated(y) if many else list(range(len(y)))
        axes.plot(curve.x, y, **line, linewidth=1.6, label=curve.name,
                  marker="o" if dots else None, markersize=3, markevery=dots)  # fmt: skip

    epochs = np.concatenate([curve.x for curve in chart.curves])
    room = 1 if len(epochs) >= SMOOTHED * len(chart.curves) else 1.02
    axes.set_xlim(0, room * np.nanmax(epochs, initial=0) or 1)
    draw_levels(axes, chart.levels)
    set_ticks(axes, log and high > 100 * low)


def set_ticks(axes: Axes, decades: bool = False) -> None:
    """Round numbers on both axes, a grid across, and no tick marks at the left."""
    from matplotlib.ticker import LogLocator, MaxNLocator

    steps = [1, 2, 5, 10]
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=steps))
    axes.yaxis.set_major_locator(LogLocator() if decades else MaxNLocator(5, steps=steps))
    axes.minorticks_off()
    axes.yaxis.set_major_formatter(lambda y, _: f"{y:g}")
    axes.grid(axis="y", color=style.RULE, linewidth=0.5)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def draw_levels(axes: Axes, levels: Mapping[str, float]) -> None:
    """Reference lines with their names at the right, one name clear of the next."""
    names = sorted(levels, key=lambda name: levels[name])
    to_axes = axes.transData - axes.transAxes
    height = np.array([to_axes.transform((0, levels[name]))[1] for name in names])
    line = 0.15 * axes.figure.dpi / axes.bbox.height  # of text, in heights of the axes
    for name, y in zip(names, apart(height, line), strict=True):
        axes.axhline(levels[name], color=style.MUTED, linewidth=0.7, linestyle=DASHED, zorder=0)
        style.add_label(axes, 1.015, y, name, size=8, transform=axes.transAxes)


def apart(at: Array, gap: float) -> Array:
    """Ascending positions (N,), moved until each is at least `gap` above the one before."""
    steps = gap * np.arange(len(at))
    moved = np.maximum.accumulate(at - steps) + steps
    return np.asarray(moved - (moved - at).sum() / max(len(at), 1))


def thinned(x: Array, y: Array) -> tuple[Array, Array]:
    """The lowest and the highest value of each stretch of a curve; all values if they are few."""
    if len(x) <= 2 * STRETCHES:
        return x, y
    low, high = (np.where(np.isfinite(y), y, far) for far in (np.inf, -np.inf))
    picked: list[int] = []
    for rows in np.array_split(np.arange(len(x)), STRETCHES):
        picked += sorted({rows[low[rows].argmin()], rows[high[rows].argmax()]})
    return x[picked], y[picked]


def isolated(y: Array) -> list[int]:
    """Where a finite value of (N,), N >= 3, has none beside it: a line would not show it."""
    known = np.isfinite(y)
    return np.flatnonzero(known & (np.convolve(known, np.ones(3), "same") == 1)).tolist()


def smooth(y: Array) -> Array:
    """A running mean, applied twice, of a twentieth of the values; a NaN changes no neighbour."""
    from scipy.ndimage import uniform_filter1d

    known = np.isfinite(y)
    window = {"size": 2 * max(1, len(y) // 40) + 1, "mode": "constant"}
    share = uniform_filter1d(known.astype(float), **window)
    for _ in range(2):
        mean = uniform_filter1d(np.where(known, y, 0), **window)
        y = np.divide(mean, share, out=np.full(len(y), np.nan), where=known)
    return y


def fit(values: Array, levels: Sequence[float] = ()) -> tuple[float, float]:
    """Limits of y around finite values and levels, which a few extreme values cannot stretch."""
    if not len(values):
        return 0.0, 1.0
    every = np.concatenate([values, levels])
    inner = np.concatenate([np.percentile(values, [1, 99]), levels])
    if np.ptp(every) > 4 * np.ptp(inner) > 0:
        every = inner
    low, high = float(every.min()), float(every.max())
    room = 0.1 * (high - low) or max(abs(high) * 0.1, 0.1)
    return low - room, high + room


def references(game: Mapping[str, Any]) -> dict[str, float]:
    """The loss of each player at p_g = p_data against the best D there: {name: value}.

    Known for the cross-entropy losses and the relativistic one; empty for the others.
    """
    if game.get("loss") == "relativistic":
        return {"log 2": math.log(2)}
    best = balance(game)
    if best is None:
        return {}
    smoothing, share = game.get("smoothing", 0.0), 0.5 if game.get("halve") else 1.0
    saturating = game["loss"] == "minimax"
    d = -(1 - smoothing) * math.log(best) - (1 + smoothing) * math.log(1 - best)
    g = math.log(1 - best) if saturating else -math.log(best)
    if smoothing:
        return {f"D {d * share:.2f}": d * share, f"G {g:.2f}": g}
    names = ("log 2" if share < 1 else "2 log 2", "-log 2" if saturating else "log 2")
    return dict(zip(names, (d * share, g), strict=True))


def balance(game: Mapping[str, Any]) -> float | None:
    """D(x) of the best D at p_g = p_data; None if D(x) is no probability."""
    if game.get("loss") not in ("minimax", "non-saturating"):
        return None
    return float((1 - game.get("smoothing", 0.0)) / 2)
