"""The live page: its routes, and one stream of events for each page that is open."""

from __future__ import annotations

import asyncio
import os
import re
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from ganforge.data import toy
from ganforge.errors import DataError
from ganforge.runs import load
from ganforge.runs.folder import Run, find_runs
from ganforge.runs.samples import Moment, spread
from ganforge.serve.access import Access
from ganforge.serve.answers import json_response, plain, routed
from ganforge.serve.guard import Guard
from ganforge.serve.limits import Limits
from ganforge.serve.problems import RequestError
from ganforge.serve.watch.page import html, policy
from ganforge.serve.watch.tail import Event, Place, Tail, place
from ganforge.text import json_bytes

LOOK = 0.2  # seconds between two looks at the files
SEARCH = 2.0  # seconds between two searches for new runs
PING = 15.0  # seconds after which a quiet stream says that it lives
BEHIND = 256  # lists of events that wait for a page; one that is slower has to connect again
DOTS = 2000  # points of a picture of vectors
LATTICE = 48  # places a side at which D is asked
RUN = re.compile(r"[0-9]{1,6}")
FILE = re.compile(r"[0-9]{1,12}\.(png|json)")


@dataclass
class Watch:
    """All runs, and the pages that look at them.

    Args:
        folder: a run, or a folder in which runs may appear.
        tails: one for each run, in the order of their appearance.
        pages: the queue of each open page.
        lock: of the files, between looks and new pages.
    """

    folder: Path
    tails: list[Tail] = field(default_factory=list)
    pages: set[asyncio.Queue[bytes]] = field(default_factory=set)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    looks: int = 0

    def search(self) -> list[Tail]:
        """The runs that are new; a folder that is a run is the only one."""
        one = Run(self.folder)
        found = [one] if one.exists() else find_runs(self.folder)
        known = {tail.run.path for tail in self.tails}
        fresh = [Tail(run) for run in found if run.path not in known]
        self.tails += fresh
        return fresh

    async def follow(self) -> None:
        """Look at the files for ever, and send every page what is new."""
        every = max(1, round(SEARCH / LOOK))
        while True:
            async with self.lock:
                text = await asyncio.to_thread(self.look, self.looks % every == 0)
            self.looks += 1
            if text:
                for page in list(self.pages):
                    if page.full():
                        self.pages.discard(page)
                    else:
                        page.put_nowait(text)
            # a long log is read on at once, after the pages that wait for the lock
            reads_on = any(tail.preview for tail in self.tails)
            await asyncio.sleep(0 if reads_on else LOOK)

    def look(self, search: bool) -> bytes:
        """The events of everything that is new."""
        if search:
            with suppress(DataError, OSError):
                self.search()
        return b"".join(
            self.event(i, event) for i, tail in enumerate(self.tails) for event in tail.look()
        )

    def first(self, known: dict[int, Place | None]) -> bytes:
        """The events for a page that has just opened, or that knows the logs up to some places."""
        out = []
        for i, tail in enumerate(self.tails):
            events = [*tail.since(known.get(i)), *(Event(k, v) for k, v in tail.seen.items())]
            out += [self.event(i, event) for event in events]
        return b"".join(out)

    def name(self, tail: Tail) -> str:
        """A run's path inside the folder; of the only run the folder's name."""
        if tail.run.path == self.folder:
            return self.folder.resolve().name
        return str(tail.run.path.relative_to(self.folder))

    def event(self, i: int, event: Event) -> bytes:
        """An event as the stream has it: its id names the place in every log."""
        value = {"run": i, "name": self.name(self.tails[i]), "value": event.value}
        if event.after is not None:
            value["after"] = str(event.after)
        ids = ".".join(f"{n}-{tail.shown}" for n, tail in enumerate(self.tails))
        name, data = event.kind.encode(), json_bytes(value, allow_nan=False)
        return b"id: " + ids.encode() + b"\nevent: " + name + b"\ndata: " + data + b"\n\n"

    def close(self) -> None:
        """End the streams of all pages."""
        for page in self.pages:
            if not page.full():
                page.put_nowait(b"")  # wakes it
        self.pages.clear()

    async def stream(self, last: str) -> AsyncIterator[bytes]:
        """The events for one page; last: the id of the last one that it has."""
        page: asyncio.Queue[bytes] = asyncio.Queue(BEHIND)
        async with self.lock:
            begin = await asyncio.to_thread(self.first, places(last))
            self.pages.add(page)
        try:
            yield b"retry: 500\n\n" + begin
            while page in self.pages or not page.empty():
                try:
                    yield await asyncio.wait_for(page.get(), PING)
                except TimeoutError:
                    yield b": alive\n\n"
        finally:
            self.pages.discard(page)


