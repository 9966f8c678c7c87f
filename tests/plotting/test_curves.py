"""Charts of curves: which lines, references and limits are on them."""

import math
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from ganforge.errors import DataError
from ganforge.gan.adversarial import Adversarial
from ganforge.plotting import curves, style
from ganforge.plotting.curves import Chart, Curve
from ganforge.report import charts
from tests.helpers.drawn import line, opened, pixels, record

LOG2 = math.log(2)
HALVED = {"loss": "non-saturating", "halve": True}  # both losses are log 2 at the end


def test_losses_and_outputs_of_d_are_drawn_against_the_epoch() -> None:
    log = [record(s, loss_d=s / 100, loss_g=4 - s / 100) for s in range(100, 500, 100)]
    figure = curves.losses(log, HALVED)
    left, right = figure.axes
    assert line(figure, 0, "loss of D").get_xydata().tolist() == [[1, 1], [2, 2], [3, 3], [4, 4]]
    assert line(figure, 0, "loss of G").get_ydata().tolist() == [3, 2, 1, 0]
    assert line(figure, 1, "real").get_ydata().tolist() == [0.6] * 4
    assert line(figure, 1, "generated").get_ydata().tolist() == [0.4] * 4
    assert left.get_xlabel() == right.get_xlabel() == "epoch"
    assert [t.get_text() for t in left.texts if t.get_text()] == ["log 2"]
    assert any(x.get_ydata() == [LOG2, LOG2] for x in left.lines if len(x.get_xdata()) == 2)
    low, high = left.get_ylim()
    assert low < 0 and high > 4
    assert opened(style.png(figure)).size == (2000, 640)


def test_logits_are_drawn_if_d_gives_no_probability() -> None:
    figure = curves.losses([record(100), record(200)], {"loss": "hinge"})
    assert line(figure, 1, "real").get_ydata().tolist() == [0.5, 0.5]
    assert line(figure, 1, "generated").get_ydata().tolist() == [-0.5, -0.5]
    assert figure.axes[1].get_title("left") == "D's mean logit"


def test_many_records_are_smoothed_over_the_raw_ones() -> None:
    log = [record(s, loss_d=float(s % 2)) for s in range(1, 401)]
    figure = curves.losses(log)
    soft = line(figure, 0, "loss of D").get_ydata()
    raw = figure.axes[0].lines[0].get_ydata()
    assert raw.tolist() == [float(s % 2) for s in range(1, 401)]
    assert np.abs(soft - 0.5).max() < 0.1


def test_smoothing_is_a_mean_that_no_gap_widens() -> None:
    assert curves.smooth(np.full(100, 3.0)) == pytest.approx(np.full(100, 3.0))
    y = np.full(100, 3.0)
    y[50] = np.nan
    soft = curves.smooth(y)
    assert np.isnan(soft[50])
    assert np.delete(soft, 50) == pytest.approx(np.full(99, 3.0))
    ramp = np.arange(200.0)
    assert curves.smooth(ramp)[20:-20] == pytest.approx(ramp[20:-20])  # no shift in time


def test_values_that_are_not_finite_are_counted_not_drawn() -> None:
    log = [record(s, loss_d=math.nan if s == 200 else 1.0) for s in (100, 200, 300, 400)]
    log += [record(500, loss_g=math.inf), record(600, loss_g=None)]
    figure = curves.losses(log)
    assert np.isnan(line(figure, 0, "loss of D").get_ydata()).sum() == 1
    assert figure.axes[0].texts[-1].get_text() == "3 of 12 not finite"
    assert opened(style.png(figure)).size == (2000, 640)


def test_a_wild_value_does_not_flatten_the_rest() -> None:
    log = [record(s, loss_d=1e6 if s == 300 else 1 + s % 7 / 10) for s in range(1, 1001)]
    figure = curves.losses(log)
    assert figure.axes[0].get_ylim()[1] < 3
    assert figure.axes[0].texts[-1].get_text() == "1 value outside, up to 1e+06"
    assert line(figure, 0, "loss of D").get_ydata().max() < 1.7  # nor bend the smoothed curve


def test_one_record_is_a_dot() -> None:
    figure = curves.losses([record(100)])
    assert line(figure, 0, "loss of D").get_marker() == "o"
    assert (pixels(figure) != 0xFFFFFF).any()


@pytest.mark.parametrize("log", [[], [record(100, loss_d=math.nan, loss_g=math.nan)], [{}]])
def test_no_finite_loss_is_an_error(log: list[dict[str, Any]]) -> None:
    with pytest.raises(DataError, match=f"{len(log)} log records, none with a finite loss"):
        curves.losses(log)


