"""A score: one figure, its verdict, and everything the figure depends on."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from ganforge.text import columns, json_values

Better = Literal["lower", "higher", "floor"]


@dataclass(frozen=True)
class Metric:
    """One metric: how it is computed, and how its value becomes a verdict, see `verdict`.

    Args:
        where: its function, "file:function" of the folder metrics: a `Measured` for a case.
        better: which way is good; "floor" if neither side of the floor is.
        real, close: the largest gaps that are still "as real" and "close".
        measures: what it measures, in one clause.
        bad: the verdict beyond `close`.
        needs: keys of `metrics.NEEDS`.
        default: computed if no metric is named and its needs are met.
        quick: "images", "vectors" or both if it takes a second or two at N = 2,500 on such data,
            and is computed while a run goes on.
        shares_n: whether its N is the N of the case; that of a part of the samples differs.
    """

    where: str
    better: Better
    real: float
    close: float
    measures: str
    bad: str = "far"
    needs: tuple[str, ...] = ()
    default: bool = True
    quick: tuple[str, ...] = ()
    shares_n: bool = True


class Measured(NamedTuple):
    """What a metric's function returns.

    Args:
        value, floor, spread, note, per_class: as in `Score`.
        control: the metric's value for the average example repeated, 0 for counts of modes; None
            if the metric is bounded.
        n: examples of each side, if fewer than the case has.
        space: name and sha256 of what measured it, if not the case's feature space.
    """

    value: float
    floor: float
    spread: float
    note: str = ""
    control: float | None = None
    n: int | None = None
    space: tuple[str, str] | None = None
    per_class: tuple[float, ...] = ()


def share(value: float, floor: float, n: int, note: str = "", **more: Any) -> Measured:
    """A share of n examples: its spread is the binomial standard error sqrt(p (1 - p) / n)."""
    return Measured(value, floor, math.sqrt(value * (1 - value) / n), note, n=n, **more)


def verdict(metric: Metric, found: Measured) -> str:
    """What a value beside its floor means, in one or two plain terms.

    gap = how much worse than the floor the value is, in the metric's direction.

    - "as real": gap <= 3 spreads, or gap <= `metric.real`.
    - "close": gap <= `metric.close`.
    - "unknown": gap > `metric.close`, but within 3 spreads: N is too small to tell. Also if the
      value or its floor is not a number.
    - else `metric.bad`: "far", "collapsed" (the samples lack variety) or "copies".

    The limits are in the metric's units if it is bounded. Distances have no scale: their limits are
    shares of the way from the floor to the control, and a value beyond the control is never
    "as real", however wide its spread; the limits of mode counts are shares of the floor. All were
    set on MNIST's validation part, seed 0, N = 2,500: there held-out examples are "as real" by
    every metric, and no bad sampler is.
    """
    value, floor, control = found.value, found.floor, found.control
    if not (math.isfinite(value) and math.isfinite(floor)):
        return "unknown"
    gaps = {"lower": value - floor, "higher": floor - value, "floor": abs(value - floor)}
    gap, unit = gaps[metric.better], 1.0 if control is None else abs(control - floor)
    if control is not None and abs(gap) > unit > 0:
        return metric.bad
    if gap <= metric.real * unit or gap <= min(3 * found.spread, metric.close * unit):
        return "as real"
    if metric.close * unit < gap <= 3 * found.spread:
        return "unknown"
    return "close" if gap <= metric.close * unit else metric.bad


@dataclass(frozen=True)
class Score:
    """One figure and everything it depends on: no figure is printed without these.

    Args:
        name: a key of `METRICS`.
        value: NaN only if there is nothing to measure (no sample near any mode).
        spread: standard error or deviation, as the metric's function says.
        floor: the same metric, real against real, at the same N.
        n: real examples, and as many generated ones.
        space, space_sha256: where it was measured, and the digest of those weights.
        seed: of the subsets and of the networks trained afresh.
        split: the part of the real examples.
        better: "lower", "higher", or "floor" if neither side of the floor is good.
        note: p-values, sizes, what had to be limited; parts are joined by "; ".
        verdict: "as real", "close", "far", "collapsed", "copies" or "unknown", see `verdict`.
        per_class: the value of each class (K,), NaN for a class without samples; () if the metric
            has none.
    """

    name: str
    value: float
    spread: float
    floor: float
    n: int
    space: str
    space_sha256: str
    seed: int
    split: str
    better: Better
    note: str = ""
    verdict: str = "unknown"
    per_class: tuple[float, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """A dict of JSON values; a number that is not finite becomes None."""
        return dict(json_values(self))

    @classmethod
    def from_json(cls, card: Mapping[str, Any]) -> Score:
        """The inverse of `to_json`; it reads the cards of earlier versions too."""
        values: dict[str, Any] = {k: math.nan if v is None else v for k, v in card.items()}
        if "word" in values:
            values["verdict"] = values.pop("word")
        shares = values.get("per_class", _shares_in(str(values.get("note"))))
        values["per_class"] = tuple(math.nan if v is None else float(v) for v in shares)
        return cls(**values)


def _shares_in(note: str) -> list[float]:
    """The per-class shares that version 0.1 wrote into the note of label-accuracy."""
    _, found, percents = note.partition("; ")[0].partition("per class, %: ")
    return [float(p) / 100 for p in percents.split()] if found else []


def table(scores: Sequence[Score]) -> str:
    """Scores as text: value, spread, floor and verdict, and below them what all scores share.

    What only some metrics have (a smaller N, another space, a p) ends their lines.
    """
    if not scores:
        return "no scores"
    stamps = Counter((s.n, s.space, s.space_sha256) for s in scores)
    n, space, digest = stamps.most_common(1)[0][0]
    rows = [("metric", "value", "spread", "floor", "verdict", "")]
    for s in scores:
        extra = [f"N {s.n:,}"] if s.n != n else []
        extra += [f"{s.space} {s.space_sha256[:8]}"] if s.space_sha256 != digest else []
        extra += [part for part in s.note.split("; ") if part.startswith(("p ", "floor p "))]
        numbers = (f"{s.value:.4g}", f"{s.spread:.2g}", f"{s.floor:.4g}")
        rows.append((s.name, *numbers, s.verdict, ", ".join(extra)))
    first = scores[0]
    shared = [note for note in first.note.split("; ") if note.startswith("N = ")]
    return "\n".join(
        [
            columns(rows, right=range(1, 4)),
            f"{n:,} samples against {n:,} of the {first.split} split, seed {first.seed}",
            f"space {space}, sha256 {digest[:12]}",
            *(note for note in shared if all(note in s.note for s in scores)),
            "floor: the same with real examples in the samples' place",
        ]
    )
