"""Charts of arrays: loss curves, scatters, densities. `plots` says which of a run's to draw.

Positions on a page are in units of 1/100 inch from its top left corner, two device pixels each:
real is blue, fake orange, D green and G purple everywhere (they differ in lightness too, so they
stay apart for the colour-blind and in print).
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ganforge.errors import DataError
from ganforge.types import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

REAL, FAKE, D, G = "#0072B2", "#E07B00", "#009E73", "#7A3E9D"
INK, MUTED, RULE = "#222222", "#6B6B6B", "#D0D0D0"
UNITS, DPI, WIDTH, MARGIN = 100, 200, 1000, 60  # units and device pixels to the inch; of a page
SMOOTHED = 20  # records from which a smoothed curve is drawn over the raw one
SHOWN = 2000  # points of a scatter at most: more are one blot

Density = Callable[[Array], Array]  # (N, 1) -> (N,)


def page(height: float, width: float = WIDTH) -> Figure:
    """An empty white figure of width x height units."""
    from matplotlib.figure import Figure

    return Figure((width / UNITS, height / UNITS), DPI, facecolor="white", layout=None)


def place(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Axes at a rectangle of the page, in units."""
    across, down = figure.get_size_inches() * UNITS
    box = (left / across, 1 - (top + height) / down, width / across, height / down)
    axes = figure.add_axes(box)
    axes.set_facecolor("none")
    axes.set_axisbelow(True)
    axes.tick_params(colors=MUTED, labelcolor=MUTED, labelsize=8, length=3, width=0.6)
    for side, spine in axes.spines.items():
        spine.set(visible=side in ("left", "bottom"), color=MUTED, linewidth=0.6)
    return axes


def write(
    figure: Figure, left: float, top: float, text: str, size: float = 9, **style: Any
) -> None:
    """Text with its top left corner at a point of the page; never read as a formula."""
    across, down = figure.get_size_inches() * UNITS
    style = {"color": INK, "va": "top", "ha": "left", **style}
    figure.text(left / across, 1 - top / down, text, fontsize=size, parse_math=False, **style)


def head(axes: Axes, title: str, x: str = "", y: str = "") -> None:
    """A title over the axes' left end, and the names of what is on them."""
    axes.set_title(title, fontsize=10, color=INK, loc="left", pad=8, weight="bold")
    axes.set_xlabel(x, fontsize=9, color=MUTED)
    axes.set_ylabel(y, fontsize=9, color=MUTED)


def legend(axes: Axes) -> None:
    """The names of what is drawn, on the line of the title."""
    axes.legend(loc="lower right", bbox_to_anchor=(1.02, 1.0), ncols=2, fontsize=9, frameon=False,
                labelcolor="linecolor", handlelength=1.4, borderaxespad=0.2,
                columnspacing=1.4)  # fmt: skip


def frame(axes: Axes) -> None:
    """A small panel: a light frame and no figures."""
    axes.tick_params(left=False, bottom=False, labelleft=False, labelbottom=False)
    for spine in axes.spines.values():
        spine.set(visible=True, color=RULE)


def png(figure: Figure) -> bytes:
    """A figure as a PNG file's bytes, the same for the same figure."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi="figure", metadata={"Software": None})
    return buffer.getvalue()


def losses(
    log: Sequence[Mapping[str, Any]],
    reference: Mapping[str, float] | None = None,
    balance: float | None = 0.5,
) -> Figure:
    """Both losses against the epoch; beside them what D says of real and of generated examples.

    log: records with epoch, loss_d, loss_g, d_real, d_fake, logit_real, logit_fake, as `Run.log()`
    gives them.
    reference: what a loss is at the game's end, by the name to write beside a thin line, such as
    {"log 2": 0.693}. balance: D(x) where real and generated examples are alike; None for a game
    whose D gives no probability: its logits are drawn.
    Values that are not finite leave gaps, and are counted. Raises DataError where all are so.
    """
    figure = page(320)
    draw_losses(figure, 50, log, reference, balance)
    return figure


def draw_losses(
    figure: Figure,
    top: float,
    log: Sequence[Mapping[str, Any]],
    reference: Mapping[str, float] | None = None,
    balance: float | None = 0.5,
) -> None:
    """The two panels of `losses`, 200 units high, at a height of a page 1000 units wide."""
    if not drawable(log):
        raise DataError(
            f"{len(log)} log records, none with a finite loss: there is nothing to draw, train on"
        )
    epoch = column(log, "epoch")
    axes = place(figure, MARGIN, top, 370, 200)
    lines = [("loss of D", column(log, "loss_d"), D), ("loss of G", column(log, "loss_g"), G)]
    curves(axes, epoch, lines, reference or {})
    head(axes, "Loss of each player", "epoch")
    legend(axes)
    axes = place(figure, MARGIN + 490, top, 370, 200)
    kind = "logit" if balance is None else "d"
    real, fake = (column(log, f"{kind}_{which}") for which in ("real", "fake"))
    names = ("real", "generated") if balance is None else ("D(real)", "D(fake)")
    even = {} if balance is None else {"cannot\ntell": balance}
    limits = None if balance is None else (-0.02, 1.02)
    curves(axes, epoch, [(names[0], real, REAL), (names[1], fake, FAKE)], even, limits)
    head(axes, "D's mean logit" if balance is None else "What D takes for real", "epoch")
    legend(axes)


def drawable(log: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a log holds a finite loss."""
    epoch = column(log, "epoch")
    return any(bool(np.isfinite(epoch + column(log, k)).any()) for k in ("loss_d", "loss_g"))


