"""Two machines that share no folder: the leader reads the run, both go on from it, or both end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ganforge.cli import main
from ganforge.runs import checkpoint
from ganforge.runs import folder as runs
from ganforge.training import device
from tests.helpers.tiny import fingerprint, folder_hashes, log_without_times, newest
from tests.training.test_distributed import free_port

pytestmark = pytest.mark.slow

TOY = ("train", "gaussian", "--threads", "1", "--output.score", "false", "--output.log_every", "20")
SHORT, LONG = ("--kimg", "1.6"), ("--kimg", "3.2")  # 200 and 400 steps
RUN = ("--out", "run")
NODE = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "64", "LOCAL_WORLD_SIZE": "8",
        "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}  # fmt: skip

# The command, in which a rank has something changed before it begins.
CHANGED = """
import os, sys
from ganforge import cli
from ganforge.gan import state
from ganforge.training import build, distributed, loop
rank = int(os.environ["RANK"])
if rank == int(sys.argv[1]):
    {change}
sys.exit(cli.main(sys.argv[2:]))
"""
OTHER_START = """
    initial = build.initial
    def start(*given, **named):
        began = initial(*given, **named)
        next(began.players.generator.parameters()).data.view(-1)[0] += 1e-6
        return began
    build.initial = start
"""
OTHER_TENSOR = """
    shared = distributed.from_leader
    def tampered(world, value, device):
        found = shared(world, value, device)
        name = next(name for name in found.tensors if name.startswith('generator.'))
        found.tensors[name].view(-1)[0] += 1e-6
        return found
    distributed.from_leader = tampered
"""
SICK_ONCE = """
    pass
finite, seen = state.all_finite, []
def diverged(st):
    seen.append(st.step)
    return finite(st) and (st.step != 250 or seen.count(250) != 1)
