"""The run folder: one run, one trainer, a log that always reads."""

import json
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ganforge import loop, runs
from ganforge.errors import DataError, UsageError
from tiny import StopAfter, data_for, folder_hashes, run, setting


def test_readers_of_a_log_never_raise(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    assert list(runs.read_log(log)) == []
    deep = b"[" * 100_000
    log.write_bytes(deep + b'\n{"step": 1}\nnot json\n[1]\n\xff\xfe\n{"step": 2}\n{"step": 3')
    assert [r["step"] for r in runs.read_log(log)] == [1, 2]


def test_a_changed_config_is_refused_with_every_difference(tmp_path: Path) -> None:
    config, data = setting("gaussian", 20)
    path = tmp_path / "run"
    run(config, path, data)
    before = folder_hashes(path)
    other = replace(config, seed=5, batch=4, ema=0.9, generator=replace(config.generator, lr=0.125))
    with pytest.raises(UsageError) as caught:
        run(other, path, data)
    message = str(caught.value)
    for line in ("seed: 0 there, 5 here", "batch: 8 there, 4 here", "lr: 0.005 there, 0.125 here"):
        assert line in message
    assert "ema: " in message
    assert len(message.splitlines()) <= 12
    assert folder_hashes(path) == before


def test_other_data_are_refused(tmp_path: Path) -> None:
    config, data = setting("cdcgan", 20)
    run(config, tmp_path / "run", data, StopAfter(10))
    with pytest.raises(DataError, match="sha256"):
        run(config, tmp_path / "run", data_for(config, count=41))


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    config, data = setting("gaussian", 20)
    (tmp_path / "thesis.txt").write_text("chapter 1")
    with pytest.raises(UsageError, match="not empty"):
        run(config, tmp_path, data)
    with pytest.raises(UsageError):
        run(config, tmp_path / "thesis.txt", data)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


# --- one trainer at a time --------------------------------------------------------------------


def test_a_second_trainer_is_kept_out(tmp_path: Path) -> None:
    config, data = setting("gaussian", 60)
    path = tmp_path / "run"
    first = loop.train(config, path, data=data)
    next(first)
    before = folder_hashes(path)
    with pytest.raises(UsageError, match=f"process {os.getpid()}"):
        run(replace(config, epochs=3.0), path, data)  # may not even extend the budget
    assert folder_hashes(path) == before
    first.close()
    assert not (path / runs.LOCK).exists()
    assert run(config, path, data)[-1].done


@pytest.mark.parametrize(
    "lock",
    [
        {"pid": 2**22 + 7, "started": 1.0, "host": runs.host()},  # no such process
        {"pid": os.getpid(), "started": 1.0, "host": runs.host()},  # its number used again
        {"pid": os.getpid(), "started": None, "host": runs.host()},
        None,  # killed between making and filling it
    ],
)
def test_a_stale_lock_is_recognised(lock: Any, tmp_path: Path) -> None:
    config, data = setting("gaussian", 20)
    path = tmp_path / "run"
    run(config, path, data, StopAfter(10))
    (path / runs.LOCK).write_text("" if lock is None else json.dumps(lock))
    os.utime(path / runs.LOCK, (time.time() - 60,) * 2)
    assert run(config, path, data)[-1].done


def test_a_lock_of_another_machine_is_respected(tmp_path: Path) -> None:
    config, data = setting("gaussian", 20)
    path = tmp_path / "run"
    run(config, path, data, StopAfter(10))
    lock = {"pid": 1, "started": 1.0, "host": "elsewhere"}
    (path / runs.LOCK).write_text(json.dumps(lock))
    with pytest.raises(UsageError, match="process 1"):
        run(config, path, data)
    assert json.loads((path / runs.LOCK).read_text()) == lock
