"""The samples of a run over time: which there are, of which epoch, and reading them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ganforge import files, images
from ganforge.errors import DataError
from ganforge.runs.folder import Run
from ganforge.types import Array, Pixels

T = TypeVar("T")


@dataclass(frozen=True)
class Moment:
    """Samples of the fixed noise at one step. epoch: NaN if unknown."""

    step: int
    epoch: float
    path: Path

    @property
    def is_picture(self) -> bool:
        """Whether the samples are a grid of pictures, not vectors."""
        return self.path.suffix == ".png"

    @property
    def text(self) -> str:
        """When, in words: epoch 1.2, or step 1,000 if the epoch is unknown."""
        return f"{'epoch' if np.isfinite(self.epoch) else 'step'} {self.number}"

    @property
    def number(self) -> str:
        """The epoch, or the step if the epoch is unknown."""
        return epoch_text(self.epoch) if np.isfinite(self.epoch) else f"{self.step:,}"

    def picture(self) -> Pixels:
        """The grid, (H, W, 3) uint8; DataError if the file is damaged."""
        try:
            return images.read_png(self.path)
        except (OSError, ValueError, SyntaxError) as error:
            raise damaged(self.path, error) from None

    def points(self) -> Array:
        """The vectors, (N, F) float64; DataError if the file is damaged."""
        try:
            values = np.asarray(files.read_npz(self.path)["samples"], dtype=np.float64)
        except (DataError, ValueError, KeyError, TypeError):
            raise damaged(self.path, "not an .npz file of samples") from None
        if values.ndim != 2 or not values.size:
            raise damaged(self.path, f"samples of shape {values.shape}")
        return values


def damaged(path: Path, why: object) -> DataError:
    """The error for a file of a run that cannot be read."""
    return DataError(f"{path}: damaged ({why}): delete it, or restore it from a copy")


def epoch_text(epoch: float) -> str:
    """Three digits: 0.12, 2.5, 120. A 3.99 is 4: passes seldom end where batches do."""
    near = round(epoch)
    if epoch >= 100 or (near and abs(epoch - near) < 0.03):
        return f"{near:,}"
    return f"{epoch:.2g}" if epoch < 1 else f"{epoch:.3g}"


def progress(record: Mapping[str, Any]) -> list[str]:
    """What a log record says of the progress: passes over the data, real examples seen."""
    epoch, seen = record.get("epoch"), record.get("samples_seen")
    out = []
    if epoch is not None:
        text = epoch_text(epoch)
        out.append(f"{text} {'epoch' if text == '1' else 'epochs'}")
    if seen is not None:
        out.append(f"{seen:,} real examples seen")
    return out


def moments(run: Run) -> list[Moment]:
    """The sample files of a run by step: grids, or vectors, as the newest file is."""
    steps = {int(p.stem): p for p in run.samples.glob("*.*")
             if p.stem.isdigit() and p.suffix in (".png", ".npz")}  # fmt: skip
    pace = epochs_a_step(run) if steps else 0.0
    found = [Moment(s, s * pace if s else 0.0, p) for s, p in sorted(steps.items())]
    return [m for m in found if m.is_picture == found[-1].is_picture]


def epochs_a_step(run: Run) -> float:
    """Passes over the data in one step, from the log or run.json; NaN if neither says."""
    for record in (*reversed(run.log()), run.info()):
        step, epoch = record.get("step"), record.get("epoch")
        if step and epoch:
            return float(epoch / step)
    return np.nan


def spread(items: Sequence[T], count: int) -> list[T]:
    """At most `count` of the items, evenly spread, the first and the last among them."""
    if count < 2:
        return list(items[-1:])
    picked = np.linspace(0, len(items) - 1, min(count, len(items))).round().astype(int)
    return [items[i] for i in picked]
