"""Many seeds in one set of tensors, trained by the ordinary loop: a trainer whose state is stacked.

Every member has a `Trainer` whose state is a view of the ensemble's, so that its checkpoints,
samples, model and log are written by what writes those of a single run.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ganforge.callbacks.evaluate import Scorer
from ganforge.data.batches import Batches
from ganforge.errors import (
    DiskError,
    DivergedError,
    GanforgeError,
    OutOfMemoryError,
    lacks_memory,
)
from ganforge.experiments.ensemble import stack as stacked
from ganforge.experiments.ensemble.stack import Ensemble
from ganforge.experiments.seeds.plan import Plan, common_step
from ganforge.gan import step
from ganforge.gan.state import State
from ganforge.runs import checkpoint, folder
from ganforge.runs.records import Control, Progress
from ganforge.training import divergence, loop, openmp, restore
from ganforge.training.clock import Clock
from ganforge.training.distributed import ALONE, World
from ganforge.training.trainer import Trainer

FLUSH_SECONDS = 5.0  # between two writes of all logs


class EnsembleTrainer:
    """The members of an ensemble in progress; `loop.play` trains them as it trains one run.

    Args:
        ensemble: the games.
        members: a trainer for each.
        live: the indices of those that are trained; the others are inactive.
        control: of the session; a signal keeps members from their last score.
        controls: for each, whether its scores say that it is finished.

    Attributes:
        scorers: one for each member, if there are scores on the way.
        totals, counted: sums of what the steps of the current interval log, (M,), their number.
        notes: lines to show, until `note` has returned them.
        fallen: why each seed that diverged did.
    """

    def __init__(
        self, ensemble: Ensemble, members: list[Trainer], live: list[int], control: Control
    ):
        self.ensemble, self.members, self.live, self.control = ensemble, members, live, control
        self.controls = [Control() for _ in members]
        self.scorers: list[Scorer] = []
        self.totals: dict[str, Tensor] = {}
        self.counted = 0
        self.clock = Clock(max((t.clock.seconds for t in members), default=0.0))
        self.speed = 0.0
        self.notes: list[str] = []
        self.fallen: dict[int, str] = {}
        self.flushed = time.perf_counter()
        self.disk = ""

    @property
    def lead(self) -> Trainer:
        """The run whose step, budget and output settings are everyone's."""
        return self.members[0]

    @property
    def config(self) -> Any:
        """Settings of all members but for the seed."""
        return self.lead.config

    @property
    def resolved(self) -> Any:
        """What `auto` means for all members."""
        return self.lead.resolved

    @property
    def state(self) -> State:
        """The stacked state."""
        return self.ensemble.state

    @property
    def steps(self) -> int:
        """The budget of each; the steps made so far once nobody is trained any more."""
        return self.lead.steps if self.live else self.state.step

    @property
    def world(self) -> World:
        """One process."""
        return ALONE

    @property
    def min_gap(self) -> int:
        """Steps between two grids or two checkpoints, at least."""
        return self.lead.min_gap

    @property
    def samples_seen(self) -> int:
        """Real examples that one member has seen."""
        return self.state.step * self.lead.images_a_step

    @property
    def epoch(self) -> float:
        """Passes over the data of one member."""
        return self.samples_seen / len(self.lead.data)

    def is_due(self, epochs: float) -> bool:
        """Whether this step completes another `epochs` passes."""
        return epochs > 0 and self.state.step % self.lead.interval(epochs) == 0

    def note(self) -> str:
        """What is new, once."""
        notes, self.notes = self.notes, []
        return "; ".join(dict.fromkeys(notes))

    def step(self) -> None:
        """One step of all games; what they log is added up."""
        try:
            log = self.ensemble.step()
        except (RuntimeError, MemoryError) as error:
            if lacks_memory(error):
                half = max(1, len(self.members) // 2)
                raise OutOfMemoryError(
                    f"{self.resolved.device} cannot hold {len(self.members)} games: give "
                    f"--at-once {half}"
                ) from None
            raise
        self.totals = step.sum_logs(self.totals, log)
        self.counted += 1

    def member(self, index: int) -> Trainer:
        """A member's trainer with everything it has of the ensemble, ready to be written."""
        t = self.members[index]
        t.state = self.ensemble.member(index)
        t.totals = {name: value[index] for name, value in self.totals.items()}
        t.counted, t.clock = self.counted, self.clock
        return t

    def check(self) -> str:
        """Members that have diverged are trained no more; the others go on."""
        zeros = torch.zeros(len(self.members))
        columns = [v for name, v in self.totals.items() if name.startswith("skipped")]
        skipped = sum(columns, zeros).tolist()
        finite = self.ensemble.finite().tolist()
        for i in list(self.live):
            t = self.members[i]
            count = t.skipped + int(skipped[i])
            if divergence.has_diverged(t.config.game, self.state.step, count, finite[i]):
                self.close_diverged(i)
        return ""

    def close_diverged(self, index: int) -> None:
        """A member's folder says that it diverged and keeps its last checkpoint."""
        t = self.member(index)
        config = t.config
        try:  # a rollback is for the member alone, see `experiments.seeds`
            t.config = replace(config, on_nan="stop")
            divergence.check(t)
        except DivergedError as error:
            self.fallen[config.seed] = str(error)
            self.notes.append(f"seed {config.seed} {str(error).split('. Try')[0]}")
        finally:
            t.config = config
        self.deactivate(index, "diverged")

    def deactivate(self, index: int, status: str) -> None:
        """A member is trained no more."""
        self.flush([index])
        self.draw_scores(index)
        self.members[index].run.write_info(status=status)
        self.live.remove(index)
        self.ensemble.deactivate(index)

    def log(self) -> None:
        """Means since the last record, one record a member; written now and then."""
        names = list(self.totals)
        columns = torch.stack([self.totals[n].double() for n in names]).T.tolist()
        self.speed = self.clock.speed(self.samples_seen)
        for i in self.live:
            t = self.members[i]
            t.state.step, t.clock = self.state.step, self.clock
            t.end_interval(dict(zip(names, columns[i], strict=True)), self.counted, self.speed)
        self.totals, self.counted = {}, 0
        if time.perf_counter() - self.flushed > FLUSH_SECONDS:
            self.flush(self.live)
            self.flushed = time.perf_counter()

    def flush(self, which: Sequence[int]) -> None:
        """Write pending records; a full disk keeps them pending."""
        for i in which:
            t = self.members[i]
            t.disk = ""
            t.write_log()
            if t.disk:
                self.notes.append(f"{t.disk}; training goes on")

    def save_samples(self) -> Path | None:
        """Everyone's samples from its fixed noise."""
        for i in self.live:
            self.member(i).save_samples()
        return None

    def save(self) -> Path | None:
        """Everyone's log, checkpoint and model."""
        self.flush(self.live)
        path = None
        for i in self.live:
            t = self.member(i)
            path = t.save()
            if t.disk:
                self.notes.append(f"{t.disk}; training goes on")
        return path

    def progress(self, **more: Any) -> Progress:
        """Where one member stands."""
        position = (self.state.step, self.steps, self.samples_seen, self.epoch)
        return Progress(*position, self.clock.seconds, self.speed, **more)

    def score(self, control: Control) -> None:
        """Score everyone if that is due; members that have reached their goal are finished.

        A signal leaves those that are still to come to the session that continues.
        """
        with self.clock.left_out():
            for i in list(self.live) if self.scorers else ():
                if control.stop:
                    break
                t = self.member(i)
                note = self.scorers[i].watch(t, t.progress()).note
                if note and len(self.live) == 1:
                    self.notes.append(note)
                if self.controls[i].enough:
                    t.finish(enough=True)
                    self.scorers[i].close(t)
                    self.deactivate(i, "finished")
                    self.notes.append(
                        f"seed {t.config.seed} is finished: no better score for long enough"
                    )

    def finish(self, enough: bool = False) -> Progress:
        """Everyone's last checkpoint, status and score; the first fault is raised at the end.

        A member is scored before the next one is finished: a kill in between loses no score of
        those that count as finished.
        """
        faults: list[GanforgeError] = []
        self.flush(self.live)
        for i in list(self.live):
            try:
                self.member(i).finish(enough)
                self.score_last_step(i)
            except DivergedError:
                self.close_diverged(i)
            except DiskError as error:
                faults.append(error)
        if faults:
            raise faults[0]
        return self.progress(done=True)

    def score_last_step(self, index: int) -> None:
        """Score a member at its last step, as a single run is; a signal leaves it unfinished."""
        t = self.members[index]
        if not self.scorers or t.state.step < t.steps:
            return
        if self.control.stop:
            t.run.write_info(status="stopped")
            return
        with self.clock.left_out():
            self.scorers[index].watch(t, t.progress())  # scores of steps that were lost are cut
            unscored = self.scorers[index].close(t)[1]
            if unscored:
                self.notes.append(f"seed {t.config.seed}: {unscored}")
            self.draw_scores(index)

    def draw_scores(self, index: int) -> None:
        """The curve of a member that has ended; after every score it would take too long."""
        try:
            for scorer in self.scorers[index : index + 1]:
                scorer.draw()
        except DiskError as error:
            self.notes.append(str(error))


def begin(
    context: ExitStack, plan: Plan, seeds: tuple[int, ...], control: Control
) -> EnsembleTrainer:
    """The ensemble of some seeds at the step where it stands, its folders made and locked."""
    torch.set_num_threads(plan.resolved.threads)
    live = [i for i, seed in enumerate(seeds) if plan.pending(seed)]
    before = {}
    for i in live:
        run = plan.run(seeds[i])
        before[i] = folder.last_known(run) if run.exists() else {}
        loop.claim_run_folder(context, run, plan.config_of(seeds[i]), control.take_over)
    step = common_step(plan, [seeds[i] for i in live])
    for i in live:
        checkpoint.drop_after(plan.run(seeds[i]).checkpoints, step or 0)
        folder.prepare(plan.run(seeds[i]).path, plan.config_of(seeds[i]))

    ensemble = stacked.build(
        plan.config, seeds, plan.data, plan.resolved.precision, plan.resolved.device
    )
    resolved = replace(plan.resolved, stacked=len(seeds))
    batches = Batches(plan.data, device=torch.device("cpu"), seed=0)  # nobody reads from it
    context.callback(batches.close)
    members = [
        Trainer(
            plan.config_of(seed), plan.data, plan.run(seed), resolved, ensemble.member(i),
            batches=batches, inputs=ensemble.sources[i],
        )
        for i, seed in enumerate(seeds)
    ]  # fmt: skip
    notes = openmp.switch_off()
    for i in live:
        t = members[i]
        notes += restore.resume(t)[1] + restore.same_machine(t, before[i])
        t.exact = t.exact and seeds[i] not in plan.moved
        ensemble.sync_step_counts(i, t.state.step)
    for i in set(range(len(seeds))) - set(live):
        ensemble.deactivate(i)

    trainer = EnsembleTrainer(ensemble, members, live, control)
    trainer.notes += notes
    first = members[live[0]]
    trainer.counted = first.counted
    for name, value in first.totals.items():  # of an interval that a save has cut in two
        each = [t.totals.get(name, torch.zeros_like(value)) for t in members]
        trainer.totals[name] = torch.stack(each)
    for i in live:
        members[i].run.write_info(**members[i].facts("running"))
    return trainer
