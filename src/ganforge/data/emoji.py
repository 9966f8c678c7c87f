"""Pairs of pictures that anybody can get: emoji of two vendors, line drawings and their colours.

`emoji-pairs`     Twitter's emoji (source) and Google's Noto (target), 64 x 64, by code point
`openmoji-lines`  OpenMoji's line drawings and the same in colour, aligned to the pixel
`cifar10-grey`    CIFAR-10 in grey, and in colour

The archives are those of the npm registry; no npm is needed. Skin tones are left out, and emoji of
one base code (man, woman, person of one kind) lie in one part. What was made stays in the cache.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import numpy as np
from PIL import Image

from ganforge import files
from ganforge.data import download
from ganforge.data.dataset import Examples
from ganforge.data.decode import flatten
from ganforge.data.download import Remote
from ganforge.errors import DataError, DiskError, GanforgeError
from ganforge.types import Array, Pixels

SIDE = 64
RENDERER = "0.5.0"  # of resvg-py: another version may draw other pixels
_NPM = "https://registry.npmjs.org"
TWITTER, GOOGLE, OPENMOJI = (
    Remote(f"{name}-{version}.tgz", f"sha256:{digest}", (f"{_NPM}/{name}/-/{name}-{version}.tgz",))
    for name, version, digest in (
        (
            "emoji-datasource-twitter",
            "16.0.0",
            "f64a530c63bca463bd8317fdc4615ce63a53a0c65018e4ce2d848aaba7a28877",
        ),
        (
            "emoji-datasource-google",
            "16.0.0",
            "fb5fd131b362aab7a55542d2a147a79708cce0a8b1c1bbacd470172708b5c438",
        ),
        (
            "openmoji",
            "17.0.0",
            "55ee7d13485dec86e9f38c1f3a645a13382d33ff97c0cd845ee824b0aef45e68",
        ),
    )
)
LICENCES = {
    "emoji-pairs": "Twitter's pictures CC BY 4.0, Google's Noto Apache-2.0",
    "openmoji-lines": "OpenMoji, CC BY-SA 4.0: share alike",
    "cifar10-grey": "CIFAR-10, published without a licence",
}

Draw = Callable[[str], bytes]  # SVG text -> a PNG file's bytes, SIDE x SIDE on white

# Code points that make no other kind of emoji: skin tones, signs, the joiner, the genders.
_TONES = {f"1f3f{digit}" for digit in "bcdef"}
_MODIFIERS = _TONES | {"fe0f", "200d", "2640", "2642"}
_PEOPLE = {"1f468": "1f9d1", "1f469": "1f9d1"}  # man and woman are the person


def emoji_pairs() -> Examples:
    """Twitter's emoji and Noto's, 1,906 pairs of 64 x 64.

    Raises:
        DataError, DiskError: the archives cannot be had, or are damaged.
    """

    def make() -> Examples:
        archives = [download.fetch(remote, "emoji-pairs") for remote in (TWITTER, GOOGLE)]
        return vendor_pairs(*archives)

    return cached("emoji-pairs-64.npz", make)


def openmoji_lines() -> Examples:
    """OpenMoji's line drawings and the coloured ones, 2,195 pairs of 64 x 64, without flags.

    Raises:
        DataError, DiskError: the archive cannot be had, or is damaged; resvg-py is missing.
    """

    def make() -> Examples:
        draw = renderer()
        return drawn_pairs(download.fetch(OPENMOJI, "openmoji-lines"), draw)

    return cached(f"openmoji-lines-64-resvg-{RENDERER}.npz", make)


def cifar10_grey() -> Examples:
    """CIFAR-10 in grey (luma of ITU-R 601) and in colour, 50,000 + 10,000 pairs of 32 x 32."""
    whole = download.cifar10()
    weights = np.array([0.299, 0.587, 0.114], dtype=np.float32)
    grey = np.empty((*whole.values.shape[:3], 1), dtype=np.uint8)
    for start in range(0, len(grey), 4096):
        part = slice(start, start + 4096)
        grey[part, ..., 0] = np.rint(whole.values[part].astype(np.float32) @ weights)
    return Examples(whole.values, test=whole.test, validation=whole.validation, source=grey)


def vendor_pairs(first: Path, second: Path) -> Examples:
    """Pairs of the 64-pixel pictures of two archives, by their names, without skin tones."""
    sides = []
    for path in (first, second):
        found = members(path, lambda name: "/64/" in name and name.endswith(".png"))
        sides.append({Path(name).stem: data for name, data in found.items()})
    codes = sorted(
        code for code in set(sides[0]) & set(sides[1]) if not _TONES & set(code.split("-"))
    )
    if not codes:
        raise DataError(f"{first}: no picture of it has a partner in {second}")
    source, target = ([pixels(side[code]) for code in codes] for side in sides)
    return Examples(np.stack(target), source=np.stack(source), groups=grouped(codes))


def drawn_pairs(path: Path, draw: Draw) -> Examples:
    """Line drawings and coloured ones of OpenMoji's archive, without skin tones and flags."""
    black, color = "package/black/svg/", "package/color/svg/"
    table = "package/data/openmoji.json"
    found = members(
        path,
        lambda name: name == table or (name.startswith((black, color)) and name[-4:] == ".svg"),
    )
    try:
        codes = sorted(
            one["hexcode"] for one in json.loads(found[table])
            if not one["skintone"] and one["group"] != "flags"
        )  # fmt: skip
        source, target = (
            [pixels(draw(found[f"{folder}{code}.svg"].decode())) for code in codes]
            for folder in (black, color)
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: not OpenMoji's archive, or damaged ({error})") from None
    groups = grouped([code.lower() for code in codes])
    return Examples(np.stack(target), source=np.stack(source), groups=groups)


def base(code: str) -> str:
    """What emoji of one kind share: 1f468-1f3fb-200d-1f9b0 and 1f469-200d-1f9b0 are one."""
    parts = [part for part in code.split("-") if part not in _MODIFIERS]
    return "-".join(_PEOPLE.get(part, part) for part in parts) or code


def grouped(codes: Iterable[str]) -> Array:
    """The number of each code's base."""
    numbers = np.unique([base(code) for code in codes], return_inverse=True)[1]
    return numbers.astype(np.int64)


def pixels(data: bytes) -> Pixels:
    """A PNG file's bytes as (SIDE, SIDE, 3), alpha over white."""
    with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
        plain = flatten(image.convert("RGBA"), 3)
    if plain.size != (SIDE, SIDE):
        raise ValueError(f"a picture of {plain.size[0]} x {plain.size[1]} pixels")
    return np.asarray(plain)


def members(path: Path, wanted: Callable[[str], bool]) -> dict[str, bytes]:
    """The wanted files of a .tgz, read in place."""
    found = {}
    try:
        with tarfile.open(path, "r:gz") as archive:
            for member in archive:
                if member.isfile() and wanted(member.name):
                    file = archive.extractfile(member)
                    found[member.name] = file.read() if file is not None else b""
    except (OSError, EOFError, tarfile.TarError) as error:
        raise DataError(f"{path}: damaged ({error}): remove it, to fetch it again") from None
    return found


def renderer() -> Draw:
    """resvg, of the pinned version; DataError without it."""
    try:
        import resvg_py
    except ImportError:
        resvg_py = None
    version = getattr(resvg_py, "__version__", "")
    if version != RENDERER:
        what = f"resvg-py {version}" if version else "no resvg-py"
        raise DataError(
            f"data 'openmoji-lines' are drawn by resvg-py {RENDERER} and there is {what}: pip "
            "install 'ganforge[svg]'"
        )

    def draw(svg: str) -> bytes:
        return bytes(
            resvg_py.svg_to_bytes(
                svg_string=svg, width=SIDE, height=SIDE, background="#ffffff",
                skip_system_fonts=True,
            )
        )  # fmt: skip

    return draw


def cached(name: str, make: Callable[[], Examples]) -> Examples:
    """Pairs from the cache, made and put there if they are missing or damaged."""
    path = download.cache() / name
    with suppress(GanforgeError, KeyError, ValueError):
        if path.is_file():
            arrays = files.read_npz(path)
            return Examples(arrays["values"], source=arrays["source"], groups=arrays["groups"])
    made = make()
    assert made.source is not None and made.groups is not None
    with suppress(DiskError):  # the cache is a convenience
        files.save_file(path, files.npz(values=made.values, source=made.source, groups=made.groups))
    return made
