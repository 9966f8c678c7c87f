"""The protections, and what the library would be without each: the scripts must then fail.

Used by `--without NAME` alone, which shows that a check sees what it is there for. What is taken
out stays out until the process ends.
"""

from __future__ import annotations

import json
import os
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ganforge import files as ganforge_files
from ganforge import rng
from ganforge.data import archives
from ganforge.data.formats import arrays
from ganforge.errors import DataError
from ganforge.gan import optimizers, state
from ganforge.runs import checkpoint
from ganforge.runs import folder as runs
from ganforge.runs import lock as locks
from ganforge.training import distributed, signals
from ganforge.training.trainer import Trainer


def rename() -> None:
    """Checkpoints are written in place, not under a temporary name and renamed."""

    def save(folder: Path, step: int, tensors: Mapping[str, Any], facts: Mapping[str, Any]) -> Path:
        final = folder / checkpoint.folder_name(step)
        final.mkdir(parents=True, exist_ok=True)
        data = checkpoint.encode_tensors(tensors)
        files = {checkpoint.STATE: {"sha256": ganforge_files.digest(data), "bytes": len(data)}}
        manifest = {"format": checkpoint.FORMAT, "step": step, **facts, "files": files}
        try:
            ganforge_files.write_file(final / checkpoint.MANIFEST, checkpoint.seal(manifest))
            time.sleep(0.02)  # as long as a larger game's tensors take
            ganforge_files.write_file(final / checkpoint.STATE, data)
        except OSError as error:
            raise ganforge_files.disk_error(final, error) from error
        return final

    checkpoint.save = save
    hashes()  # a reader with hashes would pass over the halves; together they are two protections


def hashes() -> None:
    """What a checkpoint's files hold is not compared with what its manifest says."""

    def verify(path: Path) -> tuple[dict[str, Any], bytes]:
        try:
            manifest = json.loads(ganforge_files.read_file(path / checkpoint.MANIFEST))
            return manifest | {"step": int(manifest["step"])}, b""
        except (ValueError, KeyError, TypeError):
            raise DataError(f"{path}: its manifest is damaged") from None

    checkpoint.verify = verify


def moments() -> None:
    """A resume brings back the weights alone, as most do."""
    load = state.load

    def weights(st: Any, saved: Mapping[str, torch.Tensor], source: str) -> None:
        kept = {
            k: torch.zeros_like(v) if k.startswith("optimizer.") else v for k, v in saved.items()
        }
        load(st, kept, source)

    state.load = weights


def cut() -> None:
    """The log is not cut at the resumed step."""
    runs.cut_log = lambda path, step: None


def caught() -> None:
    """A disk that takes nothing ends the training at once."""

    def attempt(self: Any, write: Callable[[], Path]) -> Path | None:
        return write()

    Trainer._attempt = attempt  # type: ignore[method-assign]


def whole() -> None:
    """Small files are written in place."""

    def replace_file(path: Path, data: bytes) -> None:
        try:
            ganforge_files.write_file(path, data)
        except OSError as error:
            raise ganforge_files.disk_error(path, error) from error

    ganforge_files.replace_file = replace_file


def handlers() -> None:
    """SIGTERM is left to the system."""

    @contextmanager
    def none(control: Any) -> Iterator[list[int]]:
        yield []

    signals.handling = none


def found_inf() -> None:
    """Updates are applied whatever the gradient holds."""

    def step(optimizer: torch.optim.Optimizer, witness: torch.Tensor) -> torch.Tensor:
        optimizer.step()
        return torch.zeros_like(witness)

    optimizers.guarded_step = step


def finite() -> None:
    """Nobody looks whether the weights are finite."""
    state.all_finite = lambda st: True


def seeded() -> None:
    """Noise comes from the process's own generator."""

    def words(self: Any, first: int, count: int) -> Any:
        return np.frombuffer(os.urandom(4 * count), dtype=np.uint32)

    rng.Stream.words = words  # type: ignore[method-assign]


def all_reduce() -> None:
    """Each rank keeps its own gradient."""
    distributed.all_reduce = lambda tensors: None


def lock() -> None:
    """A run folder is open to any number of trainers."""
    locks.acquire = lambda path, stack, take_over=False: None


def paths() -> None:
    """Archives are extracted beside the file, to wherever their members' names lead."""
    members = archives.members

    def extracting(path: Path, *more: Any) -> dict[str, int]:
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                if info.filename.startswith("../"):  # an absolute one would leave the scratch
                    target = path.absolute().parent / info.filename
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(archive.read(info))
        return members(path, *more)

    archives.members = extracting  # type: ignore[assignment]


def refusals() -> None:
    """Arrays are read whatever their header says, and errors are not put into words."""

    def check_length(*arguments: Any) -> None: ...

    arrays.check_length = check_length
    checkpoint.read_tensors = _raw_tensors


def _raw_tensors(path: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load

    return load(path.read_bytes())


def freed() -> None:
    """Every step leaves something behind."""
    step, leaked = Trainer.step, []

    def leaking(self: Any) -> None:
        step(self)
        leaked.append(bytes(16384))
        if self.state.step % 500 == 0:
            leaked.append(open(os.devnull))  # noqa: SIM115

    Trainer.step = leaking  # type: ignore[method-assign]


def prompt() -> None:
    """Going takes as long as it takes."""
    finish = Trainer.finish

    def slow(*arguments: Any) -> Any:
        time.sleep(2.5)
        return finish(*arguments)

    Trainer.finish = slow  # type: ignore[method-assign]


PROTECTIONS: dict[str, Callable[[], None]] = {
    f.__name__: f
    for f in (
        rename, hashes, moments, cut, caught, whole, handlers, found_inf, finite, seeded,
        all_reduce, lock, paths, refusals, freed, prompt,
    )
}  # fmt: skip


# (script, protection, tries): the script fails where the protection is taken out
TAKEN_OUT = [
    ("crash", "moments", 6), ("crash", "rename", 20), ("crash", "cut", 20),
    ("damage", "hashes", 24),
    ("diskfull", "rename", 0), ("diskfull", "whole", 0), ("diskfull", "caught", 0),
    ("sigterm", "handlers", 1), ("sigterm", "prompt", 1), ("sigterm", "lock", 1),
    ("nan", "found_inf", 8), ("nan", "finite", 8),
    ("ranks", "all_reduce", 5),
    ("seeds", "seeded", 1),
    ("flat", "freed", 2000),
    ("hostile", "paths", 2),
    ("fuzz", "refusals", 90),
]  # fmt: skip

taken_out: list[str] = []


def take_out(name: str | None) -> None:
    """Take the protection of that name out of this process."""
    if name is not None:
        PROTECTIONS[name]()
        taken_out.append(name)
