"""A run's samples over time, for the slider: pictures as data addresses, vectors as SVG paths.

The frames of vectors share one drawing of the real examples, and take their colours from the page.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ganforge import images
from ganforge.plotting import points, strips
from ganforge.plotting.points import Truth
from ganforge.plotting.strips import Tiling
from ganforge.report.encoding import data_uri, encoded, opaque
from ganforge.runs import samples
from ganforge.runs.folder import Run
from ganforge.runs.samples import Moment, spread
from ganforge.types import Array, Pixels

FRAMES, BYTES = 40, 1_000_000  # of a film at most; all its pictures together, before base64
GAP = 2  # pixels between two pictures
SIDE = 400  # of a cloud of points, in its units
CLEAR = 640  # pixels across of a film of pictures, if the page is wide enough
KEYS = 4  # frames that are printed
LETTERS = 30  # that fit over all columns together, with gaps between


@dataclass(frozen=True)
class Frame:
    """One moment. image: a data address; or shape: a path, and outside: points not shown."""

    text: str
    alt: str
    image: str = ""
    shape: str = ""
    outside: int = 0


@dataclass(frozen=True)
class Film:
    """All moments, oldest first.

    width, height: of a frame. columns: names over the columns, if each is a label. real: the path
    of the real examples. line: single numbers, whose density is drawn. note: what else to know.
    """

    frames: tuple[Frame, ...]
    width: int
    height: int
    columns: tuple[str, ...] = ()
    real: str = ""
    line: bool = False
    note: str = ""

    @property
    def keys(self) -> list[int]:
        """The frames that are printed."""
        return spread(range(len(self.frames)), KEYS)

    @property
    def named(self) -> bool:
        """Whether the names of all columns fit over them, on a phone too."""
        return 0 < len(self.columns) * max(map(len, self.columns), default=0) <= LETTERS


def of_run(run: Run, most_bytes: int = BYTES) -> Film | None:
    """The film of a run, its pictures at most `most_bytes` in all; None without samples.

    Raises:
        DataError: a file of samples is damaged.
    """
    found = samples.moments(run)
    if not found:
        return None
    return of_pictures(run, found, most_bytes) if found[-1].is_picture else of_points(run, found)


def of_pictures(run: Run, found: Sequence[Moment], most_bytes: int) -> Film:
    """Every grid laid out anew: labels from left to right, the same noise along a row."""
    layout = strips.tiling(run)
    picked = spread(found, FRAMES)
    while True:
        sheets = [sheet(strips.tiles(m, layout), layout) for m in picked]
        files = [encoded(image) for image in sheets]
        size = sum(map(len, files))
        if size <= most_bytes or len(picked) <= 2:
            break
        picked = spread(picked, max(2, int(len(picked) * most_bytes / size)))
    height, width = sheets[-1].shape[:2]
    scale = max(1, round(CLEAR / width))
    frames = tuple(
        Frame(m.text, f"samples of the same noise, {m.text}", data_uri(f))
        for m, f in zip(picked, files, strict=True)
    )
    note = left_out(picked, found)
    return Film(frames, width * scale, height * scale, layout.names, note=note)


def left_out(picked: Sequence[Moment], found: Sequence[Moment]) -> str:
    """How many moments are shown; empty if all are."""
    return f"{len(picked)} of {len(found)} moments" if len(picked) < len(found) else ""


def sheet(tiles: Pixels, layout: Tiling) -> Pixels:
    """(N, H, W, 3) as one picture with transparent gaps, (H', W', 4); with labels, one a column."""
    across = layout.rows or images.layout(len(tiles), 0)[1]
    if layout.rows:
        each = len(tiles) // across
        tiles = tiles[np.arange(across * each).reshape(across, each).T.flatten()]
    return strips.mosaic(opaque(tiles), across, gap=GAP, ground=0)


def of_points(run: Run, found: Sequence[Moment]) -> Film:
    """The first two numbers of every vector; of single numbers their density."""
    picked = spread(found, FRAMES)
    known = points.truth(run, found[-1].points())
    flat = known.features == 1
    height = SIDE * 5 // 8 if flat else SIDE
    real, top = real_shape(known, height)
    frames = []
    for moment in picked:
        fake = moment.points()
        shape = bell(fake, known.limits, height, top) if flat else cloud(fake, known.limits)
        away = int((~points.inside(fake[:, :2], known.limits)).sum())
        frames.append(Frame(moment.text, f"{len(fake)} generated points, {moment.text}",
                            shape=shape, outside=away))  # fmt: skip
    notes = [
        extent(known.limits),
        left_out(picked, found),
        f"the first 2 of {known.features} numbers" if known.features > 2 else "",
        "" if real else "the data are not available, so only generated points are shown",
    ]
    note = "; ".join(filter(None, notes))
    return Film(tuple(frames), SIDE, height, (), real, flat, note)


def real_shape(known: Truth, height: int) -> tuple[str, float]:
    """The path of the real examples, and the largest density that is drawn (1-D)."""
    if known.features > 1:
        return "" if known.real is None else cloud(known.real[:400], known.limits), 1.0
    x = points.grid_of(known.limits, 201)
    p = points.data_density(known, x)
    if p is None:
        return "", 1.0
    top = 2 * float(p.max())  # a collapsed generator's spike may leave the panel
    return path(*placed(x, p, height, top)), top


def placed(x: Array, p: Array, height: int, top: float) -> tuple[Array, Array]:
    """A density's points on the panel; a y of SVG grows downwards."""
    y = height - 4 - (height - 12) * np.clip(p / top, 0, 1)
    return SIDE * (x - x[0]) / (x[-1] - x[0]), y


def bell(values: Array, limits: Array, height: int, top: float) -> str:
    """The density of single numbers as a closed path; empty if none is finite."""
    if not len(points.finite(values)):
        return ""
    x = points.grid_of(limits, 201)
    outline = path(*placed(x, points.kernel_density(values, x), height, top))
    return f"{outline}L{SIDE} {height - 4}L0 {height - 4}Z"


def path(x: Array, y: Array) -> str:
    """A polyline through points, (N,) each."""
    return "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x, y, strict=True))


def cloud(values: Array, limits: Array) -> str:
    """Points (N, F) inside `limits` as dots: with round caps, a line of no length is one."""
    xy = points.finite(values)[:, :2]
    unit = (xy[points.inside(xy, limits)] - limits[0]) / (limits[1] - limits[0])
    return "".join(f"M{SIDE * x:.1f} {SIDE * (1 - y):.1f}h0" for x, y in unit)


def extent(limits: Array) -> str:
    """The part of the plane, or of the line, that is shown; limits (2, F)."""
    sides = [f"{low:.2g} to {high:.2g}" for low, high in limits.T[:2].tolist()]
    return ", ".join(f"{side} {way}" for side, way in zip(sides, ("across", "up"), strict=False))
