"""`load`: from a name or a path to one part of a data set."""

from __future__ import annotations

from ganforge.codec import DataSpec
from ganforge.data import packed, toy
from ganforge.data.dataset import PARTS, Dataset, digest, resized_spec, select
from ganforge.data.readers import SOURCES, locate, read
from ganforge.data.show import describe, preview
from ganforge.errors import choice
from ganforge.printable import printable


def load(source: str, *, part: str = "train", size: int | None = None, seed: int = 0) -> Dataset:
    """One part of a data set, decoded.

    source: a name in `SOURCES`, or the path of a folder or .zip of pictures, a packed folder, a
        .npy, .npz or idx file, or CIFAR-10's batches. A name comes before a path: ./mnist is one.
    part: "train", "validation" or "test". Sets with a published test file keep it and hold out a
        part of the training file; everything else is split 90/5/5.
    size: pictures are cropped to their central square and resized to size x size; None keeps them.
    seed: of the split, and of the draws of a toy law. A packed folder keeps the split it has.

    Raises UsageError for an unknown name or part or an impossible size, DataError for data that is
    missing, damaged, empty or too little for the part, DiskError where it cannot be read.
    """
    choice("part", part, PARTS)
    entry = SOURCES.get(source)
    if isinstance(entry, toy.Law):
        return _toy(source, entry, part, size, seed)
    if entry is not None:
        return select(entry(), source, part, size=size, seed=seed)
    path = locate(source)
    if packed.is_store(path):
        return packed.load(path, part=part, size=size, name=printable(source))
    return select(read(path, size), printable(source), part, size=size, seed=seed)


def _toy(name: str, law: toy.Law, part: str, size: int | None, seed: int) -> Dataset:
    """Draws of a law; model values are data units, so that figures can be read off directly."""
    spec = DataSpec((law.features,), 0, "float32", False, (0.0,), (1.0,))
    if size is not None:
        resized_spec(spec, size, name)
    values = toy.draws(name, part, seed)
    return Dataset(name, part, spec, values, sha256=digest(values, None))


__all__ = ["PARTS", "SOURCES", "Dataset", "describe", "load", "preview"]
