"""run.lock: who has a run folder, on file systems with locks and without."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ganforge import cli
from ganforge.errors import BusyError
from ganforge.runs import checkpoint, lock
from ganforge.runs import folder as runs
from ganforge.runs.records import Control
from ganforge.training import loop
from tests.helpers.tiny import StopAfter, folder_hashes, run, setting

TOY = ("train", "gaussian", "--epochs", "20", "--threads", "1", "--output.score", "false")
ELSEWHERE = {"pid": 1, "started": 1.0, "host": "elsewhere", "boot": "another"}


def owner(folder: Path) -> int:
    """The process that the lock file in a folder names."""
    found = lock.holder(folder / lock.LOCK)
    return int(found["pid"]) if found else 0


def written(folder: Path, text: str | dict[str, Any], age: float = 0.0) -> Path:
    """A lock file that somebody else has left, renewed so many seconds ago."""
    path = folder / lock.LOCK
    path.write_text(text if isinstance(text, str) else json.dumps(text))
    os.utime(path, (time.time() - age,) * 2)
    return path


@pytest.fixture
def lockless(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system without locks."""
    monkeypatch.setattr(lock, "take", lambda file: None)


# --- one trainer at a time --------------------------------------------------------------------


def test_a_lock_names_its_owner_and_goes_with_it(tmp_path: Path) -> None:
    with runs.locked(runs.Run(tmp_path)):
        assert owner(tmp_path) == os.getpid()
    assert list(tmp_path.iterdir()) == []
    assert not lock.locks


@pytest.mark.parametrize("take", [None, lambda file: None, lambda file: True])
@pytest.mark.parametrize("text", ["", "{", '{"pid": 4194304, "started": 1.0, "host": "HOST"}'])
def test_a_lock_of_nobody_is_acquired(
    text: str, take: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the system has locks, where it has none, and where they keep nobody out."""
    if take is not None:
        monkeypatch.setattr(lock, "take", take)
    written(tmp_path, text.replace("HOST", lock.host()))
    with runs.locked(runs.Run(tmp_path)):
        assert owner(tmp_path) == os.getpid()
        with pytest.raises(BusyError, match="being trained"), runs.locked(runs.Run(tmp_path)):
            pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("system", [True, False])
def test_two_who_find_a_stale_lock_at_once_do_not_both_get_it(
    system: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first has looked and found it stale; before it goes on, the second looks and takes it."""
    run_, inside = runs.Run(tmp_path), []
    written(tmp_path, "")
    name = "take" if system else "holder"
    look, second = getattr(lock, name), contextlib.ExitStack()
    if not system:
        monkeypatch.setattr(lock, "take", lambda file: None)
        monkeypatch.setattr(lock, "PATIENCE", 0.1)

    def looked(what: Any) -> Any:
        found = None if system else look(what)
        monkeypatch.setattr(lock, name, look)
        with contextlib.suppress(BusyError):
            second.enter_context(runs.locked(run_))
            inside.append("second")
        return look(what) if system else found

    monkeypatch.setattr(lock, name, looked)
    with second, contextlib.suppress(BusyError), runs.locked(run_):
        inside.append("first")
    assert len(inside) == 1
    assert list(tmp_path.iterdir()) == []


RACER = """
import sys
from pathlib import Path
from ganforge.runs import folder as runs
from ganforge.runs import lock
from ganforge.errors import BusyError
if sys.argv[2] == "without":
    lock.take = lambda file: None
for line in sys.stdin:
    try:
        with runs.locked(runs.Run(Path(sys.argv[1]))):
            print("in", flush=True)
            sys.stdin.readline()
    except BusyError:
        print("out", flush=True)
        sys.stdin.readline()
    print("left", flush=True)
"""


@pytest.mark.parametrize("system", ["with", "without"])
def test_of_two_processes_that_race_for_a_stale_lock_one_gets_it(
    system: str, tmp_path: Path
) -> None:
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, str(tmp_path), system],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
        )
        for _ in range(2)
    ]  # fmt: skip

    def turn() -> list[str]:
        for racer in racers:
            assert racer.stdin is not None
            racer.stdin.write("go\n")
        return [racer.stdout.readline().strip() for racer in racers if racer.stdout is not None]

    for _ in range(10):
        written(tmp_path, {"pid": 4194304, "started": 1.0, "host": lock.host()})
        assert sorted(turn()) == ["in", "out"]
        assert turn() == ["left", "left"]
    for racer in racers:
        racer.communicate()
        assert racer.returncode == 0


