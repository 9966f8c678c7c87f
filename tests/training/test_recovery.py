"""What a run does when the machine or the game gives way: each fault, its answer, its exit code."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ganforge import cli, recipes
from ganforge.callbacks import evaluate
from ganforge.errors import DataError, DiskError, DivergedError, OutOfMemoryError
from ganforge.evaluation import store
from ganforge.gan import optimizers, state, step
from ganforge.gan.step import StepOptions
from ganforge.runs import checkpoint, folder
from ganforge.runs.records import Control
from ganforge.training import build, distributed, loop, meeting, trainer
from ganforge.training.device import resolve
from ganforge.training.distributed import World
from ganforge.training.meeting import Meeting
from ganforge.training.trainer import Trainer
from tests.helpers.tiny import StopAfter, copies, run, setting

TOY = ("train", "gaussian", "--epochs", "1", "--threads", "1", "--output.score", "false")


def command(*words: object) -> int:
    return cli.main([str(w) for w in words])


# --- what a kill in a bad moment leaves -------------------------------------------------------


def test_a_folder_of_a_run_killed_in_its_first_moment_is_used(tmp_path: Path) -> None:
    config, data = setting("gaussian", 20)
    (tmp_path / ".config.toml.4194304.tmp").write_text("half")
    assert run(config, tmp_path, data)[-1].done
    assert not list(tmp_path.rglob(".*.tmp"))


def test_leftovers_of_every_writer_are_cleaned_at_the_start(tmp_path: Path) -> None:
    config, data = setting("gaussian", 40)
    run(config, tmp_path, data, StopAfter(20))
    (tmp_path / "best").mkdir()
    folders = ("", "samples", "model", "best", "checkpoints")
    left = [tmp_path / d / ".x.json.4194304.tmp" for d in folders]
    mine = tmp_path / f".plot.png.{os.getpid()}.tmp"  # of a process that lives: not a leftover
    for path in (*left, mine):
        path.write_bytes(b"half")
    run(config, tmp_path, data)
    assert [p for p in (*left, mine) if p.exists()] == [mine]


@pytest.mark.parametrize("before", [[], [{"step": 1, "epoch": 0.1}]])
def test_half_a_line_of_the_log_does_not_stay(before: list[Any], tmp_path: Path) -> None:
    """Else the next record would be glued to it, and both lost."""
    log = tmp_path / "log.jsonl"
    if before:
        folder.append_log(log, before)
    original = Path.open

    class Half:
        def __init__(self, file: Any):
            self.file = file

        def __enter__(self) -> Half:
            return self

        def __exit__(self, *error: object) -> None:
            self.file.close()

        def write(self, data: bytes) -> None:
            self.file.write(data[:5])
            raise OSError(errno.ENOSPC, "full")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "open", lambda self, mode: Half(original(self, mode)))
        with pytest.raises(DiskError):
            folder.append_log(log, [{"step": 2, "epoch": 0.2}])
    folder.append_log(log, [{"step": s, "epoch": 0.1 * s} for s in (2, 3)])
    assert [r["step"] for r in folder.read_log(log)] == [r["step"] for r in before] + [2, 3]


@pytest.mark.parametrize("text", ['{"seconds": "x"}', '{"resolved": []}', '{"step": 1e400}',
                                  '{"seconds": NaN}', '{"status": 3}', "[]", "{",
                                  '{"resolved": {"device": 5}}', '{"resolved": {"threads": "2"}}',
                                  '{"resolved": {"threads": -1}}', '{"resolved": {"stacked": "2"}}',
                                  '{"resolved": {"precision": "fp16"}}'])  # fmt: skip
def test_a_run_json_of_other_types_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(DataError, match=r"run\.json"):
        folder.Run(tmp_path).info()


# --- memory -----------------------------------------------------------------------------------


def test_the_batch_that_fits_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that holds 2 of 8 examples in either player's turn."""
    config, data = setting("gaussian", 20)
    compute = step.compute_gradients

    def small(
        st: Any, played: Any, side: str, batch: Any, drawn: Any, hyper: Any = None,
        options: StepOptions | None = None,
    ) -> Any:  # fmt: skip
        options = options or StepOptions()
        if (options.micro_batch or len(batch.real)) > (5 if side == "discriminator" else 2):
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return compute(st, played, side, batch, drawn, hyper, options)

    monkeypatch.setattr(step, "compute_gradients", small)
    with pytest.raises(OutOfMemoryError, match="--micro-batch 2 fits") as caught:
        run(config, tmp_path / "run", data)
    assert caught.value.exit_code == 71
    fits = replace(config, micro_batch=2)
    assert run(fits, tmp_path / "fits", data)[-1].done


