"""Sliced Wasserstein distance: one-dimensional transport along random directions."""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from ganforge.evaluation.inputs import Case, repeated_mean
from ganforge.evaluation.jackknife import jackknife
from ganforge.evaluation.score import Measured
from ganforge.rng import Stream
from ganforge.types import Array, Floats

PROJECTIONS = 128


def score(case: Case) -> Measured:
    """Sliced 2-Wasserstein distance; spread: jackknife over five groups."""
    real, fake = case.features
    u = random_directions(real.shape[1], case.seed)
    value, floors = case.both(sliced_wasserstein, u)
    spread = jackknife(partial(sliced_wasserstein, directions=u), real, fake, case.seed)
    control = sliced_wasserstein(real, repeated_mean(real), u)
    return Measured(value, case.floor(floors), spread, f"{len(u)} directions", control)


def sliced_wasserstein(real: Array, fake: Array, directions: Array) -> float:
    """Sliced 2-Wasserstein distance.

    sqrt(mean_l mean_i (sort(x.u_l)_i - sort(y.u_l)_i)^2). Bonneel et al. 2015.

    Args:
        real, fake: features (N, F), equally many.
        directions: unit vectors (L, F), such as `random_directions`.
    """
    x, y = (np.sort(a.astype(np.float64) @ directions.T, axis=0) for a in (real, fake))
    return math.sqrt(np.square(x - y).mean())


def random_directions(features: int, seed: int, count: int = PROJECTIONS) -> Floats:
    """Uniform unit vectors (count, F)."""
    u = Stream(seed, "directions").normal(0, count, features)
    out: Floats = u / np.linalg.norm(u, axis=1, keepdims=True)
    return out
