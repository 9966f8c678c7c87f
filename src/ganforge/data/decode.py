"""One picture file to one array: formats, caps, orientation, alpha, greys, crop and resize.

Like `archives`, this module imports nothing that imports torch: worker processes start from it.
"""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import IO, NamedTuple, TypeVar

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError, features

from ganforge.data.archives import Store
from ganforge.data.levels import to_bytes
from ganforge.errors import DataError, UnreadableError
from ganforge.files import parsing
from ganforge.images import MARK
from ganforge.types import Pixels

T = TypeVar("T")
Work = Callable[[IO[bytes], str], T]  # of an open file and its name

FORMATS: tuple[str, ...] = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
SUFFIXES: tuple[str, ...] = (
    ".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".webp", ".bmp", ".dib", ".gif",
    ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm",
)  # fmt: skip
_HEIF, _RAW, _CONVERT = (".heic", ".heif", ".hif"), "a camera's raw data", "convert it to PNG"
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_BEGINNINGS = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"II*\0", b"MM\0*")  # with TIFF
if features.check("avif"):
    FORMATS, SUFFIXES = (*FORMATS, "AVIF"), (*SUFFIXES, ".avif")
with suppress(ImportError):
    import pillow_heif

    pillow_heif.register_heif_opener()
    FORMATS, SUFFIXES = (*FORMATS, "HEIF"), (*SUFFIXES, *_HEIF)
# Suffixes of pictures that are not read, and what to do.
UNREAD = {
    **dict.fromkeys(_HEIF, "HEIC: pip install 'ganforge[heic]', or convert it to JPEG"),
    ".avif": "AVIF: install Pillow 11.3 or later, or convert it to PNG",
    ".svg": f"a drawing: {_CONVERT}",
    **dict.fromkeys((".svgz", ".eps", ".ai", ".wmf", ".emf", ".cdr"), f"a drawing: {_CONVERT}"),
    **dict.fromkeys((".psd", ".psb", ".xcf", ".kra", ".ora"), f"a document: {_CONVERT}"),
    **dict.fromkeys(
        (".dng", ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".srf", ".sr2", ".orf", ".rw2",
         ".raf", ".pef", ".srw", ".raw", ".3fr", ".iiq", ".rwl", ".x3f", ".kdc"),
        f"{_RAW}: {_CONVERT}",
    ),
    **dict.fromkeys((".exr", ".hdr", ".pfm", ".fits", ".fit", ".dcm", ".nii", ".mha", ".nrrd"),
                    "no 8 or 16 bits: give such pictures as .npy"),
    **dict.fromkeys(
        (".jxl", ".jp2", ".j2k", ".jpf", ".jpx", ".jpc", ".jxr", ".wdp", ".tga", ".icb", ".vda",
         ".vst", ".dds", ".ico", ".cur", ".icns", ".pcx", ".sgi", ".rgb", ".ras", ".xbm", ".xpm",
         ".qoi", ".bpg", ".flif", ".pam", ".avifs", ".heics", ".pict", ".pct", ".blp"),
        f"a format that is not read: {_CONVERT}",
    ),
}  # fmt: skip
MAX_PIXELS = 50_000_000
MAX_WEBP = 30_000_000  # its decoder holds several copies; with this, all stay under 1 GB
_SEVERAL_COPIES = ("WEBP", "AVIF", "HEIF")
_GREY_MODES = ("1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N")
_BIG = 4_000_000  # pixels; larger pictures are decoded one at a time, or memory would not hold
_ONE_BIG = threading.Lock()
_ORIENTATION = 0x0112
_BAD_EXIF = (SyntaxError, ValueError, TypeError, KeyError)  # what Pillow raises on damaged EXIF


# Without a handler, the log of decoders on damaged files would be printed on the standard error.
logging.getLogger("PIL").addHandler(logging.NullHandler())


