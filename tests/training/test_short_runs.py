"""A short run shows itself: records and grids by its number of steps, a grid where it stops."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ganforge import recipes
from ganforge.config.schema import Config, Output
from ganforge.data.dataset import Dataset
from ganforge.plotting import strips
from ganforge.runs.folder import Run
from ganforge.runs.records import Control
from ganforge.training import loop
from ganforge.training.device import resolve
from ganforge.training.trainer import Trainer
from tests.helpers.tiny import StopAfter, data_for, folder_hashes, log_without_times, run, shortened


def short(steps: int, **output: Any) -> tuple[Config, Dataset]:
    config = replace(recipes.cdcgan(), output=Output(score=False))
    return shortened(config, steps, batch=4, **output), data_for(config, count=40)


def grids(path: Path) -> list[int]:
    return sorted(int(file.stem) for file in (path / "samples").iterdir())


@pytest.mark.parametrize(
    ("steps", "records", "drawn"),
    [(40, 20, [0, 5, 10, 15, 20, 25, 30, 35, 40]), (3, 3, [0, 1, 2, 3])],
)
def test_a_short_run_has_twenty_records_and_eight_grids(
    steps: int, records: int, drawn: list[int], tmp_path: Path
) -> None:
    config, data = short(steps)
    run(config, tmp_path, data)
    assert len(log_without_times(tmp_path)) == records
    assert grids(tmp_path) == drawn
    assert len(strips.moments(Run(tmp_path))) == len(drawn) > 2  # the frames of a film


def test_intervals_that_are_stated_are_used(tmp_path: Path) -> None:
    config, data = short(40, log_every=16, sample_every=50.0)
    run(config, tmp_path, data)
    assert [r["step"] for r in log_without_times(tmp_path)] == [16, 32, 40]
    assert grids(tmp_path) == [0, 40]


def test_a_longer_run_has_the_usual_intervals(tmp_path: Path) -> None:
    for steps, log, sample in ((900, 45, 100), (700, 35, 87), (100_000, 50, 100)):
        t = trainer(short(steps), tmp_path)
        assert (t.log_interval, t.sample_interval) == (log, sample), steps


def trainer(setting: tuple[Config, Dataset], path: Path) -> Trainer:
    config, data = setting
    world = loop.distributed.from_environment()
    return Trainer.build(config, Run(path), data, resolve(config, {}, world, data.spec))


def test_a_stopped_run_has_a_grid_of_where_it_stands(tmp_path: Path) -> None:
    config, data = short(40)
    whole = run(config, tmp_path / "whole", data)
    first = run(config, tmp_path / "parts", data, StopAfter(17))
    assert grids(tmp_path / "parts") == [0, 5, 10, 15, 17]
    assert first[-1].grid == tmp_path / "parts/samples/000000017.png" and first[-1].saved
    second = run(config, tmp_path / "parts", data)
    assert second[-1].step == whole[-1].step == 40
    assert log_without_times(tmp_path / "parts") == log_without_times(tmp_path / "whole")
    (tmp_path / "parts/samples/000000017.png").unlink()  # all else is as if it had not stopped
    for inside in ("samples", "model"):
        parts, entire = (folder_hashes(tmp_path / name / inside) for name in ("parts", "whole"))
        assert parts == entire, inside


def test_a_run_that_stops_where_it_has_a_grid_draws_no_other(tmp_path: Path) -> None:
    config, data = short(40)
    assert run(config, tmp_path, data, StopAfter(15))[-1].grid is None
    assert grids(tmp_path) == [0, 5, 10, 15]
    assert run(config, tmp_path, data, StopAfter(0))[-1].grid is None  # no step, no other grid
    assert grids(tmp_path) == [0, 5, 10, 15]


def test_slow_steps_are_reported_before_the_first_record(tmp_path: Path) -> None:
    """The sums of the interval stay: the record at step 10 is that of a run without the line."""
    records = {}
    for seconds in (0.0, 1e9):
        path = tmp_path / str(seconds)
        t = trainer(short(20, log_every=10, sample_every=50.0), path)
        notes = [p.note for p in loop.play(t, Control(), [], lambda: "", seconds) if p.note]
        records[seconds] = log_without_times(path)
        assert len(notes) == (seconds == 0.0)
        for note in notes:
            assert note.startswith("step 1 of 20 after 0 s: loss_D 0.")
            assert note.endswith("the log has a record every 10 steps")
    assert records[0.0] == records[1e9] and len(records[0.0]) == 2


@pytest.mark.parametrize("name", sorted(recipes.RECIPES))
def test_no_recipe_makes_a_short_run_silent(name: str) -> None:
    assert recipes.find(name).output.log_every == 0  # 20 records or more, whatever the budget
