"""The live page in a separate process beside a training, which it does not slow or outlive."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ganforge.serve import server
from ganforge.serve.access import Access
from ganforge.serve.token import address

PATIENCE = 600.0  # seconds until the run folder is there


@contextmanager
def page(path: Path) -> Iterator[None]:
    """Within, the live page about the run at `path` is served; its address is printed.

    Raises:
        UsageError: the extra is not installed.
    """
    server.require_extra()
    command = [sys.executable, "-m", "ganforge.serve.watch.beside", str(path)]
    # a separate session: Ctrl-C is for the training, which ends the page when it is done
    process = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
    try:
        yield
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait()


def main(path: Path) -> None:
    """Serve the page until standard input ends, as it does with the process that has it."""
    threading.Thread(target=end_with_input, daemon=True).start()
    end = time.monotonic() + PATIENCE
    while not path.is_dir() and time.monotonic() < end:
        time.sleep(0.1)
    from ganforge.serve.watch.app import application, watch_folder

    watch = watch_folder(path)

    with server.bound("127.0.0.1", 0) as listening:
        access = Access("127.0.0.1", listening.getsockname()[1])
        made = application(watch, access)
        print(f"watch    {address(access)}", flush=True)
        server.run(made, listening, closing=watch.close)


def end_with_input() -> None:
    """End this process when its standard input ends."""
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