def test_the_trial_has_the_memory_that_the_step_filled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the step had made is let go of before smaller batches are tried."""
    config, data = setting("gaussian", 20)
    made_tensors: list[weakref.ref[torch.Tensor]] = []

    def full(*arguments: Any) -> None:
        made = torch.zeros(8)
        made_tensors.append(weakref.ref(made))
        raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")

    def trial(*arguments: Any) -> None:
        if made_tensors[0]() is not None:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(step, "step", full)
    monkeypatch.setattr(step, "turn", trial)
    with pytest.raises(OutOfMemoryError, match="--micro-batch 4 fits"):
        run(config, tmp_path / "run", data)


def test_not_even_one_example_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*arguments: Any, **options: Any) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(step, "compute_gradients", none)
    config, data = setting("gaussian", 20)
    with pytest.raises(OutOfMemoryError, match="one example"):
        run(config, tmp_path / "run", data)


def test_no_memory_for_the_networks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def none(*arguments: Any, **options: Any) -> None:
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(build, "initial", none)
    assert command(*TOY, "--out", tmp_path / "run") == 71
    assert "too little memory" in capsys.readouterr().err


def test_micro_batches_through_the_command(tmp_path: Path) -> None:
    weights = []
    for name, more in (("whole", ()), ("parts", ("--micro-batch", "3"))):
        assert command(*TOY, *more, "--out", tmp_path / name) == 0
        last = checkpoint.listed(tmp_path / name / "checkpoints")[0]
        weights.append(checkpoint.read_tensors(last / checkpoint.STATE))
    for name, tensor in weights[0].items():
        torch.testing.assert_close(weights[1][name], tensor, rtol=1e-3, atol=1e-4, msg=name)


# --- a game that is none any more -------------------------------------------------------------


def sick_at(monkeypatch: pytest.MonkeyPatch, steps: set[int]) -> None:
    """A weight of the generator is lost at each of these steps, once."""
    step = Trainer.step

    def poisoned(t: Any) -> None:
        step(t)
        if t.state.step in steps:
            steps.discard(t.state.step)
            with torch.no_grad():
                next(t.state.players.generator.parameters())[0, 0] = float("nan")

    monkeypatch.setattr(Trainer, "step", poisoned)


def test_rollback_goes_on_at_half_the_rates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, data = setting("gaussian", 200)
    config = replace(config, on_nan="rollback")
    run(config, tmp_path, data, StopAfter(40))
    sick_at(monkeypatch, {60, 70})
    rates, notes = [], []
    for t, progress in loop.training(config, tmp_path, data=data):
        notes += [progress.note] if "learning rates halved" in progress.note else []
        rates.append(t.rate_scale)
    assert len(notes) == 2 and "back at step 40" in notes[0]
    assert rates[-1] == 0.25 and progress.done
    assert folder.Run(tmp_path).info()["rate_scale"] == 0.25
    assert [r["step"] for r in folder.Run(tmp_path).log()] == list(range(20, 201, 20))


def full_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The log record of step 40 meets a full disk, the first time."""
    append = folder.append_log
    full = [True]

    def sometimes(path: Path, records: Any) -> None:
        if records[-1]["step"] == 40 and full.pop() if full else False:
            raise DiskError("full")
        append(path, records)

    monkeypatch.setattr(trainer.folder, "append_log", sometimes)


@pytest.mark.parametrize("saved", [20, 0])
def test_a_rollback_forgets_the_records_that_a_full_disk_refused(
    saved: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, data = setting("gaussian", 100)
    config = replace(config, on_nan="rollback")
    if saved:
        run(config, tmp_path, data, StopAfter(saved))
    full_once(monkeypatch)
    sick_at(monkeypatch, {45})
    run(config, tmp_path, data)
    assert [r["step"] for r in folder.Run(tmp_path).log()] == [20, 40, 60, 80, 100]


def test_rollback_before_the_first_checkpoint_begins_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, data = setting("gaussian", 100)
    config = replace(config, on_nan="rollback")
    sick_at(monkeypatch, {30})
    notes, first = [], {}
    for t, progress in loop.training(config, tmp_path / "run", data=data):
        notes += [progress.note] if "learning rates halved" in progress.note else []
        if notes and not first:
            first = copies(state.tensors(t.state))
            assert t.state.step == 0 and not list(folder.Run(tmp_path / "run").log())
    assert len(notes) == 1 and "back at step 0" in notes[0] and progress.done
    again = Trainer.build(config, folder.Run(tmp_path / "new"), data, resolve(config))
    start = state.tensors(again.state)
    assert all(torch.equal(first[name], tensor) for name, tensor in start.items())
    assert t.rate_scale == 0.5


def test_rollbacks_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config, data = setting("gaussian", 200)
    config = replace(config, on_nan="rollback")
    run(config, tmp_path, data, StopAfter(40))
    monkeypatch.setattr(optimizers, "guarded_step", lambda o, w: torch.ones_like(w))  # all skipped
    with pytest.raises(DivergedError):
        run(config, tmp_path, data)
    assert folder.Run(tmp_path).info()["status"] == "diverged"


def test_a_stop_between_the_looks_does_not_save_a_sick_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, data = setting("gaussian", 200)
    sick_at(monkeypatch, {30})
    with pytest.raises(DivergedError, match="nothing was saved"):
        run(config, tmp_path, data, StopAfter(33))
    assert checkpoint.newest(tmp_path / "checkpoints")[0] is None


# --- several processes ------------------------------------------------------------------------


def test_gpus_hands_the_same_words_to_the_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, list[str]]] = []

    def launch(count: int, words: list[str]) -> int:
        seen.append((count, words))
        return 70

    monkeypatch.setattr(distributed, "launch", launch)
    assert command(*TOY, "--gpus", "2", "--sync-bn") == 70
    assert command(*TOY, "--gpus=4") == 70
    assert seen == [(2, [*TOY, "--sync-bn"]), (4, list(TOY))]


