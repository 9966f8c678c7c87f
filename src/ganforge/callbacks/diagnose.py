"""Diagnosis while a run goes on: a line the moment something holds, once for each code.

Nothing here changes the run: no random number of its streams is read, no weight is written, and
what takes time is done only while it has taken less than a hundredth of the run's.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from ganforge.config.schema import Config
from ganforge.data.dataset import Dataset
from ganforge.diagnosis import KEPT, examine, findings, from_log, judge
from ganforge.diagnosis.findings import Diagnosis
from ganforge.diagnosis.snapshot import Patient
from ganforge.errors import GanforgeError
from ganforge.evaluation import store
from ganforge.evaluation.score import Score
from ganforge.runs.folder import Run
from ganforge.runs.records import Progress
from ganforge.training.trainer import Trainer

SHARE = 0.008  # of the training time, for the looks at samples on the way
FIRST = 0.18  # seconds that the first of them is guessed to take
FEW = 250  # samples of a look on the way
SHORTEST = 0.1  # passes over the data before samples are looked at
LOG_CODES = ("GF003", "GF005", "GF006", "GF007", "GF008")
SAMPLE_CODES = ("GF001", "GF002", "GF004", "GF008", "GF009")


class Watcher:
    """Watches one run: `watch` every record of the loop, `close` when it has ended.

    held: gives the examples held out of training, or raises the reason why there are none. classes:
    of the data; `watch` sees for itself.
    """

    def __init__(
        self, config: Config, path: Path, held: Callable[[], Dataset], classes: int = 0
    ) -> None:
        self.classes = classes
        self.config, self.run, self.held = config, Run(path), held
        self.log: list[dict[str, Any]] | None = None
        self.patient: Patient | None = None
        self.told: set[str] = set()
        self.spent, self.last, self.checked = 0.0, FIRST, 0
        self.trained = False

    def watch(self, t: Trainer, progress: Progress) -> Progress:
        """The record, with what was found anew in its note."""
        if not t.world.is_main_process or (
            progress.done and progress.note
        ):  # "already finished" is both
            return progress
        began = time.perf_counter()
        self.trained, self.classes = True, t.data.spec.classes
        lines = self.tell(self.by_log()) if self.hear(progress) else []
        looked = bool(progress.grid or progress.saved) and self.allowed(t) and not progress.done
        if looked:
            at = time.perf_counter()
            lines += self.tell(self.by_samples(t))
            self.last = time.perf_counter() - at
            self.spent += self.last
        t.clock.timing["diagnose"] = (
            t.clock.timing.get("diagnose", 0.0) + time.perf_counter() - began
        )
        return replace(progress, note="; ".join(filter(None, (progress.note, *lines))))

    def allowed(self, t: Trainer) -> bool:
        """Whether there is time for a look at samples."""
        return t.epoch >= SHORTEST and self.spent + self.last <= SHARE * t.clock.seconds

    def hear(self, progress: Progress) -> bool:
        """Take a log record; whether enough is new to look at the log again."""
        if self.log is None:
            self.log = self.run.log()
        if self.log and self.log[-1]["step"] > progress.step:  # gone back to a checkpoint
            self.log = [r for r in self.log if r["step"] < progress.step]
        known = self.log[-1]["step"] if self.log else 0
        if progress.images_per_second > 0 and progress.step > known:
            self.log.append(progress.record())
            return len(self.log) >= self.checked + max(1, self.checked // 50)  # slow in long logs
        return False

    def by_log(self) -> Diagnosis:
        """The checks of the log alone."""
        assert self.log is not None
        self.checked = len(self.log)
        game = self.config.game
        seen = self.log[-2 * from_log.MOST :]
        figures = from_log.of_log(seen, game, self.classes)
        turns = game.d_steps + game.g_steps
        figures |= from_log.of_state({"step": seen[-1]["step"]}, seen, turns)
        return judge(figures, {} if figures.get("records") else {"log": "short"}, LOG_CODES)

    def by_samples(self, t: Trainer) -> Diagnosis:
        """The checks of a few fresh samples."""
        patient = self.at(t, FEW)
        try:
            if not patient.ready():
                return Diagnosis()
            figures = patient.of_samples() | patient.of_logits()
        except GanforgeError:
            return Diagnosis()
        return judge(figures, patient.lacking, SAMPLE_CODES)

    def tell(self, found: Diagnosis) -> list[str]:
        """A line for each code that has not been told yet."""
        lines = []
        for f in found.findings:
            if f.code not in self.told:
                self.told.add(f.code)
                lines.append(f"{f.code} {f.name}: {f.evidence}. {f.remedy}")
        return lines

    def at(self, t: Trainer, n: int) -> Patient:
        """The run as it stands. What is known of the real examples is kept from look to look."""
        if self.patient is None or self.patient.n != n:
            self.patient = Patient(self.config, train=t.data, n=n)
            try:
                self.patient.held = self.held()
            except GanforgeError as error:
                self.patient.lacking["data"] = str(error)
        self.patient.forget()
        players = t.state.players
        self.patient.players = {
            "generator": players.generator,
            "discriminator": players.discriminator,
        }
        self.patient.sampler, self.patient.step = t.sampler(), t.state.step
        return self.patient

    def close(self, t: Trainer, cards: tuple[Score, ...] = ()) -> Diagnosis | None:
        """The whole diagnosis of a run that has come to its end, kept in its folder.

        A run that was finished before keeps the one it has. None where there is nothing to say.
        """
        path = self.run.path / KEPT
        if not t.world.is_main_process:
            return None
        try:
            if not self.trained:
                return findings.read(path)
            if t.epoch < SHORTEST:
                return None
            began = time.perf_counter()
            patient = self.at(t, Patient.n)
            patient.log, patient.info, patient.cards = self.run.log(), self.run.info(), cards
            patient.curve = store.curve(self.run)
            found = examine(patient, self.run.path)
            t.clock.timing["diagnose"] = (
                t.clock.timing.get("diagnose", 0.0) + time.perf_counter() - began
            )
            return found
        except GanforgeError:
            return None
