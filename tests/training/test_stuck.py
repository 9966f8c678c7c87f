"""A process inside native code: signals, the first step, and OpenMP's dynamic threads."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ganforge import recipes
from ganforge.runs.records import Control
from ganforge.training import loop, openmp, pairing, restore, second_signal, signals, stuck
from ganforge.training.trainer import Trainer
from tests.helpers.tiny import data_for, shortened

POSIX = pytest.mark.skipif(os.name == "nt", reason="there are no such descriptors on Windows")
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="loaded libraries are listed on Linux")

LOCKED = """
import ctypes
from ganforge.runs.records import Control
from ganforge.training import second_signal, signals
second_signal.BURST = 0.0
lock = ctypes.create_string_buffer(256)
library = ctypes.CDLL(None)
with signals.handling(Control()):
    library.pthread_mutex_lock(lock)
    print("locked", flush=True)
    library.pthread_mutex_lock(lock)  # waits for ever, and no signal ends it
"""


@LINUX
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_second_signal_leaves_native_code(number: int) -> None:
    """Where Python's handlers do not run; the first alone ends nothing."""
    child = subprocess.Popen([sys.executable, "-c", LOCKED], stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None and child.stdout.readline() == "locked\n"
        child.send_signal(number)
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(0.3)
        child.send_signal(number)
        assert child.wait(60) == 128 + number
    finally:
        child.kill()
        child.wait()
        if child.stdout is not None:
            child.stdout.close()


class Left(BaseException):
    pass


def heard(
    monkeypatch: pytest.MonkeyPatch, progress: list[tuple[float, int]], foreign: int = -1
) -> int | None:
    """The exit code after signals at these seconds, None where the process is not left."""

    def leave(code: int) -> None:
        raise Left(code)

    class Reader:
        def recv(self, size: int) -> bytes:
            return bytes([number]) if (number := next(numbers, 0)) else b""

    numbers = iter([number for _, number in progress])
    times = iter([second for second, _ in progress])
    monkeypatch.setattr(os, "_exit", leave)
    monkeypatch.setattr(second_signal.time, "monotonic", lambda: next(times))
    stops = frozenset((signal.SIGINT, signal.SIGTERM))
    try:
        second_signal.read(Reader(), stops, foreign)  # type: ignore[arg-type]
    except Left as left:
        return int(left.args[0])
    return None


@POSIX
def test_which_signals_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """`timeout` sends its signal twice in a row: that is one."""
    term, interrupt, save = signal.SIGTERM, signal.SIGINT, signal.SIGUSR1
    assert heard(monkeypatch, [(0.0, term)]) is None
    assert heard(monkeypatch, [(0.0, term), (0.001, term)]) is None
    assert heard(monkeypatch, [(0.0, term), (3.0, term)]) == 143
    assert heard(monkeypatch, [(0.0, term), (0.1, term), (3.0, interrupt)]) == 130
    assert heard(monkeypatch, [(0.0, save), (3.0, save), (6.0, term)]) is None


@POSIX
def test_a_descriptor_that_was_there_gets_its_signals_and_comes_back() -> None:
    """asyncio's event loop listens to one."""
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    reader.settimeout(60)
    before = signal.set_wakeup_fd(writer.fileno())
    try:
        with signals.handling(Control()):
            assert signal.set_wakeup_fd(-1) != writer.fileno()
        with signals.handling(Control()):
            signal.raise_signal(signal.SIGTERM)
            assert reader.recv(1) == bytes([signal.SIGTERM])
        assert signal.set_wakeup_fd(writer.fileno()) == writer.fileno()
    finally:
        signal.set_wakeup_fd(before)
        reader.close()
        writer.close()


@POSIX
def test_nothing_stays_behind() -> None:
    handlers = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    count = threading.active_count()
    for _ in range(3):
        with signals.handling(Control()), signals.handling(Control()):
            assert threading.active_count() == count + 2
    assert threading.active_count() == count
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == handlers
    found = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(found)
    assert found == -1


@POSIX
def test_signals_of_a_forked_child_do_not_reach_its_parent() -> None:
    """A worker that is stopped must not count as a signal to the run."""
    with signals.handling(Control()):
        child = os.fork()
        if not child:
            os._exit(0 if signal.set_wakeup_fd(-1) == -1 else 1)
        _, status = os.waitpid(child, 0)
        found = signal.set_wakeup_fd(-1)
        signal.set_wakeup_fd(found)
        assert status == 0 and found in second_signal._writers


# --- the first step -----------------------------------------------------------------------------


def test_a_first_step_that_does_not_end_is_reported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reported = threading.Event()
    say = stuck.say

    def said(seconds: float) -> None:
        say(seconds)
        reported.set()

    monkeypatch.setattr(stuck, "say", said)
    assert stuck.first_watched(lambda: reported.wait(60), delay=0.01)()
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert "first step has not ended" in lines[0] and "--threads 1" in lines[0]


class Timers:
    """In place of `threading.Timer`: what was started and what is cancelled."""

    def __init__(self) -> None:
        self.waiting: list[Any] = []

    def __call__(self, seconds: float, function: Callable[..., None], arguments: Any) -> Any:
        waiting = self.waiting

        class Timer:
            daemon = False

            def start(self) -> None:
                assert self.daemon  # a process that ends must not wait for it
                waiting.append(self)

            def cancel(self) -> None:
                waiting.remove(self)

        return Timer()


def test_only_the_first_step_is_watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not what comes before it: loading data and building may take minutes."""
    timers, watched = Timers(), []
    monkeypatch.setattr(stuck.threading, "Timer", timers)

    def counted(function: Callable[..., Any], name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            watched.append((name, len(timers.waiting)))
            return function(*arguments, **options)

        return call

    for place, name in ((pairing, "load_part"), (Trainer, "build"), (restore, "resume"),
                        (Trainer, "save_samples"), (Trainer, "step")):  # fmt: skip
        monkeypatch.setattr(place, name, counted(getattr(place, name), name))
    config = shortened(recipes.find("gaussian"), 3, score=False)
    list(loop.train(config, tmp_path))
    seen = [pair for pair in watched if pair[0] != "save_samples"]
    assert seen == [("load_part", 0), ("build", 0), ("resume", 0), ("step", 1), ("step", 0),
                    ("step", 0)]  # fmt: skip
    assert all(count == 0 for name, count in watched if name == "save_grid")
    assert not timers.waiting


def test_a_first_step_that_fails_is_watched_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    timers = Timers()
    monkeypatch.setattr(stuck.threading, "Timer", timers)

    def fails() -> None:
        assert len(timers.waiting) == 1
        raise ValueError

    with pytest.raises(ValueError):
        stuck.first_watched(fails)()
    assert not timers.waiting
    with stuck.first_step(speaks=False):
        assert not timers.waiting


# --- OMP_DYNAMIC --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "left_out"),
    [("TRUE", True), ("true", True), (" 1 ", True), ("FALSE", False), ("0", False), ("", False)],
)
def test_what_is_left_out_of_the_environment(
    value: str, left_out: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(openmp.VARIABLE, value)
    assert openmp.unset().startswith(f"OMP_DYNAMIC={value} in the env" if left_out else "")
    assert (openmp.VARIABLE not in os.environ) == left_out
    assert bool(openmp.unset()) is False or not left_out


def dynamic(code: str, *words: str) -> subprocess.CompletedProcess[str]:
    """A Python process in whose environment dynamic threads are on."""
    return subprocess.run(
        [sys.executable, "-c", code, *words],
        env={**os.environ, "OMP_DYNAMIC": "TRUE"}, check=False, capture_output=True, text=True,
        timeout=120,
    )  # fmt: skip


def test_the_command_leaves_it_out_before_torch_is_loaded() -> None:
    """For its children too, which get the environment."""
    code = """
import os, subprocess, sys
from ganforge.cli import main
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            print("loading with", os.environ.get("OMP_DYNAMIC"), flush=True)
            subprocess.run([sys.executable, "-c",
                            "import os; print('child with', os.environ.get('OMP_DYNAMIC'))"])
            os._exit(0)
sys.meta_path.insert(0, Finder())
sys.exit(main(["train", "gaussian", "--dry-run"]))
"""
    out = dynamic(code)
    assert out.stdout.splitlines() == ["loading with None", "child with None"], out.stderr
    assert out.stderr.startswith("ganforge: OMP_DYNAMIC=TRUE in the environment is left out")
    assert len(out.stderr.splitlines()) == 1


@LINUX
def test_in_python_it_is_switched_off_in_the_library(tmp_path: Path) -> None:
    """Where torch is loaded already and has read it."""
    code = """
import sys
import torch
from ganforge import recipes
from ganforge.training import loop, openmp
sys.path.insert(0, sys.argv[2])
from tests.helpers.tiny import shortened
print([library.omp_get_dynamic() for library in openmp.loaded()])
for p in loop.train(shortened(recipes.find("gaussian"), 2, score=False), sys.argv[1]):
    print(p.note)
print([library.omp_get_dynamic() for library in openmp.loaded()], openmp.switch_off())
"""
    out = dynamic(code, str(tmp_path / "run"), str(Path(__file__).parents[2]))
    lines = [line for line in out.stdout.splitlines() if line]
    assert lines[0] == "[1]" and lines[-1] == "[0] []", out.stderr
    assert [line for line in lines if line.startswith("OMP_DYNAMIC was on")] == lines[1:2]


def test_nothing_is_said_where_it_is_off(tmp_path: Path) -> None:
    assert openmp.switch_off() == []
    config = shortened(recipes.find("gaussian"), 2, score=False)
    notes = [p.note for p in loop.train(config, tmp_path, None, data_for(config))]
    assert not any("OMP" in note for note in notes)
