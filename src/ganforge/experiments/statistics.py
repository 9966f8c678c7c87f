"""What a few runs can say: mean, standard error, interval, and paired tests over seeds.

Two recipes are compared seed by seed, on the differences of the runs that share a seed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ganforge.rng import Stream
from ganforge.types import Doubles

LEVEL = 0.95  # of every interval
EXACT = 20  # differences up to which every flip of signs is counted: 2^20 sums
FLIPS = 99_999  # random flips beyond


@dataclass(frozen=True)
class Summary:
    """Mean of a few values, its standard error, and the interval of Student's t.

    error, low, high: nan for fewer than two values.
    """

    count: int
    mean: float
    error: float
    low: float
    high: float


@dataclass(frozen=True)
class Test:
    """Differences a - b over the seeds that both have, and how likely they are by chance.

    t: p of the paired t test; flip: p of the exact sign-flip permutation test; both two-sided,
    nan for fewer than two differences. t_holm, flip_holm: adjusted for all the pairs of a table.
    """

    __test__ = False  # no test of pytest's

    a: str
    b: str
    seeds: tuple[int, ...]
    difference: Summary
    t: float
    flip: float
    t_holm: float
    flip_holm: float


def summarise(values: Sequence[float] | Doubles) -> Summary:
    """Mean, standard error and 95 % t interval of independent values."""
    x = np.asarray(values, dtype=np.float64)
    if not len(x):
        return Summary(0, math.nan, math.nan, math.nan, math.nan)
    mean = float(x.mean())
    if len(x) < 2:
        return Summary(1, mean, math.nan, math.nan, math.nan)
    error = float(x.std(ddof=1) / math.sqrt(len(x)))
    half = student_quantile((1 + LEVEL) / 2, len(x) - 1) * error
    return Summary(len(x), mean, error, mean - half, mean + half)


def compare(a: str, b: str, left: dict[int, float], right: dict[int, float]) -> Test:
    """The paired tests of two recipes' values by seed; Holm's p are filled in by `adjusted`."""
    seeds = tuple(sorted(left.keys() & right.keys()))
    d = np.array([left[s] - right[s] for s in seeds], dtype=np.float64)
    t, flip = t_test(d), sign_flips(d)
    return Test(a, b, seeds, summarise(d), t, flip, t, flip)


def adjusted(tests: Sequence[Test]) -> list[Test]:
    """The tests of one table with their p after Holm's correction."""
    t, flip = holm([x.t for x in tests]), holm([x.flip for x in tests])
    return [replace(x, t_holm=p, flip_holm=q) for x, p, q in zip(tests, t, flip, strict=True)]


def t_test(differences: Sequence[float] | Doubles) -> float:
    """Two-sided p of the paired t test; 1 where all differences are 0, nan for fewer than two and
    where one is no number."""
    d = np.asarray(differences, dtype=np.float64)
    if len(d) < 2 or not np.isfinite(d).all():
        return math.nan
    error = d.std(ddof=1) / math.sqrt(len(d))
    if error == 0:
        return 1.0 if d[0] == 0 else 0.0
    return 2 * student_tail(abs(float(d.mean() / error)), len(d) - 1)


def sign_flips(differences: Sequence[float] | Doubles, seed: int = 0) -> float:
    """Two-sided p of the sign-flip test: the share of all flips with a sum as far from 0.

    Exact up to `EXACT` differences, its least value being 2 / 2^n; beyond, (1 + #) / (1 + B) with
    B random flips. nan for fewer than two, and where one is no number.
    """
    d = np.asarray(differences, dtype=np.float64)
    if len(d) < 2 or not np.isfinite(d).all():
        return math.nan
    far = abs(d.sum()) * (1 - 1e-9)  # equal sums may differ in the last digits
    if len(d) <= EXACT:
        sums = np.zeros(1)
        for value in d:
            sums = np.concatenate([sums + value, sums - value])
        return float((np.abs(sums) >= far).mean())
    more = 0
    for start in range(0, FLIPS, 10_000):
        count = min(10_000, FLIPS - start)
        signs = Stream(seed, "sign-flips").integers(start * len(d), count * len(d), 2) * 2.0 - 1
        more += int((np.abs(signs.reshape(count, len(d)) @ d) >= far).sum())
    return (1 + more) / (1 + FLIPS)


def holm(p: Sequence[float]) -> list[float]:
    """p after Holm's step-down correction (1979), in the given order; nan stays and counts not."""
    known = sorted((value, i) for i, value in enumerate(p) if not math.isnan(value))
    out, highest = list(p), 0.0
    for rank, (value, i) in enumerate(known):
        highest = max(highest, min(1.0, (len(known) - rank) * value))
        out[i] = highest
    return out


# --- Student's t ------------------------------------------------------------------------------


def student_tail(t: float, freedom: int) -> float:
    """P(T > t) for t >= 0: half of the regularised incomplete beta I_x(n / 2, 1 / 2)."""
    return beta(freedom / (freedom + t * t), freedom / 2, 0.5) / 2


def student_quantile(p: float, freedom: int) -> float:
    """The t with P(T <= t) = p, for 1/2 <= p < 1, by bisection."""
    low, high = 0.0, 1.0
    while student_tail(high, freedom) > 1 - p:
        high *= 2
    for _ in range(100):
        middle = (low + high) / 2
        if student_tail(middle, freedom) > 1 - p:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def beta(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function I_x(a, b), by Lentz's continued fraction."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):  # where the fraction converges slowly
        return 1 - beta(1 - x, b, a)
    front = math.exp(
        a * math.log(x) + b * math.log1p(-x)
        - (math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b))
    ) / a  # fmt: skip
    c, d, out = 1.0, 0.0, 1.0
    for i in range(500):
        m = i // 2
        if i == 0:
            step = 1.0
        elif i % 2:
            step = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            step = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d = 1 / (1 + step * d)
        c = 1 + step / c
        out *= c * d
        if abs(1 - c * d) < 1e-15:
            break
    return front * (out - 1)
