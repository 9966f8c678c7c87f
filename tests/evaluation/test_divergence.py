"""The divergence against its known value between Gaussians."""

import math

import numpy as np
import pytest

from ganforge.errors import UsageError
from ganforge.evaluation.judges import HeldOut, discriminate
from ganforge.evaluation.metrics.divergence import divergence

G = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("shift", "truth"), [(0.0, -1.3863), (0.5, -1.3257), (1.0, -1.1635), (3.0, -0.3327)]
)
def test_divergence_between_gaussians(shift, truth):
    real = G.normal(size=(6000, 1)).astype("f4")
    fake = (G.normal(size=(6000, 1)) + shift).astype("f4")
    out = divergence(discriminate(real, fake, 0))
    assert out.c == pytest.approx(truth, abs=max(4 * out.error, 0.01))
    assert out.jsd == pytest.approx((out.c + math.log(4)) / 2)


def test_divergence_of_the_best_discriminator_is_exact():
    x, y = G.normal(size=400_000), G.normal(size=400_000) + 1
    out = divergence(HeldOut(0.5 - x, 0.5 - y))
    assert out.c == pytest.approx(-1.1635, abs=4 * out.error)
    assert out.error < 0.002


def test_divergence_of_extreme_logits_is_finite():
    out = divergence(HeldOut(np.array([1e3, -1e3]), np.array([-1e3, 1e3])))
    assert out.c == pytest.approx(-1000)


@pytest.mark.parametrize("size", [1e3, 1e12, 1e30])
def test_what_lies_far_off_is_told_from_the_data(size):
    real, fake = (G.normal(size=(200, 2)).astype("f4") for _ in range(2))
    out = discriminate(real, fake * np.float32(size), 0)
    assert (out.fake < 0).mean() > 0.9 and divergence(out).jsd > 0.3


def test_discriminate_takes_equal_sets():
    with pytest.raises(UsageError, match="equally many"):
        discriminate(np.zeros((30, 1), "f4"), np.zeros((31, 1), "f4"), 0)
