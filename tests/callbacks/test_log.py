"""Event files: read back by TensorBoard itself, cut where a run goes back."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ganforge import files as ganforge_files
from ganforge import images, recipes
from ganforge.callbacks.log import Loggers
from ganforge.callbacks.log_tensorboard import FOLDER, TAGS
from ganforge.errors import UsageError
from ganforge.runs.records import Control, Progress
from ganforge.training import loop
from tests.helpers import tiny

accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")


def read(path: Path) -> Any:
    return accumulator.EventAccumulator(str(path / FOLDER)).Reload()


def record(step: int, loss: float = 1.0, **more: Any) -> Progress:
    means = dict.fromkeys((n for n in TAGS if n not in ("skipped", "images_per_second")), loss)
    return Progress(step, 100, step * 8, step / 10, images_per_second=loss, means=means, **more)


def scalars(path: Path, tag: str = "loss/discriminator") -> list[tuple[int, float]]:
    return [(e.step, e.value) for e in read(path).Scalars(tag)]


def test_a_run_is_read_back(tmp_path: Path) -> None:
    config = tiny.shortened(recipes.cdcgan(), 6, log_every=2, sample_every=50.0)
    records = []
    with Loggers(tmp_path / "run", "tensorboard") as events:
        for progress in loop.train(config, tmp_path / "run", data=tiny.data_for(config)):
            events.add(progress)
            records.append(progress)
    log = {p.step: p for p in records if p.step}
    found = read(tmp_path / "run")
    others = set(log[2].means) - set(TAGS)  # terms of the losses have their names
    assert set(found.Tags()["scalars"]) == set(TAGS.values()) | others and others
    for name, tag in TAGS.items():
        got = {e.step: e.value for e in found.Scalars(tag)}
        assert got == pytest.approx({step: getattr(log[step], name) for step in (2, 4, 6)})
    grids = {p.step: p.grid for p in records if p.grid is not None}
    assert [e.step for e in found.Images("samples")] == list(grids) == [0, 6]
    last = tmp_path / "last.png"
    last.write_bytes(found.Images("samples")[-1].encoded_image_string)
    assert grids[6] is not None
    assert np.array_equal(images.read_png(last), images.read_png(grids[6]))


def test_a_resumed_run_has_every_step_once(tmp_path: Path) -> None:
    config = tiny.shortened(recipes.gaussian(), 8, log_every=2)
    data = tiny.data_for(config)
    control = Control()
    with Loggers(tmp_path / "run", "tensorboard") as events:
        for progress in loop.train(config, tmp_path / "run", control, data):
            events.add(progress)
            control.stop = progress.step == 4
    with Loggers(tmp_path / "run", "tensorboard") as events:
        for progress in loop.train(config, tmp_path / "run", data=data):
            events.add(progress)
    assert [s for s, _ in scalars(tmp_path / "run")] == [2, 4, 6, 8]
    files = sorted((tmp_path / "run" / FOLDER).iterdir())
    with Loggers(tmp_path / "run", "tensorboard") as events:  # a finished run is left as it is
        for progress in loop.train(config, tmp_path / "run", data=data):
            events.add(progress)
    assert sorted((tmp_path / "run" / FOLDER).iterdir()) == files


def test_what_was_written_after_the_last_checkpoint_is_cut_off(tmp_path: Path) -> None:
    with Loggers(tmp_path, "tensorboard") as events:  # killed after step 40, its checkpoint at 20
        for step in (10, 20, 21, 30, 40):
            events.add(record(step, step))
    with Loggers(tmp_path, "tensorboard") as events:
        events.add(record(20, 20, note="resumed at step 20 of 100"))
        events.add(record(30, 31))
    assert scalars(tmp_path) == [(10, 10), (20, 20), (30, 31)]


def test_a_run_that_starts_anew_cuts_off_everything(tmp_path: Path) -> None:
    with Loggers(tmp_path, "tensorboard") as events:
        events.add(record(10))
    with Loggers(tmp_path, "tensorboard") as events:
        events.add(replace(record(0), means={}))
        events.add(record(20, 2))
    assert scalars(tmp_path) == [(20, 2)]


def test_a_rollback_cuts_off_what_came_after(tmp_path: Path) -> None:
    with Loggers(tmp_path, "tensorboard") as events:
        for step in (10, 20, 30):
            events.add(record(step, step))
        events.add(record(10, 10, note="diverged; back at step 10"))
        events.add(record(20, 21))
    assert scalars(tmp_path) == [(10, 10), (20, 21)]


def test_repeated_means_are_one_point(tmp_path: Path) -> None:
    grid = ganforge_files.save_file(tmp_path / "a.png", images.png(np.zeros((4, 4, 3), np.uint8)))
    with Loggers(tmp_path, "tensorboard") as events:
        events.add(record(10))
        events.add(record(13, grid=grid))
        events.add(record(13, done=True))
    assert scalars(tmp_path) == [(10, 1)]
    assert [e.step for e in read(tmp_path).Images("samples")] == [13]


def test_a_disk_that_takes_nothing_stops_no_run(tmp_path: Path) -> None:
    (tmp_path / FOLDER).write_text("in the way")
    with Loggers(tmp_path, "tensorboard") as events:
        (note,) = events.add(record(10))
        assert note.startswith("log tensorboard is dropped")
        assert events.add(record(20)) == []


def test_only_the_leader_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(key, value)
    with Loggers(tmp_path, "tensorboard") as events:
        events.add(record(10))
    assert not (tmp_path / FOLDER).exists()


def test_without_tensorboard_the_error_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(UsageError, match=r"pip install 'ganforge\[tensorboard\]'"):
        Loggers(tmp_path, "tensorboard")
    assert not list(tmp_path.iterdir())
