"""TensorBoard event files of a run: scalars and sample grids, written by whoever iterates.

    with log.Events("runs/a") as events:
        for progress in gf.iterate(config, "runs/a"):
            events.add(progress)

They lie in `events/` of the run folder: `tensorboard --logdir runs` shows all runs. They are a
copy of log.jsonl and samples/, so a disk that refuses them stops no run.
"""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

from ganforge import images
from ganforge.runs.records import Progress
from ganforge.training import checks, distributed

FOLDER = "events"
TAGS = {
    "loss_d": "loss/discriminator",
    "loss_g": "loss/generator",
    "d_real": "d/real",
    "d_fake": "d/fake",
    "logit_real": "logit/real",
    "logit_fake": "logit/fake",
    "gradient_d": "gradient/discriminator",
    "gradient_g": "gradient/generator",
    "skipped": "skipped",
    "images_per_second": "speed/images_per_second",
}


class Events:
    """The event files of one run; made with the first record that has something to show.

    run_path: the run folder. Of several processes only the leader writes.
    Raises UsageError if tensorboard is not installed, or cannot write to such a path.
    """

    def __init__(self, run_path: Path | str):
        self.path = Path(run_path) / FOLDER
        self.summary_writer: Any = checks.event_writer(Path(run_path))
        self.is_main_process = distributed.from_environment().is_main_process
        self._writer: Any = None
        self._step = -1  # of the newest record; -1 before the first
        self._purge = 0
        self._scalars: dict[str, float] = {}

    def __enter__(self) -> Events:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def add(self, progress: Progress) -> None:
        """Write a record's means, once an interval, and its grid, at its step.

        A first record, or one before the last (a resume, a rollback), cuts off what was written
        after it.
        """
        if not self.is_main_process:
            return
        scalars = {tag: float(getattr(progress, name)) for name, tag in TAGS.items()}
        scalars = {tag: value for tag, value in scalars.items() if math.isfinite(value)}
        if self._step < 0 or progress.step < self._step:
            self.close()
            # A note says where the run goes on from: that step is over, and written already.
            again = bool(progress.note)
            self._purge = progress.step + again
            self._scalars = scalars if again else {}
        self._step = progress.step
        # Records of grids and checkpoints repeat the means of the interval before.
        fresh = scalars != self._scalars and not math.isnan(progress.loss_d)
        self._scalars = scalars
        if fresh or progress.grid is not None:
            try:
                self._write(progress, scalars if fresh else {})
            except OSError as error:
                self.is_main_process = False
                warnings.warn(f"{self.path}: no more event files, {error}", stacklevel=2)

    def _write(self, progress: Progress, scalars: dict[str, float]) -> None:
        self._writer = self._writer or self.summary_writer(str(self.path), purge_step=self._purge)
        for tag, value in scalars.items():
            self._writer.add_scalar(tag, value, progress.step)
        if progress.grid is not None and progress.grid.suffix == ".png":
            picture = images.read_png(progress.grid)
            self._writer.add_image("samples", picture, progress.step, dataformats="HWC")
        self._writer.flush()

    def close(self) -> None:
        """End the file; a later record begins another."""
        if self._writer:
            self._writer.close()
            self._writer = None
