"""The run folder: config.toml, run.json, log.jsonl, samples/, checkpoints/, model/.

A folder belongs to one run and one trainer at a time. The log is append-only; readers ignore a
last line that a crash tore.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import time
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganforge import checkpoint, config
from ganforge.config import Config
from ganforge.errors import DataError, UsageError
from ganforge.progress import LOGGED

CONFIG, INFO, LOG, LOCK = "config.toml", "run.json", "log.jsonl", "run.lock"
UNKNOWN = -1  # no process has this number
TABLES, TEXTS = ("resolved", "versions"), ("status", "name", "config_hash", "data_sha256")
COUNTS = ("step", "steps", "samples_seen", "epoch", "seconds", "seed", "data_size", "rate_scale")
STATUSES = ("running", "stopped", "finished", "diverged", "failed")


@dataclass(frozen=True)
class Run:
    """A run folder. Nothing is held open; every property reads what is on disk now."""

    path: Path

    @property
    def log_path(self) -> Path:
        return self.path / LOG

    @property
    def samples(self) -> Path:
        return self.path / "samples"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def model(self) -> Path:
        return self.path / "model"

    def exists(self) -> bool:
        return (self.path / CONFIG).is_file()

    def settings(self) -> dict[str, Any]:
        """config.toml as plain tables."""
        path = self.path / CONFIG
        try:
            return tomllib.loads(checkpoint.read_file(path).decode())
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}: not valid TOML ({error}): restore it from a copy") from None

    def info(self) -> dict[str, Any]:
        """run.json: status, versions, seed, device, precision, threads, steps; {} where missing."""
        path = self.path / INFO
        if not path.is_file():
            return {}
        try:
            info = json.loads(checkpoint.read_file(path))
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}: not valid JSON ({error}): restore it from a copy") from None
        if not isinstance(info, dict) or not all(map(well_typed, info.items())):
            raise DataError(f"{path}: not what a run writes there: restore it from a copy")
        return info

    def write_info(self, **facts: Any) -> dict[str, Any]:
        """run.json with `facts` laid over it."""
        info = self.info() | facts
        checkpoint.replace_file(self.path / INFO, json.dumps(info, indent=1).encode())
        return info

    def log(self) -> list[dict[str, Any]]:
        """The log's records, in order."""
        return list(read_log(self.log_path))


def well_typed(item: tuple[str, Any]) -> bool:
    """Whether a (key, value) of run.json or of the log has the type and range it is written with.

    Other keys may hold anything.
    """
    key, value = item
    if key in TABLES:
        return isinstance(value, dict)
    if key in TEXTS:
        return isinstance(value, str)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if key in COUNTS:
        return number and abs(value) < 2**53
    return number or key not in LOGGED


def open_run(path: Path | str) -> Run:
    """An existing run; DataError where there is none."""
    run = Run(Path(path))
    if not run.path.is_dir():
        raise DataError(f"{path}: no such run folder (`ganforge runs` lists what there is)")
    if not run.exists():
        raise DataError(f"{path}: not a run folder, it holds no {CONFIG}")
    return run


def prepare(path: Path | str, wanted: Config) -> Run:
    """The run folder for `wanted`: made, or found to hold the same run.

    UsageError where the folder holds something else, or a run whose settings differ in more than
    what may continue (the budget may grow; see `config.CONTINUABLE`).
    """
    run = Run(Path(path))
    if run.exists():
        refuse_changes(run, wanted)
        if run.settings() == config.to_dict(wanted):
            return run
    else:
        if run.path.exists() and (not run.path.is_dir() or occupied(run.path)):
            raise UsageError(
                f"{run.path} is not empty and not a run: choose another folder with --out"
            )
        try:
            run.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise checkpoint.disk_error(run.path, error) from error
    checkpoint.replace_file(run.path / CONFIG, config.dumps(wanted).encode())
    return run


def occupied(folder: Path) -> bool:
    """Whether a folder holds anything but what a trainer killed in its first moment left."""
    return any(not leftover(p) for p in folder.iterdir())


def leftover(path: Path) -> bool:
    """Whether a file is one that was written beside its place and never renamed into it."""
    return path.name.startswith(".") and path.name.endswith(".tmp")


def clean(run: Run) -> None:
    """Remove what killed writers left; the caller holds the lock."""
    for folder in (run.path, run.samples, run.model):
        for path in folder.glob(".*.tmp"):
            pid = path.name.split(".")[-2]
            if pid.isdecimal() and started(int(pid)) is None:  # else somebody draws a plot now
                with contextlib.suppress(OSError):
                    path.unlink()


