"""The OpenAPI 3.1 document of the service."""

from __future__ import annotations

from typing import Any

from ganforge._version import __version__
from ganforge.errors import SEEDS
from ganforge.sampling.sampler import INDICES, Sampler
from ganforge.serve.limits import Limits
from ganforge.serve.values import FORMATS

PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
    },
}
REFUSALS = {
    "400": "not JSON, or no HTTP",
    "401": "no token, or a wrong one",
    "403": "a page of another site asked",
    "408": "the request came too slowly",
    "413": "the body is too long",
    "415": "the body has another type",
    "421": "the Host is another server's",
    "422": "a value of the wrong type or out of range",
    "503": "too much waits: try again",
    "504": "no samples before the deadline",
}


def document(models: dict[str, Sampler], limits: Limits) -> dict[str, Any]:
    """The document.

    Args:
        models: by their path, "" for the first.
        limits: of the service.
    """
    paths: dict[str, Any] = {}
    for path, sampler in models.items():
        members = values(sampler, limits)
        query = [
            {"name": name, "in": "query", "required": False, "schema": schema}
            for name, schema in {**members, "version": {"type": "string"}}.items()
        ]
        body = {"type": "object", "properties": members, "additionalProperties": False}
        paths[f"{path}/sample"] = {
            "get": {
                "summary": f"Samples of {sampler.name}; the answer depends on the query alone.",
                "parameters": query,
                "responses": answers(),
            },
            "post": {
                "summary": f"Samples of {sampler.name}.",
                "requestBody": {"content": {"application/json": {"schema": body}}},
                "responses": answers(),
            },
        }
    for path, kind in (("/healthz", "text/plain"), ("/readyz", "text/plain"),
                       ("/metrics", "text/plain"), ("/models", "application/json"),
                       ("/openapi.json", "application/json"), ("/", "text/html")):  # fmt: skip
        done = {"200": {"description": "done", "content": {kind: {}}}, "default": refused("no")}
        paths[path] = {"get": {"responses": done}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "ganforge serve", "version": __version__},
        "paths": paths,
        "components": {"schemas": {"Problem": PROBLEM}},
    }


def values(sampler: Sampler, limits: Limits) -> dict[str, Any]:
    """The schema of each value of a request."""
    label: dict[str, Any] = {"type": "null"}
    if sampler.spec.classes:
        one = {"type": ["integer", "string"], "minimum": 0, "maximum": sampler.spec.classes - 1}
        several = {"type": "array", "items": one, "minItems": 1, "maxItems": limits.samples}
        label = {"anyOf": [one, several, {"type": "null"}]}
    return {
        "n": {"type": "integer", "minimum": 1, "maximum": limits.samples, "default": 1},
        "seed": {"type": "integer", "minimum": 1 - SEEDS, "maximum": SEEDS - 1, "default": 0},
        "first": {"type": "integer", "minimum": 0, "maximum": INDICES - 1, "default": 0},
        "label": label,
        "truncation": {"type": "number", "exclusiveMinimum": 0, "maximum": 1, "default": 1},
        "format": {"enum": list(FORMATS), "default": "png"},
    }


def answers() -> dict[str, Any]:
    """What a request for samples may be answered with."""
    content: dict[str, Any] = {kind: {} for kind in FORMATS.values()}
    found: dict[str, Any] = {
        "200": {"description": "the samples", "content": content},
        "304": {"description": "the client has them already"},
    }
    return found | {status: refused(why) for status, why in REFUSALS.items()}


def refused(why: str) -> dict[str, Any]:
    """An answer that is a problem document."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": why, "content": {"application/problem+json": {"schema": schema}}}
