"""Checkpoints: whole or not there, whatever happens to the process, the disk or the file."""

import contextlib
import errno
import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from ganforge import files
from ganforge.errors import DataError, DiskError
from ganforge.runs import checkpoint
from tests.helpers.tiny import fingerprint, folder_hashes

FACTS = {"samples_seen": 7, "config_hash": "c"}


def tensors(step: int) -> dict[str, Tensor]:
    torch.manual_seed(step)
    return {
        "generator.weight": torch.randn(40, 30),
        "conv": torch.randn(8, 4, 3, 3).to(memory_format=torch.channels_last),
        "optimizer.step": torch.tensor(float(step)),
        "counter": torch.tensor(step),
        "half": torch.randn(5).to(torch.bfloat16),
        "empty": torch.empty(0, 3),
        "log.counted": torch.tensor(True),
    }


def saved(folder: Path, *steps: int) -> Path:
    for step in steps:
        checkpoint.save(folder, step, tensors(step), FACTS)
    return folder


def newest_step(folder: Path) -> int | None:
    found, _ = checkpoint.newest(folder)
    if found is None:
        return None
    assert fingerprint(found.tensors) == fingerprint(tensors(found.step))
    return found.step


def test_the_newest_checkpoint_is_read_as_it_was_saved(tmp_path: Path) -> None:
    saved(tmp_path, 3, 20, 100)
    found, damaged = checkpoint.newest(tmp_path)
    assert found is not None
    assert damaged == []
    assert found.step == 100
    assert fingerprint(found.tensors) == fingerprint(tensors(100))
    assert {k: found.manifest[k] for k in FACTS} == FACTS
    assert found.manifest["format"] == checkpoint.FORMAT
    assert sorted(p.name for p in found.path.iterdir()) == ["manifest.json", "state.safetensors"]


def test_a_folder_without_checkpoints_has_none(tmp_path: Path) -> None:
    assert checkpoint.newest(tmp_path / "none") == (None, [])
    checkpoint.clean(tmp_path / "none")


def test_the_same_values_make_the_same_bytes(tmp_path: Path) -> None:
    a, b = saved(tmp_path / "a", 5), saved(tmp_path / "b", 5)
    assert folder_hashes(a) == folder_hashes(b)
    shuffled = dict(reversed(tensors(5).items()))
    assert checkpoint.encode_tensors(shuffled) == checkpoint.encode_tensors(tensors(5))


def test_a_checkpoint_is_never_overwritten(tmp_path: Path) -> None:
    saved(tmp_path, 5)
    before = folder_hashes(tmp_path)
    checkpoint.save(tmp_path, 5, tensors(6), FACTS)
    assert folder_hashes(tmp_path) == before


# --- damage -----------------------------------------------------------------------------------


def flip(data: bytes) -> bytes:
    at = random.Random(0).randrange(len(data))
    return data[:at] + bytes([data[at] ^ 16]) + data[at + 1 :]


def reseal(change: Callable[[dict[str, Any]], Any]) -> Callable[[bytes], bytes]:
    """A manifest that is changed and then sealed again, as a careful hand would."""

    def apply(data: bytes) -> bytes:
        manifest = json.loads(data)
        del manifest["sha256"]
        change(manifest)
        return checkpoint.seal(manifest)

    return apply


