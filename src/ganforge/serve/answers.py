"""What the service and the live page have in common: answers, and routes that refuse plainly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Lifespan

from ganforge.serve.problems import RequestError
from ganforge.text import json_bytes


def routed(
    routes: Sequence[Route],
    lifespan: Lifespan[Starlette],
    handlers: Mapping[type[Exception], Any] | None = None,
) -> Starlette:
    """Routes whose refusals are problem documents, without redirects to other paths.

    handlers: of further exceptions, (request, error) -> Response.
    """
    refusals: dict[Any, Any] = {
        kind: lambda request, error: problem(error) for kind in (RequestError, HTTPException)
    }
    app = Starlette(
        routes=routes, lifespan=lifespan, exception_handlers={**refusals, **(handlers or {})}
    )
    app.router.redirect_slashes = False
    return app


def problem(error: Exception) -> Response:
    """The problem document of an exception of ours, or of the router."""
    if isinstance(error, HTTPException):
        details = {404: "there is nothing at this path", 405: "the path has no such method"}
        detail = details.get(error.status_code, error.detail)
        error = RequestError(error.status_code, detail, error.headers or {})
    assert isinstance(error, RequestError)
    return error.response()


def plain(text: str, status: int = 200) -> Response:
    """Text."""
    return Response(text, status, media_type="text/plain")


def json_response(value: Any) -> Response:
    """A value as JSON."""
    return Response(json_bytes(value), media_type="application/json")
