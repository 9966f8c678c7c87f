"""The OpenAPI 3.1 document of the service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ganforge._version import __version__
from ganforge.errors import SEEDS
from ganforge.sampling.sampler import INDICES, Sampler
from ganforge.sampling.translate import Translator
from ganforge.serve import uploads
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
SEED = {"type": "integer", "minimum": 1 - SEEDS, "maximum": SEEDS - 1, "default": 0}
FIRST = {"type": "integer", "minimum": 0, "maximum": INDICES - 1, "default": 0}
UNCHANGED = {"304": {"description": "the client has them already"}}
REFUSALS = {
    "400": "not JSON, a damaged picture, or no HTTP",
    "401": "no token, or a wrong one",
    "403": "a page of another site asked",
    "408": "the request came too slowly",
    "411": "the size of a picture is missing",
    "413": "the body is too long, or the picture too large",
    "415": "the body has another type",
    "421": "the Host is another server's",
    "422": "a value of the wrong type or out of range",
    "503": "too much waits: try again",
    "504": "not computed before the deadline",
}


def document(models: dict[str, Sampler], limits: Limits) -> dict[str, Any]:
    """The document.

    Args:
        models: by their path, "" for the first.
        limits: of the service.
    """
    paths: dict[str, Any] = {}
    for path, sampler in models.items():
        if isinstance(sampler, Translator):
            paths[f"{path}/translate"] = {"post": translations(sampler, limits)}
        else:
            paths[f"{path}/sample"] = samples(sampler, limits)
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


def samples(sampler: Sampler, limits: Limits) -> dict[str, Any]:
    """The two ways to ask for samples."""
    members = values(sampler, limits)
    body = {"type": "object", "properties": members, "additionalProperties": False}
    return {
        "get": {
            "summary": f"Samples of {sampler.name}; the answer depends on the query alone.",
            "parameters": query(members | {"version": {"type": "string"}}),
            "responses": answers(*FORMATS.values()) | UNCHANGED,
        },
        "post": {
            "summary": f"Samples of {sampler.name}.",
            "requestBody": {"content": {"application/json": {"schema": body}}},
            "responses": answers(*FORMATS.values()) | UNCHANGED,
        },
    }


def translations(translator: Translator, limits: Limits) -> dict[str, Any]:
    """How to ask for the translation of a picture."""
    picture = {"type": "string", "format": "binary", "maxLength": limits.picture}
    direction = {"enum": list(translator.directions), "default": translator.directions[0]}
    return {
        "summary": f"A picture of at most {limits.pixels:,} pixels, translated by "
        f"{translator.name} and brought back to its size.",
        "parameters": query({"direction": direction, "seed": SEED, "first": FIRST}),
        "requestBody": {
            "required": True,
            "content": {kind: {"schema": picture} for kind in uploads.FORMATS},
        },
        "responses": answers("image/png"),
    }


def query(members: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Values as the parameters of a query."""
    return [
        {"name": name, "in": "query", "required": False, "schema": schema}
        for name, schema in members.items()
    ]


def values(sampler: Sampler, limits: Limits) -> dict[str, Any]:
    """The schema of each value of a request."""
    label: dict[str, Any] = {"type": "null"}
    if sampler.spec.classes:
        one = {"type": ["integer", "string"], "minimum": 0, "maximum": sampler.spec.classes - 1}
        several = {"type": "array", "items": one, "minItems": 1, "maxItems": limits.samples}
        label = {"anyOf": [one, several, {"type": "null"}]}
    return {
        "n": {"type": "integer", "minimum": 1, "maximum": limits.samples, "default": 1},
        "seed": SEED,
        "first": FIRST,
        "label": label,
        "truncation": {"type": "number", "exclusiveMinimum": 0, "maximum": 1, "default": 1},
        "format": {"enum": list(FORMATS), "default": "png"},
    }


def answers(*kinds: str) -> dict[str, Any]:
    """What a request may be answered with, in one of some types."""
    done = {"200": {"description": "done", "content": {kind: {} for kind in kinds}}}
    return done | {status: refused(why) for status, why in REFUSALS.items()}


def refused(why: str) -> dict[str, Any]:
    """An answer that is a problem document."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": why, "content": {"application/problem+json": {"schema": schema}}}
