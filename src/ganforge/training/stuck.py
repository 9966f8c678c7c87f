"""A run that shows nothing for long: a line about its first step, or its first losses."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from ganforge.training.trainer import Trainer

DELAY = 60.0  # seconds

R = TypeVar("R")


@contextmanager
def first_step(speaks: bool = True, delay: float = DELAY) -> Iterator[None]:
    """Round the first step: a line on standard error if it has not ended after so many seconds.

    speaks: False for the other processes of several, of which one speaks.
    """
    if not speaks:
        yield
        return
    timer = threading.Timer(delay, say, (delay,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def first_watched(
    step: Callable[[], R], speaks: bool = True, delay: float = DELAY
) -> Callable[[], R]:
    """`step`, whose first call is watched."""
    watch = [first_step(speaks, delay)]

    def call() -> R:
        with watch.pop() if watch else nullcontext():
            return step()

    return call


class Silence:
    """The time before the first record of the log.

    Args:
        t: the run.
        seconds: of steps after which a note is due if there is no record yet.
    """

    def __init__(self, t: Trainer, seconds: float):
        self.t, self.seconds, self.broken = t, seconds, False

    def note(self, logged: bool) -> str:
        """The losses so far, once, if it has been silent for too long; logged: a record is due."""
        self.broken |= logged
        if self.broken or self.t.clock.timing["step"] <= self.seconds:
            return ""
        self.broken = True
        return self.t.first_look()


def say(seconds: float) -> None:
    """The line."""
    print(
        f"ganforge: the first step has not ended after {seconds:.0f} s: wide networks or a large "
        "batch may take so long; if not, other programs use the cores, or OMP_ and KMP_ variables "
        "of the environment stop its threads: try --threads 1; a second Ctrl-C leaves at once",
        file=sys.stderr,
        flush=True,
    )
