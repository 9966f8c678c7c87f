"""What every reader gives, how it is split, and the `Dataset` that the rest of the program sees."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from ganforge.data.spec import DataSpec
from ganforge.errors import DataError, UsageError, choice
from ganforge.rng import Stream
from ganforge.types import Array, Ints

PARTS = ("train", "validation", "test")
MAX_CLASSES = 65_536
MAX_SIDE = 4096
_BLOCK_BYTES = 2**26  # how much of a memory-mapped array is touched at once


@dataclass(frozen=True)
class Examples:
    """Everything a source holds, before it is split.

    values: stored values, uint8 (N, H, W, C), float32 (N, H, W, C) or float32 (N, F).
    labels: int64 (N,) in 0..K-1, or None.
    class_names: K names, or none.
    skipped: files left out, each as "name: reason".
    test: the last `test` rows are a published test part; 0 where there is none.
    validation: with a published test part, how many of the other rows are held out.
    drawn: they are drawn by the seed; False holds out the last of them, as some papers do.
    """

    values: Array
    labels: Ints | None = None
    class_names: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    test: int = 0
    validation: int = 0
    drawn: bool = True


@dataclass(frozen=True)
class Dataset:
    """One part of one data set, decoded.

    name: as the user named it. part: "train", "validation" or "test".
    values: stored values, uint8 or float32 (N, H, W, C) for pictures, float32 (N, F) for vectors;
        may be a read-only memory map.
    labels: int64 (N,) in 0..K-1, or None. class_names: K names, or none.
    sha256: of the values and labels of this part, as hexadecimal digits.
    skipped: files left out, each as "name: reason".
    """

    name: str
    part: str
    spec: DataSpec
    values: Array = field(repr=False)
    labels: Ints | None = field(default=None, repr=False)
    class_names: tuple[str, ...] = ()
    sha256: str = ""
    skipped: tuple[str, ...] = field(default=(), repr=False)

    def __len__(self) -> int:
        return len(self.values)

    def mean(self) -> Array:
        """The mean of all examples, float64, in stored units and of the stored shape."""
        total = np.zeros(self.spec.stored_shape)
        for part in blocks(len(self), self.values[:1].nbytes):
            total += self.values[part].sum(0, dtype=np.float64)
        return total / len(self)


def split(
    count: int, seed: int, *, test: int = 0, validation: int = 0, drawn: bool = True
) -> dict[str, Ints]:
    """Row numbers of each part, ascending; disjoint, and together 0 .. count - 1.

    Without a published test part: 90/5/5 by `seed`, rounded, at least one row for training. With
    one (the last `test` rows), `validation` of the other rows are held out by `seed`, or the last
    of them where they are not `drawn`.
    """
    rest = count - test
    order = np.argsort(Stream(seed, "split").words(0, rest), kind="stable").astype(np.int64)
    order = order if drawn else np.arange(rest, dtype=np.int64)[::-1]
    held = [validation, 0] if test else [(rest + 10) // 20] * 2
    if sum(held) >= rest:
        held = [0, 0]
    v, t = held
    parts = {"validation": order[:v], "test": order[v : v + t], "train": order[v + t :]}
    if test:
        parts["test"] = np.arange(rest, count, dtype=np.int64)
    return {part: np.sort(parts[part]) for part in PARTS}


def select(examples: Examples, name: str, part: str, *, size: int | None, seed: int) -> Dataset:
    """One part of `examples`, pictures cropped and resized to size x size where that is given.

    Raises DataError where the part is empty, UsageError for an unknown part or a size that cannot
    be made.
    """
    parts = rows(examples, name, part, seed)
    spec = describe_values(examples, parts["train"])
    values = np.ascontiguousarray(examples.values[parts[part]])
    if size is not None:
        spec = resized_spec(spec, size, name)
        values = resize(values, size)
    labels = None if examples.labels is None else examples.labels[parts[part]]
    return Dataset(
        name=name,
        part=part,
        spec=spec,
        values=values,
        labels=labels,
        class_names=examples.class_names,
        sha256=digest(values, labels),
        skipped=examples.skipped,
    )


def rows(examples: Examples, name: str, part: str, seed: int) -> dict[str, Ints]:
    """`split` of `examples`; DataError where it holds nothing, or nothing in `part`."""
    choice("part", part, PARTS)
    count = len(examples.values)
    if examples.values.size == 0:
        raise DataError(
            f"data {name!r} holds no examples: an array of shape {examples.values.shape}"
        )
    held = (examples.test, examples.validation)
    parts = split(count, seed, test=held[0], validation=held[1], drawn=examples.drawn)
    if len(parts[part]) == 0:
        raise DataError(
            f"data {name!r} has {count} examples, too few for a {part} part: "
            "10 or more are split 90/5/5; add examples, or use the train part"
        )
    return parts


def describe_values(examples: Examples, train: Ints) -> DataSpec:
    """The DataSpec of `examples`; offset and scale of floats come from the rows `train`.

    uint8: [0, 255] to [-1, 1]. Float pictures: the range of the train part to [-1, 1]. Vectors:
    mean 0 and standard deviation 1 for each feature of the train part.
    """
    values, labels = examples.values, examples.labels
    classes = len(examples.class_names)
    if labels is not None and len(labels):
        classes = max(classes, int(labels.max()) + 1)
    if values.ndim == 4:
        _, h, w, c = values.shape
        if values.dtype == np.uint8:
            return DataSpec((c, h, w), classes)
        low, high = _extremes(values, train)
        middle, half = (high + low) / 2, (high - low) / 2
        return DataSpec((c, h, w), classes, "float32", True, (middle,), (half if half else 1.0,))
    mean, std = _moments(values, train)
    std = np.where(std > 0, std, 1.0)  # a constant feature is centred and left alone
    offset, scale = tuple(map(float, mean)), tuple(map(float, std))
    return DataSpec((values.shape[1],), classes, "float32", False, offset, scale)


def resized_spec(spec: DataSpec, size: int, name: str) -> DataSpec:
    """`spec` for pictures of size x size; UsageError where that cannot be."""
    if not 1 <= size <= MAX_SIDE:
        raise UsageError(f"size = {size}: expected 1 to {MAX_SIDE} pixels")
    if not spec.is_image:
        raise UsageError(f"size = {size}: data {name!r} holds vectors, not pictures; leave it out")
    shape = (spec.shape[0], size, size)
    return DataSpec(shape, spec.classes, spec.dtype, spec.bounded, spec.offset, spec.scale)


def resize(values: Array, size: int) -> Array:
    """Pictures (N, H, W, C), centre-cropped to a square and resized to (N, size, size, C).

    Antialiased (Lanczos); unchanged where they have that size already. Floats stay in their range.
    """
    from PIL import Image

    n, h, w, c = values.shape
    if (h, w) == (size, size):
        return values
    side = min(h, w)
    top, left = (h - side) // 2, (w - side) // 2
    values = values[:, top : top + side, left : left + side]
    if side == size:
        return np.ascontiguousarray(values)
    out = np.empty((n, size, size, c), dtype=values.dtype)
    for i in range(n):
        for k in range(c):
            # Channel by channel: Pillow knows 1, 3 and 4 only, and takes a fourth for alpha.
            plane = np.ascontiguousarray(values[i, :, :, k])
            new = Image.fromarray(plane).resize((size, size), Image.Resampling.LANCZOS)
            out[i, :, :, k] = np.asarray(new)
            if out.dtype != np.uint8:  # Lanczos overshoots at edges; Pillow clips only bytes
                np.clip(out[i, :, :, k], plane.min(), plane.max(), out=out[i, :, :, k])
    return out


def digest(values: Array, labels: Ints | None) -> str:
    """sha256 of dtype, shape and bytes of the values, and of the labels where there are any."""
    state = hashlib.sha256()
    for array in (values,) if labels is None else (values, labels):
        state.update(f"{array.dtype.str}{array.shape}".encode())
        for chunk in blocks(len(array), array[:1].nbytes):
            state.update(np.ascontiguousarray(array[chunk]).data)
    return state.hexdigest()


def blocks(count: int, row_bytes: int) -> Iterator[slice]:
    """Slices that cover 0 .. count - 1, each of at most 64 MiB of rows and at least one row."""
    step = max(1, _BLOCK_BYTES // max(1, row_bytes))
    return (slice(i, min(i + step, count)) for i in range(0, count, step))


def check_labels(labels: Array, count: int, where: str) -> Ints:
    """`labels` as int64 (count,), or a DataError that names the first value that cannot be one."""
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.shape != (count,):
        raise DataError(
            f"{where}: labels of shape {labels.shape} for {count} examples: give one for each"
        )
    if labels.dtype.kind not in "iu":
        raise DataError(f"{where}: labels are {labels.dtype}: give integers 0..K-1")
    bad = np.flatnonzero((labels < 0) | (labels >= MAX_CLASSES))
    if len(bad):
        raise DataError(
            f"{where}: label {int(labels[bad[0]])} of row {int(bad[0])} is out of range: "
            f"labels are 0..K-1 with at most {MAX_CLASSES} classes"
        )
    return labels.astype(np.int64)


def _extremes(values: Array, train: Ints) -> tuple[float, float]:
    low, high = np.inf, -np.inf
    for chunk in blocks(len(train), values[:1].nbytes):
        part = values[train[chunk]]
        low, high = min(low, float(part.min())), max(high, float(part.max()))
    return low, high


def _moments(values: Array, train: Ints) -> tuple[Array, Array]:
    """Mean and standard deviation of each feature over the rows `train`, float64 (F,)."""
    chunks = [train[c] for c in blocks(len(train), values[:1].nbytes)]
    mean = sum(values[c].sum(0, dtype=np.float64) for c in chunks) / len(train)
    # Two passes: the one-pass formula loses every digit where the mean is large.
    total = sum(np.square(values[c] - mean).sum(0) for c in chunks)
    return np.asarray(mean), np.sqrt(np.asarray(total) / len(train))
