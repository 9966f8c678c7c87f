"""The averaged generator, by hand."""

import copy
import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from ganforge import recipes
from ganforge.config import Average
from ganforge.gan import ema, schedules, state, step
from ganforge.gan.step import StepOptions
from tests.helpers.tiny import KNOBS, batches, toy, turns


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


def test_parameters_are_averaged_and_buffers_copied() -> None:
    model = network()
    average = copy.deepcopy(model).requires_grad_(False)
    start = [p.clone() for p in average.parameters()]
    expected = [p.detach().double() for p in start]
    for i in range(5):
        with torch.no_grad():
            for p in model.parameters():
                p.add_(torch.full_like(p, 0.1 * (i + 1)))
        model(torch.linspace(-2, 3, 24).view(8, 3) + i)  # moves the running statistics
        before = [p.detach().clone() for p in model.parameters()]
        ema.update(average, model, 0.9)
        expected = [
            0.9 * e + 0.1 * p.detach().double()
            for e, p in zip(expected, model.parameters(), strict=True)
        ]
        for a, e in zip(average.parameters(), expected, strict=True):
            assert torch.allclose(a.double(), e, atol=1e-6)
        for a, b in zip(average.buffers(), model.buffers(), strict=True):
            assert torch.equal(a, b)  # exact, the integer counter too
            assert a is not b
        assert all(torch.equal(a, p) for a, p in zip(before, model.parameters(), strict=True))
    assert all(not p.requires_grad for p in average.parameters())
    assert dict(average.named_buffers())["1.num_batches_tracked"].item() == 5


@pytest.mark.parametrize(("decay", "share"), [(0.0, 1.0), (1.0, 0.0), (0.5, 0.5)])
def test_the_share_of_the_newest(decay: float, share: float) -> None:
    average, model = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        average.weight.fill_(2.0)
        model.weight.fill_(6.0)
    ema.update(average, model, decay)
    assert average.weight.item() == pytest.approx(2 + 4 * share)


def test_the_average_forgets_the_random_start() -> None:
    assert ema.decay_at(0.999, 0) == pytest.approx(0.1)
    assert ema.decay_at(0.999, 90) == pytest.approx(0.91)
    assert ema.decay_at(0.999, 10**6) == 0.999
    assert ema.decay_at(0.0, 5) == 0.0
    decays = [ema.decay_at(0.99, i) for i in range(2000)]
    assert decays == sorted(decays)


def test_strides_survive() -> None:
    model = nn.Conv2d(4, 8, 3).to(memory_format=torch.channels_last)
    average = copy.deepcopy(model)
    with torch.no_grad():
        model.weight.normal_()
    ema.update(average, model, 0.0)
    assert average.weight.stride() == model.weight.stride()
    assert torch.equal(average.weight, model.weight)


def test_modules_without_parameters_will_do() -> None:
    ema.update(nn.Identity(), nn.Identity(), 0.9)


@pytest.mark.parametrize(
    ("step", "plain", "warm"),
    [(0, 0.9, 0.1), (1, 0.9, 2 / 11), (100, 0.9, 0.9), (79, 0.9, 80 / 89), (10**9, 0.9, 0.9)],
)
def test_a_decay_without_and_with_warm_up(step: int, plain: float, warm: float) -> None:
    assert ema.decay_at(Average(decay=0.9), step, 64) == plain
    assert ema.decay_at(Average(decay=0.9, warmup=True), step, 64) == warm
    assert ema.decay_at(0.9, step, 64) == warm


@pytest.mark.parametrize(
    ("step", "half"), [(0, 1e-8), (1, 3.2), (100, 320.0), (156, 499.2), (157, 500.0), (10**7, 500)]
)
def test_a_half_life_in_images(step: int, half: float) -> None:
    """64 images a step; with a ramp it is 5 % of the images seen, up to 500."""
    found = ema.decay_at(Average(half_life=500, ramp_up=0.05), step, 64)
    assert found == pytest.approx(math.exp(-math.log(2) * 64 / half), rel=1e-12, abs=1e-300)
    constant = ema.decay_at(Average(half_life=500), step, 64)
    assert constant == pytest.approx(2 ** (-64 / 500), rel=1e-12)
    assert constant ** (500 / 64) == pytest.approx(0.5)


