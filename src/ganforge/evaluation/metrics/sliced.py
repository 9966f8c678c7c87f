"""Sliced Wasserstein distance: one-dimensional transport along random directions."""

from __future__ import annotations

import math

import numpy as np

from ganforge.evaluation.inputs import Case, repeated_mean
from ganforge.evaluation.score import Measured
from ganforge.rng import Stream
from ganforge.types import Array, Floats

PROJECTIONS = 128


def score(case: Case) -> Measured:
    """Sliced 2-Wasserstein distance; spread: standard error over the directions."""
    real = case.features[0]
    u = random_directions(real.shape[1], case.seed)
    (value, spread), (floor, _) = case.both(sliced_wasserstein, u)
    control, _ = sliced_wasserstein(real, repeated_mean(real), u)
    return Measured(value, floor, spread, f"{len(u)} directions", control)


def sliced_wasserstein(real: Array, fake: Array, directions: Array) -> tuple[float, float]:
    """Sliced 2-Wasserstein distance and its standard error over directions.

    sqrt(mean_l mean_i (sort(x.u_l)_i - sort(y.u_l)_i)^2). Bonneel et al. 2015.

    Args:
        real, fake: features (N, F), equally many.
        directions: unit vectors (L, F), such as `random_directions`.
    """
    x, y = (np.sort(a.astype(np.float64) @ directions.T, axis=0) for a in (real, fake))
    each = np.square(x - y).mean(0)
    value = math.sqrt(each.mean())
    # d sqrt(m) = dm / 2 sqrt(m)
    error = each.std(ddof=1) / math.sqrt(len(each)) / (2 * value) if value > 0 else 0.0
    return value, float(error)


def random_directions(features: int, seed: int, count: int = PROJECTIONS) -> Floats:
    """Uniform unit vectors (count, F)."""
    u = Stream(seed, "directions").normal(0, count, features)
    out: Floats = u / np.linalg.norm(u, axis=1, keepdims=True)
    return out
