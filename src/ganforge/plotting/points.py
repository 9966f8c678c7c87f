"""Scatters and densities of vectors, and the real data that they are compared with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ganforge.data import toy
from ganforge.errors import DataError, GanforgeError
from ganforge.plotting import style
from ganforge.rng import Order
from ganforge.runs import load
from ganforge.runs.folder import Run
from ganforge.types import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Ellipse

SHOWN = 2000  # points of a scatter at most: more are one blot
ELLIPSES = "ellipses: 2 standard deviations"

Density = Callable[[Array], Array]  # (N, 1) -> (N,)


@dataclass(frozen=True)
class Truth:
    """What generated vectors are compared with.

    features: F, numbers in a vector. limits: of every panel, see `extent`. real: (N, F) examples of
    the run's data; None if they are not available. density: of the data, if it is known exactly.
    single: the data have one mode, so that a mean and a covariance describe them.
    """

    features: int
    limits: Array
    real: Array | None = None
    density: Density | None = None
    single: bool = True


def truth(run: Run, newest: Array) -> Truth:
    """Real examples and their exact density, if the data that trained the run are still there.

    newest: (N, F) the run's newest samples.
    """
    features = newest.shape[1]
    try:
        data = load.training_data(run)
    except GanforgeError:
        data = None
    if data is None or data.spec.size != features:
        return Truth(features, extent(None, newest))
    order = Order(0, len(data)).indices(0, min(len(data), 10_000))
    real = np.asarray(data.values[order], dtype=np.float64).reshape(len(order), features)
    law = toy.LAWS.get(data.name)
    single = law is None or isinstance(law, toy.Gaussian)
    density = None if law is None else lambda x: np.exp(law.log_density(x))
    return Truth(features, extent(real, newest), real, density, single)


def true_moments(name: str) -> tuple[Array, Array] | None:
    """Mean (F,) and covariance (F, F) of a toy distribution; None if they are not known."""
    law = toy.LAWS.get(name)
    return None if law is None else (law.mean, law.covariance)


def vectors(real: Array | None, fake: Array | None) -> Figure:
    """Vectors on a page: a density if they are single numbers, else a scatter of the first two.

    Args:
        real, fake: (N, F) and (M, F); either may be None.

    Raises:
        DataError: no number is finite.
    """
    given = {k: v for k, v in (("real", real), ("generated", fake)) if v is not None}
    features = next(iter(given.values())).shape[1]
    known = Truth(features, extent(real, fake), real, single=False)
    height, names = 240, ["Density of data and samples", "x"]
    if features > 1:
        height, names = 440, [f"{' and '.join(given)} points".capitalize(), *axis_names(features)]
    figure = style.page(height + 120, 600)
    axes = style.add_axes(figure, 60, 50, 480, height, *names)
    draw(axes, fake, known)
    style.add_legend(axes)
    return figure


def draw(axes: Axes, fake: Array | None, known: Truth, small: bool = False) -> None:
    """Generated vectors against the real ones: a scatter, or densities of single numbers."""
    if known.features == 1:
        draw_density(axes, fake, known)
    else:
        draw_scatter(axes, fake, known, small)


def axis_names(features: int) -> tuple[str, str]:
    """Which numbers of the vectors a plane shows; empty if it shows all."""
    return (f"1st of {features} numbers", "2nd") if features > 2 else ("", "")


def draw_scatter(axes: Axes, fake: Array | None, known: Truth, small: bool) -> None:
    """Points inside the limits, and, in a large panel, an ellipse if the data have one mode.

    As many real points as generated ones are drawn (at least 100); an ellipse describes all.
    """
    most = SHOWN if fake is None else min(SHOWN, max(100, len(fake)))
    for values, colour, name in (
        (known.real, style.REAL, "real"), (fake, style.FAKE, "generated"),
    ):  # fmt: skip
        if values is None:
            continue
        x = finite(values)[:, :2]
        few = min(len(x), most) <= 300
        area = (4.0 if few else 0.8) if small else (16.0 if few else 5.0)
        axes.scatter(x[:most, 0], x[:most, 1], area, colour, alpha=0.7, linewidths=0)
        axes.plot([], [], "o", color=colour, markersize=5, markeredgewidth=0, label=name)
        if known.single and not small and len(x) > 2:
            axes.add_patch(ellipse(x, colour))
        away = (~inside(x, known.limits)).sum()
        if away and values is fake:
            style.add_label(axes, 0.97, 0.02, f"{away:,} outside", size=7 if small else 8,
                            transform=axes.transAxes, ha="right", va="bottom")  # fmt: skip
    if axes.patches:
        axes.set_xlabel("; ".join(filter(None, (axes.get_xlabel(), ELLIPSES))), fontsize=8,
                        color=style.MUTED, labelpad=3)  # fmt: skip
    (left, bottom), (right, top) = known.limits
    axes.set(xlim=(left, right), ylim=(bottom, top), aspect="equal")


def finite(values: Array) -> Array:
    """The rows of (N, F) in which every number is finite."""
    values = np.asarray(values, dtype=np.float64)
    return np.asarray(values[np.isfinite(values).all(1)])


def inside(points: Array, limits: Array) -> Array:
    """Which points (N, F) are within limits (2, F), as (N,) booleans."""
    return np.asarray(((points >= limits[0]) & (points <= limits[1])).all(1))


def extent(real: Array | None, fake: Array | None) -> Array:
    """Limits of a panel: (2, 2) corners of a square, or (2, 1) ends of an interval.

    They enclose the real points (all but 0.4 %), and the generated ones that are no farther from
    them than the real points are wide. Raises DataError if no point is finite.
    """
    known = [finite(v)[:, :2] for v in (real, fake) if v is not None]
    known = [v for v in known if len(v)]
    if not known:
        raise DataError("no point is finite: there is nothing to draw")
    low, high = np.percentile(known[0], [0.2, 99.8], axis=0)
    if len(known) > 1:
        span = max(float((high - low).max()), 1e-6)
        a, b = np.percentile(known[1], [0.2, 99.8], axis=0).clip(low - span, high + span)
        low, high = np.minimum(low, a), np.maximum(high, b)
    middle = (low + high) / 2
    half = max(float((high - low).max()) / 2, 1e-6) * 1.12
    return np.stack([middle - half, middle + half])


def ellipse(points: Array, colour: str) -> Ellipse:
    """The ellipse of two standard deviations of (N, 2) points."""
    from matplotlib.patches import Ellipse

    variance, axis = np.linalg.eigh(np.cov(points.T))
    across, along = 4 * np.sqrt(np.maximum(variance, 0))
    angle = np.degrees(np.arctan2(axis[1, 1], axis[0, 1]))
    return Ellipse(points.mean(0), along, across, angle=angle, fill=False, color=colour, lw=1.4)


def grid_of(limits: Array, count: int = 401) -> Array:
    """Where densities are drawn between two limits, (count,)."""
    low, high = limits[:, 0].tolist()
    return np.linspace(low, high, count)


def draw_density(axes: Axes, fake: Array | None, known: Truth) -> None:
    """p_data, or an estimate of it from real points, as a line; p_g as a filled curve."""
    x = grid_of(known.limits)
    top = 0.0
    p = data_density(known, x)
    if p is not None:
        name = "real" if known.density is None else "data"
        axes.plot(x, p, color=style.REAL, linewidth=1.6, label=name, zorder=3)
        top = p.max()
    if fake is not None and len(finite(fake)):
        q = kernel_density(fake, x)
        axes.fill_between(x, q, color=style.FAKE, alpha=0.25, linewidth=0)
        axes.plot(x, q, color=style.FAKE, linewidth=1.4, label="generated")
        # a collapsed generator is a spike: it may leave the panel, the data may not
        top = min(max(top, q.max()), 2 * top or np.inf)
    axes.set(xlim=(x[0], x[-1]), ylim=(0, 1.1 * max(top, 1e-9)))


def data_density(known: Truth, x: Array) -> Array | None:
    """p_data at (M,): exact if known, else estimated from real points; None without any."""
    if known.density is not None:
        return known.density(x[:, None])
    return None if known.real is None else kernel_density(known.real, x)


def kernel_density(points: Array, at: Array) -> Array:
    """A Gaussian kernel estimate at (M,) from values (N, 1).

    Half of Silverman's width: his is for one mode, and would round off the valleys of several.
    """
    values = finite(points)[:, 0]
    spread = min(values.std(), np.subtract(*np.percentile(values, [75, 25])) / 1.34)
    width = max(0.45 * spread * len(values) ** -0.2, (at[-1] - at[0]) / 200)
    gap = (at[:, None] - values[None, :]) / width
    return np.asarray(np.exp(-0.5 * gap * gap).mean(1) / (width * np.sqrt(2 * np.pi)))


def draw_discriminator(axes: Axes, fake: Array, known: Truth, discriminator: Density) -> None:
    """D(x), and the best D against these samples if p_data is known exactly."""
    x = grid_of(known.limits)
    if known.density is not None and len(finite(fake)):
        p, q = known.density(x[:, None]), kernel_density(fake, x)
        # if neither has any mass at x, their ratio says nothing
        some = p + q > 1e-3 * max(p.max(), q.max())
        best = np.where(some, p / np.maximum(p + q, 1e-300), np.nan)
        axes.plot(x, best, color=style.MUTED, lw=1, linestyle=(0, (4, 2)),
                  label="best D, p / (p + p_g)")  # fmt: skip
    axes.plot(x, discriminator(x[:, None]), color=style.D, linewidth=1.6, label="D(x)")
    axes.axhline(0.5, color=style.RULE, linewidth=0.7, zorder=0)
    axes.set(xlim=(x[0], x[-1]), ylim=(-0.02, 1.02))
    style.add_title(axes, "D's probability of real", "x")
    style.add_legend(axes)
