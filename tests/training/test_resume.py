"""A run that is stopped, killed or damaged and given again is the run that never was."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from ganforge import recipes
from ganforge.config.schema import Average, Config
from ganforge.data.batches import Batches
from ganforge.data.dataset import Dataset
from ganforge.errors import DataError, DivergedError, UsageError
from ganforge.gan import state
from ganforge.runs import checkpoint, folder, model
from ganforge.runs.records import Control
from ganforge.training import build, loop
from ganforge.training.device import Resolved
from ganforge.training.restore import different_machine
from tests.helpers.tiny import (
    StopAfter,
    fingerprint,
    folder_hashes,
    log_without_times,
    run,
    setting,
    shortened,
)

GAMES = ("gaussian", "mnist-dropout", "mnist-mlp", "cdcgan")


def outcome(path: Path) -> tuple[str, list[list[tuple[str, Any]]], bytes]:
    """Everything a run leaves: all tensors of its last checkpoint, its log, its model."""
    last = checkpoint.listed(path / "checkpoints")[0]
    tensors = load_file(last / "state.safetensors")
    weights = (path / "model" / "model.safetensors").read_bytes()
    return fingerprint(tensors), [list(r.items()) for r in log_without_times(path)], weights


@pytest.mark.parametrize("stop", [60, 37])
@pytest.mark.parametrize("name", GAMES)
def test_a_hundred_steps_are_sixty_and_forty(name: str, stop: int, tmp_path: Path) -> None:
    """Stopped between two log records too: the sums of the interval are in the checkpoint."""
    config, data = setting(name)
    whole = run(config, tmp_path / "whole", data)
    first = run(config, tmp_path / "parts", data, StopAfter(stop))
    assert (first[-1].step, first[-1].done) == (stop, True)
    assert folder.open_run(tmp_path / "parts").info()["status"] == "stopped"
    torch.manual_seed(99), np.random.seed(99)
    second = run(config, tmp_path / "parts", data)
    assert f"resumed at step {stop}" in second[0].note
    assert second[-1].step == whole[-1].step == 100
    assert outcome(tmp_path / "parts") == outcome(tmp_path / "whole")
    last = "000000100.png" if data.spec.is_image else "000000100.npz"
    a, b = ((tmp_path / p / "samples" / last).read_bytes() for p in ("whole", "parts"))
    assert a == b


@pytest.mark.parametrize(
    "average",
    [Average(half_life=200, ramp_up=0.5, buffers="average"), Average(decay=0.9, start=30)],
)
def test_an_average_goes_on_where_it_stood(average: Average, tmp_path: Path) -> None:
    """Its decay is a function of the step: inside the ramp, and across the start."""
    config, data = setting("mnist-mlp", 50)
    config = replace(config, ema=average)
    run(config, tmp_path / "whole", data)
    run(config, tmp_path / "parts", data, StopAfter(17))
    run(config, tmp_path / "parts", data)
    assert outcome(tmp_path / "parts") == outcome(tmp_path / "whole")
    assert folder.open_run(tmp_path / "parts").info()["exact"] is True
    saved = load_file(
        checkpoint.listed(tmp_path / "whole" / "checkpoints")[0] / "state.safetensors"
    )
    ours = {k: v for k, v in saved.items() if k.startswith("ema.") and v.is_floating_point()}
    assert any(not torch.equal(v, saved[f"generator.{k[4:]}"]) for k, v in ours.items())


def test_the_old_form_of_an_average_is_the_new_one_bit_for_bit(tmp_path: Path) -> None:
    """Also in one run: half of it by the number, half by the table."""
    config, data = setting("gaussian", 40)
    number = replace(config, ema=0.9)
    table = replace(config, ema=Average(decay=0.9, warmup=True))
    run(number, tmp_path / "number", data)
    run(table, tmp_path / "table", data)
    run(number, tmp_path / "both", data, StopAfter(17))
    file = tmp_path / "both" / "config.toml"
    old = file.read_text()
    assert "ema = 0.9\n" in old
    file.write_text(old.replace("ema = 0.9\n", "") + "[ema]\ndecay = 0.9\nwarmup = true\n")
    run(number, tmp_path / "both", data)
    assert outcome(tmp_path / "table") == outcome(tmp_path / "number") == outcome(tmp_path / "both")
    with pytest.raises(UsageError, match=r"ema: 0.9 there"):
        run(replace(config, ema=Average(decay=0.9)), tmp_path / "number", data)


def test_the_check_sees_a_moment_that_is_lost(tmp_path: Path) -> None:
    """Resuming from weights alone, as most do, is not the same run."""
    config, data = setting("gaussian", 60)
    run(config, tmp_path / "whole", data)
    run(config, tmp_path / "parts", data, StopAfter(30))
    (saved,) = (tmp_path / "parts" / "checkpoints").glob("step-*")
    tensors = load_file(saved / "state.safetensors")
    for name, tensor in tensors.items():
        if name.endswith("exp_avg"):
            tensor.zero_()
    facts = json.loads((saved / "manifest.json").read_text())
    checkpoint.set_aside(saved.parent, -1)
    free = {k: v for k, v in facts.items() if k not in ("format", "step", "files", "sha256")}
    checkpoint.save(saved.parent, 30, tensors, free)
    run(config, tmp_path / "parts", data)
    assert outcome(tmp_path / "parts")[0] != outcome(tmp_path / "whole")[0]


def test_sampling_and_saving_at_other_times_shift_nothing(tmp_path: Path) -> None:
    config, data = setting("mnist-mlp")
    run(config, tmp_path / "whole", data)
    control = Control()
    for training, _ in loop.training(config, tmp_path / "other", control, data):
        control.save = training.state.step in (20, 60)
        training.sampler().sample(5)
        torch.rand(3)
    assert outcome(tmp_path / "other") == outcome(tmp_path / "whole")


def test_every_turn_has_fresh_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """k = 3: three batches a step, each the next of the pass."""
    config, data = setting("mnist-mlp", 5)
    asked = []
    original = Batches.at

    def at(self: Batches, first: int, count: int) -> Any:
        asked.append((first, count))
        return original(self, first, count)

    monkeypatch.setattr(Batches, "at", at)
    run(config, tmp_path / "run", data)
    assert asked == [(8 * i, 8) for i in range(15)]


# --- killed -----------------------------------------------------------------------------------

SCRIPT = """
    import sys, time
    sys.path.insert(0, sys.argv[2])
    from tests.training import test_resume
    from ganforge.training import loop
    config, data = test_resume.killed_setting()
    for progress in loop.train(config, sys.argv[1], data=data):
        print(progress.step, flush=True)
        time.sleep(0.02)
