"""A log of any length as at most a few thousand points that lose no peak."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ganforge.types import Array

POINTS = 4000  # of a curve at most; even


@dataclass
class Curve:
    """Buckets of `width` records each: the last step, and four numbers of every key.

    The numbers are the least, the greatest and the mean value, and how many there are. If there are
    more than POINTS buckets, neighbours become one: memory has a bound, and the least and the
    greatest value of every stretch stay.
    """

    width: int = 1
    rows: int = 0
    steps: Array = field(default_factory=lambda: np.empty(0))
    keys: dict[str, Array] = field(default_factory=dict)

    def add(self, added: Iterable[Mapping[str, Any]]) -> None:
        """Append records of a log."""
        records = list(added)
        if not records:
            return
        at = (self.rows + np.arange(len(records))) // self.width  # the bucket of each
        starts = np.flatnonzero(np.diff(at, prepend=-1))
        first, old, count = int(at[0]), len(self.steps), int(at[-1]) + 1
        self.rows += len(records)
        self.steps = np.append(self.steps, np.zeros(count - old))
        self.steps[first:] = column(records, "step")[np.append(starts[1:], len(records)) - 1]
        for key in dict.fromkeys([*self.keys, *(key for record in records for key in record)]):
            values = column(records, key)
            if key == "step" or (key not in self.keys and np.isnan(values).all()):
                continue
            points = np.concatenate([self.keys.get(key, nothing(old)), nothing(count - old)])
            points[first:] = joined(points[first:], buckets(values, starts))
            self.keys[key] = points
        while len(self.steps) > POINTS:
            self.halve()

    def halve(self) -> None:
        """Each two neighbours become one bucket; the last one of an odd number stays open."""
        self.steps = np.append(self.steps[1:-1:2], self.steps[-1])
        for key, points in self.keys.items():
            pairs = np.concatenate([points, nothing(len(points) % 2)])
            self.keys[key] = joined(pairs[::2], pairs[1::2])
        self.width *= 2

    def table(self) -> dict[str, Any]:
        """All of it, as JSON values."""
        keys = {key: [row[:3] if row[3] else None for row in points.tolist()]
                for key, points in self.keys.items()}  # fmt: skip
        return {"rows": self.rows, "steps": self.steps.tolist(), "keys": keys}


def column(records: Sequence[Mapping[str, Any]], key: str) -> Array:
    """The finite numbers of a key, NaN in the place of all else."""
    found: list[Any] = [value if type(value := record.get(key)) in (int, float) else math.nan
                        for record in records]  # fmt: skip
    try:
        values = np.array(found, dtype=np.float64)
    except OverflowError:  # a whole number beyond all floats
        values = np.array([v if abs(v) < 2**1023 else math.nan for v in found])
    return np.where(np.isfinite(values), values, np.nan)


def nothing(count: int) -> Array:
    """Buckets without values."""
    return np.tile((np.nan, np.nan, 0.0, 0.0), (count, 1))


def buckets(values: Array, starts: Array) -> Array:
    """The numbers of the buckets that begin at `starts`."""
    least, greatest = np.fmin.reduceat(values, starts), np.fmax.reduceat(values, starts)
    known = ~np.isnan(values)
    count = np.add.reduceat(known.astype(float), starts)
    with np.errstate(over="ignore"):
        mean = np.add.reduceat(np.where(known, values, 0), starts) / np.maximum(count, 1)
    mean = np.where(count > 0, np.clip(mean, least, greatest), 0)
    return np.stack([least, greatest, mean, count], axis=1)


def joined(a: Array, b: Array) -> Array:
    """Each two buckets as one."""
    count = a[:, 3] + b[:, 3]
    share = b[:, 3] / np.maximum(count, 1)
    mean = a[:, 2] * (1 - share) + b[:, 2] * share
    return np.stack([np.fmin(a[:, 0], b[:, 0]), np.fmax(a[:, 1], b[:, 1]), mean, count], axis=1)
