"""A log of any length as at most a few thousand points that lose no peak."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

POINTS = 4000  # of a curve at most; even

Point = list[float]  # least, greatest and mean of a key over some records


@dataclass
class Curve:
    """Buckets of `width` records each: the last step, and the Point of every key.

    If there are more than POINTS buckets, neighbours become one: memory has a bound, and the least
    and the greatest value of every stretch stay.
    """

    width: int = 1
    rows: int = 0
    steps: list[float] = field(default_factory=list)
    keys: dict[str, list[Point | None]] = field(default_factory=dict)
    inside: int = 0  # records in the last bucket

    def add(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Append records of a log."""
        for record in records:
            self.rows += 1
            if self.inside in (0, self.width):
                self.steps.append(0)
                for points in self.keys.values():
                    points.append(None)
                self.inside = 0
            self.inside += 1
            self.steps[-1] = record["step"]
            for key, value in record.items():
                if key != "step" and type(value) in (int, float) and math.isfinite(value):
                    self.put(key, value)
            if len(self.steps) > POINTS:
                self.halve()

    def put(self, key: str, value: float) -> None:
        """A value of the last bucket."""
        points = self.keys.setdefault(key, [None] * len(self.steps))
        last = points[-1]
        if last is None:
            points[-1] = [value, value, value]
        else:
            mean = last[2] + (value - last[2]) / self.inside
            points[-1] = [min(last[0], value), max(last[1], value), mean]

    def halve(self) -> None:
        """Each two neighbours become one bucket; the last one of an odd number stays open."""
        self.steps = [*self.steps[1:-1:2], self.steps[-1]]
        for key, points in self.keys.items():
            pairs = zip(points[:-1:2], points[1::2], strict=True)
            self.keys[key] = [*(joined(a, b) for a, b in pairs), points[-1]]
        self.width *= 2

    def table(self) -> dict[str, Any]:
        """All of it, as JSON values."""
        return {"rows": self.rows, "steps": self.steps, "keys": self.keys}


def joined(a: Point | None, b: Point | None) -> Point | None:
    """Two buckets as one."""
    if a is None or b is None:
        return a or b
    return [min(a[0], b[0]), max(a[1], b[1]), (a[2] + b[2]) / 2]
