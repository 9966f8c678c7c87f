"""Where picture files lie, and the work on a chunk of them.

Like `pictures`, this imports nothing that imports torch: worker processes start from it.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from ganforge.data import archives
from ganforge.data.decode import Header, Picture, UnreadableError, decode, probe
from ganforge.errors import DataError, DiskError

MAX_FILE = 2**28  # bytes of one picture file


def decode_chunk(
    store: Store, names: Sequence[str], *, size: int | None, channels: int
) -> list[Picture | str]:
    """Each name's picture, or why there is none."""
    out: list[Picture | str] = []
    for name in names:
        try:
            with _opened(store, name) as file:
                out.append(decode(file, f"{store.path}/{name}", size, channels))
        except UnreadableError as error:
            out.append(str(error))
    return out


def probe_chunk(store: Store, names: Sequence[str]) -> list[Header | str]:
    """Each name's header, or why there is none."""
    out: list[Header | str] = []
    for name in names:
        try:
            with _opened(store, name) as file:
                out.append(probe(file, f"{store.path}/{name}"))
        except UnreadableError as error:
            out.append(str(error))
    return out


def _opened(store: Store, name: str) -> IO[bytes]:
    """The open file; a damaged member of a zip, or a file above its cap, is a damaged picture."""
    try:
        return store.open(name)
    except DataError as error:
        raise UnreadableError(str(error)) from None


class Store(Protocol):
    """Where picture files lie. Picklable, so that worker processes can have it."""

    @property
    def path(self) -> Path: ...
    def open(self, name: str) -> IO[bytes]: ...


@dataclass(frozen=True)
class Folder:
    """Pictures in a folder."""

    path: Path

    def open(self, name: str) -> IO[bytes]:
        file = self.path / name
        try:
            found = file.stat()
            if not stat.S_ISREG(found.st_mode):  # a pipe would be waited for, for ever
                raise DataError(f"{file}: not a file but a pipe, a folder or a device")
            if found.st_size > MAX_FILE:
                raise DataError(f"larger than the cap of {MAX_FILE} bytes")
            return file.open("rb")
        except OSError as error:
            raise DiskError(f"{file}: cannot be read ({error.strerror or error})") from None

    def names(self) -> list[str]:
        def stop(error: OSError) -> None:
            raise DiskError(f"{error.filename}: cannot be read ({error.strerror})") from None

        found = []
        for folder, _, files in os.walk(self.path, onerror=stop):
            where = Path(folder).relative_to(self.path)
            found += [(where / name).as_posix() for name in files]
        return found


@dataclass(frozen=True)
class Archive:
    """Pictures in a zip, read in place."""

    path: Path

    def open(self, name: str) -> IO[bytes]:
        return io.BytesIO(archives.read(self.path, name))

    def names(self) -> list[str]:
        return list(archives.members(self.path, most=MAX_FILE))
