"""The run folder: config.toml, run.json, log.jsonl, samples/, checkpoints/, model/.

A folder belongs to one run and one trainer at a time. The log is append-only; readers ignore a
last line that a crash tore.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import platform
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganforge import files
from ganforge._version import __version__
from ganforge.config import convert, schema
from ganforge.config.schema import Config
from ganforge.data.formats import packed
from ganforge.errors import DataError, UsageError
from ganforge.registry import PARTS
from ganforge.runs import checkpoint, lock
from ganforge.runs.lock import LOCK

CONFIG, INFO, LOG = "config.toml", "run.json", "log.jsonl"
STORE = "data"  # the examples of a run whose data were an object of a program
TABLES, TEXTS = ("resolved", "versions"), ("status", "name", "config_hash", "data_sha256")
NUMBERS = ("seed", "images_per_second", "skipped")
COUNTS = ("step", "steps", "samples_seen", "epoch", "seconds", "data_size", "rate_scale")
LOST = "restore it from a copy, or remove it: the checkpoints say the same"
EXPERIMENT = "experiment.json"  # what `reproduce` writes into a folder before it trains seeds


@dataclass(frozen=True)
class Run:
    """A run folder; every call reads what is on disk now."""

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
            table = tomllib.loads(files.read_file(path).decode())
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}: not valid TOML ({error}): restore it from a copy") from None
        if not all(isinstance(table.get(key), dict) for key in ("networks", "game", "output")):
            raise DataError(f"{path}: not what a run writes there: restore it from a copy")
        return table

    def info(self) -> dict[str, Any]:
        """run.json: status, versions, seed, device, precision, threads, steps; {} if missing."""
        path = self.path / INFO
        info = files.read_json(path, {}, LOST)
        if not isinstance(info, dict) or not all(map(well_typed, info.items())):
            raise DataError(f"{path}: not what a run writes there: {LOST}")
        return info

    def write_info(self, **facts: Any) -> dict[str, Any]:
        """run.json with `facts` laid over it."""
        info = self.info() | facts
        files.replace_file(self.path / INFO, json.dumps(info, indent=1).encode())
        return info

    def log(self) -> list[dict[str, Any]]:
        """The log's records, in order."""
        return list(read_log(self.log_path))


def last_known(run: Run) -> dict[str, Any]:
    """run.json; if that is lost, the newest checkpoint's manifest, which says the same."""
    if info := run.info():
        return info
    found, _ = checkpoint.newest(run.checkpoints)
    return found.manifest if found and all(map(well_typed, found.manifest.items())) else {}


def well_typed(item: tuple[str, Any]) -> bool:
    """Whether a (key, value) of run.json or of the log has the type and range it is written with.

    Other keys may have any value.
    """
    key, value = item
    if key in TABLES:
        return isinstance(value, dict) and (key != "resolved" or machine(value))
    if key in TEXTS:
        return isinstance(value, str)
    number = type(value) in (int, float)
    if key in COUNTS:
        return number and abs(value) < 2**53
    return number or key not in NUMBERS


def machine(resolved: Mapping[str, Any]) -> bool:
    """Whether the device, precision and threads of a run.json are ones that a run can have."""
    threads = resolved.get("threads", 1)
    return (
        isinstance(resolved.get("device", ""), str)
        and resolved.get("precision", "fp32") in ("fp32", "bf16")
        and type(threads) is type(resolved.get("stacked", 0)) is int
        and 1 <= threads < 2**16
    )


def open_run(path: Path | str) -> Run:
    """An existing run; DataError if there is none."""
    run = Run(Path(path))
    if not run.path.is_dir():
        raise DataError(f"{path}: no such run folder (`ganforge runs` lists what there is)")
    if not run.exists():
        inside = find_runs(path)
        some = f"; its runs are inside, such as {inside[0].path}" if inside else ""
        raise DataError(f"{path}: not a run folder, it has no {CONFIG}{some}")
    return run


def prepare(path: Path | str, wanted: Config) -> Run:
    """The run folder for `wanted`: made, or found with the same run in it.

    UsageError if something else is in the folder, or a run whose settings differ in more than may
    change on the way (the budget may grow; see `config.schema.CONTINUABLE`).
    """
    run = Run(Path(path))
    refuse_other(run, wanted)
    if not run.exists():
        with files.writing(run.path):
            run.path.mkdir(parents=True, exist_ok=True)
    elif run.settings() == convert.to_dict(wanted):
        return run
    files.replace_file(run.path / CONFIG, convert.dumps(wanted).encode())
    return run


def refuse_other(run: Run, wanted: Config) -> None:
    """What `prepare` raises, without a write: see there, and DiskError if nothing can be written.

    UsageError for a run with other settings, or a folder with something else in it.
    """
    if run.exists():
        refuse_changes(run, wanted)
        refuse_unwritable(run.path)
    else:
        refuse_occupied(run.path)


def refuse_occupied(path: Path, ours: Callable[[Path], bool] | None = None) -> None:
    """UsageError if `path` is a file or a folder of something else; DiskError if unwritable.

    Args:
        path: of a folder that may be missing.
        ours: whether a file or folder in it shows that the folder is ours; a user's notes may be
            beside it. [default: everything in the folder must be `of_seeds`]
    """
    with files.writing(path):
        occupied = os.path.lexists(path)
        if path.is_dir():
            contents = [p for p in path.iterdir() if not leftover(p) and not of_data(p)]
            known = any(map(ours, contents)) if ours else all(map(of_seeds, contents))
            occupied = bool(contents) and not known
    if occupied:
        raise UsageError(f"{path} is not empty and not a run: choose another folder with --out")
    refuse_unwritable(path)


