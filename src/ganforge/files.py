"""Files: read, written whole or not at all, JSON, JSON lines and npz."""

from __future__ import annotations

import base64
import contextlib
import errno
import hashlib
import io
import json
import os
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ganforge.errors import DataError, DiskError, GanforgeError, UnreadableError, one_line
from ganforge.text import json_bytes
from ganforge.types import Array

MADE_AGAIN = "remove it, and it is made again"
REMEDIES: dict[int | None, str] = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some of your quota",
    errno.EACCES: "choose a folder you may write to",
    errno.EROFS: "choose a folder you may write to",
}


# --- bytes ------------------------------------------------------------------------------------


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turns an OSError into a DiskError that names `path`."""
    try:
        yield
    except OSError as error:
        raise DiskError(f"{path}: cannot be read ({error.strerror or error})") from None


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns an OSError into a DiskError that names `path` and the remedy."""
    try:
        yield
    except OSError as error:
        raise disk_error(path, error) from error


def disk_error(path: Path, error: OSError) -> DiskError:
    """The DiskError for a path that could not be written, with its remedy."""
    remedy = REMEDIES.get(error.errno, "check the disk")
    return DiskError(f"{path}: cannot be written ({error.strerror or error}): {remedy}")


@contextlib.contextmanager
def parsing(path: Path | str, fault: str) -> Iterator[None]:
    """Turns what a parser raises on damaged bytes, which may be anything, into an UnreadableError.

    Args:
        path: of the file, for a DiskError if it cannot be read.
        fault: the message of the UnreadableError, before that of the parser.
    """
    try:
        yield
    except GanforgeError:
        raise
    except Exception as error:
        # parsers raise an OSError without a number, or EINVAL for an impossible offset
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise DiskError(f"{path}: cannot be read ({error.strerror})") from None
        raise UnreadableError(f"{fault} ({one_line(error)})") from None


def read_file(path: Path) -> bytes:
    """The bytes of a file; DataError if it does not exist, DiskError if it cannot be read."""
    with reading(path):
        try:
            return path.read_bytes()
        except FileNotFoundError:
            raise DataError(f"{path}: no such file") from None


def write_file(path: Path, data: bytes) -> None:
    """Write the bytes of a file and flush them to the disk; a crash may leave a part of them."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def replace_file(path: Path, data: bytes) -> None:
    """Write the bytes of a file, whole or not at all; DiskError if they cannot be written."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with writing(path):
        try:
            write_file(temporary, data)
            os.replace(temporary, path)
            sync_folder(path.parent)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink()


def save_file(path: Path, data: bytes) -> Path:
    """`replace_file` that makes the folder of `path` if it does not exist; returns `path`."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, data)
    return path


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` durable, on systems that can open a folder."""
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


def policy_hash(text: str) -> str:
    """The source 'sha256-...' by which a content security policy allows a style or a script."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def file_digest(path: Path, kind: str = "sha256") -> str:
    """The hash of a file as hexadecimal digits; DiskError if it cannot be read."""
    with reading(path), path.open("rb") as file:
        return hashlib.file_digest(file, kind).hexdigest()


# --- JSON -------------------------------------------------------------------------------------


def read_json(path: Path, default: Any = None, remedy: str = MADE_AGAIN) -> Any:
    """The value in a JSON file, or `default` if the file does not exist.

    Raises:
        DataError: the file is damaged; the message ends with `remedy`.
        DiskError: the file cannot be read.
    """
    if not path.exists():
        return default
    try:
        return json.loads(read_file(path))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: damaged ({error}): {remedy}") from None


def write_json(path: Path, value: Any, *, finite: bool = False) -> Path:
    """Write a JSON file, whole or not at all, making its folder; returns `path`.

    Args:
        path: of the file.
        value: tables, lists, text and numbers.
        finite: NaN and infinity, which JSON does not know, are a ValueError.

    Raises:
        DiskError: the file cannot be written.
    """
    return save_file(path, json_bytes(value, indent=1, allow_nan=not finite))


def read_json_lines(path: Path) -> Iterator[Any]:
    """The values in the lines of a file; none if it does not exist.

    Lines that are not JSON are left out, and so is a last line without its end, which a crash may
    leave. DiskError if the file cannot be read.
    """
    with reading(path), contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                with contextlib.suppress(ValueError, RecursionError):
                    yield json.loads(line)


def json_lines(values: Iterable[Any]) -> bytes:
    """Values as JSON, one in each line."""
    return b"".join(json_bytes(value) + b"\n" for value in values)


def append_json_lines(path: Path, values: Iterable[Any]) -> None:
    """Append one line for each value, flushed to the system but not to the disk.

    Raises:
        DiskError: the file cannot be written; a line that was written in part is removed, or the
            next one would continue it.
    """
    before = path.stat().st_size if path.exists() else 0
    try:
        with writing(path), path.open("ab") as file:
            file.write(json_lines(values))
    except DiskError:
        with contextlib.suppress(OSError):
            os.truncate(path, before)
        raise


# --- arrays -----------------------------------------------------------------------------------


def npz(**arrays: Array) -> bytes:
    """Arrays as the bytes of an .npz file; never a pickle."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def read_npz(path: Path) -> dict[str, Array]:
    """The arrays of a file made by `npz`; DataError if it is none, or damaged."""
    try:
        with np.load(io.BytesIO(read_file(path)), allow_pickle=False) as file:
            return dict(file)
    except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error):
        # the message of NumPy would advise to unpickle bytes that it does not know
        raise DataError(f"{path}: not an .npz file, or a damaged one: {MADE_AGAIN}") from None