state.all_finite = diverged
"""


def node(
    rank: int, port: int, folder: Path, words: Sequence[str], code: str = "", on: int = -1
) -> subprocess.Popen[str]:
    """A process on a machine whose working folder is `folder`. code: runs on one rank, before."""
    folder.mkdir(parents=True, exist_ok=True)
    env = {**os.environ, "RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_RANK": "0",
           "LOCAL_WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
           "OMP_NUM_THREADS": "1", "TORCH_CPP_LOG_LEVEL": "FATAL"}  # fmt: skip
    start = ["-c", CHANGED.format(change=code.strip()), str(on)] if code else ["-m", "ganforge"]
    return subprocess.Popen(
        [sys.executable, *start, *words], cwd=folder, env=env, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def nodes(folders: Sequence[Path], words: Sequence[str], code: str = "", on: int = 1) -> list[Any]:
    """(exit code, standard output, standard error) of both ranks."""
    port = free_port()
    both = [node(rank, port, folder, words, code, on) for rank, folder in enumerate(folders)]
    with both_end(both):
        out = [process.communicate(timeout=240) for process in both]
    return [(process.returncode, *text) for process, text in zip(both, out, strict=True)]


@contextmanager
def both_end(both: Sequence[subprocess.Popen[str]]) -> Iterator[None]:
    """Whatever a test finds, no process outlives it."""
    try:
        yield
    finally:
        for process in both:
            process.kill()
            process.communicate()


def apart(tmp_path: Path) -> list[Path]:
    return [tmp_path / "a", tmp_path / "b"]


def test_two_machines_without_a_shared_folder_are_those_with_one(tmp_path: Path) -> None:
    shared = [tmp_path / "shared"] * 2
    for words in (SHORT, LONG):
        for folders in (shared, apart(tmp_path)):
            for code, _, err in nodes(folders, [*TOY, *words, *RUN]):
                assert code == 0, err
    one, two = (tmp_path / name / "run" for name in ("shared", "a"))
    for path in (one, two):
        info = runs.Run(path).info()
        assert (info["step"], info["status"], info["exact"]) == (400, "finished", True)
    assert fingerprint(newest(one)) == fingerprint(newest(two))
    assert log_without_times(one) == log_without_times(two)
    assert list((tmp_path / "b").iterdir()) == []


def test_the_second_machine_may_hold_another_run(tmp_path: Path) -> None:
    """Nobody looks into it: neither at its settings nor at its checkpoints."""
    assert main([*TOY, "--kimg", "0.8", "--out", str(tmp_path / "a" / "run")]) == 0
    assert main([*TOY, "--kimg", "0.4", "--seed", "3", "--out", str(tmp_path / "b" / "run")]) == 0
    before = folder_hashes(tmp_path / "b")
    found = nodes(apart(tmp_path), [*TOY, *SHORT, *RUN])
    assert [code for code, _, _ in found] == [0, 0], found
    assert "resumed at step 100 of 200" in found[0][1]
    assert folder_hashes(tmp_path / "b") == before


@pytest.mark.parametrize("fault", ["settings", "busy", "damaged"])
def test_what_the_leader_refuses_ends_both_with_one_line(fault: str, tmp_path: Path) -> None:
    path = tmp_path / "a" / "run"
    assert main([*TOY, "--kimg", "0.4", "--out", str(path)]) == 0
    words, wanted = [*TOY, *SHORT, *RUN], {"settings": 2, "busy": 75, "damaged": 65}[fault]
    if fault == "settings":
        words += ["--seed", "5"]
    if fault == "damaged":
        (path / "run.json").write_text("[]")
    before = folder_hashes(path)
    if fault == "busy":
        with runs.locked(runs.Run(path)):
            found = nodes(apart(tmp_path), words)
    else:
        found = nodes(apart(tmp_path), words)
    assert [code for code, _, _ in found] == [wanted] * 2, found
    assert found[0][2].count("ganforge: ") == 1 and found[1][2] == ""
    assert folder_hashes(path) == before and list((tmp_path / "b").iterdir()) == []


def test_data_that_one_machine_lacks_end_both_with_one_line(tmp_path: Path) -> None:
    import numpy as np

    (tmp_path / "a").mkdir()
    np.save(tmp_path / "a" / "x.npy", np.random.default_rng(0).normal(size=(80, 2)))
    found = nodes(apart(tmp_path), [*TOY, "--data", "x.npy", *SHORT, *RUN])
    assert [code for code, _, _ in found] == [65, 65], found
    assert "rank 1: " in found[0][2] and "x.npy" in found[0][2] and found[1][2] == ""
    assert not (tmp_path / "a" / "run").exists()
    np.save(tmp_path / "b" / "x.npy", np.random.default_rng(1).normal(size=(80, 2)))
    found = nodes(apart(tmp_path), [*TOY, "--data", "x.npy", *SHORT, *RUN])
    assert [code for code, _, _ in found] == [65, 65], found
    assert "rank 1 of 2 has other data than rank 0" in found[0][2] and found[1][2] == ""
    assert not (tmp_path / "a" / "run").exists()


def test_players_that_differ_before_the_first_step_are_refused(tmp_path: Path) -> None:
    found = nodes(apart(tmp_path), [*TOY, *SHORT, *RUN], OTHER_START)
    assert [code for code, _, _ in found] == [2, 2], found
    assert "rank 1 has other players than rank 0 before step 1" in found[0][2]
    assert found[0][2].count("\n") == 1 and found[1][2] == ""
    assert not (tmp_path / "a" / "run").exists()


def test_a_tensor_that_differs_after_a_checkpoint_was_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a" / "run"
    assert main([*TOY, "--kimg", "0.4", "--out", str(path)]) == 0
    before = folder_hashes(path)
    found = nodes(apart(tmp_path), [*TOY, *SHORT, *RUN], OTHER_TENSOR)
    assert [code for code, _, _ in found] == [2, 2], found
    assert "rank 1 has other players than rank 0 before step 51" in found[0][2]
    assert found[0][2].count("\n") == 1 and found[1][2] == ""
    assert folder_hashes(path) == before


def test_a_run_that_is_rolled_back_goes_the_same_way(tmp_path: Path) -> None:
    """The second machine has no checkpoint to go back to: it gets the leader's."""
    words = [*TOY, *LONG, "--on-nan", "rollback", "--output.save_every", "0.8", *RUN]
    found = nodes(apart(tmp_path), words, SICK_ONCE)
    assert [code for code, _, _ in found] == [0, 0], found
    assert "back at step 200 with the learning rates halved" in found[0][1]
    assert runs.Run(tmp_path / "a" / "run").info()["rate_scale"] == 0.5
    tampered = f"{OTHER_TENSOR}\n{SICK_ONCE.replace('    pass', '')}"
    found = nodes([tmp_path / "c", tmp_path / "d"], words, tampered)
    assert [code for code, _, _ in found] == [2, 2], found
    assert "rank 1 has other players than rank 0 before step 201" in found[0][2]
    assert checkpoint.listed(tmp_path / "c" / "run" / "checkpoints")[0].name == "step-000000200"
    assert log_without_times(tmp_path / "c" / "run")[-1]["step"] == 240  # not cut


