"""What every format gives, how it is split, and the `Dataset` that the rest of the program uses."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial

import numpy as np

from ganforge.data.settings import Reading
from ganforge.data.spec import DataSpec
from ganforge.errors import DataError, UsageError, check
from ganforge.rng import Stream
from ganforge.types import Array, Ints

PARTS = ("train", "validation", "test")
LEAST_SCORED = 100  # examples of a part by which samples are scored
LEAST_PAIRS = 10  # pictures of a part by which translations are scored
MAX_CLASSES = 65_536
MAX_SIDE = 4096  # pixels
STORED = {(4, "uint8"), (4, "float32"), (2, "float32")}  # axes and dtype of stored values
_BLOCK_BYTES = 2**26  # of a memory-mapped array that are read at once


@dataclass(frozen=True)
class PictureOptions:
    """How data are read from their files; formats that hold arrays use the settings alone.

    Args:
        size: side in pixels to which the central square of each picture is resized; None if all
            pictures have one size.
        workers: threads that decode, or processes for more than `threads` workers and at least
            `many` pixels; 0 for as many threads as there are CPUs, 8 at most.
        allocate: makes the uint8 array of a shape.
        pairing: what a translating game wants, "paired" or "unpaired"; "" for pictures alone.
        threads: most threads that share one interpreter without waiting for each other.
        many: pixels from which processes save more time than they take to start.
        reading: settings behind the name of the data.
    """

    size: int | None = None
    workers: int = 0
    allocate: Callable[[tuple[int, ...]], Array] = partial(np.empty, dtype=np.uint8)
    threads: int = 4
    many: int = 5 * 10**8
    reading: Reading = Reading()
    pairing: str = ""


@dataclass(frozen=True)
class Examples:
    """All examples of a data set, before it is split.

    Args:
        values: stored values, uint8 (N, H, W, C), float32 (N, H, W, C) or float32 (N, F).
        labels: int64 (N,) in 0..K-1, or None.
        class_names: K names, or none.
        skipped: files that were left out, each as "name: reason".
        test: the last `test` rows are a published test part; 0 if there is none.
        validation: how many of the other rows validate; 0 for the usual fraction of them.
        drawn: those rows are drawn by the seed; False takes the last of them.
        source: what a game translates from, stored like `values`, of any size; None if it
            translates nothing.
        unpaired: source is a separate set of any length; else row i of source belongs to row i of
            values.
        source_test: the last rows of an unpaired source that are a published test part.
        groups: int64 (N,), rows of one group lie in one part; None if each row is a group.
        notes: what the user should know of how the data were read.
    """

    values: Array
    labels: Ints | None = None
    class_names: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    test: int = 0
    validation: int = 0
    drawn: bool = True
    source: Array | None = None
    unpaired: bool = False
    notes: tuple[str, ...] = ()
    source_test: int = 0
    groups: Ints | None = None

    def __post_init__(self) -> None:
        check_source(self, "these examples")
        if self.unpaired and bool(self.test) != bool(self.source_test):
            raise DataError(
                "one of two unpaired domains has a published test part: give both one, or neither"
            )

    @property
    def classes(self) -> int:
        """Number of labels K, 0 without labels."""
        highest = -1 if self.labels is None else int(self.labels.max(initial=-1))
        return max(len(self.class_names), highest + 1)


@dataclass(frozen=True)
class Dataset:
    """One part of one data set, decoded.

    Args:
        name: as the user gave it.
        part: "train", "validation" or "test".
        spec: what one example looks like.
        values: stored values, uint8 or float32 (N, H, W, C) for pictures, float32 (N, F) for
            vectors; may be a read-only memory map.
        labels: int64 (N,) in 0..K-1, or None.
        class_names: K names, or none.
        sha256: `digest` of this part.
        skipped: files that were left out, each as "name: reason".
        source: what a game translates from, (N, ...) or, unpaired, (M, ...); or None.
        unpaired: source has a separate order; else row i of source belongs to row i of values.
        counts: examples of the train, validation and test part; empty if they are not known.
        notes: what the user should know of how the data were read.
    """

    name: str
    part: str
    spec: DataSpec
    values: Array = field(repr=False)
    labels: Ints | None = field(default=None, repr=False)
    class_names: tuple[str, ...] = ()
    sha256: str = ""
    skipped: tuple[str, ...] = field(default=(), repr=False)
    source: Array | None = field(default=None, repr=False)
    unpaired: bool = False
    counts: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_source(self, f"data {self.name!r}")
        check_stored(self, f"data {self.name!r}")
        stored = self.values.dtype.name, self.values.shape[1:]
        if stored != (self.spec.dtype, self.spec.stored_shape):
            raise DataError(
                f"data {self.name!r}: examples of {stored[0]} {stored[1]}, and their spec says "
                f"{self.spec.dtype} {self.spec.stored_shape}: give the spec of these values"
            )
        if (self.source is None) != (self.spec.source is None):
            raise DataError(f"data {self.name!r}: give source and spec.source together")

    def __len__(self) -> int:
        return len(self.values)

    def remarks(self) -> list[str]:
        """What a user should know before training on these examples."""
        remarks = list(self.notes)
        if self.skipped:
            remarks.append(f"{len(self.skipped)} files left out, the first: {self.skipped[0]}")
        return [f"data: {remark}" for remark in remarks]

    @property
    def epoch(self) -> int:
        """Examples in one pass: those of the larger domain if two are unpaired."""
        return len(self) if self.source is None else max(len(self), len(self.source))

    def mean(self) -> Array:
        """The mean of all examples, float64, in stored units and of the stored shape."""
        total = np.zeros(self.spec.stored_shape)
        for part in blocks(self.values):
            total += self.values[part].sum(0, dtype=np.float64)
        return total / len(self)


def check_source(data: Examples | Dataset, where: str) -> None:
    """Raise a DataError unless the source of `data` fits its values."""
    count, sources = len(data.values), None if data.source is None else len(data.source)
    if data.unpaired and sources is None:
        raise DataError(f"{where}: unpaired, but without a source: give one")
    if not data.unpaired and sources not in (None, count):
        raise DataError(
            f"{where}: {sources} sources for {count} examples: give one for each, or say that they "
            "are unpaired"
        )


def check_stored(data: Examples | Dataset, where: str) -> None:
    """Raise a DataError unless values, source and labels of `data` are such as are stored."""
    for values in (data.values, data.source):
        if values is None:
            continue
        if (values.ndim, values.dtype.name) not in STORED:
            raise DataError(
                f"{where}: values of {values.dtype} with {values.ndim} axes: convert them to "
                "pictures uint8 or float32 (N, H, W, C), or vectors float32 (N, F)"
            )
        # of all examples, once: a part of them is not read again
        whole = blocks(values) if isinstance(data, Examples) and values.dtype.kind == "f" else ()
        for chunk in whole:
            finite = np.isfinite(values[chunk]).reshape(len(values[chunk]), -1).all(axis=1)
            if not finite.all():
                row = chunk.start + int(np.argmin(finite))
                raise DataError(f"{where}: row {row} holds NaN or infinity: remove or repair it")
    if data.labels is not None:
        check_labels(data.labels, len(data.values), where)
        if data.labels.dtype != np.int64:
            raise DataError(f"{where}: labels of {data.labels.dtype}: convert them to int64")


def without_gaps(examples: Examples) -> Examples:
    """`examples` with labels 0..K-1, whose names are the numbers that they had."""
    if examples.labels is None or examples.class_names or not len(examples.labels):
        return examples
    numbers, labels = np.unique(examples.labels, return_inverse=True)
    if numbers[-1] == len(numbers) - 1:
        return examples
    names = tuple(map(str, numbers.tolist()))
    shown = ", ".join(names[:8]) + ", ..." * (len(names) > 8)
    note = f"the labels {shown} are {len(names)} classes that have these numbers as names"
    return replace(
        examples,
        labels=labels.astype(np.int64),
        class_names=names,
        notes=(*examples.notes, note),
    )


def select(
    examples: Examples,
    name: str,
    part: str,
    *,
    size: int | None,
    seed: int,
    held_out: float = Reading.held_out,
    pairing: str = "",
) -> Dataset:
    """One part of `examples`.

    Args:
        examples: all of them, with their source if they have one.
        name: of the data set.
        part: "train", "validation" or "test".
        size: side in pixels to which pictures, of values and source, are cropped and resized; None
            leaves them.
        seed: of the split.
        held_out: see `split`.
        pairing: "unpaired" hides which source belongs to which example of the train part.

    Raises:
        DataError: the part is empty.
        UsageError: a size that pictures cannot have.
    """
    parts = split(examples, name, part, seed, held_out)
    counts = tuple(len(parts[each]) for each in PARTS)
    values, spec = _chosen(examples.values, parts, part, size, name, examples.classes)
    labels = None if examples.labels is None else examples.labels[parts[part]]
    source = None
    unpaired = hides_pairs(examples.source, examples.unpaired, part, pairing)
    if examples.source is not None:
        size_of = size if examples.source.ndim == 4 else None  # a vector has no size
        parts = source_split(examples, parts, name, part, seed, held_out)
        source, source_spec = _chosen(examples.source, parts, part, size_of, name)
        spec = replace(spec, source=source_spec)
    sha256 = digest(values, labels, source, unpaired=unpaired)
    return Dataset(
        name, part, spec, values, labels, examples.class_names, sha256, examples.skipped,
        source=source,
        unpaired=unpaired,
        counts=counts,
        notes=examples.notes,
    )  # fmt: skip


def hides_pairs(source: Array | None, unpaired: bool, part: str, pairing: str) -> bool:
    """Whether source and examples of a part are two streams.

    An unpaired game trains on pairs as if they were none; those held out stay pairs, to judge by.
    """
    return unpaired or (source is not None and pairing == "unpaired" and part == "train")


def source_split(
    examples: Examples,
    parts: dict[str, Ints],
    name: str,
    part: str,
    seed: int,
    held_out: float = Reading.held_out,
) -> dict[str, Ints]:
    """The rows of the source in each part: `parts` of pairs, or a separate split."""
    if not examples.unpaired or examples.source is None:
        return parts
    alone = Examples(examples.source, test=examples.source_test)
    return split(alone, f"{name} (source)", part, seed, held_out)


def _chosen(
    values: Array, parts: dict[str, Ints], part: str, size: int | None, name: str, classes: int = 0
) -> tuple[Array, DataSpec]:
    """The rows of a part, resized, and their spec."""
    spec = resized_spec(describe_values(values, parts["train"], classes), size, name)
    return resize(np.ascontiguousarray(values[parts[part]]), size), spec


def split(
    examples: Examples, name: str, part: str, seed: int, held_out: float = Reading.held_out
) -> dict[str, Ints]:
    """Row numbers of each part, ascending; disjoint, and together all rows.

    A part that is not published is drawn from the other rows: by default 90/5/5 %, rounded, with at
    least one row for training; as far as whole groups allow, if there are groups. See `Examples`
    for the rows that validate.

    Args:
        examples: all of them.
        name: of the data set, for errors.
        part: the part that is wanted.
        seed: of the split.
        held_out: fraction of the rows that validates, and as large a one that tests.

    Raises:
        DataError: there are no examples, or none in `part`.
    """
    shape, test = examples.values.shape, examples.test
    if 0 in shape:
        raise DataError(f"data {name!r} holds no examples: an array of shape {shape}")
    rest = shape[0] - test
    order = np.arange(rest)[::-1]
    if examples.drawn:
        order = np.argsort(Stream(seed, "split").words(0, rest), kind="stable")
    share = math.floor(Fraction(str(held_out)) * (rest - examples.validation) + Fraction(1, 2))
    v, t = examples.validation or share, 0 if test else share
    if v + t >= rest:
        v = t = 0
    last, tested = order[:v], order[v : v + t]
    if not examples.drawn and t:  # a published validation part, and a test part that is drawn
        order = order[v:][np.argsort(Stream(seed, "split").words(0, rest - v), kind="stable")]
        tested, v = order[:t], 0
    parts = {"train": order[v + t :], "validation": last, "test": tested}
    if test:
        parts["test"] = np.arange(rest, shape[0])
    elif examples.groups is not None:
        parts = split_groups(examples.groups, seed, held_out)
    if not len(parts[part]):
        raise DataError(
            f"data {name!r} has {shape[0]} examples, too few for a {part} part: 10 or more are "
            "split 90/5/5; add examples, set more of them aside (@held_out=0.2 behind the name), "
            "or use the train part"
        )
    return {part: np.sort(rows) for part, rows in parts.items()}


def split_groups(groups: Ints, seed: int, held_out: float = Reading.held_out) -> dict[str, Ints]:
    """Rows (N,) of each part, whole groups each, by default about 90/5/5 %, drawn by the seed."""
    _, group, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    order = np.argsort(Stream(seed, "split/groups").words(0, len(sizes)), kind="stable")
    before = np.cumsum(sizes[order]) - sizes[order]  # rows of the groups that come first
    share = math.floor(Fraction(str(held_out)) * len(groups) + Fraction(1, 2))
    share = share if len(sizes) >= len(PARTS) else 0
    place = np.empty(len(sizes), dtype=np.int64)
    place[order] = np.searchsorted([share, 2 * share], before, side="right")
    return {
        part: np.flatnonzero(place[group] == number)
        for part, number in {"train": 2, "validation": 0, "test": 1}.items()
    }


def describe_values(values: Array, train: Ints, classes: int = 0) -> DataSpec:
    """The DataSpec of stored values; offset and scale of floats come from the rows `train`.

    uint8: [0, 255] to [-1, 1]. Float pictures: the range of the train part to [-1, 1]. Vectors:
    mean 0 and standard deviation 1 for each feature of the train part.
    """
    chunks = [train[c] for c in blocks(values, len(train))]
    if values.ndim == 4:
        _, h, w, c = values.shape
        if values.dtype == np.uint8:
            return DataSpec((c, h, w), classes)
        low = min(float(values[chunk].min()) for chunk in chunks)
        high = max(float(values[chunk].max()) for chunk in chunks)
        middle, half = (high + low) / 2, (high - low) / 2
        return DataSpec((c, h, w), classes, "float32", True, (middle,), (half or 1.0,))

    # Two passes: the one-pass formula loses every digit if the mean is large.
    mean = sum(values[c].sum(0, dtype=np.float64) for c in chunks) / len(train)
    total = sum(np.square(values[c] - mean).sum(0) for c in chunks)
    std = np.sqrt(np.asarray(total) / len(train))
    std = np.where(std > 0, std, 1.0)  # a constant feature is only centred
    offset, scale = (tuple(map(float, numbers)) for numbers in (mean, std))
    return DataSpec(values.shape[1:], classes, "float32", False, offset, scale)


def check_size(size: int | None) -> None:
    """UsageError unless pictures can have `size` x `size` pixels; None is for any size."""
    check(size is None or 1 <= size <= MAX_SIDE, "size", size, f"1 to {MAX_SIDE} pixels")


def resized_spec(spec: DataSpec, size: int | None, name: str) -> DataSpec:
    """`spec` for pictures of size x size pixels; UsageError for vectors or an impossible size."""
    check_size(size)
    if size is None:
        return spec
    if not spec.is_image:
        raise UsageError(f"size = {size}: data {name!r} holds vectors, not pictures; leave it out")
    return replace(spec, shape=(spec.shape[0], size, size))


def resize(values: Array, size: int | None) -> Array:
    """Pictures (N, H, W, C), centre-cropped to a square and resized to (N, size, size, C).

    Antialiased (Lanczos); values of that size, or for no size, are unchanged. Floats stay in their
    range.
    """
    if size is None or values.shape[1:3] == (size, size):
        return values
    _, h, w, _ = values.shape
    side = min(h, w)
    top, left = (h - side) // 2, (w - side) // 2
    values = values[:, top : top + side, left : left + side]
    return np.ascontiguousarray(values) if side == size else scaled(values, size, size)


def scaled(values: Array, height: int, width: int) -> Array:
    """Pictures (N, H, W, C) resized whole to (N, height, width, C), see `resize`."""
    from PIL import Image

    n, _, _, c = values.shape
    out = np.empty((n, height, width, c), values.dtype)
    for picture, resized in zip(values, out, strict=True):
        for k in range(c):
            # One channel at a time: Pillow knows 1, 3 and 4 only, and takes a fourth for alpha.
            plane = np.ascontiguousarray(picture[..., k])
            image = Image.fromarray(plane).resize((width, height), Image.Resampling.LANCZOS)
            new = np.asarray(image)  # Lanczos overshoots at edges, and Pillow clips only bytes
            bounded = new if new.dtype == np.uint8 else new.clip(plane.min(), plane.max())
            resized[..., k] = bounded
    return out


def digest(
    values: Array, labels: Ints | None, source: Array | None = None, *, unpaired: bool = False
) -> str:
    """sha256 of dtype, shape and bytes of the values, then of the labels and of the source."""
    state = hashlib.sha256()
    if source is not None:
        state.update(b"unpaired" if unpaired else b"paired")
    for array in (values, labels, source):
        if array is not None:
            state.update(f"{array.dtype.str}{array.shape}".encode())
            for chunk in blocks(array):
                state.update(np.ascontiguousarray(array[chunk]).data)
    return state.hexdigest()


def blocks(values: Array, count: int | None = None) -> Iterator[slice]:
    """Slices that cover `count` rows, by default all, each of at most 64 MiB or of one row."""
    count = len(values) if count is None else count
    step = max(1, _BLOCK_BYTES // max(1, values[:1].nbytes))
    return (slice(i, min(i + step, count)) for i in range(0, count, step))


def check_labels(labels: Array, count: int, where: str) -> Ints:
    """`labels` as int64 (count,).

    Raises:
        DataError: another shape or type, or a label outside 0..K-1, which the message names.
    """
    if labels.shape == (count, 1):
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
            f"{where}: label {int(labels[bad[0]])} of row {int(bad[0])} is out of range: labels "
            f"are 0..K-1 with at most {MAX_CLASSES} classes: leave such rows out, or number the "
            "classes, np.unique(labels, return_inverse=True)[1]"
        )
    return labels.astype(np.int64)
