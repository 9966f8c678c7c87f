"""`load`: from a name or a path to one part of a data set."""

from __future__ import annotations

from collections.abc import Callable

from ganforge.codec import DataSpec
from ganforge.data import idx, toy
from ganforge.data.dataset import PARTS, Dataset, Examples, digest, resized_spec, select
from ganforge.errors import UsageError, choice, did_you_mean

# Every data set known by name: a toy law, or a function that reads all of its examples.
SOURCES: dict[str, Callable[[], Examples] | toy.Law] = {
    "mnist": idx.bundled_mnist,
    **toy.LAWS,
}


def load(source: str, *, part: str = "train", size: int | None = None, seed: int = 0) -> Dataset:
    choice("part", part, PARTS)
    if source in SOURCES:
        entry = SOURCES[source]
        if isinstance(entry, toy.Law):
            return _toy(source, entry, part, size, seed)
        return select(entry(), source, part, size=size, seed=seed)
    raise UsageError(f"unknown data {source!r}: {did_you_mean(source, list(SOURCES))}")


def _toy(name: str, law: toy.Law, part: str, size: int | None, seed: int) -> Dataset:
    """Model values are data units: a toy's figures are read off directly."""
    f = law.features
    spec = DataSpec((f,), 0, "float32", False, (0.0,), (1.0,))
    if size is not None:
        resized_spec(spec, size, name)
    values = toy.draws(name, part, seed)
    return Dataset(name, part, spec, values, sha256=digest(values, None))


__all__ = ["PARTS", "SOURCES", "Dataset", "load"]
