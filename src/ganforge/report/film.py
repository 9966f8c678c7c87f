"""A run's samples over time, for the slider: pictures as data URIs, vectors as SVG paths."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import numpy as np

from ganforge import images as pictures
from ganforge.plotting import charts, history
from ganforge.plotting.history import Tiling, Truth
from ganforge.report import curves
from ganforge.runs import samples
from ganforge.runs.folder import Run
from ganforge.runs.samples import Moment
from ganforge.types import Array, Pixels

FRAMES, BYTES = 40, 1_000_000  # of a film at most; all its pictures together, before base64
SIDE, GAP = 400, 2  # of a cloud of points, in its own units; pixels between two pictures
CLEAR = 640  # pixels across that a film of pictures is given where there is room
KEYS = 4  # frames that are printed
LETTERS = 30  # that stand over all columns together, with room between


@dataclass(frozen=True)
class Frame:
    """One moment. image: a data URI; or shape: a path, and outside: points that are not shown."""

    text: str
    alt: str
    image: str = ""
    shape: str = ""
    outside: int = 0
    key: bool = False


@dataclass(frozen=True)
class Film:
    """All moments, oldest first.

    width, height: of a frame. columns: names over the columns, where each is a label. real: the
    path of the real examples. line: single numbers, whose density is drawn. note: what to know.
    """

    frames: tuple[Frame, ...]
    width: int
    height: int
    columns: tuple[str, ...] = ()
    real: str = ""
    line: bool = False
    note: str = ""

    @property
    def named(self) -> bool:
        """Whether the names of all columns have room over them, on a phone too."""
        return 0 < len(self.columns) * max(map(len, self.columns), default=0) <= LETTERS


def of_run(run: Run) -> Film | None:
    """The film of a run; None where it has no samples yet. DataError for a damaged file."""
    found = samples.moments(run)
    if not found:
        return None
    return of_pictures(run, found) if found[-1].is_picture else of_points(run, found)


def of_pictures(run: Run, found: list[Moment]) -> Film:
    """Every grid laid out anew: labels from left to right, the same noise along a row."""
    layout = history.tiling(run)
    picked = history.chosen(found, FRAMES)
    while True:
        images = [sheet(history.tiles(m, layout), layout) for m in picked]
        files = [encoded(image) for image in images]
        if sum(map(len, files)) <= BYTES or len(picked) <= 2:
            break
        share = BYTES / sum(map(len, files))
        picked = history.chosen(picked, max(2, int(len(picked) * share)))
    height, width = images[-1].shape[:2]
    scale = max(1, round(CLEAR / width))
    what = "samples of the same noise"
    frames = tuple(
        Frame(m.text, f"{what}, {m.text}", data_uri(f)) for m, f in zip(picked, files, strict=True)
    )
    note = f"{len(picked)} of {len(found)} moments" if len(picked) < len(found) else ""
    names = tuple(n or str(i) for i, n in enumerate(layout.names))
    return Film(keyed(frames), width * scale, height * scale, names, note=note)


def sheet(tiles: Pixels, layout: Tiling) -> Pixels:
    """(N, H, W, 3) as one picture with clear gaps, (H', W', 4); a column a label if labelled."""
    count, across = len(tiles), pictures.layout(len(tiles), 0)[1]
    if layout.rows:
        across, each = layout.rows, count // layout.rows
        order = np.arange(across * each).reshape(across, each).T.flatten()
        tiles = tiles[order]
    return spaced(tiles, across)


def spaced(tiles: Pixels, across: int) -> Pixels:
    """(N, H, W, 3) row by row into one picture, (H', W', 4), clear between and after them."""
    count, height, width = tiles.shape[:3]
    down = -(-count // across)
    out = np.zeros((down * (height + GAP) - GAP, across * (width + GAP) - GAP, 4), np.uint8)
    for i, tile in enumerate(tiles):
        y, x = (i // across) * (height + GAP), (i % across) * (width + GAP)
        out[y : y + height, x : x + width, :3] = tile
        out[y : y + height, x : x + width, 3] = 255
    return out


def encoded(image: Pixels) -> bytes:
    """(H, W, 4) as a small file: PNG where it is grey, WebP (quality 90) where it has colours."""
    from PIL import Image, features

    buffer = io.BytesIO()
    grey = (image[..., 0] == image[..., 1]).all() and (image[..., 1] == image[..., 2]).all()
    if grey:
        pair = np.ascontiguousarray(image[..., [0, 3]])
        Image.frombytes("LA", pair.shape[1::-1], pair.tobytes()).save(buffer, "PNG", optimize=True)
    elif features.check("webp"):
        Image.fromarray(image).save(buffer, "WEBP", quality=90, method=4)
    else:
        Image.fromarray(image).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def data_uri(data: bytes) -> str:
    """A picture file inside the page."""
    kind = "png" if data.startswith(b"\x89PNG") else "webp"
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def picture(image: Pixels) -> str:
    """One picture (H, W, C) uint8, one channel or three, as a data URI."""
    rgb = pictures.grid(image[None], 1, gap=0)
    opaque = np.full((*rgb.shape[:2], 1), 255, np.uint8)
    return data_uri(encoded(np.concatenate([rgb, opaque], 2)))


def keyed(frames: tuple[Frame, ...]) -> tuple[Frame, ...]:
    """The frames, a few of them marked for paper."""
    from dataclasses import replace

    keys = history.chosen(range(len(frames)), KEYS)
    return tuple(replace(f, key=i in keys) for i, f in enumerate(frames))


def of_points(run: Run, found: list[Moment]) -> Film:
    """The first two numbers of every vector; of single numbers their density."""
    picked = history.chosen(found, FRAMES)
    known = history.truth(run, found[-1].points())
    flat = known.features == 1
    height = SIDE * 5 // 8 if flat else SIDE
    real, top = real_shape(known, height)
    frames = []
    for moment in picked:
        points = moment.points()
        shape = bell(points, known.limits, height, top) if flat else cloud(points, known.limits)
        away = outside(points, known.limits)
        frames.append(Frame(moment.text, f"{len(points)} generated points, {moment.text}",
                            shape=shape, outside=away))  # fmt: skip
    notes = [extent(known.limits)]
    notes += [f"{len(picked)} of {len(found)} moments"] if len(picked) < len(found) else []
    notes += [f"the first 2 of {known.features} numbers"] if known.features > 2 else []
    notes += [] if real else ["the data are not at hand, so only generated points are shown"]
    return Film(keyed(tuple(frames)), SIDE, height, (), real, flat, "; ".join(notes))


def real_shape(known: Truth, height: int) -> tuple[str, float]:
    """The path of the real examples, and the largest density that is drawn (1-D)."""
    if known.features > 1:
        if known.real is None:
            return "", 1.0
        return cloud(known.real[:400], known.limits), 1.0
    x = grid_of(known.limits)
    if known.density is not None:
        p = known.density(x[:, None])
    elif known.real is not None:
        p = charts.kernel_density(known.real, x)
    else:
        return "", 1.0
    top = 2 * float(p.max())  # a collapsed generator's spike may leave the panel
    return curves.path(*placed(x, p, known.limits, height, top)), top


def grid_of(limits: Array) -> Array:
    """Where densities are drawn, (201,)."""
    return np.linspace(float(limits[0, 0]), float(limits[1, 0]), 201)


def placed(x: Array, p: Array, limits: Array, height: int, top: float) -> tuple[Array, Array]:
    """A density's points on the panel."""
    low, high = float(limits[0, 0]), float(limits[1, 0])
    y = height - 4 - (height - 12) * np.clip(p / top, 0, 1)
    return SIDE * (x - low) / (high - low), y


