"""The routes of the service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from ganforge import files
from ganforge._version import __version__
from ganforge.errors import GanforgeError, UsageError
from ganforge.export.demo.page import html
from ganforge.runs import checkpoint
from ganforge.sampling.sampler import Sampler
from ganforge.sampling.translate import Translator
from ganforge.serve import openapi, values
from ganforge.serve.access import Access
from ganforge.serve.answers import json_response, plain, routed
from ganforge.serve.batching import Batcher
from ganforge.serve.guard import Guard, read_body, while_connected
from ganforge.serve.index import matches, page
from ganforge.serve.limits import Limits
from ganforge.serve.metrics import Metrics
from ganforge.serve.problems import RequestError
from ganforge.serve.translating import Studio, translate

LARGEST_PAGE = 25_000_000  # letters
YEAR = 365 * 24 * 3600
Made = Callable[[Request], Response | Awaitable[Response]]


@dataclass(frozen=True)
class Model:
    """A generator that is served.

    Args:
        name: in its address, /models/NAME.
        sampler: the generator, which may be a `Translator`.
        sha256: of its weights.
        demo: the page that makes its samples in the browser, empty if the networks allow none.
    """

    name: str
    sampler: Sampler
    sha256: str
    demo: str = ""

    @property
    def version(self) -> str:
        """Of what decides an answer's bytes: the weights and the packages."""
        return files.digest(f"{self.sha256} {__version__} {torch.__version__}".encode())[:16]


def models(named: Sequence[tuple[str, Sampler]]) -> list[Model]:
    """The models of some generators.

    Raises:
        UsageError: two of the same name, or one that translates what no picture file holds.
    """
    found: list[Model] = []
    for name, sampler in named:
        if isinstance(sampler, Translator):
            for direction in sampler.directions:
                sampler.require_pictures(direction)
        if name in [model.name for model in found]:
            raise UsageError(f"two models are called {name}: rename one of the folders")
        weights = checkpoint.encode_tensors(sampler.model.state_dict())
        found.append(Model(name, sampler, files.digest(weights), demo(sampler)))
    return found


def demo(sampler: Sampler) -> str:
    """The page of `ganforge demo`; empty if there can be none, or it is large."""
    try:
        text = html(sampler)
    except GanforgeError:
        return ""
    return text if len(text) <= LARGEST_PAGE else ""


def application(served: Sequence[Model], access: Access, limits: Limits | None = None) -> ASGIApp:
    """The service of some models; the first one is also at /sample or /translate.

    Args:
        served: at least one.
        access: who may ask.
        limits: of requests, connections and the queue.
    """
    limits = limits or Limits()
    metrics = Metrics()
    batcher, studio = Batcher(limits, metrics), Studio(limits, metrics)
    at = {"": served[0]} | {f"/models/{model.name}": model for model in served}
    document = openapi.document({path: model.sampler for path, model in at.items()}, limits)
    listed = [described(model) for model in served]
    ready = asyncio.Event()

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with batcher.running():
            for model in served:
                await asyncio.to_thread(once, model.sampler)
            ready.set()
            yield
        studio.thread.shutdown(cancel_futures=True)

    fixed: dict[str, Made] = {
        "/healthz": lambda request: plain("ok\n"),
        "/readyz": lambda request: plain("ready\n") if ready.is_set() else plain("no\n", 503),
        "/metrics": lambda request: plain(metrics.text(len(batcher.queue))),
        "/models": lambda request: json_response(listed),
        "/openapi.json": lambda request: json_response(document),
    }
    routes = [Route(path, answering(made), methods=["GET"]) for path, made in fixed.items()]
    for path, model in at.items():
        if isinstance(model.sampler, Translator):
            made = partial(translate, translator=model.sampler, sha256=model.sha256, studio=studio)
            routes.append(Route(f"{path}/translate", answering(made), methods=["POST"]))
        else:
            made = partial(sample, model=model, batcher=batcher, limits=limits, access=access)
            routes.append(Route(f"{path}/sample", answering(made), methods=["GET", "POST"]))
        shown = partial(page, model=model, path=path, served=served)
        routes.append(Route(path or "/", answering(shown), methods=["GET"]))
    handlers: dict[type[Exception], Any] = {
        ClientDisconnect: lambda request, error: Response(status_code=400),
        Exception: lambda request, error: RequestError(500, "a bug of the server").response(),
    }
    return Guard(routed(routes, lifespan, handlers), access, limits, metrics.requests)


def once(sampler: Sampler) -> None:
    """Make one sample, or one translation."""
    if isinstance(sampler, Translator):
        source, _ = sampler.ends()
        sampler.translate(np.zeros((1, *source.stored_shape), source.dtype))
    else:
        sampler.sample(1)


def answering(made: Made) -> Callable[[Request], Any]:
    """A route from a partial function, which Starlette would call in another way."""

    async def answer(request: Request) -> Response:
        found = made(request)
        return await found if isinstance(found, Awaitable) else found

    return answer


def described(model: Model) -> dict[str, Any]:
    """A model, as /models lists it."""
    sampler = model.sampler
    found = {
        "name": model.name,
        "path": f"/models/{model.name}",
        "sha256": model.sha256,
        "version": model.version,
        "shape": sampler.spec.shape,
    }
    if isinstance(sampler, Translator):
        source, _ = sampler.ends()
        return found | {"source": source.shape, "directions": sampler.directions}
    return found | {
        "classes": sampler.spec.classes,
        "class_names": sampler.class_names,
        "truncation": sampler.truncation_law,
    }


async def sample(
    request: Request, model: Model, batcher: Batcher, limits: Limits, access: Access
) -> Response:
    """Samples of a model."""
    pinned, given = await asked(request, model, limits)
    wanted = values.checked(given, model.sampler, limits)
    tag = wanted.tag(model.version)
    headers = {
        "ETag": tag,
        "Cache-Control": caching(pinned, bool(access.token)),
        "X-Ganforge-Model": model.sha256,
    }
    if matches(request.headers, tag):
        return Response(status_code=304, headers=headers)
    made = await while_connected(request, batcher.samples(model.sampler, wanted))
    return Response(made, 200, headers, values.FORMATS[wanted.format])


async def asked(request: Request, model: Model, limits: Limits) -> tuple[bool, dict[str, Any]]:
    """(whether the request names the model's version, its values).

    Raises:
        RequestError: a query beside a body, another type than JSON, 413 and what the readers raise;
            404 for the version of another model.
    """
    pairs = request.query_params.multi_items()
    if request.method == "POST":
        if pairs:
            raise RequestError(422, "a POST has its values in its body: the query must be empty")
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise RequestError(415, f"Content-Type {kind!r}: expected application/json")
        return False, values.from_json(await read_body(request, limits.body))
    given = values.from_query(pairs)
    version = given.pop("version", None)
    if version not in (None, model.version):
        raise RequestError(404, f"version {version!r}: this is {model.version}")
    return version is not None, given


def caching(pinned: bool, private: bool) -> str:
    """The Cache-Control of samples: for ever if the address names the model's version."""
    kind = "private" if private else "public"
    return f"{kind}, max-age={YEAR}, immutable" if pinned else f"{kind}, no-cache"
