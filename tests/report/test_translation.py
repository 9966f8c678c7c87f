"""The report of a translator: its film of triples, and the nearest training targets."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from ganforge import recipes
from ganforge.report import page, samples
from ganforge.runs.folder import open_run
from ganforge.runs.load import open_sampler
from ganforge.sampling.translate import Translator
from tests.helpers.tiny import pairs, run, shortened


@pytest.mark.parametrize("name", ["pix2pix", "cyclegan"])
def test_a_translator_has_a_page_with_its_nearest_training_targets(
    name: str, tmp_path: Path
) -> None:
    unpaired = name == "cyclegan"
    data, held_out = pairs(unpaired=unpaired), pairs(12, unpaired=unpaired, part="validation")
    path = tmp_path / "run"
    config = shortened(recipes.find(name), 2, batch=4, grid=12)
    run(replace(config, data="tiny"), path, data)
    nearest = partial(samples.neighbours, data=lambda _: (data, held_out))
    made = page.read(open_run(path), neighbours=nearest)
    assert made.film is not None and made.neighbours is not None
    assert (made.neighbours.count, made.neighbours.of) == (12, 24)
    sampler = open_sampler(path)
    assert isinstance(sampler, Translator) and held_out.source is not None
    drawn = samples.translations(sampler, held_out, 500)
    assert np.array_equal(drawn, sampler.translate(held_out.source))
    assert len(samples.translations(sampler, held_out, 5)) == 5
