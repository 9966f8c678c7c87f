"""Where a run logs besides log.jsonl: csv, TensorBoard, Weights & Biases, or an object of yours.

    class MyLogger:
        def start(self, run): ...          # a `LoggedRun`: its settings, folder and first step
        def log(self, step, values): ...   # {"loss_d": 0.69, ..., "samples": Path("....png")}
        def finish(self, scores): ...      # the scores at the end, () if there are none

    gf.train("cdcgan", log=MyLogger())     ganforge train --log mine.py:MyLogger

Whoever iterates does the same by hand:

    with log.Loggers("runs/a", "csv,tensorboard") as loggers:
        for progress in gf.iterate(config, "runs/a"):
            loggers.add(progress)

log.jsonl stays the truth: a logger that raises is dropped, and the run goes on.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, Protocol

from ganforge import registry
from ganforge.config.schema import LOGGERS, Config
from ganforge.errors import UsageError, did_you_mean, one_line
from ganforge.evaluation.score import Score
from ganforge.runs.folder import Run
from ganforge.runs.records import Progress
from ganforge.training import checks, distributed

CLASSES = {
    "csv": "ganforge.callbacks.log_csv:CsvLogger",
    "tensorboard": "ganforge.callbacks.log_tensorboard:TensorBoardLogger",
    "wandb": "ganforge.callbacks.log_wandb:WandbLogger",
}
METHODS = ("start", "log", "finish")


@dataclass(frozen=True)
class LoggedRun:
    """What a logger knows of a run at its start.

    path: run folder. config: its settings as plain tables. step: the step from which it goes on, 0
    for a new run: what was logged after this step comes again.
    """

    path: Path
    config: Mapping[str, Any]
    step: int


class Logger(Protocol):
    """Three methods, of which nothing has to be inherited."""

    def start(self, run: LoggedRun) -> None:
        """Before the first step of a session."""

    def log(self, step: int, values: Mapping[str, float | Path]) -> None:
        """What is new at a step: numbers by the names of log.jsonl, score/NAME, a grid's path.

        A step that is not larger than the last one follows a rollback: the steps from there on are
        trained again.
        """

    def finish(self, scores: Sequence[Score]) -> None:
        """After the last step of a session, stopped or finished."""


def split(log: Any) -> tuple[tuple[str, ...], list[Any]]:
    """The names of LOGGERS in what `log=` and `--log` give, and the user's objects and classes.

    Args:
        log: names and FILE.py:NAME with commas between, an object or a class, or a list of these;
            None for nothing.

    Raises:
        UsageError: an unknown name, or an object without the three methods.
    """
    if isinstance(log, str):
        log = log.split(",")
    elif not isinstance(log, list | tuple):
        log = [] if log is None else [log]
    names, others = [], []
    for one in log:
        word = one.strip() if isinstance(one, str) else one
        if word in LOGGERS:
            names.append(word)
            continue
        found = registry.named(word)
        if isinstance(found, str):
            raise UsageError(
                f"log = {found!r}: {did_you_mean(found, list(LOGGERS))}, or FILE.py:NAME"
            )
        missing = [name for name in METHODS if not callable(getattr(found, name, None))]
        if missing:
            raise UsageError(
                f"log: {name_of(found)} has no method {missing[0]!r}: a logger has start(run), "
                "log(step, values) and finish(scores)"
            )
        others.append(found)
    return tuple(names), others


def with_names(config: Config, names: Sequence[str]) -> Config:
    """`config` with the loggers `names` in place of those it has; unchanged without names."""
    return replace(config, output=replace(config.output, log=tuple(names))) if names else config


def require_classes(given: Sequence[Any]) -> None:
    """UsageError for an object of the user's if each of several runs needs one."""
    for one in given:
        if not isinstance(one, type):
            raise UsageError(
                f"log: one {name_of(one)} cannot log several runs: give its class, of which every "
                "run has an object"
            )


def instances(given: Sequence[Any]) -> list[Logger]:
    """The user's loggers, of each class a new object; UsageError if its constructor raises."""
    made = []
    for one in given:
        try:
            made.append(one() if isinstance(one, type) else one)
        except Exception as error:  # a user's code may raise anything
            raise UsageError(
                f"log: {one.__name__}() raised {type(error).__name__}: {one_line(error)}"
            ) from error
    return made


def name_of(logger: Any) -> str:
    """What a user's logger is called in messages."""
    return logger.__name__ if isinstance(logger, type) else type(logger).__name__


class Loggers:
    """Hands the records of one run to its loggers; of several processes the leader alone has any.

    Args:
        path: run folder.
        log: see `split`.

    Raises:
        UsageError: see `split`, `instances` and `checks.require_logger`.
    """

    def __init__(self, path: Path | str, log: Any):
        self.run = Run(Path(path))
        names, others = split(log)
        for name in names:
            checks.require_logger(name, self.run.path)
        self.loggers: list[tuple[str, Logger]] = [(n, resolve_name(CLASSES[n])()) for n in names]
        self.loggers += [(name_of(one), one) for one in instances(others)]
        if not distributed.from_environment().is_main_process:
            self.loggers = []
        self.begun = False
        self.step = 0  # of the newest record
        self.seen: dict[str, Any] = {}  # its figures, which records of grids repeat

    def __enter__(self) -> Loggers:
        return self

    def __exit__(self, *error: object) -> None:
        for note in self.finish():
            warnings.warn(note, stacklevel=2)

    def add(self, progress: Progress, scores: Sequence[Score] = ()) -> list[str]:
        """Log what is new in a record; a line for each logger that was dropped.

        Args:
            progress: the record.
            scores: made at this step.
        """
        if not self.loggers or progress.finished_before:
            return []
        figures = progress.record()
        for name in ("step", "samples_seen", "epoch", "seconds"):
            del figures[name]
        notes = []
        if not self.begun:
            # A note says where the run goes on from: that step is over, and logged already.
            over = bool(progress.note) or progress.step == 0
            notes = self.start(progress.step if over else progress.step - 1)
            self.seen = figures if over else {}
        elif progress.step < self.step:
            self.seen = figures
        self.step = progress.step
        values: dict[str, Any] = {}
        if progress.images_per_second > 0 and figures != self.seen:
            values = progress.record()
            del values["step"]
        self.seen = figures
        values |= {f"score/{score.name}": score.value for score in scores}
        if progress.grid is not None:
            values["samples"] = progress.grid
        if values:
            notes += self.call("log", progress.step, values)
        return notes

    def start(self, step: int) -> list[str]:
        """Start all loggers; notes of those that were dropped."""
        self.begun = True
        settings = self.run.settings() if self.run.exists() else {}
        return self.call("start", LoggedRun(self.run.path, settings, step))

    def finish(self, scores: Sequence[Score] = ()) -> list[str]:
        """End all loggers, once; notes of those that raised."""
        notes = self.call("finish", tuple(scores)) if self.begun else []
        self.loggers = []
        return notes

    def call(self, method: str, *arguments: Any) -> list[str]:
        """Call a method of every logger; one that raises is dropped, and a note says so."""
        notes = []
        for name, logger in list(self.loggers):
            try:
                getattr(logger, method)(*arguments)
            except Exception as error:  # of other projects and the user's code: anything
                self.loggers.remove((name, logger))
                notes.append(
                    f"log {name} is dropped: {type(error).__name__}: {one_line(error)}; training "
                    "goes on, and log.jsonl has every record"
                )
        return notes
