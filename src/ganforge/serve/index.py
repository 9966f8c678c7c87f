"""The page at /: the samples of a model, and how to ask for others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from ganforge import files
from ganforge.export.demo.page import policy_of

if TYPE_CHECKING:
    from ganforge.serve.app import Model

STYLE = """
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
body { max-width: 42rem; margin: 2rem auto; padding: 0 1rem; }
img { image-rendering: pixelated; width: min(100%, 24rem); border-radius: .5rem; }
pre { overflow-x: auto; padding: .75rem; border: 1px solid; border-radius: .5rem; }
a { color: inherit; }
"""
TEMPLATE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ name }}</title><style>{{ style }}</style></head><body>
<h1>{{ name }}</h1>
{% if picture %}
<p><img src="{{ path }}/sample?n=16" alt="16 samples of {{ name }}"></p>
{% endif %}
<p>Ask for other samples:</p>
<pre>curl '{{ address }}{{ path }}/sample?seed=7{{ label }}' -o sample.{{ kind }}</pre>
{% if others %}<p>Models:{% for other in others %}
<a href="/models/{{ other }}">{{ other }}</a>{% endfor %}</p>{% endif %}
<p><a href="/openapi.json">openapi.json</a> <a href="/models">models</a>
<a href="/metrics">metrics</a></p>
</body></html>
"""


def page(request: Request, model: Model, path: str, served: Sequence[Model]) -> Response:
    """The page of a model at its path: its demo, or its samples with links to the others."""
    if model.demo:
        headers = demo_headers(model.demo)
        if matches(request.headers, headers["ETag"]):
            return Response(status_code=304, headers=headers)
        return Response(model.demo, 200, headers, "text/html")
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(autoescape=True, undefined=StrictUndefined)
    spec = model.sampler.spec
    text = environment.from_string(TEMPLATE).render(
        name=model.name,
        address=str(request.base_url).rstrip("/"),
        path=path,
        picture=spec.is_image,
        kind="png" if spec.is_image else "json",
        label=("&label=0" if spec.classes else "") + ("" if spec.is_image else "&format=json"),
        others=[other.name for other in served] if len(served) > 1 else [],
        style=Markup(STYLE),
    )
    policy = f"default-src 'none'; img-src 'self'; style-src {files.policy_hash(STYLE)}"
    headers = {"Content-Security-Policy": f"{policy}; base-uri 'none'; frame-ancestors 'none'"}
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
