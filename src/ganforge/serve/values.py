"""A request for samples or a translation: JSON or a query, checked before it is queued."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn

from ganforge import files
from ganforge.errors import SEEDS, UsageError
from ganforge.sampling.sampler import INDICES, Sampler, check_truncation, is_whole, whole
from ganforge.sampling.translate import FORTH, Translator
from ganforge.serve.limits import Limits
from ganforge.serve.problems import RequestError

FORMATS = {"png": "image/png", "npz": "application/octet-stream", "json": "application/json"}
WHOLE = re.compile(r"-?[0-9]{1,19}")
NUMBER = re.compile(r"[0-9]*\.?[0-9]+(e-?[0-9]{1,3})?", re.ASCII)


@dataclass(frozen=True)
class SampleRequest:
    """Samples first .. first + n - 1 of a seed, as `Sampler.sample` makes them, in a format.

    labels: a label for each sample; None if the generator takes none.
    """

    n: int
    seed: int
    first: int
    labels: tuple[int, ...] | None
    truncation: float
    format: str

    def tag(self, version: str) -> str:
        """The ETag of the answer by the model `version`."""
        text = json.dumps([version, vars(self)], sort_keys=True)
        return f'"{files.digest(text.encode())[:32]}"'


def from_json(body: bytes) -> dict[str, Any]:
    """The members of a JSON object.

    Raises:
        RequestError: 400 for what is not JSON (RFC 8259), 422 for another value than an object.
    """
    try:
        found = json.loads(body.decode(), parse_constant=no_number, object_pairs_hook=once)
    except (ValueError, RecursionError):
        raise RequestError(400, "the body is not JSON in UTF-8 with each name once") from None
    if not isinstance(found, dict):
        raise RequestError(422, 'the body is no JSON object, such as {"seed": 7}')
    return found


def no_number(text: str) -> NoReturn:
    """NaN and Infinity are no JSON."""
    raise ValueError(text)


def once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """The members of an object; ValueError if a name comes twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name comes twice")
    return found


def from_query(pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """The values of a query, numbers read from their text; `label` may come several times.

    Raises:
        RequestError: 422, a name that comes twice, or no number where one is expected.
    """
    found: dict[str, Any] = {}
    for key, text in pairs:
        if key == "label":
            found[key] = [*found.get(key, []), text]
        elif key in found:
            raise RequestError(422, f"{key} comes twice: give it once")
        elif key in ("n", "seed", "first"):
            if not WHOLE.fullmatch(text):
                raise RequestError(422, f"{key} = {text!r}: expected a whole number")
            found[key] = int(text)
        elif key == "truncation":
            found[key] = float(text) if NUMBER.fullmatch(text) else text
        else:
            found[key] = text
    return found


def checked(given: Mapping[str, Any], sampler: Sampler, limits: Limits) -> SampleRequest:
    """The request of some values; those left out have the values of `Sampler.sample`, n = 1.

    Raises:
        RequestError: 422, naming the value and what it may be.
    """
    require_known(given, ("n", "seed", "first", "label", "truncation", "format"))
    kind, truncation = given.get("format", "png"), given.get("truncation", 1.0)
    with values_refused():
        n = whole("n", given.get("n", 1), 1, limits.samples + 1)
        seed, first = placed(given)
        check_truncation(truncation)
        labels = sampler.labels(n, checked_label(given.get("label"), limits))
    if not isinstance(kind, str) or kind not in FORMATS:
        raise RequestError(422, f"format = {kind!r}: expected one of {', '.join(FORMATS)}")
    if kind == "png" and not sampler.spec.is_image:
        raise RequestError(422, f"format = 'png': {sampler.name} makes vectors: use json or npz")
    numbers = n * math.prod(sampler.spec.shape)
    if kind == "json" and numbers > limits.numbers:
        raise RequestError(
            422, f"n = {n}: {numbers:,} numbers, but JSON ends at {limits.numbers:,}: use npz"
        )
    used = None if labels is None else tuple(labels.tolist())
    return SampleRequest(n, seed, first, used, float(truncation), kind)


@dataclass(frozen=True)
class TranslationRequest:
    """Picture `first` of a seed, in a direction, as `Translator.translate` has them."""

    direction: str
    seed: int
    first: int


def checked_translation(given: Mapping[str, Any], translator: Translator) -> TranslationRequest:
    """The request of some values; those left out have the values of `Translator.translate`.

    Raises:
        RequestError: 422, naming the value and what it may be.
    """
    require_known(given, ("direction", "seed", "first"))
    direction = given.get("direction", FORTH)
    if direction not in translator.directions:
        expected = " or ".join(translator.directions)
        raise RequestError(422, f"direction = {direction!r}: expected {expected}")
    with values_refused():
        seed, first = placed(given)
    return TranslationRequest(direction, seed, first)


def placed(given: Mapping[str, Any]) -> tuple[int, int]:
    """(seed, index of the first picture); UsageError if they are out of range."""
    seed = whole("seed", given.get("seed", 0), 1 - SEEDS, SEEDS)
    return seed, whole("first", given.get("first", 0), 0, INDICES)


def require_known(given: Mapping[str, Any], known: Sequence[str]) -> None:
    """RequestError 422 for a value of another name."""
    for key in given:
        if key not in known:
            raise RequestError(422, f"{key!r} is unknown; known: {', '.join(known)}")


@contextmanager
def values_refused() -> Iterator[None]:
    """Within, a UsageError becomes a RequestError 422."""
    try:
        yield
    except UsageError as error:
        raise RequestError(422, str(error)) from None


def checked_label(label: Any, limits: Limits) -> Any:
    """A label, or a list of labels; UsageError for other values, which numpy might accept."""
    several = label if isinstance(label, list) else [label]
    if label is not None and not all(isinstance(one, str) or is_whole(one) for one in several):
        raise UsageError(f"label = {label!r}: expected a number, a class name, or a list of these")
    if len(several) > limits.samples:
        raise UsageError(f"label: {len(several)} labels, but {limits.samples} samples at most")
    return label
