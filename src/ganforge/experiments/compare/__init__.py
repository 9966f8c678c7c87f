"""Which is better? Compare finished runs, or recipes trained for it, over seeds by paired tests.

    found = gf.compare(recipes=["cdcgan", "cdcgan:game.loss=hinge"], seeds=range(5), epochs=2)
    print(gf.compare.text(found))
    found = gf.compare("runs/a", "runs/b")

Rules of a fair comparison: five seeds support a claim, the budget is equal, the checkpoint of a run
is chosen on the validation split and scored once on the test split, every run is shown.
"""

from ganforge.experiments.compare.budget import Budget
from ganforge.experiments.compare.comparison import Comparison, Entry, Group, Scoring
from ganforge.experiments.compare.jobs import Job, train_missing
from ganforge.experiments.compare.recipes import of_recipes
from ganforge.experiments.compare.runs import of_runs
from ganforge.experiments.compare.show import chart, save, text
from ganforge.experiments.seeds import StoppedError
from ganforge.experiments.statistics import Summary, Test

__all__ = [
    "Budget", "Comparison", "Entry", "Group", "Job", "Scoring", "StoppedError", "Summary", "Test",
    "chart", "of_recipes", "of_runs", "save", "text", "train_missing",
]  # fmt: skip
