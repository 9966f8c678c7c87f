"""Residual players: another reading of every layer, their weights, and the gradient penalty."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ganforge import recipes
from ganforge.config.schema import Config, Noise
from ganforge.data.spec import DataSpec
from ganforge.errors import UsageError
from ganforge.gan import schedules
from ganforge.gan.adversarial import Adversarial
from ganforge.gan.batch import Batch, RandomInputs
from ganforge.gan.penalties import GradientPenalty
from ganforge.gan.step import steps_for
from ganforge.nets import Init
from ganforge.nets.resnet import Block, Discriminator, Generator, ResNet
from tests.helpers.tiny import StopAfter, data_for, fp64_state, newest, normal, run, shortened

SPEC = DataSpec((3, 16, 16))


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def doubled(x: Tensor) -> Tensor:
    return x.repeat_interleave(2, 2).repeat_interleave(2, 3)


def halved(x: Tensor) -> Tensor:
    return (x[..., ::2, ::2] + x[..., 1::2, ::2] + x[..., ::2, 1::2] + x[..., 1::2, 1::2]) / 4


def layer_norm(x: Tensor, layer: nn.Module) -> Tensor:
    """Over all channels and pixels of an example; a gain and a bias for each channel."""
    flat = x.flatten(1)
    centred = flat - flat.mean(1, keepdim=True)
    scaled = centred / (centred.square().mean(1, keepdim=True) + 1e-5).sqrt()
    gain, bias = (p.view(1, -1, 1, 1) for p in (layer.weight, layer.bias))
    return scaled.view_as(x) * gain + bias


def by_hand(block: Block, x: Tensor, up: bool, down: bool, first: bool = False) -> Tensor:
    """A block as published: the shortcut convolves the larger picture."""
    convolutions = [m for m in block.residual if isinstance(m, nn.Conv2d)]
    norms = [m for m in block.residual if isinstance(m, nn.GroupNorm)]
    shortcut = [m for m in block.shortcut if isinstance(m, nn.Conv2d)]
    h = x
    if not first:
        h = layer_norm(h, norms[0]) if norms else h
        h = h.relu()
    h = doubled(h) if up else h
    h = F.conv2d(h, convolutions[0].weight, convolutions[0].bias, padding=1)
    h = layer_norm(h, norms[-1]) if norms else h
    h = F.conv2d(h.relu(), convolutions[1].weight, convolutions[1].bias, padding=1)
    x = doubled(x) if up else x
    for one in shortcut:
        x = F.conv2d(x, one.weight, one.bias)
    return (halved(x) if down else x) + (halved(h) if down else h)


@pytest.mark.parametrize("norm", ["none", "layer"])
@pytest.mark.parametrize("pool", ["mean", "sum"])
def test_the_critic_is_that_of_the_paper(norm: str, pool: str) -> None:
    config = ResNet(5, 4, discriminator_norm=norm, pool=pool)
    d = Discriminator(SPEC, config).double()
    for p in d.parameters():
        nn.init.normal_(p, 0.1, 0.4)
    x = normal("x", 3, 3, 16, 16)
    h = x
    for block, down in zip(d.body, (True, True, False, False), strict=True):
        h = by_hand(block, h, False, down, first=block is d.body[0])
    features = h.relu().sum((2, 3)) / (1 if pool == "sum" else 16)
    logits = features @ d.out.linear.weight[0] + d.out.linear.bias
    torch.testing.assert_close(d(x), logits)


def test_the_generator_is_that_of_the_paper() -> None:
    g = Generator(SPEC, 6, ResNet(5, 4, generator_norm="none")).double()
    z = normal("z", 3, 6)
    h = (z @ g.project.weight.T + g.project.bias).view(3, 5, 2, 2)
    for block in g.body[:3]:
        h = by_hand(block, h, True, False)
    last = g.body[-1]
    wanted = torch.tanh(F.conv2d(h.relu(), last.weight, last.bias, padding=1))
    torch.testing.assert_close(g(z), wanted)


def test_the_sizes_for_cifar_are_the_published_ones() -> None:
    players = recipes.find("wgan-gp").networks(DataSpec((3, 32, 32)), 128)
    counts = {side: sum(p.numel() for p in m.parameters()) for side, m in players.items()}
    square, point = 128 * 128 * 9 + 128, 128 * 128 + 128
    up = 2 * square + point + 2 * 256
    g = 129 * 2048 + 3 * up + 256 + 128 * 27 + 3
    d = (27 * 128 + 128 + square + 4 * 128) + (2 * square + point) + 4 * square + 129
    assert (
        counts
        == {"generator": g, "discriminator": d}
        == {
            "generator": 1_204_483,
            "discriminator": 1_053_825,
        }
    )


def test_fresh_weights() -> None:
    players = ResNet(64, 64)(SPEC, 32)
    for player in players.values():
        for block in (m for m in player.modules() if isinstance(m, Block)):
            for part, gain in ((block.residual, 2.0), (block.shortcut, 1.0)):
                for layer in (m for m in part if isinstance(m, nn.Conv2d)):
                    fan_out, fan_in = (
                        n * layer.weight[0, 0].numel() for n in layer.weight.shape[:2]
                    )
                    fans = fan_in if part is block.residual else (fan_in + fan_out) / 2
                    variance = float(layer.weight.detach().var())
                    assert variance == pytest.approx(gain / fans, rel=0.15)
                    bound = math.sqrt(3 * gain / fans)
                    assert float(layer.weight.detach().abs().max()) <= bound
                    assert not layer.bias.any()


def test_he_draws_no_biases() -> None:
    with pytest.raises(UsageError, match="biases"):
        Init("he", biases=True)
    module = nn.Sequential(nn.Linear(400, 300), nn.BatchNorm1d(300))
    Init("he").apply(module)
    assert float(module[0].weight.detach().var()) == pytest.approx(2 / 400, rel=0.05)
    assert not module[0].bias.any() and bool((module[1].weight == 1).all())


@pytest.mark.parametrize("norm", ["none", "layer", "spectral"])
def test_each_example_is_judged_by_itself(norm: str) -> None:
    d = ResNet(4, 4, discriminator_norm=norm)(SPEC, 4)["discriminator"].double()
    x = normal("x", 4, 3, 16, 16)
    together = d(x)
    for i in range(4):
        torch.testing.assert_close(d(x[i : i + 1])[0], together[i])


@pytest.mark.parametrize("norm", ["none", "layer"])
def test_the_penalty_can_be_descended(norm: str) -> None:
    """Its derivative in every tensor of the critic is that of differences."""
    game = Adversarial("wasserstein", penalties=(GradientPenalty(10.0),))
    config = Config("test", ResNet(3, 3, discriminator_norm=norm), game, noise=Noise(4))
    st = fp64_state(config, DataSpec((1, 8, 8)))
    d = st.players.discriminator
    batch = Batch(normal("real", 4, 1, 8, 8), fake=normal("fake", 4, 1, 8, 8))
    inputs = RandomInputs(normal("z", 4, 4), extra={"epsilon": normal("e", 4, 1).sigmoid()})

    def paid() -> Tensor:
        return game.penalties[0](st.players, batch, inputs, {})[0].sum()

    parameters = [p for n, p in d.named_parameters() if n.endswith("weight")]
    gradients = torch.autograd.grad(paid(), parameters)
    for p, gradient in zip(parameters, gradients, strict=True):
        way = torch.randn_like(p)
        values = []
        for size in (1e-6, -1e-6):
            with torch.no_grad():
                p.add_(size * way)
            values.append(paid().item())
            with torch.no_grad():
                p.sub_(size * way)
        slope = (values[0] - values[1]) / 2e-6
        assert slope == pytest.approx((gradient * way).sum().item(), rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("spec", [DataSpec((1, 28, 28)), DataSpec((2,), 0, "float32", False)])
def test_other_sizes_are_refused(spec: DataSpec) -> None:
    with pytest.raises(UsageError, match="multiples of 8"):
        ResNet()(spec, 4)


@pytest.mark.parametrize("bad", [{"discriminator_norm": "batch"}, {"generator_norm": "layer"},
                                 {"pool": "max"}, {"generator_width": 0}])  # fmt: skip
def test_out_of_range(bad: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        ResNet(**bad)  # type: ignore[arg-type]


def test_the_budget_and_the_rates_are_the_published_ones() -> None:
    config = recipes.find("wgan-gp")
    steps = steps_for(config.images(50_000), config.batch, config.game)
    assert (steps, config.game.d_steps) == (100_000, 5)
    rates = [schedules.hyperparameters(config, s, steps).rates for s in (0, 50_000, 99_999)]
    assert [r["generator"] for r in rates] == pytest.approx([2e-4, 1e-4, 2e-9])
    assert rates[1]["generator"] == rates[1]["discriminator"]


@pytest.mark.parametrize("norm", ["none", "layer"])
def test_a_resumed_run_is_the_run(norm: str, tmp_path: Path) -> None:
    config = shortened(recipes.find("wgan-gp"), 4)
    config = replace(config, networks=replace(config.networks, discriminator_norm=norm), ema=0.9)
    data = data_for(config, count=16)
    run(config, tmp_path / "whole", data)
    assert run(config, tmp_path / "parts", data, StopAfter(2))[-1].step == 2
    assert run(config, tmp_path / "parts", data)[-1].step == 4
    whole, parts = newest(tmp_path / "whole"), newest(tmp_path / "parts")
    for name, tensor in whole.items():
        assert np.array_equal(tensor.numpy(), parts[name].numpy()), name
