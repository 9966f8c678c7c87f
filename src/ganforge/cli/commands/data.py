"""ganforge data show, pack."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import App

from ganforge.cli.options import Output, output_path, picture_file
from ganforge.text import command_line

if TYPE_CHECKING:
    from ganforge.data.load import Dataset

data = App(name="data", help="Look at data, or pack them for training.")


@data.command
def show(source: str, /, *, size: int | None = None, output: Output = None) -> str:
    """Print the shape, classes and counts of data, and save a grid of them.

    Parameters
    ----------
    source
        A data set's name or a path.
    output
        [default: data-NAME.png]
    """
    import numpy as np

    from ganforge import files
    from ganforge.data import settings
    from ganforge.data.describe import preview
    from ganforge.data.load import load
    from ganforge.experiments import naming
    from ganforge.plotting import points, style

    found = load(source, size=size)
    name = naming.joined([source if naming.slug(source) else settings.short_name(source)])
    out = output_path(output, Path(f"data-{name}.png"), ".png")
    if found.spec.is_image:
        count, columns = preview_layout(found)
        picture = picture_file(preview(found, count), columns)
    else:
        picture = style.png(points.vectors(np.asarray(found.values[:2000]), None))
    files.save_file(out, picture)
    return f"{described(found)}\n{'grid':<12} {out}"


@data.command
def pack(source: str, out: Path, /, *, size: int | None = None) -> str:
    """Decode data once into a store that loads at once and need not fit in memory.

    Parameters
    ----------
    source
        A data set's name or a path.
    out
        The folder to make: images.npy, labels.npy, dataset.json.
    """
    from ganforge.data import pack as packing
    from ganforge.data.load import load
    from ganforge.training.device import cores

    path = packing.pack(source, out, size, 0, workers=cores())
    named = command_line(["--data", str(path)])
    return f"{described(load(str(path)))}\npacked in {path}; train on it with {named}"


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
