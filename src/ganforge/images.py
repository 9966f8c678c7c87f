"""Grids of pictures, and PNG and GIF files of them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ganforge.types import Pixels

LABEL_ROWS = 20  # more labels than this are not all shown


def layout(count: int, classes: int) -> tuple[int, int]:
    """(rows, columns) of a grid of about `count` pictures: a row a label where there are labels."""
    if classes:
        rows = min(classes, LABEL_ROWS)
        return rows, max(1, -(-count // rows)) if count > rows else 1
    columns = int(np.ceil(np.sqrt(count)))
    return -(-count // columns), columns


def grid(images: npt.NDArray[Any], columns: int, gap: int = 2) -> Pixels:
    """(N, H, W, C) uint8 -> one (rows (H + gap) + gap, ...) picture, row by row, on grey."""
    count, height, width, channels = images.shape
    rows = -(-count // columns)
    if channels == 1:
        images = images.repeat(3, axis=3)
    elif channels == 2:
        images = np.concatenate([images, images[..., :1]], axis=3)
    elif channels > 3:
        images = images[..., :3]
    out = np.full(
        (rows * (height + gap) + gap, columns * (width + gap) + gap, 3), 127, dtype=np.uint8
    )
    for i, image in enumerate(images):
        y, x = divmod(i, columns)
        top, left = y * (height + gap) + gap, x * (width + gap) + gap
        out[top : top + height, left : left + width] = image
    return out


def tiles(picture: Pixels, height: int, width: int, gap: int = 2) -> Pixels:
    """The inverse of `grid`: (N, H, W, 3), row by row, empty tiles included."""
    rows = (picture.shape[0] - gap) // (height + gap)
    columns = (picture.shape[1] - gap) // (width + gap)
    out = [
        picture[y * (height + gap) + gap :][:height, x * (width + gap) + gap :][:, :width]
        for y in range(rows)
        for x in range(columns)
    ]
    return np.stack(out)


def png(picture: Pixels, scale: int = 1) -> bytes:
    """(H, W, 3) uint8 as a PNG file's bytes, each pixel `scale` x `scale`."""
    from PIL import Image

    if scale > 1:
        picture = picture.repeat(scale, axis=0).repeat(scale, axis=1)
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", optimize=False)
    return buffer.getvalue()


def gif(pictures: Sequence[Pixels], milliseconds: int = 150) -> bytes:
    """(H, W, 3) pictures as an endless GIF's bytes; the last one stays for a second."""
    from PIL import Image

    frames = [Image.fromarray(p) for p in pictures]
    times = [milliseconds] * (len(frames) - 1) + [1000]
    buffer = io.BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:], duration=times, loop=0)
    return buffer.getvalue()


def read_png(path: Path) -> Pixels:
    """A PNG file written by `png`, (H, W, 3) uint8."""
    from PIL import Image

    with Image.open(path, formats=["PNG"]) as image:
        return np.asarray(image.convert("RGB"))