@contextmanager
def quiet() -> Iterator[None]:
    """No warnings of Pillow inside, except the one about enormous pictures, which is raised.

    Warning filters belong to the whole process, so this surrounds a pool of threads.
    """
    with warnings.catch_warnings():
        set_filters()
        yield


def set_filters() -> None:
    """The filters of `quiet` for the rest of a worker process."""
    warnings.simplefilter("ignore")
    warnings.simplefilter("error", Image.DecompressionBombWarning)


def work_on(store: Store, names: list[str], work: Work[T]) -> list[tuple[str, T | str]]:
    """(name, result of `probe` or `decode`, or why it cannot be read) of each named picture."""
    results: list[tuple[str, T | str]] = []
    for name in names:
        try:
            with store.open(name) as file:
                results.append((name, work(file, f"{store.path}/{name}")))
        except UnreadableError as error:
            results.append((name, str(error)))
    return results


class Header(NamedTuple):
    """What the header of a picture says.

    height, width: turned as its EXIF data say; of half a picture, if half is wanted. channels: 1
    or 3. deep: more than 8 bits a channel. more: further pages of a TIFF file, or frames of an
    animation. paged: those are pages. ours: this package has drawn it.
    """

    height: int
    width: int
    channels: int
    deep: bool = False
    more: int = 0
    paged: bool = False
    ours: bool = False


def probe(file: IO[bytes], name: str, half: int | None = None) -> Header:
    """The header of a picture, or of its left (0) or right (1) half.

    Raises:
        UnreadableError: the picture is damaged.
        DataError: the picture has more than MAX_PIXELS pixels.
    """
    with parsing(name, "damaged"), opened(file, name) as image:
        height, width = image.size if _turned(image) else (image.height, image.width)
        return Header(
            height,
            width if half is None else width // 2,
            1 if is_grey(image) else 3,
            image.mode.startswith("I"),
            getattr(image, "n_frames", 1) - 1,
            image.format == "TIFF",
            image.info.get("Software") == MARK or image.info.get("comment") == MARK.encode(),
        )


def decode(
    file: IO[bytes],
    name: str,
    size: int | None,
    channels: int,
    white: int = 0,
    half: int | None = None,
) -> Pixels:
    """A picture as uint8 (H, W, channels), alpha over white, turned as its EXIF data say.

    Args:
        file: the open file.
        name: of the file, for errors.
        size: side in pixels to which the central square is resized, antialiased; None leaves it.
        channels: 1 for grey, 3 for RGB.
        white: the number that becomes 255, 0 for the largest one of the file's kind.
        half: 0 for the left half of the picture, 1 for the right one, None for the whole.

    Raises:
        UnreadableError, DataError: as `probe`.
    """
    with (
        parsing(name, "damaged"),
        opened(file, name) as image,
        _ONE_BIG if image.width * image.height > _BIG else nullcontext(),
    ):
        return pixels(image, size, channels, white, half)


def pixels(
    image: Image.Image, size: int | None, channels: int, white: int = 0, half: int | None = None
) -> Pixels:
    """An open picture as `decode` gives it; the picture may be turned in place."""
    if size is not None and image.format == "JPEG":
        # Decodes at 1/2, 1/4 or 1/8 of the size if that is still twice the wanted one.
        image.draft(None, (2 * size, 2 * size))
    try:
        ImageOps.exif_transpose(image, in_place=True)
    except _BAD_EXIF:
        image.load()  # unreadable EXIF data says nothing; damaged pixels are still found
    if half is not None:
        side = image.width // 2
        image = image.crop((half * side, 0, (half + 1) * side, image.height))
    if size is not None:
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        if image.size != (side, side):  # a crop is a copy
            image = image.crop((left, top, left + side, top + side))
    plain = flatten(image, channels, white)
    if size is not None and plain.size != (size, size):
        plain = plain.resize((size, size), Image.Resampling.LANCZOS)
    return np.array(plain, dtype=np.uint8).reshape(plain.height, plain.width, channels)


