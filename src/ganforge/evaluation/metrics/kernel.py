"""Kernel distance: unbiased MMD^2 with a cubic polynomial (Binkowski et al. 2018)."""

from __future__ import annotations

import numpy as np
import torch

from ganforge.errors import UsageError
from ganforge.evaluation.inputs import Case, repeated_mean
from ganforge.evaluation.score import Measured
from ganforge.rng import Stream
from ganforge.types import Array

SUBSETS, SIZE = 100, 1000


def score(case: Case) -> Measured:
    """Kernel distance; spread: standard error of the mean over the subsets.

    Subsets of m of N examples share m / N of them, so their values correlate by about that share c:
    the variance of their mean is c / (1 - c) times the one that is seen over subsets.
    """
    real, size = case.features[0], min(SIZE, case.n // 2)
    (value, deviation), floors = case.both(kernel_distance, case.seed, SUBSETS, size)
    spread, floor = deviation * (size / (case.n - size)) ** 0.5, case.floor(x for x, _ in floors)
    control, _ = kernel_distance(real, repeated_mean(real), case.seed, 5, size)
    return Measured(value, floor, spread, f"{SUBSETS} subsets of {size}", control)


def kernel_distance(
    real: Array, fake: Array, seed: int, subsets: int = SUBSETS, size: int = SIZE
) -> tuple[float, float]:
    """Mean and standard deviation of `mmd2` over random subsets; about 0 for equal laws.

    Features are divided by the root mean square of the real ones first: without a fixed scale the
    cubic kernel has no meaning. The estimate is unbiased in N and may be negative.

    Args:
        real, fake: features (N, F) and (M, F).
        seed: of the subsets.
        subsets: how many.
        size: examples of each side in a subset, at most N and M.
    """
    if size > min(len(real), len(fake)):
        raise UsageError(
            f"subsets of {size} cannot be drawn from {len(real)} real and {len(fake)} fake "
            "examples: ask for smaller ones"
        )
    rms = max(float(np.sqrt(np.square(real, dtype=np.float64).mean())), 1e-12)
    streams = Stream(seed, "kernel/real"), Stream(seed, "kernel/fake")
    values = []
    for s in range(subsets):
        x, y = (
            side[np.argsort(stream.words(s * len(side), len(side)), kind="stable")[:size]]
            for side, stream in zip((real, fake), streams, strict=True)
        )
        values.append(mmd2(x / rms, y / rms))
    return float(np.mean(values)), float(np.std(values))


def mmd2(x: Array, y: Array) -> float:
    """Unbiased MMD^2 with k(a, b) = (a.b / F + 1)^3.

    sum_{i != j} k(x_i, x_j) / n(n-1) + the same for y - 2 mean k(x_i, y_j).

    Args:
        x, y: (N, F) and (M, F).
    """
    a, b = (torch.from_numpy(v.astype(np.float64)) for v in (x, y))
    f = a.shape[1]

    def within(v: torch.Tensor) -> float:
        k = torch.mm(v, v.T).div_(f).add_(1).pow_(3)
        return float((k.sum() - k.diagonal().sum()) / (len(v) * (len(v) - 1)))

    cross = float(torch.mm(a, b.T).div_(f).add_(1).pow_(3).mean())
    return within(a) + within(b) - 2 * cross
