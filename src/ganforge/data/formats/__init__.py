"""The formats of data, in the order in which they are asked whether a path is theirs.

A new format is one file in this folder, with a `recognises` and a `read`, and one line in FORMATS.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ganforge.data.dataset import Examples, PictureOptions
from ganforge.data.formats import arrays, cifar, idx, image_folder

# (recognises, read) of each format. recognises(path, head): head holds the first 8 bytes of a file,
# nothing for a folder. read(path, options): all examples. The name of a file decides only if its
# first bytes do not.
Format = tuple[Callable[[Path, bytes], bool], Callable[[Path, PictureOptions], Examples]]

FORMATS: tuple[Format, ...] = (
    (arrays.is_npy, arrays.read_npy),
    (arrays.is_npz, arrays.read_npz),
    (cifar.recognises, cifar.read),
    (idx.recognises, idx.read),
    (image_folder.recognises, image_folder.read),
)
KINDS = (
    "a folder or .zip of pictures, .npy, .npz, idx files (plain or .gz), CIFAR-10's batches or a "
    "packed folder"
)
