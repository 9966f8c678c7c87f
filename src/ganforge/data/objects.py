"""Data that are objects of a program: arrays, tensors, data sets, lists of pictures.

    examples = read(dataset)             # all examples, in memory
    path = store(examples, Path("runs/a/data"))

A run trains on the store in its folder, so that nothing that reads the run needs the object.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from ganforge.data import decode, pack
from ganforge.data.dataset import Examples, check_stored
from ganforge.data.formats import arrays, packed
from ganforge.errors import DataError, UsageError
from ganforge.types import Array

LARGEST = 2**31  # bytes of an object that is read into a run folder
COLUMNS = {  # of rows with names
    "example": ("image", "img", "pixel_values", "x"),
    "label": ("label", "labels", "fine_label", "y"),
}
KINDS = (
    "a name, a path, a NumPy array, a torch tensor, a map-style torch Dataset, a Hugging Face data "
    "set with one split, or a list of PIL pictures"
)


def read(
    data: Any, labels: Any = None, *, size: int | None = None, largest: int = LARGEST
) -> Examples:
    """All examples of an object.

    Args:
        data: an array or a tensor, (N, H, W), (N, H, W, C) or (N, C, H, W) for pictures, (N, F) for
            vectors; or a map-style data set, whose items are pictures, arrays or tensors, alone or
            in pairs (example, label), or rows such as {"image": ..., "label": ...}. `Examples` are
            returned unchanged.
        labels: integers 0..K-1, (N,), for data without labels inside.
        size: side in pixels to which pictures are cropped and resized; None leaves them.
        largest: bytes of the values.

    Raises:
        UsageError: an object of another kind, a data set whose items change between two readings,
            more than `largest` bytes.
        DataError: values or labels that no data set has; see `arrays.examples`.
    """
    if isinstance(data, Examples):
        return data
    name = type(data).__name__
    if isinstance(data, torch.Tensor):
        data = data.detach().cpu().numpy()
    if isinstance(data, np.ndarray):
        require_small(data.nbytes, largest, name)
        values, found = data, None
    else:
        require_items(data, name)
        if not len(data):
            raise DataError(f"data of type {name}: no examples")
        values, found = read_items(data, size, largest, name)
    if labels is not None:
        if found is not None:
            raise UsageError(f"labels and data of type {name} with labels inside: give one of them")
        found = as_array(labels)
    made = arrays.examples(values, found, f"data of type {name}")
    check_stored(made, f"data of type {name}")
    names = class_names(data)
    fits = made.labels is not None and len(names) > made.labels.max()
    return replace(made, class_names=names if fits else ())


def store(examples: Examples, folder: Path, name: str, size: int | None = None) -> Path:
    """Write examples as a packed folder, with the sha256 of each part; an earlier one goes.

    Raises:
        DataError, UsageError: see `packed.write`.
        DiskError: the folder cannot be written.
    """
    with pack.building(folder) as new:
        packed.write(new, examples, name, size, 0)
    return folder


def require_small(count: int, largest: int, name: str) -> None:
    """UsageError for more than `largest` bytes."""
    if count > largest:
        raise UsageError(
            f"data of type {name}: {count / 2**30:.1f} GiB, more than the {largest / 2**30:.1f} "
            "GiB that a run folder takes: save them as .npy or as pictures, `ganforge data pack` "
            "them once, and give the path"
        )


def require_items(data: Any, name: str) -> None:
    """UsageError for an object that is no list and no map-style data set."""
    if isinstance(data, torch.utils.data.DataLoader):
        raise UsageError("data of type DataLoader: give its data set, loader.dataset")
    if isinstance(data, Mapping):
        splits = ", ".join(map(repr, list(data)[:4]))
        raise UsageError(f"data of type {name}: give one of its splits, such as data[{splits}]")
    if hasattr(data, "to_numpy"):
        raise UsageError(f"data of type {name}: give data.to_numpy(dtype='float32')")
    if isinstance(data, torch.utils.data.IterableDataset) or (
        hasattr(data, "__iter__") and not hasattr(data, "__len__")
    ):
        raise UsageError(
            f"data of type {name} can be read only in order: give a map-style data set, or "
            "list(data)"
        )
    if isinstance(data, str | bytes) or not (
        hasattr(data, "__len__") and hasattr(data, "__getitem__")
    ):
        raise UsageError(f"data of type {name}: expected {KINDS}")


def read_items(data: Any, size: int | None, largest: int, name: str) -> tuple[Array, Array | None]:
    """(values, labels) of a data set's items; a data set that is no list is read twice."""
    first = []
    for i in range(len(data)):
        value, label = read_item(data, i, size, name)
        require_small(value.nbytes * len(data), largest, name)
        first.append((value, label))
    for i, (value, label) in enumerate(() if isinstance(data, list | tuple) else first):
        again, same = read_item(data, i, size, name)
        if not (np.array_equal(value, again, equal_nan=True) and label == same):
            raise UsageError(
                f"item {i} of data of type {name} differs between two readings: leave random "
                "transforms out (mirror=True and augment= change pictures while a run trains)"
            )
    values = stacked([value for value, _ in first], name)
    found = [label for _, label in first]
    unlabelled = found.count(None)
    if 0 < unlabelled < len(found):
        raise DataError(f"data of type {name}: {unlabelled} of {len(found)} items have no label")
    return values, None if unlabelled else np.asarray(found)


