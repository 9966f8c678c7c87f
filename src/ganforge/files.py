"""Files: read, written whole, made durable; JSON and npz."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ganforge.errors import DataError, DiskError
from ganforge.text import json_bytes

CHUNK = 2**20


def read_file(path: Path) -> bytes:
    """A file's bytes; DataError where there is none, DiskError where it cannot be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except OSError as error:
        raise DiskError(f"{path}: cannot be read ({error.strerror or error})") from None


def write_file(path: Path, data: bytes) -> None:
    """Write and fsync; the caller renames."""
    with path.open("wb") as file:
        for start in range(0, len(data), CHUNK):
            file.write(data[start : start + CHUNK])
        file.flush()
        os.fsync(file.fileno())


def replace_file(path: Path, data: bytes) -> None:
    """Put `data` in the place of `path`, whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write_file(temporary, data)
        os.replace(temporary, path)
        sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise disk_error(path, error) from error


def disk_error(path: Path, error: OSError) -> DiskError:
    """The DiskError for a path that could not be written, with its remedy."""
    remedy = {
        errno.ENOSPC: "free some space",
        errno.EDQUOT: "free some of your quota",
        errno.EACCES: "choose a folder you may write to",
        errno.EROFS: "choose a folder you may write to",
    }.get(error.errno or 0, "check the disk")
    return DiskError(f"{path}: cannot be written ({error.strerror or error}): {remedy}")


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` durable, where the system lets a folder be opened."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def digest(data: bytes) -> str:
    """sha256 as hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def save(path: Path, data: bytes) -> Path:
    """Put a file's bytes at `path`, whole or not at all, making its folder."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise disk_error(path, error) from error
    replace_file(path, data)
    return path


def npz(**arrays: npt.NDArray[Any]) -> bytes:
    """Arrays as an .npz file's bytes; never a pickle."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def read(path: Path, default: Any = None) -> Any:
    """A JSON file of ours, or `default` where there is none yet; DataError where it is damaged."""
    if not path.exists():
        return default
    try:
        return json.loads(read_file(path))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: damaged ({error}): remove it, and it is made again") from None


def write(path: Path, table: Any) -> None:
    """A JSON file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, json_bytes(table, indent=1))
