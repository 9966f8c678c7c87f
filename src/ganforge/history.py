"""What a run folder holds for its pictures: its samples at every moment, and the truth of them."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ganforge import charts, checkpoint, model, pictures
from ganforge.checkpoint import read_file
from ganforge.codec import Array, DataSpec
from ganforge.errors import DataError, GanforgeError
from ganforge.pictures import Pixels
from ganforge.runs import Run

T = TypeVar("T")
LARGEST = 128  # device pixels of a picture in a strip at most; larger ones are averaged down
NAME = 9  # letters of a class name shown


@dataclass(frozen=True)
class Moment:
    """Samples of the fixed noise at one step. epoch: NaN where it is not known."""

    step: int
    epoch: float
    path: Path

    @property
    def is_picture(self) -> bool:
        return self.path.suffix == ".png"

    @property
    def text(self) -> str:
        """ "epoch 1.2", or "step 1,000" where the epoch is not known."""
        return f"epoch {self.number}" if np.isfinite(self.epoch) else f"step {self.number}"

    @property
    def number(self) -> str:
        return epoch_text(self.epoch) if np.isfinite(self.epoch) else f"{self.step:,}"

    def picture(self) -> Pixels:
        """The grid, (H, W, 3) uint8; DataError where the file is damaged."""
        try:
            return pictures.read_png(self.path)
        except (OSError, ValueError, SyntaxError) as error:
            raise damaged(self.path, error) from None

    def points(self) -> Array:
        """The vectors, (N, F) float64; DataError where the file is damaged."""
        try:
            with np.load(io.BytesIO(read_file(self.path)), allow_pickle=False) as file:
                values = np.asarray(file["samples"], dtype=np.float64)
        except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
            # not numpy's own words: of bytes that it does not know it advises to unpickle them
            raise damaged(self.path, "not an .npz file of samples") from None
        if values.ndim != 2 or not values.size:
            raise damaged(self.path, f"samples of shape {values.shape}")
        return values


def damaged(path: Path, why: object) -> DataError:
    """The error for a file of a run that does not read."""
    return DataError(f"{path}: damaged ({why}): delete it, or restore it from a copy")


def epoch_text(epoch: float) -> str:
    """Three digits: 0.125, 2.5, 120. A 3.99 is 4: passes seldom end where batches do."""
    near = round(epoch)
    if epoch >= 100 or (near and abs(epoch - near) < 0.03):
        return f"{near:,}"
    return f"{epoch:.2g}" if epoch < 1 else f"{epoch:.3g}"


def moments(run: Run) -> list[Moment]:
    """The sample files of a run by step; of one kind, that of the newest."""
    steps = {
        int(p.stem): p for p in run.samples.glob("*.*")
        if p.stem.isdigit() and p.suffix in (".png", ".npz")
    }  # fmt: skip
    if not steps:
        return []
    pace = epochs_a_step(run)
    found = [Moment(s, s * pace if s else 0.0, p) for s, p in sorted(steps.items())]
    return [m for m in found if m.is_picture == found[-1].is_picture]


def epochs_a_step(run: Run) -> float:
    """Passes over the data in one step, from the log or run.json; NaN where neither tells."""
    for record in [*reversed(run.log()), run.info()]:
        step, epoch = record.get("step"), record.get("epoch")
        if isinstance(step, int) and isinstance(epoch, int | float) and step and epoch:
            return float(epoch) / step
    return np.nan


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
    from ganforge.data import source

    data = source.load(str(settings.get("data")), size=settings.get("size"))
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
    from ganforge.data import source, toy
    from ganforge.rng import Order

    features = newest.shape[1]
    settings, info = run.settings(), run.info()
    name = str(settings.get("data"))
    try:
        data = source.load(name)
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


def discriminator(run: Run) -> Callable[[Array], Array] | None:
    """D of the newest checkpoint, stored vectors (N, F) -> D(x) (N,); None where there is none."""
    import torch

    from ganforge import config, nets, recipes
    from ganforge.codec import encode

    try:
        spec = model.read_spec(json.loads(read_file(run.model / model.CONFIG))["spec"])
        wanted = config.from_dict(config.Config, run.settings(), recipes.PARTS)
        found, _ = checkpoint.newest(run.checkpoints)
        if found is None:
            return None
        player = nets.build(wanted.networks, spec, wanted.noise.size)["discriminator"]
        side = "discriminator."
        player.load_state_dict({
            k.removeprefix(side): v for k, v in found.tensors.items() if k.startswith(side)
        })  # fmt: skip
    except (GanforgeError, ValueError, KeyError, TypeError, RuntimeError):
        return None
    player.eval()

    def judge(x: Array) -> Array:
        with torch.no_grad():
            values = encode(torch.from_numpy(np.asarray(x, dtype=np.float32)), spec)
            return np.asarray(torch.sigmoid(player(values, None, None)).flatten().double().numpy())

    return judge
