"""Loggers beside log.jsonl: what each is given, what it does when a run goes back or it fails."""

from __future__ import annotations

import csv
import json
import os
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import ganforge as gf
from ganforge import recipes
from ganforge.api import target
from ganforge.callbacks.log import CLASSES, Loggers, split
from ganforge.callbacks.log_csv import FILE, CsvLogger
from ganforge.callbacks.log_wandb import WandbLogger
from ganforge.cli import main
from ganforge.config import convert
from ganforge.config.schema import LOGGERS, Config, Output
from ganforge.data.load import load
from ganforge.errors import UsageError
from ganforge.evaluation import store
from ganforge.registry import PARTS
from ganforge.runs.folder import Run
from ganforge.runs.records import Control, Progress
from ganforge.training import loop
from tests.helpers import tiny

MINE = """
from pathlib import Path

class MyLogger:
    def start(self, run):
        self.file = (run.path / "mine.txt").open("a")
        self.write("start", run.step, run.config["seed"])

    def log(self, step, values):
        self.write("log", step, *values)

    def finish(self, scores):
        self.write("finish", *(score.name for score in scores))
        self.file.close()

    def write(self, *words):
        print(*words, file=self.file)

class Broken(MyLogger):
    def __init__(self):
        raise OSError("no place")

class Half:
    def start(self, run): ...
    def log(self, step, values): ...
"""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(MINE)
    return path


class Recorder:
    """A user's logger that remembers its calls, and fails where it is asked to."""

    def __init__(self, fails: str = "") -> None:
        self.fails = fails
        self.calls: list[tuple[Any, ...]] = []

    def noted(self, *call: Any) -> None:
        self.calls.append(call)
        if call[0] == self.fails:
            raise ValueError("the disk\nis gone")

    def start(self, run: Any) -> None:
        self.noted("start", run)

    def log(self, step: int, values: dict[str, Any]) -> None:
        self.noted("log", step, dict(values))

    def finish(self, scores: Any) -> None:
        self.noted("finish", tuple(scores))

    def steps(self) -> list[int]:
        return [call[1] for call in self.calls if call[0] == "log"]


def config(steps: int = 6, **output: Any) -> Config:
    usual = {"log_every": 2, "sample_every": 1e6, "score": False}
    return tiny.shortened(recipes.gaussian(), steps, **(usual | output))


def rows(path: Path) -> list[dict[str, str]]:
    with (path / FILE).open() as file:
        return list(csv.DictReader(file))


def record(step: int, **more: Any) -> Progress:
    means = {"loss_d": float(step), "loss_g": 1.0}
    return Progress(step, 100, step * 8, step / 10, images_per_second=1.0, means=means, **more)