def refuse_changes(run: Run, wanted: Config) -> None:
    """UsageError that lists every setting in which `wanted` is not the run in the folder."""
    changed = config.difference(run.settings(), config.to_dict(wanted))
    blocking = [c for c in changed if not c[0].startswith(config.CONTINUABLE)]
    if blocking:
        lines = "".join(f"\n  {key}: {old!r} there, {new!r} here" for key, old, new in blocking[:8])
        more = f"\n  and {len(blocking) - 8} more" if len(blocking) > 8 else ""
        raise UsageError(
            f"{run.path} holds another run; it differs in{lines}{more}\n"
            "Give the same settings to go on with it, or --out for a new folder."
        )


def read_log(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a log; a torn or foreign line ends or is left out, never raises."""
    try:
        with path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    return
                try:
                    record = json.loads(line)
                except (ValueError, RecursionError):
                    continue
                if isinstance(record, dict) and all(map(well_typed, record.items())):
                    yield record
    except FileNotFoundError:
        return


def append_log(path: Path, records: Sequence[Mapping[str, Any]]) -> None:
    """A line each, flushed to the system (not to the disk: a log is not worth an fsync)."""
    before = path.stat().st_size if path.exists() else 0
    try:
        with path.open("ab") as file:
            file.write(b"".join(json.dumps(r).encode() + b"\n" for r in records))
    except OSError as error:
        # half a line must not stay: the next attempt's first record would be glued to it
        with contextlib.suppress(OSError):
            os.truncate(path, before)
        raise checkpoint.disk_error(path, error) from error


def cut_log(path: Path, step: int) -> None:
    """Drop every record after `step` and any torn tail, so that a resumed run logs them anew."""
    if path.exists():
        kept = [r for r in read_log(path) if r.get("step", 0) <= step]
        checkpoint.replace_file(path, b"".join(json.dumps(r).encode() + b"\n" for r in kept))


@contextlib.contextmanager
def locked(run: Run) -> Iterator[None]:
    """Keep a second trainer out of the folder; a lock left by a killed one is recognised."""
    path = run.path / LOCK
    while True:
        try:
            place_lock(path)
            break
        except FileExistsError:
            holder = lock_holder(path)
            if holder == UNKNOWN:
                time.sleep(0.1)  # in a moment it has an owner, or is old enough to be nobody's
            elif holder is not None:
                raise UsageError(
                    f"{run.path} is being trained by process {holder}: wait for it, or stop it "
                    f"with `kill {holder}`"
                ) from None
            else:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise checkpoint.disk_error(path, error) from error
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def place_lock(path: Path) -> None:
    """Make the lock file with its owner in it at once; FileExistsError where there is one."""
    pid = os.getpid()
    mine = json.dumps({"pid": pid, "started": started(pid), "host": host()}).encode()
    temporary = path.with_name(f".{path.name}.{pid}.tmp")
    try:
        checkpoint.write_file(temporary, mine)
        try:
            os.link(temporary, path)
        except FileExistsError:
            raise
        except OSError:  # a file system without hard links: the lock is empty for a moment
            with path.open("xb") as file:
                file.write(mine)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def lock_holder(path: Path) -> int | None:
    """The process that holds a lock file, None where it is gone (same machine only).

    UNKNOWN for a lock made just now whose owner is not written yet.
    """
    try:
        lock = json.loads(path.read_text())
        pid, since, where = int(lock["pid"]), lock["started"], lock["host"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        # Empty or torn: its writer died between making and filling it, unless that is just now.
        try:
            return UNKNOWN if time.time() - path.stat().st_mtime < 2 else None
        except OSError:
            return None
    if where != host():
        return pid
    return pid if started(pid) == since and since is not None else None


def host() -> str:
    """This machine's name, as lock files hold it."""
    return platform.node()


def started(pid: int) -> float | None:
    """When a process started, in the system's ticks; None where there is no such process."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return float(fields[19])
    except (OSError, IndexError, ValueError):
        pass
    if Path("/proc/self/stat").exists():
        return None
    try:  # no /proc (macOS): all that can be told is whether it lives
        os.kill(pid, 0)
    except OSError:
        return None
    return 0.0


def find_runs(folder: Path | str) -> list[Run]:
    """The runs in a folder and its subfolders, by path."""
    root = Path(folder)
    if not root.is_dir():
        raise DataError(f"{root}: no such folder")
    return [Run(p.parent) for p in sorted(root.rglob(CONFIG)) if (p.parent / INFO).exists()]


def versions() -> dict[str, str]:
    """What a bit-exact resume depends on, beside the settings."""
    import numpy
    import torch

    import ganforge

    return {
        "ganforge": ganforge.__version__,
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "python": platform.python_version(),
        "machine": f"{platform.machine()} {cpu_name()}",
    }


def cpu_name() -> str:
    """The CPU's model, as far as the system tells."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()
