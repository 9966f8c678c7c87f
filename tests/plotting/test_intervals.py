"""Scores of variants: every run, mean and interval, in the order given."""

import math

import pytest

from ganforge.plotting import intervals, style
from ganforge.plotting.intervals import Panel, Row
from tests.helpers.drawn import opened

ROWS = (Row("$\\frac$", (1.0, 3.0), 2.0, 1.5, 2.5), Row("b", (4.0,), 4.0, math.nan, math.nan))


def test_runs_mean_and_interval_are_drawn() -> None:
    figure = intervals.intervals([Panel("frechet", "N = 10", 0.5, ROWS)])
    axes = figure.axes[0]
    dots = [x for x in axes.lines if x.get_marker() == "o"]
    assert [list(x.get_xdata()) for x in dots] == [[1.0, 3.0], [4.0]]
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


@pytest.mark.parametrize(("best", "scale"), [(0.1, "log"), (1.0, "linear"), (-1.0, "linear")])
def test_scores_of_unlike_size_are_on_a_logarithm(best: float, scale: str) -> None:
    rows = [Row("a", (best,), best, math.nan, math.nan), ROWS[1]]
    assert intervals.intervals([Panel("t", "", 1.0, rows)]).axes[0].get_xscale() == scale