def refuse_unwritable(path: Path) -> None:
    """DiskError if the folder `path` cannot be made, or cannot be written in."""
    nearest = next(p for p in (path, *path.absolute().parents) if os.path.lexists(p))
    reason = 0 if os.access(nearest, os.W_OK | os.X_OK) else errno.EACCES
    if not nearest.is_dir():
        reason = errno.ENOTDIR
    if reason:
        raise files.disk_error(path, OSError(reason, os.strerror(reason)))


def of_seeds(path: Path) -> bool:
    """Whether a file or folder belongs to a population (see `seeds`)."""
    name = path.name
    numbered = name.startswith("seed-") and name[5:].isdecimal()
    return numbered or name in ("population.json", "summary.json", "summary.png")


def of_data(path: Path) -> bool:
    """Whether a path is the store of a run that has not begun."""
    return path.name == STORE and packed.is_store(path)


def of_experiment(path: Path) -> bool:
    """Whether a file or folder shows that its folder is of a population or an experiment."""
    return of_seeds(path) or path.name == EXPERIMENT


def leftover(path: Path) -> bool:
    """Whether a file is one that was written beside its place and never renamed into it."""
    return path.name.startswith(".") and path.name.endswith(".tmp")


def clean(run: Run) -> None:
    """Remove what killed writers left; the caller has the lock."""
    for folder in (run.path, *(p for p in run.path.iterdir() if p.is_dir())):
        for path in folder.glob(".*.tmp"):
            pid = path.name.split(".")[-2]
            lives = lock.living(int(pid)) if pid.isdecimal() else True
            if lives is None:
                lives = lock.age(path) < lock.GONE
            if not lives:  # else somebody draws a plot now
                with contextlib.suppress(OSError):
                    path.unlink()


def refuse_changes(run: Run, wanted: Config) -> None:
    """UsageError that lists every setting in which `wanted` is not the run in the folder."""
    changed = convert.difference(settings_now(run), convert.to_dict(wanted))
    blocking = [c for c in changed if not c[0].startswith(schema.CONTINUABLE)]
    if {key for key, _, _ in blocking} == {"data"} and last_known(run).get("data_sha256"):
        return  # they may have been moved: their sha256 decides
    if blocking:
        lines = "".join(f"\n  {key}: {old!r} there, {new!r} here" for key, old, new in blocking)
        raise UsageError(
            f"{run.path} holds another run; it differs in{lines}\n"
            "Give the same settings to go on with it, or --out for a new folder."
        )


def moved(run: Run, wanted: Config) -> list[str]:
    """A note if the data of a run, known by their sha256, have another path than before."""
    before = run.settings()["data"]
    if before == wanted.data:
        return []
    return [f"data: the same by their sha256, moved from {before} to {wanted.data}, now recorded"]


def settings_now(run: Run) -> dict[str, Any]:
    """A run's settings as this version writes them: one that came since is at its default."""
    saved = run.settings()
    with contextlib.suppress(UsageError):  # settings that are no longer known: compared as they are
        saved = convert.to_dict(convert.from_dict(Config, saved, PARTS))
    return saved


def read_log(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a log; a torn or foreign line ends or is left out, never raises."""
    for record in files.read_json_lines(path):
        known = isinstance(record, dict) and {"step", "epoch"} <= record.keys()
        if known and all(map(well_typed, record.items())):
            yield record


def append_log(path: Path, records: Sequence[Mapping[str, Any]]) -> None:
    """A line each, flushed to the system (not to the disk: a log is not worth an fsync)."""
    files.append_json_lines(path, records)


def cut_log(path: Path, step: int) -> None:
    """Drop every record after `step` and any torn tail, so that a resumed run logs them anew."""
    if path.exists():
        before = [r for r in read_log(path) if r["step"] <= step]
        files.replace_file(path, files.json_lines(before))


def cut_samples(folder: Path, step: int) -> None:
    """Drop every grid after `step`: they are made anew, or a smaller budget never comes there."""
    for path in folder.glob("*.*"):
        if path.stem.isdigit() and int(path.stem) > step:
            with files.writing(path):
                path.unlink()


@contextlib.contextmanager
def locked(run: Run, take_over: bool = False) -> Iterator[None]:
    """Keep a second trainer out of the folder (see `lock`); BusyError if one has it."""
    path = run.path / LOCK
    with contextlib.ExitStack() as stack:
        with files.writing(path):
            lock.acquire(path, stack, take_over)
        yield


def state(run: Run) -> str:
    """The status in run.json; "interrupted" if it says running and nobody trains the run."""
    status = str(run.info().get("status", "unknown"))
    nobody = status == "running" and lock.holder(run.path / LOCK) is None
    return "interrupted" if nobody else status


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

    return {
        "ganforge": __version__,
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "python": platform.python_version(),
        "machine": f"{platform.machine()} {cpu_name()}",
    }


def cpu_name() -> str:
    """The CPU's model, if the system says."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()
