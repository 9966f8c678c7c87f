"""Diagnosis of many seeds while they train: a line for each code, the moment a seed first has it.

All seeds share the time that one run may take for it, and take turns.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from ganforge.callbacks.diagnose import FIRST, SHARE, SHORTEST, Watcher
from ganforge.data.dataset import Dataset
from ganforge.experiments.ensemble.train import EnsembleTrainer


class Health:
    """Watches a group: `look` after every record.

    held: gives the examples held out of training, or raises the reason why there are none.
    """

    def __init__(self, group: EnsembleTrainer, held: Callable[[], Dataset]):
        self.watchers = [
            Watcher(t.config, t.run.path, held, t.data.spec.classes) for t in group.members
        ]
        for watcher in self.watchers:
            watcher.told = self.watchers[0].told  # once for each code, whichever seed has it
        self.spent, self.last, self.turn = 0.0, FIRST, 0

    def look(self, group: EnsembleTrainer) -> list[str]:
        """What is new: the checks of the log for every seed, of samples for one of them."""
        began = time.perf_counter()
        lines = []
        for i in group.live:
            watcher = self.watchers[i]
            if watcher.hear(group.members[i].progress()) and self.allowed(group):
                at = time.perf_counter()
                found = watcher.tell(watcher.by_log())
                lines += [f"seed {group.members[i].config.seed}: {line}" for line in found]
                self.spent += time.perf_counter() - at
        if group.live and group.lead.epoch >= SHORTEST and self.allowed(group, self.last):
            at = time.perf_counter()
            lines += self.samples(group, group.live[self.turn % len(group.live)])
            self.turn += 1
            self.last = time.perf_counter() - at
            self.spent += self.last
        took = time.perf_counter() - began
        group.clock.timing["diagnose"] = group.clock.timing.get("diagnose", 0.0) + took
        return lines

    def allowed(self, group: EnsembleTrainer, more: float = 0.0) -> bool:
        """Whether there is time for it."""
        return self.spent + more <= SHARE * group.clock.seconds

    def samples(self, group: EnsembleTrainer, index: int) -> list[str]:
        """The checks of a few samples of one seed; what is known of the data is shared."""
        watcher, first = self.watchers[index], self.watchers[0]
        watcher.patient = first.patient
        t = group.member(index)
        found = watcher.tell(watcher.by_samples(t))
        first.patient = watcher.patient
        return [f"seed {t.config.seed}: {line}" for line in found]
