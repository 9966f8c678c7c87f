"""A second signal leaves at once, also if Python's handlers do not run.

Python runs a handler between two instructions of the main thread: inside one long native call it
never does. The system's handler still writes each signal's number to a descriptor, which a thread
reads here. Native code that holds Python's lock stops this thread as well: there only SIGQUIT
(Ctrl-\\) and SIGKILL end the process.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

# Signals closer together are one: `timeout` sends its signal twice in a row, launchers pass one on.
BURST = 0.5  # seconds

_writers: set[int] = set()  # descriptors of the watches of this process


@contextmanager
def watched(numbers: frozenset[int]) -> Iterator[None]:
    """Leave with 128 + n at a second of the signals `numbers`, n, a while after the first.

    To be entered in the main thread. Another descriptor for signals (asyncio's) gets what it
    would have got. Nothing is done on Windows.
    """
    if os.name == "nt":
        yield
        return
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    foreign = before if before not in _writers else -1
    _writers.add(writer.fileno())
    thread = threading.Thread(
        target=read, args=(reader, numbers, foreign), name="ganforge-signals", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        _writers.discard(writer.fileno())
        writer.close()
        thread.join()
        reader.close()


def read(reader: socket.socket, numbers: frozenset[int], foreign: int) -> None:
    """Count the signals until the other end is closed; foreign: a descriptor that wants them too.

    Signals that come while the main thread is in Python are its handler's affair as well, which
    leaves with the same code.
    """
    first: float | None = None
    while numbers_read := reader.recv(64):
        if foreign >= 0:
            with suppress(OSError):
                os.write(foreign, numbers_read)
        now = time.monotonic()
        for number in numbers_read:
            if number not in numbers:
                continue
            if first is not None and now - first > BURST:
                os._exit(128 + number)
            first = now if first is None else first


def _forget() -> None:
    """In a forked child, whose signals are not this process's: they must not reach its thread."""
    if _writers and threading.current_thread() is threading.main_thread():
        found = signal.set_wakeup_fd(-1)
        if found not in _writers:
            signal.set_wakeup_fd(found)
        _writers.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
