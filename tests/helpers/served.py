"""A server in a thread, and requests as a client or an attacker sends them."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from ganforge.sampling.sampler import Sampler
from ganforge.serve import server
from ganforge.serve.access import Access
from ganforge.serve.app import application, models
from ganforge.serve.limits import Limits


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Served:
    """The address of a server."""

    port: int
    token: str = ""

    def ask(
        self,
        method: str = "GET",
        path: str = "/sample",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, dict(headers or {}))
            found = connection.getresponse()
            names = {name.lower(): value for name, value in found.getheaders()}
            return Answer(found.status, names, found.read())
        finally:
            connection.close()

    def post(self, value: Any, path: str = "/sample", **headers: str) -> Answer:
        """A value as JSON; bytes as they are."""
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        return self.ask("POST", path, body, {"Content-Type": "application/json", **headers})

    def open(self) -> socket.socket:
        """A bare connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def metric(self, name: str) -> float:
        """A number of /metrics."""
        lines = self.ask(path="/metrics").body.decode().splitlines()
        return float(next(line for line in lines if line.startswith(f"{name} ")).split()[-1])


@contextmanager
def running(
    app: Any, listening: socket.socket, limits: Limits, closing: Callable[[], None] | None = None
) -> Iterator[None]:
    """An application in a thread."""
    found = server.made(app, limits, closing)
    thread = threading.Thread(target=found.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        while not found.started:
            assert thread.is_alive()
            time.sleep(0.005)
        yield
    finally:
        found.should_exit = True
        thread.join()


@contextmanager
def serving(
    *samplers: Sampler, limits: Limits | None = None, demos: bool = True, **access: Any
) -> Iterator[Served]:
    """The service of some generators; demos: whether their pages are those of `ganforge demo`."""
    limits = limits or Limits()
    with server.bound("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        given = Access(**{"port": port, **access})
        found = models([(s.name, s) for s in samplers])
        found = found if demos else [replace(model, demo="") for model in found]
        made = application(found, given, limits)
        with running(made, listening, limits):
            yield Served(port, given.token)
