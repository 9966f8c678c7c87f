"""Pictures of a run: its overview, its samples over time, and the charts they are made of."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ganforge import images as pictures
from ganforge.errors import DataError
from ganforge.plotting import charts, history
from ganforge.plotting.charts import density, losses, png, scatter
from ganforge.plotting.history import Tiling, Truth, chosen
from ganforge.runs import load
from ganforge.runs import samples as runs_samples
from ganforge.runs.folder import Run
from ganforge.runs.samples import Moment, moments
from ganforge.types import Array, Pixels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["animation", "density", "losses", "overview", "png", "points", "scatter", "strip"]

COLUMNS, ROWS = 12, 16  # of a strip at most
FRAMES = 100  # of an animation at most
GAP = 4  # device pixels between two pictures
CLEAR, LARGE = 130, 200  # device pixels: of a picture that is well seen; at most
TALLEST = 2000  # device pixels of a strip
EDGE, LETTER = 30, 7  # units: of the page's edge; of a letter of the rows' names
CROP = 10  # rows and columns of the newest grid on an overview
OVER_TIME = "The same noise, by epoch"
TOP = 350  # units: where the samples begin, below the losses


def points(values: Array, real: bool = False) -> bytes:
    """Vectors (N, F) as a PNG file's bytes: a scatter of the first two numbers, or a density.

    real: whether they are data, not samples; decides their colour and name.
    """
    data, samples = (values, None) if real else (None, values)
    if values.shape[1] == 1:
        return png(density(data, samples))
    return png(scatter(data, samples, ellipses=False))


def strip(run: Run, columns: int = COLUMNS, rows: int = ROWS) -> Figure:
    """Samples of the run's fixed noise over time.

    Pictures: a row a noise vector (a label, where there are labels), a column a moment. Vectors:
    a small panel a moment. Moments are spread evenly, the first and the last among them.
    Raises DataError where the run has no samples, or one of the files is damaged.
    """
    found = require(run)
    if found[-1].is_picture:
        return picture_strip(run, found, columns, rows)
    known = truth_of(run, found)
    picked = chosen(found, columns)
    across = min(6, len(picked))
    size = panel_size(known, 140)
    width = max(400, 2 * EDGE + across * (size[0] + 15) - 15)
    figure = charts.page(75 + math.ceil(len(picked) / across) * (size[1] + 27), width)
    section(figure, (EDGE, 20), "The same noise over time")
    charts.write(figure, width - EDGE, 20, "generated", color=charts.FAKE, ha="right")
    if known.real is not None:
        charts.write(figure, width - EDGE - 75, 20, "real", color=charts.REAL, ha="right")
    panels(figure, (EDGE, 65), across, size, picked, known)
    return figure


def require(run: Run) -> list[Moment]:
    """The run's moments; DataError where there are none."""
    found = moments(run)
    if not found:
        raise DataError(f"{run.path}: no samples yet in {run.samples}: train on")
    return found


def truth_of(run: Run, found: list[Moment]) -> Truth:
    """What the points of a run are held against."""
    return history.truth(run, found[-1].points())


def picture_strip(run: Run, found: list[Moment], columns: int, rows: int) -> Figure:
    """The strip of a run of pictures, on a page of its own."""
    layout = history.tiling(run)
    left = EDGE + names_width(layout.names)
    newest = history.strip_tiles(found[-1], layout, rows)
    room = 2 * (charts.WIDTH - left - EDGE)
    scale, count = fit(room, 0, newest, min(columns, len(found)))
    high, wide = ((newest.shape[i] * scale + GAP) / 2 for i in (1, 2))
    figure = charts.page(65 + len(newest) * high + EDGE, max(360, left + count * wide + EDGE))
    section(figure, (left, 20), OVER_TIME)
    draw_strip(figure, (left, 65), chosen(found, count), layout, len(newest), scale)
    row_names(figure, (left, 65), layout.names[: len(newest)], high)
    return figure


