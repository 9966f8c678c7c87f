"""Codes of z that are chosen instead of drawn: one value, or a range that a path walks."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from ganforge.config.noise import LatentCode, Noise
from ganforge.errors import UsageError, did_you_mean

Value = float | tuple[float, float]
Codes = Mapping[str, Value]  # name -> a number, or (from, to)


def parsed(
    text: str | None, option: str = "--codes", form: str = "digit=3,slant=-2..2"
) -> dict[str, Value]:
    """The numbers and ranges of a text as `digit=3,slant=-2..2`, by name.

    Raises:
        UsageError: the text has another form; option, form: what the message says.
    """
    found: dict[str, Value] = {}
    for part in (text or "").split(",") if text is not None else ():
        name, equals, value = (word.strip() for word in part.partition("="))
        if not (equals and name) or name in found:
            raise UsageError(f"{option} {text}: {part.strip()!r}: expected such as {form}")
        try:
            numbers = [float(number) for number in value.split("..")]
        except ValueError:
            numbers = []
        if len(numbers) not in (1, 2) or not all(map(math.isfinite, numbers)):
            raise UsageError(f"{option} {text}: {value!r}: expected such as {form}")
        found[name] = numbers[0] if len(numbers) == 1 else (numbers[0], numbers[1])
    return found


def checked(codes: Codes, noise: Noise, name: str) -> dict[str, Value]:
    """The codes, if the generator called `name` has them and they can have these values.

    Raises:
        UsageError: they cannot.
    """
    known = {code.name: code for code in noise.codes or ()}
    for key, value in codes.items():
        if key not in known:
            hint = did_you_mean(key, list(known)) if known else "it has none; train infogan"
            raise UsageError(f"code {key!r} of {name}: {hint}")
        for number in value if isinstance(value, tuple) else (value,):
            check_number(known[key], number)
    return dict(codes)


def check_number(code: LatentCode, number: object) -> None:
    """UsageError unless a code can have this number."""
    real = isinstance(number, int | float) and not isinstance(number, bool)
    if code.law == "categorical":
        if not (real and number in range(code.size)):
            raise UsageError(f"code {code.name} = {number}: expected a class, 0 to {code.size - 1}")
    elif not (real and math.isfinite(number)):  # type: ignore[arg-type]  # `real` says it is one
        raise UsageError(f"code {code.name} = {number}: expected a finite number")


def with_values(z: Tensor, noise: Noise, codes: Codes, name: str) -> Tensor:
    """z (N, Z) with codes of one value each; a range is a UsageError, since it is for a path."""
    for key, value in checked(codes, noise, name).items():
        if isinstance(value, tuple):
            raise UsageError(f"code {key} = {value}: a range is walked by interpolate, give one")
        numbers = torch.full((len(z),), float(value), device=z.device)
        z = with_code(z, noise, key, numbers)
    return z


def with_code(z: Tensor, noise: Noise, name: str, numbers: Tensor) -> Tensor:
    """z (N, Z) with other numbers (N,) in a code: classes, or what each of its numbers is."""
    (code,) = (code for code in noise.codes or () if code.name == name)
    place, z = noise.columns()[name], z.clone()
    if code.law == "categorical":
        z[:, place] = torch.nn.functional.one_hot(numbers.round().long(), code.size).to(z.dtype)
    else:
        z[:, place] = numbers.to(z.dtype).unsqueeze(1)
    return z