def bell(points: Array, limits: Array, height: int, top: float) -> str:
    """The density of single numbers as a closed path; empty where none is finite."""
    if not len(charts.finite(points)):
        return ""
    x = grid_of(limits)
    along, down = placed(x, charts.kernel_density(points, x), limits, height, top)
    return f"{curves.path(along, down)}L{SIDE} {height - 4}L0 {height - 4}Z"


def cloud(points: Array, limits: Array) -> str:
    """Points (N, F) inside `limits` as dots."""
    xy = charts.finite(points)[:, :2]
    inside = ((xy >= limits[0]) & (xy <= limits[1])).all(1)
    unit = (xy[inside] - limits[0]) / (limits[1] - limits[0])
    return curves.dots(np.stack([SIDE * unit[:, 0], SIDE * (1 - unit[:, 1])], 1))


def extent(limits: Array) -> str:
    """What part of the plane, or of the line, is shown; limits (2, F)."""
    sides = [f"{low:.2g} to {high:.2g}" for low, high in limits.T[:2].tolist()]
    return ", ".join(f"{side} {way}" for side, way in zip(sides, ("across", "up"), strict=False))


def outside(points: Array, limits: Array) -> int:
    """Points that are not within `limits`, those that are not finite among them."""
    xy = points[:, :2]
    return int((~((xy >= limits[0]) & (xy <= limits[1])).all(1)).sum())
