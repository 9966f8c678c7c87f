"""Precision, recall, density and coverage against a brute-force reading of their definitions."""

import numpy as np
import pytest
import torch

from ganforge.errors import UsageError
from ganforge.evaluation import distances
from ganforge.evaluation.distances import centred, kth, nearest
from ganforge.evaluation.metrics.neighbours import prdc

G = np.random.default_rng(0)


def brute_prdc(real, fake, k_precision, k_density):
    """As in Naeem et al. 2020, with every distance written out."""

    def table(a, b):
        return np.sqrt(np.square(a[:, None] - b[None]).sum(-1))

    def radius(x, k):
        return np.sort(table(x, x), axis=1)[:, k]  # column 0 is the example itself

    d = table(real, fake)
    ball = radius(real, k_density)[:, None]
    return (
        (d < radius(real, k_precision)[:, None]).any(0).mean(),
        (d < radius(fake, k_precision)[None]).any(1).mean(),
        (d < ball).sum(0).mean() / k_density,
        (d.min(1) < ball[:, 0]).mean(),
    )


@pytest.mark.parametrize("shift", [0.0, 0.7, 5.0])
@pytest.mark.parametrize("block", [200, 10_000_000])
def test_against_brute_force_whatever_the_block(shift, block, monkeypatch):
    monkeypatch.setattr(distances, "ENTRIES", block)
    real = G.normal(size=(90, 6)) + 100
    fake = G.normal(size=(80, 6)) * 0.8 + 100 + shift
    out = prdc(real, fake)
    expected = brute_prdc(real, fake, 3, 5)
    assert (out.precision, out.recall, out.density, out.coverage) == pytest.approx(expected)


def test_perfect_samples_cover_one_minus_two_to_the_minus_k():
    out = prdc(G.normal(size=(2000, 4)), G.normal(size=(2000, 4)))
    assert out.coverage == pytest.approx(1 - 2**-5, abs=0.02)
    assert out.density == pytest.approx(1, abs=0.1)


def test_too_few_examples():
    with pytest.raises(UsageError, match="at least 6"):
        prdc(np.zeros((5, 2)), np.zeros((9, 2)))


def test_kth_and_nearest_against_sorting():
    x, y = centred(G.normal(size=(50, 3)) + 1e3, G.normal(size=(70, 3)) + 1e3)
    table = torch.cdist(x, x).sort(1).values
    assert torch.allclose(kth(x, (1, 4)).sqrt(), table[:, [1, 4]].T, atol=1e-9)
    index, distance = nearest(x, y)
    exact = torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")
    assert (index == exact.argmin(1).numpy()).all()
    assert distance == pytest.approx(exact.min(1).values.numpy())


def test_a_copy_is_at_distance_zero_and_may_be_left_out():
    (x,) = centred(G.normal(size=(40, 3)))
    index, distance = nearest(x, x)
    assert (index == np.arange(40)).all() and (distance == 0).all()
    index, distance = nearest(x, x, exclude=np.arange(40))
    assert (index != np.arange(40)).all() and (distance > 0).all()
