"""Toy laws: exact densities against SciPy and quadrature, moments, and the law of positions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, stats

from ganforge.data import toy
from ganforge.rng import Stream

NAMES = list(toy.LAWS)


@pytest.mark.parametrize("name", NAMES)
def test_samples_have_the_documented_shape_and_depend_on_position_only(name: str) -> None:
    law = toy.LAWS[name]
    x = law.sample(100, Stream(3, "a"))
    assert x.shape == (100, law.features) and x.dtype == np.float32
    again = Stream(3, "a")
    later = law.sample(30, again, first=70)
    assert np.array_equal(later, x[70:])
    assert np.array_equal(law.sample(1, again, first=5), x[5:6])
    assert not np.array_equal(law.sample(100, Stream(4, "a")), x)
    assert not np.array_equal(law.sample(100, Stream(3, "b")), x)


@pytest.mark.parametrize("name", NAMES)
def test_moments_of_samples_are_the_exact_ones(name: str) -> None:
    law = toy.LAWS[name]
    n = 200_000
    x = law.sample(n, Stream(0, "moments")).astype(np.float64)
    scale = np.sqrt(np.diag(law.covariance))
    assert np.all(np.abs(x.mean(0) - law.mean) < 5 * scale / np.sqrt(n))
    spread = 5 * np.outer(scale, scale) * np.sqrt(2 / n)
    assert np.all(np.abs(np.cov(x.T).reshape(law.covariance.shape) - law.covariance) < spread)


@pytest.mark.parametrize("name", NAMES)
def test_densities_integrate_to_one(name: str) -> None:
    law = toy.LAWS[name]
    reach = 6 * np.sqrt(np.diag(law.covariance)) if name == "gaussian" else None
    total = _integral(law, reach)
    assert total == pytest.approx(1, abs=2e-3)


def _integral(law: toy.Law, reach: np.ndarray | None) -> float:
    """The integral of the density, on a fine lattice around what it is made of."""
    if law.features == 1:
        return float(integrate.quad(lambda v: np.exp(law.log_density([[v]]))[0], -8, 8)[0])
    if reach is None:
        assert isinstance(law, toy.Mixture)
        step = law.sigma / 2
        around = np.arange(-12, 13) * step
        cells = {
            (round(m[0] / step) + i, round(m[1] / step) + j)
            for m in law.means[:: 1 if law.separate else 3]
            for i in range(len(around))
            for j in range(len(around))
        }
        cells = {(a - 12, b - 12) for a, b in cells}
        points = np.array(sorted(cells)) * step
        return float(np.exp(law.log_density(points)).sum() * step**2)
    axes = [np.linspace(m - r, m + r, 400) for m, r in zip(law.mean, reach, strict=True)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 2)
    cell = np.prod([a[1] - a[0] for a in axes])
    return float(np.exp(law.log_density(points)).sum() * cell)


def test_gaussian_is_the_published_one() -> None:
    law = toy.LAWS["gaussian"]
    assert np.allclose(law.covariance, [[1.01, 1.95], [1.95, 4.25]])
    assert np.allclose(law.mean, [1, 2])
    x = law.sample(50, Stream(0, "x"))
    oracle = stats.multivariate_normal(law.mean, law.covariance).logpdf(x)
    assert np.allclose(law.log_density(x), oracle, atol=1e-9)
    assert law.modes is None and law.sigma is None


@pytest.mark.parametrize("name", ["ring", "grid", "spirals", "mixture1d"])
def test_mixtures_against_scipy(name: str) -> None:
    law = toy.LAWS[name]
    assert isinstance(law, toy.Mixture)
    x = law.sample(200, Stream(0, "x")).astype(np.float64)
    weights = law.weights or (1 / len(law.means),) * len(law.means)
    eye = law.sigma**2 * np.eye(law.features)
    p = sum(
        w * stats.multivariate_normal(m, eye).pdf(x).reshape(-1)
        for w, m in zip(weights, law.means, strict=True)
    )
    assert np.allclose(law.log_density(x), np.log(p), atol=1e-9)
    assert law.log_density(x).dtype == np.float64
    assert np.isfinite(law.log_density(np.full((1, law.features), 1e3))).all()


def test_modes_are_the_published_ones_and_equally_likely() -> None:
    ring, grid = toy.LAWS["ring"], toy.LAWS["grid"]
    assert ring.modes is not None and grid.modes is not None
    assert ring.modes.shape == (8, 2) and ring.sigma == 0.01
    assert np.allclose(np.linalg.norm(ring.modes, axis=1), 1)
    assert grid.modes.shape == (25, 2) and grid.sigma == 0.05
    assert {tuple(m) for m in grid.modes.tolist()} == {
        (x, y) for x in (-4, -2, 0, 2, 4) for y in (-4, -2, 0, 2, 4)
    }
    for law, modes in ((ring, ring.modes), (grid, grid.modes)):
        x = law.sample(50_000, Stream(0, "x"))
        gaps = np.linalg.norm(x[:, None] - modes, axis=2)
        counts = np.bincount(gaps.argmin(1), minlength=len(modes))
        assert stats.chisquare(counts).pvalue > 1e-3
        # Within 3 sigma in two dimensions: 1 - exp(-4.5) = 98.89 %.
        assert (gaps.min(1) < 3 * law.sigma).mean() == pytest.approx(0.9889, abs=0.003)


def test_spirals_have_no_separate_modes_and_two_symmetric_arms() -> None:
    law = toy.LAWS["spirals"]
    assert law.modes is None
    assert isinstance(law, toy.Mixture)
    means = np.array(law.means)
    assert np.allclose(means[:200], -means[200:])
    gaps = np.linalg.norm(np.diff(means[:200], axis=0), axis=1)
    assert gaps.max() < 2 * law.sigma


@pytest.mark.parametrize("name", NAMES)
def test_parts_are_fresh_draws_of_fixed_size(name: str) -> None:
    train = toy.draws(name, "train", 0)
    assert len(train) == toy.TRAIN[name]
    test = toy.draws(name, "test", 0)
    assert len(test) == toy.HELD_OUT
    assert not np.array_equal(train[:500], test[:500])
    assert np.array_equal(toy.draws(name, "train", 0), train)
    assert not np.array_equal(toy.draws(name, "train", 1), train)
