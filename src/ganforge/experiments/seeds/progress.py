"""The progress of many seeds as one record, as a single run reports its own."""

from __future__ import annotations

from typing import Any

from ganforge.experiments.ensemble.train import EnsembleTrainer
from ganforge.experiments.seeds.plan import Plan
from ganforge.runs.records import Progress

MEDIANS = ("loss_d", "loss_g", "d_real", "d_fake")  # reported as the median over the members


class AggregateProgress:
    """Progress of all seeds of a plan: steps, examples and images per second are sums over seeds.

    A seed that has ended counts with the steps it has, a seed not begun with none yet.
    """

    def __init__(self, plan: Plan):
        self.plan = plan
        self.images_a_step = plan.config.batch * int(plan.config.game.d_steps)
        self.seconds = plan.seconds()
        self.steps = {
            seed: int(run.info().get("step", 0)) if run.exists() else 0
            for seed, run in zip(plan.seeds, plan.runs, strict=True)
        }
        self.ended = {seed for seed in plan.seeds if not plan.pending(seed)}
        self.speed = 0.0
        self.medians: dict[str, Any] = {}

    def close(self, group: EnsembleTrainer) -> None:
        """Add a group that has ended."""
        self.update(group)
        named = (t.config.seed for t in group.members)
        self.ended |= {seed for seed in named if not self.plan.pending(seed)}

    def update(self, group: EnsembleTrainer) -> None:
        """Read a group's steps, seconds, speed and losses."""
        live = [group.members[i] for i in group.live]
        named = tuple(t.config.seed for t in group.members)
        trained = {t.config.seed for t in live}
        self.steps |= dict.fromkeys(trained, group.state.step)
        self.ended |= set(named) - trained
        self.seconds[named] = group.clock.seconds
        self.speed = group.speed * len(live)
        columns = {n: sorted(t.means[n] for t in live if n in t.means) for n in MEDIANS}
        self.medians = {n: values[len(values) // 2] for n, values in columns.items() if values}

    def record(
        self, group: EnsembleTrainer | None = None, note: str = "", done: bool = False
    ) -> Progress:
        """The record of all seeds, after an update by `group`."""
        if group is not None:
            self.update(group)
        step = sum(self.steps.values())
        steps = sum(self.steps[s] if s in self.ended else self.plan.steps for s in self.plan.seeds)
        images = step * self.images_a_step
        return Progress(
            step, steps, images, images / (len(self.plan.data) * len(self.plan.seeds)),
            sum(self.seconds.values()), self.speed, means=self.medians, note=note, done=done,
        )  # fmt: skip
