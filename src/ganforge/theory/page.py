"""What an experiment of the lab returns: a figure, sometimes a film, and two sentences.

The figures are 800 units wide, legible in a column of text.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ganforge import images
from ganforge.plotting import style
from ganforge.types import Pixels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH = 800  # units of a page, 1/100 inch
FILM_DPI = 110
COLOURS = 128  # of a picture file: flat areas and lines need no more


@dataclass(frozen=True)
class Shown:
    """What an experiment found.

    says: what the figure shows, in two sentences. film: frames, perhaps none.
    numbers: the data behind the sentences and the figure.
    """

    figure: Figure
    says: str
    film: tuple[Pixels, ...] = ()
    numbers: dict[str, Any] = field(default_factory=dict)


Experiment = Generator[str, None, Shown]  # yields lines on the progress


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


def frames(figures: Iterator[Figure]) -> tuple[Pixels, ...]:
    """A film of figures."""
    return tuple(style.pixels(figure, FILM_DPI) for figure in figures)
