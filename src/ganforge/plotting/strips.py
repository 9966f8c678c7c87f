"""A run's samples over time: pages of pictures, panels of points, and films of both."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ganforge import files, images, registry
from ganforge.data import load
from ganforge.data.spec import DataSpec
from ganforge.errors import DataError
from ganforge.plotting import points, style
from ganforge.plotting.points import Truth
from ganforge.runs import model
from ganforge.runs.folder import Run
from ganforge.runs.samples import Moment, damaged, moments, spread
from ganforge.types import Pixels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = 12  # of a strip at most
CROP = 10  # rows and columns of the newest grid at most
FRAMES = 100  # of an animation at most
GAP, GRID_GAP = 4, 2  # pixels between two pictures: of a figure; of a grid that the run has saved
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

    @property
    def factor(self) -> int:
        """By how much the pictures are averaged down."""
        return -(-max(self.height, self.width) // LARGEST)


def tiling(run: Run) -> Tiling:
    """The layout, from the model folder, or from the data if there is no model yet."""
    settings = run.settings()
    count = int(settings.get("output", {}).get("grid", 64))
    spec, names = sample_spec(run, settings)
    if not spec.is_image:
        raise DataError(f"{run.path}: samples are pictures, but the model's are not")
    _, height, width = spec.shape
    if not spec.classes:
        return Tiling(height, width, 0, count)
    rows, columns = images.layout(count, spec.classes)
    given = names if len(names) == spec.classes else [""] * rows
    shown = tuple(short(name) or str(i) for i, name in enumerate(given[:rows]))
    return Tiling(height, width, rows, rows * columns, shown)


def sample_spec(run: Run, settings: Mapping[str, Any]) -> tuple[DataSpec, tuple[str, ...]]:
    """What one sample looks like, with classes = 0 in an unconditional game; class names."""
    path = run.model / model.CONFIG
    if path.is_file():
        with model.undamaged(path):
            table = json.loads(files.read_file(path))
            return model.read_spec(table["spec"]), model.read_names(table)
    data = load.load(
        str(settings.get("data")), size=settings.get("size"), pairing=registry.pairing(settings)
    )
    if settings.get("labels"):
        return data.spec, data.class_names
    return replace(data.spec, classes=0), ()


def short(name: str) -> str:
    """A class name for the margin; empty if the font of the figures has not all its letters."""
    if any(not 32 <= ord(c) < 0x250 for c in name):
        return ""
    return name if len(name) <= NAME else f"{name[: NAME - 1]}…"


def tiles(moment: Moment, layout: Tiling) -> Pixels:
    """The pictures of a grid, (N, H, W, 3), row by row, without the empty ones at its end.

    Pictures of more than 128 pixels are averaged down by a whole factor.
    Raises DataError if the file is damaged, or no grid of this layout.
    """
    grid, factor = moment.picture(), layout.factor
    size = np.array(grid.shape[:2]) - GRID_GAP
    if (size <= 0).any() or (size % (layout.height + GRID_GAP, layout.width + GRID_GAP)).any():
        size_text = f"{grid.shape[1]} x {grid.shape[0]} pixels"
        raise damaged(moment.path, f"{size_text} is no grid of this run")
    out = images.tiles(grid, layout.height, layout.width, GRID_GAP)[: layout.count]
    high, wide = layout.height // factor, layout.width // factor
    cut = out[:, : high * factor, : wide * factor].astype(np.float32)
    blocks = cut.reshape(len(out), high, factor, wide, factor, 3)
    return np.asarray(blocks.mean((2, 4)).round().astype(np.uint8))


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

    gap: pixels between two pictures, at least 1. ground: the value there and after the last one.
    """
    large = pictures.repeat(scale, 1).repeat(scale, 2)
    rows = -(-len(large) // columns)
    room = ((0, rows * columns - len(large)), (0, gap), (0, gap), (0, 0))
    _, high, wide, channels = (tiled := np.pad(large, room, constant_values=ground)).shape
    whole = tiled.reshape(rows, columns, high, wide, channels).swapaxes(1, 2)
    return whole.reshape(rows * high, columns * wide, channels)[:-gap, :-gap]


def picture_page(run: Run, found: Sequence[Moment], top: float) -> Figure:
    """A page with the newest grid, and beside it its first column over time."""
    layout = tiling(run)
    left = layout.margin
    newest = tiles(found[-1], layout)
    across = len(newest) // layout.rows if layout.rows else images.layout(len(newest), 0)[1]
    rows, shown = min(math.ceil(len(newest) / across), CROP), min(across, CROP)
    column = strip_tiles(found[-1], layout, rows)
    width, single = style.WIDTH - left - EDGE, len(found) == 1
    if single:
        scale, shown = fit(width, 0, column, shown)
    else:
        scale, count = fit(width - 40, shown, column, min(COLUMNS, len(found)))
    cells = np.arange(rows * across).reshape(rows, across)[:, :shown]
    grid = mosaic(newest[cells[cells < len(newest)]], shown, scale)
    high, wide = ((side * scale + GAP) / 2 for side in column.shape[1:3])
    figure = style.page(top + 45 + rows * high + EDGE)
    style.add_heading(figure, left, top, f"Samples at {found[-1].text}")
    style.add_picture(figure, left, top + 45, grid)
    for i, name in enumerate(layout.names[:rows]):
        middle = top + 45 + (i + 0.5) * high
        style.add_text(figure, left - 8, middle, name, 8.5, color=style.MUTED, ha="right",
                       va="center")  # fmt: skip
    if not single:
        columns = [(m, strip_tiles(m, layout, rows)) for m in spread(found, count)]
        draw_strip(figure, left + shown * wide + 40, top, columns, scale)
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
    options = []
    for scale in range(1, 33):
        columns = min(most, int(2 * width) // (wide * scale + GAP) - beside)
        large = rows * (height * scale + GAP) > TALLEST or wide * scale > LARGE
        if columns >= min(2, most) and (scale == 1 or not large):
            options.append((columns * min(wide * scale, CLEAR) ** 1.5, scale, columns))
    _, scale, columns = max(options, default=(0, 1, min(most, 2)))
    return scale, columns


def draw_strip(
    figure: Figure, left: float, top: float, columns: Sequence[tuple[Moment, Pixels]], scale: int
) -> None:
    """A heading, and 45 units below it one column of pictures a moment, its epoch above it."""
    style.add_heading(figure, left, top, "The same noise, by epoch")
    rows = min(len(tiles) for _, tiles in columns)
    found = np.stack([tiles[:rows] for _, tiles in columns], axis=1)
    style.add_picture(figure, left, top + 45, mosaic(np.concatenate(found), len(columns), scale))
    wide = (found.shape[3] * scale + GAP) / 2
    for i, (moment, _) in enumerate(columns):
        middle = left + i * wide + (wide - GAP / 2) / 2
        style.add_text(figure, middle, top + 29, moment.number, 8, color=style.MUTED, ha="center")


def draw_panels(
    figure: Figure,
    left: float,
    top: float,
    across: int,
    size: tuple[float, float],
    panels: Sequence[tuple[str, Moment]],
    known: Truth,
) -> None:
    """Small panels of vectors with their titles, `across` a line, all with the same limits."""
    steps = np.add(size, (15, 27))
    for i, (title, moment) in enumerate(panels):
        right, down = steps * (i % across, i // across)
        axes = style.add_axes(figure, left + right, top + down, *size)
        points.draw(axes, moment.points(), known, small=True)
        style.frame(axes, title)


def animation(run: Run) -> bytes:
    """The film of `frames` as an endless GIF's bytes."""
    shown = frames(run)
    return images.gif(shown, milliseconds=min(400, max(60, 10_000 // len(shown))))


def frames(run: Run) -> list[Pixels]:
    """The run's samples over time, (H, W, 3) each, the epoch on every one.

    At most 100, spread evenly.

    Raises:
        DataError: the run has no samples, or one of the files is damaged.
    """
    found = spread(moments(run), FRAMES)
    if not found:
        raise DataError(f"{run.path}: no samples yet in {run.samples}: train on")
    if found[-1].is_picture:
        drawn = [style.pixels(picture_frame(moment)) for moment in found]
    else:
        known = points.truth(run, found[-1].points())
        drawn = [style.pixels(point_frame(m, known), style.UNITS) for m in found]
    size = np.max([f.shape for f in drawn], axis=0)  # grids may have grown on the way
    return [np.pad(f, [(0, more) for more in size - f.shape], constant_values=255) for f in drawn]


def picture_frame(moment: Moment) -> Figure:
    """A grid, enlarged to about 500 device pixels, above its epoch."""
    grid = moment.picture()
    scale = max(1, round(500 / grid.shape[1]))
    large = grid.repeat(scale, 0).repeat(scale, 1)
    high, wide = (side * style.UNITS / style.DPI for side in large.shape[:2])
    figure = style.page(high + 15, wide)
    style.add_picture(figure, 0, 0, large)
    style.add_text(figure, 3, high + 2.5, moment.text, 5.8)
    return figure


def point_frame(moment: Moment, known: Truth) -> Figure:
    """A scatter, or densities, under its epoch."""
    height = 250 if known.features == 1 else 410
    figure = style.page(height + 90, 500)
    axes = style.add_axes(figure, 50, 40, 410, height, moment.text)
    points.draw(axes, moment.points(), known)
    style.add_legend(axes)
    return figure