@pytest.mark.parametrize("loss", ["minimax", "non-saturating", "relativistic"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("halve", [False, True])
def test_references_are_the_losses_at_the_equilibrium(
    loss: str, smoothing: float, halve: bool
) -> None:
    """Against the losses themselves, at the logit of the best D for p_g = p_data."""
    import torch

    from ganforge.gan.losses import LOSSES

    if loss == "relativistic" and smoothing:
        return
    game = Adversarial(loss=loss, smoothing=smoothing, halve=halve and loss != "relativistic")
    even = curves.balance(asdict(game))
    d = 0.5 if even is None else even
    assert d == pytest.approx((1 - smoothing) / 2)
    logit = torch.tensor([math.log(d / (1 - d))], dtype=torch.float64)
    of_d = LOSSES[loss].discriminator(logit, logit) + smoothing * logit
    of_g = LOSSES[loss].generator(logit, logit)
    expected = [float(of_d) / (2 if game.halve else 1), float(of_g)]
    named = list(curves.references(asdict(game)).values())
    assert sorted(set(named)) == pytest.approx(sorted({round(v, 12) for v in expected}))


@pytest.mark.parametrize("loss", ["least-squares", "wasserstein", "hinge"])
def test_other_games_have_no_reference(loss: str) -> None:
    game = asdict(Adversarial(loss=loss))
    assert curves.references(game) == {} and curves.balance(game) is None


# the drawing of a chart


def drawn(chart: Chart) -> Figure:
    """A page of one chart."""
    figure = style.page(300, 600)
    curves.draw_panel(style.add_axes(figure, 60, 40, 400, 200), chart)
    return figure


def curve(y: Any, name: str = "a") -> Curve:
    """A curve with an epoch a value."""
    return Curve(name, style.D, np.arange(float(len(y))), np.asarray(y, dtype=np.float64))


@pytest.mark.parametrize("top", [2.0, 20.0, 400.0])
def test_names_of_references_do_not_overlap(top: float) -> None:
    game = {"loss": "non-saturating"}
    log = [record(s, loss_d=top, loss_g=0.1) for s in (100, 200)]
    figure = curves.losses(log, game)
    figure.draw_without_rendering()
    names = [t for t in figure.axes[0].texts if t.get_text() in ("log 2", "2 log 2")]
    low, high = sorted((t.get_window_extent() for t in names), key=lambda box: box.y0)
    assert len(names) == 2 and low.y1 <= high.y0
    middle = figure.axes[0].transData.transform([(0, LOG2), (0, 2 * LOG2)])[:, 1].mean()
    assert (low.y0 + high.y1) / 2 == pytest.approx(middle, abs=3)  # they stay beside their lines
    assert names[0].get_text() == "log 2"


@pytest.mark.parametrize("top", [2.0, 400.0])
def test_names_of_references_do_not_overlap_in_the_report(top: float) -> None:
    log = [record(s, loss_d=top, loss_g=0.1) for s in (100, 200)]
    chart = curves.of_log(log, {"loss": "non-saturating"})[0]
    figure = style.page(charts.HEIGHT, charts.WIDTH)
    axes = style.add_axes(figure, 42, 10, charts.WIDTH - charts.NAMES - 62, 200)
    curves.draw(axes, chart)
    figure.draw_without_rendering()
    low, high = sorted((t.get_window_extent() for t in axes.texts), key=lambda box: box.y0)
    assert low.y1 <= high.y0 and max(low.x1, high.x1) <= figure.bbox.width


def test_positions_that_are_apart_stay() -> None:
    at = np.array([0.1, 0.5, 0.9])
    assert curves.apart(at, 0.2) == pytest.approx(at)
    assert curves.apart(np.array([0.5, 0.5]), 0.2) == pytest.approx([0.4, 0.6])
    assert curves.apart(np.empty(0), 0.2).tolist() == []


def test_a_value_between_two_gaps_is_a_dot() -> None:
    y = np.ones(30)
    y[[3, 5, 28]] = np.nan, np.inf, np.nan
    line_ = line(drawn(Chart("t", (curve(y),))), 0, "a")
    assert line_.get_markevery() == [4, 29] and line_.get_marker() == "o"
    assert line(drawn(Chart("t", (curve(np.ones(30)),))), 0, "a").get_marker() in (None, "None")


def test_thinned_curves_keep_their_spikes() -> None:
    x, y = np.arange(10_000.0), np.zeros(10_000)
    y[1234], y[7777], y[5000] = 9, -9, np.nan
    short_x, short_y = curves.thinned(x, y)
    assert len(short_x) <= 2 * curves.STRETCHES and (np.diff(short_x) > 0).all()
    assert short_x[short_y.argmax()] == 1234 and short_x[short_y.argmin()] == 7777
    raw = drawn(Chart("t", (curve(y),))).axes[0].lines[0]
    assert len(raw.get_xdata()) <= 2 * curves.STRETCHES


def test_a_score_that_falls_far_is_drawn_on_a_logarithm() -> None:
    far, near = (Chart("t", (curve(y),), log_scale=True) for y in ([1e3, 1e2, 10], [3, 2, 1]))
    axes = drawn(far).axes[0]
    assert axes.get_yscale() == "log"
    down = axes.transData.transform([(0, 1e3), (0, 1e2), (0, 10)])[:, 1]
    assert down[0] - down[1] == pytest.approx(down[1] - down[2])
    assert [t.get_text() for t in axes.get_yticklabels()][1:-1] == ["10", "100", "1000"]
    assert drawn(near).axes[0].get_yscale() == "linear"


def test_scores_are_drawn_with_their_floor_and_what_they_depend_on() -> None:
    card = {"name": "frechet", "space": "pca", "split": "validation", "n": 2500, "seed": 0}
    records = [{"epoch": float(e), "frechet": 9.0 / e, "floor": 2.0, "scores": [card]}
               for e in (1, 2, 3)]  # fmt: skip
    figure = curves.scores(records)
    assert figure.axes[0].get_title("left") == "FD[pca], validation split, N = 2,500, seed 0"
    assert line(figure, 0, "generated").get_ydata().tolist() == [9.0, 4.5, 3.0]
    floor = line(figure, 0, "real (floor)")
    assert floor.get_ydata().tolist() == [2.0] * 3 and floor.is_dashed()


def test_a_chart_says_where_its_curves_begin_and_end() -> None:
    chart = Chart("Losses", (curve([np.nan, 1, 2]), curve([3, np.inf], "b"), curve([np.nan], "c")))
    assert chart.summary == "Losses, against the epoch. a: from 1 to 2; b: from 3 to 3."
