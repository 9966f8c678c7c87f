"""The plain loop of `pictures` is the recipe's game, and its layers are counted rightly."""

from __future__ import annotations

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.speed import pictures
from benchmarks.speed.peers import pictures as peer
from ganforge import nets, recipes
from ganforge.augment.diffaugment import translated
from ganforge.data.spec import DataSpec
from ganforge.gan.penalties import R1, R2


def test_a_translation_is_one_of_the_recipes() -> None:
    x = torch.rand(40, 3, 16, 16)
    places = (torch.arange(5) + 0.5) / 5  # of 5 shifts by -2 .. 2 pixels in each direction
    every = torch.cartesian_prod(places, places)
    found = set()
    for before, after in zip(x, peer.moved(x), strict=True):
        shifts = translated(before.expand(25, -1, -1, -1), every, 0.125, "edge")
        (place,) = (shifts == after).flatten(1).all(1).nonzero().flatten().tolist()
        found.add(place)
    assert len(found) > 10


def test_the_penalty_of_a_linear_discriminator_is_the_square_of_its_weights() -> None:
    x = torch.rand(5, 3, 4, 4, requires_grad=True)
    weight = torch.rand(3, 4, 4)
    assert torch.allclose(peer.slope((x * weight).sum((1, 2, 3)), x), weight.square().sum())
    penalties = recipes.find("pictures").game.penalties
    assert penalties == (R1(peer.GAMMA, peer.EVERY), R2(peer.GAMMA, peer.EVERY))


def test_a_step_of_the_plain_loop_moves_both_players_and_the_average() -> None:
    torch.manual_seed(0)
    config = recipes.find("pictures")
    made = nets.build(config.networks, DataSpec((3, 16, 16)), peer.Z)
    loop = peer.Pictures(made["generator"], made["discriminator"], bf16=False)
    both = nn.ModuleDict(made)
    before = {k: v.clone() for k, v in both.named_parameters()}
    loop.step(torch.rand(16, 3, 16, 16))
    out = "discriminator.out"  # its bias has no gradient: the loss sees differences only
    still = {k for k, v in both.named_parameters() if torch.equal(v, before[k])}
    assert all(k.startswith(out) for k in still), still
    for mean, new in zip(loop.average.parameters(), loop.g.parameters(), strict=True):
        assert torch.allclose(mean, new, atol=1e-6)  # the half-life begins at 5 % of what is seen
    adam = config.generator
    group = loop.by_g.param_groups[0]
    assert (group["lr"], tuple(group["betas"])) == (adam.lr, adam.betas)
    assert (config.ema.half_life, config.ema.ramp_up) == (peer.HALF_LIFE, peer.RAMP)


def test_the_layers_of_both_players_with_their_operations() -> None:
    found = pictures.layers(16)
    assert list(found)[:2] == ["G 100 to 1024", "G 64 to 32, 4 x 4"]
    assert list(found)[-1] == "D 1024 to 1" and len(found) == 4 + 3
    for layer, x in (found["G 64 to 32, 4 x 4"], found["D 1024 to 1"]):
        with FlopCounterMode(display=False) as counter:
            layer(x)
        operations, seconds = pictures.passes(layer, x, torch.float32)
        assert operations == counter.get_total_flops() and len(seconds) == 3
        assert isinstance(layer, nn.Module) and min(seconds) >= 0
