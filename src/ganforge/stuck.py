"""A first step that does not end: a line that says so, with what the cause may be."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

DELAY = 60.0  # seconds

P = ParamSpec("P")
R = TypeVar("R")


@contextmanager
def first_step(speaks: bool = True) -> Iterator[None]:
    """Round the first step: a line on standard error where it has not ended after DELAY seconds.

    speaks: False for the other processes of several, of which one speaks.
    """
    if not speaks:
        yield
        return
    timer = threading.Timer(DELAY, say, (DELAY,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def first_watched(step: Callable[P, R], speaks: bool = True) -> Callable[P, R]:
    """`step`, whose first call is watched."""
    begun = False

    def call(*arguments: P.args, **options: P.kwargs) -> R:
        nonlocal begun
        if begun:
            return step(*arguments, **options)
        with first_step(speaks):
            out = step(*arguments, **options)
        begun = True
        return out

    return call


def say(seconds: float) -> None:
    """The line."""
    print(
        f"ganforge: the first step has not ended after {seconds:.0f} s: wide networks or a large "
        "batch may take so long; if not, other programs use the cores, or OMP_ and KMP_ variables "
        "of the environment stop its threads: try --threads 1; a second Ctrl-C leaves at once",
        file=sys.stderr,
        flush=True,
    )
