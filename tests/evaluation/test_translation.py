"""Scores of translators: each measure against its definition, and its floors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torchmetrics.functional.image import structural_similarity_index_measure

from ganforge import bar
from ganforge.config.schema import Noise
from ganforge.data.dataset import Dataset
from ganforge.data.spec import DataSpec
from ganforge.errors import UsageError
from ganforge.evaluation import evaluate, translation
from ganforge.evaluation import pairs as measured
from ganforge.evaluation.inputs import Real
from ganforge.evaluation.score import Floor, Measured, Score
from ganforge.nets.base import Network, RandomInput
from ganforge.sampling.translate import Translator
from tests.helpers.tiny import pairs

SPEC = DataSpec((3, 16, 16), source=DataSpec((3, 16, 16)))


class Fixed(Network):
    """A translator that does one thing."""

    def __init__(self, how: str):
        super().__init__()
        self.how = how

    def sampling_inputs(self) -> dict[str, RandomInput]:
        return {"n": RandomInput("normal", (3, 1, 1))} if self.how == "random" else {}

    def forward(self, x, label=None, source=None, inputs=None):  # type: ignore[no-untyped-def]
        if self.how == "grey":
            return torch.zeros_like(source)
        if self.how == "negative":
            return -source
        return source + 0.2 * inputs["n"] if self.how == "random" else source


def translator(how: str, back: str = "") -> Translator:
    model: nn.Module = Fixed(how)
    if back:
        model = nn.ModuleDict({"a2b": Fixed(how), "b2a": Fixed(back)})
    return Translator(model, SPEC, Noise(1), how)


def negatives(count: int, part: str, unpaired: bool = False) -> Dataset:
    """Pictures whose targets are their negatives."""
    data = pairs(count, 16, part=part)
    assert data.source is not None
    return replace(data, source=data.values, values=255 - data.values, spec=SPEC, unpaired=unpaired)


def real(count: int = 30, unpaired: bool = False, hidden: bool = False) -> Real:
    train = negatives(220, "train", unpaired or hidden)
    return Real(train, negatives(count, "validation", unpaired))


def by_name(scores: list[Score]) -> dict[str, Score]:
    return {score.name: score for score in scores}


def test_measures_of_a_pair_are_their_definitions() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (2, 5, 32, 32, 3)).astype(np.uint8)
    gap = x.astype(float) - y.astype(float)
    assert measured.l1(x, y) == pytest.approx(np.abs(gap).mean((1, 2, 3)) / 127.5)
    assert measured.psnr(x, y) == pytest.approx(
        10 * np.log10(255**2 / np.square(gap).mean((1, 2, 3)))
    )
    assert measured.psnr(x, x) == pytest.approx([58.92] * 5, abs=0.01)
    a, b = (torch.from_numpy(v).permute(0, 3, 1, 2).double() for v in (x, (x // 2 + y // 2)))
    wanted = structural_similarity_index_measure(
        a, b, data_range=255.0, gaussian_kernel=True, sigma=1.5, kernel_size=11, reduction="none"
    )
    found = measured.ssim(x, (x // 2 + y // 2).astype(np.uint8))
    assert found == pytest.approx(wanted.numpy(), abs=0.03)  # torchmetrics pads at the border
    assert measured.ssim(x, x) == pytest.approx(np.ones(5))


def test_retrieval_asks_for_the_own_target_among_all() -> None:
    rng = np.random.default_rng(0)
    target = rng.integers(0, 256, (20, 8, 8, 3)).astype(np.uint8)
    assert measured.retrieval(target, target).tolist() == [1.0] * 20
    assert measured.retrieval(np.roll(target, 1, 0), target).sum() == 0
    half = np.concatenate([target[:10], target[:10]])
    assert measured.retrieval(half, target).sum() == 10


def test_colours_are_a_histogram_without_the_white_ground() -> None:
    red = np.zeros((2, 4, 4, 3), np.uint8)
    red[..., 0] = 200
    half = red.copy()
    half[:, :2] = 255
    blue = red[..., ::-1]
    red_, half_, blue_ = map(measured.colours, (red, half, blue))
    assert red_.sum() == 32 and half_.sum() == 16 and red_.shape == (2, 512)
    assert measured.unlike(red_, half_) == 0 and measured.unlike(red_, blue_) == 1


@pytest.mark.parametrize(("how", "word"), [("negative", measured.ABOVE), ("copy", measured.BELOW)])
def test_a_translator_is_above_the_floor_only_if_it_beats_what_needs_no_training(
    how: str, word: str
) -> None:
    scores = by_name(translation.scores(translator(how), real(), n=30))
    l1 = scores["l1"]
    floors = dict(part.split() for part in l1.note.removeprefix("floors: ").split(", "))
    assert set(floors) == {"copy", "mean", "nearest"}
    assert l1.floor == pytest.approx(min(map(float, floors.values())), rel=1e-3)
    assert l1.verdict == word and l1.better == "lower" and l1.n == 30
    if how == "negative":
        assert l1.value == 0 and scores["retrieval"].value == 1
        assert scores["ssim"].value == pytest.approx(1)
        assert scores["ssim"].floor < 1 and scores["psnr"].verdict == measured.ABOVE
        assert scores["colours"].value == 0 and scores["colours"].verdict == "as real"
    else:
        assert float(floors["copy"]) == pytest.approx(l1.value, rel=1e-3)
        assert scores["colours"].verdict == "far"
    assert "frechet" not in scores  # 30 pictures are too few


def test_within_three_spreads_of_the_floor_nothing_is_said() -> None:
    for better, sign in (("lower", -1), ("higher", 1)):
        word = measured.against_floor
        assert word(better, Measured(1 + sign * 0.4, Floor(1.0), 0.1)) == measured.ABOVE
        assert word(better, Measured(1 - sign * 0.4, Floor(1.0), 0.1)) == measured.BELOW
        for gap in (-0.29, 0.29):
            assert word(better, Measured(1 + gap, Floor(1.0), 0.1)) == "unknown"
        assert word(better, Measured(float("nan"), Floor(1.0), 0.1)) == "unknown"


def test_hidden_pairs_judge_both_ways_and_unpaired_data_what_is_left() -> None:
    both = translator("negative", "negative")
    scores = by_name(translation.scores(both, real(hidden=True), n=30))
    for name in ("l1", "ssim", "psnr", "retrieval", "colours", "cycle"):
        assert {name, f"{name}-b2a"} <= set(scores)
    assert "nearest" not in scores["l1"].note  # training knew no pairs
    assert scores["l1"].value == scores["l1-b2a"].value == 0
    assert scores["cycle"].value == 0 and scores["cycle"].verdict == measured.ABOVE
    bad = by_name(translation.scores(translator("negative", "grey"), real(hidden=True), n=30))
    assert bad["cycle"].verdict != measured.ABOVE
    left = by_name(translation.scores(both, real(unpaired=True), n=30))
    assert set(left) == {"colours", "cycle", "colours-b2a", "cycle-b2a"}


def test_the_distance_of_the_whole_set_has_the_source_beside_it() -> None:
    scores = by_name(
        translation.scores(translator("negative"), real(110), n=110, space="pca", seed=1)
    )
    found = scores["frechet"]
    assert found.n == 110 and found.space == "pca" and "copy" in found.note
    copied = by_name(translation.scores(translator("copy"), real(110), n=110, space="pca", seed=1))
    assert found.value < copied["frechet"].value
    assert copied["frechet"].note.endswith(f"copy {copied['frechet'].value:.4g}")


def test_diversity_compares_seeds_of_a_random_translator() -> None:
    scores = by_name(translation.scores(translator("random"), real(), n=30))
    assert scores["diversity"].value > 0.05 and "3 seeds" in scores["diversity"].note
    assert "diversity" not in by_name(translation.scores(translator("copy"), real(), n=30))


def test_the_one_function_scores_translators_too(tmp_path: Path) -> None:
    scores = evaluate.evaluate(translator("negative"), real(), n=100)
    assert by_name(scores)["l1"].value == 0
    with pytest.raises(UsageError, match=r"negative translates, and is scored by the measures"):
        evaluate.evaluate(translator("negative"), real(), metrics=["recall"])


def test_translations_are_counted_in_all_their_passes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    seen = []
    monkeypatch.setattr(bar, "advance", lambda unit, count, what=None: seen.append((unit, count)))
    with bar.shown():
        translation.scores(translator("negative", "negative"), real(hidden=True), n=30)
    error = capsys.readouterr().err
    assert "translations a2b" in error and "translations b2a" in error
    assert sum(count for unit, count in seen if unit == "examples") == 2 * 2 * 30
