"""A run's samples over time: strips of pictures, panels of points, and films of both."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ganforge import images
from ganforge.data.spec import DataSpec
from ganforge.errors import DataError
from ganforge.files import read_file
from ganforge.plotting import points, style
from ganforge.plotting.points import Truth
from ganforge.runs import model
from ganforge.runs.folder import Run
from ganforge.runs.samples import Moment, damaged, moments, spread
from ganforge.types import Pixels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS, ROWS = 12, 16  # of a strip at most
FRAMES = 100  # of an animation at most
GAP = 4  # device pixels between two pictures
CLEAR, LARGE = 130, 200  # device pixels: of a picture that is well seen; at most
TALLEST = 2000  # device pixels of a strip
LARGEST = 128  # device pixels of one picture at most; larger ones are averaged down
EDGE, LETTER = 30, 7  # units: of the page's edge; of a letter of the rows' names
NAME = 9  # letters of a class name shown


@dataclass(frozen=True)
class Tiling:
    """How the sample grids of a run are laid out.

    height, width: of one picture. rows: label rows K of the grid, 0 without labels.
    count: pictures in a grid. names: of the rows.
    """

    height: int
    width: int
    rows: int
    count: int
    names: tuple[str, ...] = ()

    @property
    def margin(self) -> int:
        """Units at the left of a strip: the page's edge and the names of the rows."""
        return EDGE + (LETTER * max(map(len, self.names)) + 8 if self.names else 0)


def tiling(run: Run) -> Tiling:
    """The layout, from the model folder, or from the data if there is no model yet."""
    settings = run.settings()
    count = int(settings.get("output", {}).get("grid", 64))
    spec, names = sample_spec(run, settings)
    if not spec.is_image:
        raise DataError(f"{run.path}: samples are pictures, but the model's are not")
    _, height, width = spec.shape
    rows, columns = images.layout(count, spec.classes)
    if not spec.classes:
        return Tiling(height, width, 0, count)
    given = [short(n) for n in names] if len(names) == spec.classes else []
    shown = tuple(n or str(i) for i, n in enumerate(given or [""] * spec.classes))
    return Tiling(height, width, rows, rows * columns, shown[:rows])


def sample_spec(run: Run, settings: Mapping[str, Any]) -> tuple[DataSpec, tuple[str, ...]]:
    """What one sample looks like, with classes = 0 in an unconditional game; class names."""
    path = run.model / model.CONFIG
    if path.is_file():
        try:
            table = json.loads(read_file(path))
            return model.read_spec(table["spec"]), model.read_names(table)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise damaged(path, error) from None
    from ganforge.data import load

    data = load.load(str(settings.get("data")), size=settings.get("size"))
    if settings.get("labels"):
        return data.spec, data.class_names
    return replace(data.spec, classes=0), ()


def short(name: str) -> str:
    """A class name for the margin; empty if the font of the figures has not all its letters."""
    if any(not 32 <= ord(c) < 0x250 for c in name):
        return ""
    return name if len(name) <= NAME else f"{name[: NAME - 1]}…"


