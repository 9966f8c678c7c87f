"""Scores while a run goes on: at intervals, with the best model saved, and at its end.

Everything here is done between two steps and draws from separate random streams, so that a run
that is scored has the same weights, bit for bit, as one that is not.

scores.jsonl           one record a score, cut on resume as the log is
scores.png             the curve
checkpoints/best.json  the step with the lowest Frechet distance so far; that checkpoint stays
best/                  its model folder
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ganforge import files
from ganforge.config.schema import Config
from ganforge.data.dataset import Dataset
from ganforge.errors import DataError, GanforgeError, Interrupted, UsageError
from ganforge.evaluation import evaluate, store
from ganforge.evaluation.inputs import Real
from ganforge.evaluation.score import Score
from ganforge.plotting import curves, style
from ganforge.runs import checkpoint, model
from ganforge.runs.folder import Run
from ganforge.runs.records import Control, Progress
from ganforge.text import command_line
from ganforge.training import checks, distributed, trainer
from ganforge.training.trainer import Trainer

PICTURE, BEST_MODEL = "scores.png", "best"
N, SEED = 2500, 0  # of every score of this file: the same noise and the same real examples
SHORTEST = 0.1  # passes over the data below which a run's end is not scored
PATIENCE = 5  # scores in a row without a better one, after which `--stop auto` ends a run


class Scorer:
    """Scores one run: `watch` every record of the loop, `close` when the run has ended.

    Args:
        config, path: of the run.
        control: of the loop; `control.enough` is set if no better score came for long enough.
        data, validation: data sets in place of those that the config names.
        live: whether the curve is drawn after every score; otherwise `draw` draws it.
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
        self.data, self.held_out = data, validation
        self.real: Real | None = None  # one for all scores, whose floors are the same
        self.records: list[dict[str, Any]] = []
        self.newest: tuple[Score, ...] = ()  # made at the newest record
        self.trained = False
        # another rank may see another folder, or none: the loop gives it the leader's answer
        leads = distributed.from_environment().is_main_process
        known = store.curve(self.run) if leads and self.run.exists() else []
        if stale(known, self.output.patience):
            control.enough = self.run.info().get("status") == "finished"

    def validation(self) -> Dataset:
        """The validation part; DataError if it is too small, UsageError if there is none."""
        self.held_out = checks.validation_part(self.config, self.data, self.held_out)
        return self.held_out

    def watch(self, t: Trainer, progress: Progress) -> Progress:
        """Score the run if a score is due; the record, with what is worth reading in its note."""
        resumed, step, self.newest = not self.trained, t.state.step, ()
        self.trained |= not progress.finished_before
        if not self.output.score_every or not t.world.is_main_process:
            return progress
        if resumed or self.last > step:  # begun, resumed, or rolled back
            self.cut(step)
        near = t.steps - step < t.min_gap  # the end is scored anyway
        due = 0 < step != self.last and t.is_due(self.output.score_every)
        if progress.done or near or not due:
            return progress
        return progress.noted(self.add(t))

    @property
    def last(self) -> int:
        """The newest step that has a score, -1 without any."""
        return int(self.records[-1]["step"]) if self.records else -1

    def cut(self, step: int) -> None:
        """Forget the scores after `step`: those steps are trained, and scored, again."""
        self.records = store.cut_curve(self.run, step)
        if trainer.best(self.run)["step"] > step:
            (self.run.checkpoints / trainer.BEST).unlink(missing_ok=True)

    def evaluate(self, t: Trainer) -> list[Score]:
        """The quick metrics of the sampler as it is."""
        with self.control.may_be_interrupted():
            real = self.real = self.real or Real(t.data, self.validation())
            return evaluate.evaluate(t.sampler(), real, n=N, metrics=evaluate.QUICK, seed=SEED)

    def add(self, t: Trainer) -> str:
        """Score the run as it is, and save its model if it is the best so far; a line about it.

        A score that cannot be made or written is named in that line: training goes on.
        """
        with t.clock.phase("score"):
            try:
                scores = self.evaluate(t)
                frechet = next((s for s in scores if s.name == "frechet"), None)
                if frechet is None:
                    raise DataError("too few held-out pictures for a Frechet distance")
                better = self.save_best(t, frechet)
                self.records.append(record(t, frechet, scores))
                store.add_record(self.run, self.records[-1])
                self.newest = tuple(scores)
                if self.live:
                    self.draw()
            except GanforgeError as error:
                return f"not scored: {error}"
            except Interrupted:
                return "not scored: stopped"
        line = (
            f"score at epoch {t.epoch:.2f}: FD[{frechet.space}] {frechet.value:.4g}, floor "
            f"{frechet.floor:.4g} (N {frechet.n:,}, {frechet.split})"
        )
        over = stale(self.records, self.output.patience)
        self.control.enough |= bool(over)
        return "; ".join(filter(None, (line, "the best so far" if better else "", over)))

    def draw(self) -> None:
        """The curve of the scores so far, if there are any."""
        if self.records:
            files.save_file(self.run.path / PICTURE, curve(self.records))

    def save_best(self, t: Trainer, frechet: Score) -> bool:
        """Save the model of this step if its Frechet distance is the lowest so far."""
        step, folder = t.state.step, self.run.checkpoints
        best = trainer.best(self.run)
        if best["step"] == step:
            return True
        saved = (folder / checkpoint.folder_name(step)).is_dir()  # not on a full disk
        if not saved or not frechet.value < best["frechet"]:
            return False
        facts = t.model_facts() | {"frechet": frechet.value}
        model.save(self.run.path / BEST_MODEL, t.sampler(), t.config, facts)
        score = {"frechet": frechet.value, "split": "validation", "n": frechet.n, "seed": SEED}
        files.write_json(folder / trainer.BEST, {"step": step, **score})
        return True

    def close(self, t: Trainer) -> tuple[tuple[Score, ...], str]:
        """The scores of a run that has come to its end, or why there are none.

        They are saved in scores.json. A run that was finished before is not scored again.
        """
        ended = t.state.step >= t.steps or self.control.enough
        if not (t.world.is_main_process and ended and self.output.score):
            return (), ""
        try:
            scores = store.of_step(self.run, t.state.step, N, SEED)
            if scores or not self.trained:
                return tuple(scores), ""
            if t.epoch < SHORTEST:
                return (), f"not scored: {t.epoch:.2g} passes over the data are too few"
            if self.output.score_every:
                note = self.add(t) if self.last != t.state.step else ""
                if self.last != t.state.step:
                    return (), note
                scores = store.cards(self.records[-1])
            else:
                scores = self.evaluate(t)
            real = Real(t.data, self.validation())
            store.add(self.run.path / store.SCORES, scores, real, step=t.state.step)
        except (GanforgeError, Interrupted) as error:
            words = ["ganforge", "evaluate", str(self.run.path)]
            stopped = f"stopped; `{command_line(words)}` does it"
            return (), f"not scored: {stopped if isinstance(error, Interrupted) else error}"
        return tuple(scores), ""


def record(t: Trainer, frechet: Score, scores: Sequence[Score]) -> dict[str, Any]:
    """A line of scores.jsonl: the position of the run, its Frechet distance, and every score."""
    return {
        "step": t.state.step,
        "epoch": t.epoch,
        "samples_seen": t.samples_seen,
        "seconds": t.clock.seconds,
        "frechet": frechet.value if math.isfinite(frechet.value) else None,
        "floor": frechet.floor,
        "scores": [s.to_json() for s in scores],
    }


def stale(records: Sequence[Mapping[str, Any]], patience: float) -> str:
    """Why a run need not go on, in words; empty if it should.

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
    return style.png(curves.scores(records))


def end_rule(every: float | None, before: float) -> tuple[float, float]:
    """(score_every, patience) of `--stop auto`: a score an epoch by default, five to wait.

    Args:
        every: as given, None if it was not.
        before: the config's score_every.

    Raises:
        UsageError: `every` is 0.
    """
    chosen = (before or 1.0) if every is None else every
    if not chosen:
        raise UsageError("--stop auto needs scores to stop by: --every 1 makes one an epoch")
    return chosen, PATIENCE * chosen