def without_time(values: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of a record, without the clock, which runs on between two loggers."""
    left_out = ("seconds", "samples")
    return {k: v for k, v in values.items() if k not in left_out and not k.startswith("score/")}


def trained(path: Path, log: Any, stop: int = -1, steps: int = 6) -> Loggers:
    """A run by hand, ended after the step `stop`."""
    control = Control()
    with Loggers(path, log) as loggers:
        for progress in loop.train(config(steps), path, control):
            loggers.add(progress)
            control.stop = progress.step == stop
    return loggers


def test_the_names_are_those_of_the_settings() -> None:
    assert list(CLASSES) == list(LOGGERS)


# --- an object of the user's ----------------------------------------------------------------------


def test_an_object_gets_the_run_every_record_and_the_scores(tmp_path: Path) -> None:
    mine = Recorder()
    chosen = tiny.shortened(recipes.gaussian(), 210, log_every=100, score_every=0.8, sample_every=2)
    parts = [load("gaussian", part=part) for part in ("train", "validation")]
    data = [replace(part, values=part.values[:200]) for part in parts]
    run = gf.train(
        chosen, tmp_path / "run", data=data[0], validation=data[1], log=mine, show="quiet"
    )
    (_, start), *logged, (last, scores) = mine.calls
    assert (start.path, start.step, start.config) == (run.path, 0, Run(run.path).settings())
    assert last == "finish" and scores == tuple(run.scores) and scores

    numbers = [without_time({"step": step, **values}) for _, step, values in logged
               if "loss_d" in values]  # fmt: skip
    assert numbers == list(map(without_time, run.log)) and len(numbers) == 3
    grids = [values["samples"] for _, _, values in logged if "samples" in values]
    assert grids == sorted(run.run.samples.iterdir())
    known = {r["step"]: store.cards(r) for r in store.curve(run.run)}
    given = {
        step: {k: v for k, v in values.items() if k.startswith("score/")}
        for _, step, values in logged
    }
    on_the_way = {step: cards for step, cards in known.items() if step < 210}
    assert on_the_way
    assert {step: found for step, found in given.items() if found} == {
        step: {f"score/{card.name}": card.value for card in cards}
        for step, cards in on_the_way.items()
    }


def test_a_resumed_run_says_from_where_and_logs_no_step_twice(tmp_path: Path) -> None:
    first, second, third = Recorder(), Recorder(), Recorder()
    trained(tmp_path / "run", first, stop=4)
    trained(tmp_path / "run", [second])
    trained(tmp_path / "run", third)
    assert first.calls[-2][2].keys() == {"samples"}  # of the stop, whose record came before
    assert first.steps()[:-1] + second.steps() == [0, 2, 4, 6]
    assert second.calls[0][1].step == 4
    assert second.calls[-1] == ("finish", ())
    assert third.calls == []


def test_a_logger_that_raises_is_dropped_and_the_run_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad, good = [Recorder(fails=method) for method in ("start", "log", "finish")], Recorder()
    run = gf.train(config(), tmp_path / "run", log=[*bad, good], show="plain")
    line = "log Recorder is dropped: ValueError: the disk is gone; training goes on"
    shown = capsys.readouterr().out
    assert shown.count(line) == 2
    assert len(run.notes) == 1 and line in run.notes[0]
    assert [[name for name, *_ in one.calls] for one in bad] == [
        ["start"], ["start", "log"], ["start", "log", "log", "log", "log", "finish"]
    ]  # fmt: skip
    assert run.finished and [r["step"] for r in run.log] == [2, 4, 6]
    assert good.steps() == [0, 2, 4, 6]


def test_a_run_that_fails_ends_its_loggers(tmp_path: Path) -> None:
    mine = Recorder()

    def body() -> None:
        with Loggers(tmp_path, mine) as loggers:
            loggers.add(record(10))
            raise KeyError("the body")

    with pytest.raises(KeyError):
        body()
    assert mine.calls[-1] == ("finish", ())


def test_after_a_rollback_the_same_figures_are_not_logged_again(tmp_path: Path) -> None:
    mine = Recorder()
    with Loggers(tmp_path, mine) as loggers:
        for step in (10, 20, 30):
            loggers.add(record(step))
        loggers.add(record(10, note="diverged; back at step 10"))
        loggers.add(record(20))
    assert mine.steps() == [10, 20, 30, 20]


def test_only_the_leader_logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = Recorder()
    for key, value in {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(key, value)
    with Loggers(tmp_path, [mine, "csv"]) as loggers:
        loggers.add(record(10))
    assert mine.calls == [] and list(tmp_path.iterdir()) == []


def test_what_is_no_logger_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"log = 'cvs': did you mean 'csv'.*FILE\.py:NAME"):
        gf.train(config(), tmp_path / "run", log="csv,cvs")
    with pytest.raises(UsageError, match="log: float has no method 'start'"):
        gf.train(config(), tmp_path / "run", log=1.5)
    with pytest.raises(UsageError, match="log: one Recorder cannot log several runs"):
        gf.population(config(), tmp_path / "run", (0, 1), log=Recorder(), show="quiet")
    assert list(tmp_path.iterdir()) == []


# --- the command line -----------------------------------------------------------------------------


def command(path: Path, *words: str) -> int:
    options = ["--kimg=0.048", "--batch=8", "--output.log_every=2", "--output.score=false"]
    options += ["--output.sample_every=1000"]
    return main(["train", "gaussian", *options, "--threads=1", f"--out={path}", *words])


def test_a_file_of_the_users_logs(mine: Path, tmp_path: Path) -> None:
    path = tmp_path / "run"
    assert command(path, f"--log=csv,{mine}:MyLogger") == 0
    text = (path / "mine.txt").read_text().splitlines()
    assert text[0] == "start 0 0" and text[-1] == "finish"
    assert [line.split()[1] for line in text[1:-1]] == ["0", "2", "4", "6"]
    assert [row["step"] for row in rows(path)] == ["2", "4", "6"]
    # a config names no code of the user's, which a folder could then run
    assert Run(path).settings()["output"]["log"] == ["csv"]
    assert "mine.py" not in (path / "config.toml").read_text()


def test_every_seed_has_its_loggers(mine: Path, tmp_path: Path) -> None:
    assert command(tmp_path / "run", f"--log=csv,{mine}:MyLogger", "--seeds=0,1") == 0
    for seed in (0, 1):
        path = tmp_path / "run" / f"seed-{seed}"
        log = Run(path).log()
        assert [float(row["loss_d"]) for row in rows(path)] == [r["loss_d"] for r in log]
        assert (path / "mine.txt").read_text().startswith(f"start 0 {seed}\n")


@pytest.mark.parametrize("more", [[], ["--dry-run"], ["--seeds=0,1"]])
@pytest.mark.parametrize(
    ("log", "line"),
    [
        ("cvs", "log = 'cvs': did you mean 'csv'? known: csv, tensorboard, wandb"),
        ("{mine}:Half", "log: Half has no method 'finish'"),
        ("{mine}:Gone", "mine.py defines no 'Gone'"),
    ],
)
def test_what_is_no_logger_is_one_line_and_nothing_is_written(
    log: str, line: str, more: list[str], mine: Path, tmp_path: Path, capsys: Any
) -> None:
    assert command(tmp_path / "run", f"--log={log.format(mine=mine)}", *more) == 2
    error = capsys.readouterr().err
    assert line in error and error.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("more", [[], ["--dry-run"]])
def test_a_constructor_that_raises_is_one_line(
    more: list[str], mine: Path, tmp_path: Path, capsys: Any
) -> None:
    assert command(tmp_path / "run", f"--log={mine}:Broken", *more) == 2
    assert "log: Broken() raised OSError: no place" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["tensorboard", "wandb"])
def test_without_its_library_a_logger_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    assert command(tmp_path / "run", f"--log={name}") == 2
    assert f"pip install 'ganforge[{LOGGERS[name]}]'" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_the_old_option_and_setting_mean_the_logger() -> None:
    assert Output(tensorboard=True) == Output(log=("tensorboard",))
    table = convert.to_dict(recipes.gaussian())
    old = {k: v for k, v in table["output"].items() if k != "log"} | {"tensorboard": True}
    read = convert.from_dict(Config, table | {"output": old}, PARTS)
    assert read.output.log == ("tensorboard",)


def test_tensorboard_is_an_alias(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    assert command(tmp_path / "run", "--tensorboard", "--log=csv") == 0
    assert Run(tmp_path / "run").settings()["output"]["log"] == ["csv", "tensorboard"]
    assert list((tmp_path / "run" / "events").iterdir())
    # the run goes on with the loggers that its config names
    assert target.start(str(tmp_path / "run"), None, {}).config.output.log == ("csv", "tensorboard")


def test_names_that_are_split() -> None:
    mine = Recorder()
    assert split("csv, wandb") == (("csv", "wandb"), [])
    assert split([mine, "csv"]) == (("csv",), [mine])
    assert split(None) == ((), [])


# --- csv ------------------------------------------------------------------------------------------


def test_csv_has_the_records_of_the_log(tmp_path: Path) -> None:
    trained(tmp_path / "run", "csv")
    found = [{k: float(v) for k, v in row.items()} for row in rows(tmp_path / "run")]
    assert [*map(without_time, found)] == [*map(without_time, Run(tmp_path / "run").log())]


def test_csv_of_a_resumed_run_has_every_step_once(tmp_path: Path) -> None:
    trained(tmp_path / "run", "csv", stop=4)
    trained(tmp_path / "run", "csv")
    assert [row["step"] for row in rows(tmp_path / "run")] == ["2", "4", "6"]


def test_csv_forgets_what_was_lost_and_a_torn_row(tmp_path: Path) -> None:
    with Loggers(tmp_path, "csv") as loggers:  # killed after step 40, its checkpoint at 20
        for step in (10, 20, 30, 40):
            loggers.add(record(step))
    with (tmp_path / FILE).open("a") as file:
        file.write("1")
    with Loggers(tmp_path, "csv") as loggers:
        loggers.add(record(20, note="resumed at step 20 of 100"))
        loggers.add(record(50))  # the interval may be another now
    assert [row["step"] for row in rows(tmp_path)] == ["10", "20", "50"]


def test_csv_cuts_at_a_rollback(tmp_path: Path) -> None:
    with Loggers(tmp_path, "csv") as loggers:
        for step in (10, 20, 30):
            loggers.add(record(step))
        loggers.add(record(10, note="diverged; back at step 10"))
        loggers.add(record(20))
    assert [row["step"] for row in rows(tmp_path)] == ["10", "20"]


def test_a_new_name_is_a_new_column(tmp_path: Path) -> None:
    logger = CsvLogger()
    with Loggers(tmp_path, logger) as loggers:
        loggers.add(record(10))
        logger.log(20, {"loss_d": 2.0, "score/frechet": 4.5})
    assert [row["score/frechet"] for row in rows(tmp_path)] == ["", "4.5"]
    assert [row["loss_d"] for row in rows(tmp_path)] == ["10.0", "2.0"]


def test_the_warning_about_a_logger_names_the_line_that_used_it(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="the disk is gone") as seen:  # noqa: SIM117
        with Loggers(tmp_path, Recorder("finish")) as loggers:
            loggers.add(record(1))
    assert seen[0].filename == __file__


# --- wandb ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "reports"), [(None, "false"), ("disabled", "false"), ("online", None)]
)
def test_wandb_reports_no_errors_of_its_own_unless_it_is_online(
    mode: str | None, reports: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variable is read at the import of wandb, which here is a stand-in."""
    environment = dict(os.environ) | ({"WANDB_MODE": mode} if mode else {})
    environment.pop("WANDB_ERROR_REPORTING", None)
    monkeypatch.setattr(os, "environ", environment)
    wandb = SimpleNamespace(Image=str, init=lambda **given: given, Settings=dict)
    monkeypatch.setitem(sys.modules, "wandb", wandb)  # type: ignore[arg-type]
    logger = WandbLogger()
    logger.start(SimpleNamespace(path=tmp_path, config={"batch": 8}))  # type: ignore[arg-type]
    assert environment.get("WANDB_ERROR_REPORTING") == reports
    assert logger.run["mode"] == (mode or "offline") and logger.run["config"] == {"batch": 8}


SESSION = """
import sys
import ganforge as gf
from ganforge import recipes
from tests.helpers import tiny

config = tiny.shortened(recipes.dcgan(), 4, log_every=2, score=False)
gf.train(config, sys.argv[1], data=tiny.data_for(config), log="wandb", show="plain")
print("network:", "wandb.apis" in sys.modules)
"""


class Proxy:
    """Counts the connections of programs that are shown this address as their proxy."""

    def __init__(self) -> None:
        self.server = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self.server.getsockname()[1]}"
        self.connections = 0
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        while True:
            try:
                connection, _ = self.server.accept()
            except OSError:
                return
            self.connections += 1
            connection.close()


