"""How every figure of the project looks: pages, axes, text, colours and picture files.

Positions on a page are in units of 1/100 inch from its top left corner, two device pixels each.
Real is blue, fake orange, D green and G purple in every figure; the colours differ in lightness
too, so that they stay apart for colour-blind readers and in print.
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from ganforge.images import marked
from ganforge.types import Pixels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {  # name: (on white, on the dark page of a report)
    "ink": ("#1b1d20", "#e7e8ea"),
    "muted": ("#5a6068", "#a4abb3"),
    "rule": ("#d9dce1", "#30343a"),
    "real": ("#0072b2", "#5bb5ea"),
    "fake": ("#d06a00", "#f0a04b"),
    "d": ("#008a65", "#45c79d"),
    "g": ("#7a3e9d", "#c493e3"),
    "s4": ("#b0448a", "#e58bc2"),
    "s5": ("#6a5acd", "#a79cf2"),
    "s6": ("#8a6d1c", "#d3b75c"),
}
INK, MUTED, RULE, REAL, FAKE, D, G = (light for light, _ in list(COLOURS.values())[:7])
SERIES = tuple(COLOURS[name][0] for name in ("real", "fake", "d", "s4", "s5", "s6"))
UNITS, DPI, WIDTH, MARGIN = 100, 200, 1000, 60  # units and device pixels to the inch; of a page


def page(height: float, width: float = WIDTH) -> Figure:
    """An empty white figure of width x height units."""
    from matplotlib.figure import Figure

    return Figure((width / UNITS, height / UNITS), DPI, facecolor="white", layout=None)


def add_axes(
    figure: Figure, left: float, top: float, width: float, height: float, *names: str
) -> Axes:
    """Axes at a rectangle of the page, in units.

    names: the title over the left end of the axes, the names of x and of y, see `add_title`.
    """
    across, down = figure.get_size_inches() * UNITS
    box = (left / across, 1 - (top + height) / down, width / across, height / down)
    axes = figure.add_axes(box)
    axes.set_facecolor("none")
    axes.set_axisbelow(True)
    axes.tick_params(colors=MUTED, labelcolor=MUTED, labelsize=8, length=3, width=0.6)
    for side, spine in axes.spines.items():
        spine.set(visible=side in ("left", "bottom"), color=MUTED, linewidth=0.6)
    if names:
        add_title(axes, *names)
    return axes


def add_text(
    figure: Figure, left: float, top: float, text: str, size: float = 9, **style: Any
) -> None:
    """Text with its top left corner at a point of the page; never read as a formula."""
    across, down = figure.get_size_inches() * UNITS
    style = {"color": INK, "va": "top", "ha": "left", **style}
    figure.text(left / across, 1 - top / down, text, fontsize=size, parse_math=False, **style)


def add_heading(figure: Figure, left: float, top: float, text: str) -> None:
    """The heading of a part of a page."""
    add_text(figure, left, top, text, 10, weight="bold")


def add_label(
    axes: Axes, x: float, y: float, text: str, colour: str = MUTED, size: float = 9, **style: Any
) -> None:
    """Text at (x, y) of axes, in data coordinates unless `transform` is given."""
    style = {"va": "center", "ha": "left", **style}
    axes.text(x, y, text, color=colour, fontsize=size, parse_math=False, **style)


def add_title(axes: Axes, title: str, x: str = "", y: str = "", *, start: float = 0.0) -> None:
    """A title over the axes, and the names of both axes.

    start: where the title begins, in widths of the axes; 0 at their left end.
    """
    axes.set_title(title, fontsize=10, color=INK, loc="left", pad=8, weight="bold",
                   parse_math=False, x=start)  # fmt: skip
    axes.set_xlabel(x, fontsize=9, color=MUTED)
    axes.set_ylabel(y, fontsize=9, color=MUTED)


def add_legend(axes: Axes, columns: int = 2, **style: Any) -> None:
    """The names of the curves, at the right end of the title's line, in the curves' colours."""
    style = {"bbox_to_anchor": (1.02, 1.0), "labelcolor": "linecolor", **style}
    style |= {"ncols": columns, "handlelength": 1.4, "columnspacing": 1.4, "borderaxespad": 0.2}
    legend = axes.legend(loc="lower right", fontsize=9, frameon=False, **style)
    for text in legend.get_texts():
        text.set_parse_math(False)


def frame(axes: Axes, title: str = "") -> None:
    """Turn axes into a small panel: a light frame, no numbers, perhaps a small title."""
    axes.tick_params(left=False, bottom=False, labelleft=False, labelbottom=False)
    for spine in axes.spines.values():
        spine.set(visible=True, color=RULE)
    if title:
        axes.set_title(title, fontsize=8, color=MUTED, pad=3, parse_math=False)


def add_picture(figure: Figure, left: float, top: float, pixels: Pixels) -> None:
    """A picture (H, W, 3), one device pixel each, with its top left corner at a point."""
    height, width = pixels.shape[:2]
    axes = add_axes(figure, left, top, width * UNITS / DPI, height * UNITS / DPI)
    axes.imshow(pixels, interpolation="nearest", aspect="auto")
    axes.set_axis_off()


def png(figure: Figure, colours: int | None = None) -> bytes:
    """A figure as a PNG file's bytes, the same for the same figure.

    colours: of a palette, for a smaller file; None for full colour.
    """
    from PIL import Image

    image = Image.fromarray(pixels(figure))
    if colours:
        image = image.quantize(colours, dither=Image.Dither.NONE)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=bool(colours), dpi=(DPI, DPI), pnginfo=marked())
    return buffer.getvalue()


def pixels(figure: Figure, dpi: float = DPI) -> Pixels:
    """A figure as (H, W, 3) uint8."""
    from PIL import Image

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, pil_kwargs={"compress_level": 1})
    with Image.open(buffer, formats=["PNG"]) as image:
        return np.asarray(image.convert("RGB"))


def svg(figure: Figure) -> str:
    """A figure as an SVG file's text, without background, the same for the same figure.

    Letters are drawn as paths, so that no font is needed to show the file.
    """
    from matplotlib import rc_context

    buffer = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with rc_context({"svg.hashsalt": "ganforge", "svg.fonttype": "path"}):
        figure.savefig(buffer, format="svg", metadata=nothing, transparent=True)
    return re.sub(r' d="[^"]*"', shortened, buffer.getvalue())


def darkened(drawing: str) -> str:
    """The text of an SVG file of `svg`, in the colours for a dark page."""
    table = dict(COLOURS.values())
    return re.sub("#[0-9a-f]{6}", lambda colour: table.get(colour[0], colour[0]), drawing)


def shortened(path: re.Match[str]) -> str:
    """The text of an SVG path in hundredths of a unit, on one line."""
    return re.sub(r"\s+", " ", re.sub(r"(\.\d\d)\d+", r"\1", path[0]))
