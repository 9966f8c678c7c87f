"""`ganforge data show` and `pack`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ganforge import (
    naming,
    pictures,
    plots,
)
from ganforge.commands.text import target
from ganforge.data import source
from ganforge.devices import cores


def data_show(name: str, size: int | None, output: Path | None) -> str:
    """What is in a data set, and where the grid of it was saved."""
    data = source.load(name, size=size)
    out = target(Path(), output, f"data-{naming.joined([name])}.png", (".png",))
    lines = [f"{label:<12} {value}" for label, value in source.describe(data)]
    if data.spec.is_image:
        count, columns = preview_layout(data)
        shown = pictures.as_uint8(source.preview(data, count), data.spec)
        grid = pictures.grid(shown, columns)
        pictures.save(out, pictures.png(grid, scale=max(1, 64 // data.spec.shape[1])))
    else:
        pictures.save(out, plots.points(np.asarray(data.values[:2000]), real=True))
    return "\n".join([*lines, f"{'grid':<12} {out}"])


def preview_layout(data: source.Dataset) -> tuple[int, int]:
    """(pictures, columns): a class a column, where they are few enough and each fills it."""
    if data.labels is None or not 2 <= data.spec.classes <= pictures.LABEL_ROWS:
        return 64, pictures.layout(min(64, len(data)), 0)[1]
    fewest = int(np.bincount(data.labels, minlength=data.spec.classes).min())
    if not fewest:
        return 64, pictures.layout(min(64, len(data)), 0)[1]
    return data.spec.classes * min(8, fewest), data.spec.classes


def data_pack(name: str, out: Path, size: int | None) -> str:
    """Pack a data set; what was packed and what was skipped."""
    from ganforge.data import packed

    path = packed.pack(name, out, size, 0, workers=cores())
    data = source.load(str(path))
    lines = [f"{label:<12} {value}" for label, value in source.describe(data)]
    return "\n".join([*lines, f"packed in {path}; train on it with --data {path}"])
