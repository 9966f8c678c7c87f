"""Scores while a run goes on: at intervals, the best of them kept, and at its end.

Everything here is done between two steps and draws from streams of its own, so that a run that is
scored has the same weights, bit for bit, as one that is not.

scores.jsonl           one record a score, cut on resume as the log is
scores.png             the curve
checkpoints/best.json  the step with the lowest Frechet distance so far; that checkpoint stays
best/                  its model folder
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ganforge import (
    charts,
    checkpoint,
    distributed,
    judging,
    loop,
    model,
    pictures,
    runs,
    stepping,
    training,
)
from ganforge.config import Config
from ganforge.data.dataset import Dataset
from ganforge.data.source import load
from ganforge.errors import DataError, GanforgeError, Interrupted, UsageError
from ganforge.evaluation.case import LEAST
from ganforge.evaluation.score import Score
from ganforge.judging import Real
from ganforge.printable import json_bytes
from ganforge.progress import Control, Progress
from ganforge.runs import Run
from ganforge.training import Training

LOG, CURVE, BEST_MODEL = "scores.jsonl", "scores.png", "best"
N, SEED = 2500, 0  # of every score of this file: the same noise and the same real examples
SHORTEST = 0.1  # passes over the data below which a run's end is not scored
PATIENCE = 5  # scores in a row without a better one, after which `--stop auto` ends a run


class Scorer:
    """Scores one run. `watch` every record of the loop; `close` when it has ended.

    control: of the loop; told when the run has had enough. data, validation: sets of the user's
    own in place of what the config names. live: the curve is drawn after every score; else `draw`
    does it.
    """

    def __init__(
        self,
        config: Config,
        path: Path,
        control: Control,
        data: Dataset | None = None,
        validation: Dataset | None = None,
        live: bool = True,
    ):
        self.config, self.output, self.live = config, config.output, live
        self.run, self.control = Run(path), control
        self.own, self.held = data, validation
        self.records: list[dict[str, Any]] = []
        self.trained = False
        if self.output.score_every:
            self.held = self.validation()  # what it lacks is told before the first step
        # another rank may see another folder, or none: the loop gives it the leader's answer
        leads = distributed.from_environment().leads
        if leads and self.output.patience and self.run.exists():
            over = stale(list(runs.read_log(self.run.path / LOG)), self.output.patience)
            control.enough = bool(over) and self.run.info().get("status") == "finished"

    def validation(self) -> Dataset:
        """The validation part; DataError where it is too small, UsageError where there is none."""
        if self.held is None:
            if self.own is not None:
                raise UsageError("scores need real examples held out: give validation= with data=")
            self.held = load(self.config.data, part="validation", size=self.config.size)
        if len(self.held) < LEAST:
            raise DataError(
                f"{self.config.data}: {len(self.held)} validation examples are too few to score, "
                f"at least {LEAST} are needed"
            )
        return self.held

    def watch(self, t: Training, progress: Progress) -> Progress:
        """Score where that is due; the record, with what is worth telling in its note."""
        if not self.output.score_every or not t.world.leads:
            self.trained |= not (progress.done and progress.note)  # "already finished" is both
            return progress
        if not self.trained or self.last > t.state.step:  # begun, resumed, or rolled back
            self.cut(t.state.step)
        self.trained |= not (progress.done and progress.note)
        near = t.steps - t.state.step < stepping.LEAST_GAP  # the end is scored anyway
        due = 0 < t.state.step != self.last and loop.passed(t, self.output.score_every)
        if progress.done or near or not due:
            return progress
        note = self.add(t)
        return replace(progress, note="; ".join(filter(None, (progress.note, note))))

    @property
    def last(self) -> int:
        """The newest step that has a score, -1 where none has."""
        return int(self.records[-1]["step"]) if self.records else -1

    def cut(self, step: int) -> None:
        """Forget what was scored after `step`: it is trained, and scored, anew."""
        path = self.run.path / LOG
        self.records = list(runs.read_log(path))
        torn = path.exists() and not path.read_bytes().endswith(b"\n")
        if torn or self.last > step:
            runs.cut_log(path, step)
            self.records = list(runs.read_log(path))
        if training.best(self.run)["step"] > step:
            (self.run.checkpoints / training.BEST).unlink(missing_ok=True)

    def measure(self, t: Training) -> list[Score]:
        """The quick metrics of the sampler as it is."""
        with self.control.may_give_up():
            sampler, real = t.sampler(), Real(t.data, self.validation())
            names = judging.quick_metrics(real, sampler.spec.classes > 0)
            return judging.measure(
                sampler, real, n=N, metrics=names, seed=SEED, name="the generator"
            )

    def add(self, t: Training) -> str:
        """Score the run where it stands, and keep it if it is the best so far; a line about it.

        What cannot be scored or written is told in that line: training goes on.
        """
        began = time.perf_counter()
        try:
            scores = self.measure(t)
            frechet = next(s for s in scores if s.name == "frechet")
            better = self.keep_best(t, frechet.value, frechet.n)
            self.records.append(record(t, frechet, scores))
            runs.append_log(self.run.path / LOG, self.records[-1:])
            if self.live:
                self.draw()
        except GanforgeError as error:
            return f"not scored: {error}"
        except Interrupted:
            return "not scored: stopped"
        finally:
            t.timing["score"] = t.timing.get("score", 0.0) + time.perf_counter() - began
        line = (
            f"score at epoch {t.epoch:.2f}: FD[{frechet.space}] {frechet.value:.4g}, floor "
            f"{frechet.floor:.4g} (N {frechet.n:,}, {frechet.split})"
        )
        over = stale(self.records, self.output.patience)
        self.control.enough |= bool(over)
        return "; ".join(filter(None, (line, "the best so far" if better else "", over)))

    def draw(self) -> None:
        """The curve of the scores so far, where there are any."""
        if self.records:
            pictures.save(self.run.path / CURVE, curve(self.records))

    def keep_best(self, t: Training, frechet: float, n: int) -> bool:
        """Keep the checkpoint of this step where none before scored as well."""
        step, folder = t.state.step, self.run.checkpoints
        found = training.best(self.run)
        if found["step"] == step or not frechet < found["frechet"]:
            return bool(found["step"] == step)
        if not (folder / checkpoint.folder_name(step)).is_dir():
            return False  # a full disk took no checkpoint
        facts = training.model_facts(t) | {"frechet": frechet}
        model.save(self.run.path / BEST_MODEL, t.sampler(), t.config, facts)
        table = {"step": step, "frechet": frechet, "split": "validation", "n": n, "seed": SEED}
        checkpoint.replace_file(folder / training.BEST, json_bytes(table, indent=1))
        return True

    def close(self, t: Training) -> tuple[tuple[Score, ...], str]:
        """The scores of a run that has come to its end, or why there are none.

        They are kept in scores.json. A run that was finished before is not scored again.
        """
        ended = t.state.step >= t.steps or self.control.enough
        if not (t.world.leads and ended and self.output.score):
            return (), ""
        try:
            kept = self.kept(t)
            if kept or not self.trained:
                return tuple(kept), ""
            if t.epoch < SHORTEST:
                return (), f"not scored: {t.epoch:.2g} passes over the data are too few"
            if self.output.score_every:
                told = self.add(t) if self.last != t.state.step else ""
                if self.last != t.state.step:
                    return (), told
                scores = judging.cards(self.records[-1])
            else:
                scores = self.measure(t)
            real = Real(t.data, self.validation())
            judging.keep(self.run.path / judging.SCORES, scores, real, step=t.state.step)
        except (GanforgeError, Interrupted) as error:
            stopped = f"stopped; `ganforge evaluate {self.run.path}` does it"
            return (), f"not scored: {stopped if isinstance(error, Interrupted) else error}"
        return tuple(scores), ""

    def kept(self, t: Training) -> list[Score]:
        """What scores.json says of this step on the validation split, at this N and seed."""
        for entry in judging.own_entries(self.run):
            same = entry["step"] == t.state.step and entry["split"] == "validation"
            scores = judging.cards(entry)
            if same and scores and entry["seed"] == SEED and entry["n"] <= N:
                return scores
        return []


def record(t: Training, frechet: Score, scores: Sequence[Score]) -> dict[str, Any]:
    """A line of scores.jsonl: where the run stands, its Frechet distance, and every card."""
    return {
        "step": t.state.step,
        "epoch": t.epoch,
        "samples_seen": t.samples_seen,
        "seconds": t.seconds,
        "frechet": frechet.value if math.isfinite(frechet.value) else None,
        "floor": frechet.floor,
        "scores": [s.to_json() for s in scores],
    }


def stale(records: Sequence[Mapping[str, Any]], patience: float) -> str:
    """Why a run has had enough, in words; empty where it has not.

    The rule: the lowest validation Frechet distance so far is `patience` epochs old or older.
    `--stop auto` sets patience to five scoring intervals.
    """
    known = [r for r in records if isinstance(r.get("frechet"), int | float)]
    if not patience or not known:
        return ""
    lowest = min(known, key=lambda r: float(r["frechet"]))
    age = float(records[-1]["epoch"]) - float(lowest["epoch"])
    if age < patience - 1e-3:  # an interval is a whole number of steps: 4.9996 epochs are 5
        return ""
    return (
        f"enough: no better score for {age:.1f} epochs; the best was at epoch "
        f"{lowest['epoch']:.2f}, its model is in {BEST_MODEL}/"
    )


def curve(records: Sequence[Mapping[str, Any]]) -> bytes:
    """The Frechet distance over the epochs and its floor, as a PNG file's bytes."""
    card = judging.cards(records[-1])[0]
    epoch, value, floor = (charts.column(records, key) for key in ("epoch", "frechet", "floor"))
    figure = charts.page(320)
    axes = charts.place(figure, charts.MARGIN, 50, charts.WIDTH - 2 * charts.MARGIN - 60, 200)
    axes.plot(epoch, value, color=charts.FAKE, marker="o", markersize=3, label="generated")
    axes.plot(epoch, floor, color=charts.REAL, linestyle="--", label="real (floor)")
    finite = value[(value > 0) & (value < math.inf)]
    if len(finite) and finite.max() > 20 * finite.min():
        axes.set_yscale("log")
    title = f"FD[{card.space}], {card.split} split, N = {card.n:,}, seed {card.seed}"
    charts.head(axes, title, "epoch")
    charts.legend(axes)
    return charts.png(figure)


def end_rule(every: float | None, before: float) -> tuple[float, float]:
    """(score_every, patience) of `--stop auto`: a score an epoch where none is said, five to wait.

    every: as given, None where it was not. before: what the config says.
    """
    chosen = (before or 1.0) if every is None else every
    if not chosen:
        raise UsageError("--stop auto needs scores to stop by: --every 1 makes one an epoch")
    return chosen, PATIENCE * chosen
