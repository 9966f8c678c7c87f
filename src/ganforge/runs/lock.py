"""run.lock: one trainer a run folder, by the system's lock on the file or, without those, a lease.

The file names its process and machine. Where the file system has locks the system's lock alone
decides: it ends with its process, however that ends, so a free one is free whatever the file says.
Elsewhere the trainer renews the file's time of change, and one that has not for five minutes is
gone. The file system is asked each time: a second descriptor has to be refused what the first has.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, NoReturn

import filelock

from ganforge.errors import BusyError

LOCK = "run.lock"
RENEW, GONE = 30.0, 300.0  # seconds between two renewals, and after which there was none in time
PATIENCE = 10.0  # seconds for another process that looks at the same lease
WINDOWS = os.name == "nt"
PROC = Path("/proc")  # Linux: what the system knows of every process

locks: dict[Path, bool] = {}  # the lock files of this process, and whether each is a lease
ended = threading.Event()  # set if `locks` is empty


def acquire(path: Path, stack: ExitStack, take_over: bool = False) -> None:
    """Have the lock file `path` until `stack` ends; BusyError if another process has it.

    take_over: a lease of another trainer, which is known to be gone, is no obstacle. A system's
    lock always is: its process lives.
    """
    while True:
        file = stack.enter_context(path.open("a+b", buffering=0))
        locked = try_lock(path, file)
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                break
        file.close()  # its last holder removed it after it was opened here: there may be a new one
    leased = not (locked and excludes(path))
    if leased:
        lease(path, stack, file, take_over)
    else:
        stack.callback(remove, path, file)
        sign(file)
    renewed(path, stack, leased)


def require_free(path: Path, take_over: bool = False) -> None:
    """BusyError if `acquire` would raise it now; nothing is written."""
    if not path.exists():
        return
    with path.open("r+b", buffering=0) as file:
        if not (try_lock(path, file) and excludes(path)) and not take_over:
            require_no_lease(path)


def try_lock(path: Path, file: IO[bytes]) -> bool:
    """Whether this process now has the system's lock on the lock file; False without locks.

    BusyError if another process has it.
    """
    locked = take(file)
    if locked is False:
        refuse(path, holder(path), leased=False)
    return bool(locked)


def take(file: IO[bytes]) -> bool | None:
    """Whether this process now has the system's lock on `file`; None without locks."""
    try:
        return filelock.lock_descriptor(file.fileno(), blocking=False)
    except OSError:
        return None


def excludes(path: Path) -> bool:
    """Whether the lock that this process has on `path` keeps others out."""
    with path.open("r+b", buffering=0) as second:
        return take(second) is False


def lease(path: Path, stack: ExitStack, file: IO[bytes], take_over: bool) -> None:
    """Sign the lock file on a file system without locks; one process at a time looks and signs."""
    try:
        with filelock.SoftFileLock(f"{path}.gate", timeout=PATIENCE):
            if not take_over:
                require_no_lease(path)
            sign(file)
    except filelock.Timeout:
        raise BusyError(
            f"{path.parent}: another process has been looking at its lock for {PATIENCE:.0f} s: "
            f"wait for it; if it is gone, remove {path}.gate"
        ) from None
    stack.callback(lambda: remove(path, file) if signed_here(path) else file.close())


def require_no_lease(path: Path) -> None:
    """BusyError if the lock file names a trainer that may still live."""
    found = holder(path)
    if found is not None:
        refuse(path, found, leased=True)


def sign(file: IO[bytes]) -> None:
    """Write who this process is. A blank first: on Windows nobody else can read a locked byte."""
    file.truncate(0)
    file.write(b" " + json.dumps(signature()).encode())


def signature() -> dict[str, Any]:
    """This process, as a lock file names it."""
    pid = os.getpid()
    return {"pid": pid, "started": started(pid), "host": host(), "boot": boot()}


def remove(path: Path, file: IO[bytes]) -> None:
    """Remove a lock file: under its lock, but for Windows, which removes no open file."""
    if not WINDOWS:
        path.unlink(missing_ok=True)
    file.close()
    if WINDOWS:
        with contextlib.suppress(OSError):  # another process has opened it and locks it now
            path.unlink(missing_ok=True)