def places(last: str) -> dict[int, Place | None]:
    """The place in each log that an event's id names."""
    found = {}
    for part in last[:8000].split("."):
        number, _, rest = part.partition("-")
        if number.isdecimal() and len(number) < 6:
            found[int(number)] = place(rest)
    return found


def watch_folder(folder: Path) -> Watch:
    """The runs of a folder, or the one run that it is; DataError if there is no such folder."""
    watch = Watch(folder)
    watch.search()
    return watch


def application(watch: Watch, access: Access) -> ASGIApp:
    """The live page about some runs."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        following = asyncio.create_task(watch.follow())
        yield
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following

    async def index(request: Request) -> Response:
        headers = {"Content-Security-Policy": policy(), "Cache-Control": "no-cache"}
        return Response(html(), 200, headers, "text/html")

    async def events(request: Request) -> Response:
        last = request.headers.get("last-event-id", "")
        stream = watch.stream(last)
        return StreamingResponse(stream, 200, {"Cache-Control": "no-store"}, "text/event-stream")

    async def sample(request: Request) -> Response:
        return await asyncio.to_thread(sample_file, watch.tails, **request.path_params)

    async def health(request: Request) -> Response:
        return plain("ok\n")

    async def runs(request: Request) -> Response:
        return json_response([watch.name(tail) for tail in watch.tails])

    paths = {"/": index, "/events": events, "/healthz": health, "/runs": runs}
    routes = [Route(path, made, methods=["GET"]) for path, made in paths.items()]
    routes.append(Route("/runs/{number:str}/samples/{name:str}", sample, methods=["GET"]))
    return Guard(routed(routes, lifespan), access, Limits(), Counter())


def sample_file(tails: Sequence[Tail], number: str, name: str) -> Response:
    """The samples of a step of a run: a picture, or vectors as JSON.

    Raises:
        RequestError: 404, no such run or step, or a link.
    """
    missing = RequestError(404, "there are no such samples")
    if not (FILE.fullmatch(name) and RUN.fullmatch(number) and int(number) < len(tails)):
        raise missing
    run, vectors = tails[int(number)].run, name.endswith(".json")
    step = int(name.partition(".")[0])
    path = next((p for p in named(run.samples, step) if (p.suffix == ".npz") == vectors), None)
    if path is None:
        raise missing
    headers = {"Cache-Control": "no-cache"}
    try:
        if vectors:
            return json_response(dots(run, Moment(step, 0.0, path)))
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
        with os.fdopen(handle, "rb") as file:
            return Response(file.read(), 200, headers, "image/png")
    except (OSError, DataError):
        raise missing from None


def named(folder: Path, step: int) -> list[Path]:
    """The files of a step that are no links."""
    found = [folder / f"{step:0{digits}}{kind}" for digits in range(1, 13)
             for kind in (".png", ".npz")]  # fmt: skip
    return [path for path in dict.fromkeys(found) if path.is_file() and not path.is_symlink()]


def dots(run: Run, moment: Moment) -> dict[str, Any]:
    """Two numbers of at most DOTS vectors, one of vectors of one number.

    Of a law of the plane also points that are real and, at the newest step, D of the newest
    checkpoint at the places of a lattice over [-reach, reach]^2, row by row from below.
    """
    points = moment.points()
    thin = np.array(spread(list(points[:, :2]), DOTS))
    found = {"points": thin.round(4).tolist(), "count": len(points), "features": points.shape[1]}
    law = str(run.settings().get("data"))
    if law not in toy.LAWS or not toy.LAWS[law].features == points.shape[1] == 2:
        return found
    real = toy.draws(law, "validation", 0)[:DOTS]
    reach = 1.05 * float(max(np.abs(real).max(), np.abs(thin).max()))
    found |= {"real": real.round(4).tolist(), "reach": reach}
    newest = max(int(path.stem) for path in run.samples.glob("*.npz"))
    judge = load.discriminator(run) if moment.step == newest else None
    if judge is not None:
        ticks = (np.arange(LATTICE) + 0.5) / LATTICE * 2 * reach - reach
        lattice = np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2)
        found["judged"] = judge(lattice).round(3).tolist()
    return found
