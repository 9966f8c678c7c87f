"""What a data set is, read from the headers of its pictures: enough to choose a recipe for it."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field

from ganforge.data.dataset import PictureOptions
from ganforge.data.formats import image_folder, image_pairs
from ganforge.data.load import NAMED, load, locate
from ganforge.data.settings import split_off
from ganforge.errors import DataError


@dataclass(frozen=True)
class Survey:
    """A data set before it is decoded.

    Args:
        examples: that can be read, over all parts.
        channels: of a picture; 0 for vectors.
        classes: K, 0 without labels.
        sizes: (height, width) -> number of pictures, the most common first; empty for vectors.
        translated: whether they are pairs of pictures, or two domains; nothing else is known then.
    """

    examples: int
    channels: int
    classes: int
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    translated: bool = False

    @property
    def pictures(self) -> bool:
        """Whether the examples are pictures."""
        return self.channels > 0

    @property
    def size(self) -> tuple[int, int]:
        """The most common (height, width)."""
        return self.sizes.most_common(1)[0][0]


def survey(data: str) -> Survey:
    """Look at a data set by name or path; a folder or zip of pictures is not decoded.

    Raises:
        UsageError, DataError, DiskError: as `load`.
    """
    path = None if data in NAMED else locate(data)
    if path is not None and (path.is_dir() or path.suffix.lower() == ".zip"):
        try:
            if image_pairs.recognises(path, b"PK"):
                return Survey(0, 0, 0, translated=True)
            return of_pictures(os.fspath(path))
        except DataError:  # another format in a folder, or a fault that `load` says better
            pass
    found = load(data)
    if found.spec.source is not None:
        return Survey(0, 0, 0, translated=True)
    if not found.spec.is_image:
        return Survey(len(found), 0, found.spec.classes)
    channels, height, width = found.spec.shape
    return Survey(len(found), channels, found.spec.classes, Counter({(height, width): len(found)}))


def of_pictures(data: str) -> Survey:
    """Look at a folder or zip of pictures by their headers."""
    bare, reading = split_off(data)
    seen = image_folder.look(locate(bare), PictureOptions(reading=reading))
    channels = max(header.channels for header in seen.good.values())
    sizes = Counter((header.height, header.width) for header in seen.good.values())
    classes = {*seen.said.labels.values(), *seen.said.empty}
    return Survey(len(seen.good), channels, len(classes), sizes)
