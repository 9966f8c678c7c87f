"""Errors of the service as problem documents (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from starlette.responses import Response

from ganforge.text import json_bytes

LONGEST = 400  # letters of a detail


class RequestError(Exception):
    """A request that gets no samples: the HTTP status, one sentence on why, further headers."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None):
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, headers or {}

    def response(self) -> Response:
        """The answer. The connection is closed, for a part of the request may be unread."""
        return Response(
            body(self.status, self.detail),
            self.status,
            {"Cache-Control": "no-store", "Connection": "close", **self.headers},
            "application/problem+json",
        )


def short_of_memory() -> RequestError:
    """The answer if the machine lacks memory."""
    return RequestError(
        503, "the machine lacks memory for this: ask for fewer", {"Retry-After": "5"}
    )


def body(status: int, detail: str) -> bytes:
    """The JSON of a problem document."""
    short = detail if len(detail) <= LONGEST else f"{detail[:LONGEST]} ..."
    title = HTTPStatus(status).phrase
    return json_bytes({"type": "about:blank", "title": title, "status": status, "detail": short})