def column(log: Sequence[Mapping[str, Any]], key: str) -> Array:
    """One quantity of a log, (N,) float64; NaN where a record lacks it or holds no number."""
    values = [record.get(key) for record in log]
    numbers = [float(v) if isinstance(v, int | float) else np.nan for v in values]
    return np.array(numbers, dtype=np.float64)


def curves(
    axes: Axes,
    x: Array,
    lines: Sequence[tuple[str, Array, str]],
    reference: Mapping[str, float],
    limits: tuple[float, float] | None = None,
) -> None:
    """Each line raw and light, and smoothed over it where there are enough records.

    limits: of y; those of the values themselves where none are given. What is beyond them counts
    for the smoothed curve as if it were on the edge.
    """
    from matplotlib.ticker import MaxNLocator

    values = np.concatenate([raw for _, raw, _ in lines])
    low, high = limits or fit(values, list(reference.values()))
    for name, raw, colour in lines:
        y = np.where(np.isfinite(raw), raw, np.nan)
        many = np.isfinite(y).sum() >= SMOOTHED
        soft = smooth(np.clip(y, low, high)) if many else y
        if many:
            axes.plot(x, y, color=colour, alpha=0.3, linewidth=0.6)
        axes.plot(x, soft, color=colour, linewidth=1.6, label=name,
                  marker=None if many else "o", markersize=3)  # fmt: skip
    for name, level in reference.items():
        axes.axhline(level, color=MUTED, linewidth=0.7, linestyle=(0, (4, 3)), zorder=0)
        where = axes.get_yaxis_transform()
        axes.text(1.01, level, name, transform=where, fontsize=8, color=MUTED, va="center")
    last = x[np.isfinite(x)].max(initial=0)
    axes.set(xlim=(0, last * (1 if len(x) >= SMOOTHED else 1.02) or 1), ylim=(low, high))
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.text(1, -0.26, left_out(values, low, high), transform=axes.transAxes, fontsize=8,
              color=MUTED, ha="right", va="top")  # fmt: skip


def left_out(values: Array, low: float, high: float) -> str:
    """What a chart with these limits does not show, in words; empty where it shows all."""
    known = values[np.isfinite(values)]
    out = known[(known < low) | (known > high)]
    notes = []
    if len(out):
        count = "1 value" if len(out) == 1 else f"{len(out):,} values"
        notes.append(f"{count} outside, up to {out[np.abs(out).argmax()]:.3g}")
    if len(known) < len(values):
        notes.append(f"{len(values) - len(known):,} of {len(values):,} not finite")
    return "; ".join(notes)


