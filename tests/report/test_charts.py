"""Charts as the page shows them: one drawing for light and dark pages, its names as text."""

from __future__ import annotations

import base64

import numpy as np
import pytest

from ganforge.plotting import style
from ganforge.plotting.curves import Chart, Curve
from ganforge.report import charts
from ganforge.report.encoding import data_uri


def chart(name: str = "a") -> Chart:
    x = np.arange(3.0)
    return Chart("Loss", (Curve(name, style.D, x, x), Curve("b", style.G, x, -x, dashed=True)))


def svg(uri: str) -> str:
    kind, _, data = uri.partition(";base64,")
    assert kind == "data:image/svg+xml"
    return base64.b64decode(data).decode()


def test_a_chart_is_drawn_for_light_and_for_dark_pages() -> None:
    found = charts.drawing(chart())
    light, dark = svg(found.light), svg(found.dark)
    for colour in ("d", "g", "muted"):
        on_white, on_black = style.COLOURS[colour]
        assert on_white in light and on_black in dark and on_black not in light
    again = charts.drawing(chart())
    assert (found.light, found.dark) == (again.light, again.dark)


def test_title_legend_and_summary_are_text_of_the_page() -> None:
    found = charts.drawing(chart("<run> $x$"))
    assert found.chart.summary == (
        "Loss, against the epoch. <run> $x$: from 0 to 2; b: from -0 to -2."
    )
    assert found.chart.note == "" and "run" not in svg(found.light)


def test_colours_of_runs_repeat_and_are_known_to_the_style_sheet() -> None:
    colours = [charts.series_colour(i) for i in range(12)]
    assert colours[:6] == colours[6:] and len(set(colours)) == 6
    assert [charts.CLASSES[c] for c in colours[:3]] == ["real", "fake", "d"]


@pytest.mark.parametrize(("data", "kind"), [(b"\x89PNG\r\n", "png"), (b"RIFF....", "webp")])
def test_an_address_names_its_kind_of_file(data: bytes, kind: str) -> None:
    assert data_uri(data) == f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
