"""Parzen log-likelihoods against scikit-learn."""

import numpy as np
import pytest
from sklearn.neighbors import KernelDensity

from ganforge.evaluation.metrics.parzen import SIGMAS, log_likelihoods, parzen

G = np.random.default_rng(0)


@pytest.mark.parametrize("sigma", [0.1, 1.0])
def test_parzen_against_scikit_learn(sigma):
    centres, points = G.uniform(size=(200, 7)), G.uniform(size=(30, 7))
    expected = KernelDensity(bandwidth=sigma).fit(centres).score_samples(points)
    assert log_likelihoods(centres, points, sigma) == pytest.approx(expected)


def test_sigma_is_chosen_on_validation_alone():
    centres, test = G.uniform(size=(300, 2)), G.uniform(size=(100, 2))
    near = centres[:50] + 1e-3
    out = parzen(centres, near, test)
    assert out.sigma == pytest.approx(SIGMAS[0])
    logs = log_likelihoods(centres, test, out.sigma)
    assert out.mean == pytest.approx(logs.mean())
    assert out.error == pytest.approx(logs.std(ddof=1) / 10)


def test_sigma_is_the_best_of_ten():
    g = np.random.default_rng(5)
    centres, validation, test = (g.normal(size=(n, 3)) / 3 for n in (40, 80, 60))
    fits = [KernelDensity(bandwidth=s).fit(centres).score(validation) for s in SIGMAS]
    out = parzen(centres, validation, test)
    assert 0 < np.argmax(fits) < len(SIGMAS) - 1
    assert out.sigma == SIGMAS[np.argmax(fits)]
    assert out.mean == pytest.approx(
        KernelDensity(bandwidth=out.sigma).fit(centres).score(test) / len(test)
    )
