"""The training of a classifier that judges: its rates and its batches."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ganforge.evaluation.judges import BATCH, batches


def test_the_rate_rises_for_a_fifth_and_falls_to_0_as_a_cosine() -> None:
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
    rates = [optimiser.param_groups[0]["lr"] for _ in batches(optimiser, 0, 1000, 100)]
    t = np.arange(1, 101) / 100
    falling = 0.25 * (1 + np.cos(np.pi * (t - 0.2) / 0.8))
    assert rates == pytest.approx(np.where(t < 0.2, 0.5 * t / 0.2, falling), abs=1e-12)
    assert max(rates) == rates[19] == 0.5


def test_every_row_is_in_one_batch_of_an_epoch() -> None:
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
    drawn = [rows for _, rows in batches(optimiser, 3, 4 * BATCH, 8)]
    first, second = torch.cat(drawn[:4]), torch.cat(drawn[4:])
    assert sorted(first.tolist()) == sorted(second.tolist()) == [*range(4 * BATCH)]
    assert not torch.equal(first, second)
    (small,) = (rows for _, rows in batches(optimiser, 3, 10, 1))
    assert sorted(small.tolist()) == [*range(10)]
