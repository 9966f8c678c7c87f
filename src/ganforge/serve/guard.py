"""What stands before every route: access, the size of the body, the headers of every answer."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlencode

from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ganforge.serve.access import COOKIE, Access
from ganforge.serve.limits import Limits
from ganforge.serve.problems import RequestError

T = TypeVar("T")
SAFE = {
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-opener-policy": b"same-origin",
    b"x-frame-options": b"DENY",
}
NO_SCRIPT = b"default-src 'none'; frame-ancestors 'none'"
ONCE = (b"host", b"origin", b"sec-fetch-site", b"content-length", b"content-type", b"authorization")


class Guard:
    """An application behind the rules of `Access` and `Limits`.

    Args:
        app: what answers.
        access: who may ask.
        limits: of a request.
        statuses: counts answers by status.
    """

    def __init__(self, app: ASGIApp, access: Access, limits: Limits, statuses: Counter[int]):
        self.app, self.access, self.limits, self.statuses = app, access, limits, statuses

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close"})
            return
        headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]}
        origin = headers.get("origin", "")
        shared = origin if origin in self.access.origins else ""

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.statuses[message["status"]] += 1
                message = {**message, "headers": with_headers(message["headers"], shared)}
            async with asyncio.timeout(self.limits.send):
                await send(message)

        early = self.early(scope, headers, shared)
        if early is None:
            await self.app(scope, receive, guarded)
        else:
            await early(scope, receive, guarded)

    def early(self, scope: Scope, headers: Mapping[str, str], shared: str) -> Response | None:
        """The answer to a request that the application does not see, or None."""
        method, path = scope["method"], scope["path"]
        query = scope["query_string"].decode("latin-1")
        names = Counter(name for name, _ in scope["headers"])
        if twice := [name.decode() for name in ONCE if names[name] > 1]:
            return RequestError(400, f"the header {twice[0]} comes twice").response()
        if refused := self.access.refusal(method, path, query, headers):
            return refused.response()
        if method == "OPTIONS" and shared:
            allowed = {
                "Access-Control-Allow-Methods": "GET, POST",
                "Access-Control-Allow-Headers": "Content-Type, Authorization",
                "Access-Control-Max-Age": "600",
            }
            return Response(status_code=204, headers=allowed)
        pairs = parse_qsl(query, keep_blank_values=True)
        if self.access.token and method == "GET" and "token" in dict(pairs):
            rest = urlencode([pair for pair in pairs if pair[0] != "token"])
            to = RedirectResponse("/" + path.lstrip("/") + (f"?{rest}" if rest else ""), 303)
            to.set_cookie(COOKIE, self.access.token, httponly=True, samesite="strict")
            return to
        return None


def with_headers(given: Any, shared: str) -> list[tuple[bytes, bytes]]:
    """The headers of an answer, with those that every answer has.

    shared: the origin of a page that may read the answer, or empty.
    """
    found = [(name.lower(), value) for name, value in given]
    names = {name for name, _ in found}
    policies = b"cross-origin" if shared else b"same-origin"
    always = {**SAFE, b"cross-origin-resource-policy": policies}
    if b"content-security-policy" not in names:
        always[b"content-security-policy"] = NO_SCRIPT
    if shared:
        always[b"access-control-allow-origin"] = shared.encode("latin-1")
        always[b"vary"] = b"Origin"
    return [*found, *((k, v) for k, v in always.items() if k not in names)]


def declared(request: Request) -> int | None:
    """The Content-Length of a request; None if it has none."""
    text = request.headers.get("content-length", "")
    return int(text[:19]) if text.isdecimal() else None


async def read_body(request: Request, most: int) -> bytes:
    """The body of a request.

    Raises:
        RequestError: 413, more than `most` bytes, as declared or as sent.
    """
    parts, size = [], declared(request) or 0
    if size <= most:
        size = 0
        async for part in request.stream():
            size += len(part)
            if size > most:
                break
            parts.append(part)
    if size > most:
        raise RequestError(413, f"the body has more than {most:,} bytes")
    return b"".join(parts)


async def drain(request: Request, most: int) -> None:
    """Read a body of at most `most` declared bytes, and throw it away.

    A client that is still sending when the connection is closed may not see the answer.
    """
    waits = "expect" in request.headers  # for leave to send its body
    if not waits and 0 < (declared(request) or 0) <= most:
        async for _ in request.stream():
            pass


async def while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The result of some work, which ends if the client goes; ClientDisconnect then."""
    task, gone = asyncio.ensure_future(work), asyncio.ensure_future(disconnected(request))
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
        return task.result()
    finally:
        gone.cancel()
        task.cancel()


async def disconnected(request: Request) -> None:
    """Returns when the client has gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
