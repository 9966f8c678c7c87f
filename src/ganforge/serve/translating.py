"""POST /translate: a picture is decoded and translated by one worker, one after the other."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from torch import nn

from ganforge import images
from ganforge.data.spec import as_uint8
from ganforge.errors import lacks_memory
from ganforge.sampling.translate import Translator
from ganforge.serve.guard import declared, drain, read_body, while_connected
from ganforge.serve.limits import Limits
from ganforge.serve.metrics import Metrics
from ganforge.serve.problems import RequestError, short_of_memory
from ganforge.serve.uploads import decoded, format_of
from ganforge.serve.values import TranslationRequest, checked_translation, from_query

DRAINED = 2**25  # bytes of a refused body that are read, as a camera's picture has


class StoppedError(Exception):
    """The translation is past its deadline, or nobody waits for it."""


class Studio:
    """The worker, and the pictures that it has accepted."""

    def __init__(self, limits: Limits, metrics: Metrics):
        self.limits, self.metrics = limits, metrics
        self.thread = ThreadPoolExecutor(1, "translating")
        self.waiting = 0  # bytes of pictures

    async def answer(self, request: Request, translator: Translator) -> bytes:
        """The translation of a request's picture, a PNG file.

        Raises:
            RequestError: before the picture is read, 415, 422, 411, 413, and 503 if too many wait;
                then 504 past the deadline, and what `decoded` raises.
        """
        try:
            form = format_of(request.headers.get("content-type", ""))
            asked = checked_translation(from_query(request.query_params.multi_items()), translator)
            size = self.size(request)
        except RequestError:
            await drain(request, DRAINED)
            raise
        self.waiting += size
        try:
            body = await read_body(request, self.limits.picture)
            return await while_connected(request, self.translated(translator, asked, form, body))
        finally:
            self.waiting -= size

    def size(self, request: Request) -> int:
        """The bytes of a request's picture, for which there is room; RequestError if not."""
        size = declared(request)
        if size is None:
            raise RequestError(411, "no Content-Length: send the picture's size before it")
        if size > self.limits.picture:
            raise RequestError(413, f"the picture has more than {self.limits.picture:,} bytes")
        if self.waiting + size > self.limits.waiting:
            raise RequestError(503, "too many pictures wait: try again", {"Retry-After": "5"})
        return size

    async def translated(
        self, translator: Translator, asked: TranslationRequest, form: str, body: bytes
    ) -> bytes:
        """The translation, made by the worker before the deadline."""
        began, stop = time.monotonic(), threading.Event()
        given = translator, asked, form, body, stop
        work = asyncio.get_running_loop().run_in_executor(self.thread, self.compute, *given)
        try:
            async with asyncio.timeout(self.limits.deadline):
                made = await work
        except TimeoutError:
            detail = f"no translation within {self.limits.deadline:g} seconds: send a smaller one"
            raise RequestError(504, detail, {"Retry-After": "5"}) from None
        finally:
            stop.set()
            self.metrics.dropped += work.cancelled()
        self.metrics.translation.add(time.monotonic() - began)
        return made

    def compute(
        self,
        translator: Translator,
        asked: TranslationRequest,
        form: str,
        body: bytes,
        stop: threading.Event,
    ) -> bytes:
        """What the worker does; it ends at the next layer once `stop` is set."""
        _, target = translator.ends(asked.direction)
        channels = translator.require_pictures(asked.direction)
        try:
            with stopped_by(stop, translator.network(asked.direction)):
                picture = decoded(body, form, channels, self.limits)
                made = translator.translate(picture[None], asked.seed, asked.direction, asked.first)
        except (StoppedError, RequestError):
            raise
        except Exception as error:  # whatever torch raises
            raise (short_of_memory() if lacks_memory(error) else error) from None
        self.metrics.translated += 1
        return images.png(images.grid(as_uint8(made, target), 1, gap=0))


@contextmanager
def stopped_by(stop: threading.Event, network: nn.Module) -> Iterator[None]:
    """Within, a layer that begins after `stop` is set raises StoppedError."""

    def look(*_: Any) -> None:
        if stop.is_set():
            raise StoppedError

    look()
    handles = [part.register_forward_pre_hook(look) for part in network.modules()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


async def translate(
    request: Request, translator: Translator, sha256: str, studio: Studio
) -> Response:
    """The translation of the picture in a request."""
    made = await studio.answer(request, translator)
    headers = {"Cache-Control": "no-store", "X-Ganforge-Model": sha256}
    return Response(made, 200, headers, "image/png")
