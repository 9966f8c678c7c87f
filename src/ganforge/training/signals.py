"""What a signal does to a run."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from ganforge.runs.records import Control
from ganforge.training import second_signal


@contextmanager
def handling(control: Control) -> Iterator[None]:
    """SIGINT and SIGTERM end the loop after its step, SIGUSR1 saves; a second one leaves at once.

    So does SIGHUP, of a terminal that was closed, unless it is ignored already (nohup). What need
    not be finished (loading, building, a score, a plot) is given up: `Interrupted`.

    The second one does so inside a native call too (see `second_signal`).

    Outside the main thread, where handlers cannot be set, nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    first = True

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal first
        if not first:
            os._exit(128 + number)  # checkpoints are renamed into place: nothing is half written
        first = False
        control.interrupt(number)

    def save(number: int, frame: FrameType | None) -> None:
        control.save = True

    handlers: dict[int, Any] = {signal.SIGINT: stop, signal.SIGTERM: stop}
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        handlers[signal.SIGHUP] = stop
    if hasattr(signal, "SIGUSR1"):
        handlers[signal.SIGUSR1] = save
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    stops = frozenset(number for number, handler in handlers.items() if handler is stop)
    try:
        with second_signal.watched(stops):
            yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
