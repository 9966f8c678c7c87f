"""`ganforge data show` and `pack`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ganforge import files, images
from ganforge.commands.text import target
from ganforge.data import load
from ganforge.data.describe import describe, preview
from ganforge.experiments import naming
from ganforge.plotting import points, style
from ganforge.training.device import cores


def data_show(name: str, size: int | None, output: Path | None) -> str:
    """What is in a data set, and where the grid of it was saved."""
    data = load.load(name, size=size)
    out = target(Path(), output, f"data-{naming.joined([name])}.png", (".png",))
    lines = [f"{label:<12} {value}" for label, value in describe(data)]
    if data.spec.is_image:
        count, columns = preview_layout(data)
        grid = images.grid(preview(data, count), columns)
        files.save_file(out, images.png(grid, scale=max(1, 64 // data.spec.shape[1])))
    else:
        files.save_file(out, style.png(points.vectors(np.asarray(data.values[:2000]), None)))
    return "\n".join([*lines, f"{'grid':<12} {out}"])


def preview_layout(data: load.Dataset) -> tuple[int, int]:
    """(pictures, columns) of a grid: a column for each class if there are few enough classes."""
    if data.labels is None or not 2 <= data.spec.classes <= images.LABEL_ROWS:
        return 64, images.layout(min(64, len(data)), 0)[1]
    fewest = int(np.bincount(data.labels, minlength=data.spec.classes).min())
    if not fewest:
        return 64, images.layout(min(64, len(data)), 0)[1]
    return data.spec.classes * min(8, fewest), data.spec.classes


def data_pack(name: str, out: Path, size: int | None) -> str:
    """Pack a data set; what was packed and what was skipped."""
    from ganforge.data.pack import pack

    path = pack(name, out, size, 0, workers=cores())
    data = load.load(str(path))
    lines = [f"{label:<12} {value}" for label, value in describe(data)]
    return "\n".join([*lines, f"packed in {path}; train on it with --data {path}"])