"""


def killed_setting() -> tuple[Config, Dataset]:
    config, data = setting("gaussian", 400, log_every=10)
    return replace(config, output=replace(config.output, save_every=0.01)), data


def child(path: Path) -> subprocess.Popen[str]:
    script, here = textwrap.dedent(SCRIPT), str(Path(__file__).parents[2])
    arguments = [sys.executable, "-c", script, str(path), here]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, env=environment)


@pytest.mark.slow
def test_killed_at_two_moments(tmp_path: Path) -> None:
    config, data = killed_setting()
    run(config, tmp_path / "whole", data)
    for moment in (130, 260):
        process = child(tmp_path / "killed")
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) >= moment:
                break
        process.send_signal(signal.SIGKILL)
        process.stdout.close()
        assert process.wait() == -signal.SIGKILL
    assert (tmp_path / "killed" / folder.LOCK).exists()  # left behind, and recognised as stale
    records = run(config, tmp_path / "killed", data)
    assert any("resumed at step" in r.note for r in records)
    assert outcome(tmp_path / "killed") == outcome(tmp_path / "whole")
    assert not (tmp_path / "killed" / folder.LOCK).exists()


# --- damaged ----------------------------------------------------------------------------------


def damage(path: Path, how: str) -> None:
    state_file, manifest = path / "state.safetensors", path / "manifest.json"
    data = bytearray(state_file.read_bytes())
    if how == "truncated":
        state_file.write_bytes(data[:-100])
    elif how == "bit flipped":
        data[len(data) // 2] ^= 1
        state_file.write_bytes(data)
    elif how == "page zeroed":
        data[-600:-100] = bytes(500)
        state_file.write_bytes(data)
    else:
        manifest.write_text(manifest.read_text()[:-20])


@pytest.mark.parametrize("how", ["truncated", "bit flipped", "page zeroed", "manifest"])
def test_a_damaged_checkpoint_is_passed_over(how: str, tmp_path: Path) -> None:
    config, data = setting("gaussian", 60)
    run(config, tmp_path / "whole", data)
    path = tmp_path / "parts"
    run(config, path, data, StopAfter(20))
    run(config, path, data, StopAfter(20))
    newest, older = checkpoint.listed(path / "checkpoints")
    assert (newest.name, older.name) == ("step-000000040", "step-000000020")
    damage(newest, how)
    (path / "checkpoints" / ".tmp-step-000000050-1").mkdir()  # what a killed save leaves
    records = run(config, path, data)
    notes = [r.note for r in records if r.note]
    assert "step-000000040" in notes[0]
    assert "damaged" in notes[0]
    assert "\n" not in notes[0]
    assert "resumed at step 20" in notes[1]
    assert outcome(path) == outcome(tmp_path / "whole")
    assert not list((path / "checkpoints").glob(".tmp*"))


def test_with_no_good_checkpoint_it_starts_again(tmp_path: Path) -> None:
    config, data = setting("gaussian", 60)
    run(config, tmp_path / "whole", data)
    path = tmp_path / "parts"
    run(config, path, data, StopAfter(20))
    damage(checkpoint.listed(path / "checkpoints")[0], "truncated")
    records = run(config, path, data)
    assert "damaged" in records[0].note
    assert outcome(path) == outcome(tmp_path / "whole")


def test_a_torn_log_line_is_ignored(tmp_path: Path) -> None:
    config, data = setting("gaussian", 60)
    run(config, tmp_path / "whole", data)
    path = tmp_path / "parts"
    run(config, path, data, StopAfter(40))
    log = path / "log.jsonl"
    with log.open("ab") as file:  # records after the checkpoint, as a killed run leaves them
        file.write(b'{"step": 60, "epoch": 0.5, "loss_d": 1.0}\n{"step": 80, "lo')
    assert [r["step"] for r in folder.open_run(path).log()] == [20, 40, 60]
    run(config, path, data)
    assert outcome(path) == outcome(tmp_path / "whole")


def test_grids_after_the_checkpoint_are_dropped_with_their_steps(tmp_path: Path) -> None:
    """A smaller budget never comes to them: films and the last lines would show a lost state."""
    config, data = setting("gaussian", 60)
    path = tmp_path / "run"
    run(config, path, data, StopAfter(40))
    samples = path / "samples"
    before = {p.name for p in samples.iterdir()}
    for name in ("000000055.npz", "notes.txt"):
        (samples / name).write_bytes(b"")
    run(setting("gaussian", 50)[0], path, data)
    assert {p.name for p in samples.iterdir()} == before | {"000000050.npz", "notes.txt"}


# --- given again ------------------------------------------------------------------------------


def test_a_finished_run_given_again_changes_nothing(tmp_path: Path) -> None:
    config, data = setting("cdcgan", 20)
    path = tmp_path / "run"
    run(config, path, data)
    before = folder_hashes(path)
    (record,) = run(config, path, data)
    assert record.done
    assert (record.step, record.steps) == (20, 20)
    assert "finished" in record.note
    assert folder_hashes(path) == before


def test_the_budget_may_be_extended(tmp_path: Path) -> None:
    config, data = setting("gaussian", 40)
    longer = shortened(recipes.find("gaussian"), 100, log_every=20, sample_every=50.0)
    run(longer, tmp_path / "whole", data)
    run(config, tmp_path / "parts", data)
    records = run(longer, tmp_path / "parts", data)
    assert "resumed at step 40 of 100" in records[0].note
    assert outcome(tmp_path / "parts") == outcome(tmp_path / "whole")
    assert folder.open_run(tmp_path / "parts").settings()["kimg"] == longer.kimg


def test_another_machine_is_reported(tmp_path: Path) -> None:
    config, data = setting("gaussian", 40)
    path = tmp_path / "run"
    run(config, path, data, StopAfter(20))
    info = json.loads((path / "run.json").read_text())
    info["versions"]["torch"] = "1.0.0"
    (path / "run.json").write_text(json.dumps(info))
    notes = " ".join(r.note for r in run(config, path, data))
    assert "not bit-exact" in notes
    assert "torch was 1.0.0" in notes


def test_a_run_json_that_is_lost_is_made_again(tmp_path: Path) -> None:
    """The checkpoint knows the same, what the machine was too."""
    config, data = setting("gaussian", 40)
    path = tmp_path / "run"
    run(config, tmp_path / "whole", data)
    run(config, path, data, StopAfter(20))
    (path / "run.json").unlink()
    notes = " ".join(r.note for r in run(replace(config, threads=2), path, data))
    assert "not bit-exact" in notes and "threads was 1, is 2" in notes
    assert folder.Run(path).info()["step"] == 40
    assert outcome(path) == outcome(tmp_path / "whole")


@pytest.mark.parametrize("what", ["data", "budget"])
def test_what_is_refused_is_refused_without_run_json_too(what: str, tmp_path: Path) -> None:
    config, data = setting("gaussian", 40)
    path = tmp_path / "run"
    run(config, path, data, StopAfter(20))
    (path / "run.json").unlink()
    if what == "data":
        data = replace(data, sha256="0" * 64)
        with pytest.raises(DataError, match=r"not the data .* was trained on"):
            run(config, path, data)
    else:
        with pytest.raises(UsageError, match="already gone 20 steps"):
            run(replace(config, kimg=0.08), path, data)
    assert not (path / "run.json").exists()


def test_a_device_that_is_gone_is_replaced_and_reported(tmp_path: Path) -> None:
    """`auto` has chosen a GPU: on a machine without one the run goes on, and says so."""
    config, data = setting("gaussian", 40)
    config, path = replace(config, device="auto"), tmp_path / "run"
    run(config, path, data, StopAfter(20))
    info = json.loads((path / "run.json").read_text())
    info["resolved"]["device"] = "cuda:99"
    (path / "run.json").write_text(json.dumps(info))
    notes = " ".join(r.note for r in run(config, path, data))
    assert "not bit-exact" in notes and "device was cuda:99, is" in notes
    assert folder.Run(path).info()["exact"] is False
    with pytest.raises(UsageError, match="cuda:99"):
        run(replace(config, device="cuda:99"), path, data)


# --- what is loaded ---------------------------------------------------------------------------


def layouts(st: state.State) -> dict[str, tuple[Any, ...]]:
    return {n: (t.stride(), t.dtype, t.data_ptr() % 16 == 0) for n, t in state.tensors(st).items()}


def test_strides_are_the_parameters_own_after_a_resume(tmp_path: Path) -> None:
    config, data = setting("cdcgan", 30)
    path = tmp_path / "run"
    run(config, path, data, StopAfter(10))
    fresh = layouts(build.initial(config, data.spec))
    for training, _ in loop.training(config, path, data=data):
        assert layouts(training.state) == fresh
    channels_last = [p for p in training.state.players.discriminator.parameters() if p.dim() == 4]
    assert all(p.is_contiguous(memory_format=torch.channels_last) for p in channels_last)


@pytest.mark.parametrize("change", ["missing", "extra", "shape", "dtype"])
def test_a_state_of_another_game_is_refused_before_anything_changes(change: str) -> None:
    config, data = setting("gaussian")
    st = build.initial(config, data.spec)
    before = fingerprint(state.tensors(st))
    saved = {n: t + 1 for n, t in state.tensors(st).items()}
    name = "discriminator.out.linear.weight"
    if change == "missing":
        del saved[name]
    elif change == "extra":
        saved["ema.weight"] = torch.zeros(2)
    else:
        saved[name] = saved[name].double() if change == "dtype" else saved[name].T.contiguous()
    with pytest.raises(DataError, match="another configuration"):
        state.load(st, saved, "here")
    assert fingerprint(state.tensors(st)) == before


# --- weights that are not finite --------------------------------------------------------------


def poisoned(config: Config, path: Path, data: Dataset, step: int) -> None:
    """A run into one of whose weights a NaN is put at a step, and which must then save."""
    control = Control()
    for training, _ in loop.training(config, path, control, data):
        if training.state.step == step:
            control.save = True
            with torch.no_grad():
                next(training.state.players.generator.parameters())[0, 0] = float("nan")


def test_a_sick_run_stops_and_is_never_saved(tmp_path: Path) -> None:
    config, data = setting("gaussian", 300, log_every=10)
    path = tmp_path / "run"
    run(config, path, data, StopAfter(50))
    with pytest.raises(DivergedError) as caught:
        poisoned(config, path, data, 100)
    message = str(caught.value)
    assert "by step 1" in message
    assert "generator" in message
    assert "\n" not in message
    assert folder.open_run(path).info()["status"] == "diverged"
    for saved in checkpoint.listed(path / "checkpoints"):
        tensors = load_file(saved / "state.safetensors")
        assert all(torch.isfinite(t.double()).all() for t in tensors.values())
    assert np.isfinite(model.load(path / "model").sample(5)).all()


def test_another_model_of_gpu_is_another_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "model A")
    now = Resolved("cuda", "fp32", 1)
    before = {"resolved": now.table()}
    assert different_machine(before, now) == ""
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "model B")
    assert different_machine(before, now) == "gpu was model A, is model B"


def test_compiled_steps_of_another_version_are_another_machine() -> None:
    """Step by step, versions agree bit for bit; what they compile may not."""
    before = {"versions": folder.versions() | {"ganforge": "0.1.0"}, "resolved": {}}
    assert different_machine(before, Resolved("cpu", "fp32", 1)) == ""
    changed = different_machine(before, Resolved("cpu", "fp32", 1, compile=True))
    assert changed == f"ganforge was 0.1.0, is {folder.versions()['ganforge']}"
