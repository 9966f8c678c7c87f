"""What a data set is, in words and in pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ganforge.data.dataset import PARTS, Dataset, blocks, scaled
from ganforge.data.emoji import LICENCES
from ganforge.data.spec import DataSpec, as_uint8
from ganforge.errors import UsageError, check
from ganforge.rng import Order
from ganforge.types import Array, Ints, Pixels

_LISTED = 20  # classes and skipped files shown one by one


def describe(dataset: Dataset) -> list[tuple[str, str]]:
    """(label, value) rows that describe `dataset`: shape, classes, counts, range, hash."""
    spec, values = dataset.spec, dataset.values
    rows = [("data", dataset.name), ("part", dataset.part), ("examples", f"{len(values):,}")]
    if spec.is_image:
        c, h, w = spec.shape
        rows.append(("pictures", f"{h} x {w}, {c} channel{'s' if c > 1 else ''}, {spec.dtype}"))
        chunks = [values[chunk] for chunk in blocks(values)]
        low, high = min(chunk.min() for chunk in chunks), max(chunk.max() for chunk in chunks)
        rows.append(("range", f"{low:g} to {high:g}"))
    else:
        rows.append(("vectors", f"{spec.shape[0]} features, {spec.dtype}"))
        rows.append(("mean", _numbers(values.mean(0, dtype=np.float64))))
        rows.append(("standard deviation", _numbers(values.std(0, dtype=np.float64))))
    rows += _classes(dataset) + _sources(dataset)
    if dataset.counts:
        sizes = zip(PARTS, dataset.counts, strict=True)
        rows.append(("parts", ", ".join(f"{part} {count:,}" for part, count in sizes)))
    rows += [("note", note) for note in dataset.notes]
    if dataset.skipped:
        rows.append(("left out", f"{len(dataset.skipped)} files that cannot be read"))
        rows += [("", reason) for reason in dataset.skipped[:_LISTED]]
    if dataset.name in LICENCES:
        rows.append(("licence", LICENCES[dataset.name]))
    return [*rows, ("sha256", dataset.sha256)]


def preview(dataset: Dataset, count: int) -> Array:
    """`count` pictures of a data set, or all if it has fewer, uint8 (count, H, W, C).

    The choice is random but fixed. Labelled pictures come from the classes in turn, so that a grid
    of K columns has one class in each column. UsageError for vectors.
    """
    check(count >= 1, "count", count, "at least 1")
    if not dataset.spec.is_image:
        raise UsageError(f"data {dataset.name!r} holds vectors, not pictures: nothing to preview")
    order = Order(0, len(dataset)).indices(0, len(dataset))
    if dataset.labels is not None:
        order = _in_turn(order, dataset.labels)
    return as_uint8(np.asarray(dataset.values[order[:count]]), dataset.spec)


def preview_pairs(dataset: Dataset, count: int) -> Pixels:
    """`count` sources, each followed by its target, uint8 (2 count, H, W, 3) of the targets' size.

    If the two are unpaired, a picture of each domain.
    """
    check(count >= 1, "count", count, "at least 1")
    assert dataset.source is not None and dataset.spec.source is not None
    rows = [
        Order(0, size).indices(0, min(count, len(dataset), len(dataset.source)))
        for size in (len(dataset.source), len(dataset))
    ]
    columns = [
        (np.asarray(dataset.source[rows[0]]), dataset.spec.source),
        (np.asarray(dataset.values[rows[1]]), dataset.spec),
    ]
    return beside(columns, dataset.spec.shape[1:])


def beside(columns: Sequence[tuple[Array, DataSpec]], size: tuple[int, ...]) -> Pixels:
    """Stored pictures of several kinds in turn: the first of each, the second of each, ...

    Args:
        columns: pictures (N, ...) of each kind, and their spec.
        size: H, W that all are shown in.

    Returns:
        uint8 (N kinds, H, W, 3).
    """
    shown = []
    for values, spec in columns:
        pixels = at_size(values, spec, size)
        shown.append(pixels[..., [0, 0, 0] if pixels.shape[-1] < 3 else [0, 1, 2]])
    return np.stack(shown, 1).reshape(-1, *shown[0].shape[1:])


def at_size(values: Array, spec: DataSpec, size: tuple[int, ...]) -> Pixels:
    """Stored pictures as uint8 (N, H, W, C), resized to the H, W of `size`."""
    pixels = as_uint8(values, spec)
    return pixels if pixels.shape[1:3] == size else scaled(pixels, *size)


def spread_rows(count: int, most: int) -> Ints:
    """At most `most` of the rows 0 .. count - 1, evenly spread."""
    return np.linspace(0, count - 1, min(most, count)).round().astype(np.int64)


def _sources(dataset: Dataset) -> list[tuple[str, str]]:
    """What the examples are translated from."""
    spec = dataset.spec.source
    if dataset.source is None or spec is None:
        return []
    how = "unpaired" if dataset.unpaired else "paired: one for each example"
    kind = " x ".join(map(str, spec.stored_shape))
    return [("sources", f"{len(dataset.source):,} of {kind}, {spec.dtype}, {how}")]


def _in_turn(order: Ints, labels: Ints) -> Ints:
    """`order` rearranged to the first of each class, then the second of each class, ..."""
    shuffled = labels[order]
    by_class = np.argsort(shuffled, kind="stable")
    starts = np.searchsorted(shuffled[by_class], np.arange(shuffled.max() + 1))
    rank = np.empty(len(order), dtype=np.int64)
    rank[by_class] = np.arange(len(order)) - starts[shuffled[by_class]]
    return order[np.lexsort((shuffled, rank))]


def _classes(dataset: Dataset) -> list[tuple[str, str]]:
    if dataset.labels is None:
        return [("labels", "none")]
    counts = np.bincount(dataset.labels, minlength=dataset.spec.classes)
    names = dataset.class_names or range(len(counts))
    rows = [(f"  {one_line(name)}", f"{n:,}") for name, n in zip(names, counts, strict=False)]
    empty = [row[0].strip() for row, n in zip(rows, counts, strict=True) if not n]
    if len(rows) > _LISTED:
        rows[_LISTED:] = [("  ...", f"{len(rows) - _LISTED} more")]
    if empty and dataset.part == "train":
        lacking = ", ".join(empty[:8])
        rows.append(("note", f"no training example of {lacking}: recipes with labels refuse this"))
    return [("classes", str(dataset.spec.classes)), *rows]


def one_line(name: object) -> str:
    """A class's name without line breaks and other letters that move the cursor."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(name))


def _numbers(values: Array) -> str:
    shown = ", ".join(f"{v:.4g}" for v in values[:8])
    return f"{shown}, ..." if len(values) > 8 else shown
