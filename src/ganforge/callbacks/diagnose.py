"""Findings while a run trains: one line for each code, as soon as something is wrong.

Nothing here changes the run: no random number of its streams is read, no weight is written, and
samples are checked only while that is less than a hundredth of the run's time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ganforge.config.schema import Config
from ganforge.data.dataset import Dataset
from ganforge.diagnosis import CHECKS, Diagnosis, examine, findings, run_checks, signals, snapshot
from ganforge.diagnosis.log_signals import MOST
from ganforge.diagnosis.signals import Signals
from ganforge.diagnosis.snapshot import FEWEST_UPDATES, N, RealExamples, Snapshot
from ganforge.errors import GanforgeError
from ganforge.evaluation import store
from ganforge.evaluation.score import Score
from ganforge.runs.folder import Run
from ganforge.runs.records import Progress
from ganforge.training.trainer import Trainer

FIRST = 0.18  # seconds that the first check of samples is expected to need
SHORTEST = 0.1  # passes over the data before samples are checked


def codes(*needs: str) -> tuple[str, ...]:
    """The codes whose checks need one of these; a check that needs nothing is of the log."""
    return tuple(c for c, check in CHECKS.items() if {*needs} & {*(check.needs or ("log",))})


LOG_CODES = codes("log", "cost")
SAMPLE_CODES = codes("samples", "groups", "logits", "labels", "translations")


@dataclass
class Budget:
    """The time of diagnosis, allowed and spent, of one run or of several that train together.

    Args:
        load_held_out: gives the validation examples; a GanforgeError says why there are none.
        share: of the training time that checks of samples may need.
        samples: of such a check.
        final_samples: of the diagnosis at the end.
        shortest: passes over the data before samples are checked.
        fewest: generator updates before most checks mean something.
        seconds: spent so far.
        last: seconds of the newest check of samples.
        reported: codes that were reported.
        real: n -> the real examples of the newest check of n samples, or why there are none.
    """

    load_held_out: Callable[[], Dataset]
    share: float = 0.008
    samples: int = 250
    final_samples: int = N
    shortest: float = SHORTEST
    fewest: int = FEWEST_UPDATES
    seconds: float = 0.0
    last: float = FIRST
    reported: set[str] = field(default_factory=set)
    real: dict[int, RealExamples | str] = field(default_factory=dict)

    def allows(self, training_seconds: float, more: float = 0.0) -> bool:
        """Whether `more` seconds can be spent after `training_seconds` of training."""
        return self.seconds + more <= self.share * training_seconds

    def allows_samples(self, t: Trainer, training_seconds: float) -> bool:
        """Whether samples of a run can be checked."""
        return t.epoch >= self.shortest and self.allows(training_seconds, self.last)

    @contextmanager
    def spending(self) -> Iterator[None]:
        """Counts the time of the body."""
        began = time.perf_counter()
        yield
        self.seconds += time.perf_counter() - began

    def examples(self, train: Dataset, n: int) -> RealExamples | str:
        """Real examples to compare `n` samples with, or why there are none."""
        if n not in self.real:
            try:
                self.real = {n: RealExamples(train, self.load_held_out(), n)}
            except GanforgeError as error:
                self.real = {n: str(error)}
        return self.real[n]

    def new_lines(self, found: Diagnosis) -> list[str]:
        """A line for each code that has not been reported yet."""
        new = [f for f in found.findings if f.code not in self.reported]
        self.reported |= {f.code for f in new}
        return [f"{f.code} {f.name}: {f.evidence}; remedy: {f.remedy}" for f in new]


class DiagnoseCallback:
    """Diagnoses one run: `on_record` after every record of the loop, `on_end` at its end.

    Runs that train together share a budget; they call `add_record`, `check_log` and `check_samples`
    instead of `on_record`.

    Args:
        config: of the run.
        path: run folder.
        budget: of this run, or of all that train together.
    """

    def __init__(self, config: Config, path: Path, budget: Budget) -> None:
        self.config, self.run, self.budget = config, Run(path), budget
        self.log: list[dict[str, Any]] | None = None  # read at the first record
        self.checked = 0
        self.seen: set[str] = set()  # codes found while the run trained
        self.trained = False

    def on_record(self, t: Trainer, progress: Progress) -> Progress:
        """The record, with new findings in its note."""
        if not t.world.is_main_process or progress.finished_before:
            return progress
        self.trained = True
        with t.clock.phase("diagnose"):
            lines = self.check_log(t) if self.add_record(progress) else []
            due = (progress.grid or progress.saved) and not progress.done
            if due and self.budget.allows_samples(t, t.clock.seconds):
                lines += self.check_samples(t)
        return progress.noted(*lines)

    def add_record(self, progress: Progress) -> bool:
        """Add a record to the log; whether the log has grown enough to check it again."""
        if self.log is None:
            self.log = self.run.log()
        if self.log and self.log[-1]["step"] > progress.step:  # gone back to a checkpoint
            self.log = [r for r in self.log if r["step"] < progress.step]
        known = self.log[-1]["step"] if self.log else 0
        if progress.images_per_second <= 0 or progress.step <= known:
            return False
        self.log.append(progress.record())
        return len(self.log) >= self.checked + max(1, self.checked // 50)  # slow in long logs

    def check_log(self, t: Trainer) -> list[str]:
        """New findings from the log, a line for each."""
        if not self.log:
            return []
        self.checked = len(self.log)
        newest = self.log[-2 * MOST :]
        step = int(newest[-1]["step"])
        seen = Snapshot(
            self.config, newest, {"step": step}, spec=t.data.spec, step=step, planned=t.steps,
            fewest=self.budget.fewest,
        )  # fmt: skip
        return self.report(signals.of_log(seen), LOG_CODES)

    def check_samples(self, t: Trainer) -> list[str]:
        """New findings from a few fresh samples, a line for each."""
        began = self.budget.seconds
        with self.budget.spending():
            real = self.budget.examples(t.data, self.budget.samples)
            seen = snapshot.of_training(t, real, fewest=self.budget.fewest)
            try:
                lines = self.report(signals.of_samples(seen), SAMPLE_CODES)
            except GanforgeError:
                lines = []
        self.budget.last = self.budget.seconds - began
        return lines

    def report(self, measured: Signals, codes: tuple[str, ...]) -> list[str]:
        """New findings of some checks, a line for each."""
        found = run_checks(
            measured.figures, measured.unavailable, codes, config=self.config, path=self.run.path
        )
        self.seen |= set(found.codes)
        return self.budget.new_lines(found)

    def on_end(self, t: Trainer, scores: tuple[Score, ...] = ()) -> Diagnosis | None:
        """The whole diagnosis of a run that has ended, saved in its folder.

        Args:
            t: the training.
            scores: of the run at its end.

        Returns:
            The saved diagnosis if the run was finished before; None if there is nothing to say.
        """
        if not t.world.is_main_process:
            return None
        try:
            if not self.trained:
                return findings.read(self.run.path / findings.FILE)
            if t.epoch < self.budget.shortest:
                return None
            with t.clock.phase("diagnose"):
                seen = snapshot.of_training(
                    t,
                    self.budget.examples(t.data, self.budget.final_samples),
                    log=self.run.log(),
                    info=self.run.info(),
                    scores=scores,
                    curve=store.curve(self.run),
                    fewest=self.budget.fewest,
                )
                return examine(seen, self.run.path, self.seen)
        except GanforgeError:
            return None
