"""Grids of pictures, and PNG and GIF files of them."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ganforge.types import Array, Pixels

MARK = "ganforge"  # in the files that are drawn here, so that they are never read as data
LABEL_ROWS = 20  # most rows of a grid of labelled pictures


def layout(count: int, classes: int) -> tuple[int, int]:
    """(rows, columns) of a grid of about `count` pictures; a row for each label if classes > 0."""
    if classes:
        rows = min(classes, LABEL_ROWS)
        return rows, max(1, -(-count // rows)) if count > rows else 1
    columns = int(np.ceil(np.sqrt(count)))
    return -(-count // columns), columns


def grid(images: Array, columns: int, gap: int = 2) -> Pixels:
    """Pictures (N, H, W, C), uint8, as one (rows (H + gap) + gap, ..., 3), row by row, on grey.

    One channel is grey, of two the first is shown as blue too, of more the first three are shown.
    """
    count, height, width, channels = images.shape
    shown = {1: [0, 0, 0], 2: [0, 1, 0]}.get(channels, [0, 1, 2])
    tall, wide, rows = height + gap, width + gap, -(-count // columns)
    whole = np.full((rows * tall + gap, columns * wide + gap, 3), 127, dtype=np.uint8)
    for i, image in enumerate(images[..., shown]):
        top, left = gap + i // columns * tall, gap + i % columns * wide
        whole[top : top + height, left : left + width] = image
    return whole


def tiles(picture: Pixels, height: int, width: int, gap: int = 2) -> Pixels:
    """The inverse of `grid`: (N, H, W, 3), row by row, empty tiles included."""
    tall, wide = height + gap, width + gap
    rows, columns = (len(picture) - gap) // tall, (picture.shape[1] - gap) // wide
    whole = picture[: rows * tall, : columns * wide].reshape(rows, tall, columns, wide, 3)
    return whole.transpose(0, 2, 1, 3, 4).reshape(-1, tall, wide, 3)[:, gap:, gap:]


def png(picture: Pixels, scale: int = 1) -> bytes:
    """(H, W, 3) uint8 as a PNG file's bytes, each pixel enlarged to `scale` x `scale`."""
    picture = picture.repeat(scale, axis=0).repeat(scale, axis=1)
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", pnginfo=marked())
    return buffer.getvalue()


def page(pictures: Array, columns: int) -> str:
    """Pictures (N, H, W, C), uint8, as a grid in HTML; small ones are enlarged."""
    return element(png(grid(pictures, columns), max(1, 64 // pictures.shape[2])))


def element(file: bytes, width: int | None = None) -> str:
    """A PNG file as an element of a page, `width` units wide, or a unit a pixel."""
    size = "" if width is None else f'width="{width}" '
    return f'<img {size}src="data:image/png;base64,{base64.b64encode(file).decode()}">'


def marked() -> PngInfo:
    """What the PNG files of this package say in their header."""
    info = PngInfo()
    info.add_text("Software", MARK)
    return info


def single(picture: Pixels, kind: str = "png", scale: int = 1) -> bytes:
    """One picture as a file, with its channels: grey, RGB or RGBA; others as `grid` shows them.

    Args:
        picture: (H, W, C) uint8.
        kind: "png", "webp" (both without loss) or "jpg" (quality 95, no transparency).
        scale: each pixel is enlarged to `scale` x `scale`.
    """
    channels = picture.shape[-1]
    if channels not in (1, 3, 4):
        picture = picture[..., [0, 1, 0] if channels == 2 else [0, 1, 2]]
    elif channels == 4 and kind == "jpg":
        picture = picture[..., :3]
    large = picture.repeat(scale, axis=0).repeat(scale, axis=1)
    buffer = io.BytesIO()
    options: dict[str, dict[str, Any]] = {
        "png": {"format": "PNG", "pnginfo": marked()},
        "webp": {"format": "WEBP", "lossless": True},
        "jpg": {"format": "JPEG", "quality": 95, "comment": MARK},
    }
    Image.fromarray(large[..., 0] if channels == 1 else large).save(buffer, **options[kind])
    return buffer.getvalue()


def gif(pictures: Sequence[Pixels], milliseconds: int = 150, last: int | None = 1000) -> bytes:
    """(H, W, 3) pictures as an endless GIF's bytes.

    last: milliseconds that the last one stays; None for as long as the others.
    """
    frames = [Image.fromarray(p) for p in pictures]
    times = [milliseconds] * (len(frames) - 1) + [last or milliseconds]
    buffer = io.BytesIO()
    options = {"append_images": frames[1:], "duration": times, "loop": 0, "comment": MARK}
    frames[0].save(buffer, "GIF", save_all=True, **options)
    return buffer.getvalue()


def read_png(path: Path) -> Pixels:
    """A PNG file written by `png`, (H, W, 3) uint8."""
    with Image.open(path, formats=["PNG"]) as image:
        return np.asarray(image.convert("RGB"))
