"""The words of a command before they are parsed: overrides taken out, whole numbers checked."""

from __future__ import annotations

from collections.abc import Sequence

from ganforge.errors import UsageError

# Settings that have no option of their own, reached as --name value beside the dotted ones.
TOP_LEVEL = ("ema", "labels", "threads", "micro-batch", "micro_batch", "on-nan", "on_nan")
COUNTS = ("--size", "--batch", "--n", "-n", "--rows", "--steps", "--gpus", "--at-once")
WHOLE = (*COUNTS, "--seed")
MOST = 2**31 - 1  # of anything that is counted; arrays end not far above


def split_overrides(arguments: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Take `--a.b value`, `--a.b=value` (and TOP_LEVEL settings) out of a command's arguments."""
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
    """UsageError for 7.6 where a whole number belongs, which the parser would round in silence.

    And for counts that no machine holds.
    """
    for word, following in zip(words, [*words, ""][1:], strict=True):
        key, equals, value = word.partition("=")
        text = value if equals else following
        if key in WHOLE and "." in text and text.replace(".", "", 1).lstrip("-").isdecimal():
            raise UsageError(f"{key} = {text!r}: expected a whole number")
        if key in COUNTS and text.isdecimal() and (len(text) > 18 or int(text) > MOST):
            raise UsageError(f"{key} = {text}: expected {MOST:,} at most")