def read_item(data: Any, i: int, size: int | None, name: str) -> tuple[Array, int | None]:
    """(value, label) of an item: an example, a pair (example, label), or a row with names."""
    item = data[i]
    where, label = f"item {i} of data of type {name}", None
    if isinstance(item, Mapping):
        keys = {key: [k for k in choices if k in item] for key, choices in COLUMNS.items()}
        if not keys["example"]:
            raise UsageError(
                f"{where}: a row with {', '.join(map(repr, item))}: name the column of the "
                f"examples one of {', '.join(COLUMNS['example'])}"
            )
        label = item[keys["label"][0]] if keys["label"] else None
        item = item[keys["example"][0]]
    elif isinstance(item, tuple | list) and len(item) in (1, 2):
        label = item[1] if len(item) == 2 else None
        item = item[0]
    return as_value(item, size, where), None if label is None else as_label(label, where)


def as_value(item: Any, size: int | None, where: str) -> Array:
    """An example as an array; a picture (H, W, 1 or 3) uint8, cropped and resized."""
    if isinstance(item, Image.Image):
        return decode.pixels(item.copy(), size, 1 if decode.is_grey(item) else 3)
    if isinstance(item, torch.Tensor):
        item = item.detach().cpu().numpy()
    if not isinstance(item, np.ndarray):
        raise UsageError(
            f"{where} is of type {type(item).__name__}: expected a picture, an array or a tensor, "
            "alone or in a pair (example, label)"
        )
    return item.astype(np.float32) if item.dtype == np.float64 else item


def as_label(label: Any, where: str) -> int:
    """A label as a whole number."""
    if isinstance(label, torch.Tensor | np.ndarray) and label.ndim == 0:
        label = label.item()
    if isinstance(label, np.integer):
        label = int(label)
    if type(label) is not int:
        raise UsageError(f"{where}: the label {label!r:.40} is no whole number 0..K-1: convert it")
    return label


def as_array(labels: Any) -> Array:
    """The labels that a user gives beside the data, as an array."""
    if isinstance(labels, torch.Tensor):
        labels = labels.detach().cpu().numpy()
    try:
        return np.asarray(labels)
    except ValueError:
        raise UsageError(
            f"labels = {labels!r:.60}: expected whole numbers, one an example"
        ) from None


def stacked(values: list[Array], name: str) -> Array:
    """Values of one shape as an array; grey pictures among coloured ones become coloured."""
    shapes = Counter(value.shape for value in values)
    if len({shape[:2] for shape in shapes}) == 1 and {s[2:] for s in shapes} == {(1,), (3,)}:
        values = [np.broadcast_to(value, (*value.shape[:2], 3)) for value in values]
    elif len(shapes) > 1:
        common = shapes.most_common(1)[0][0]
        picture = len(common) == 3 and values[0].dtype == np.uint8
        remedy = f"size={min(common[:2])}" if picture else "the same shape for all"
        raise DataError(
            f"data of type {name}: examples of {len(shapes)} shapes, {common} the most common: "
            f"give {remedy}"
        )
    return np.stack(values)


def class_names(data: Any) -> tuple[str, ...]:
    """The names of the classes, from `classes` of a torchvision data set or a column's feature."""
    features = getattr(data, "features", None)
    if isinstance(features, Mapping):
        for key in COLUMNS["label"]:
            if hasattr(features.get(key), "names"):
                return tuple(map(str, features[key].names))
    classes = getattr(data, "classes", ())
    return tuple(map(str, classes)) if isinstance(classes, list | tuple) else ()
