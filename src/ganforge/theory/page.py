"""What an experiment of the lab returns: a figure, sometimes a film, and two sentences.

The figures are 800 units wide, legible in a column of text.
"""

from __future__ import annotations

import html
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image
from PIL.Image import Dither

from ganforge import files, images
from ganforge.errors import UsageError
from ganforge.plotting import style
from ganforge.types import Pixels

WIDTH = 800  # units of a page, 1/100 inch
FILM_DPI = 110
COLOURS = 128  # of a picture file: flat areas and lines need no more


@dataclass(frozen=True, repr=False)
class Shown:
    """What an experiment found.

    says: what the figure shows, in two sentences. film: frames, perhaps none.
    """

    figure: Figure
    says: str
    film: tuple[Pixels, ...] = ()

    def save(self, path: Path | str) -> Path:
        """Write the figure as a .png, or the film as a .gif; UsageError for another file."""
        out = Path(path)
        if out.suffix.lower() == ".gif" and self.film:
            return files.save_file(out, gif(self.film))
        if out.suffix.lower() != ".png":
            kinds = "a .png or a .gif" if self.film else "a .png"
            raise UsageError(f"{path}: this experiment is saved as {kinds}")
        return files.save_file(out, style.png(self.figure, COLOURS))

    def __repr__(self) -> str:
        return self.says

    def _repr_html_(self) -> str:
        picture = images.element(style.png(self.figure, COLOURS), WIDTH)
        return f"{picture}<p>{html.escape(self.says)}</p>"


Experiment = Generator[str, None, Shown]  # yields lines on the progress


def gif(film: tuple[Pixels, ...]) -> bytes:
    """A film as an endless GIF's bytes, all frames in one palette."""
    whole = Image.fromarray(np.concatenate(film[:: max(1, len(film) // 4)]))
    palette = whole.quantize(COLOURS // 2, dither=Dither.NONE)
    plain = [Image.fromarray(f).quantize(palette=palette, dither=Dither.NONE) for f in film]
    return images.gif([np.asarray(image.convert("RGB")) for image in plain])


def frames(figures: Iterator[Figure]) -> tuple[Pixels, ...]:
    """A film of figures."""
    return tuple(style.pixels(figure, FILM_DPI) for figure in figures)


def add_names(
    figure: Figure, top: float, size: float, *names: tuple[float, str, str], **look: str
) -> None:
    """Names on one line of a page: each is given by its left end, text and colour."""
    for left, text, colour in names:
        style.add_text(figure, left, top, text, size, color=colour, **look)
