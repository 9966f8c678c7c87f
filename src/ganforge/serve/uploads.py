"""A picture in the body of a request, which a stranger sent: bounded before it is decoded."""

from __future__ import annotations

import io
import re

from ganforge.data.decode import opened, pixels
from ganforge.errors import DataError, UnreadableError, UsageError
from ganforge.files import parsing
from ganforge.serve.limits import Limits
from ganforge.serve.problems import RequestError
from ganforge.types import Pixels

NAME = "the picture"
FORMATS = {"image/png": "PNG", "image/jpeg": "JPEG", "image/webp": "WEBP"}
BEGINNINGS = {"PNG": rb"\x89PNG\r\n\x1a\n", "JPEG": rb"\xff\xd8\xff", "WEBP": rb"RIFF....WEBP"}
PIECES = 1000  # of a file before its pixels: Pillow works on each, and quadratically on EXIF data
SCAN = b"\xff\xda"
SCANS = 100  # of a JPEG, each a pass over all pixels; encoders write about 10


def format_of(declared: str) -> str:
    """The format that a Content-Type names; RequestError 415 if no picture of it is read."""
    kind = declared.partition(";")[0].strip().lower()
    if kind not in FORMATS:
        raise RequestError(415, f"Content-Type {kind!r}: expected one of {', '.join(FORMATS)}")
    return FORMATS[kind]


def decoded(body: bytes, form: str, channels: int, limits: Limits) -> Pixels:
    """The picture (H, W, channels), as `ganforge translate` reads its file.

    Args:
        body: the file.
        form: PNG, JPEG or WEBP, and no other.
        channels: 1 for grey, 3 for RGB.
        limits: with the largest number of pixels, which the header says.

    Raises:
        RequestError: 415 for a file of another format, 413 for too many pixels, 422 for an
            animation or a file that costs more than its pixels, 400 for a damaged one.
    """
    if not re.match(BEGINNINGS[form], body, re.DOTALL):
        raise RequestError(415, f"the body is no {form} file, as its Content-Type says")
    if pieces(body, form) > PIECES or (form == "JPEG" and body.count(SCAN) > SCANS):
        raise RequestError(422, "the file has too many parts: save the picture anew")
    try:
        stream = io.BytesIO(body)
        with parsing(NAME, "damaged"), opened(stream, NAME, (form,), limits.pixels) as image:
            # a JPEG of a phone may hold a preview beside its picture
            if form != "JPEG" and getattr(image, "n_frames", 1) > 1:
                raise UsageError("an animation: send one picture")
            return pixels(image, None, channels)
    except UsageError as error:
        raise RequestError(422, str(error)) from None
    except UnreadableError as error:
        raise RequestError(400, f"the picture cannot be read: {error}") from None
    except DataError:
        detail = f"the picture has more than {limits.pixels:,} pixels: make it smaller"
        raise RequestError(413, detail) from None


def pieces(body: bytes, form: str) -> int:
    """The chunks of a PNG or the segments of a JPEG before its pixels, counted up to PIECES + 1."""
    count, at = 0, 8 if form == "PNG" else 2
    while form != "WEBP" and at < len(body) and count <= PIECES:
        count += 1
        if form == "PNG":
            if body[at + 4 : at + 8] == b"IDAT":
                break
            at += 12 + int.from_bytes(body[at : at + 4])
        else:
            marker = body[at : at + 2]
            if marker == SCAN:
                break
            alone = marker[:1] != b"\xff" or marker[1:] in (b"", b"\x00", b"\xff")
            at += 1 if alone else 2 + int.from_bytes(body[at + 2 : at + 4])
    return count
