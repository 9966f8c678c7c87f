"""The networks that translate pictures: sizes, counts, receptive fields, masks."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from ganforge.data.spec import DataSpec
from ganforge.errors import UsageError
from ganforge.nets import CycleNetworks, UNet
from ganforge.nets.cycle import ResidualGenerator
from ganforge.nets.patch import PatchDiscriminator, patches, receptive_field
from ganforge.nets.unet import UNetGenerator
from ganforge.rng import Stream


def spec_of(side: int, target: int = 3, source: int = 3) -> DataSpec:
    return DataSpec((target, side, side), source=DataSpec((source, side, side)))


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def small(**options: object) -> UNet:
    return UNet(**{"generator_width": 2, "discriminator_width": 2, "patch_layers": 1, **options})


def test_the_published_networks_have_the_published_number_of_parameters() -> None:
    pix2pix = UNet(norm="batch")(spec_of(256), 1)
    assert count(pix2pix["generator"]) == 54_413_955
    assert count(pix2pix["discriminator"]) == 2_768_705
    unconditional = UNet(norm="batch", conditional=False)(spec_of(256), 1)["discriminator"]
    assert count(pix2pix["discriminator"]) - count(unconditional) == 3 * 16 * 64
    cycle = CycleNetworks()(spec_of(256), 1)
    assert [count(g) for g in cycle["generator"].values()] == [11_378_179] * 2
    assert [count(d) for d in cycle["discriminator"].values()] == [2_764_737] * 2
    assert count(CycleNetworks(blocks=6)(spec_of(128), 1)["generator"]["a2b"]) == 7_837_699


@pytest.mark.parametrize("side", [32, 64, 128, 256, 512])
def test_a_u_net_gives_pictures_of_its_size_from_sources_of_other_channels(side: int) -> None:
    made = small()(spec_of(side, 3, 1), 1)["generator"]
    source = torch.randn(1, 1, side, side)
    out = made(torch.zeros(1, 1), None, source)
    assert out.shape == (1, 3, side, side) and out.abs().max() <= 1
    assert len(made.down) == side.bit_length() - 1


def test_receptive_fields_are_those_that_gradients_have() -> None:
    assert [receptive_field(n) for n in range(6)] == [1, 16, 34, 70, 142, 286]
    for layers in range(4):
        side = 96
        d = PatchDiscriminator(spec_of(side), 2, layers, "none", False)
        for p in d.parameters():
            nn.init.constant_(p, 0.1)
        x = torch.ones(1, 3, side, side, requires_grad=True)
        logits = d(x)
        assert logits.shape[2:] == (patches(side, layers),) * 2
        middle = logits.shape[2] // 2
        (gradient,) = torch.autograd.grad(logits[0, 0, middle, middle], x)
        seen = gradient[0, 0].abs().sum(0).nonzero().flatten()
        assert int(seen[-1] - seen[0]) + 1 == receptive_field(layers)


def test_patches_a_side() -> None:
    known = {(256, 3): 30, (64, 2): 14, (64, 3): 6, (32, 1): 14, (32, 2): 6, (28, 3): 1, (9, 0): 9}
    assert {key: patches(*key) for key in known} == known
    with pytest.raises(UsageError, match=r"patch_layers = 4: its patches of 142 .*patch_layers 3"):
        small(patch_layers=4)(spec_of(32), 1)


def masks(g: UNetGenerator, count: int) -> dict[str, Tensor]:
    return {
        name: torch.from_numpy(one.draw(Stream(0, name), 0, count))
        for name, one in g.random_inputs().items()
    }


def test_dropout_is_in_the_first_three_steps_up_and_nowhere_without_masks() -> None:
    g = small()(spec_of(64), 1)["generator"]
    assert [one.shape for one in g.random_inputs().values()] == [(16, 2, 2), (16, 4, 4), (8, 8, 8)]
    assert all((one.law, one.drop) == ("dropout", 0.5) for one in g.random_inputs().values())
    source, z = torch.randn(2, 3, 64, 64), torch.zeros(2, 1)
    plain = g(z, None, source)
    assert torch.equal(plain, g(z, None, source, {}))
    ones = {name: torch.ones_like(value) for name, value in masks(g, 2).items()}
    assert torch.equal(plain, g(z, None, source, ones))
    for name in ones:  # each of the three is read
        assert not torch.equal(plain, g(z, None, source, ones | {name: masks(g, 2)[name]}))
    assert g.sampling_inputs() == g.random_inputs()
    silent = small(sample_dropout=False)(spec_of(64), 1)["generator"]
    assert silent.sampling_inputs() == {} and silent.random_inputs()
    assert small(dropout=0.0)(spec_of(64), 1)["generator"].random_inputs() == {}


def test_without_skips_only_the_innermost_pixel_passes() -> None:
    """Two sources of one innermost map give one picture; with skips they do not."""
    for skips in (True, False):
        g = small(skips=skips, dropout=0.0)(spec_of(32), 1)["generator"].double()
        inner = g.down[-1][0]
        nn.init.zeros_(inner.weight)
        a, b = torch.randn(2, 1, 3, 32, 32, dtype=torch.float64)
        out = [g(torch.zeros(1, 1), None, x) for x in (a, b)]
        assert torch.equal(*out) == (not skips)


@pytest.mark.parametrize("norm", ["instance", "batch", "none"])
def test_instance_norm_judges_a_picture_by_itself_and_batch_norm_does_not(norm: str) -> None:
    players = small(norm=norm, dropout=0.0)(spec_of(32), 1)
    wide = CycleNetworks(2, 2, 1, 1, norm)(spec_of(32), 1)["generator"]["a2b"]
    for g in (players["generator"], wide):
        nn.Module.double(g).eval()
        assert g.batch_independent == (norm != "batch")
        source = torch.randn(4, 3, 32, 32, dtype=torch.float64)
        alone = torch.cat([g(torch.zeros(1, 1), None, one[None]) for one in source])
        together = g(torch.zeros(4, 1), None, source)
        assert torch.allclose(alone, together, atol=1e-9) == (norm != "batch")
        assert g.state_dict().keys() == {k for k, _ in g.named_parameters()}  # no statistics


def test_a_residual_generator_takes_any_sides_that_are_multiples_of_four() -> None:
    g = ResidualGenerator(1, 3, 2, 1, "instance")
    for height, width in ((8, 8), (12, 40), (64, 32)):
        out = g(torch.zeros(1, 1), None, torch.randn(1, 1, height, width))
        assert out.shape == (1, 3, height, width)


def test_sizes_that_do_not_fit_are_refused() -> None:
    bad = {
        r"unet' makes square .* 48 x 48: give --size 64": (small(), spec_of(48)),
        r"cycle' makes .* multiples of 4.* 30 x 30: give --size 28": (CycleNetworks(), spec_of(30)),
        "take pairs of pictures": (small(), DataSpec((3, 32, 32))),
        "take no labels": (small(), replace(spec_of(32), classes=3)),
        r"sources of 64 x 64 and targets of 32 x 32.*--size 32": (
            small(),
            DataSpec((3, 32, 32), source=DataSpec((3, 64, 64))),
        ),
    }
    for says, (networks, spec) in bad.items():
        with pytest.raises(UsageError, match=says):
            networks(spec, 1)
    for option in ("patch_layers", "norm", "dropout", "generator_width"):
        with pytest.raises(UsageError, match=option):
            UNet(**{option: "x" if option == "norm" else 9 if option == "patch_layers" else -1})
