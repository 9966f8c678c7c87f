"""Charts of arrays: which lines, points and levels stand on them."""

import math
from typing import Any

import numpy as np
import pytest

from ganforge.data import toy
from ganforge.errors import DataError
from ganforge.plotting import charts, plots
from ganforge.rng import Stream
from tests.helpers.drawn import line, opened, pixels, record

LOG2 = math.log(2)


# losses


def test_losses_draw_both_curves_and_both_verdicts_against_the_epoch() -> None:
    log = [record(s, loss_d=s / 100, loss_g=4 - s / 100) for s in range(100, 500, 100)]
    figure = plots.losses(log, {"log 2": LOG2})
    left, right = figure.axes
    assert line(figure, 0, "loss of D").get_xydata().tolist() == [[1, 1], [2, 2], [3, 3], [4, 4]]
    assert line(figure, 0, "loss of G").get_ydata().tolist() == [3, 2, 1, 0]
    assert line(figure, 1, "D(real)").get_ydata().tolist() == [0.6] * 4
    assert line(figure, 1, "D(fake)").get_ydata().tolist() == [0.4] * 4
    assert left.get_xlabel() == right.get_xlabel() == "epoch"
    assert [t.get_text() for t in left.texts if t.get_text()] == ["log 2"]
    assert any(x.get_ydata() == [LOG2, LOG2] for x in left.lines if len(x.get_xdata()) == 2)
    low, high = left.get_ylim()
    assert low < 0 and high > 4
    assert opened(plots.png(figure)).size == (2000, 640)


def test_logits_are_drawn_where_d_gives_no_probability() -> None:
    figure = plots.losses([record(100), record(200)], balance=None)
    assert line(figure, 1, "real").get_ydata().tolist() == [0.5, 0.5]
    assert line(figure, 1, "generated").get_ydata().tolist() == [-0.5, -0.5]
    assert figure.axes[1].get_title("left") == "D's mean logit"


def test_many_records_are_smoothed_over_the_raw_ones() -> None:
    log = [record(s, loss_d=float(s % 2)) for s in range(1, 401)]
    figure = plots.losses(log)
    soft = line(figure, 0, "loss of D").get_ydata()
    raw = figure.axes[0].lines[0].get_ydata()
    assert raw.tolist() == [float(s % 2) for s in range(1, 401)]
    assert np.abs(soft - 0.5).max() < 0.1


def test_smoothing_is_a_mean_that_keeps_gaps_to_themselves() -> None:
    assert charts.smooth(np.full(100, 3.0)) == pytest.approx(np.full(100, 3.0))
    y = np.full(100, 3.0)
    y[50] = np.nan
    soft = charts.smooth(y)
    assert np.isnan(soft[50])
    assert np.delete(soft, 50) == pytest.approx(np.full(99, 3.0))
    ramp = np.arange(200.0)
    assert charts.smooth(ramp)[20:-20] == pytest.approx(ramp[20:-20])  # no shift in time


def test_values_that_are_not_finite_are_counted_not_drawn() -> None:
    log = [record(s, loss_d=math.nan if s == 200 else 1.0) for s in (100, 200, 300, 400)]
    log += [record(500, loss_g=math.inf), record(600, loss_g=None)]
    figure = plots.losses(log)
    assert np.isnan(line(figure, 0, "loss of D").get_ydata()).sum() == 1
    assert figure.axes[0].texts[-1].get_text() == "3 of 12 not finite"
    assert opened(plots.png(figure)).size == (2000, 640)


def test_a_wild_value_does_not_flatten_the_rest() -> None:
    log = [record(s, loss_d=1e6 if s == 300 else 1 + s % 7 / 10) for s in range(1, 1001)]
    figure = plots.losses(log)
    assert figure.axes[0].get_ylim()[1] < 3
    assert figure.axes[0].texts[-1].get_text() == "1 value outside, up to 1e+06"
    assert line(figure, 0, "loss of D").get_ydata().max() < 1.7  # nor bend the smoothed curve


def test_one_record_is_a_dot() -> None:
    figure = plots.losses([record(100)])
    assert line(figure, 0, "loss of D").get_marker() == "o"
    assert (pixels(figure) != 0xFFFFFF).any()


@pytest.mark.parametrize("log", [[], [record(100, loss_d=math.nan, loss_g=math.nan)], [{}]])
def test_no_finite_loss_is_an_error(log: list[dict[str, Any]]) -> None:
    with pytest.raises(DataError, match=f"{len(log)} log records, none with a finite loss"):
        plots.losses(log)


# points


