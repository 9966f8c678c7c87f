"""A signal at every kind of moment: the files, the output, the exit code.

The signals are real ones, raised in this process at a place and not at a time.
"""

from __future__ import annotations

import errno
import io
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ganforge import api, cli, recipes
from ganforge.callbacks import evaluate
from ganforge.cli import app, arguments
from ganforge.config.schema import Config
from ganforge.errors import Interrupted
from ganforge.evaluation import evaluate as evaluation
from ganforge.evaluation import store
from ganforge.plotting import overview
from ganforge.runs import checkpoint, folder
from ganforge.runs.records import Control, Progress
from ganforge.training import pairing, restore, signals, trainer
from ganforge.training.trainer import Trainer
from tests.helpers.tiny import log_without_times, shortened

CODES = [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)]
TOY = ["train", "gaussian", "--epochs", "0.5", "--threads", "1", "--output.score", "false",
       "--output.min_gap", "20"]  # fmt: skip


def signalled(function: Callable[..., Any], number: int, calls: int = 1) -> Callable[..., Any]:
    """`function`, at whose n-th call the signal comes before anything is done."""
    seen = 0

    def call(*arguments: Any, **options: Any) -> Any:
        nonlocal seen
        seen += 1
        if seen == calls:
            signal.raise_signal(number)
        return function(*arguments, **options)

    return call


def scored(steps: int = 100) -> Config:
    """The toy, scored every 20 steps."""
    return shortened(
        recipes.find("gaussian"), steps, log_every=10, score=True, score_every=0.16, min_gap=20
    )


