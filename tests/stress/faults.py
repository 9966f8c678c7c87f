"""A disk that fails: from its k-th call on, every write of this process raises an error."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CALLS = ("fsync", "rename", "replace", "mkdir", "link", "truncate")


class Disk:
    """Counts the writing calls; those after the k-th fail with `number` of errno.

    seen: how many there were. A file that fails has half of the data on the disk already.
    """

    def __init__(self, k: int, number: int):
        self.k, self.number, self.seen = k, number, 0

    def count(self, what: Any) -> None:
        self.seen += 1
        if self.seen > self.k:
            raise OSError(self.number, os.strerror(self.number), str(what))

    @property
    def failed(self) -> bool:
        return self.seen > self.k


class File:
    """An open file whose writes may fail."""

    def __init__(self, file: Any, disk: Disk):
        self.file, self.disk = file, disk

    def __enter__(self) -> File:
        return self

    def __exit__(self, *error: Any) -> None:
        self.file.close()

    def write(self, data: bytes) -> int:
        try:
            self.disk.count("write")
        except OSError:
            self.file.write(data[: len(data) // 2])
            raise
        return int(self.file.write(data))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


@contextmanager
def failing(disk: Disk) -> Iterator[Disk]:
    """Every write goes through `disk` meanwhile. What frees space (unlink, rmtree) works."""
    kept = {name: getattr(os, name) for name in CALLS}
    original = Path.open

    def wrap(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            if function is not kept["truncate"]:  # making a file shorter needs no room
                disk.count(arguments[0])
            return function(*arguments, **options)

        return call

    def opened(path: Path, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        file = original(path, mode, *arguments, **options)
        if not any(letter in mode for letter in "wax"):
            return file
        try:
            disk.count(path)
        except OSError:
            file.close()  # and leaves an empty file
            raise
        return File(file, disk)

    for name, function in kept.items():
        setattr(os, name, wrap(function))
    Path.open = opened  # type: ignore[method-assign, assignment]
    try:
        yield disk
    finally:
        for name, function in kept.items():
            setattr(os, name, function)
        Path.open = original  # type: ignore[method-assign]
