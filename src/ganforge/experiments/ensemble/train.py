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

import torch

from ganforge.callbacks.diagnose import Budget, DiagnoseCallback
from ganforge.callbacks.evaluate import Scorer
from ganforge.data.batches import Batches
from ganforge.errors import (
    DiskError,
    DivergedError,
    GanforgeError,
    OutOfMemoryError,
    lacks_memory,
)
from ganforge.experiments.ensemble.stack import Ensemble
from ganforge.experiments.plan import Plan, common_step
from ganforge.gan import step
from ganforge.runs import checkpoint, folder
from ganforge.runs.records import Control, Progress
from ganforge.training import divergence, loop, openmp, restore
from ganforge.training.clock import Clock
from ganforge.training.trainer import Trainer

FLUSH_SECONDS = 5.0  # between two writes of all logs


class EnsembleTrainer(Trainer):
    """The members of an ensemble in progress; `loop.play` trains them as it trains one run.

    Its step, budget, settings and counts are those of each member.

    Args:
        ensemble: the games.
        members: a trainer for each.
        live: the indices of those that are trained; the others are inactive.
        control: of the session; after a signal no member is scored.
        budget: of the diagnosis of all members, which is that of one run; they take turns.

    Attributes:
        scorers: one for each member, if there are scores on the way.
        totals, counted: sums of what the steps of the current interval log, (M,), their number.
        notes: lines to show, until `note` has returned them.
        fallen: why each seed that diverged did.
    """

    def __init__(
        self,
        ensemble: Ensemble,
        members: list[Trainer],
        live: list[int],
        control: Control,
        budget: Budget,
    ):
        lead = members[0]
        super().__init__(
            lead.config, lead.data, lead.run, lead.resolved, ensemble.state,
            batches=lead.batches, inputs=lead.inputs,
        )  # fmt: skip
        self.ensemble, self.members, self.live, self.control = ensemble, members, live, control
        self.clock = Clock(max(t.clock.seconds for t in members))
        self.scorers: list[Scorer] = []
        self.budget, self.turn = budget, 0
        self.diagnoses = [DiagnoseCallback(t.config, t.run.path, budget) for t in members]
        self.notes: list[str] = []
        self.fallen: dict[int, str] = {}
        self.flushed = time.perf_counter()

    def note(self) -> str:
        """What is new, once."""
        notes, self.notes = self.notes, []
        return "; ".join(dict.fromkeys(notes))

    def step(self) -> None:
        """One step of all games; what they log is added up."""
        try:
            log = self.ensemble.step()
        except (RuntimeError, MemoryError) as error:
            if not lacks_memory(error):
                raise
            raise OutOfMemoryError(
                f"{self.resolved.device} cannot hold {len(self.members)} games: give --at-once "
                f"{max(1, len(self.members) // 2)}"
            ) from None
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
        """Members that have diverged are trained no more; the others continue."""
        columns = [v for name, v in self.totals.items() if name.startswith("skipped")]
        skipped = torch.stack(columns).sum(0).tolist()
        finite = self.ensemble.finite().tolist()
        for i in list(self.live):
            count = self.members[i].skipped + int(skipped[i])
            if divergence.has_diverged(self.config.game, self.state.step, count, finite[i]):
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
        t.config = config
        self.deactivate(index, "diverged")

    def deactivate(self, index: int, status: str) -> None:
        """A member is trained no more; the budget ends here if it was the last one."""
        self.flush([index])
        self.draw_scores(index)
        self.members[index].run.write_info(status=status)
        self.live.remove(index)
        self.ensemble.deactivate(index)
        if not self.live:
            self.steps = self.state.step

    def log(self) -> None:
        """Means since the last record, one record a member; written now and then."""
        columns = torch.stack([total.double() for total in self.totals.values()]).T.tolist()
        speed = self.clock.speed(self.samples_seen)
        self.means = {"images_per_second": speed}
        for i in self.live:
            t = self.members[i]
            t.state.step, t.clock = self.state.step, self.clock
            t.end_interval(dict(zip(self.totals, columns[i], strict=True)), self.counted, speed)
        self.totals, self.counted = {}, 0
        if time.perf_counter() - self.flushed > FLUSH_SECONDS:
            self.flush(self.live)
            self.flushed = time.perf_counter()

    def note_disk(self, t: Trainer) -> None:
        """Note why the disk refused what a member has just written, if it did."""
        if t.disk:
            self.notes.append(f"{t.disk}; training goes on")

    def flush(self, which: Sequence[int]) -> None:
        """Write pending records; a full disk keeps them pending."""
        for i in which:
            t = self.members[i]
            t.disk = ""
            t.write_log()
            self.note_disk(t)

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
            self.note_disk(t)
        return path

    def score(self) -> None:
        """Score everyone if that is due; members that have reached their goal are finished.

        A signal leaves those that are still to come to the session that continues.
        """
        with self.clock.left_out():
            for i in list(self.live) if self.scorers else ():
                if self.control.stop:
                    break
                t, scorer = self.member(i), self.scorers[i]
                note = scorer.watch(t, t.progress()).note
                if note and len(self.live) == 1:
                    self.notes.append(note)
                if scorer.control.enough:
                    t.finish(enough=True)
                    scorer.close(t)
                    self.deactivate(i, "finished")
                    self.notes.append(
                        f"seed {t.config.seed} is finished: no better score for long enough"
                    )

    def diagnose(self) -> None:
        """Note new findings, a line for each: from all logs, and from the samples of one member."""
        budget = self.budget

        def note(index: int, found: list[str]) -> None:
            self.notes += [f"seed {self.members[index].config.seed}: {line}" for line in found]

        with self.clock.phase("diagnose"):
            for i in self.live:
                t, callback = self.members[i], self.diagnoses[i]
                if callback.add_record(t.progress()) and budget.allows(self.clock.seconds):
                    with budget.spending():
                        note(i, callback.check_log(t))
            if self.live and budget.allows_samples(self, self.clock.seconds):
                i = self.live[self.turn % len(self.live)]
                self.turn += 1
                note(i, self.diagnoses[i].check_samples(self.member(i)))

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
    configs, runs = [plan.config_of(seed) for seed in seeds], [plan.run(seed) for seed in seeds]
    before = {i: folder.last_known(runs[i]) for i in live}
    for i in live:
        loop.claim_run_folder(context, runs[i], configs[i], control.take_over)
    first_step = common_step([runs[i] for i in live])
    for i in live:
        checkpoint.drop_after(runs[i].checkpoints, first_step or 0)
        folder.prepare(runs[i].path, configs[i])

    resolved = replace(plan.resolved, stacked=len(seeds))
    ensemble = Ensemble(plan.config, seeds, plan.data, resolved.precision, resolved.device)
    batches = Batches(plan.data, device=torch.device("cpu"), seed=0)  # nobody reads from it
    context.callback(batches.close)
    members = [
        Trainer(
            config, plan.data, runs[i], resolved, ensemble.member(i),
            batches=batches, inputs=ensemble.sources[i],
        )
        for i, config in enumerate(configs)
    ]  # fmt: skip
    notes = openmp.switch_off()
    for i in live:
        t = members[i]
        notes += restore.resume(t)[1] + restore.same_machine(t, before[i])
        t.exact = t.exact and seeds[i] not in plan.moved
        ensemble.sync_step_counts(i, t.state.step)
    for i in set(range(len(seeds))) - set(live):
        ensemble.deactivate(i)

    trainer = EnsembleTrainer(ensemble, members, live, control, Budget(plan.validation_part))
    if plan.config.output.score_every:
        trainer.scorers = [
            Scorer(t.config, t.run.path, Control(), plan.data, plan.validation, live=False)
            for t in members
        ]
    trainer.notes += notes
    trainer.counted = members[live[0]].counted
    for name, value in members[live[0]].totals.items():  # of an interval that a save has cut in two
        each = [t.totals.get(name, torch.zeros_like(value)) for t in members]
        trainer.totals[name] = torch.stack(each)
    for i in live:
        runs[i].write_info(**members[i].facts("running"))
    return trainer
