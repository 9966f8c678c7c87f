"""The card of one figure: value, floor, spread, and everything they depend on."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from ganforge.evaluation.inputs import Case
from ganforge.evaluation.verdict import Better, word


def share(
    case: Case,
    name: str,
    value: float,
    floor: float,
    better: Better,
    *,
    n: int | None = None,
    judge: tuple[str, str] | None = None,
    note: str = "",
) -> Score:
    """A score that is a share of n examples: its spread is the binomial standard error."""
    spread = math.sqrt(max(value * (1 - value), 0.0) / (n or case.n))
    return stamp(
        case, name, value, floor=floor, spread=spread, better=better, n=n, judge=judge, note=note
    )


def stamp(
    case: Case,
    name: str,
    value: float,
    *,
    floor: float,
    spread: float,
    better: Better,
    control: float | None = None,
    n: int | None = None,
    judge: tuple[str, str] | None = None,
    note: str = "",
) -> Score:
    """Stamp a value with everything it depends on."""
    space, digest = judge or (case.space.name, case.space.sha256)
    return Score(
        name=name,
        value=value,
        spread=spread,
        floor=floor,
        n=n or case.n,
        space=space,
        space_sha256=digest,
        seed=case.seed,
        split=case.split,
        better=better,
        note="; ".join(filter(None, (note, case.note))),
        word=word(name, value, floor, spread, better, control),
    )


@dataclass(frozen=True)
class Score:
    """One figure and all it depends on: nothing is printed without these.

    name: a key of `METRICS`.
    value: nan only where there is nothing to measure (no sample near any mode).
    spread: standard error or deviation, as the metric's function says.
    floor: the same metric, real against real, at the same N.
    n: real examples, and as many generated ones.
    space, space_sha256: where it was measured, and the digest of those weights.
    seed: of subsets and judges.
    split: the part of the real examples.
    better: "lower", "higher", or "floor" where neither side of the floor is good.
    note: p-values, sizes, what had to be limited.
    word: "as real", "close", "far", "collapsed", "copies" or "unknown", by `verdict.RULES`.
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
    word: str = "unknown"

    def to_json(self) -> dict[str, Any]:
        """A dict of JSON values; a number that is not finite becomes None."""
        return {
            k: None if isinstance(v, float) and not math.isfinite(v) else v
            for k, v in asdict(self).items()
        }

    @classmethod
    def from_json(cls, card: dict[str, Any]) -> Score:
        """The inverse of `to_json`."""
        values: dict[str, Any] = {k: math.nan if v is None else v for k, v in card.items()}
        return cls(**values)
