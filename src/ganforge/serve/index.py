"""The page at /: the samples of a model, or a form for a translator, and how to ask for more."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response

from ganforge import files
from ganforge.export.demo.page import policy_of, rendered
from ganforge.sampling.translate import Translator

if TYPE_CHECKING:
    from ganforge.serve.app import Model


def page(request: Request, model: Model, path: str, served: Sequence[Model]) -> Response:
    """The page of a model at its path: its demo, or samples or a form with links to the others."""
    if model.demo:
        headers = demo_headers(model.demo)
        if matches(request.headers, headers["ETag"]):
            return Response(status_code=304, headers=headers)
        return Response(model.demo, 200, headers, "text/html")
    sampler, spec = model.sampler, model.sampler.spec
    form: dict[str, Any] = {"directions": (), "random": False, "area": 0}
    if isinstance(sampler, Translator):
        source, _ = sampler.ends()
        form = {
            "directions": sampler.directions,
            "random": any(map(sampler.is_random, sampler.directions)),
            "area": math.prod(source.shape[1:]),
        }
    text = rendered(
        "service.html",
        ("drawing.mjs", "service.mjs") if form["directions"] else (),
        sources="img-src 'self' data: blob:; connect-src 'self'",
        title=model.name,
        address=str(request.base_url).rstrip("/"),
        path=path,
        picture=spec.is_image,
        kind="png" if spec.is_image else "json",
        label=("&label=0" if spec.classes else "") + ("" if spec.is_image else "&format=json"),
        others=[other.name for other in served] if len(served) > 1 else [],
        **form,
    )
    headers = {"Content-Security-Policy": f"{policy_of(text)}; frame-ancestors 'none'"}
    return Response(text, 200, headers, "text/html")


@cache
def demo_headers(demo: str) -> dict[str, str]:
    """The headers of a demo, which is hashed once: it may have 25 million letters."""
    return {
        "Content-Security-Policy": f"{policy_of(demo)}; frame-ancestors 'none'",
        "Cache-Control": "no-cache",
        "ETag": f'"{files.digest(demo.encode())[:32]}"',
    }


def matches(headers: Mapping[str, str], tag: str) -> bool:
    """Whether the If-None-Match of a request has the tag."""
    tags = [t.strip().removeprefix("W/") for t in headers.get("if-none-match", "").split(",")]
    return tag in tags or "*" in tags