@pytest.mark.parametrize("count", ["0", "3", "x"])
def test_gpus_that_cannot_be(count: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(*TOY, "--gpus", count) == 2  # the toy's batch is 8
    assert capsys.readouterr().err.startswith("ganforge: ")


def test_sync_bn_is_a_setting(capsys: pytest.CaptureFixture[str]) -> None:
    assert command("train", "dcgan", "--sync-bn", "--print-config") == 0
    assert "sync_bn = true" in capsys.readouterr().out


def test_each_process_takes_its_own_gpu_on_a_resume(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    config = replace(recipes.find("gaussian"), device="auto", precision="fp32")
    before = {"device": "cuda:0", "precision": "fp32", "threads": 2}
    assert resolve(config, before, World(1, 2, 1)).device == "cuda:1"
    assert resolve(config, before, World()).device == "cuda:0"


def test_other_processes_write_and_show_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second of two, whose exchanges are answered as if it were alone."""
    monkeypatch.setattr(distributed, "from_environment", lambda: World(1, 2, 1))
    leader: Any = {"exists": False, "before": {}, "enough": False}
    answers = iter([leader, {}])  # of a fresh run, without a checkpoint
    second = contextlib.nullcontext(Meeting(World(1, 2, 1)))
    monkeypatch.setattr(meeting, "attended", lambda world, timeout: second)
    monkeypatch.setattr(meeting, "from_leader", lambda m, value: next(answers))
    monkeypatch.setattr(distributed, "any_rank", lambda world, flags, device: flags)
    for name in ("join", "barrier", "broadcast", "all_reduce"):
        monkeypatch.setattr(distributed, name, lambda *arguments: None)
    assert command(*TOY, "--out", tmp_path / "run", "--output.tensorboard", "true") == 0
    assert not (tmp_path / "run").exists()
    assert capsys.readouterr().out == ""


def test_other_processes_ask_the_leader_whether_a_run_has_had_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files in their folder are of another run."""
    config, _ = setting("gaussian", 20)
    config = replace(config, output=replace(config.output, score_every=1.0, patience=1.0))
    found = folder.prepare(tmp_path, config)
    found.write_info(status="finished")
    records = [{"step": s, "epoch": s / 5, "frechet": float(s)} for s in (5, 10, 15)]
    folder.append_log(tmp_path / store.CURVE, records)
    enough = []
    for world in (World(0, 2), World(1, 2)):
        monkeypatch.setattr(distributed, "from_environment", lambda world=world: world)
        control = Control()
        evaluate.Scorer(config, tmp_path, control)
        enough.append(control.enough)
    assert enough == [True, False]


# --- code in a file ---------------------------------------------------------------------------


def test_a_config_file_names_no_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Only the user does, on the command line."""
    (tmp_path / "mine.py").write_text("open('owned', 'w')\n")
    (tmp_path / "a.toml").write_text(f'name = "{tmp_path}/mine.py:run"\n')
    assert command("train", "--config", tmp_path / "a.toml", "--dry-run") == 2
    assert "name = " in capsys.readouterr().err
    assert not Path("owned").exists()


def test_signals_are_left_alone_outside_the_main_thread() -> None:
    from concurrent.futures import ThreadPoolExecutor

    from ganforge.training import signals

    def body() -> list[Any]:
        with signals.handling(Control()):
            return [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]

    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(body).result() == before


def test_a_pending_record_is_written_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log's last record meets a full disk; the end tries again."""
    config, data = setting("gaussian", 40)
    full_once(monkeypatch)
    run(config, tmp_path, data)
    assert [r["step"] for r in folder.Run(tmp_path).log()] == [20, 40]
    assert np.isfinite([r["loss_d"] for r in folder.Run(tmp_path).log()]).all()
