"""The result of a comparison: scored runs by recipe, their ranking and their paired tests."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

from ganforge.evaluation import evaluate
from ganforge.evaluation.score import Score
from ganforge.experiments import statistics
from ganforge.experiments.statistics import Summary, Test

SEED = 0  # of every score: the same noise, the same real examples
EQUAL = 0.01  # relative difference up to which two budgets are called equal


@dataclass(frozen=True)
class Scoring:
    """How every run is scored, the same for all.

    metrics: keys of `METRICS`. n, split, space: see `evaluate.evaluate`.
    """

    metrics: tuple[str, ...] = ("frechet",)
    n: int = evaluate.N
    split: str = "test"
    space: str | None = None

    def __post_init__(self) -> None:
        evaluate.check_request(self.n, self.metrics, self.space, self.split)


@dataclass(frozen=True)
class Entry:
    """One run: its folder, its budget, and the scores of its model by metric.

    images: real ones that D saw, `step_images` of them per step. seconds: of training. epoch: of
    the model that is scored. diverged: the run has no scores. stacked: the number of runs trained
    in one group, whose seconds are those of the group; 0 for a run trained by itself.
    """

    path: Path
    seed: int
    images: int
    step_images: int
    seconds: float
    epoch: float
    diverged: bool = False
    stacked: int = 0
    scores: Mapping[str, Score] = field(default_factory=dict)


@dataclass(frozen=True)
class Group:
    """The runs of one recipe or variant, by seed."""

    label: str
    entries: tuple[Entry, ...]

    def scores(self, metric: str) -> dict[int, Score]:
        """The metric's score by seed, {} if the metric does not fit this recipe."""
        return {e.seed: e.scores[metric] for e in self.entries if metric in e.scores}

    def values(self, metric: str) -> dict[int, float]:
        """The metric's value by seed."""
        return {seed: s.value for seed, s in self.scores(metric).items()}

    def gaps(self, metric: str) -> dict[int, float]:
        """What ranks, by seed: the value, or its distance from the floor if the floor is best."""
        return {
            seed: abs(s.value - s.floor) if s.better == "floor" else s.value
            for seed, s in self.scores(metric).items()
        }


@dataclass(frozen=True)
class Comparison:
    """The runs that were compared; all scores have the same data, split, N, seed and space.

    scoring: with the N that the data allow, and the space. note: how N was reduced, if it was.
    model: "best" if the checkpoint of every run was chosen on the validation split, else "last".
    """

    groups: tuple[Group, ...]
    scoring: Scoring
    data: str
    data_sha256: str
    model: str
    seed: int = SEED
    note: str = ""

    def ranked(self, metric: str) -> list[tuple[Group, Summary]]:
        """The groups that have the metric, best first, each with the summary of its values."""
        sign = -1.0 if self.card(metric).better == "higher" else 1.0

        def rank(group: Group) -> float:
            mean = statistics.summarise(group.gaps(metric).values()).mean
            return math.inf if math.isnan(mean) else sign * mean

        known = sorted((group for group in self.groups if group.scores(metric)), key=rank)
        return [(group, statistics.summarise(group.values(metric).values())) for group in known]

    def tests(self, metric: str) -> list[Test]:
        """The paired tests of every two groups of `ranked`, the better one first."""
        pairs = combinations([group for group, _ in self.ranked(metric)], 2)
        return statistics.holm_adjusted(
            [statistics.compare(a.label, b.label, a.gaps(metric), b.gaps(metric)) for a, b in pairs]
        )

    def card(self, metric: str) -> Score:
        """Any score of a metric, for the fields that all of them share."""
        return next(e.scores[metric] for e in self.entries if metric in e.scores)

    @property
    def entries(self) -> list[Entry]:
        return [entry for group in self.groups for entry in group.entries]

    @property
    def equal_images(self) -> bool:
        """Whether every run saw equally many images, up to 1 % or one step."""
        images = [e.images for e in self.entries]
        apart = max(images) - min(images)
        return apart <= max(EQUAL * max(images), *(e.step_images for e in self.entries))