def refuse(path: Path, found: Mapping[str, Any] | None, leased: bool) -> NoReturn:
    """BusyError for a run folder that another trainer has."""
    if found is None:  # it has the lock and has not signed, or another's signature was left
        raise BusyError(f"{path.parent} is being trained by another process: wait for it")
    pid, where, remedy = found["pid"], "", f"wait for it, or stop it with `kill {found['pid']}`"
    if found["host"] != host():
        where, remedy = f" on {found['host']}", "wait for it, or stop it there"
    if leased:
        remedy = (
            f"wait for it, or, if it is known to be gone, give --take-over to `ganforge train` "
            f"(its last sign of life is {age(path):.0f} s old; this file system has no locks)"
        )
    raise BusyError(f"{path.parent} is being trained by process {pid}{where}: {remedy}")


def lost(path: Path) -> bool:
    """Whether this process had a lease on `path` that another process took over."""
    return locks.get(path, False) and not signed_here(path)


def signed_here(path: Path) -> bool:
    """Whether a lock file names this process."""
    return read(path) == signature()


# --- signs of life ----------------------------------------------------------------------------


def renewed(path: Path, stack: ExitStack, leased: bool, every: float = RENEW) -> None:
    """Renew the time of change of `path` every few seconds for as long as `stack` lives."""

    def end() -> None:
        locks.pop(path, None)
        if not locks:
            ended.set()

    first = not locks
    locks[path] = leased
    stack.callback(end)
    if first:
        ended.clear()
        threading.Thread(target=renew, args=(every,), name="ganforge-lock", daemon=True).start()


def renew(every: float) -> None:
    """What the thread does that renews all lock files of this process."""
    while not ended.wait(every):
        for path, leased in list(locks.items()):
            if not leased or signed_here(path):
                with contextlib.suppress(OSError):
                    os.utime(path)


def holder(path: Path) -> dict[str, Any] | None:
    """What a lock file says of a trainer that may still live; None if it is gone.

    A process of this machine is looked up. Of another machine's, or if the system does not
    say, the time since its last sign of life decides.
    """
    found = read(path)
    if found is None:
        return None
    lives = None
    if found["host"] == host():
        another_start = found["boot"] != boot() and "" not in (found["boot"], boot())
        lives = False if another_start else living(found["pid"], found["started"])
    if lives is None:
        lives = age(path) < GONE
    return found if lives else None


def read(path: Path) -> dict[str, Any] | None:
    """A lock file's pid, started, host and boot; None if its writer died before it signed."""
    try:
        with path.open("rb", buffering=0) as file:
            try:
                text = file.read()
            except PermissionError:  # the first byte is locked, on Windows
                file.seek(1)
                text = file.read()
        table = json.loads(text)
        found = {key: table[key] for key in ("pid", "started", "host")}
        return found | {"pid": int(found["pid"]), "boot": table.get("boot", "")}
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None


def age(path: Path) -> float:
    """Seconds since a file was changed; for a lock file, since its trainer's last sign of life."""
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return GONE


def host() -> str:
    """This machine's name, as lock files have it."""
    return platform.node()


def boot() -> str:
    """What this machine calls the time since its last start; empty without a name."""
    try:
        return (PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def living(pid: int, since: float | None = None) -> bool | None:
    """Whether a process of this machine lives; None if the system does not say.

    since: when it started: its number may have been given again. A process that was killed
    and that nobody has waited for yet does not live.
    """
    if (PROC / "self/stat").exists():
        now = started(pid)
        return now is not None and since in (None, now)
    if not WINDOWS:  # there signal 0 would end the process
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        except (OSError, OverflowError):  # another user's process, or no number of one
            return None
    return None


def started(pid: int) -> float | None:
    """When a living process started, in the system's ticks; None for others, or without /proc.

    The states Z and X are of processes that have ended.
    """
    try:
        fields = (PROC / f"{pid}/stat").read_text().rpartition(")")[2].split()
        return None if fields[0] in "ZXx" else float(fields[19])
    except (OSError, IndexError, ValueError):
        return None