def test_a_lock_removed_by_its_owner_after_it_was_opened_here_is_not_acquired(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else this one would lock a file that is gone, and a third make a new one."""
    run_, take, others = runs.Run(tmp_path), lock.take, [True]

    def taking(file: Any) -> bool | None:
        if others and others.pop():
            (tmp_path / lock.LOCK).unlink()
        return take(file)

    monkeypatch.setattr(lock, "take", taking)
    with runs.locked(run_):
        assert owner(tmp_path) == os.getpid()
        with pytest.raises(BusyError), runs.locked(run_):
            pass


def test_a_second_trainer_is_kept_out(tmp_path: Path) -> None:
    config, data = setting("gaussian", 60)
    path = tmp_path / "run"
    first = loop.train(config, path, data=data)
    next(first)
    before = folder_hashes(path)
    with pytest.raises(BusyError, match=f"process {os.getpid()}"):
        run(replace(config, epochs=3.0), path, data)  # may not even extend the budget
    assert folder_hashes(path) == before
    first.close()
    assert not (path / lock.LOCK).exists()
    assert run(config, path, data)[-1].done


# --- who is gone ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "left",
    [
        {"pid": 2**22 + 7, "started": 1.0, "host": lock.host()},  # no such process
        {"pid": os.getpid(), "started": 1.0, "host": lock.host()},  # its number used again
        {"pid": os.getpid(), "started": None, "host": lock.host()},
        {"pid": 1, "started": -1.0, "host": "a-container", "boot": lock.boot()},
        ELSEWHERE,  # another machine, whose lock would not be free
        "",  # killed between making and signing it
    ],
)
def test_a_free_lock_is_free_whatever_it_says(left: Any, tmp_path: Path) -> None:
    config, data = setting("gaussian", 20)
    path = tmp_path / "run"
    run(config, path, data, StopAfter(10))
    written(path, left)
    assert run(config, path, data)[-1].done


@pytest.fixture
def trainer(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """The real command, in the middle of its training."""
    path = tmp_path / "run"
    words = ["-m", "ganforge", *TOY, "--output.save_every", "0.5", "--out", str(path)]
    process = subprocess.Popen([sys.executable, *words], stdout=subprocess.DEVNULL)
    while process.poll() is None and not checkpoint.listed(path / "checkpoints"):
        time.sleep(0.02)
    yield process, path
    process.kill()
    process.wait()


def test_a_killed_trainer_that_nobody_waited_for_is_gone(
    trainer: tuple[subprocess.Popen[bytes], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """It is a zombie then; a lock file that names another machine changes nothing."""
    process, path = trainer
    os.kill(process.pid, signal.SIGKILL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert lock.started(process.pid) is None and lock.living(process.pid) is False
    assert runs.state(runs.Run(path)) == "interrupted"
    text = json.loads((path / lock.LOCK).read_text())
    written(path, text | {"host": "elsewhere", "boot": "another"})
    assert cli.main([*TOY, "--out", str(path)]) == 0
    assert "resumed at step" in capsys.readouterr().out
    assert not (path / lock.LOCK).exists()


@pytest.mark.parametrize("more", [[], ["--take-over"]])
def test_a_living_trainer_is_respected_whatever_its_lock_says(
    more: list[str], trainer: tuple[subprocess.Popen[bytes], Path],
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    process, path = trainer
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED)
    assert cli.main([*TOY, "--out", str(path), *more]) == 75
    assert f"is being trained by process {process.pid}: wait" in capsys.readouterr().err
    left = written(path, ELSEWHERE, age=lock.GONE + 60)
    assert cli.main([*TOY, "--out", str(path), *more]) == 75
    assert "is being trained by another process" in capsys.readouterr().err
    assert json.loads(left.read_text()) == ELSEWHERE


# --- without locks: a lease -------------------------------------------------------------------


def refused(folder: Path, **options: bool) -> bool:
    try:
        with runs.locked(runs.Run(folder), **options):
            return owner(folder) != os.getpid()
    except BusyError:
        return True


@pytest.mark.usefixtures("lockless")
def test_a_lease_ends_after_five_minutes_without_a_sign_of_life(tmp_path: Path) -> None:
    written(tmp_path, ELSEWHERE, age=lock.GONE - 60)
    with (
        pytest.raises(BusyError, match=r"on elsewhere: .*--take-over"),
        runs.locked(runs.Run(tmp_path)),
    ):
        pass
    written(tmp_path, ELSEWHERE, age=lock.GONE + 60)
    assert not refused(tmp_path)


@pytest.mark.usefixtures("lockless")
def test_a_lease_of_this_machine_ends_with_its_process(tmp_path: Path) -> None:
    mine = {"pid": os.getpid(), "started": lock.started(os.getpid()), "host": lock.host()}
    written(tmp_path, mine, age=lock.GONE + 60)  # it may have been stopped for a while
    assert refused(tmp_path)
    written(tmp_path, mine | {"boot": "another"})  # the machine has been started since
    assert not refused(tmp_path)
    written(tmp_path, mine | {"started": -1.0})
    assert not refused(tmp_path)


@pytest.mark.parametrize("granted", [None, True])  # without locks; where all are granted
def test_a_lease_can_be_taken_over_and_its_first_owner_saves_no_more(
    granted: bool | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "take", lambda file: granted)
    config, data = setting("gaussian", 60)
    path = tmp_path / "run"
    written(tmp_path, ELSEWHERE)
    assert refused(tmp_path) and not refused(tmp_path, take_over=True)
    first = loop.train(config, path, data=data)
    next(first)
    left = written(path, ELSEWHERE)  # after a long pause another process has its place
    before = folder_hashes(path / "checkpoints")
    with pytest.raises(BusyError, match="now belongs to another process"):
        list(first)
    assert json.loads(left.read_text()) == ELSEWHERE
    assert folder_hashes(path / "checkpoints") == before


@pytest.mark.usefixtures("lockless")
def test_a_dry_run_asks_for_a_lease_and_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / lock.LOCK
    lock.require_free(path)
    assert not path.exists()
    written(tmp_path, ELSEWHERE)
    with pytest.raises(BusyError, match=r"on elsewhere: .*--take-over"):
        lock.require_free(path)
    lock.require_free(path, take_over=True)
    assert json.loads(path.read_text()) == ELSEWHERE


@pytest.mark.usefixtures("lockless")
def test_the_command_takes_a_lease_over(tmp_path: Path) -> None:
    config, data = setting("gaussian", 20)
    path = tmp_path / "run"
    run(config, path, data, StopAfter(10))
    written(path, ELSEWHERE)
    with pytest.raises(BusyError):
        run(config, path, data)
    assert run(config, path, data, Control(take_over=True))[-1].done


def test_locks_that_keep_nobody_out_are_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some network file systems grant every lock."""
    monkeypatch.setattr(lock, "take", lambda file: True)
    written(tmp_path, ELSEWHERE)
    assert refused(tmp_path)


def test_a_lock_is_renewed_while_it_lasts(tmp_path: Path) -> None:
    path = tmp_path / lock.LOCK
    path.touch()
    with contextlib.ExitStack() as stack:
        lock.renewed(path, stack, leased=False, every=0.01)
        os.utime(path, (0, 0))
        for _ in range(2000):
            if path.stat().st_mtime:
                break
            time.sleep(0.01)
        assert lock.age(path) < lock.GONE


# --- other systems ----------------------------------------------------------------------------


def test_a_lock_that_nobody_gave_back_keeps_no_process_alive(tmp_path: Path) -> None:
    code = (
        "import sys; from contextlib import ExitStack; from pathlib import Path;"
        "from ganforge.runs import lock; stack = ExitStack();"
        "lock.renewed(Path(sys.argv[1]), stack, leased=False); print('done', flush=True)"
    )
    words = [sys.executable, "-c", code, str(tmp_path / "lock")]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=100)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr


