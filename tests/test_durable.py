"""What is saved outlives a crash of the machine: it is flushed to the disk before it has its name,
and the name after that."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ganforge import files
from ganforge.data.pack import pack
from ganforge.runs import checkpoint


class Disk:
    """What a disk has after a crash: the files and lists of names that were flushed to it.

    early: paths that got their name before their content was flushed.
    """

    def __init__(self) -> None:
        self.contents: dict[int, bytes] = {}
        self.names: dict[int, set[str]] = {}
        self.early: list[str] = []

    def flush(self, handle: int) -> None:
        inode = os.fstat(handle).st_ino
        if os.path.isdir(f"/proc/self/fd/{handle}"):
            self.names[inode] = set(os.listdir(handle))
        else:
            self.contents[inode] = Path(f"/proc/self/fd/{handle}").read_bytes()

    def has(self, path: Path) -> bool:
        """Whether a file, or a folder with all its files, is there whole."""
        if path.is_dir():
            listed = set(os.listdir(path))
            return self.names.get(path.stat().st_ino) == listed and all(
                self.has(path / name) for name in listed
            )
        return self.contents.get(path.stat().st_ino) == path.read_bytes()


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    made, fsync = Disk(), os.fsync

    def flush(handle: int) -> None:
        made.flush(handle)
        fsync(handle)

    def checked(rename: Callable[..., None]) -> Callable[..., None]:
        def renamed(source: Any, target: Any) -> None:
            if not made.has(Path(source)):
                made.early.append(str(target))
            rename(source, target)

        return renamed

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", flush)
        patch.setattr(os, "rename", checked(os.rename))
        patch.setattr(os, "replace", checked(os.replace))
        yield made


def saved_file(folder: Path) -> Path:
    return files.save_file(folder / "a.json", b"1")


def saved_checkpoint(folder: Path) -> Path:
    return checkpoint.save(folder, 5, {"w": torch.ones(3)}, {"seconds": 1.0})


def packed_data(folder: Path) -> Path:
    np.savez(
        folder / "in.npz",
        images=np.arange(100 * 16, dtype=np.uint8).reshape(100, 4, 4),
        labels=np.arange(100) % 4,
    )
    pack(str(folder / "in.npz"), folder / "out")
    return folder / "out"


@pytest.mark.parametrize("save", [saved_file, saved_checkpoint, packed_data])
def test_a_name_is_given_to_what_is_on_the_disk(
    tmp_path: Path, disk: Disk, save: Callable[[Path], Path]
) -> None:
    path = save(tmp_path)
    assert disk.early == []
    assert disk.has(path)


@pytest.mark.parametrize("save", [saved_file, saved_checkpoint, packed_data])
def test_the_name_is_on_the_disk_too(
    tmp_path: Path, disk: Disk, save: Callable[[Path], Path]
) -> None:
    path = save(tmp_path)
    assert path.name in disk.names[path.parent.stat().st_ino]
