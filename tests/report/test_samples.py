"""Pictures made for the page: samples of each label, and nearest training examples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from ganforge import recipes
from ganforge.data import load
from ganforge.data.dataset import Examples
from ganforge.data.spec import DataSpec
from ganforge.evaluation import evaluate
from ganforge.evaluation.inputs import Real
from ganforge.report import facts, samples
from ganforge.runs.folder import Run
from ganforge.sampling.sampler import Sampler
from tests.helpers.pages import decoded
from tests.helpers.tiny import pictures as noise


class Copier(Sampler):
    """A generator whose samples are given."""

    def __init__(self, values: np.ndarray[Any, Any], spec: DataSpec):
        super().__init__(nn.Identity(), spec, recipes.cdcgan().noise)
        self.values = values

    def generate(self, *args: Any, **options: Any) -> np.ndarray[Any, Any]:
        return self.values


def test_a_copy_is_shown_beside_its_original() -> None:
    train, validation = noise(400, seed=1), noise(200, seed=2)
    copies = train.values[7:127]
    found = samples.neighbours(
        Run(Path("none")), Copier(copies, train.spec), 1000, 120, lambda run: (train, validation)
    )
    assert found.authentic == 0 and found.floor > 0.2
    assert (found.searched, found.of, found.count, found.real) == (400, 400, 120, 120)
    assert found.size == 56  # pixels of the page: twice those of the picture
    for i, pair in enumerate(found.first):
        assert pair.ratio == 0 and pair.sample == pair.neighbour
        np.testing.assert_array_equal(decoded(pair.sample)[..., :1], train.values[7 + i])


def test_accuracies_are_read_from_the_metric_itself() -> None:
    """The note of label-accuracy is text: here it is made by the metric, not by hand."""
    train, test = load.load("mnist"), load.load("mnist", part="test")
    pick = np.flatnonzero(np.asarray(test.labels) != 4)[:300]
    labels = np.where(np.asarray(test.labels)[pick] == 3, 4, np.asarray(test.labels)[pick])
    fakes = Examples(np.asarray(test.values)[pick], labels)
    cards = evaluate.evaluate(fakes, Real(train, test), n=300, metrics=["label-accuracy"])
    entry = facts.Entry(0, "test", "", "", tuple(cards))
    each = samples.accuracies(entry, 10)
    assert each[4] == 0 and min(each[:3]) > 0.9 and len(each) == 10
    assert np.isnan(each[3])  # no sample of it
    assert samples.accuracies(entry, 9) == [] and samples.accuracies(None, 10) == []


def test_classes_beyond_the_shown_are_counted() -> None:
    class Flat:
        spec, class_names = DataSpec((1, 4, 4), 30), ()

        def sample(self, count: int, label: int, seed: int) -> np.ndarray[Any, Any]:
            return np.full((count, 4, 4, 1), label, np.uint8)

    rows = samples.class_rows(Flat(), [])  # type: ignore[arg-type]
    assert rows is not None and len(rows.rows) == 20 and rows.left_out == 10
    assert (decoded(rows.rows[7].image)[:4, :4, 0] == 7).all()
    assert rows.rows[0].accuracy is None