def test_no_signal_is_sent_to_find_out_whether_a_process_lives_on_windows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There `os.kill(pid, 0)` would end it. The last sign of life decides."""
    monkeypatch.setattr(lock, "PROC", tmp_path / "none")
    monkeypatch.setattr(os, "kill", lambda *given: pytest.fail("a signal was sent"))
    monkeypatch.setattr(lock, "WINDOWS", True)
    assert lock.living(os.getpid()) is None
    path = written(tmp_path, {"pid": 5, "started": None, "host": lock.host()})
    assert lock.holder(path) is not None
    os.utime(path, (0, 0))
    assert lock.holder(path) is None


def test_without_proc_a_process_that_is_not_there_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "PROC", tmp_path / "none")
    assert lock.living(2**22 + 7) is False
    assert lock.living(os.getpid()) is None


def test_a_file_is_closed_before_it_is_removed_on_windows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "WINDOWS", True)
    path, opened = tmp_path / lock.LOCK, []
    unlink, take = Path.unlink, lock.take

    def taking(file: Any) -> bool | None:
        opened.append(file)
        return take(file)

    def unlinking(target: Path, missing_ok: bool = False) -> None:
        assert all(file.closed for file in opened)
        unlink(target, missing_ok)

    monkeypatch.setattr(lock, "take", taking)
    monkeypatch.setattr(Path, "unlink", unlinking)
    with runs.locked(runs.Run(tmp_path)):
        assert path.read_bytes()[:1] == b" "  # the byte that is locked there says nothing
    assert opened and not path.exists()
