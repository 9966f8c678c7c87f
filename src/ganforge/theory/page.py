"""How the lab shows what it found: a picture, sometimes a film, and two sentences.

The figures are 800 units wide, in the colours of `charts`: legible in a column of text.
"""

from __future__ import annotations

import io
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ganforge import images
from ganforge.plotting import charts
from ganforge.types import Pixels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 800  # units of a page, 1/100 inch
FILM_DPI = 110
COLOURS = 128  # of a picture file: flat areas and lines need no more


@dataclass(frozen=True)
class Shown:
    """What an experiment found.

    figure: the picture. says: what is to be seen in it, in two sentences. film: frames, or none.
    numbers: what the sentences and the picture rest on.
    """

    figure: Figure
    says: str
    film: tuple[Pixels, ...] = ()
    numbers: dict[str, Any] = field(default_factory=dict)


Experiment = Generator[str, None, Shown]  # yields lines that tell how far it is


def png(figure: Figure) -> bytes:
    """A figure as a small PNG file's bytes: a palette in place of full colour."""
    from PIL import Image

    buffer = io.BytesIO()
    palette = Image.fromarray(pixels(figure)).quantize(COLOURS, dither=Image.Dither.NONE)
    palette.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def gif(film: tuple[Pixels, ...]) -> bytes:
    """A film as an endless GIF's bytes, all frames in one palette."""
    from PIL import Image

    whole = Image.fromarray(np.concatenate(film[:: max(1, len(film) // 4)]))
    palette = whole.quantize(COLOURS // 2, dither=Image.Dither.NONE)
    plain = [
        np.asarray(
            Image.fromarray(f).quantize(palette=palette, dither=Image.Dither.NONE).convert("RGB")
        )
        for f in film
    ]
    return images.gif(plain)


def pixels(figure: Figure, dpi: float = charts.DPI) -> Pixels:
    """A figure as (H, W, 3) uint8."""
    from PIL import Image

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    with Image.open(buffer, formats=["PNG"]) as image:
        return np.asarray(image.convert("RGB"))


def frames(figures: Iterator[Figure]) -> tuple[Pixels, ...]:
    """A film of figures."""
    return tuple(pixels(figure, FILM_DPI) for figure in figures)


def label(axes: Axes, x: float, y: float, text: str, colour: str, **style: Any) -> None:
    """A name written beside what it names."""
    style = {"fontsize": 9, "va": "center", "ha": "left", **style}
    axes.text(x, y, text, color=colour, **style)
