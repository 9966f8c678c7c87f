"""What a data set is, in words and in pictures."""

from __future__ import annotations

import numpy as np

from ganforge.data.dataset import PARTS, Dataset, blocks
from ganforge.data.spec import as_uint8
from ganforge.errors import UsageError, check
from ganforge.rng import Order
from ganforge.types import Array, Ints

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
    rows += _classes(dataset)
    if dataset.counts:
        sizes = zip(PARTS, dataset.counts, strict=True)
        rows.append(("parts", ", ".join(f"{part} {count:,}" for part, count in sizes)))
    rows += [("note", note) for note in dataset.notes]
    if dataset.skipped:
        rows.append(("left out", f"{len(dataset.skipped)} files that cannot be read"))
        rows += [("", reason) for reason in dataset.skipped[:_LISTED]]
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
    rows = [(f"  {name}", f"{n:,}") for name, n in zip(names, counts, strict=False)]
    if len(rows) > _LISTED:
        rows[_LISTED:] = [("  ...", f"{len(rows) - _LISTED} more")]
    return [("classes", str(dataset.spec.classes)), *rows]


def _numbers(values: Array) -> str:
    shown = ", ".join(f"{v:.4g}" for v in values[:8])
    return f"{shown}, ..." if len(values) > 8 else shown
