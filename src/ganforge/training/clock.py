"""Where the time of a run goes."""

from __future__ import annotations

import time
from typing import Any

from ganforge.training.trainer import (
    Training,
)

SAVE_SECONDS = 600.0  # a checkpoint at least this often


class Clock:
    """Where the time of a run goes: training seconds over all its sessions, and by phase."""

    def __init__(self, t: Training):
        self.t = t
        self.start = time.perf_counter() - t.seconds
        self.marked = self.start + t.seconds
        self.marked_images = t.samples_seen
        self.saved = time.perf_counter()

    def timed(self, phase: str, function: Any, *arguments: Any) -> Any:
        began = time.perf_counter()
        out = function(*arguments)
        now = time.perf_counter()
        self.t.timing[phase] = self.t.timing.get(phase, 0.0) + now - began
        self.t.seconds = now - self.start
        if phase == "save":
            self.saved = now
        return out

    def save_due(self) -> bool:
        return time.perf_counter() - self.saved > SAVE_SECONDS

    def speed(self) -> float:
        """Real images a second since the last call, everything included."""
        now, images = time.perf_counter(), self.t.samples_seen
        rate = (images - self.marked_images) / max(now - self.marked, 1e-9)
        self.marked, self.marked_images = now, images
        return rate