def fit(room: int, taken: int, tiles: Pixels, most: int) -> tuple[int, int]:
    """(scale, columns) of a strip beside `taken` columns: whole multiples of a pixel, no blur.

    room: device pixels across. tiles: one column, (rows, H, W, 3). Trades the size of the pictures,
    up to where they are well seen, against the number of moments.
    """
    rows, height, width = tiles.shape[:3]
    best, worth = (1, max(1, min(most, 2))), 0.0
    for scale in range(1, 33):
        columns = min(most, room // (width * scale + GAP) - taken)
        high = rows * (height * scale + GAP) > TALLEST or width * scale > LARGE
        merit = columns * min(width * scale, CLEAR) ** 1.5
        if columns >= min(2, most) and merit >= worth and (scale == 1 or not high):
            best, worth = (scale, columns), merit
    return best


def show(figure: Figure, corner: tuple[float, float], pixels: Pixels) -> None:
    """A picture whose pixels are the device's, its top left corner at a point of the page."""
    height, width = pixels.shape[:2]
    axes = charts.place(figure, *corner, width / 2, height / 2)
    axes.imshow(pixels, interpolation="nearest", aspect="auto")
    axes.set_axis_off()


def draw_strip(
    figure: Figure,
    corner: tuple[float, float],
    picked: list[Moment],
    layout: Tiling,
    rows: int,
    scale: int,
) -> None:
    """One column a moment, its epoch above it."""
    columns = [history.strip_tiles(moment, layout, rows) for moment in picked]
    count = min(len(c) for c in columns)
    tiles = np.stack([c[:count] for c in columns], axis=1).reshape(-1, *columns[0].shape[1:])
    show(figure, corner, history.mosaic(tiles, len(picked), scale, GAP))
    wide = (tiles.shape[2] * scale + GAP) / 2
    for i, moment in enumerate(picked):
        middle = corner[0] + i * wide + (wide - GAP / 2) / 2
        style = {"color": charts.MUTED, "ha": "center"}
        charts.write(figure, middle, corner[1] - 16, moment.number, 8, **style)


def names_width(names: tuple[str, ...]) -> int:
    """Units that the names of the rows take."""
    return LETTER * max(map(len, names)) + 8 if names else 0


def row_names(
    figure: Figure, corner: tuple[float, float], names: tuple[str, ...], height: float
) -> None:
    """The label of each row, at its left."""
    for i, name in enumerate(names):
        middle = corner[1] + (i + 0.5) * height
        style = {"color": charts.MUTED, "ha": "right", "va": "center"}
        charts.write(figure, corner[0] - 8, middle, name, 8.5, **style)


def panel_size(known: Truth, width: float) -> tuple[float, float]:
    """(width, height) of a small panel: a square for the plane, flatter for a line."""
    return (width, width) if known.features > 1 else (width, width * 0.7)


def panels(
    figure: Figure,
    corner: tuple[float, float],
    across: int,
    size: tuple[float, float],
    picked: list[Moment],
    known: Truth,
) -> None:
    """Small panels of vectors, one a moment, all with the same limits."""
    for i, moment in enumerate(picked):
        row, column = divmod(i, across)
        left, top = corner[0] + column * (size[0] + 15), corner[1] + row * (size[1] + 27)
        axes = charts.place(figure, left, top, *size)
        draw_points(axes, moment.points(), known, small=True)
        charts.frame(axes)
        axes.set_title(moment.text, fontsize=8, color=charts.MUTED, pad=3)


def draw_points(axes: Axes, fake: Array, known: Truth, small: bool = False) -> None:
    """Generated vectors against the real ones: a scatter, or densities for single numbers."""
    if known.features == 1:
        charts.draw_density(axes, known.real, fake, known.limits, known.density)
    else:
        ellipses = known.single and not small
        charts.draw_scatter(axes, known.real, fake, known.limits, ellipses, small)


def animation(run: Run) -> bytes:
    """The run's samples over time as an endless GIF's bytes, the epoch on every frame.

    At most 100 frames, spread evenly. Raises DataError where the run has no samples.
    """
    found = chosen(require(run), FRAMES)
    frames = picture_frames(found) if found[-1].is_picture else point_frames(run, found)
    high, wide = (max(f.shape[i] for f in frames) for i in (0, 1))
    padded = [
        np.pad(f, ((0, high - f.shape[0]), (0, wide - f.shape[1]), (0, 0)), constant_values=255)
        for f in frames
    ]
    return pictures.gif(padded, milliseconds=min(400, max(60, 10_000 // len(padded))))


def picture_frames(found: list[Moment]) -> list[Pixels]:
    """Each grid, enlarged to about 500 pixels, over a bar with its epoch."""
    import matplotlib
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts/ttf/DejaVuSans.ttf"), 16)
    frames = []
    for moment in found:
        grid = moment.picture()
        scale = max(1, round(500 / grid.shape[1]))
        grid = grid.repeat(scale, axis=0).repeat(scale, axis=1)
        canvas = Image.new("RGB", (grid.shape[1], grid.shape[0] + 30), "white")
        canvas.paste(Image.fromarray(grid), (0, 0))
        ImageDraw.Draw(canvas).text((6, grid.shape[0] + 5), moment.text, charts.INK, font)
        frames.append(np.asarray(canvas))
    return frames


def point_frames(run: Run, found: list[Moment]) -> list[Pixels]:
    """A scatter, or densities, a moment."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    known = truth_of(run, found)
    flat = known.features == 1
    figure = charts.page(340 if flat else 500, 500)
    figure.set_dpi(charts.UNITS)
    canvas = FigureCanvasAgg(figure)
    frames = []
    for moment in found:
        figure.clear()
        axes = charts.place(figure, 50, 40, 410, 250 if flat else 410)
        draw_points(axes, moment.points(), known)
        charts.head(axes, moment.text)
        charts.legend(axes)
        canvas.draw()  # type: ignore[no-untyped-call]
        pixels = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
        frames.append(pixels[..., :3].copy())
    return frames


def overview(run: Run) -> bytes:
    """A run on one page, as a PNG file's bytes: losses, newest samples, samples over time.

    Raises DataError where there is neither a finite loss nor a sample, or a file is damaged.
    """
    log, found, settings = run.log(), moments(run), run.settings()
    curves = charts.drawable(log)
    if not curves and not found:
        raise DataError(
            f"{run.path}: none of its {len(log)} log records has a finite loss, and there are no "
            "samples: there is nothing to draw yet, train on"
        )
    top = TOP if curves else 70
    if not found:
        figure = charts.page(top)
    elif found[-1].is_picture:
        figure = picture_page(run, found, top)
    else:
        figure = point_page(run, found, top)
    head(figure, run, settings, log)
    if curves:
        game = settings.get("game", {})
        charts.draw_losses(figure, 80, log, references(game), balance(game))
    return png(figure)


def head(figure: Figure, run: Run, settings: Mapping[str, Any], log: list[dict[str, Any]]) -> None:
    """What the run is, and how far it has come."""
    data = Path(str(settings.get("data", "?"))).name
    name = str(settings.get("name", run.path.name))
    text = name if name == data else f"{name} on {data}"
    charts.write(figure, EDGE, 18, text, 13, weight="bold")
    last: Mapping[str, Any] = log[-1] if log else {}
    epoch, images = last.get("epoch"), last.get("samples_seen")
    facts = [str(run.info().get("status", ""))]
    facts += [f"epoch {runs_samples.epoch_text(epoch)}"] if isinstance(epoch, int | float) else []
    facts += [f"{images:,} real examples seen"] if isinstance(images, int) else []
    facts += [f"seed {settings.get('seed', 0)}"]
    text = ", ".join(f for f in facts if f)
    charts.write(figure, charts.WIDTH - EDGE, 22, text, 9, color=charts.MUTED, ha="right")


def section(figure: Figure, corner: tuple[float, float], text: str) -> None:
    """A heading at a corner of the figure."""
    charts.write(figure, *corner, text, 10, weight="bold")


def picture_page(run: Run, found: list[Moment], top: float) -> Figure:
    """A page with the newest grid, and beside it its first column over time."""
    layout = history.tiling(run)
    left = EDGE + names_width(layout.names)
    newest = history.tiles(found[-1], layout)
    across = len(newest) // layout.rows if layout.rows else math.ceil(math.sqrt(len(newest)))
    rows, shown = min(math.ceil(len(newest) / across), CROP), min(across, CROP)
    cells = [
        r * across + c for r in range(rows) for c in range(shown) if r * across + c < len(newest)
    ]
    column = history.strip_tiles(found[-1], layout, rows)
    room, single = 2 * (charts.WIDTH - left - EDGE), len(found) == 1
    if single:
        scale, shown = fit(room, 0, column, shown)
    else:
        scale, count = fit(room - 80, shown, column, min(COLUMNS, len(found)))
    high, wide = ((column.shape[i] * scale + GAP) / 2 for i in (1, 2))
    figure = charts.page(top + 45 + rows * high + EDGE)
    section(figure, (left, top), f"Samples at {found[-1].text}")
    show(figure, (left, top + 45), history.mosaic(newest[cells], shown, scale, GAP))
    row_names(figure, (left, top + 45), layout.names[:rows], high)
    if not single:
        right = left + shown * wide + 40
        section(figure, (right, top), OVER_TIME)
        draw_strip(figure, (right, top + 45), chosen(found, count), layout, rows, scale)
    return figure


def point_page(run: Run, found: list[Moment], top: float) -> Figure:
    """A page with the newest samples against the data, and beside it small panels over time."""
    known = truth_of(run, found)
    fake = found[-1].points()
    flat = known.features == 1
    figure = charts.page(top + 490)
    axes = charts.place(figure, 60, top + 20, 420, 230 if flat else 420)
    draw_points(axes, fake, known)
    charts.head(axes, f"Samples at {found[-1].text}", *charts.axis_names(None, fake))
    charts.legend(axes)
    even = balance(run.settings().get("game", {}))
    judge = load.discriminator(run) if flat and even is not None else None
    if judge is not None:
        below = charts.place(figure, 60, top + 310, 420, 130)
        charts.draw_discriminator(below, fake, known.limits, known.density, judge)
    section(figure, (550, top - 4), "The same noise over time")
    rows, size = (4, (130, 81)) if flat else (3, (118, 118))
    panels(figure, (550, top + 32), 3, size, chosen(found, 3 * rows), known)
    return figure


def references(game: Mapping[str, Any]) -> dict[str, float]:
    """What each loss is where p_g = p_data and D is the best there: {name: value}.

    Known for the cross-entropy and the relativistic games; empty for the others.
    """
    if game.get("loss") == "relativistic":
        return {"log 2": math.log(2)}
    even = balance(game)
    if even is None:
        return {}
    smoothing, share = game.get("smoothing", 0.0), 0.5 if game.get("halve") else 1.0
    saturating = game["loss"] == "minimax"
    d = -(1 - smoothing) * math.log(even) - (1 + smoothing) * math.log(1 - even)
    g = math.log(1 - even) if saturating else -math.log(even)
    if smoothing:
        return {f"D {d * share:.2f}": d * share, f"G {g:.2f}": g}
    names = ("log 2" if share < 1 else "2 log 2", "-log 2" if saturating else "log 2")
    return dict(zip(names, (d * share, g), strict=True))


def balance(game: Mapping[str, Any]) -> float | None:
    """D(x) where real and generated examples are alike; None where D(x) is no probability."""
    if game.get("loss") not in ("minimax", "non-saturating"):
        return None
    return float((1 - game.get("smoothing", 0.0)) / 2)
