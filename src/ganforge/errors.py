"""Every error that a user can see, with its exit code.

A message names the offending value, then the remedy. Only the command line prints it and ends with
the exit code.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence
from importlib.util import find_spec


class GanforgeError(Exception):
    """A fault with a known remedy; any other exception is a bug of this package (exit code 1).

    speaker: of several processes, the rank that prints it; None for the leader, and for every rank
    if only that rank can know (memory, disk).
    """

    exit_code = 1
    speaker: int | None = None

    def printed_by(self, rank: int) -> bool:
        """Whether this rank prints the error."""
        if self.speaker is None:
            return rank == 0 or self.exit_code in (71, 74)
        return rank == self.speaker


class UsageError(GanforgeError):
    """An argument, a name or a setting that makes no sense."""

    exit_code = 2


class DataError(GanforgeError):
    """Data that are missing, damaged, empty or do not fit the request."""

    exit_code = 65


class UnreadableError(DataError):
    """A file, or a part of one, whose bytes are damaged or of another format."""


class DivergedError(GanforgeError):
    """A game whose losses, gradients or weights are no longer finite."""

    exit_code = 70


class OutOfMemoryError(GanforgeError):
    """The device cannot hold the batch."""

    exit_code = 71


class DiskError(GanforgeError):
    """A file could not be read or written: full disk, no permission, broken device."""

    exit_code = 74


class BusyError(GanforgeError):
    """Another process has what is needed, or is waited for: the same command works later."""

    exit_code = 75


class PeerError(GanforgeError):
    """Another process of the same run has ended with an error, which is that of all of them."""

    def __init__(self, text: str, exit_code: int, speaker: int):
        super().__init__(text)
        self.exit_code, self.speaker = exit_code, speaker


class Interrupted(KeyboardInterrupt):
    """A signal during work that can be interrupted: loading, building, scoring.

    signal: its number.
    """

    def __init__(self, signal: int):
        super().__init__(f"signal {signal}")
        self.signal = signal


def installed(*modules: str) -> bool:
    """Whether Python finds all of these modules; none of them is imported."""
    return all(find_spec(name) is not None for name in modules)


def require_extra(what: str, extra: str, *modules: str, otherwise: str = "") -> None:
    """Raise a UsageError that names an extra unless its modules are installed.

    Args:
        what: the subject of the message, which needs the extra.
        extra: its name in pyproject.toml.
        modules: that it installs, by the names of `import`.
        otherwise: what else the user can do, the end of the message.
    """
    if not installed(*modules):
        raise UsageError(f"{what} needs an extra: pip install 'ganforge[{extra}]'{otherwise}")


def lacks_memory(error: BaseException) -> bool:
    """Whether an error says that the device, or the machine, has no memory left."""
    words = ("out of memory", "can't allocate memory", "not enough memory", "size calculation over")
    return isinstance(error, MemoryError) or any(w in str(error) for w in words)


def lacks_peer(error: BaseException) -> bool:
    """Whether an error says that another process of the same run has gone."""
    words = ("gloo", "NCCL", "Connection closed by peer", "Connection reset by peer")
    names = ("DistNetworkError", "DistStoreError", "DistBackendError")
    found = type(error).__name__ in names or any(w in str(error) for w in words)
    return isinstance(error, RuntimeError) and found


def check(ok: bool, key: str, value: object, expected: str) -> None:
    """Raise a UsageError that names the key, the value and what was expected, unless `ok`."""
    if not ok:
        raise UsageError(f"{key} = {value!r}: expected {expected}")


WHOLE, SEEDS = 2**31, 2**63  # bounds of counts and sizes; of seeds


def in_range(key: str, value: object) -> None:
    """Raise a UsageError for a number, or one in a list, that is out of range for every setting.

    Whole numbers end at 2^31 (seeds at 2^63), the range of tensor sizes and of JSON; infinity and
    NaN are refused.
    """
    for one in value if isinstance(value, list | tuple) else [value]:
        if isinstance(one, int):
            most = SEEDS if key.rpartition(".")[2] == "seed" else WHOLE
            if abs(one) >= most:
                shown = one if abs(one) <= SEEDS else f"a number of {one.bit_length()} bits"
                raise UsageError(f"{key} = {shown}: expected a whole number below {most:,}")
        elif isinstance(one, float) and not math.isfinite(one):
            raise UsageError(f"{key} = {one}: expected a finite number")


def choice(key: str, value: str, allowed: Sequence[str]) -> None:
    """Raise a UsageError with a suggestion unless `value` is one of `allowed`."""
    if value not in allowed:
        raise UsageError(f"{key} = {value!r}: {did_you_mean(value, allowed)}")


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """ "did you mean X?" if a known word is close to `word`, and the list of known words."""
    close = difflib.get_close_matches(word, known, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}known: {', '.join(sorted(known))}"


def one_line(error: Exception) -> str:
    """The message of a library's exception in one line of at most 120 characters."""
    return " ".join(str(error).split())[:120] or type(error).__name__
