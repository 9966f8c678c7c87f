"""What a run folder holds for its pictures: its samples at every moment, and the truth of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from ganforge import images as pictures
from ganforge.data.spec import DataSpec
from ganforge.errors import DataError, GanforgeError
from ganforge.files import read_file
from ganforge.plotting import charts
from ganforge.runs import model
from ganforge.runs.folder import Run
from ganforge.runs.samples import Moment, damaged
from ganforge.types import Array, Pixels

T = TypeVar("T")
LARGEST = 128  # device pixels of a picture in a strip at most; larger ones are averaged down
NAME = 9  # letters of a class name shown


def chosen(items: Sequence[T], count: int) -> list[T]:
    """At most `count` of the items, evenly spread, the first and the last among them."""
    if count < 2:
        return list(items[-1:])
    picked = np.linspace(0, len(items) - 1, min(count, len(items))).round().astype(int)
    return [items[i] for i in picked]


@dataclass(frozen=True)
class Tiling:
    """How the grids of a run are laid out.

    height, width: of one picture. rows: label rows K of the grid, 0 where there are no labels.
    count: pictures in a grid. names: of the rows.
    """

    height: int
    width: int
    rows: int
    count: int
    names: tuple[str, ...] = ()


def tiling(run: Run) -> Tiling:
    """The layout, from the model folder, or from the data where there is no model yet."""
    settings = run.settings()
    count = int(settings.get("output", {}).get("grid", 64))
    spec, names = sample_spec(run, settings)
    if not spec.is_image:
        raise DataError(f"{run.path}: samples are pictures, but the model's are not")
    _, height, width = spec.shape
    rows, columns = pictures.layout(count, spec.classes)
    if not spec.classes:
        return Tiling(height, width, 0, count)
    given = [short(n) for n in names] if len(names) == spec.classes else []
    shown = tuple(n or str(i) for i, n in enumerate(given or [""] * spec.classes))
    return Tiling(height, width, rows, rows * columns, shown[:rows])


def sample_spec(run: Run, settings: dict[str, Any]) -> tuple[DataSpec, tuple[str, ...]]:
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
    """A class name for the margin; empty where the charts' font has no letters for it."""
    if any(not 32 <= ord(c) < 0x250 for c in name):
        return ""
    return name if len(name) <= NAME else f"{name[: NAME - 1]}…"


def tiles(moment: Moment, layout: Tiling) -> Pixels:
    """The pictures of a grid, (N, H, W, 3), row by row, without the empty ones at its end.

    Pictures above 128 pixels come averaged down by a whole factor.
    """
    grid = moment.picture()
    out = pictures.tiles(grid, layout.height, layout.width) if fits(grid, layout) else None
    if out is None:
        raise damaged(
            moment.path, f"{grid.shape[1]} x {grid.shape[0]} pixels is no grid of this run"
        )
    factor = -(-max(layout.height, layout.width) // LARGEST)
    if factor > 1:
        high, wide = layout.height // factor, layout.width // factor
        cut = out[:, : high * factor, : wide * factor].astype(np.float32)
        blocks = cut.reshape(len(out), high, factor, wide, factor, 3)
        out = blocks.mean((2, 4)).round().astype(np.uint8)
    return out if layout.rows else out[: layout.count]


def fits(grid: Pixels, layout: Tiling, gap: int = 2) -> bool:
    """Whether a picture is a grid of at least one whole tile."""
    rest = [(grid.shape[i] - gap) % (s + gap) for i, s in enumerate((layout.height, layout.width))]
    return rest == [0, 0] and min(grid.shape[:2]) > gap


def strip_tiles(moment: Moment, layout: Tiling, rows: int) -> Pixels:
    """The pictures of a strip's column: the same noises at any moment, one a label if labelled."""
    found = tiles(moment, layout)
    if layout.rows:
        found = found[:: max(1, len(found) // layout.rows)][: layout.rows]
    return found[:rows]


def mosaic(images: Pixels, columns: int, scale: int, gap: int) -> Pixels:
    """(N, H, W, 3) row by row into one picture on white, each pixel `scale` x `scale`."""
    count, height, width, _ = images.shape
    high, wide = height * scale + gap, width * scale + gap
    out = np.full((-(-count // columns) * high - gap, columns * wide - gap, 3), 255, np.uint8)
    for i, image in enumerate(images):
        y, x = divmod(i, columns)
        large = image.repeat(scale, axis=0).repeat(scale, axis=1)
        out[y * high : y * high + high - gap, x * wide : x * wide + wide - gap] = large
    return out


@dataclass(frozen=True)
class Truth:
    """What vectors are held against.

    real: (N, F) examples of the run's own data, or None where they cannot be had. density: the
    law's, where it is known exactly. single: one mode, so that a mean and a covariance describe it.
    limits: of every panel, see `charts.extent`.
    """

    features: int
    limits: Array
    real: Array | None = None
    density: Callable[[Array], Array] | None = None
    single: bool = True


def truth(run: Run, newest: Array) -> Truth:
    """Real examples and the law behind them, if the data the run was trained on are still there."""
    from ganforge.data import load, toy
    from ganforge.rng import Order

    features = newest.shape[1]
    settings, info = run.settings(), run.info()
    name = str(settings.get("data"))
    try:
        data = load.load(name)
    except GanforgeError:
        data = None
    if data is None or data.sha256 != info.get("data_sha256") or data.spec.size != features:
        return Truth(features, charts.extent(None, newest))
    order = Order(0, len(data)).indices(0, min(len(data), 10_000))
    real = np.asarray(data.values[order], dtype=np.float64).reshape(len(order), features)
    law = toy.LAWS.get(name)
    return Truth(
        features,
        charts.extent(real, newest),
        real,
        (lambda x: np.exp(law.log_density(x))) if law is not None else None,
        law is None or isinstance(law, toy.Gaussian),
    )
