"""The samples of a run over time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ganforge import files, images
from ganforge.errors import DataError
from ganforge.runs.folder import Run
from ganforge.types import Array, Pixels


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
            return images.read_png(self.path)
        except (OSError, ValueError, SyntaxError) as error:
            raise damaged(self.path, error) from None

    def points(self) -> Array:
        """The vectors, (N, F) float64; DataError where the file is damaged."""
        try:
            values = np.asarray(files.read_npz(self.path)["samples"], dtype=np.float64)
        except (DataError, ValueError, KeyError, TypeError):
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
