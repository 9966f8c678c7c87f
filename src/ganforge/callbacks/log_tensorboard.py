"""TensorBoard event files in `events/` of a run folder: `tensorboard --logdir runs` shows all."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ganforge import images
from ganforge.callbacks.log import LoggedRun
from ganforge.evaluation.score import Score

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
LEFT_OUT = ("samples_seen", "epoch", "seconds")  # other scales of the axis


class TensorBoardLogger:
    """Scalars and grids; what was logged after the step from which a run goes on is purged."""

    def start(self, run: LoggedRun) -> None:
        self.path = run.path / FOLDER
        self.purge = run.step + 1 if run.step else 0
        self.step = -1  # of the newest event
        self.writer: Any = None  # opened by the first event, for `purge_step` is that of a file

    def log(self, step: int, values: Mapping[str, float | Path]) -> None:
        from torch.utils.tensorboard import SummaryWriter

        if step <= self.step:
            self.close()
            self.purge = step
        self.step = step
        self.writer = self.writer or SummaryWriter(str(self.path), purge_step=self.purge)
        for name, value in values.items():
            if isinstance(value, Path):
                if value.suffix == ".png":
                    picture = images.read_png(value)
                    self.writer.add_image(name, picture, step, dataformats="HWC")
            elif math.isfinite(value) and name not in LEFT_OUT:
                self.writer.add_scalar(TAGS.get(name, name), value, step)
        self.writer.flush()

    def finish(self, scores: Sequence[Score]) -> None:
        for score in scores if self.writer else ():
            self.writer.add_scalar(f"score/{score.name}", score.value, self.step)
        self.close()

    def close(self) -> None:
        """End the file; a later event begins another."""
        if self.writer:
            self.writer.close()
            self.writer = None
