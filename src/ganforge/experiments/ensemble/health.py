"""Diagnosis of many seeds while they train: a line for each code, with the first seed that has it.

All seeds share the time that one run may take for its diagnosis, and take turns.
"""

from __future__ import annotations

from ganforge.callbacks.diagnose import Budget, DiagnoseCallback
from ganforge.experiments.ensemble.train import EnsembleTrainer


class Health:
    """Diagnoses a group: `look` after every record.

    Args:
        group: seeds that train together.
        budget: of all of them.
    """

    def __init__(self, group: EnsembleTrainer, budget: Budget):
        self.budget = budget
        self.callbacks = [DiagnoseCallback(t.config, t.run.path, budget) for t in group.members]
        self.turn = 0

    def look(self, group: EnsembleTrainer) -> list[str]:
        """New findings, a line for each: from the log of every seed, from samples of one seed."""
        lines = []
        with group.clock.phase("diagnose"):
            for i in group.live:
                t, callback = group.members[i], self.callbacks[i]
                if callback.add_record(t.progress()) and self.budget.allows(group.clock.seconds):
                    with self.budget.spending():
                        found = callback.check_log(t)
                    lines += [f"seed {t.config.seed}: {line}" for line in found]
            if group.live and self.budget.allows_samples(group.lead, group.clock.seconds):
                i = group.live[self.turn % len(group.live)]
                t, self.turn = group.member(i), self.turn + 1
                found = self.callbacks[i].check_samples(t)
                lines += [f"seed {t.config.seed}: {line}" for line in found]
        return lines
