"""A dry run says from where, how long and how well, refuses what the run refuses, and is dry."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from ganforge import recipes
from ganforge.cli import dry_run, main
from ganforge.gan import state
from ganforge.recipes import RECIPES, results
from ganforge.recipes.results import Reached
from ganforge.runs import checkpoint, lock
from ganforge.runs.folder import Run
from ganforge.runs.records import Control
from ganforge.training import forecast, loop
from ganforge.training.device import resolve
from ganforge.training.distributed import ALONE
from ganforge.training.trainer import Trainer
from tests.helpers import tiny

ROOT = Path(__file__).parents[2]
WORDS = ["gaussian", "--kimg=2.4", "--batch=8", "--threads=1", "--output.score=false"]


def train(path: Path, *more: str) -> int:
    return main(["train", *WORDS, f"--out={path}", *more])


def stopped(path: Path, step: int = 150) -> None:
    """The run of WORDS, stopped at a step."""
    config = recipes.find("gaussian")
    output = replace(config.output, score=False, log_every=25)
    config = replace(config, kimg=2.4, threads=1, output=output)
    control = Control()
    for progress in loop.train(config, path, control):
        control.stop = progress.step >= step


def files(root: Path) -> dict[str, tuple[int, bytes]]:
    """Every file with its time of change and contents."""
    return {
        str(p.relative_to(root)): (p.stat().st_mtime_ns, p.read_bytes() if p.is_file() else b"")
        for p in sorted(root.rglob("*"))
    }


def test_a_new_run_is_forecast_and_nothing_is_written(tmp_path: Path, capsys: Any) -> None:
    assert train(tmp_path / "run", "--dry-run") == 0
    out = capsys.readouterr().out
    assert "budget         300 steps of 8: 2,400 examples" in out
    found = re.search(
        r"takes +about ([\d.]+) (seconds|minutes) here for 2,400 examples, ([\d,]+) a second", out
    )
    assert found is not None, out
    seconds = float(found[1]) * {"seconds": 1, "minutes": 60}[found[2]]
    assert seconds == pytest.approx(2400 / float(found[3].replace(",", "")), rel=0.1)
    assert re.search(
        r"memory         [\d.]+ [MG]B at the peak of these steps, [\d.]+ [MG]B are free", out
    )
    assert "reached        on gaussian: both losses within 0.006 of log 2" in out
    assert "goes on" not in out
    assert list(tmp_path.iterdir()) == []


def test_a_stopped_run_says_from_where_and_stays_as_it_is(tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "run"
    stopped(path, 125)
    before = files(path)
    capsys.readouterr()
    assert train(path, "--dry-run") == 0
    out = capsys.readouterr().out
    assert f"goes on        from step 125 of 300, {path}/checkpoints/step-000000125" in out
    assert out.count("125") == 2  # the step, and its checkpoint's name
    assert "here for 1,400 examples" in out
    assert files(path) == before


def test_a_finished_run_takes_nothing(tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "run"
    stopped(path, 10**9)
    before = files(path)
    assert train(path, "--dry-run") == 0
    assert "takes          nothing: the run is finished" in capsys.readouterr().out
    assert files(path) == before


def test_several_processes_are_not_measured_in_one(tmp_path: Path, capsys: Any) -> None:
    assert train(tmp_path / "run", "--dry-run", "--gpus=2") == 0
    assert "takes          not measured: 2 processes share every batch" in capsys.readouterr().out


def test_steps_of_a_copy_change_nothing(tmp_path: Path) -> None:
    config = tiny.shortened(tiny.with_r1(recipes.cdcgan()), 40)
    data = tiny.data_for(config)
    t = Trainer.build(config, Run(tmp_path), data, resolve(config, {}, ALONE, data.spec))
    before = {name: value.clone() for name, value in state.tensors(t.state).items()}
    random, threads = torch.get_rng_state(), torch.get_num_threads()
    found = forecast.forecast(t, seconds=0.0)
    assert found.steps == forecast.WARM and found.rate > 0
    assert t.state.step == t.counted == 0 and t.totals == {}
    after = state.tensors(t.state)
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert torch.equal(torch.get_rng_state(), random) and torch.get_num_threads() == threads
    t.batches.close()


# --- what the run refuses ---------------------------------------------------------------------


def busy(path: Path, stack: ExitStack) -> str:
    """Another trainer has the folder."""
    stopped(path, 125)
    lock.acquire(path / lock.LOCK, stack)
    return "is being trained by process"


def other_tensors(path: Path, stack: ExitStack) -> str:
    """The newest checkpoint is whole, and of other networks."""
    stopped(path, 125)
    saved, _ = checkpoint.newest(Run(path).checkpoints)
    assert saved is not None
    tensors = {name: value[..., :1].clone() if value.dim() else value
               for name, value in saved.tensors.items()}  # fmt: skip
    checkpoint.remove(saved.path)
    checkpoint.save(Run(path).checkpoints, 125, tensors, dict(saved.manifest))
    return "step-000000125"


REFUSED: dict[str, tuple[Callable[[Path, ExitStack], str], int]] = {
    "busy": (busy, 75),
    "a checkpoint of other networks": (other_tensors, 65),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_stands_in_the_folder_is_refused_alike(name: str, tmp_path: Path, capsys: Any) -> None:
    prepare, code = REFUSED[name]
    with ExitStack() as stack:
        line = prepare(tmp_path / "run", stack)
        before = files(tmp_path)
        capsys.readouterr()
        errors = []
        for more in (["--dry-run"], []):
            assert train(tmp_path / "run", *more) == code
            errors.append(capsys.readouterr().err)
            if more:
                assert files(tmp_path) == before
    assert errors[0] == errors[1] and line in errors[0]


def test_a_busy_seed_is_refused_alike(tmp_path: Path, capsys: Any) -> None:
    with ExitStack() as stack:
        busy(tmp_path / "run" / "seed-0", stack)
        errors = []
        for more in (["--dry-run"], []):
            capsys.readouterr()
            assert train(tmp_path / "run", "--seeds=0,1", *more) == 75
            errors.append(capsys.readouterr().err)
    assert errors[0] == errors[1] and "seed-0 is being trained by process" in errors[0]


def test_weights_that_do_not_fit_are_refused_alike(tmp_path: Path, capsys: Any) -> None:
    line = tiny.shortened(recipes.figure1(), 2)  # in one dimension
    for _ in loop.train(line, tmp_path / "line"):
        pass
    errors = []
    for more in (["--dry-run"], []):
        capsys.readouterr()
        words = [f"--from={tmp_path / 'line'}", "--networks.generator=[7]", *more]
        assert train(tmp_path / "run", *words) == 65
        errors.append(capsys.readouterr().err)
        assert not (tmp_path / "run").exists()
    assert errors[0] == errors[1] and "no tensor of a shape that fits this run" in errors[0]


@pytest.mark.parametrize("more", [[], ["--dry-run"]])
def test_minutes_of_several_processes_are_refused_alike(
    more: list[str], tmp_path: Path, capsys: Any
) -> None:
    words = ["gaussian", "--minutes=1", "--batch=8", "--gpus=2", f"--out={tmp_path / 'run'}"]
    assert main(["train", *words, *more]) == 2
    assert "--minutes is measured in one process: give --kimg" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


# --- several seeds ----------------------------------------------------------------------------


def test_seeds_are_forecast(tmp_path: Path, capsys: Any) -> None:
    """Both ways: at once, and one by one after the first was stopped."""
    assert train(tmp_path / "run", "--seeds=0,1", "--dry-run") == 0
    out = capsys.readouterr().out
    assert re.search(
        r"takes about [\d.]+ (seconds|minutes) here: 300 steps, [\d.e-]+ seconds a", out
    )
    assert "reached: on gaussian: both losses" in out
    assert list(tmp_path.iterdir()) == []

    stopped(tmp_path / "run" / "seed-0", 125)
    before = files(tmp_path)
    capsys.readouterr()
    assert train(tmp_path / "run", "--seeds=0", "--dry-run") == 0
    out = capsys.readouterr().out
    assert "one by one: it is one seed" in out and "here: 175 steps" in out
    assert "seed 0: goes on from step 125 of 300" in out
    assert files(tmp_path) == before


# --- what a recipe reached --------------------------------------------------------------------

NUMBER = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?|\.\d+")


@pytest.mark.parametrize("name", RECIPES)
def test_every_figure_of_a_result_is_recorded(name: str) -> None:
    """In the page that the result names, or in the recipe's docstring."""
    for result in results.known(name):
        page = ROOT / result.page
        recorded = recipes.describe(name) + (page.read_text() if page.suffix == ".md" else "")
        assert page.exists() or result.page == f"ganforge recipes {name}"
        known = set(NUMBER.findall(recorded))
        numbers = NUMBER.findall(f"{result.text} {result.budget}")
        assert set(numbers) <= known, f"{name}: {set(numbers) - known} are not recorded"


def test_results_of_other_data_are_said_to_be_of_those() -> None:
    config = recipes.cdcgan()
    (line,) = results.lines(config)
    assert line.startswith("on mnist: FD 2.27 to 2.53")
    first, *others = results.lines(replace(config, data="pictures/"))
    assert first == "unknown: no result of cdcgan on pictures/ is recorded"
    assert [line.split(":")[0] for line in others] == ["on mnist", "on fashion-mnist", "on cifar10"]
    assert results.lines(recipes.stylegan2()) == ["unknown: no result of stylegan2 is recorded"]
    assert results.lines(replace(config, name="mine")) == ["unknown: no result of mine is recorded"]
    assert all(isinstance(r, Reached) for name in RECIPES for r in results.known(name))


@pytest.mark.parametrize(
    ("seconds", "text"), [(3.14, "3.1 seconds"), (90, "1.5 minutes"), (9000, "2.5 hours")]
)
def test_durations(seconds: float, text: str) -> None:
    assert dry_run.lasting(seconds) == text
