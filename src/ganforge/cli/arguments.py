"""The words of a command before they are parsed: settings split off, whole numbers checked."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ganforge.config.convert import TOP_LEVEL
from ganforge.errors import UsageError
from ganforge.text import command_line

COUNTS = ("--size", "--batch", "--n", "-n", "--rows", "--steps", "--gpus", "--at-once")
WHOLE = (*COUNTS, "--seed")
MOST = 2**31 - 1  # of anything that is counted; arrays end not far above
WITH_OVERRIDES = ("train", "compare")  # commands that take settings as --a.b value

typed: list[str] = []  # the words of the command that runs
overrides: dict[str, str] = {}  # its settings


def read(words: Sequence[str]) -> list[str]:
    """The words for the parser; sets `typed` and `overrides`, UsageError for bad numbers."""
    typed[:] = words
    overrides.clear()
    rest = list(words)
    if rest and rest[0] in WITH_OVERRIDES:
        rest, found = split_overrides(rest)
        overrides.update(found)
    whole_numbers(rest)
    return rest


def again() -> str:
    """The command as typed, with the --gpus that the launcher of several processes removed."""
    size = os.environ.get("WORLD_SIZE", "1")
    here = size != "1" and size == os.environ.get("LOCAL_WORLD_SIZE")
    return command_line(["ganforge", *typed, *(["--gpus", size] if here else [])])


def split_overrides(arguments: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Split `--a.b value`, `--a.b=value` and TOP_LEVEL settings from a command's other words."""
    rest: list[str] = []
    found: dict[str, str] = {}
    words = iter(arguments)
    for word in words:
        key, equals, value = word.removeprefix("--").partition("=")
        if not word.startswith("--") or not ("." in key or key in TOP_LEVEL):
            rest.append(word)
            continue
        if not equals:
            following = next(words, None)
            if following is None or (following.startswith("--") and len(following) > 2):
                raise UsageError(f"{word} needs a value, as {word} VALUE")
            value = following
        found[key.replace("-", "_")] = value
    return rest, found


def whole_numbers(words: Sequence[str]) -> None:
    """UsageError for 7.6 as a whole number, which the parser rounds, and for counts above MOST."""
    for word, following in zip(words, [*words, ""][1:], strict=True):
        key, equals, value = word.partition("=")
        text = value if equals else following
        if key in WHOLE and "." in text and text.replace(".", "", 1).lstrip("-").isdecimal():
            raise UsageError(f"{key} = {text!r}: expected a whole number")
        if key in COUNTS and text.isdecimal() and (len(text) > 18 or int(text) > MOST):
            raise UsageError(f"{key} = {text}: expected {MOST:,} at most")
