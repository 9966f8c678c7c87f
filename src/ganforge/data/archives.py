"""Files of a folder, and members of a zip, read in place: nothing is ever extracted.

A member of a zip is refused for an absolute path or one with "..", for being a link or encrypted,
for a name that occurs twice, and for sizes that only an attack has. This module imports neither
torch nor anything that does: worker processes start from it.
"""

from __future__ import annotations

import errno
import io
import os
import stat
import struct
import threading
import zipfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, Protocol

from ganforge.errors import DataError, DiskError, GanforgeError, one_line
from ganforge.files import reading

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_LOCK = threading.Lock()  # a ZipFile has one file position for all threads


@dataclass(frozen=True)
class Caps:
    """Largest sizes of an archive.

    Args:
        member: bytes of one member, uncompressed.
        small: bytes up to which a member may have any ratio of compression: a blank picture is
            small, not an attack.
        ratio: uncompressed over compressed bytes of a larger member.
        total: bytes of all members, uncompressed.
        members: number of members.
        directory: bytes of the table of contents, before it is read into memory.
    """

    member: int = 2**28
    small: int = 2**20
    ratio: int = 100
    total: int = 2**38
    members: int = 500_000
    directory: int = 2**26


CAPS = Caps()


class Store(Protocol):
    """A place where picture files lie. Picklable, so that worker processes can have it."""

    @property
    def path(self) -> Path: ...
    def names(self) -> list[str]: ...
    def open(self, name: str) -> IO[bytes]: ...


@dataclass(frozen=True)
class Folder:
    """The files of a folder and of its subfolders."""

    path: Path

    def names(self) -> list[str]:
        """Paths of all files relative to the folder, with forward slashes."""

        def stop(error: OSError) -> None:
            raise DiskError(f"{error.filename}: cannot be read ({error.strerror})") from None

        return [
            (Path(folder).relative_to(self.path) / name).as_posix()
            for folder, _, names in os.walk(self.path, onerror=stop)
            for name in names
        ]

    def open(self, name: str) -> IO[bytes]:
        """The open file; DataError for a pipe, a device or a file above the cap."""
        file = self.path / name
        with reading(file):
            found = file.stat()
            if not stat.S_ISREG(found.st_mode):  # reading a pipe would wait for ever
                raise DataError(f"{file}: not a file but a pipe, a folder or a device")
            if found.st_size > CAPS.member:
                raise DataError(f"larger than the cap of {CAPS.member} bytes")
            return file.open("rb")


@dataclass(frozen=True)
class Archive:
    """The members of a zip."""

    path: Path

    def names(self) -> list[str]:
        """Names of all members; DataError if one of them is refused."""
        return list(members(self.path))

    def open(self, name: str) -> IO[bytes]:
        """The uncompressed member."""
        return io.BytesIO(read(self.path, name))


def members(path: Path, caps: Caps = CAPS) -> dict[str, int]:
    """Name -> uncompressed bytes of the files in a zip, each of them checked.

    Raises:
        DataError: no zip file, or a member that is refused, with its name and the reason.
    """
    sizes: dict[str, int] = {}
    for info in _archive(path, _stamp(path), caps.members, caps.directory).infolist():
        if _safe(info.filename) and info.is_dir() and info.file_size == 0:
            continue
        where = f"{path}: member {info.filename[:200]!r}"
        if info.filename in sizes:
            raise DataError(f"{where} occurs twice: make the archive again")
        if fault := _fault(info, caps):
            raise DataError(f"{where} {fault}")
        sizes[info.filename] = info.file_size
    if sum(sizes.values()) > caps.total:
        raise DataError(
            f"{path}: {sum(sizes.values())} bytes uncompressed, above the cap of {caps.total}: "
            "unpack it and give the folder"
        )
    return sizes


def read(path: Path, name: str, caps: Caps = CAPS) -> bytes:
    """The bytes of one member that `members` has checked, with the same caps.

    Raises:
        DataError: the member is damaged.
        DiskError: the archive cannot be read.
    """
    try:
        with _LOCK:
            return _archive(path, _stamp(path), caps.members, caps.directory).read(name)
    except GanforgeError:
        raise
    except Exception as error:
        raise _fault_of(error, path, f"member {name[:200]!r} is damaged") from None


def _fault_of(error: Exception, path: Path, what: str) -> GanforgeError:
    """`zipfile` raises nearly everything on damaged bytes, OSErrors for impossible offsets too."""
    if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
        return DiskError(f"{path}: cannot be read ({error.strerror or error})")
    return DataError(f"{path}: {what} ({one_line(error)})")


def _fault(info: zipfile.ZipInfo, caps: Caps) -> str | None:
    """What is wrong with a member, as the end of a sentence, or None."""
    kind = stat.S_IFMT(info.external_attr >> 16)
    if not _safe(info.filename):
        return "has a path that leads out of the archive: refused"
    if kind not in (0, stat.S_IFREG):
        return "is a link or a special file: refused"
    if info.flag_bits & 0x1:
        return "is encrypted: make the archive without a password"
    if info.compress_type not in _METHODS:
        return f"is compressed by method {info.compress_type}: only stored and deflated are read"
    large = info.file_size > caps.member
    if large or info.file_size > max(caps.small, caps.ratio * max(1, info.compress_size)):
        cap = f"{caps.member} bytes" if large else f"{caps.ratio} times its compressed size"
        return f"has {info.file_size} bytes, above the cap of {cap}: unpack it and give the folder"
    return None


def _safe(name: str) -> bool:
    windows = PureWindowsPath(name)
    absolute = name.startswith(("/", "\\")) or bool(windows.drive or windows.root)
    parts = (*PurePosixPath(name).parts, *windows.parts)
    return bool(name) and not absolute and ".." not in parts and "\0" not in name


def _stamp(path: Path) -> tuple[int, int]:
    """Size and time of the file, so that a changed archive is opened again."""
    with reading(path):
        found = path.stat()
    return found.st_size, found.st_mtime_ns


@lru_cache(maxsize=2)
def _archive(
    path: Path, stamp: tuple[int, int], most_members: int, most_directory: int
) -> zipfile.ZipFile:
    """The open archive; one for all threads of this process."""
    try:
        directory, entries = _directory(path, stamp[0])
        if directory > most_directory or entries > most_members:
            raise DataError(
                f"{path}: a table of contents of {directory} bytes and {entries} members, above "
                f"the caps of {most_directory} and {most_members}: unpack it and give the folder"
            )
        archive = zipfile.ZipFile(path)
    except GanforgeError:
        raise
    except Exception as error:
        raise _fault_of(error, path, "not a zip file, or a damaged one") from None
    if len(archive.filelist) > most_members:
        archive.close()
        raise DataError(f"{path}: more than {most_members} members: unpack it and give the folder")
    return archive


def _directory(path: Path, size: int) -> tuple[int, int]:
    """Bytes and entries of the table of contents, as the end of the file states them.

    `zipfile` reads the whole table into memory, so its size is checked before.
    """
    with path.open("rb") as file:
        file.seek(max(0, size - 2**16 - 200))
        tail = file.read()
    end = tail.rfind(b"PK\x05\x06")
    if end < 0 or len(tail) < end + 22:
        raise zipfile.BadZipFile("it has no table of contents")
    entries, directory = struct.unpack_from("<HI", tail, end + 10)
    wide = tail.rfind(b"PK\x06\x06", 0, end)
    if wide >= 0 and len(tail) >= wide + 48:
        entries, directory = struct.unpack_from("<QQ", tail, wide + 32)
    return int(directory), int(entries)
