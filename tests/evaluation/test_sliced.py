"""Sliced Wasserstein distance against POT and a closed form."""

import numpy as np
import ot
import pytest

from ganforge.evaluation.metrics.sliced import random_directions, sliced_wasserstein

G = np.random.default_rng(0)
X, Y = G.normal(size=(60, 4)), G.normal(size=(60, 4)) + 0.5


def test_sliced_wasserstein_against_pot():
    u = random_directions(4, 0, 200)
    assert np.linalg.norm(u, axis=1) == pytest.approx(np.ones(200))
    value = sliced_wasserstein(X, Y, u)
    expected = ot.sliced_wasserstein_distance(X, Y, projections=u.T.astype("f8"), p=2)
    assert value == pytest.approx(float(expected), rel=1e-6)


def test_sliced_wasserstein_of_a_shift():
    u = random_directions(3, 1, 4000)
    shift = np.array([3.0, 0.0, 0.0])
    value = sliced_wasserstein(X[:, :3], X[:, :3] + shift, u)
    assert value == pytest.approx(np.sqrt(9 / 3), rel=0.02)  # E (u.s)^2 = |s|^2 / F
