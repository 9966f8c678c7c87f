"""A score: one figure, its verdict, and everything the figure depends on."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from ganforge.text import columns, json_values

Better = Literal["lower", "higher", "floor"]

NEAR = ("as real", "close")  # verdicts of samples that stand near the floor
ALPHA = 0.01  # a p at or below it is no noise
LIMIT = 3.75  # 99 % point of Student's t with 4 degrees of freedom
# What a table shows of the notes, by how the parts begin.
SHOWN = ("p ", "floor p ", "one sample each", "the classifier learnt nothing", "floors: ", "copy ")


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
        paper: in which it was published, a key of papers.bib; empty for none.
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
    paper: str = ""


class Floor(NamedTuple):
    """A metric with real examples in the samples' place.

    Args:
        value: the mean over several subsets, or the value of the only set that there is.
        spread: deviation of one such value, which a perfect sampler's value has too.
        error: standard error of `value`.
    """

    value: float
    spread: float = 0.0
    error: float = 0.0


class Measured(NamedTuple):
    """What a metric's function returns.

    Args:
        value, spread, note, per_class: as in `Score`.
        floor: with real examples in the samples' place.
        control: the metric's value for the average example repeated, 0 for counts of modes; None
            if the metric is bounded.
        n: examples of each side, if fewer than the case has.
        space: name and sha256 of what measured it, if not the case's feature space.
        unit: of the metric's limits; None for the distance from floor to control, or 1.
        p: of a test whether samples and real examples have one law; None if it is no test.
        blind: the metric's classifier learnt nothing, so the value says nothing.
    """

    value: float
    floor: Floor
    spread: float
    note: str = ""
    control: float | None = None
    n: int | None = None
    space: tuple[str, str] | None = None
    per_class: tuple[float, ...] = ()
    unit: float | None = None
    p: float | None = None
    blind: bool = False


def share(value: float, floor: Floor, n: int, note: str = "", **more: Any) -> Measured:
    """A share of n examples: its spread is the binomial standard error sqrt(p (1 - p) / n)."""
    return Measured(value, floor, binomial(value, n), note, n=n, **more)


def binomial(share: float, n: int) -> float:
    """Standard error sqrt(p (1 - p) / n) of a share of n independent examples."""
    return math.sqrt(share * (1 - share) / n)


def share_floor(value: float, n: int) -> Floor:
    """The floor of a share of n independent examples of which there is one set."""
    error = binomial(value, n)
    return Floor(value, error, error)


def verdict(metric: Metric, found: Measured) -> str:
    """What a value beside its floor means, in one or two plain terms.

    gap = how much worse than the floor the value is, in the metric's direction. It is noise if the
    test's p is above 0.01; without a test if gap <= 3.75 sqrt(s^2 + e^2), s the deviation of a
    perfect sampler's value and e the floor's standard error: the 99 % point of Student's t with
    the four degrees of freedom of five subsets. s of a distance is the floor's spread, since that
    of the value grows with the value; of other metrics the value's spread.

    - "as real": the gap is noise; or, for a bounded metric without a p, gap <= `metric.real`.
    - "close": gap <= `metric.close`.
    - "unknown": gap > `metric.close`, but noise: N is too small to tell. Also if the value or its
      floor is not a number, or if the metric's classifier learnt nothing.
    - else `metric.bad`: "far", "collapsed" (the samples lack variety) or "copies".

    The limits are in the metric's units if it is bounded. Distances have no scale: their limits are
    shares of the way from the floor to the control, and a value beyond the control is never
    "as real"; the limits of mode counts are shares of the floor, those of C_T are in its spreads.
    All were set on MNIST's validation part, seed 0, N = 2,500.
    """
    value, floor, control = found.value, found.floor, found.control
    if found.blind or not (math.isfinite(value) and math.isfinite(floor.value)):
        return "unknown"
    below = floor.value - value
    gap = {"lower": -below, "higher": below, "floor": abs(below)}[metric.better]
    unit = found.unit or (1.0 if control is None else abs(control - floor.value))
    if control is not None and abs(gap) > unit > 0:
        return metric.bad
    perfect = found.spread if control is None else floor.spread
    noise = gap <= LIMIT * math.hypot(perfect, floor.error)
    if found.p is not None:
        noise = found.p > ALPHA
    if gap > metric.close * unit:
        return "unknown" if noise else metric.bad
    small = found.p is None and control is None and gap <= metric.real * unit
    return "as real" if noise or small else "close"


@dataclass(frozen=True)
class Score:
    """One figure and everything it depends on: no figure is printed without these.

    Args:
        name: a key of `METRICS`.
        value: NaN only if there is nothing to measure (no sample near any mode).
        spread: standard error or deviation, as the metric's function says.
        floor: the same metric, real against real, at the same N: the mean over several subsets.
        n: real examples, and as many generated ones.
        space, space_sha256: where it was measured, and the digest of those weights.
        seed: of the subsets and of the networks trained afresh.
        split: the part of the real examples.
        better: "lower", "higher", or "floor" if neither side of the floor is good.
        note: p-values, sizes, what had to be limited; parts are joined by "; ".
        verdict: "as real", "close", "far", "collapsed", "copies" or "unknown", see `verdict`.
        per_class: the value of each class (K,), NaN for a class without samples; () if the metric
            has none.
        floor_spread: deviation of one real-against-real value; NaN in cards of earlier versions.
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
    floor_spread: float = math.nan

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
    rows = [("metric", "value", "spread", "floor", "spread", "verdict", "")]
    for s in scores:
        extra = [f"N {s.n:,}"] if s.n != n else []
        extra += [f"{s.space} {s.space_sha256[:8]}"] if s.space_sha256 != digest else []
        extra += [part for part in s.note.split("; ") if part.startswith(SHOWN)]
        floor = (f"{s.floor:.4g}", "-" if math.isnan(s.floor_spread) else f"{s.floor_spread:.2g}")
        numbers = (f"{s.value:.4g}", f"{s.spread:.2g}", *floor)
        rows.append((s.name, *numbers, s.verdict, ", ".join(extra)))
    first = scores[0]
    shared = [note for note in first.note.split("; ") if note.startswith(("N = ", "samples: "))]
    return "\n".join(
        [
            columns(rows, right=range(1, 5)),
            f"{n:,} samples against {n:,} of the {first.split} split, seed {first.seed}",
            f"space {space}" + (f", sha256 {digest[:12]}" if digest else ""),
            *(note for note in shared if all(note in s.note for s in scores)),
            "floor: the best of the floors named, else of real examples in the samples' place"
            if any("floors: " in s.note for s in scores)
            else "floor: real examples in the samples' place; mean of five sets, spread of one",
        ]
    )
