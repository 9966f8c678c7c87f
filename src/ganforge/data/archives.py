"""Zip files, read in place: nothing is ever extracted, and everything is checked first.

A member is refused for an absolute path or one with "..", for being a link or encrypted, for a
name that occurs twice, and for sizes that only an attack has.
"""

from __future__ import annotations

import errno
import stat
import struct
import threading
import zipfile
from functools import lru_cache
from pathlib import Path, PurePosixPath, PureWindowsPath

from ganforge.errors import DataError, DiskError, GanforgeError

MAX_MEMBERS = 500_000
MAX_DIRECTORY = 2**26  # bytes of the table of contents, before it is read into memory
MAX_MEMBER = 2**28  # bytes of one picture
MAX_TOTAL = 2**38
MAX_RATIO = 100
SMALL = 2**20  # below it the ratio is not looked at: a blank picture is small, not an attack
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_LOCK = threading.Lock()  # a ZipFile has one file position for all threads


def members(path: Path, *, most: int = MAX_MEMBER, small: int = SMALL) -> dict[str, int]:
    """Name -> uncompressed size of the files in a zip, each of them checked.

    most: cap on one member, bytes. small: members up to this size may have any ratio.
    Raises DataError that names the member and what is wrong with it.
    """
    sizes: dict[str, int] = {}
    for info in _archive(path, _stamp(path)).infolist():
        if _safe(info.filename) and info.is_dir() and info.file_size == 0:
            continue
        where = f"{path}: member {info.filename[:200]!r}"
        if info.filename in sizes:
            raise DataError(f"{where} occurs twice: make the archive again")
        if fault := _fault(info, most, small):
            raise DataError(f"{where} {fault}")
        sizes[info.filename] = info.file_size
    if sum(sizes.values()) > MAX_TOTAL:
        raise DataError(
            f"{path}: {sum(sizes.values())} bytes uncompressed, above the cap of {MAX_TOTAL}: "
            "unpack it and give the folder"
        )
    return sizes


def read(path: Path, name: str) -> bytes:
    """The bytes of one member that `members` has checked.

    Raises DataError where they are damaged, DiskError where the archive cannot be read.
    """
    try:
        with _LOCK:
            return _archive(path, _stamp(path)).read(name)
    except GanforgeError:
        raise
    except Exception as error:
        raise _fault_of(error, path, f"member {name[:200]!r} is damaged") from None


def _fault_of(error: Exception, path: Path, what: str) -> GanforgeError:
    """`zipfile` raises nearly everything on damaged bytes, OSErrors for impossible offsets too."""
    if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
        return DiskError(f"{path}: cannot be read ({error.strerror or error})")
    return DataError(f"{path}: {what} ({brief(error)})")


def brief(error: Exception) -> str:
    """The message of somebody else's exception, in a line of at most 120 characters."""
    return " ".join(str(error).split())[:120] or type(error).__name__


def _fault(info: zipfile.ZipInfo, most: int, small: int) -> str | None:
    """What is wrong with a member, as the end of a sentence; None where nothing is."""
    kind = stat.S_IFMT(info.external_attr >> 16)
    if not _safe(info.filename):
        return "has a path that leads out of the archive: refused"
    if kind not in (0, stat.S_IFREG):
        return "is a link or a special file: refused"
    if info.flag_bits & 0x1:
        return "is encrypted: make the archive without a password"
    if info.compress_type not in _METHODS:
        return f"is compressed by method {info.compress_type}: only stored and deflated are read"
    large = info.file_size > most
    if large or info.file_size > max(small, MAX_RATIO * max(1, info.compress_size)):
        cap = f"{most} bytes" if large else f"{MAX_RATIO} times its compressed size"
        return f"has {info.file_size} bytes, above the cap of {cap}: unpack it and give the folder"
    return None


def _safe(name: str) -> bool:
    windows = PureWindowsPath(name)
    absolute = name.startswith(("/", "\\")) or bool(windows.drive or windows.root)
    parts = (*PurePosixPath(name).parts, *windows.parts)
    return bool(name) and not absolute and ".." not in parts and "\0" not in name


def _stamp(path: Path) -> tuple[int, int]:
    """Size and time of the file, so that a changed archive is opened anew."""
    try:
        found = path.stat()
    except OSError as error:
        raise DiskError(f"{path}: cannot be read ({error.strerror or error})") from None
    return found.st_size, found.st_mtime_ns


@lru_cache(maxsize=2)
def _archive(path: Path, stamp: tuple[int, int]) -> zipfile.ZipFile:
    """The open archive; one for all threads of this process."""
    try:
        directory, entries = _directory(path, stamp[0])
        if directory > MAX_DIRECTORY or entries > MAX_MEMBERS:
            raise DataError(
                f"{path}: a table of contents of {directory} bytes and {entries} members, above "
                f"the caps of {MAX_DIRECTORY} and {MAX_MEMBERS}: unpack it and give the folder"
            )
        archive = zipfile.ZipFile(path)
    except GanforgeError:
        raise
    except Exception as error:
        raise _fault_of(error, path, "not a zip file, or a damaged one") from None
    if len(archive.filelist) > MAX_MEMBERS:
        archive.close()
        raise DataError(f"{path}: more than {MAX_MEMBERS} members: unpack it and give the folder")
    return archive


def _directory(path: Path, size: int) -> tuple[int, int]:
    """Bytes and entries of the table of contents, as the end of the file states them.

    Looked at before `zipfile` reads the whole table into memory.
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
