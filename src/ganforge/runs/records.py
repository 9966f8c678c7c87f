"""What a run reports at each interval, and what it can be asked."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ganforge.errors import Interrupted

POSITION = ("step", "samples_seen", "epoch", "seconds", "images_per_second", "skipped")


@dataclass(frozen=True)
class Progress:
    """One interval of a run.

    Args:
        step: of `steps`.
        samples_seen: real examples D has seen.
        epoch: passes over the data.
        seconds: of training in all.
        images_per_second: over this interval, everything included.
        skipped: updates left out because a gradient was not finite.
        means: what the game logs, by name, its means over the steps since the record before: loss_d
            and loss_g for each example, gradient_d and gradient_g (norms), and what else there is,
            as d_real and d_fake (mean D(x) and D(G(z))).
        grid, saved: the files written at this step.
        note: a line worth showing.
        done: whether this is the last record.
        unit: what the real examples are, "pictures" or "examples".
    """

    step: int
    steps: int
    samples_seen: int
    epoch: float
    seconds: float = 0.0
    images_per_second: float = 0.0
    skipped: int = 0
    means: Mapping[str, float] = field(default_factory=dict)
    grid: Path | None = None
    saved: Path | None = None
    note: str = ""
    done: bool = False
    unit: str = "pictures"

    def __getattr__(self, name: str) -> float:
        """A mean by its name: `progress.loss_d`. NaN before the first interval has ended."""
        if name.startswith("_") or (self.means and name not in self.means):
            known = ", ".join(self.means) or "none yet"
            raise AttributeError(f"a record has no {name!r}; its means: {known}")
        return self.means.get(name, math.nan)

    @property
    def finished_before(self) -> bool:
        """Whether it is the record of a run that had nothing left to do."""
        return self.done and bool(self.note)

    def noted(self, *notes: str) -> Progress:
        """The record with further notes; empty ones are left out."""
        return replace(self, note="; ".join(filter(None, (self.note, *notes))))

    @property
    def seconds_left(self) -> float:
        """At the speed so far; infinite before the first step."""
        if not self.step or not self.seconds:
            return math.inf
        return self.seconds / self.step * (self.steps - self.step)

    def record(self) -> dict[str, Any]:
        """As a line of the log has it."""
        return {name: getattr(self, name) for name in POSITION} | dict(self.means)


@dataclass
class Control:
    """What may be asked of a run from outside, between two steps.

    Args:
        stop: finish the step, save and end.
        save: write a checkpoint and continue.
        enough: the run has reached its goal: end it here, as finished.
        signal: the number of the signal that asked to stop, 0 for none.
        interruptible: what is being done now may be abandoned.
        take_over: use the run folder of another trainer that is known to be gone, on a file system
            without locks.
        timeout: seconds that one of several processes waits for the others.
    """

    stop: bool = False
    save: bool = False
    enough: bool = False
    signal: int = 0
    interruptible: bool = False
    take_over: bool = False
    timeout: float = 600.0

    @contextmanager
    def may_be_interrupted(self) -> Iterator[None]:
        """Within, a signal raises `Interrupted` at once."""
        if self.signal:
            raise Interrupted(self.signal)
        self.interruptible = True
        try:
            yield
        finally:
            self.interruptible = False

    def interrupt(self, number: int) -> None:
        """Note a signal; called by its handler."""
        self.stop, self.signal = True, number
        if self.interruptible:
            raise Interrupted(number)
