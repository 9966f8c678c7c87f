"""Scatters and densities: what is drawn of vectors, and the real data beside them."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ganforge import recipes
from ganforge.data import load, toy
from ganforge.errors import DataError
from ganforge.plotting import overview, points, style
from ganforge.plotting.points import Truth
from ganforge.rng import Stream
from ganforge.runs.samples import moments
from tests.helpers.drawn import line, opened, vector_run


def test_scatter_draws_as_many_real_points_as_generated_ones() -> None:
    real = toy.LAWS["gaussian"].sample(1000, Stream(0, "test/real"))
    fake = toy.LAWS["gaussian"].sample(100, Stream(0, "test/fake"))
    figure = points.vectors(real, fake)
    axes = figure.axes[0]
    drawn = [np.asarray(c.get_offsets()) for c in axes.collections]
    assert [len(d) for d in drawn] == [100, 100]
    assert drawn[0] == pytest.approx(real[:100]) and drawn[1] == pytest.approx(fake)
    assert axes.get_aspect() == 1
    assert [t.get_text() for t in axes.get_legend().get_texts()] == ["real", "generated"]
    assert opened(style.png(figure)).size == (1200, 1120)


def test_ellipses_are_two_standard_deviations() -> None:
    law = toy.LAWS["gaussian"]
    values = law.sample(200_000, Stream(0, "test/ellipse"))
    ellipse = points.ellipse(values.astype(float), style.REAL)
    variance, axis = np.linalg.eigh(law.covariance)
    assert ellipse.width == pytest.approx(4 * math.sqrt(variance[1]), rel=0.01)
    assert ellipse.height == pytest.approx(4 * math.sqrt(variance[0]), rel=0.01)
    direction = math.degrees(math.atan2(axis[1, 1], axis[0, 1])) % 180
    assert ellipse.angle % 180 == pytest.approx(direction, abs=0.5)
    assert ellipse.center == pytest.approx(law.mean, abs=0.02)
    real, fake = values[:500], values[500:900]
    for single in (True, False):
        axes = style.add_axes(style.page(500), 0, 0, 400, 400)
        points.draw(axes, fake, Truth(2, points.extent(real, fake), real, single=single))
        assert len(axes.patches) == 2 * single
        assert axes.get_xlabel() == "ellipses: 2 standard deviations" * single
        assert not axes.texts  # inside the axes a text can lie on a point
    assert not points.vectors(real, fake).axes[0].patches


def test_points_far_away_are_counted_and_do_not_set_the_limits() -> None:
    real = np.random.default_rng(0).normal(size=(500, 2))
    fake = np.concatenate([real[:100], [[1e6, 0]] * 3, [[math.nan, 0]]])
    figure = points.vectors(real, fake)
    assert figure.axes[0].get_xlim()[1] < 20
    assert figure.axes[0].texts[0].get_text() == "3 outside"


def test_a_collapsed_generator_can_be_drawn() -> None:
    one = np.ones((50, 2))
    assert opened(style.png(points.vectors(None, one))).size == (1200, 1120)
    assert opened(style.png(points.vectors(None, one[:, :1]))).size == (1200, 720)
    assert opened(style.png(points.vectors(None, one[:1]))).size == (1200, 1120)


@pytest.mark.parametrize("features", [1, 2, 5])
def test_points_draws_vectors_of_any_length(features: int) -> None:
    values = np.random.default_rng(0).normal(size=(60, features)).astype(np.float32)
    size = (1200, 720) if features == 1 else (1200, 1120)
    assert opened(style.png(points.vectors(None, values))).size == size
    assert style.png(points.vectors(None, values)) == style.png(points.vectors(None, values))
    assert style.png(points.vectors(None, values)) != style.png(points.vectors(values, None))


def test_nothing_finite_is_an_error() -> None:
    with pytest.raises(DataError, match="no point is finite"):
        points.vectors(None, np.full((4, 2), np.nan))


def test_kernel_density_integrates_to_one_and_finds_both_modes() -> None:
    law = toy.LAWS["mixture1d"]
    values = law.sample(5000, Stream(0, "test/kernel"))
    x = np.linspace(-5, 5, 1001)
    p = points.kernel_density(values, x)
    assert np.trapezoid(p, x) == pytest.approx(1, abs=1e-3)
    assert np.abs(p - np.exp(law.log_density(x[:, None]))).max() < 0.05


def test_density_shows_the_law_the_samples_and_d() -> None:
    law = toy.LAWS["mixture1d"]
    fake = law.sample(500, Stream(0, "test/fake"))
    real = law.sample(500, Stream(0, "test/real"))
    exact = Truth(1, points.extent(real, fake), real, lambda x: np.exp(law.log_density(x)))
    figure = style.page(560, 600)
    axes = [style.add_axes(figure, 60, top, 480, 200) for top in (50, 340)]
    points.draw(axes[0], fake, exact)
    points.draw_discriminator(axes[1], fake, exact, lambda x: np.full(len(x), 0.25))
    x, p = line(figure, 0, "data").get_data()
    assert p == pytest.approx(np.exp(law.log_density(x[:, None])))
    assert line(figure, 0, "generated").get_ydata() == pytest.approx(points.kernel_density(fake, x))
    assert set(line(figure, 1, "D(x)").get_ydata()) == {0.25}
    best = figure.axes[1].lines[0].get_ydata()
    q = points.kernel_density(fake, x)
    middle = p + q > 0.1
    assert best[middle] == pytest.approx((p / (p + q))[middle])


def test_only_the_runs_own_data_count_as_real(tmp_path: Path) -> None:
    run = vector_run(tmp_path / "run", recipes.gaussian())
    newest = moments(run)[-1].points()
    known = points.truth(run, newest)
    assert known.real is not None and known.single and known.density is not None
    data = load.load("gaussian").values
    assert sorted(known.real[:, 0]) == pytest.approx(sorted(data[:, 0].astype(float)))
    run.write_info(data_sha256="of other data")
    assert points.truth(run, newest).real is None
    assert opened(overview.overview(run)).size == (2000, 1680)


def test_modes_are_not_described_by_an_ellipse(tmp_path: Path) -> None:
    run = vector_run(tmp_path / "run", replace(recipes.gaussian(), data="ring"))
    assert not points.truth(run, moments(run)[-1].points()).single