def tiles(moment: Moment, layout: Tiling, gap: int = 2) -> Pixels:
    """The pictures of a grid, (N, H, W, 3), row by row, without the empty ones at its end.

    Pictures of more than 128 pixels are averaged down by a whole factor.
    Raises DataError if the file is damaged, or no grid of this layout.
    """
    grid = moment.picture()
    high, wide = layout.height, layout.width
    rest = [(grid.shape[i] - gap) % (side + gap) for i, side in enumerate((high, wide))]
    if rest != [0, 0] or min(grid.shape[:2]) <= gap:
        size = f"{grid.shape[1]} x {grid.shape[0]} pixels"
        raise damaged(moment.path, f"{size} is no grid of this run")
    out = images.tiles(grid, high, wide, gap)
    factor = -(-max(high, wide) // LARGEST)
    if factor > 1:
        high, wide = high // factor, wide // factor
        cut = out[:, : high * factor, : wide * factor].astype(np.float32)
        blocks = cut.reshape(len(out), high, factor, wide, factor, 3)
        out = blocks.mean((2, 4)).round().astype(np.uint8)
    return out if layout.rows else out[: layout.count]


def strip_tiles(moment: Moment, layout: Tiling, rows: int) -> Pixels:
    """One column of a strip: the same noise vectors at any moment; with labels, one a label."""
    found = tiles(moment, layout)
    if layout.rows:
        found = found[:: max(1, len(found) // layout.rows)][: layout.rows]
    return found[:rows]


def mosaic(
    pictures: Pixels, columns: int, scale: int = 1, gap: int = GAP, ground: int = 255
) -> Pixels:
    """(N, H, W, C) row by row as one picture, each pixel `scale` x `scale`.

    ground: the value between the pictures and after the last one.
    """
    count, height, width, channels = pictures.shape
    high, wide = height * scale + gap, width * scale + gap
    size = (-(-count // columns) * high - gap, columns * wide - gap, channels)
    out = np.full(size, ground, np.uint8)
    for i, picture in enumerate(pictures):
        y, x = divmod(i, columns)
        large = picture.repeat(scale, axis=0).repeat(scale, axis=1)
        out[y * high : y * high + high - gap, x * wide : x * wide + wide - gap] = large
    return out


def strip(run: Run, columns: int = COLUMNS, rows: int = ROWS) -> Figure:
    """Samples of the run's fixed noise over time.

    Pictures: a row a noise vector (with labels, a label), a column a moment. Vectors: a small panel
    a moment. Moments are spread evenly, the first and the last among them.

    Raises:
        DataError: the run has no samples, or one of the files is damaged.
    """
    found = require_moments(run)
    if found[-1].is_picture:
        return picture_strip(run, found, columns, rows)
    known = points.truth(run, found[-1].points())
    picked = spread(found, columns)
    across = min(6, len(picked))
    size = (140.0, 140.0) if known.features > 1 else (140.0, 98.0)
    width = max(400, 2 * EDGE + across * (size[0] + 15) - 15)
    figure = style.page(75 + math.ceil(len(picked) / across) * (size[1] + 27), width)
    style.add_heading(figure, EDGE, 20, "The same noise over time")
    style.add_text(figure, width - EDGE, 20, "generated", color=style.FAKE, ha="right")
    if known.real is not None:
        style.add_text(figure, width - EDGE - 75, 20, "real", color=style.REAL, ha="right")
    draw_panels(figure, (EDGE, 65), across, size, [(m.text, m) for m in picked], known)
    return figure


def require_moments(run: Run) -> list[Moment]:
    """The run's moments; DataError if there are none."""
    found = moments(run)
    if not found:
        raise DataError(f"{run.path}: no samples yet in {run.samples}: train on")
    return found


def picture_strip(run: Run, found: Sequence[Moment], columns: int, rows: int) -> Figure:
    """The strip of a run of pictures, on a page."""
    layout = tiling(run)
    left = layout.margin
    newest = strip_tiles(found[-1], layout, rows)
    scale, count = fit(style.WIDTH - left - EDGE, 0, newest, min(columns, len(found)))
    high, wide = ((newest.shape[i] * scale + GAP) / 2 for i in (1, 2))
    figure = style.page(65 + len(newest) * high + EDGE, max(360, left + count * wide + EDGE))
    draw_strip(figure, (left, 20), spread(found, count), layout, len(newest), scale)
    draw_names(figure, (left, 65), layout.names[: len(newest)], high)
    return figure


def fit(width: float, beside: int, column: Pixels, most: int) -> tuple[int, int]:
    """(scale, columns) of a strip: whole multiples of a pixel, so that nothing is blurred.

    The choice trades the size of the pictures, up to where they are well seen, against the number
    of moments.

    Args:
        width: units across, for the strip and as many as `beside` columns at its left.
        column: the pictures of one column, (rows, H, W, 3).
        most: columns at most.
    """
    rows, height, wide = column.shape[:3]
    best, worth = (1, max(1, min(most, 2))), 0.0
    for scale in range(1, 33):
        columns = min(most, int(2 * width) // (wide * scale + GAP) - beside)
        large = rows * (height * scale + GAP) > TALLEST or wide * scale > LARGE
        merit = columns * min(wide * scale, CLEAR) ** 1.5
        if columns >= min(2, most) and merit >= worth and (scale == 1 or not large):
            best, worth = (scale, columns), merit
    return best


def draw_strip(
    figure: Figure,
    corner: tuple[float, float],
    picked: Sequence[Moment],
    layout: Tiling,
    rows: int,
    scale: int,
) -> None:
    """A heading, and 45 units below it one column of pictures a moment, its epoch above it."""
    left, top = corner
    style.add_heading(figure, left, top, "The same noise, by epoch")
    columns = [strip_tiles(moment, layout, rows) for moment in picked]
    count = min(len(c) for c in columns)
    found = np.stack([c[:count] for c in columns], axis=1).reshape(-1, *columns[0].shape[1:])
    style.add_picture(figure, left, top + 45, mosaic(found, len(picked), scale))
    wide = (found.shape[2] * scale + GAP) / 2
    for i, moment in enumerate(picked):
        middle = left + i * wide + (wide - GAP / 2) / 2
        style.add_text(figure, middle, top + 29, moment.number, 8, color=style.MUTED, ha="center")


def draw_names(
    figure: Figure, corner: tuple[float, float], names: Sequence[str], height: float
) -> None:
    """The label of each row, left of a corner."""
    for i, name in enumerate(names):
        middle = corner[1] + (i + 0.5) * height
        style.add_text(figure, corner[0] - 8, middle, name, 8.5, color=style.MUTED, ha="right",
                       va="center")  # fmt: skip


def draw_panels(
    figure: Figure,
    corner: tuple[float, float],
    across: int,
    size: tuple[float, float],
    panels: Sequence[tuple[str, Moment]],
    known: Truth,
) -> None:
    """Small panels of vectors with their titles, all with the same limits."""
    for i, (title, moment) in enumerate(panels):
        row, column = divmod(i, across)
        left, top = corner[0] + column * (size[0] + 15), corner[1] + row * (size[1] + 27)
        axes = style.add_axes(figure, left, top, *size)
        points.draw(axes, moment.points(), known, small=True)
        style.frame(axes, title)


def animation(run: Run) -> bytes:
    """The run's samples over time as an endless GIF's bytes, the epoch on every frame.

    At most 100 frames, spread evenly.

    Raises:
        DataError: the run has no samples, or one of the files is damaged.
    """
    found = spread(require_moments(run), FRAMES)
    if found[-1].is_picture:
        frames = [style.pixels(picture_frame(moment)) for moment in found]
    else:
        known = points.truth(run, found[-1].points())
        frames = [style.pixels(point_frame(m, known), style.UNITS) for m in found]
    high, wide = (max(f.shape[i] for f in frames) for i in (0, 1))
    padded = [
        np.pad(f, ((0, high - f.shape[0]), (0, wide - f.shape[1]), (0, 0)), constant_values=255)
        for f in frames
    ]
    return images.gif(padded, milliseconds=min(400, max(60, 10_000 // len(padded))))


def picture_frame(moment: Moment) -> Figure:
    """A grid, enlarged to about 500 device pixels, above its epoch."""
    grid = moment.picture()
    large = mosaic(grid[None], 1, max(1, round(500 / grid.shape[1])), gap=0)
    high, wide = (side * style.UNITS / style.DPI for side in large.shape[:2])
    figure = style.page(high + 15, wide)
    style.add_picture(figure, 0, 0, large)
    style.add_text(figure, 3, high + 2.5, moment.text, 5.8)
    return figure


def point_frame(moment: Moment, known: Truth) -> Figure:
    """A scatter, or densities, under its epoch."""
    height = 250 if known.features == 1 else 410
    figure = style.page(height + 90, 500)
    axes = style.add_axes(figure, 50, 40, 410, height)
    points.draw(axes, moment.points(), known)
    style.add_title(axes, moment.text)
    style.add_legend(axes)
    return figure