def smooth(y: Array) -> Array:
    """A running mean, taken twice, of a twentieth of the records; a NaN stays one, alone."""
    half = max(1, len(y) // 40)
    out = y
    known = np.isfinite(y)
    for _ in range(2):
        total = np.concatenate([[0.0], np.cumsum(np.where(known, out, 0.0))])
        count = np.concatenate([[0], np.cumsum(known)])
        first = np.maximum(np.arange(len(y)) - half, 0)
        last = np.minimum(np.arange(len(y)) + half + 1, len(y))
        out = (total[last] - total[first]) / np.maximum(count[last] - count[first], 1)
        out = np.where(known, out, np.nan)
    return out


def fit(values: Array, also: Sequence[float]) -> tuple[float, float]:
    """Limits of y around the values and `also`, which a few wild values cannot stretch."""
    values = values[np.isfinite(values)]
    if not len(values):
        return 0.0, 1.0
    every = np.concatenate([values, also])
    inner = np.concatenate([np.percentile(values, [1, 99]), also])
    if np.ptp(every) > 4 * np.ptp(inner) > 0:
        every = inner
    low, high = float(every.min()), float(every.max())
    room = 0.1 * (high - low) or max(abs(high) * 0.1, 0.1)
    return low - room, high + room


def scatter(real: Array | None, fake: Array | None, ellipses: bool = True) -> Figure:
    """Real and generated points in the plane, with an ellipse of two standard deviations for each.

    real, fake: (N, F) and (M, F), F >= 2, of which the first two numbers are drawn; either may be
    None. ellipses: leave them out (False) where the points have several modes.
    Raises DataError for vectors of one number (see `density`), or where no number is finite.
    """
    figure = page(560, 600)
    axes = place(figure, 60, 50, 480, 440)
    draw_scatter(axes, real, fake, extent(real, fake), ellipses)
    shown = ("Real",) * (real is not None) + ("Generated",) * (fake is not None)
    head(axes, f"{' and '.join(shown).capitalize()} points", *axis_names(real, fake))
    legend(axes)
    return figure


def axis_names(real: Array | None, fake: Array | None) -> tuple[str, str]:
    """Which numbers of the vectors a plane shows; empty where it shows all."""
    features = next(v.shape[1] for v in (real, fake) if v is not None)
    return (f"1st of {features} numbers", "2nd") if features > 2 else ("", "")


def draw_scatter(
    axes: Axes,
    real: Array | None,
    fake: Array | None,
    limits: Array,
    ellipses: bool = False,
    small: bool = False,
) -> None:
    """Points inside `limits`, (2, 2): low and high corner of a square.

    As many real ones as generated are drawn (at least 100); an ellipse is that of all of them.
    """
    most = min(SHOWN, max(100, len(fake))) if fake is not None else SHOWN
    for values, colour, name in ((real, REAL, "real"), (fake, FAKE, "generated")):
        if values is None:
            continue
        x = finite(values)
        few = min(len(x), most) <= 300
        area = (4.0 if few else 0.8) if small else (16.0 if few else 5.0)
        axes.scatter(x[:most, 0], x[:most, 1], area, colour, alpha=0.7, linewidths=0)
        axes.plot([], [], "o", color=colour, markersize=5, markeredgewidth=0, label=name)
        if ellipses and len(x) > 2:
            axes.add_patch(ellipse(x[:, :2], colour))
        away = int(((x[:, :2] < limits[0]) | (x[:, :2] > limits[1])).any(1).sum())
        if away and values is fake:
            axes.text(0.97, 0.02, f"{away:,} outside", transform=axes.transAxes, color=MUTED,
                      fontsize=7 if small else 8, ha="right", va="bottom")  # fmt: skip
    axes.set(xlim=limits[:, 0], ylim=limits[:, 1])
    axes.set_aspect("equal")


def finite(values: Array) -> Array:
    """The rows of (N, F) in which every number is finite."""
    values = np.asarray(values, dtype=np.float64)
    return np.asarray(values[np.isfinite(values).all(1)])


def extent(real: Array | None, fake: Array | None) -> Array:
    """(2, 2) corners of a square, or (2, 1) ends, around the real points and the fake ones near.

    Generated points farther from the real ones than these are wide are left out of it.
    """
    known = [finite(v)[:, :2] for v in (real, fake) if v is not None]
    known = [v for v in known if len(v)]
    if not known:
        raise DataError("no point is finite: there is nothing to draw")
    low, high = np.percentile(known[0], 0.2, axis=0), np.percentile(known[0], 99.8, axis=0)
    span = max(float((high - low).max()), 1e-6)
    if len(known) > 1:
        a, b = np.percentile(known[1], [0.2, 99.8], axis=0)
        low, high = (
            np.minimum(low, np.maximum(a, low - span)),
            np.maximum(high, np.minimum(b, high + span)),
        )
    middle = (low + high) / 2
    half = max(float((high - low).max()) / 2, 1e-6) * 1.12
    return np.stack([middle - half, middle + half])


def ellipse(points: Array, colour: str) -> Any:
    """The ellipse of two standard deviations of (N, 2) points."""
    from matplotlib.patches import Ellipse

    variance, axis = np.linalg.eigh(np.cov(points.T))
    across, along = 4 * np.sqrt(np.maximum(variance, 0))
    angle = np.degrees(np.arctan2(axis[1, 1], axis[0, 1]))
    return Ellipse(points.mean(0), along, across, angle=angle, fill=False, color=colour, lw=1.4)


def density(
    real: Array | None,
    fake: Array | None,
    law: Density | None = None,
    discriminator: Density | None = None,
) -> Figure:
    """One-dimensional data: p_data, the density of the samples, and D(x) below them.

    real, fake: (N, 1) and (M, 1), either may be None. law: the exact density of the data at
    (N, 1); the real points' histogram stands in for it where it is not known. discriminator: D at
    (N, 1), in [0, 1]; beside it, where the law is known, the best D against these samples,
    p_data / (p_data + p_g). Raises DataError where no number is finite.
    """
    lower = discriminator is not None
    figure = page(560 if lower else 360, 600)
    axes = place(figure, 60, 50, 480, 240)
    limits = extent(real, fake)
    draw_density(axes, real, fake, limits, law)
    head(axes, "Density of data and samples", "" if lower else "x")
    legend(axes)
    if discriminator is not None:
        below = place(figure, 60, 340, 480, 150)
        draw_discriminator(below, fake, limits, law, discriminator)
    return figure


def draw_density(
    axes: Axes, real: Array | None, fake: Array | None, limits: Array, law: Density | None
) -> None:
    """p_data as a line, or the real points' histogram; p_g as a filled curve."""
    low, high = float(limits[0, 0]), float(limits[1, 0])
    x = np.linspace(low, high, 401)
    top = 0.0
    known = (
        law
        if law is not None
        else None
        if real is None
        else lambda x: kernel_density(real, x[:, 0])
    )
    if known is not None:
        p = known(x[:, None])
        name = "real" if law is None else "data"
        axes.plot(x, p, color=REAL, linewidth=1.6, label=name, zorder=3)
        top = float(p.max())
    if fake is not None and len(finite(fake)):
        q = kernel_density(fake, x)
        axes.fill_between(x, q, color=FAKE, alpha=0.25, linewidth=0)
        axes.plot(x, q, color=FAKE, linewidth=1.4, label="generated")
        # a collapsed generator is a spike: it may leave the panel, the data may not
        top = min(max(top, float(q.max())), 2 * top) if top else float(q.max())
    axes.set(xlim=(low, high), ylim=(0, 1.1 * max(top, 1e-9)))


def kernel_density(points: Array, at: Array) -> Array:
    """A Gaussian kernel estimate at (M,) from values (N, 1).

    Half of Silverman's width: his is for one mode, and would round off the valleys of several.
    """
    values = finite(points)[:, 0]
    spread = min(values.std(), np.subtract(*np.percentile(values, [75, 25])) / 1.34)
    width = max(0.45 * spread * len(values) ** -0.2, (at[-1] - at[0]) / 200)
    gap = (at[:, None] - values[None, :]) / width
    return np.asarray(np.exp(-0.5 * gap * gap).mean(1) / (width * np.sqrt(2 * np.pi)))


def draw_discriminator(
    axes: Axes, fake: Array | None, limits: Array, law: Density | None, discriminator: Density
) -> None:
    """D(x), and the best D there can be against these samples."""
    x = np.linspace(float(limits[0, 0]), float(limits[1, 0]), 401)
    if law is not None and fake is not None and len(finite(fake)):
        p, q = law(x[:, None]), kernel_density(fake, x)
        # where neither has any mass their ratio says nothing
        known = p + q > 1e-3 * max(p.max(), q.max())
        best = np.where(known, p / np.maximum(p + q, 1e-300), np.nan)
        axes.plot(x, best, color=MUTED, lw=1, linestyle=(0, (4, 2)), label="best D, $p/(p+p_g)$")
    axes.plot(x, discriminator(x[:, None]), color=D, linewidth=1.6, label="D(x)")
    axes.axhline(0.5, color=RULE, linewidth=0.7, zorder=0)
    axes.set(xlim=(x[0], x[-1]), ylim=(-0.02, 1.02))
    head(axes, "What D takes for real", "x")
    legend(axes)