def stored(path: Path) -> Iterator[Any]:
    """The records of a .wandb file: blocks of 32 kB, in them (checksum, length, kind, bytes)."""
    pb = pytest.importorskip("wandb.proto.wandb_internal_pb2")
    data, at, whole = path.read_bytes(), 7, b""
    while at < len(data):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
            continue
        _, length, kind = struct.unpack("<IHB", data[at : at + 7])
        whole += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            found = pb.Record()
            found.ParseFromString(whole)
            whole = b""
            yield found


def test_wandb_writes_offline_and_asks_nobody(tmp_path: Path) -> None:
    pytest.importorskip("wandb")
    proxy = Proxy()
    free = {k: v for k, v in os.environ.items() if not k.startswith("WANDB")}
    proxies = dict.fromkeys(
        ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), proxy.address
    )
    run = tmp_path / "run"
    done = subprocess.run(
        [sys.executable, "-c", SESSION, str(run)], env=free | proxies, capture_output=True,
        text=True, check=False, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    proxy.server.close()
    assert done.returncode == 0, done.stderr
    assert "dropped" not in done.stdout and "wandb:" not in done.stderr
    assert proxy.connections == 0

    (file,) = run.glob("wandb/offline-run-*/*.wandb")
    steps, pictures = {}, 0
    for found in stored(file):
        if found.WhichOneof("record_type") == "history":
            items = {i.key or ".".join(i.nested_key): json.loads(i.value_json)
                     for i in found.history.item}  # fmt: skip
            pictures += "samples._type" in items or "samples" in items
            if "loss_d" in items:
                steps[items["_step"]] = items["loss_d"]
    assert steps == {r["step"]: pytest.approx(r["loss_d"]) for r in Run(run).log()}
    assert pictures == len(list((run / "samples").iterdir())) > 0
    assert np.isfinite(list(steps.values())).all()
