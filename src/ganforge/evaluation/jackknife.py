"""Standard error of any statistic of two samples, without a formula for it (Tukey 1958)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ganforge.rng import Stream
from ganforge.types import Array

GROUPS = 5


def jackknife(
    statistic: Callable[[Array, Array], float], real: Array, fake: Array, seed: int
) -> float:
    """Standard error of a statistic over five groups, each left out of both samples in turn.

    sqrt((g - 1) / g sum (theta_i - mean)^2): the bias, common to all five, drops out.

    Args:
        statistic: of real and fake.
        real, fake: features (N, F), equally many.
        seed: of the groups.
    """
    n = min(len(real), len(fake))
    order = np.argsort(Stream(seed, "jackknife").words(0, n), kind="stable")
    left = [
        statistic(real[np.sort(keep)], fake[np.sort(keep)])
        for keep in (np.delete(order, np.s_[g::GROUPS]) for g in range(GROUPS))
    ]
    spread = np.square(np.array(left) - np.mean(left)).sum() * (GROUPS - 1) / GROUPS
    return float(np.sqrt(spread))
