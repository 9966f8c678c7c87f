"""The progress of many seeds as one record, as a single run reports it."""

from __future__ import annotations

from ganforge.experiments.ensemble.train import EnsembleTrainer
from ganforge.experiments.plan import Plan
from ganforge.runs.records import Progress

MEDIANS = ("loss_d", "loss_g", "d_real", "d_fake")  # reported as the median over the members


class AggregateProgress:
    """Progress of all seeds of a plan: steps, examples and images per second are sums over seeds.

    A seed that has ended counts with the steps it has, a seed not begun with none yet.
    """

    def __init__(self, plan: Plan):
        self.plan = plan
        self.seconds = plan.seconds()
        self.steps = {seed: int(plan.run(seed).info().get("step", 0)) for seed in plan.seeds}
        self.ended = {seed for seed in plan.seeds if not plan.pending(seed)}
        self.speed = 0.0
        self.medians: dict[str, float] = {}

    def update(self, group: EnsembleTrainer) -> None:
        """Read a group's steps, seconds, speed and losses."""
        live = [group.members[i] for i in group.live]
        named, trained = group.ensemble.seeds, {t.config.seed for t in live}
        self.steps |= dict.fromkeys(trained, group.state.step)
        self.ended |= {*named} - trained
        self.seconds[named] = group.clock.seconds
        self.speed = group.progress().images_per_second * len(live)
        columns = {name: sorted(t.means[name] for t in live if name in t.means) for name in MEDIANS}
        self.medians = {n: values[len(values) // 2] for n, values in columns.items() if values}

    def record(
        self, group: EnsembleTrainer | None = None, note: str = "", done: bool = False
    ) -> Progress:
        """The record of all seeds, after an update by `group`."""
        if group is not None:
            self.update(group)
        plan, step = self.plan, sum(self.steps.values())
        steps = sum(self.steps[s] if s in self.ended else plan.steps for s in plan.seeds)
        images = step * plan.config.batch * plan.config.game.d_steps
        return Progress(
            step, steps, images, images / (len(plan.data) * len(plan.seeds)),
            sum(self.seconds.values()), self.speed, means=self.medians, note=note, done=done,
            unit=plan.data.spec.unit,
        )  # fmt: skip
