"""Translators that do one thing wrong each, and the one check that finds it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ganforge import recipes
from ganforge.callbacks.diagnose import SAMPLE_CODES
from ganforge.config.schema import Noise
from ganforge.diagnosis import CHECKS, log_signals, run_checks, show, signals
from ganforge.diagnosis.snapshot import RealExamples, Snapshot
from ganforge.diagnosis.translation_signals import of_translator
from ganforge.evaluation.inputs import Real
from ganforge.images import read_png
from ganforge.nets.base import Network
from ganforge.sampling.translate import Translator
from tests.diagnosis.test_signals import log
from tests.evaluation.test_translation import SPEC, Fixed, negatives

CODES = ("GF013", "GF014", "GF015", "GF016")


class Faulty(Network):
    """A translator of negatives with one fault."""

    def __init__(self, how: str):
        super().__init__()
        self.how = how

    def forward(self, x, label=None, source=None, inputs=None) -> Tensor:  # type: ignore[no-untyped-def]
        if self.how == "ignores":  # the translation of somebody else
            return -torch.roll(source, 1, 0)
        if self.how == "texture":
            return 0.02 * source + 0.3
        return source * 0.99 + 0.002 if self.how == "copies" else -source


def translator(forth: nn.Module, back: nn.Module | None = None) -> Translator:
    model = forth if back is None else nn.ModuleDict({"a2b": forth, "b2a": back})
    return Translator(model, SPEC, Noise(1), "test")


def real(unpaired: bool = False) -> Real:
    return Real(negatives(120, "train", unpaired), negatives(40, "validation", unpaired))


@pytest.mark.parametrize(
    ("how", "code"), [("ignores", "GF013"), ("copies", "GF014"), ("texture", "GF015")]
)
def test_each_fault_of_a_translator_has_its_code(how: str, code: str) -> None:
    figures = of_translator(translator(Faulty(how)), real(), 40, 0)
    found = run_checks(figures, {}, CODES)
    assert code in found.codes and set(found.codes) <= {code, "GF013"}
    healthy = of_translator(translator(Fixed("negative")), real(), 40, 0)
    assert run_checks(healthy, {}, CODES).healthy
    assert healthy["to_target"] == 0 and healthy["retrieval"] == 1
    assert healthy["moved"] == healthy["variety"] == pytest.approx(1)


class Faint(Network):
    """Grey pictures with the source in them, eight times fainter; and its reader."""

    def __init__(self, factor: float):
        super().__init__()
        self.factor = factor

    def forward(self, x, label=None, source=None, inputs=None) -> Tensor:  # type: ignore[no-untyped-def]
        return (source * self.factor).clamp(-1, 1)


def test_a_cycle_that_lives_of_a_faint_message_is_found_by_noise_on_the_way() -> None:
    hiding = of_translator(translator(Faint(1 / 16), Faint(16)), real(True), 40, 0)
    assert hiding["cycle"] < 0.2 and hiding["hidden"] > 3
    assert "GF016" in run_checks(hiding, {}, CODES).codes
    honest = of_translator(translator(Fixed("negative"), Fixed("negative")), real(True), 40, 0)
    assert honest["cycle"] == 0 and "to_target" not in honest
    assert "GF016" not in run_checks(honest | {"hidden": 1.2}, {}, CODES).codes


def snapshot(t: Translator) -> Snapshot:
    pictures = real()
    examples = RealExamples(pictures.train, pictures.held_out, 40)
    config = recipes.pix2pix()
    return Snapshot(config, log(9), spec=SPEC, real=examples, sampler=t)


def test_a_snapshot_of_a_translator_has_these_signals_and_no_others(tmp_path: Path) -> None:
    seen = snapshot(translator(Faulty("texture")))
    measured = signals.of_samples(seen)
    assert measured.unavailable["samples"] == "it translates pictures"
    assert "translations" not in measured.unavailable
    late = {k: v for k, v in measured.unavailable.items() if k != "steps"}
    found = run_checks(measured.figures, late, SAMPLE_CODES)
    assert "GF015" in found.codes and "GF001" in found.skipped
    shown = show.illustrate(found, seen, tmp_path)
    (picture,) = next(f for f in shown.findings if f.code == "GF015").pictures
    assert read_png(picture).ndim == 3
    assert set(CODES) <= set(SAMPLE_CODES) <= set(CHECKS)
    few = RealExamples(negatives(120, "train"), negatives(9, "validation"), 40)
    short = signals.of_samples(
        Snapshot(recipes.pix2pix(), spec=SPEC, real=few, sampler=seen.sampler)
    )
    assert short.unavailable["translations"].startswith("9 held-out pictures are too few")


def test_guessing_costs_twice_as_much_in_two_domains() -> None:
    game = recipes.cyclegan().game
    records = [{"step": i, "loss_d": 0.5, "logit_real": 0.5, "logit_fake": 0.5, "d_fake": 0.5}
               for i in range(1, 10)]  # fmt: skip
    assert log_signals.of_log(records, game)["d_cost"] == pytest.approx(1)
    assert np.isfinite(log_signals.of_log(records, game)["cost_peak"])
