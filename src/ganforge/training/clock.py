"""Where the time of a run goes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

SAVE_SECONDS = 600.0  # a checkpoint at least this often


class Clock:
    """Seconds of training over all sessions of a run, in all and by phase.

    Args:
        seconds: of training before this session.
        images: real examples seen before this session.
    """

    def __init__(self, seconds: float = 0.0, images: int = 0):
        now = time.perf_counter()
        self.seconds = seconds
        self.timing: dict[str, float] = {}
        self.start = now - seconds
        self.marked, self.marked_images = now, images
        self.saved = now

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count what is done within as a phase of training."""
        began = time.perf_counter()
        yield
        now = time.perf_counter()
        self.timing[name] = self.timing.get(name, 0.0) + now - began
        self.seconds = now - self.start
        if name == "save":
            self.saved = now

    @contextmanager
    def left_out(self) -> Iterator[None]:
        """What is done within is not training."""
        began = time.perf_counter()
        yield
        self.start += time.perf_counter() - began

    def save_due(self) -> bool:
        """Whether the newest checkpoint is older than SAVE_SECONDS."""
        return time.perf_counter() - self.saved > SAVE_SECONDS

    def speed(self, images: int) -> float:
        """Real examples a second since the last call, all phases included; images: seen in all."""
        now = time.perf_counter()
        rate = (images - self.marked_images) / max(now - self.marked, 1e-9)
        self.marked, self.marked_images = now, images
        return rate
