"""Augmentations: what each does to a picture, that D sees nothing else, and that p goes on."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from ganforge.augment.adaptive import (
    GATES,
    NORMALS,
    SYMLET,
    UNIFORMS,
    Adaptive,
    Draws,
    mirrored,
    resampled,
)
from ganforge.augment.base import Augmentation
from ganforge.augment.diffaugment import DiffAugment, coloured, holes, translated
from ganforge.config.schema import Config
from ganforge.data.dataset import Dataset
from ganforge.data.spec import DataSpec
from ganforge.errors import UsageError
from ganforge.gan.adversarial import Adversarial
from ganforge.gan.batch import RandomInputs
from ganforge.gan.penalties import R1
from ganforge.nets import DCGAN
from ganforge.training import build, inputs, loop
from ganforge.training.random_inputs import RandomInputSource
from tests.helpers.tiny import StopAfter, run

EYE = torch.eye(2, 3, dtype=torch.float64)


def pictures(count: int = 4, side: int = 16, channels: int = 3) -> Tensor:
    torch.manual_seed(0)
    return torch.rand(count, channels, side, side, dtype=torch.float64) * 2 - 1


def numbers(augmentation: Augmentation, count: int, strength: float = 1.0) -> dict[str, Tensor]:
    torch.manual_seed(1)
    found = {
        name: torch.rand(count, *wanted.shape)
        if wanted.law == "unit"
        else torch.randn(count, *wanted.shape)
        for name, wanted in augmentation.random_inputs().items()
    }
    return found | {"strength": torch.full((count,), strength)}


# --- DiffAugment ----------------------------------------------------------------------------------


def test_colour_is_brightness_then_saturation_then_contrast() -> None:
    x = pictures()
    u = torch.tensor([[0.7, 0.2, 0.9]], dtype=torch.float64).expand(4, 3)
    want = x + 0.2
    grey = want.mean(1, keepdim=True)
    want = (want - grey) * 0.4 + grey
    mean = want.mean((1, 2, 3), keepdim=True)
    want = (want - mean) * 1.4 + mean
    assert torch.allclose(coloured(x, u, 1.0), want)


@pytest.mark.parametrize("border", ["edge", "zero", "reflect"])
def test_a_translation_moves_whole_pixels(border: str) -> None:
    x = pictures(side=16)
    u = torch.tensor([[0.0, 0.5], [0.99, 0.5], [0.5, 0.0], [0.5, 0.99]], dtype=torch.float64)
    got = translated(x, u, 0.125, border)
    pad = {"edge": "edge", "zero": "constant", "reflect": "reflect"}[border]
    for i, (down, right) in enumerate([(-2, 0), (2, 0), (0, -2), (0, 2)]):
        wide: Any = np.pad(x[i].numpy(), ((0, 0), (2, 2), (2, 2)), pad)  # type: ignore[call-overload]
        want = wide[:, 2 - down : 18 - down, 2 - right : 18 - right]
        assert np.array_equal(got[i].numpy(), want)


def test_every_shift_is_equally_likely() -> None:
    x = torch.zeros(50, 1, 16, 16)
    x[:, :, 8, 8] = 1
    u = torch.stack([torch.linspace(0, 0.999, 50), torch.full((50,), 0.5)], 1)
    rows = translated(x, u, 0.125, "zero").sum((1, 3)).argmax(1)
    assert torch.bincount(rows, minlength=16).tolist() == [0] * 6 + [10] * 5 + [0] * 5


def test_cutout_is_a_square_of_half_the_side_around_any_pixel() -> None:
    x = pictures(side=16)
    u = torch.tensor([[0.0, 0.0], [0.5, 0.5], [0.999, 0.999], [0.5, 0.0]])
    hole = 1 - holes(x, u, 0.5)
    assert hole.sum((1, 2, 3)).tolist() == [16, 64, 16, 32]
    assert hole[1, 0, 4:12, 4:12].all()


def test_without_strength_nothing_is_drawn_and_nothing_changes() -> None:
    none = DiffAugment(translation=0)
    assert none.random_inputs() == {}
    x = pictures()
    assert none(x, {}) is x


@pytest.mark.parametrize(
    "wrong", [{"colour": 2.0}, {"translation": 0.6}, {"cutout": 1.0}, {"border": "wrap"}]
)
def test_values_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        DiffAugment(**wrong)


# --- ADA ------------------------------------------------------------------------------------------


def test_the_filter_is_orthogonal_to_its_even_shifts() -> None:
    h = np.array(SYMLET)
    assert h.sum() == pytest.approx(math.sqrt(2), abs=1e-12)
    products = [(h[2 * k :] * h[: len(h) - 2 * k]).sum() for k in range(6)]
    assert products == pytest.approx([1, 0, 0, 0, 0, 0], abs=1e-11)


def test_reading_every_pixel_at_its_place_gives_the_picture_back() -> None:
    """Halving is the inverse of doubling, up to the border; a nudge enters the whole path."""
    x = pictures()
    nudged = EYE.clone()
    nudged[0, 0] += 1e-9
    changed = resampled(x, nudged.expand(4, 2, 3))
    assert not torch.equal(changed, x)
    assert torch.allclose(changed, x, atol=1e-6)


def test_at_probability_0_no_bit_changes() -> None:
    x = pictures().float()
    assert torch.equal(Adaptive()(x, numbers(Adaptive(), 4, 0.0)), x)


def test_a_shift_and_a_mirror_image() -> None:
    small = torch.rand(2, 3, 5, 5, dtype=torch.float64)
    x = F.interpolate(small, (32, 32), mode="bicubic", align_corners=True)
    shift = EYE.clone()
    shift[0, 2] = -3
    assert torch.allclose(resampled(x, shift.expand(2, 2, 3))[..., 8:], x[..., 5:-3], atol=1e-6)
    mirror = EYE.clone()
    mirror[0, 0] = -1
    found = resampled(x, mirror.expand(2, 2, 3))
    error = (found - x.flip(3))[..., 4:-4, 4:-4].abs()  # the filter's centre is off by a fraction
    assert error.mean() < 0.03 < (found - x)[..., 4:-4, 4:-4].abs().mean()


def test_beyond_the_border_lies_the_mirrored_picture() -> None:
    place = torch.tensor([-9.0, -4.0, 0.0, 7.0, 12.0, 20.0])
    assert mirrored(place, 8).tolist() == [5.0, 4.0, 0.0, 7.0, 2.0, 6.0]


def test_it_is_differentiable_twice() -> None:
    x = pictures(1, 8, 1).requires_grad_()
    torch.manual_seed(2)
    inverse = torch.randn(1, 2, 3, dtype=torch.float64) * 0.3 + EYE
    corner = (..., slice(None, None, 3), slice(None, None, 3))
    assert torch.autograd.gradcheck(lambda v: resampled(v, inverse)[corner], (x,))
    assert torch.autograd.gradgradcheck(lambda v: resampled(v, inverse)[corner] ** 2, (x,))


def only(operation: str, uniform: float, normal: float) -> Draws:
    """The numbers of a pass over pictures of 32 x 64 pixels in which one operation is on."""
    gates = torch.ones(1, len(GATES))
    gates[0, GATES.index(operation)] = 0.6 if operation == "flip" else 0
    drawn = {
        "strength": torch.full((1,), 0.9),
        "gates": gates,
        "uniforms": torch.full((1, len(UNIFORMS)), uniform),
        "normals": torch.full((1, len(NORMALS)), normal),
    }
    return Draws(drawn, 1.0, 1.0, torch.Size((1, 3, 32, 64)))


HALF = math.sqrt(0.5)


@pytest.mark.parametrize(
    ("operation", "inverse"),
    [
        ("flip", [[1, 0, 0], [0, 1, 0]]),  # 0.6 of 0.9: the flip that is none
        ("quarter", [[0, 1, 0], [-1, 0, 0]]),  # 0.375 of four: one quarter turn
        ("shift", [[1, 0, 2], [0, 1, 1]]),  # -0.25 of an eighth of the side, and back
        ("scale", [[2**-0.1, 0, 0], [0, 2**-0.1, 0]]),  # 2^(0.2 n)
        ("before", [[HALF, -HALF, 0], [HALF, HALF, 0]]),  # -0.25 of half a turn, and back
        ("stretch", [[2**-0.1, 0, 0], [0, 2**0.1, 0]]),
        ("after", [[HALF, -HALF, 0], [HALF, HALF, 0]]),
        ("move", [[1, 0, -4], [0, 1, -2]]),  # half of an eighth of the side, and back
    ],
)
def test_each_operation_moves_pixels_as_published(
    operation: str, inverse: list[list[float]]
) -> None:
    """Karras et al. 2020, appendix B; the drawn numbers are 0.375 (uniform) and 0.5 (normal)."""
    found = only(operation, 0.375, 0.5).geometry()[0]
    assert torch.allclose(found, torch.tensor(inverse, dtype=found.dtype), atol=1e-6), found


@pytest.mark.parametrize("p", [0.2, 0.8])
def test_each_operation_is_on_with_probability_p(p: float) -> None:
    count = 20_000
    draws = Draws(numbers(Adaptive(), count, p), 1.0, 1.0, torch.Size([count, 3, 16, 16]))
    for name, on in draws.on.items():
        want = 1 - math.sqrt(1 - p) if name in ("before", "after") else p
        assert on.float().mean().item() == pytest.approx(want, abs=0.02), name
    turned = draws.on["before"] | draws.on["after"]
    assert turned.float().mean().item() == pytest.approx(p, abs=0.02)


def test_hue_and_saturation_leave_grey_pixels_as_they_are() -> None:
    draws = Draws(numbers(Adaptive(), 8), 0.0, 1.0, torch.Size([8, 3, 16, 16]))
    draws.on |= {n: torch.zeros(8, dtype=torch.bool) for n in ("brightness", "contrast")}
    draws.gates["luma"] = torch.ones(8)
    matrix = draws.colours(3)
    grey = torch.full((8, 3, 1), 0.4)
    assert torch.allclose(matrix[:, :, :3] @ grey + matrix[:, :, 3:], grey, atol=1e-6)
    # a turn about that axis and a stretch across it: the mean of the channels stays too
    colour = torch.tensor([0.9, -0.2, 0.1]).view(1, 3, 1).expand(8, 3, 1)
    changed = matrix[:, :, :3] @ colour + matrix[:, :, 3:]
    assert torch.allclose(changed.mean(1), colour.mean(1), atol=1e-6)
    assert (changed - colour).abs().amax((1, 2)).min() > 0.01


def test_p_follows_the_signs_every_fourth_step_and_never_falls_below_0() -> None:
    ada = Adaptive(target=0.6, interval=4, speed=1.0)
    state = ada.initial()
    found = []
    for step, sign in enumerate([1.0] * 4 + [0.5, 0.6, 0.7, 0.5] + [-1.0] * 4):
        state = ada.adjusted(state, {"sign_real": torch.tensor(sign)}, step, 16)
        found.append(round(float(state["p"]), 4))
    assert found == [0, 0, 0, 0.064, 0.064, 0.064, 0.064, 0, 0, 0, 0, 0]


# --- in a game ------------------------------------------------------------------------------------


def game(*augment: Augmentation) -> Config:
    return Config(
        name="small",
        networks=DCGAN(4, 4, discriminator_norm="none"),
        game=Adversarial(loss="relativistic", penalties=(R1(1.0, 2),), augment=augment),
        batch=8,
        epochs=2,
        threads=1,
        device="cpu",
        precision="fp32",
    )


def data() -> Dataset:
    values = np.random.default_rng(0).integers(0, 256, (64, 16, 16, 3), dtype=np.uint8)
    return Dataset("noise", "train", DataSpec((3, 16, 16)), values)


def test_each_pass_of_d_has_separate_numbers() -> None:
    config = game(DiffAugment())
    players = build.initial(config, data().spec).players
    inputs = RandomInputSource(config, data().spec, players).at(0)
    found = [
        turn.networks[name]["augment.0.shift"]
        for side, names in (
            ("discriminator", ("real", "fake", "penalty")),
            ("generator", ("fake",)),
        )
        for turn in inputs[side]
        for name in names
    ]
    assert len({tuple(values.flatten().tolist()) for values in found}) == 4


@pytest.mark.parametrize("augmentation", [DiffAugment(colour=1, cutout=0.5), Adaptive(start=1.0)])
def test_every_look_of_d_goes_through_it(augmentation: Augmentation) -> None:
    """Alone, beside the fakes, and in a penalty, whose gradient is that of the picture itself."""
    config = game(augmentation)
    players = build.initial(config, data().spec).players
    x = pictures(8).float().requires_grad_()
    drawn = {f"augment.0.{k}": v for k, v in numbers(augmentation, 8).items()}
    changed = augmentation(x, numbers(augmentation, 8))
    plain = players.discriminate(changed)
    assert torch.equal(players.discriminate(x, inputs=drawn), plain)
    assert not torch.allclose(players.discriminate(x), plain)
    batch = build_batch(x)
    both = players.discriminate_both(batch, {"real": drawn, "fake": drawn})
    assert torch.allclose(both[0], plain, atol=1e-5)
    assert torch.allclose(both[1], players.discriminate(-x, inputs=drawn), atol=1e-5)
    (gradient,) = torch.autograd.grad(plain.sum(), x)
    inputs = RandomInputs(torch.zeros(8, 1), networks={"penalty": drawn})
    penalty, _ = R1(2.0)(players, batch, inputs, {})
    assert torch.allclose(penalty, gradient.square().flatten(1).sum(1), rtol=1e-3, atol=1e-7)


def build_batch(x: Tensor) -> Any:
    from ganforge.gan.batch import Batch

    return Batch(x.detach(), fake=-x.detach())


@pytest.mark.parametrize("augmentation", [DiffAugment(), Adaptive(speed=0.05, start=0.3)])
def test_a_stopped_run_goes_on_bit_for_bit(augmentation: Augmentation, tmp_path: Path) -> None:
    config = game(augmentation)
    run(config, tmp_path / "whole", data())
    run(config, tmp_path / "parts", data(), StopAfter(7))
    run(config, tmp_path / "parts", data())
    whole, parts = (state_of(tmp_path / name) for name in ("whole", "parts"))
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    if augmentation.controlled:
        assert 0 <= float(whole["aux.augment.0.p"]) != 0.3


def state_of(path: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    from ganforge.runs import checkpoint

    return load_file(checkpoint.listed(path / "checkpoints")[0] / "state.safetensors")


def test_p_is_logged_and_follows_the_game(tmp_path: Path) -> None:
    config = game(Adaptive(target=-0.99, speed=0.05))
    output = replace(config.output, log_every=1)
    run = loop.training(replace(config, output=output), tmp_path / "run", data=data())
    points = [progress for _, progress in run]
    assert float(points[-1].augment_p) > 0
    assert -1 <= float(points[-1].sign_real) <= 1


def test_steps_with_and_without_a_change_of_p_are_recorded_apart() -> None:
    """A recorded step would leave p alone for ever, or move it at every step."""
    wanted = Adversarial(penalties=(R1(1.0, 2),), augment=(Adaptive(interval=4), DiffAugment()))
    kinds = inputs.steps_by_due(wanted, 0)
    assert kinds == {(True, False, True): 2, (False, False, True): 1, (False, True, True): 3}
