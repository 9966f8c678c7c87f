"""Every error a user can meet, with the exit code of the command line.

An error is one sentence that names the offending value and one that names the remedy. Code below
the command line raises these; only `cli` prints them and turns them into an exit status.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence


class GanforgeError(Exception):
    """A fault with a known remedy. Anything else that escapes is a bug of ours (exit code 1).

    speaker: of several processes, the rank that prints it; None for the leader, and for every rank
    where only that rank may know (memory, disk).
    """

    exit_code = 1
    speaker: int | None = None

    def printed_by(self, rank: int) -> bool:
        """Whether this rank prints the error."""
        if self.speaker is None:
            return rank == 0 or self.exit_code in (71, 74)
        return rank == self.speaker


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


class BusyError(GanforgeError):
    """Another process has what is needed, or is waited for: the same command works later."""

    exit_code = 75


class PeerError(GanforgeError):
    """Another process of the same run has ended with an error, which is that of all of them."""

    def __init__(self, text: str, exit_code: int, speaker: int):
        super().__init__(text)
        self.exit_code, self.speaker = exit_code, speaker


class Interrupted(KeyboardInterrupt):
    """A signal that came while something was done that may be given up: loading, building, scoring.

    signal: its number.
    """

    def __init__(self, signal: int):
        super().__init__(f"signal {signal}")
        self.signal = signal


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


WHOLE, SEEDS = 2**31, 2**63  # what is counted or allocated; what only names a stream


def in_range(key: str, value: object) -> None:
    """Raise a UsageError for a number, or one in a list, that no setting can hold.

    Whole numbers end at 2^31 (seeds at 2^63), beyond which tensors and JSON lose count; inf and
    NaN are none.
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
    """'did you mean X?' where something is close, and the list of what there is."""
    close = difflib.get_close_matches(word, known, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}known: {', '.join(sorted(known))}"
