"""The server: an application in uvicorn, until SIGTERM or Ctrl-C."""

from __future__ import annotations

import gc
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

from ganforge import errors
from ganforge.errors import UsageError
from ganforge.serve.limits import Limits

if TYPE_CHECKING:
    import uvicorn

BACKLOG = 2048  # connections that the system accepts before the server does


def require_extra() -> None:
    """UsageError if the packages of the extra are not installed."""
    errors.require_extra("a server", "serve", "starlette", "uvicorn", "h11")


def bound(host: str, port: int) -> socket.socket:
    """A socket at an address; a port of 0 is any free one.

    Raises:
        UsageError: no such address here, or another program has it.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"{host}:{port}: {reason}: choose another --host or --port") from None


def settings(app: Callable[..., Any], limits: Limits) -> uvicorn.Config:
    """How uvicorn runs an application: no proxies, no logs of requests, no name of the server."""
    import uvicorn

    from ganforge.serve.protocol import connection

    return uvicorn.Config(
        app,
        http=connection(limits),
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=int(limits.receive),
        timeout_graceful_shutdown=limits.drain,
    )


def made(
    app: Callable[..., Any], limits: Limits, closing: Callable[[], None] | None = None
) -> uvicorn.Server:
    """A server; closing: called when it begins to end, to end answers that have no end."""
    import uvicorn

    class Closing(uvicorn.Server):
        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            if closing is not None:
                closing()
            await super().shutdown(sockets)

    return Closing(settings(app, limits))


def run(
    app: Callable[..., Any],
    listening: socket.socket,
    limits: Limits | None = None,
    closing: Callable[[], None] | None = None,
) -> None:
    """Serve until a signal; then answer what has been accepted, for `limits.drain` seconds."""
    serving = made(app, limits or Limits(), closing)
    with ending_normally(), old_objects_uncollected():
        serving.run(sockets=[listening])


@contextmanager
def old_objects_uncollected() -> Iterator[None]:
    """Within, the garbage collector leaves out the objects that are there now.

    There are 220,000 of them, most of torch; to look at all takes 0.1 seconds, in which no request
    is answered.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@contextmanager
def ending_normally() -> Iterator[None]:
    """Within, SIGTERM and SIGINT end the server and not the process: uvicorn raises them again."""

    def nothing(number: int, frame: FrameType | None) -> None:
        return None

    before = {number: signal.signal(number, nothing) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