@pytest.fixture(autouse=True)
def close_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of few samples, and no pictures."""
    monkeypatch.setattr(evaluate, "N", 100)
    monkeypatch.setattr(evaluate, "curve", lambda records: b"")
    monkeypatch.setattr(overview, "overview", lambda run: b"")


def weights(path: Path) -> bytes:
    return (checkpoint.listed(path / "checkpoints")[0] / checkpoint.STATE).read_bytes()


def steps_scored(path: Path) -> list[int]:
    return [r["step"] for r in folder.read_log(path / store.CURVE)]


@pytest.mark.parametrize(("number", "code"), CODES)
@pytest.mark.parametrize("what", ["load_part", "build"])
def test_before_there_is_a_run(
    what: str,
    number: int,
    code: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Loading data may take minutes: it is given up, and nothing is left."""
    owner = pairing if what == "load_part" else Trainer
    monkeypatch.setattr(owner, what, signalled(getattr(owner, what), number))
    assert cli.main([*TOY, "--out", str(tmp_path / "run")]) == code
    assert "nothing new was saved; to start: ganforge train gaussian" in capsys.readouterr().out
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("number", "code"), CODES)
def test_between_the_lock_and_the_first_step(
    number: int, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is trained; the run is there, stopped, and goes on."""
    words = [*TOY, "--out", str(tmp_path)]
    with monkeypatch.context() as patch:
        patch.setattr(restore, "resume", signalled(restore.resume, number))
        assert cli.main(words) == code
    info = folder.Run(tmp_path).info()
    assert (info["status"], info["step"]) == ("stopped", 0)
    assert not (tmp_path / folder.LOCK).exists()
    assert cli.main(words) == 0


@pytest.mark.parametrize(("number", "code"), CODES)
def test_inside_a_save_the_save_is_finished(
    number: int, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [*TOY, "--output.save_every", "0.1", "--out", str(tmp_path)]
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "seal", signalled(checkpoint.seal, number))
        assert cli.main(words) == code
    found, damaged = checkpoint.newest(tmp_path / "checkpoints")
    assert found is not None and not damaged
    assert folder.Run(tmp_path).info()["step"] == found.step
    assert not list(tmp_path.rglob(".*tmp*"))


def test_a_score_is_given_up_and_made_on_resume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run stops where it was scored, not a step later, and ends as one nobody stopped."""
    config, path = scored(), tmp_path / "parts"
    api.train(config, tmp_path / "whole", show="quiet")
    with monkeypatch.context() as patch:
        patch.setattr(
            evaluation,
            "evaluate",
            signalled(evaluation.evaluate, signal.SIGTERM, 2),
        )
        stopped = api.train(config, path, show="quiet")
    assert (stopped.signal, stopped.progress.step, stopped.overview) == (signal.SIGTERM, 40, None)
    assert folder.Run(path).info()["status"] == "stopped"
    assert steps_scored(path) == [20]
    api.train(config, path, show="quiet")
    assert steps_scored(path) == steps_scored(tmp_path / "whole") == [20, 40, 60, 80, 100]
    scores = [[r["frechet"] for r in folder.read_log(p / store.CURVE)]
              for p in (path, tmp_path / "whole")]  # fmt: skip
    assert scores[0] == scores[1]
    assert weights(path) == weights(tmp_path / "whole")
    assert log_without_times(path) == log_without_times(tmp_path / "whole")


def test_the_last_score_is_given_up_and_the_run_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(scored(), output=replace(scored().output, score_every=0.0))
    with monkeypatch.context() as patch:
        patch.setattr(evaluation, "evaluate", signalled(evaluation.evaluate, signal.SIGTERM))
        ended = api.train(config, tmp_path, show="quiet")
    assert ended.finished and ended.signal == signal.SIGTERM
    assert "ganforge evaluate" in ended.unscored
    assert folder.Run(tmp_path).info()["status"] == "finished"
    assert api.train(config, tmp_path, show="quiet").signal == 0


def test_a_plot_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = shortened(recipes.find("gaussian"), 20, score=False)
    monkeypatch.setattr(overview, "overview", signalled(overview.overview, 15))
    ended = api.train(config, tmp_path, show="quiet")
    assert ended.finished and ended.overview is None and ended.signal == signal.SIGTERM


def test_usr1_saves_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = shortened(recipes.find("gaussian"), 100, score=False, save_every=50.0, min_gap=20)
    monkeypatch.setattr(Trainer, "step", signalled(Trainer.step, signal.SIGUSR1, 33))
    ended = api.train(config, tmp_path, show="quiet")
    assert ended.finished and ended.signal == 0
    assert [int(p.name[5:]) for p in checkpoint.listed(tmp_path / "checkpoints")] == [100, 33]


def test_a_second_signal_leaves_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Left(BaseException):
        pass

    def leave(code: int) -> None:
        raise Left(code)

    def twice(*arguments: Any) -> None:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(os, "_exit", leave)
    monkeypatch.setattr(trainer.checkpoint, "save", twice)
    config = shortened(recipes.find("gaussian"), 20, score=False)
    with pytest.raises(Left, match="143"):
        api.train(config, tmp_path, show="quiet")


def test_what_may_be_given_up_is_not_begun_after_a_signal() -> None:
    control = Control()
    control.interrupt(15)
    with pytest.raises(Interrupted), control.may_be_interrupted():
        raise AssertionError
    assert (control.stop, control.interruptible) == (True, False)


def test_the_command_leaves_without_taking_torch_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which takes a second: whoever sent the signal waits for it."""
    left: list[int] = []
    monkeypatch.setattr(os, "_exit", left.append)
    for code in (0, 2, 130, 143):
        monkeypatch.setattr(app, "run", lambda given, code=code: code)
        assert cli.main() == code
    assert left == [130, 143]


class Unread:
    """A display whose stream has gone away, or is a file on a full disk."""

    def __init__(self, error: OSError):
        self.error = error

    def __enter__(self) -> Unread:
        return self

    def __exit__(self, *why: Any) -> None: ...

    def show(self, progress: Progress) -> None:
        raise self.error


@pytest.mark.parametrize("error", [BrokenPipeError(), OSError(errno.ENOSPC, "No space left")])
def test_a_run_that_nobody_can_read_goes_on(error: OSError, tmp_path: Path) -> None:
    """`ganforge train | head -1`, or `> log` on a full disk, ends as the run alone would."""
    config = shortened(recipes.find("gaussian"), 60, log_every=10, min_gap=20)
    trained = api.train(config, tmp_path, show=Unread(error))
    assert trained.finished and folder.Run(tmp_path).info()["status"] == "finished"


def test_the_signal_to_save_is_harmless_before_there_is_a_run() -> None:
    """Python takes seconds to import torch: until then it would end the process."""
    code = """
import os, signal
from ganforge.cli import app
app.run = lambda given: os.kill(os.getpid(), signal.SIGUSR1) or 7
raise SystemExit(app.main())
"""
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 7


def test_ctrl_c_while_torch_is_imported_raises_nothing_in_it() -> None:
    code = """
import os, signal, sys
from ganforge.cli import main
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            try:
                signal.raise_signal(signal.SIGINT)
            except KeyboardInterrupt:
                os._exit(134)  # as its C++ code does
sys.meta_path.insert(0, Finder())
sys.exit(main(["train", "gaussian", "--dry-run"]))
"""
    words = [sys.executable, "-c", code]
    out = subprocess.run(words, check=False, capture_output=True, text=True, timeout=60)
    assert out.returncode == 130 and "to start: ganforge train gaussian" in out.stdout


def test_the_command_that_goes_on_has_as_many_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arguments, "typed", ["train", "gaussian"])
    assert arguments.again() == "ganforge train gaussian"
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert arguments.again() == "ganforge train gaussian --gpus 2"
    monkeypatch.setenv("WORLD_SIZE", "4")  # two machines: started by torchrun, not by --gpus
    assert arguments.again() == "ganforge train gaussian"


def test_output_that_cannot_be_written_is_the_disk(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("sys.stdout", Full())
    assert cli.main(["recipes"]) == 74
    assert "standard output: No space left" in capsys.readouterr().err


def test_output_that_is_closed_or_plain_ascii_stops_nothing(tmp_path: Path) -> None:
    """A service has no standard output; a terminal of another language lacks letters of a path."""
    words = [sys.executable, "-m", "ganforge", *TOY]
    closed = shlex.join([*words, "--out", str(tmp_path / "a")]) + " >&- 2>&-"
    assert subprocess.run(closed, shell=True, check=False, timeout=120).returncode == 0
    assert folder.Run(tmp_path / "a").info()["status"] == "finished"
    out = subprocess.run(
        [*words, "--out", str(tmp_path / "ü")],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        check=False, capture_output=True, timeout=120,
    )  # fmt: skip
    assert out.returncode == 0 and rb"in " in out.stdout and rb"\u00fc" in out.stdout


def test_a_path_that_no_system_takes(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*TOY, "--out", "n" * 300]) == 74
    assert "File name too long: choose another path" in capsys.readouterr().err


def test_a_closed_terminal_is_ignored_where_the_user_said_so(tmp_path: Path) -> None:
    """nohup: the handler that is there stays."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals.handling(Control()) as caught:
            signal.raise_signal(signal.SIGHUP)
        assert not caught and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