def test_scatter_draws_as_many_real_points_as_generated_ones() -> None:
    real = toy.LAWS["gaussian"].sample(1000, Stream(0, "test/real"))
    fake = toy.LAWS["gaussian"].sample(100, Stream(0, "test/fake"))
    figure = plots.scatter(real, fake)
    axes = figure.axes[0]
    drawn = [np.asarray(c.get_offsets()) for c in axes.collections]
    assert [len(d) for d in drawn] == [100, 100]
    assert drawn[0] == pytest.approx(real[:100]) and drawn[1] == pytest.approx(fake)
    assert axes.get_aspect() == 1
    assert [t.get_text() for t in axes.get_legend().get_texts()] == ["real", "generated"]
    assert opened(plots.png(figure)).size == (1200, 1120)


def test_ellipses_are_two_standard_deviations() -> None:
    law = toy.LAWS["gaussian"]
    points = law.sample(200_000, Stream(0, "test/ellipse"))
    ellipse = charts.ellipse(points.astype(float), charts.REAL)
    variance, axis = np.linalg.eigh(law.covariance)
    assert ellipse.width == pytest.approx(4 * math.sqrt(variance[1]), rel=0.01)
    assert ellipse.height == pytest.approx(4 * math.sqrt(variance[0]), rel=0.01)
    direction = math.degrees(math.atan2(axis[1, 1], axis[0, 1])) % 180
    assert ellipse.angle % 180 == pytest.approx(direction, abs=0.5)
    assert ellipse.center == pytest.approx(law.mean, abs=0.02)
    few = plots.scatter(points[:500], points[500:900])
    assert len(few.axes[0].patches) == 2
    assert not plots.scatter(points[:500], points[500:900], ellipses=False).axes[0].patches


def test_points_far_away_are_counted_and_do_not_set_the_limits() -> None:
    real = np.random.default_rng(0).normal(size=(500, 2))
    fake = np.concatenate([real[:100], [[1e6, 0]] * 3, [[math.nan, 0]]])
    figure = plots.scatter(real, fake)
    assert figure.axes[0].get_xlim()[1] < 20
    assert figure.axes[0].texts[0].get_text() == "3 outside"


def test_a_collapsed_generator_can_be_drawn() -> None:
    one = np.ones((50, 2))
    assert opened(plots.png(plots.scatter(None, one))).size == (1200, 1120)
    assert opened(plots.png(plots.density(None, one[:, :1]))).size == (1200, 720)
    assert opened(plots.points(one[:1])).size == (1200, 1120)


@pytest.mark.parametrize("features", [1, 2, 5])
def test_points_draws_vectors_of_any_length(features: int) -> None:
    values = np.random.default_rng(0).normal(size=(60, features)).astype(np.float32)
    size = (1200, 720) if features == 1 else (1200, 1120)
    assert opened(plots.points(values)).size == size
    assert plots.points(values) == plots.points(values)
    assert plots.points(values) != plots.points(values, real=True)


def test_nothing_finite_is_an_error() -> None:
    with pytest.raises(DataError, match="no point is finite"):
        plots.points(np.full((4, 2), np.nan))


def test_kernel_density_integrates_to_one_and_finds_both_modes() -> None:
    law = toy.LAWS["mixture1d"]
    values = law.sample(5000, Stream(0, "test/kernel"))
    x = np.linspace(-5, 5, 1001)
    p = charts.kernel_density(values, x)
    assert np.trapezoid(p, x) == pytest.approx(1, abs=1e-3)
    assert np.abs(p - np.exp(law.log_density(x[:, None]))).max() < 0.05


def test_density_shows_the_law_the_samples_and_d() -> None:
    law = toy.LAWS["mixture1d"]
    fake = law.sample(500, Stream(0, "test/fake"))
    figure = plots.density(
        law.sample(500, Stream(0, "test/real")), fake,
        law=lambda x: np.exp(law.log_density(x)), discriminator=lambda x: np.full(len(x), 0.25),
    )  # fmt: skip
    x, p = line(figure, 0, "data").get_data()
    assert p == pytest.approx(np.exp(law.log_density(x[:, None])))
    assert line(figure, 0, "generated").get_ydata() == pytest.approx(charts.kernel_density(fake, x))
    assert set(line(figure, 1, "D(x)").get_ydata()) == {0.25}
    best = figure.axes[1].lines[0].get_ydata()
    q = charts.kernel_density(fake, x)
    middle = p + q > 0.1
    assert best[middle] == pytest.approx((p / (p + q))[middle])
    assert opened(plots.png(figure)).size == (1200, 1120)
