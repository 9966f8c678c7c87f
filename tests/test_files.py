"""Files: whole or not at all, errors that name the path, JSON lines that survive a crash."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ganforge import files
from ganforge.errors import DataError, DiskError, UnreadableError, UsageError


def test_save_file_makes_the_folder_and_replace_file_does_not(tmp_path: Path) -> None:
    path = files.save_file(tmp_path / "a" / "b" / "c", b"x")
    assert path.read_bytes() == b"x"
    with pytest.raises(DiskError, match=r"none.c: cannot be written \(No such file"):
        files.replace_file(tmp_path / "none" / "c", b"x")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DiskError, match=r"file.c: cannot be written"):
        files.save_file(tmp_path / "file" / "c", b"x")


def test_a_file_that_does_not_exist_and_one_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a: no such file"):
        files.read_file(tmp_path / "a")
    with pytest.raises(DiskError, match=r"cannot be read \(Is a directory"):
        files.read_file(tmp_path)


@pytest.mark.parametrize(
    ("raised", "error", "says"),
    [
        (ValueError("bad"), UnreadableError, r"^a: no list \(bad\)$"),
        (OSError("truncated"), UnreadableError, r"^a: no list \(truncated\)$"),
        (OSError(errno.EIO, "I/O error"), DiskError, r"^a: cannot be read \(I/O error\)$"),
        (UsageError("above the cap"), UsageError, r"^above the cap$"),
    ],
)
def test_what_a_parser_raises(raised: Exception, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says), files.parsing("a", "a: no list"):
        raise raised


def test_json_both_ways(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.json"
    assert files.read_json(path) is None and files.read_json(path, []) == []
    files.write_json(path, {"a": [1, None, "x"]})
    assert files.read_json(path) == {"a": [1, None, "x"]}


@pytest.mark.parametrize("text", ["{", "[" * 100_000, ""])
def test_damaged_json_is_a_data_error_with_its_remedy(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(DataError, match=r"a.json: damaged \(.*\): remove it, and it is made again"):
        files.read_json(path)
    with pytest.raises(DataError, match=r"damaged \(.*\): copy it back"):
        files.read_json(path, remedy="copy it back")


def test_finite_json_refuses_nan_and_leaves_the_old_file(tmp_path: Path) -> None:
    path = files.write_json(tmp_path / "a.json", 1)
    with pytest.raises(ValueError, match="JSON"):
        files.write_json(path, float("nan"), finite=True)
    assert path.read_text() == "1"
    files.write_json(path, float("inf"))


def test_json_lines_leave_out_what_is_torn_or_foreign(tmp_path: Path) -> None:
    path = tmp_path / "log"
    assert list(files.read_json_lines(path)) == []
    files.append_json_lines(path, [{"a": 1}, 2])
    with path.open("ab") as file:
        file.write(b"not JSON\n" + b"[" * 100_000 + b"\n")
    files.append_json_lines(path, [3])
    with path.open("ab") as file:
        file.write(b"12")  # of 123: what is torn may be JSON by chance
    assert list(files.read_json_lines(path)) == [{"a": 1}, 2, 3]
    assert files.json_lines([1, {"b": 2}]) == b'1\n{"b": 2}\n'
    with pytest.raises(DiskError, match="cannot be read"):
        list(files.read_json_lines(tmp_path))


def test_a_line_that_was_written_in_part_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log"
    files.append_json_lines(path, [1])
    real_open = Path.open

    class Full:
        """A file on a disk that takes three bytes more."""

        def __init__(self, file: Any):
            self.file = file

        def __enter__(self) -> Full:
            return self

        def __exit__(self, *_: object) -> None:
            self.file.close()

        def write(self, data: bytes) -> None:
            self.file.write(data[:3])
            raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", lambda p, mode="r": Full(real_open(p, mode)))
        with pytest.raises(DiskError, match=r"No space left on device\): free some space"):
            files.append_json_lines(path, ["a long record"])
    assert path.read_bytes() == b"1\n"


def test_arrays_both_ways_and_never_a_pickle(tmp_path: Path) -> None:
    path = files.save_file(tmp_path / "a.npz", files.npz(x=np.arange(3), y=np.eye(2)))
    found = files.read_npz(path)
    assert sorted(found) == ["x", "y"] and np.array_equal(found["x"], [0, 1, 2])
    np.savez(path, x=np.array([{}], dtype=object))
    with pytest.raises(DataError, match=r"not an \.npz file, or a damaged one") as caught:
        files.read_npz(path)
    assert "pickle" not in str(caught.value)


@pytest.mark.parametrize("damage", ["cut", "flipped", "text", "npy"])
def test_a_damaged_npz_is_a_data_error(tmp_path: Path, damage: str) -> None:
    raw = bytearray(files.npz(x=np.random.default_rng(0).normal(size=999)))
    if damage == "cut":
        raw = raw[:-30]
    elif damage == "flipped":
        raw[60:300] = b"\xff" * 240
    elif damage == "text":
        raw = bytearray(json.dumps([1]).encode())
    path = tmp_path / "a.npz"
    path.write_bytes(raw)
    if damage == "npy":
        with path.open("wb") as file:
            np.lib.format.write_array(file, np.arange(3))
    with pytest.raises(DataError, match=r"not an \.npz file, or a damaged one"):
        files.read_npz(path)
