"""One plain word beside a score, by a rule that is written out here.

gap = how much worse than the floor the value is, in the metric's own direction.

- "as real": gap <= 3 spreads, or gap <= `real`.
- "close": gap <= `close`.
- "unknown": gap > `close`, but within 3 spreads: N is too small to tell.
- else the metric's bad word: "far", "collapsed" (the samples lack variety) or "copies".

`real` and `close` are in the metric's own units where it is bounded. Distances have no scale of
their own: theirs are shares of the way from the floor to a control, the average example repeated,
and what is farther off than that is never "as real", however wide its spread; those of mode counts
are shares of the floor. The limits were set on MNIST's validation part, seed 0, N = 2,500: there
held-out examples are "as real" by every metric, and no bad sampler is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Better = Literal["lower", "higher", "floor"]


def word(
    name: str, value: float, floor: float, spread: float, better: Better, control: float | None
) -> str:
    """The word for a value; "unknown" also where the value or its floor is not a number.

    Arguments:
        name: of the metric, a key of `RULES`.
        value, floor, spread: of the score.
        better: which way is good; "floor" means neither side of the floor.
        control: the value of the average example repeated, 0 for mode counts; None where the
            metric is bounded.
    """
    if not (math.isfinite(value) and math.isfinite(floor)):
        return "unknown"
    rule = RULES[name]
    gap = {"lower": value - floor, "higher": floor - value, "floor": abs(value - floor)}[better]
    unit = 1.0 if control is None else abs(control - floor)
    if control is not None and abs(gap) > unit > 0:
        return rule.bad
    if gap <= rule.real * unit or gap <= min(3 * spread, rule.close * unit):
        return "as real"
    if rule.close * unit < gap <= 3 * spread:
        return "unknown"
    return "close" if gap <= rule.close * unit else rule.bad


@dataclass(frozen=True)
class Rule:
    """Largest gaps that are still "as real" and "close", and the word beyond them."""

    real: float
    close: float
    bad: str = "far"


RULES = {
    "frechet": Rule(0.002, 0.02),
    "kernel": Rule(0.002, 0.02),
    "sliced-wasserstein": Rule(0.02, 0.1),
    "mmd": Rule(0.002, 0.02),
    "energy": Rule(0.002, 0.02),
    "precision": Rule(0.02, 0.1),
    "density": Rule(0.05, 0.2),
    "recall": Rule(0.02, 0.15, "collapsed"),
    "coverage": Rule(0.02, 0.1, "collapsed"),
    "c2st": Rule(0.02, 0.15),
    "1nn-real": Rule(0.02, 0.1),
    "1nn-fake": Rule(0.02, 0.1),
    "jsd": Rule(0.01, 0.1),
    "authentic": Rule(0.02, 0.1, "copies"),
    "data-copying": Rule(3.0, 6.0, "copies"),
    "label-accuracy": Rule(0.01, 0.05),
    "worst-class": Rule(0.03, 0.15),
    "cas": Rule(0.01, 0.05),
    "modes": Rule(0.0, 0.05, "collapsed"),
    "heavy-modes": Rule(0.0, 0.05, "collapsed"),
    "mode-kl": Rule(0.01, 0.05, "collapsed"),
    "high-quality": Rule(0.01, 0.05),
    "parzen": Rule(4.0, 20.0),
    "inception-score": Rule(0.05, 0.5),
}