def test_the_average_starts_at_its_start() -> None:
    """It equals the generator before; the warm-up begins there."""
    late = Average(decay=0.9, start=5)
    assert [ema.decay_at(late, s) for s in range(3, 8)] == [0, 0, 0.9, 0.9, 0.9]
    warm = replace(late, warmup=True)
    assert [ema.decay_at(warm, s) for s in (4, 5, 6, 1000)] == [0, 0.1, 2 / 11, 0.9]
    average, model = network(), network()
    ema.update(average, model, ema.decay_at(late, 4))
    for a, b in zip(average.parameters(), model.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("recorded", [False, True])
def test_batch_statistics_are_averaged_or_copied(recorded: bool) -> None:
    model = network().double()
    average = copy.deepcopy(model).requires_grad_(False)
    model(torch.linspace(-2, 3, 24).double().view(8, 3))
    before, now = dict(copy.deepcopy(average).named_buffers()), dict(model.named_buffers())
    decay = torch.tensor(0.75, dtype=torch.float64) if recorded else 0.75
    ema.update(average, model, decay, statistics=True)
    found = dict(average.named_buffers())
    for name in ("1.running_mean", "1.running_var"):
        assert not torch.equal(before[name], now[name])
        torch.testing.assert_close(found[name], 0.75 * before[name] + 0.25 * now[name])
    assert found["1.num_batches_tracked"] == 1  # a count is copied
    for a, b in zip(average.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(a, b)
    ema.update(average, model, decay)
    assert all(torch.equal(b, now[name]) for name, b in average.named_buffers())


def test_directions_of_spectral_norm_are_copied() -> None:
    """The mean of two unit vectors is none."""
    model = nn.Module()
    model.register_buffer("u", torch.tensor([1.0, 0.0]))
    average = copy.deepcopy(model)
    model.get_buffer("u").copy_(torch.tensor([0.0, 1.0]))
    ema.update(average, model, 0.5, statistics=True)
    assert torch.equal(average.get_buffer("u"), model.get_buffer("u"))


def test_images_are_those_of_the_generators_updates() -> None:
    """The global batch at each: neither pieces of it nor turns of D count."""
    config = replace(recipes.gaussian(), batch=8, ema=Average(half_life=100))

    def decay(**changes: int) -> object:
        game = replace(config.game, **{k: v for k, v in changes.items() if k != "micro_batch"})
        varied = replace(config, game=game, micro_batch=changes.get("micro_batch", 0))
        return schedules.hyperparameters(varied, 3, 10).ema

    assert decay() == pytest.approx(0.5 ** (8 / 100))
    assert decay(d_steps=5) == decay(micro_batch=2) == decay()
    assert decay(g_steps=2) == pytest.approx(0.5 ** (16 / 100))


def test_a_step_averages_the_statistics_if_the_config_does() -> None:
    for buffers in ("copy", "average"):
        st, game = toy(generator_norm="batch")
        st.average = copy.deepcopy(st.players.generator).requires_grad_(False)
        old = copy.deepcopy(st.average)
        config = replace(recipes.gaussian(), ema=Average(decay=0.75, buffers=buffers))
        said = schedules.hyperparameters(config, 0, 10)
        hyper = replace(KNOBS, ema=said.ema, average_statistics=said.average_statistics)
        step.step(st, game, batches(game, 6, 2), turns(game, 6, 3), hyper, StepOptions())
        share = 0.75 if buffers == "average" else 0.0
        now, seen = dict(st.players.generator.named_buffers()), 0
        for (name, before), found in zip(old.named_buffers(), st.average.buffers(), strict=True):
            if name.endswith("running_mean"):
                torch.testing.assert_close(found, share * before + (1 - share) * now[name])
                seen += 1
        assert seen and state.sampling_model(st) is st.average
