"""Statistics of a few runs: mean, standard error, confidence interval, and paired tests over seeds.

Two recipes are compared seed by seed, on the differences of the runs that share a seed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from ganforge.rng import Stream
from ganforge.types import Doubles

LEVEL = 0.95  # of every confidence interval
EXACT = 20  # differences up to which all 2^n flips of signs are counted
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
    """Differences a - b over the seeds that two recipes share, and how likely they are by chance.

    t: p of the paired t test; flip: p of the sign-flip permutation test; both two-sided, nan for
    fewer than two differences. t_holm, flip_holm: the same after Holm's correction for all pairs
    of a table.
    """

    __test__ = False  # not collected by pytest

    a: str
    b: str
    seeds: tuple[int, ...]
    difference: Summary
    t: float
    flip: float
    t_holm: float
    flip_holm: float


def summarise(values: Iterable[float]) -> Summary:
    """Summarise independent values: mean, standard error and 95 % t interval.

    error = s / sqrt(n), s the sample standard deviation; interval = mean -+ t_(0.975, n-1) error.

    Args:
        values: x, (N,).

    Returns:
        The summary; nan in place of what N values do not determine.
    """
    x = np.array([*values], dtype=np.float64)
    mean = float(x.mean()) if len(x) else math.nan
    if len(x) < 2:
        return Summary(len(x), mean, math.nan, math.nan, math.nan)
    from scipy.special import stdtrit

    error = float(x.std(ddof=1) / math.sqrt(len(x)))
    half = float(stdtrit(len(x) - 1, (1 + LEVEL) / 2)) * error
    return Summary(len(x), mean, error, mean - half, mean + half)


class Estimate(NamedTuple):
    """A number of a table.

    value, spread: with all digits; None for a number without a spread. text: both as shown.
    """

    value: float
    spread: float | None
    text: str

    def __str__(self) -> str:
        return self.text


def estimated(values: Iterable[float], digits: int) -> Estimate:
    """`mean +- standard error` with `digits` decimals; the value itself if there is one only."""
    found = summarise(values)
    if found.count < 2:
        return Estimate(found.mean, None, f"{found.mean:.{digits}f}")
    text = f"{found.mean:.{digits}f} +- {found.error:.{digits}f}"
    return Estimate(found.mean, found.error, text)


def compare(a: str, b: str, left: dict[int, float], right: dict[int, float]) -> Test:
    """Compare two recipes by the paired tests over the seeds that both have.

    Args:
        a, b: the recipes' names.
        left, right: the value of each recipe by seed.

    Returns:
        The test, not corrected yet for other pairs; see `holm_adjusted`.
    """
    seeds = tuple(sorted(left.keys() & right.keys()))
    d = np.array([left[s] - right[s] for s in seeds], dtype=np.float64)
    t, flip = t_test(d), sign_flips(d)
    return Test(a, b, seeds, summarise(d), t, flip, t, flip)


def holm_adjusted(tests: Sequence[Test]) -> list[Test]:
    """The tests of one table with their p-values after Holm's correction."""
    t, flip = holm([x.t for x in tests]), holm([x.flip for x in tests])
    return [replace(x, t_holm=p, flip_holm=q) for x, p, q in zip(tests, t, flip, strict=True)]


def t_test(differences: Sequence[float] | Doubles) -> float:
    """Two-sided p of the paired t test.

    p = 2 P(T < -|t|), t = mean / (s / sqrt(n)), T of Student's law with n - 1 degrees of freedom.

    Args:
        differences: d, (N,), one per seed.

    Returns:
        p in [0, 1]; 1 if all differences are 0; nan for fewer than two or if one is not finite.
    """
    found = summarise(differences)
    if found.count < 2 or not np.isfinite(differences).all():
        return math.nan
    if found.error == 0:
        return float(found.mean == 0)
    from scipy.special import stdtr

    return 2 * float(stdtr(found.count - 1, -abs(found.mean / found.error)))


def sign_flips(differences: Sequence[float] | Doubles) -> float:
    """Two-sided p of the sign-flip test: the share of sign flips whose sum is as far from 0.

    All 2^n flips are counted up to n = `EXACT`, so that p is at least 2 / 2^n; beyond, p is
    (1 + #) / (1 + B) with B = `FLIPS` random flips.

    Args:
        differences: d, (N,), one per seed.

    Returns:
        p in (0, 1]; nan for fewer than two differences or if one is not finite.
    """
    d = np.asarray(differences, dtype=np.float64)
    if len(d) < 2 or not np.isfinite(d).all():
        return math.nan
    far = abs(d.sum()) * (1 - 1e-9)  # equal sums may differ in the last digits

    if len(d) <= EXACT:
        sums = np.zeros(1)
        for value in d:
            sums = np.concatenate([sums + value, sums - value])
        return float((abs(sums) >= far).mean())

    more = 0
    for start in range(0, FLIPS, 10_000):
        count = min(10_000, FLIPS - start)
        signs = Stream(0, "sign-flips").integers(start * len(d), count * len(d), 2) * 2.0 - 1
        more += int((abs(signs.reshape(count, len(d)) @ d) >= far).sum())
    return (1 + more) / (1 + FLIPS)


def holm(p: Sequence[float]) -> list[float]:
    """p-values after Holm's step-down correction (1979), in the given order; nan is left out."""
    known = sorted((value, i) for i, value in enumerate(p) if not math.isnan(value))
    out, highest = list(p), 0.0
    for left, (value, i) in zip(range(len(known), 0, -1), known, strict=True):
        out[i] = highest = max(highest, min(1.0, left * value))
    return out
