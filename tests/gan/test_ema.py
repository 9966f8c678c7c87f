"""The averaged generator, by hand."""

import copy

import pytest
import torch
from torch import nn

from ganforge.gan import ema


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
