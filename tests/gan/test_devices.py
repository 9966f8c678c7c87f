"""A turn makes its tensors on the device of its inputs and waits for no value on it.

Tensors on torch's `meta` device have shapes and no values: an operation with a tensor of another
device fails there, and so does reading a value, as both would on a GPU.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from ganforge import recipes
from ganforge.augment.adaptive import Adaptive
from ganforge.augment.diffaugment import DiffAugment
from ganforge.config.schema import Config
from ganforge.data.batches import Batches
from ganforge.gan import penalties
from ganforge.gan import step as game
from ganforge.gan.adversarial import Adversarial
from ganforge.gan.batch import Batch
from ganforge.training import build
from ganforge.training.random_inputs import RandomInputSource
from tests.helpers.tiny import KNOBS, data_for, narrow, shortened


def moved(tensor: Tensor) -> Tensor:
    return tensor.to("meta")


def configs() -> dict[str, Config]:
    """Every recipe, and the parts that no recipe has."""
    found = {
        name: make() if name == "parzen" else narrow(make())
        for name, make in recipes.RECIPES.items()
    }
    base = replace(found["gaussian"], batch=4)
    extra = (
        penalties.R1(1.0, 1), penalties.R2(1.0, 1), penalties.GradientPenalty(1.0),
    )  # fmt: skip
    found["penalties"] = replace(base, game=Adversarial(penalties=extra))
    for augmentation in (Adaptive(), DiffAugment()):
        played = replace(found["cdcgan"].game, augment=(augmentation,))
        found[augmentation.kind] = replace(found["cdcgan"], game=played)
    return found


CONFIGS = configs()


@pytest.mark.parametrize("name", CONFIGS)
def test_a_turn_stays_on_the_device(name: str) -> None:
    config = shortened(CONFIGS[name], 2, batch=4)
    data = data_for(config, count=16)
    here = build.initial(config, data.spec)
    there = build.initial(config, data.spec, device="meta", fused=False)
    drawn = RandomInputSource(config, data.spec, here.players).at(0)
    batch = Batch(*Batches(data, device=torch.device("cpu"), seed=0).at(0, 4)).map(moved)
    for side in ("discriminator", "generator"):
        update = game.compute_gradients(
            there, config.game, side, batch, drawn[side][0].map(moved), KNOBS, game.StepOptions()
        )
        assert {value.device.type for value in update.log.values()} == {"meta"}
