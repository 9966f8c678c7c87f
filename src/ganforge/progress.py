"""What a running loop tells, and what it can be told."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path

from ganforge.errors import Interrupted


@dataclass(frozen=True)
class Progress:
    """One interval of a run: means over the steps since the record before.

    step of steps; samples_seen: real examples D has seen; epoch: passes over the data; seconds of
    training in all; images_per_second: over this interval, everything included; loss_d, loss_g
    for each example; d_real, d_fake: mean D(x) and D(G(z)); logit_*: their logits; gradient_*:
    norms; skipped: updates left out because a gradient was not finite.
    grid, saved: the files written at this step; note: a line worth showing; done: the last record.
    """

    step: int
    steps: int
    samples_seen: int
    epoch: float
    seconds: float = 0.0
    images_per_second: float = 0.0
    loss_d: float = math.nan
    loss_g: float = math.nan
    d_real: float = math.nan
    d_fake: float = math.nan
    logit_real: float = math.nan
    logit_fake: float = math.nan
    gradient_d: float = math.nan
    gradient_g: float = math.nan
    skipped: int = 0
    grid: Path | None = None
    saved: Path | None = None
    note: str = ""
    done: bool = False

    @property
    def seconds_left(self) -> float:
        """At the speed so far; infinite before the first step."""
        if not self.step or not self.seconds:
            return math.inf
        return self.seconds / self.step * (self.steps - self.step)


LOGGED = tuple(
    f.name for f in fields(Progress) if f.name not in ("grid", "saved", "note", "done", "steps")
)
MEANS = ("loss_d", "loss_g", "d_real", "d_fake", "logit_real", "logit_fake",
         "gradient_d", "gradient_g")  # fmt: skip
SUMS = ("skipped_d", "skipped_g")


@dataclass
class Control:
    """What the outside may ask of a running loop, between two steps.

    stop: finish the step, save and end. save: write a checkpoint and go on. enough: the run has
    reached what it was to reach: end it here, as finished. signal: the number of the signal that
    asked to stop, 0 for none. light: what is being done may be given up. take_over: the run folder
    of another trainer that is known to be gone, on a file system without locks. timeout: seconds
    that one of several processes waits for the others.
    """

    stop: bool = False
    save: bool = False
    enough: bool = False
    signal: int = 0
    light: bool = False
    take_over: bool = False
    timeout: float = 600.0

    @contextmanager
    def may_give_up(self) -> Iterator[None]:
        """Round what a signal need not wait for: `Interrupted` is raised within, at once."""
        if self.signal:
            raise Interrupted(self.signal)
        self.light = True
        try:
            yield
        finally:
            self.light = False

    def interrupt(self, number: int) -> None:
        """A signal has come: to be called by its handler."""
        self.stop, self.signal = True, number
        if self.light:
            raise Interrupted(number)
