"""Mode counts on samples whose histogram is known."""

import math

import numpy as np
import pytest
import scipy.stats

from ganforge.evaluation.metrics.modes import (
    count_classes,
    count_modes,
    count_stacked,
    from_histogram,
    grid,
    ring,
)

G = np.random.default_rng(0)


def drawn(mixture, which, noise):
    return (mixture.centres[which] + noise * mixture.sigma).astype("f4")


def test_the_published_mixtures():
    assert ring().centres.shape == (8, 2) and ring().sigma == 0.01
    assert np.allclose(np.linalg.norm(ring().centres, axis=1), 1)
    assert sorted(set(grid().centres.ravel())) == [-4, -2, 0, 2, 4]
    assert len(grid().centres) == 25 and grid().sigma == 0.05


@pytest.mark.parametrize("mixture", [ring(), grid()])
def test_a_perfect_sampler(mixture):
    k = len(mixture.centres)
    out = count_modes(drawn(mixture, G.integers(0, k, 20_000), G.normal(size=(20_000, 2))), mixture)
    assert out.covered == out.heavy == k
    assert out.high_quality == pytest.approx(1 - math.exp(-4.5), abs=0.003)  # 98.89 %
    assert out.reverse_kl == pytest.approx(out.kl_floor, abs=6 * out.kl_floor)


def test_a_known_histogram():
    which = np.array([0] * 600 + [1] * 300 + [2] * 20 + [3])
    out = count_modes(drawn(ring(), which, np.zeros((len(which), 2))), ring())
    assert out.covered == 4
    assert out.heavy == 2  # 20 of 921 is less than 1/24
    uniform = np.full(8, 1 / 8)
    p = np.bincount(which, minlength=8) / len(which)
    assert out.reverse_kl == pytest.approx(scipy.stats.entropy(p, uniform))


def test_three_sigma_is_the_border():
    inside, outside = np.array([[1 + 0.0299, 0]]), np.array([[1 + 0.0301, 0]])
    assert count_modes(inside, ring()).high_quality == 1
    assert count_modes(outside, ring()).high_quality == 0


def test_no_good_sample_has_no_histogram():
    out = count_modes(np.full((200, 2), 9.0), ring())
    assert (out.covered, out.heavy, out.high_quality) == (0, 0, 0)
    assert math.isnan(out.reverse_kl)


def test_floor_of_the_kl():
    values = [count_classes(G.integers(0, 10, 500), 10).reverse_kl for _ in range(300)]
    assert np.mean(values) == pytest.approx(9 / 1000, rel=0.1)


def test_stacked_digits_have_a_thousand_modes():
    digits = np.stack(np.meshgrid(*[np.arange(10)] * 3, indexing="ij"), -1).reshape(-1, 3)
    out = count_stacked(digits)
    assert (out.covered, out.modes) == (1000, 1000)
    assert out.reverse_kl == pytest.approx(0)
    assert count_stacked(digits[:, [0, 0, 0]]).covered == 10


def test_a_mode_is_heavy_from_a_third_of_its_share_on():
    found = from_histogram(np.array([10, 9, 50, 51]), 120)  # a share is 30, a third of it 10
    assert (found.covered, found.heavy) == (4, 3)


def test_modes_with_one_sample_are_counted():
    found = from_histogram(np.array([40, 1, 0, 1, 58]), 100)
    assert (found.covered, found.single, found.heavy) == (4, 2, 2)
