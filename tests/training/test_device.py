"""What `auto` means on a machine."""

from dataclasses import replace

import pytest
import torch

from ganforge import recipes
from ganforge.config.schema import Config
from ganforge.data.spec import DataSpec
from ganforge.training import device
from ganforge.training.device import resolve
from ganforge.training.distributed import World

PICTURES, POINTS = DataSpec((1, 28, 28)), DataSpec((2,), 0, "float32", False, (0.0,), (1.0,))


@pytest.mark.parametrize("native", [True, False])
def test_half_precision_is_for_pictures_on_machines_that_multiply_it(
    native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: native)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    config = Config("x", recipes.find("mnist-mlp").networks, recipes.find("mnist-mlp").game,
                    device="cpu")  # fmt: skip
    assert config.precision == "auto"
    assert resolve(config, spec=PICTURES).precision == ("bf16" if native else "fp32")
    assert resolve(config, spec=POINTS).precision == "fp32"


def test_what_a_run_chose_before_stays_chosen() -> None:
    config = recipes.find("ring")
    assert resolve(config, {"precision": "bf16"}, spec=POINTS).precision == "bf16"


@pytest.mark.parametrize("name", ["gaussian", "gaussian-stable", "ring", "grid", "figure1"])
def test_toy_recipes_are_played_in_single_precision(name: str) -> None:
    assert resolve(recipes.find(name), spec=POINTS).precision == "fp32"


def test_each_of_several_processes_has_a_gpu_of_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "check_device", lambda name: None)
    config = replace(recipes.find("ring"), device="cuda", precision="fp32")
    assert resolve(config).device == "cuda"
    for size in (2, 4):
        assert resolve(config, world=World(1, size, 1, size)).device == "cuda:1"
    config = replace(config, device="cuda:3")  # as the user says
    assert resolve(config, world=World(1, 2, 1, 2)).device == "cuda:3"
