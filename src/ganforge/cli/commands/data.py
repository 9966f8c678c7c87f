"""ganforge data show, pack."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App

from ganforge.cli.options import Output, Unless, output_path, picture_file
from ganforge.errors import choice
from ganforge.text import command_line

if TYPE_CHECKING:
    from ganforge.data.load import Dataset

data = App(name="data", help="Look at data, or pack them so that they load at once.")


@data.command
def show(
    source: str,
    /,
    *,
    target: str | None = None,
    pairing: Annotated[str, Unless] = "",
    size: int | None = None,
    output: Output = None,
) -> str:
    """Print the shape, classes and counts of data, and save a grid of them.

    Parameters
    ----------
    source
        A data set's name or a path.
    target
        A second folder or zip: the pictures that those of SOURCE are translated to.
    pairing
        paired or unpaired: read SOURCE as pix2pix or cyclegan would.
    size
        Pictures are cropped and resized to SIZE x SIZE.
    output
        The .png of the grid. [default: data-NAME.png]
    """
    import numpy as np

    from ganforge import files
    from ganforge.data import settings
    from ganforge.data.describe import preview, preview_pairs
    from ganforge.data.load import load
    from ganforge.experiments import naming
    from ganforge.plotting import points, style

    found = load(named(source, target, pairing), size=size, pairing=pairing)
    name = naming.joined([source if naming.slug(source) else settings.short_name(source)])
    out = output_path(output, Path(f"data-{name}.png"), ".png")
    if found.spec.source is not None and found.spec.is_image and found.spec.source.is_image:
        picture = picture_file(preview_pairs(found, 32), 8)
    elif found.spec.is_image:
        count, columns = preview_layout(found)
        picture = picture_file(preview(found, count), columns)
    else:
        picture = style.png(points.vectors(np.asarray(found.values[:2000]), None))
    files.save_file(out, picture)
    return f"{described(found)}\n{'grid':<12} {out}"


@data.command
def pack(
    source: str,
    out: Path,
    /,
    *,
    target: str | None = None,
    pairing: Annotated[str, Unless] = "",
    size: int | None = None,
) -> str:
    """Decode data once into a store that loads at once and need not fit in memory.

    Parameters
    ----------
    source
        A data set's name or a path.
    out
        The folder to make: images.npy, labels.npy, source.npy, dataset.json.
    target
        A second folder or zip: the pictures that those of SOURCE are translated to.
    pairing
        paired or unpaired: read SOURCE as pix2pix or cyclegan would.
    size
        Pictures are cropped and resized to SIZE x SIZE.
    """
    from ganforge.data import pack as packing
    from ganforge.data.load import load
    from ganforge.training.device import cores

    data = named(source, target, pairing)
    path = packing.pack(data, out, size, 0, workers=cores(), pairing=pairing)
    flag = command_line(["--data", str(path)])
    return f"{described(load(str(path)))}\npacked in {path}; train on it with {flag}"


def named(source: str, target: str | None, pairing: str) -> str:
    """The name of the data: of two folders "A|B"; UsageError for an unknown pairing."""
    from ganforge.data.settings import BETWEEN

    choice("pairing", pairing, ("", "paired", "unpaired"))
    return source if target is None else f"{source}{BETWEEN}{target}"


def described(found: Dataset) -> str:
    """Shape, classes and counts, one a line."""
    from ganforge.data.describe import describe

    return "\n".join(f"{label:<12} {value}" for label, value in describe(found))


def preview_layout(found: Dataset) -> tuple[int, int]:
    """(pictures, columns) of a grid: a column for each class if there are few enough classes."""
    import numpy as np

    from ganforge import images

    classes, labels = found.spec.classes, found.labels
    if labels is not None and 2 <= classes <= images.LABEL_ROWS:
        fewest = int(np.bincount(labels, minlength=classes).min())
        if fewest:
            return classes * min(8, fewest), classes
    return 64, images.layout(min(64, len(found)), 0)[1]
