"""Pictures as addresses that hold the whole file, so that the page needs no other file."""

from __future__ import annotations

import base64
import io

import numpy as np

from ganforge.types import Pixels

KINDS = {b"\x89PNG": "png", b"RIFF": "webp", b"<?xm": "svg+xml"}  # by a file's first bytes


def data_uri(data: bytes) -> str:
    """A PNG, WebP or SVG file as an address."""
    return f"data:image/{KINDS[data[:4]]};base64,{base64.b64encode(data).decode()}"


def encoded(image: Pixels) -> bytes:
    """(H, W, 4) as a small file: PNG if all is grey, WebP (quality 90) if there are colours."""
    from PIL import Image, features

    buffer = io.BytesIO()
    grey = (image[..., :1] == image[..., 1:3]).all()
    if grey:
        pair = np.ascontiguousarray(image[..., [0, 3]])
        Image.frombytes("LA", pair.shape[1::-1], pair.tobytes()).save(buffer, "PNG", optimize=True)
    elif features.check("webp"):
        Image.fromarray(image).save(buffer, "WEBP", quality=90, method=4)
    else:
        Image.fromarray(image).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def opaque(image: Pixels) -> Pixels:
    """(..., 3) with full opacity, (..., 4)."""
    return np.concatenate([image, np.full_like(image[..., :1], 255)], -1)
