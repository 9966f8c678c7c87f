"""Scores of variants: every run, mean and interval, in the order given."""

import math

import pytest
from matplotlib.axes import Axes

from ganforge.plotting import intervals, style
from ganforge.plotting.intervals import Panel, Row
from tests.helpers.drawn import opened

ROWS = (Row("$\\frac$", (1.0, 3.0), 2.0, 1.5, 2.5), Row("b", (4.0,), 4.0, math.nan, math.nan))


def test_runs_mean_and_interval_are_drawn() -> None:
    figure = intervals.intervals([Panel("frechet", "N = 10", 0.5, ROWS)])
    axes = figure.axes[0]
    dots = [x for x in axes.lines if x.get_marker() == "o"]
    assert [list(x.get_xdata()) for x in dots] == [[1.0, 3.0], [4.0], []]  # and the legend's
    bars = [list(x.get_xdata()) for x in axes.lines if x.get_linestyle() == "-"]
    assert [1.5, 2.5] in bars and not any(math.isnan(v) for bar in bars for v in bar)
    assert [t.get_text() for t in axes.get_yticklabels()] == ["$\\frac$", "b"]
    assert axes.get_ylim()[0] > axes.get_ylim()[1]  # the first row on top
    assert [0.5, 0.5] in [list(x.get_xdata()) for x in axes.lines]
    assert opened(style.png(figure)).width == 2000


def test_a_long_label_leaves_room_for_the_rows() -> None:
    long = Row("recipe with " + 300 * "x" + " and the end", (4.0,), 4.0, math.nan, math.nan)
    axes = intervals.intervals([Panel("frechet", "N = 10", 0.5, (*ROWS, long))]).axes[0]
    name = axes.get_yticklabels()[2].get_text()
    assert name.startswith("recipe with x") and name.endswith("x and the end") and len(name) < 60
    assert axes.get_position().width > 0.3


def test_no_label_pushes_the_title_under_the_legend() -> None:
    rows = [Row(60 * "x", (1.0, 3.0), 2.0, 1.5, 2.5)]
    title = "sliced-wasserstein in effnet-lite0@112, lower is better"
    figure = intervals.intervals([Panel(title, "", 0.5, rows)])
    figure.canvas.draw()
    axes = figure.axes[0]
    legend = axes.get_legend()
    assert legend is not None
    (found,) = [text for text in axes.get_children() if getattr(text, "get_text", str)() == title]
    box = found.get_window_extent()
    assert box.x0 > 0 and box.x1 < legend.get_window_extent().x0


@pytest.mark.parametrize(("best", "scale"), [(0.1, "log"), (1.0, "linear"), (-1.0, "linear")])
def test_scores_of_unlike_size_are_on_a_logarithm(best: float, scale: str) -> None:
    rows = [Row("a", (best,), best, math.nan, math.nan), ROWS[1]]
    assert intervals.intervals([Panel("t", "", 1.0, rows)]).axes[0].get_xscale() == scale


def drawn(*rows: Row, floor: float = 0.5) -> Axes:
    figure = intervals.intervals([Panel("t", "", floor, rows)])
    figure.draw_without_rendering()
    return figure.axes[0]


def test_a_wide_interval_does_not_squeeze_the_scores() -> None:
    """Two seeds have an interval of thirteen spreads: it leaves the axis, and an arrow says so."""
    axes = drawn(Row("a", (11.0, 15.0), 13.0, -13.0, 39.0), floor=1.0)
    low, high = axes.get_xlim()
    assert -1 < low < 0.0 and 15 < high < 25
    arrows = {x.get_marker(): x.get_xdata()[0] for x in axes.lines if x.get_marker() in "<>"}
    assert set(arrows) == {"<", ">"} and low < arrows["<"] == 0.0 < arrows[">"] < high
    within = drawn(Row("a", (11.0, 15.0), 13.0, 10.0, 16.0), floor=1.0)
    assert not [x for x in within.lines if x.get_marker() in "<>"]


def test_a_logarithmic_axis_has_plain_numbers() -> None:
    axes = drawn(Row("a", (4.0,), 4.0, 3.9, 4.1), Row("b", (93.0,), 93.0, 30.0, 120.0), floor=3.1)
    low, high = axes.get_xlim()
    names = [t.get_text() for t in axes.get_xticklabels() if low <= t.get_position()[0] <= high]
    assert names == ["5", "10", "20", "50", "100"]
    assert drawn(Row("a", (1e-3,), 1e-3, 1e-3, 1e-3), Row("b", (9.0,), 9.0, 9.0, 9.0)).get_xlim()[0]


@pytest.mark.parametrize("low", [1.5, math.nan])
def test_the_legend_names_all_that_is_drawn_whatever_the_first_row_has(low: float) -> None:
    axes = drawn(Row("b", (4.0,), 4.0, math.nan, math.nan), Row("a", (1.0, 3.0), 2.0, low, 2.5))
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    mean = "mean" if math.isnan(low) else "mean, 95 % interval"
    assert names == ["a run", mean, "real (floor)"]


def test_equal_scores_have_an_axis() -> None:
    low, high = drawn(Row("a", (0.5, 0.5), 0.5, 0.5, 0.5)).get_xlim()
    assert low < 0.5 < high
