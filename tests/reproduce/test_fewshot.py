"""The study of augmentation with few and with many pictures, in small."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from ganforge import api
from ganforge.errors import DataError
from ganforge.nets import DCGAN
from ganforge.recipes.fewshot import fewshot as recipe
from ganforge.reproduce import EXPERIMENTS, fewshot
from tests.helpers.tiny import pictures

TINY = DCGAN(2, 2, discriminator_norm="none", upsampling="bilinear")
PARTS = {"train": pictures(2_100), "test": pictures(150, seed=1)}


def test_the_rows_differ_in_share_and_augmentation_alone() -> None:
    rows = fewshot.rows()
    assert [(name, share) for name, (share, _) in rows.items()] == [
        ("10 %", 0.1), ("10 % augmented", 0.1), ("100 %", 1.0), ("100 % augmented", 1.0),
    ]  # fmt: skip
    few, augmented, many, all_augmented = (config for _, config in rows.values())
    assert few == many and augmented == all_augmented
    assert few.game.augment == () and augmented.game.augment == recipe().game.augment
    (policy,) = recipe().game.augment
    assert (policy.colour, policy.translation, policy.cutout) == (1.0, 1 / 8, 1 / 2)


def test_a_share_is_the_same_pictures_with_their_labels() -> None:
    whole = PARTS["train"]
    few, again = fewshot.part_of(whole, 0.1), fewshot.part_of(whole, 0.1)
    assert len(few) == 210 and few.sha256 == again.sha256 != whole.sha256
    places = {x.tobytes(): label for x, label in zip(whole.values, whole.labels, strict=True)}
    assert [places[x.tobytes()] for x in few.values] == few.labels.tolist()
    assert np.array_equal(fewshot.part_of(whole, 1.0).values, whole.values)


def test_the_command_in_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every row is trained on its share and scored beside its floor; a second call goes on."""
    trained: list[tuple[int, int, float]] = []
    train = api.train

    def watched(config, path, *, data, **rest):  # type: ignore[no-untyped-def]
        trained.append((config.seed, len(data), config.kimg))
        return train(config, path, data=data, **rest)

    scored: list[int] = []
    score = fewshot.evaluate

    def compared(path, real, **rest):  # type: ignore[no-untyped-def]
        scored.append(len(real.train))
        return score(path, real, **rest)

    monkeypatch.setattr(api, "train", watched)
    monkeypatch.setattr(fewshot, "evaluate", compared)
    changes = {"networks": TINY, "device": "cpu", "batch": 8}
    run = partial(
        EXPERIMENTS["fewshot"], tmp_path, budget=0.01, threads=1, parts=PARTS, changes=changes,
        n=100, display="quiet",
    )  # fmt: skip
    text = run(seeds=(0,)).text
    assert trained == [(0, n, pytest.approx(0.021)) for n in (210, 210, 2100, 2100)]
    assert scored == [210, 210, 2100, 2100]  # copies are those of pictures that trained
    assert (tmp_path / "table.txt").read_text() == f"{text}\n"
    table = run(seeds=(0,)).table
    assert [row[""] for row in table][:3] == ["10 %", "10 %: training pictures", "10 % augmented"]
    assert len(trained) == 4
    for mine, floor in zip(table[::2], table[1::2], strict=True):
        assert mine["frechet"].value > floor["frechet"].value > 0
    assert "augmentation helps with few pictures" in text and "one seed, no test" in text
    scores = json.loads((tmp_path / "scores.json").read_text())["rows"]
    assert set(fewshot.METRICS) <= set(scores["10 %"]["0"])
    with pytest.raises(DataError, match=r"after 0.01 epochs, and 2 are asked for"):
        run(seeds=(0,), budget=2)
