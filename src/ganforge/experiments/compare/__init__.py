"""Which is better? Finished runs, or recipes trained for it, over seeds with paired tests.

    from ganforge import compare

    found = compare.of_recipes(["cdcgan", "cdcgan:game.loss=hinge"], range(5), "runs/losses")
    print(compare.text(found))
    found = compare.of_runs(["runs/a", "runs/b"])

What may be said of it: five seeds make a claim, the budget is equal, the checkpoint of a run is
chosen on the validation split and scored once on the test split, every run is shown.
"""

from ganforge.experiments.compare.judged import Comparison, Entry, Group, Scoring, of_runs
from ganforge.experiments.compare.plan import Budget, StoppedError, train_missing
from ganforge.experiments.compare.show import chart, save, text
from ganforge.experiments.compare.study import of_recipes
from ganforge.experiments.ensemble.compare import Job
from ganforge.experiments.statistics import Summary, Test

__all__ = [
    "Budget", "Comparison", "Entry", "Group", "Job", "Scoring", "StoppedError", "Summary", "Test",
    "chart", "of_recipes", "of_runs", "save", "text", "train_missing",
]  # fmt: skip
