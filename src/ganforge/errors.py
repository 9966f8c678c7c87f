"""Every error a user can meet, with the exit code of the command line.

An error is one sentence that names the offending value and one that names the remedy. Code below
the command line raises these; only `cli` prints them and turns them into an exit status.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence


class GanforgeError(Exception):
    """A fault with a known remedy. Anything else that escapes is a bug of ours (exit code 1)."""

    exit_code = 1


class UsageError(GanforgeError):
    """An argument, a name or a configuration that cannot be meant."""

    exit_code = 2


class DataError(GanforgeError):
    """Data that is missing, corrupt, empty or does not fit what was asked of it."""

    exit_code = 65


class DivergedError(GanforgeError):
    """A game whose losses, gradients or weights are no longer finite."""

    exit_code = 70


class OutOfMemoryError(GanforgeError):
    """The device cannot hold the batch."""

    exit_code = 71


class DiskError(GanforgeError):
    """A file could not be read or written: full disk, no permission, broken device."""

    exit_code = 74


def lacks_memory(error: BaseException) -> bool:
    """Whether an error says that the device, or the machine, has no memory left."""
    words = ("out of memory", "can't allocate memory", "not enough memory")
    return isinstance(error, MemoryError) or any(w in str(error) for w in words)


def check(ok: bool, key: str, value: object, expected: str) -> None:
    """Raise a UsageError that names the key, the value and what was expected, unless `ok`."""
    if not ok:
        raise UsageError(f"{key} = {value!r}: expected {expected}")


def choice(key: str, value: str, allowed: Sequence[str]) -> None:
    """Raise a UsageError with a suggestion unless `value` is one of `allowed`."""
    if value not in allowed:
        raise UsageError(f"{key} = {value!r}: {did_you_mean(value, allowed)}")


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """'did you mean X?' where something is close, and the list of what there is."""
    close = difflib.get_close_matches(word, known, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}known: {', '.join(sorted(known))}"
