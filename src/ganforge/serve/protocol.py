"""Connections with deadlines: of half a request none stays open, and only so many are open."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from ganforge.serve.limits import Limits
from ganforge.serve.problems import body

PLAIN = "HTTP/1.1 {} {}\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\n"
CLOSING = "retry-after: 1\r\nconnection: close\r\n\r\n"


class Joined:
    """A transport whose writes of one turn of the event loop leave together.

    The head and the body of an answer are one system call, after which the thread that computes
    has the interpreter once and not twice.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop):
        self.transport, self.loop = transport, loop
        self.parts: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.transport, name)

    def write(self, data: bytes) -> None:
        if not self.parts:
            self.loop.call_soon(self.flush)
        self.parts.append(data)

    def flush(self) -> None:
        """Hand on what has been written."""
        if self.parts:
            self.transport.write(b"".join(self.parts))
            self.parts.clear()

    def close(self) -> None:
        self.flush()
        self.transport.close()


class Connection(H11Protocol):
    """A connection that is closed if the head, or then a portion of the body, takes too long.

    If too many are open, the one that has been waiting longest for the rest of a request makes
    room: half-sent requests do not keep whole ones out.
    """

    limits = Limits()
    waiting: asyncio.TimerHandle | None = None
    phase: Any = None  # what of a request the timer waits for
    came: int = 0  # bytes since the timer began

    def connection_made(self, transport: Any) -> None:
        joined: Any = Joined(transport, self.loop)
        super().connection_made(joined)
        self.watch()
        if len(self.connections) > self.limits.connections:
            others = [c for c in self.connections if isinstance(c, Connection) and c is not self]
            oldest = min(others, key=Connection.due)
            if oldest.waiting:
                oldest.end()
            else:
                self.refuse(503, "too many connections are open: try again")

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self.came += len(data)
        if self.came >= self.limits.portion and not self.answered:
            self.phase = None  # the timer begins anew
        self.watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self.watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self.unwatch()
        super().connection_lost(exc)

    @property
    def answered(self) -> bool:
        """Whether the answer to the request has begun."""
        return self.cycle is not None and self.cycle.response_started

    def due(self) -> float:
        """When the timer ends; infinite if nothing is waited for."""
        return self.waiting.when() if self.waiting else math.inf

    def watch(self) -> None:
        """Start the timer where the head or the body of a request begins, stop it at its end."""
        phase = self.conn.their_state
        if phase not in (h11.IDLE, h11.SEND_BODY):
            self.unwatch()
        elif phase is not self.phase:
            self.unwatch()
            self.phase, self.came = phase, 0
            self.waiting = self.loop.call_later(self.limits.receive, self.end)

    def unwatch(self) -> None:
        """Stop the timer."""
        if self.waiting is not None:
            self.waiting.cancel()
        self.waiting = self.phase = None

    def end(self) -> None:
        """Close a connection whose request is incomplete."""
        self.unwatch()  # so that it is not chosen again to make room
        if self.conn.their_state is h11.SEND_BODY and not self.answered:
            self.refuse(408, f"the request took more than {self.limits.receive:g} seconds")
        else:
            self.transport.close()

    def refuse(self, status: int, detail: str) -> None:
        """Answer with a problem document and close."""
        data = body(status, detail)
        head = PLAIN.format(status, "Refused", len(data)) + CLOSING
        self.transport.write(head.encode() + data)
        self.transport.close()


def connection(limits: Limits) -> type[Connection]:
    """The class of connections with these limits."""
    return type("LimitedConnection", (Connection,), {"limits": limits})