@pytest.mark.parametrize("still", [0, 1])
def test_a_process_that_is_still_is_named_after_the_timeout(still: int, tmp_path: Path) -> None:
    port, words = free_port(), [*TOY, "--kimg", "800", "--timeout", "4", *RUN]
    both = [node(rank, port, folder, words) for rank, folder in enumerate(apart(tmp_path))]
    log = tmp_path / "a" / "run" / "log.jsonl"
    with both_end(both):
        while not log.exists() and all(process.poll() is None for process in both):
            time.sleep(0.05)
        both[still].send_signal(signal.SIGSTOP)
        _, err = both[1 - still].communicate(timeout=120)
    assert both[1 - still].returncode == 75
    assert f"ganforge: rank {still} of 2 does not answer (--timeout 4)" in err
    assert err.count("\n") == 1, err


def test_processes_that_are_started_again_go_on(tmp_path: Path) -> None:
    """The launcher's store keeps the addresses of the group that has ended."""
    code = tmp_path / "once.py"
    code.write_text(ONCE)
    out = subprocess.run(
        [
            sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2",
            "--max-restarts=3", str(code), *TOY, *LONG, "--output.save_every", "0.8",
            "--out", str(tmp_path / "run"),
        ],
        check=False, capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert out.returncode == 0, out.stderr
    assert out.stdout.count("resumed at step 200 of 400") == 1
    assert out.stderr.count("ganforge: rank 1 of 2 does not answer") == 1


ONCE = """
import os, sys
from ganforge import cli
from ganforge.training import loop
def stop(t, control):
    if t.world.rank == 1 and t.state.step > 200 and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
        os.kill(os.getpid(), 9)
    return stopping(t, control)
stopping = loop.should_stop
loop.should_stop = stop
sys.exit(cli.main())
"""


def test_threads_are_shared_with_the_processes_of_this_machine(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Not with those of all machines."""
    monkeypatch.setattr(device, "cores", lambda: 32)
    for key, value in NODE.items():
        monkeypatch.setenv(key, value)
    words = ["train", "mnist-mlp", "--batch", "128", "--dry-run", "--out", str(tmp_path)]
    assert main(words) == 0
    assert ", 4 threads" in capsys.readouterr().out
    monkeypatch.setattr(device, "cores", lambda: 2)
    assert main(words) == 0
    assert ", 1 thread\n" in capsys.readouterr().out
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "none")
    assert main(words) == 2
    assert "LOCAL_WORLD_SIZE = 'none'" in capsys.readouterr().err


@pytest.mark.parametrize("seconds", ["0", "-5", "inf", "nan", "1e300"])
def test_a_timeout_that_is_none_is_refused(
    seconds: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*TOY, *SHORT, "--timeout", seconds, "--out", str(tmp_path / "run")]) == 2
    assert "timeout = " in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
