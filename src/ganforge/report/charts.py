"""Charts as the page shows them: the project's figures, for light pages and for dark ones."""

from __future__ import annotations

from dataclasses import dataclass

from ganforge.plotting import curves, style
from ganforge.plotting.curves import Chart
from ganforge.report.encoding import data_uri

WIDTH, HEIGHT = 440, 250  # of a chart, in units
NAMES = 52  # units that the names of the reference lines need at the right
CLASSES = {light: name for name, (light, _) in style.COLOURS.items()}  # of the style sheet


@dataclass(frozen=True)
class Drawing:
    """A chart on the page. light, dark: the same drawing as addresses of SVG files."""

    chart: Chart
    light: str
    dark: str
    width: int = WIDTH
    height: int = HEIGHT


def drawing(chart: Chart) -> Drawing:
    """Draw a chart for the page. Title and legend are text of the page, not of the drawing."""
    figure = style.page(HEIGHT, WIDTH)
    right = WIDTH - 20 - (NAMES if chart.levels else 0)
    axes = style.add_axes(figure, 42, 10, right - 42, 200)
    curves.draw(axes, chart)
    axes.set_xlabel("epoch", fontsize=8, color=style.MUTED, loc="right", labelpad=2)
    light = style.svg(figure)
    light, dark = (data_uri(drawn.encode()) for drawn in (light, style.darkened(light)))
    return Drawing(chart, light, dark)


def series_colour(index: int) -> str:
    """The colour of run `index` if several runs share a chart; it repeats after six."""
    return style.SERIES[index % len(style.SERIES)]
