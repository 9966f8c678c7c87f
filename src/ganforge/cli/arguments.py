"""The words of a command before they are parsed: settings split off, whole numbers checked."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import pairwise

from ganforge.config.convert import TOP_LEVEL
from ganforge.errors import UsageError
from ganforge.text import command_line

WITH_OVERRIDES = ("train", "compare")  # commands that have settings as --a.b value
COUNTS = ("--size", "--batch", "--n", "-n", "--rows", "--steps", "--gpus", "--at-once", "--tile")
MOST = 2**31 - 1  # of anything that is counted; arrays end not far above

OTHER_WORDS = {  # what other programs call a command -> ours
    "resume": "ganforge train runs/NAME goes on with a run",
    "continue": "ganforge train runs/NAME goes on with a run",
    "generate": "ganforge sample runs/NAME makes samples",
    "test": "ganforge evaluate runs/NAME scores a run",
    "eval": "ganforge evaluate runs/NAME scores a run",
    "score": "ganforge evaluate runs/NAME scores a run",
    "list": "ganforge runs lists the runs, ganforge recipes the recipes",
}

typed: list[str] = []  # the words of the command that runs
overrides: dict[str, str] = {}  # its settings


def read(words: Sequence[str]) -> list[str]:
    """The words for the parser; sets `typed` and `overrides`, UsageError for bad numbers."""
    typed[:] = words
    overrides.clear()
    rest = list(words)
    if rest and rest[0] in OTHER_WORDS:
        raise UsageError(f"there is no command {rest[0]!r}: {OTHER_WORDS[rest[0]]}")
    if rest and rest[0] in WITH_OVERRIDES:
        rest, found = split_overrides(join_folders(words))
        overrides.update(found)
    whole_numbers(rest)
    return rest


def join_folders(words: Sequence[str]) -> list[str]:
    """`--data A/ B/`, two folders that a recipe translates between, as one word `A/|B/`."""
    rest = list(words)
    if "--data" in rest[:-2] and not rest[1].startswith("-"):
        at = rest.index("--data")
        first, second = rest[at + 1 : at + 3]
        if not (first.startswith("-") or second.startswith("-")):
            rest[at + 1 : at + 3] = [f"{first}|{second}"]
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
        key = key.replace("-", "_")
        if not word.startswith("--") or not ("." in key or key in TOP_LEVEL):
            rest.append(word)
            continue
        if not equals:
            value = next(words, "--missing")
            if value.startswith("--") and len(value) > 2:
                raise UsageError(f"{word} needs a value, as {word} VALUE")
        found[key] = value
    return rest, found


def whole_numbers(words: Sequence[str]) -> None:
    """UsageError for 7.6 as a whole number, which the parser rounds, and for counts above MOST."""
    for word, following in pairwise([*words, ""]):
        key, equals, value = word.partition("=")
        text = value if equals else following
        fraction = "." in text and text.replace(".", "", 1).lstrip("-").isdecimal()
        if fraction and key in (*COUNTS, "--seed"):
            raise UsageError(f"{key} = {text!r}: expected a whole number")
        if key in COUNTS and text.isdecimal() and (len(text) > 18 or int(text) > MOST):
            raise UsageError(f"{key} = {text}: expected {MOST:,} at most")
