"""Checkpoints: a directory that is whole or is not there.

step-000001000/state.safetensors   every tensor of the run
step-000001000/manifest.json       format, step, versions, sha256 of every file and of all that

Written under a temporary name, every file fsynced, renamed, the parent fsynced; never overwritten.
A reader uses the newest that verifies. A crash at any point leaves the previous ones untouched.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from ganforge.errors import DataError, DiskError
from ganforge.files import digest, disk_error, read_file, sync_folder, write_file, writing

FORMAT = 1
STATE, MANIFEST = "state.safetensors", "manifest.json"
NUMBERS = ("step", "steps", "samples_seen", "data_size", "seed", "skipped", "epoch", "seconds",
           "rate_scale")  # fmt: skip
TABLES = ("means", "resolved", "versions", "timing")
HEADER_CAP = 16 * 2**20  # bytes of a safetensors header; a large network's has 100 kB
SPARE = 16 * 2**20  # free bytes wanted beyond the checkpoint itself


@dataclass(frozen=True)
class Checkpoint:
    """A verified checkpoint: its folder, manifest and tensors."""

    path: Path
    manifest: dict[str, Any]
    tensors: dict[str, Tensor]

    @property
    def step(self) -> int:
        return int(self.manifest["step"])


def folder_name(step: int) -> str:
    """The name of a step's checkpoint, so that names sort as steps do."""
    return f"step-{step:09d}"


def encode_tensors(tensors: Mapping[str, Tensor]) -> bytes:
    """The safetensors form of `tensors`: no time, no path, the same bytes for the same values."""
    from safetensors.torch import save

    # .clone(): safetensors refuses tensors that share memory, as views of one buffer do
    return save({name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()})


def read_tensors(path: Path, header_cap: int = HEADER_CAP) -> dict[str, Tensor]:
    """The tensors of a safetensors file, its header's size checked before anything is parsed."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    data = read_file(path)
    header = int.from_bytes(data[:8], "little")
    if len(data) < 8 or header > min(header_cap, len(data) - 8):
        raise DataError(f"{path}: not a safetensors file, or cut short: restore it from a copy")
    try:
        return load(data)
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: damaged ({error}): restore it from a copy") from None


def seal(manifest: Mapping[str, Any]) -> bytes:
    """The manifest as JSON, with the sha256 of all the rest of it as its last key."""
    return json.dumps({**manifest, "sha256": body_digest(manifest)}, indent=1).encode()


def body_digest(manifest: Mapping[str, Any]) -> str:
    """The sha256 of a manifest that has none yet."""
    return digest(json.dumps(manifest, indent=1, sort_keys=True).encode())


def save(folder: Path, step: int, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> Path:
    """Write checkpoint `step` below `folder`; DiskError without room or permission.

    facts: what else the manifest says (samples_seen, seconds, config_hash, versions).
    """
    final = folder / folder_name(step)
    if final.exists():
        return final
    data = encode_tensors(tensors)
    temporary = folder / f".tmp-{folder_name(step)}-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
        if free < len(data) + SPARE:
            raise OSError(errno.ENOSPC, f"{free:,} bytes free, {len(data) + SPARE:,} needed")
        temporary.mkdir()
        write_file(temporary / STATE, data)
        files = {STATE: {"sha256": digest(data), "bytes": len(data)}}
        manifest = {"format": FORMAT, "step": step, **facts, "files": files}
        write_file(temporary / MANIFEST, seal(manifest))
        sync_folder(temporary)
        os.rename(temporary, final)
        sync_folder(folder)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise disk_error(final, error) from error
    return final


def verify(path: Path) -> tuple[dict[str, Any], bytes]:
    """The manifest and state bytes of a checkpoint; DataError says what is damaged."""
    try:
        manifest = json.loads(read_file(path / MANIFEST))
        sealed = manifest.pop("sha256") == body_digest(manifest)
        state, version = dict(manifest["files"][STATE]), manifest["format"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        sealed, version = False, FORMAT
    if sealed and version != FORMAT:
        raise DataError(f"{path}: format {version}, this ganforge reads {FORMAT}")
    if not sealed or not sound(manifest):  # damaged, or sealed by somebody else
        raise DataError(f"{path}: its manifest is damaged")
    data = read_file(path / STATE)
    if state != {"sha256": digest(data), "bytes": len(data)}:
        raise DataError(f"{path}: {STATE} is damaged")
    return manifest, data


def sound(manifest: Mapping[str, Any]) -> bool:
    """Whether a manifest's facts have the types and ranges they are written with."""
    numbers = [manifest.get(key, 0) for key in NUMBERS]
    return (
        isinstance(manifest.get("step"), int)
        and all(isinstance(manifest.get(key, {}), dict) for key in TABLES)
        and all(type(number) in (int, float) and 0 <= number < 2**63 for number in numbers)
    )


def step_of(path: Path) -> int:
    """The step of a checkpoint, by its name."""
    return int(path.name[5:])


def listed(folder: Path) -> list[Path]:
    """The checkpoints below `folder`, newest first."""
    found = [p for p in folder.glob("step-*") if p.is_dir() and p.name[5:].isdigit()]
    return sorted(found, key=step_of, reverse=True)


def newest(folder: Path) -> tuple[Checkpoint | None, list[str]]:
    """The newest checkpoint that verifies, and a line for each damaged one passed over."""
    damaged: list[str] = []
    for path in listed(folder):
        try:
            manifest, _ = verify(path)
            return Checkpoint(path, manifest, read_tensors(path / STATE)), damaged
        except (DataError, DiskError) as error:
            damaged.append(str(error))
    return None, damaged


def clean(folder: Path) -> None:
    """Remove what a killed save left behind."""
    for path in folder.glob(".tmp-*"):
        shutil.rmtree(path, ignore_errors=True)


def prune(folder: Path, keep: int, also: frozenset[int] = frozenset()) -> None:
    """Remove all but the `keep` newest checkpoints and the steps named in `also`.

    What cannot be removed now is removed the next time.
    """
    for path in listed(folder)[keep:]:
        if step_of(path) not in also:
            with contextlib.suppress(OSError):
                remove(path)


def remove(path: Path) -> None:
    """Remove a checkpoint; OSError if the disk refuses.

    Renamed first: a kill halfway through the removal must not leave a broken checkpoint.
    """
    doomed = path.with_name(f".tmp-{path.name}-removed")
    os.replace(path, doomed)
    shutil.rmtree(doomed, ignore_errors=True)


def set_aside(folder: Path, newer_than: int) -> None:
    """Rename the damaged checkpoints after a step, so that their steps can be written again."""
    for path in after(folder, newer_than):
        with writing(path):
            doomed = path.with_name(f"damaged-{path.name}")
            shutil.rmtree(doomed, ignore_errors=True)
            os.replace(path, doomed)


def drop_after(folder: Path, step: int) -> None:
    """Remove the checkpoints after a step: games that share their steps go back together."""
    for path in after(folder, step):
        with writing(path):
            remove(path)


def after(folder: Path, step: int) -> list[Path]:
    """The checkpoints after a step, newest first."""
    return [path for path in listed(folder) if step_of(path) > step]
