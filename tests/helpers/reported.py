"""Short runs for the report, and scores for them that are written by hand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ganforge import api, files, recipes
from ganforge.evaluation import store
from ganforge.evaluation.score import Score
from tests.helpers.tiny import pictures as noise
from tests.helpers.tiny import shortened

HOSTILE = "<img src=x onerror=alert(1)>&\"'</script>"
CARD = Score("frechet", 5.0, 0.5, 4.0, 100, "mnist-lenet", "ab" * 32, 0, "validation", "lower",
             verdict="as real")  # fmt: skip


def trained(path: Path, recipe: str = "gaussian", steps: int = 60, **changes: Any) -> Path:
    """A short run of a narrowed recipe, with samples at several moments and no scores."""
    chosen = replace(shortened(recipes.find(recipe), steps, log_every=10), **changes)
    output = replace(
        chosen.output, sample_every=0.001, score=False, grid=20, min_gap=max(1, steps // 4)
    )
    api.train(replace(chosen, output=output), path, show="quiet")
    return path


def digits(root: Path) -> Path:
    """The default recipe, tiny, on noise, with scores that were written by hand."""
    data = noise(2400)
    file = files.npz(images=data.values, labels=np.asarray(data.labels))
    files.save_file(root / "noise.npz", file)
    path = trained(root / "digits", "cdcgan", 4, data=str(root / "noise.npz"))
    add_scores(path, CARD, accuracy_card(range(90, 100)))
    return path


def accuracy_card(each: Sequence[float]) -> Score:
    return replace(CARD, name="label-accuracy", value=0.95, floor=0.99, better="higher",
                   per_class=tuple(a / 100 for a in each))  # fmt: skip


def add_scores(path: Path, *cards: Score, **stamp: Any) -> None:
    entry = {"data": "mnist", "data_sha256": "0", "split": "validation", "n": 100, "seed": 0,
             "space": "mnist-lenet", "step": 4, "ganforge": "0", "made": "2026-11-21T00:00:00Z",
             "scores": [c.to_json() for c in cards]} | stamp  # fmt: skip
    before = store.read(path / store.SCORES)
    table = {"format": 1, "entries": {**before, str(len(before)): entry}}
    (path / store.SCORES).write_text(json.dumps(table))
