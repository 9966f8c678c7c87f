"""The report's ranking: its claim is judged by its tests, and the command gives all it promises."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganforge import api, recipes
from ganforge.data import load
from ganforge.data.formats import idx
from ganforge.errors import UsageError
from ganforge.evaluation import evaluate
from ganforge.evaluation.score import Score
from ganforge.experiments.compare import Comparison, Entry, Group, Scoring, subject
from ganforge.reproduce import EXPERIMENTS, ranking
from tests.helpers.tiny import narrow


def compared(figures: Mapping[str, Sequence[float]]) -> Comparison:
    """Frechet distances by system and seed."""
    groups = []
    for label, values in figures.items():
        entries = []
        for seed, value in enumerate(values):
            card = Score("frechet", value, 1.0, 1.5, 100, "identity", "", 0, "test", "lower")
            entries.append(Entry(Path("r"), seed, 10, 1, 1.0, 1.0, scores={"frechet": card}))
        groups.append(Group(label, tuple(entries)))
    return Comparison(tuple(groups), Scoring(space="identity"), "mnist", "", "best")


LOW, MIDDLE, HIGH = (
    np.array([1.0, 1.2, 0.9, 1.1, 1.3]) + shift for shift in (0, 20, 40)
)  # fmt: skip
NOISY = np.array([3.0, 60.0, 10.0, 35.0, 20.0])


@pytest.mark.parametrize(
    ("dcgan", "cgan", "mlp", "best", "worst"),
    [
        (LOW, MIDDLE, HIGH, True, True),
        (LOW, HIGH, MIDDLE, True, False),
        (HIGH, MIDDLE, LOW, False, False),
        (MIDDLE, LOW, HIGH, False, True),
        (LOW, NOISY, HIGH, False, False),
        (NOISY, LOW, HIGH, False, False),
        (LOW, HIGH, NOISY, False, False),
        (LOW[:1], MIDDLE[:1], HIGH[:1], False, False),
    ],
)
def test_the_claim_is_confirmed_if_the_tests_are_significant(
    dcgan: Sequence[float],
    cgan: Sequence[float],
    mlp: Sequence[float],
    best: bool,
    worst: bool,
) -> None:
    """The order alone is not enough; a system that is not in the claim does not count."""
    found = compared(
        {"mnist-dropout": mlp, "dcgan-report": dcgan, "cgan": cgan, "cdcgan": [0.1] * len(mlp)}
    )
    lines = ranking.claim(found).splitlines()
    assert lines[-2].endswith(": confirmed" if best else ": not confirmed") and "best" in lines[-2]
    assert (
        lines[-1].endswith(": confirmed" if worst else ": not confirmed") and "worst" in lines[-1]
    )
    text = "\n".join(lines)
    assert ("one seed, no test" in text) == (len(mlp) == 1)
    assert ("the other way round" in text) == (dcgan is not LOW or cgan is HIGH) or len(mlp) == 1


def test_the_command_in_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All four systems, tables, claim and picture; a second call trains and scores nothing."""
    assert EXPERIMENTS["ranking"] is ranking.run
    monkeypatch.setattr(api, "draw", lambda run: None)
    monkeypatch.setitem(load.NAMED, "mnist", cache(idx.bundled_mnist))  # read it once
    variants = {name: narrow(recipes.find(name)) for name in ranking.NAMES}
    asked = {"seeds": (0, 1), "budget": 0.003, "threads": 1, "variants": variants, "n": 100}
    text = ranking.run(tmp_path, display="quiet", **asked).text  # type: ignore[arg-type]
    for word in (*ranking.NAMES, "label-accuracy", "recall", "claim", "seed 1", "equal budget",
                 "mnist-dropout: label-accuracy is for conditional recipes"):  # fmt: skip
        assert word in text, word
    with Image.open(tmp_path / ranking.PICTURE) as picture:
        pixels = np.asarray(picture.convert("L"), dtype=float)
    assert pixels.shape[1] == 2000
    columns = np.array_split(pixels[300:800], 4, axis=1)
    assert all((c < 200).mean() > 0.3 for c in columns)  # none of the four is missing
    monkeypatch.setattr(evaluate, "evaluate", None)
    monkeypatch.setattr(api, "train", None)
    again = ranking.run(tmp_path, display="quiet", **asked).text  # type: ignore[arg-type]
    assert again == text


def test_a_ranking_over_other_seeds_is_refused_before_it_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(ranking.compare, "of_recipes")
    there = subject.subject({name: [(0, tmp_path / name / "seed-0")] for name in ranking.NAMES},
                            tmp_path)  # fmt: skip
    (tmp_path / "compare.json").write_text(json.dumps({"runs": there}))
    with pytest.raises(UsageError, match="over the seeds 0: give another --out"):
        ranking.run(tmp_path, seeds=[1])
    assert [p.name for p in tmp_path.iterdir()] == ["compare.json"]
