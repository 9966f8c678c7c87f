"""How figures look and what files they become: the same bytes, legible, on light and dark pages."""

import re
from itertools import combinations

import numpy as np
import pytest
from matplotlib.figure import Figure

from ganforge.plotting import style
from tests.helpers.drawn import opened, pixels


def labelled(text: str = "$x_1$") -> Figure:
    """A page with text at every place that text can have."""
    figure = style.page(200, 300)
    axes = style.add_axes(figure, 50, 40, 200, 100)
    axes.plot([0, 1], [0.123456789, 1], color=style.D, label=text)
    style.add_title(axes, text)
    style.add_legend(axes)
    style.add_label(axes, 0.5, 0.5, text)
    style.add_text(figure, 5, 5, text)
    return figure


def test_files_are_the_same_twice() -> None:
    assert style.svg(labelled()) == style.svg(labelled())
    assert style.png(labelled()) == style.png(labelled())
    assert not re.search(r"\d{4}-\d\d-\d\d", style.svg(labelled()))


def test_an_svg_file_needs_no_font_and_no_background() -> None:
    drawing = style.svg(labelled())
    assert "<text" not in drawing and "font-family" not in drawing
    assert "#ffffff" not in drawing and "white" not in drawing
    assert not re.search(r' d="[^"]*\.\d{3}', drawing)  # hundredths are enough


def test_a_dark_drawing_differs_in_its_colours_alone() -> None:
    light = style.svg(labelled())
    dark = style.darkened(light)
    assert style.COLOURS["d"][0] in light and style.COLOURS["d"][1] in dark
    assert not any(on_white in dark for on_white, _ in style.COLOURS.values())
    assert re.sub("#[0-9a-f]{6}", "", light) == re.sub("#[0-9a-f]{6}", "", dark)


def luminance(colour: str) -> float:
    """Of a colour #rrggbb, by WCAG 2."""
    v = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(v <= 0.03928, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(a: str, b: str) -> float:
    """Of two colours, by WCAG 2."""
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize(("paper", "which"), [("#ffffff", 0), ("#15171a", 1)])
def test_text_and_curves_stand_out(paper: str, which: int) -> None:
    for name, colours in style.COLOURS.items():
        least = {"rule": 1.0, "ink": 7.0, "muted": 4.5}.get(name, 3.0)
        assert contrast(colours[which], paper) >= least, name


def test_players_and_examples_have_colours_of_their_kind() -> None:
    colours = (style.REAL, style.FAKE, style.D, style.G)
    assert len(set(colours)) == 4 and len(set(style.SERIES)) == 6
    for a, b in combinations(colours, 2):
        rgb = [np.array([int(c[i : i + 2], 16) for i in (1, 3, 5)]) for c in (a, b)]
        assert np.abs(rgb[0] - rgb[1]).sum() > 100


def test_names_are_never_read_as_formulas() -> None:
    figure = labelled("$\\frac$ {")
    assert opened(style.png(figure)).size == (600, 400)  # as a formula it would be an error


def test_a_page_is_measured_from_its_top_left_corner() -> None:
    figure = style.page(100, 100)
    style.add_picture(figure, 10, 20, np.full((30, 40, 3), (255, 0, 0), np.uint8))
    red = np.argwhere(pixels(figure) == 0xFF0000)
    assert red.min(0).tolist() == [40, 20] and red.max(0).tolist() == [69, 59]


def test_a_palette_makes_a_smaller_file_of_the_same_picture() -> None:
    full, small = style.png(labelled()), style.png(labelled(), colours=32)
    assert len(small) < len(full) and opened(small).mode == "P"
    assert np.abs(np.asarray(opened(small).convert("L"), float)
                  - np.asarray(opened(full).convert("L"), float)).mean() < 1  # fmt: skip