def brightest(file: IO[bytes], name: str) -> int:
    """The largest number in a picture, as it is stored; UnreadableError if it is damaged."""
    with parsing(name, "damaged"), opened(file, name) as image:
        return int(np.asarray(image).max())


def flatten(image: Image.Image, channels: int, white: int = 0) -> Image.Image:
    """`image` without alpha, palette or deep pixels: mode L (channels 1) or RGB (channels 3)."""
    if image.mode.startswith("I"):
        deep = np.asarray(image)
        if deep.min() < 0 or (deep.max() > 65_535 and not white):
            raise UnreadableError("more than 16 bits a pixel; give such pictures as .npy")
        image = Image.fromarray(to_bytes(deep, white or 65_535))
    elif 0 < white < 255 and image.mode in ("L", "RGB"):
        image = Image.fromarray(to_bytes(np.asarray(image), white))
    elif image.mode == "F":
        raise UnreadableError("floating-point pixels; give such pictures as .npy")
    if image.has_transparency_data:
        image = _as_mode(image, "RGBA")
        ground = Image.new("RGB", image.size, (255, 255, 255))
        ground.paste(image, mask=image.getchannel("A"))
        image = ground
    return _as_mode(image, "L" if channels == 1 else "RGB")


def _as_mode(image: Image.Image, mode: str) -> Image.Image:
    """`image` in another mode; without a copy, which may be 200 MB, if it has that mode."""
    return image if image.mode == mode else image.convert(mode)


def opened(
    file: IO[bytes], name: str, formats: tuple[str, ...] = FORMATS, cap: int = MAX_PIXELS
) -> Image.Image:
    """A picture with its header read and its pixels not yet decoded.

    Args:
        file: the open file.
        name: of the file, for errors.
        formats: of Pillow, those that are read.
        cap: pixels at most.

    Raises:
        UnreadableError: no picture in one of the formats.
        DataError: more pixels than the cap.
    """
    pixels = "far too many"
    try:
        image = Image.open(file, formats=formats)
        cap = min(cap, MAX_WEBP) if image.format in _SEVERAL_COPIES else cap
        if image.width * image.height > cap:
            pixels = f"{image.width} x {image.height}"
            raise Image.DecompressionBombError
    except UnidentifiedImageError:
        file.seek(0)
        if "HEIF" not in FORMATS and _is_heif(file.read(12)):  # a telephone's picture, renamed
            raise UnreadableError(UNREAD[".heic"]) from None
        raise UnreadableError(f"not a picture in one of {', '.join(formats)}") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise DataError(
            f"picture {name}: {pixels} pixels, above the cap of {cap:,}: make it smaller or "
            "move it away"
        ) from None
    if min(image.size) < 1:
        raise UnreadableError("it has no pixels")
    return image


def begins_a_picture(head: bytes) -> bool:
    """Whether the first 12 bytes are those of a picture, whatever the file is called."""
    avif = head[4:12] in (b"ftypavif", b"ftypavis")
    return head.startswith(_BEGINNINGS) or head[8:12] == b"WEBP" or avif or _is_heif(head)


def _is_heif(head: bytes) -> bool:
    return head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS


def is_grey(image: Image.Image) -> bool:
    """Whether the mode or the palette of a picture has no colours."""
    if image.mode in ("P", "PA"):
        colours = np.array(image.getpalette("RGB") or [0, 0, 0]).reshape(-1, 3)
        return bool((colours == colours[:, :1]).all())
    return image.mode in _GREY_MODES


def _turned(image: Image.Image) -> bool:
    """Whether the orientation in the EXIF data swaps width and height."""
    # Pillow has swapped those of a TIFF already; of a PNG it would decode every pixel to find out
    if image.format == "TIFF" or (image.format == "PNG" and "exif" not in image.info):
        return False
    try:
        return image.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8)
    except _BAD_EXIF:
        return False