DAMAGE: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "truncated": ("state.safetensors", lambda b: b[: len(b) // 2]),
    "one byte short": ("state.safetensors", lambda b: b[:-1]),
    "emptied": ("state.safetensors", lambda b: b""),
    "longer": ("state.safetensors", lambda b: b + b"\0"),
    "bit flipped": ("state.safetensors", flip),
    "page zeroed": ("state.safetensors", lambda b: b[:4096] + bytes(512) + b[4608:]),
    "header zeroed": ("state.safetensors", lambda b: bytes(16) + b[16:]),
    "manifest truncated": ("manifest.json", lambda b: b[: len(b) // 2]),
    "manifest emptied": ("manifest.json", lambda b: b""),
    "manifest bit flipped": ("manifest.json", flip),
    "manifest not an object": ("manifest.json", lambda b: b"[1, 2]"),
    "manifest not text": ("manifest.json", lambda b: b"\xff\xfe" + b),
    "manifest of another step": ("manifest.json", lambda b: b.replace(b'"step": 9', b'"step": 8')),
    "manifest nested": ("manifest.json", lambda b: b"[" * 100_000),
    "other format": ("manifest.json", reseal(lambda m: m.update(format=99))),
    "other hash": ("manifest.json", reseal(lambda m: m["files"].clear())),
    "files a list": ("manifest.json", reseal(lambda m: m.update(files=[1]))),
}  # fmt: skip


@pytest.mark.parametrize("how", sorted(DAMAGE))
def test_damage_is_noticed_and_the_previous_used(how: str, tmp_path: Path) -> None:
    file, change = DAMAGE[how]
    saved(tmp_path, 7, 8, 9)
    path = tmp_path / "step-000000009" / file
    before = path.read_bytes()
    path.write_bytes(change(before))
    assert path.read_bytes() != before
    found, damaged = checkpoint.newest(tmp_path)
    assert found is not None and found.step == 8
    assert len(damaged) == 1
    assert "step-000000009" in damaged[0]
    assert "\n" not in damaged[0]
    with pytest.raises(DataError):
        checkpoint.verify(tmp_path / "step-000000009")


@pytest.mark.parametrize("file", ["state.safetensors", "manifest.json"])
def test_a_missing_file(file: str, tmp_path: Path) -> None:
    saved(tmp_path, 7, 8)
    (tmp_path / "step-000000008" / file).unlink()
    assert newest_step(tmp_path) == 7


def test_every_flipped_bit_is_noticed(tmp_path: Path) -> None:
    """Fifty places in both files: none may load as good."""
    saved(tmp_path, 7, 8)
    rng = random.Random(1)
    for file in ("state.safetensors", "manifest.json"):
        path = tmp_path / "step-000000008" / file
        good = path.read_bytes()
        for _ in range(25):
            bad = bytearray(good)
            bad[rng.randrange(len(bad))] ^= 1 << rng.randrange(8)
            path.write_bytes(bad)
            found, damaged = checkpoint.newest(tmp_path)
            # a flip in the manifest's spaces leaves what it says, and may be accepted
            same = found is not None and found.step == 8 and file == "manifest.json"
            assert same or (found is not None and found.step == 7 and len(damaged) == 1)
            if same and found is not None:
                assert fingerprint(found.tensors) == fingerprint(tensors(8))
        path.write_bytes(good)


def test_damaged_checkpoints_are_counted_and_none_is_read(tmp_path: Path) -> None:
    saved(tmp_path, 1, 2)
    for path in tmp_path.glob("*/state.safetensors"):
        path.write_bytes(b"x")
    found, damaged = checkpoint.newest(tmp_path)
    assert found is None
    assert len(damaged) == 2


def test_damaged_ones_are_set_aside_so_that_their_steps_can_be_saved_again(tmp_path: Path) -> None:
    saved(tmp_path, 1, 2, 3)
    (tmp_path / "step-000000003" / "state.safetensors").write_bytes(b"x")
    checkpoint.set_aside(tmp_path, 2)
    assert [p.name for p in checkpoint.listed(tmp_path)] == ["step-000000002", "step-000000001"]
    saved(tmp_path, 3)
    assert newest_step(tmp_path) == 3
    checkpoint.set_aside(tmp_path, 2)  # a second time, over the first
    assert newest_step(tmp_path) == 2


def test_leftovers_are_cleaned_and_never_read(tmp_path: Path) -> None:
    saved(tmp_path, 1, 2)
    killed = tmp_path / ".tmp-step-000000003-99"
    killed.mkdir()
    (killed / "state.safetensors").write_bytes(b"half")
    (tmp_path / "step-notes").mkdir()
    (tmp_path / "step-000000009").write_text("a file, not a folder")
    assert newest_step(tmp_path) == 2
    checkpoint.clean(tmp_path)
    assert not killed.exists()
    assert newest_step(tmp_path) == 2


@pytest.mark.parametrize(("keep", "also", "left"), [
    (2, frozenset(), [5, 4]), (1, frozenset({2}), [5, 2]), (9, frozenset(), [5, 4, 3, 2, 1]),
])  # fmt: skip
def test_the_newest_stay(keep: int, also: frozenset[int], left: list[int], tmp_path: Path) -> None:
    saved(tmp_path, 1, 2, 3, 4, 5)
    checkpoint.prune(tmp_path, keep, also)
    assert [int(p.name[5:]) for p in checkpoint.listed(tmp_path)] == left
    assert not list(tmp_path.glob(".tmp-*"))


# --- what the disk may do ---------------------------------------------------------------------


class Killed(BaseException):
    """The process is gone: nothing tidies up after it."""


KILL = -9


class Failing:
    """Makes every call after the k-th fail, with an error of the system or as a kill would."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, k: int, number: int):
        self.k, self.number, self.seen = k, number, 0
        for name in ("fsync", "rename", "replace", "mkdir"):
            monkeypatch.setattr(os, name, self.wrap(getattr(os, name)))
        original = Path.open

        def opened(path: Path, mode: str = "r", *arguments: Any, **options: Any) -> Any:
            file = original(path, mode, *arguments, **options)
            if "w" in mode or "a" in mode:
                try:
                    self.count(path)
                except (OSError, Killed):
                    file.close()  # and leaves an empty file
                    raise
                return Written(file, self)
            return file

        monkeypatch.setattr(Path, "open", opened)

    def count(self, what: Any) -> None:
        self.seen += 1
        if self.seen > self.k:
            if self.number == KILL:
                raise Killed
            raise OSError(self.number, os.strerror(self.number), str(what))

    def wrap(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            self.count(arguments[0])
            return function(*arguments, **options)

        return call


class Written:
    """A file whose writes may fail after a part of them is on the disk."""

    def __init__(self, file: Any, failing: Failing):
        self.file, self.failing = file, failing

    def __enter__(self) -> "Written":
        return self

    def __exit__(self, *error: Any) -> None:
        self.file.close()

    def write(self, data: bytes) -> int:
        try:
            self.failing.count("write")
        except (OSError, Killed):
            self.file.write(data[: len(data) // 2])
            raise
        return self.file.write(data)  # type: ignore[no-any-return]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, KILL])
def test_a_full_disk_or_a_kill_at_every_call_of_a_save(number: int, tmp_path: Path) -> None:
    """Whichever call fails first, the previous checkpoint loads and the next save succeeds."""
    k, ended = 0, False
    while not ended:
        folder = saved(tmp_path / str(k), 1)
        with pytest.MonkeyPatch.context() as patch:
            failing = Failing(patch, k, number)
            with contextlib.suppress(DiskError, Killed):
                checkpoint.save(folder, 2, tensors(2), FACTS)
                ended = True
        assert newest_step(folder) in ((2,) if ended else (1, 2)), k
        assert checkpoint.newest(folder)[1] == [], k  # whole or not there, nothing between
        checkpoint.clean(folder)
        assert not list(folder.glob(".tmp-*"))
        saved(folder, 2)
        assert newest_step(folder) == 2
        k += 1
    assert failing.seen >= 8  # two files of two calls each, and one of the folder


@pytest.mark.parametrize("k", range(12))
def test_a_full_disk_while_old_ones_are_removed(k: int, tmp_path: Path) -> None:
    saved(tmp_path, 1, 2, 3, 4)
    with pytest.MonkeyPatch.context() as patch:
        Failing(patch, k, errno.EIO)
        with contextlib.suppress(OSError):
            checkpoint.prune(tmp_path, 1)
    assert newest_step(tmp_path) == 4
    for path in checkpoint.listed(tmp_path):
        checkpoint.verify(path)  # what is left of the others is whole


def test_a_kill_while_old_ones_are_removed(tmp_path: Path) -> None:
    """Half a checkpoint must not look like one."""
    saved(tmp_path, 1, 2, 3)

    def half(path: Path, **options: Any) -> None:
        (path / "state.safetensors").unlink()
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint.shutil, "rmtree", half)
        with pytest.raises(KeyboardInterrupt):
            checkpoint.prune(tmp_path, 1)
    for path in checkpoint.listed(tmp_path):
        checkpoint.verify(path)
    checkpoint.clean(tmp_path)
    assert newest_step(tmp_path) == 3


@pytest.mark.parametrize("k", range(6))
def test_a_file_is_replaced_whole_or_not_at_all(k: int, tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    files.replace_file(path, b"old" * 1000)
    with pytest.MonkeyPatch.context() as patch:
        Failing(patch, k, errno.ENOSPC)
        with contextlib.suppress(DiskError):
            files.replace_file(path, b"new" * 1000)
    assert path.read_bytes() in (b"old" * 1000, b"new" * 1000)
    assert [p.name for p in tmp_path.iterdir()] == ["run.json"]


def test_a_save_in_place_would_be_noticed(tmp_path: Path) -> None:
    """The check above fails for a writer without the temporary file."""
    path = tmp_path / "run.json"
    path.write_bytes(b"old" * 1000)
    with pytest.MonkeyPatch.context() as patch:
        Failing(patch, 1, errno.ENOSPC)
        with pytest.raises(OSError):
            files.write_file(path, b"new" * 1000)
    assert path.read_bytes() not in (b"old" * 1000, b"new" * 1000)


def test_space_is_looked_for_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved(tmp_path, 1)
    usage = type("Usage", (), {"free": 10_000})()
    monkeypatch.setattr(checkpoint.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(DiskError, match="free some space"):
        checkpoint.save(tmp_path, 2, tensors(2), FACTS)
    assert newest_step(tmp_path) == 1
    assert len(list(tmp_path.iterdir())) == 1


def test_no_permission(tmp_path: Path) -> None:
    def refuse(*arguments: Any, **options: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "mkdir", refuse)
        with pytest.raises(DiskError, match="may write to"):
            checkpoint.save(tmp_path / "run", 2, tensors(2), FACTS)


# --- what a file may hold ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [b"", b"\0" * 7, b"\xff" * 8 + b"{}", (2**40).to_bytes(8, "little") + b"{}",
     (2).to_bytes(8, "little") + b"{}{}", (4).to_bytes(8, "little") + b"nope", b"PK\3\4" * 100],
)  # fmt: skip
def test_files_that_are_not_safetensors(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(data)
    if data.endswith(b"{}{}"):
        data = b""  # an empty header and two stray bytes
    with pytest.raises(DataError, match=r"x\.safetensors"):
        checkpoint.read_tensors(path)


def test_a_huge_header_is_not_parsed(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(checkpoint.encode_tensors(tensors(1)))
    with pytest.raises(DataError):
        checkpoint.read_tensors(path, header_cap=100)


@pytest.mark.parametrize(
    ("key", "value"),
    [("skipped", None), ("steps", "x"), ("seconds", float("nan")), ("rate_scale", [1.0]),
     ("means", 3), ("step", True), ("steps", 10**30), ("step", -(2**32)), ("step", 1.5),
     ("samples_seen", -1), ("step", None)],
)  # fmt: skip
def test_a_manifest_sealed_with_nonsense_is_damaged(tmp_path: Path, key: str, value: Any) -> None:
    """Its hashes hold, for somebody made them anew; what it says is none of ours."""
    saved(tmp_path, 1, 2)
    path = checkpoint.listed(tmp_path)[0] / checkpoint.MANIFEST
    manifest = json.loads(path.read_bytes())
    del manifest["sha256"]
    path.write_bytes(checkpoint.seal(manifest | {key: value}))
    assert newest_step(tmp_path) == 1
    del manifest["step"]
    path.write_bytes(checkpoint.seal(manifest))
    assert newest_step(tmp_path) == 1
