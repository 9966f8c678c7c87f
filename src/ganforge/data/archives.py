"""Files of a folder, and members of a zip, read in place: nothing is ever extracted.

A member of a zip is refused for an absolute path or one with "..", for being a link or encrypted,
for a name that occurs twice, and for sizes that only an attack has. This module imports neither
torch nor anything that does: worker processes start from it.
"""

from __future__ import annotations

import io
import os
import stat
import struct
import threading
import zipfile
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path, PureWindowsPath
from typing import IO

from ganforge.errors import DataError, UnreadableError
from ganforge.files import parsing, reading

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_LOCK = threading.Lock()  # a ZipFile has one file position for all threads
_UNPACK = "unpack it and give the folder"


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


@dataclass(frozen=True)
class Folder:
    """The files of a folder and of its subfolders, links to folders included."""

    path: Path

    def names(self) -> list[str]:
        """Paths of all files relative to the folder, with forward slashes.

        A link to a folder that contains it is not followed, and is listed like a file.
        """
        found: list[str] = []

        def stop(error: OSError) -> None:
            with reading(error.filename):
                raise error

        for folder, folders, names in os.walk(self.path, onerror=stop, followlinks=True):
            place = Path(folder)
            loops = [name for name in folders if self._is_loop(place / name)]
            folders[:] = [name for name in folders if name not in loops]
            inside = place.relative_to(self.path)
            found += [(inside / name).as_posix() for name in (*names, *loops)]
        return found

    def _is_loop(self, folder: Path) -> bool:
        """Whether a folder is a link to one of those on the way to it, or to one around them."""
        if not folder.is_symlink():
            return False
        target, way = folder.resolve(), folder.relative_to(self.path).parents
        return any((self.path / place).resolve().is_relative_to(target) for place in way)

    def folders(self, inside: str) -> list[str]:
        """Names of the folders in a folder, which has a slash at its end, or "" for the top."""
        with reading(self.path / inside):
            return [entry.name for entry in (self.path / inside).iterdir() if entry.is_dir()]

    def open(self, name: str) -> IO[bytes]:
        """The open file; UnreadableError for a pipe, a device or a file above the cap."""
        file = self.path / name
        with reading(file):
            if file.is_symlink() and not file.exists():
                raise UnreadableError("a link that leads nowhere")
            found = file.stat()
            if not stat.S_ISREG(found.st_mode):  # reading a pipe would wait for ever
                raise UnreadableError(f"{file}: not a file but a pipe, a folder or a device")
            if found.st_size > CAPS.member:
                raise UnreadableError(f"{file}: larger than the cap of {CAPS.member} bytes")
            return file.open("rb")


@dataclass(frozen=True)
class Archive:
    """The members of a zip."""

    path: Path

    def names(self) -> list[str]:
        """Names of all members, with forward slashes; DataError if one of them is refused."""
        return list(members(self.path))

    def folders(self, inside: str) -> list[str]:
        """Names of the folders in a folder, see `Folder.folders`."""
        names = map(_plain, _archive(self.path, CAPS).namelist())
        below = [n.removeprefix(inside).split("/") for n in names if n.startswith(inside)]
        return list(dict.fromkeys(first for first, *rest in below if rest))

    def open(self, name: str) -> IO[bytes]:
        """The uncompressed member."""
        return io.BytesIO(read(self.path, name))


Store = Folder | Archive  # a place where picture files lie; worker processes are sent it


@dataclass(frozen=True)
class Files:
    """The files of a store.

    names: pictures. unread: files that look like pictures, and why they are not read. every: all
    that are not hidden and not in `made`, folders that this package has written.
    """

    store: Store
    names: list[str]
    unread: dict[str, str] = field(default_factory=dict)
    every: list[str] = field(default_factory=list)
    made: tuple[str, ...] = ()


def members(path: Path, caps: Caps = CAPS) -> dict[str, int]:
    """Name, with forward slashes -> uncompressed bytes of the files in a zip, each checked.

    Raises:
        DataError: no zip file, or a member that is refused, with its name and the reason.
    """
    sizes: dict[str, int] = {}
    for info in _archive(path, caps).infolist():
        name = _plain(info.filename)
        if _safe(name) and name.endswith("/") and info.file_size == 0:
            continue
        where = f"{path}: member {info.filename[:200]!r}"
        if name in sizes:
            raise DataError(f"{where} occurs twice: make the archive again")
        if fault := _fault(info, caps):
            raise DataError(f"{where} {fault}")
        sizes[name] = info.file_size
    if (total := sum(sizes.values())) > caps.total:
        raise DataError(
            f"{path}: {total} bytes uncompressed, above the cap of {caps.total}: {_UNPACK}"
        )
    return sizes


def read(path: Path, name: str, caps: Caps = CAPS) -> bytes:
    """The bytes of one member that `members` has checked, with the same caps.

    Raises:
        UnreadableError: the member is damaged.
        DiskError: the archive cannot be read.
    """
    with parsing(path, f"{path}: member {name[:200]!r} is damaged"), _LOCK:
        archive = _archive(path, caps)
        return archive.read(archive.NameToInfo[name])


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
    if large or info.file_size > max(caps.small, caps.ratio * info.compress_size):
        cap = f"{caps.member} bytes" if large else f"{caps.ratio} times its compressed size"
        return f"has {info.file_size} bytes, above the cap of {cap}: {_UNPACK}"
    return None


def _plain(name: str) -> str:
    """The name of a member with forward slashes: old tools of Windows write the other ones."""
    return name.replace("\\", "/")


def _safe(name: str) -> bool:
    path = PureWindowsPath(name)  # which is split at slashes of both kinds
    return bool(name) and not path.anchor and ".." not in path.parts


def _archive(path: Path, caps: Caps) -> zipfile.ZipFile:
    """The open archive, opened again if the file has changed."""
    with reading(path):
        found = path.stat()
    return _opened(path, caps, found.st_size, found.st_mtime_ns)


@lru_cache(maxsize=2)
def _opened(path: Path, caps: Caps, size: int, _: int) -> zipfile.ZipFile:
    """The open archive; one for all threads of this process."""
    with parsing(path, f"{path}: not a zip file, or a damaged one"):
        if (directory := _directory(path, size)) > caps.directory:
            raise DataError(
                f"{path}: a table of contents of {directory} bytes, above the cap of "
                f"{caps.directory}: {_UNPACK}"
            )
        archive = zipfile.ZipFile(path)
        archive.NameToInfo = {_plain(info.filename): info for info in archive.filelist}
    if (count := len(archive.filelist)) > caps.members:
        archive.close()
        raise DataError(f"{path}: {count} members, above the cap of {caps.members}: {_UNPACK}")
    return archive


def _directory(path: Path, size: int) -> int:
    """Bytes of the table of contents, as the end of the file states them.

    `zipfile` reads the whole table into memory, so its size is checked before.
    """
    with path.open("rb") as file:
        file.seek(max(0, size - 2**16 - 200))
        tail = file.read()
    end = tail.rfind(b"PK\x05\x06")
    if end < 0 or len(tail) < end + 22:
        raise zipfile.BadZipFile("it has no table of contents")
    directory: int = struct.unpack_from("<I", tail, end + 12)[0]
    wide = tail.rfind(b"PK\x06\x06", 0, end)
    if wide >= 0 and len(tail) >= wide + 48:
        directory = struct.unpack_from("<Q", tail, wide + 40)[0]
    return directory
