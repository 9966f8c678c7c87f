"""Precision, recall, density and coverage by nearest neighbours.

Kynkaanniemi et al. 2019 (k = 3) and Naeem et al. 2020 (k = 5). A real example's ball reaches to
its k-th nearest real neighbour.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from ganforge.errors import UsageError
from ganforge.evaluation.distances import blocks, centred, kth, squared
from ganforge.evaluation.inputs import Case
from ganforge.evaluation.score import Measured, share
from ganforge.types import Array

K_PRECISION, K_DENSITY = 3, 5
OF_PRECISION, OF_DENSITY = f"k = {K_PRECISION}", f"k = {K_DENSITY}"


def precision(case: Case) -> Measured:
    """Share of samples within the real support; spread: binomial standard error."""
    seen, floors = case.both(prdc)
    floor = case.floor(x.precision for x in floors)
    return share(seen.precision, floor, case.n, OF_PRECISION)


def recall(case: Case) -> Measured:
    """Share of real examples within the samples' support; spread: binomial standard error."""
    seen, floors = case.both(prdc)
    return share(seen.recall, case.floor(x.recall for x in floors), case.n, OF_PRECISION)


def density(case: Case) -> Measured:
    """Real balls around a sample over k; spread: standard error of the mean."""
    seen, floors = case.both(prdc)
    floor = case.floor(x.density for x in floors)
    return Measured(seen.density, floor, seen.density_error, OF_DENSITY)


def coverage(case: Case) -> Measured:
    """Share of real balls with a sample inside; spread: binomial standard error."""
    seen, floors = case.both(prdc)
    return share(seen.coverage, case.floor(x.coverage for x in floors), case.n, OF_DENSITY)


class Prdc(NamedTuple):
    """Shares in [0, 1], density in [0, inf), and the standard error of density."""

    precision: float
    recall: float
    density: float
    coverage: float
    density_error: float


def prdc(real: Array, fake: Array) -> Prdc:
    """All four at once, on open balls: strictly nearer than the radius counts.

    precision: share of fakes inside some real ball. recall: share of reals inside some fake ball.
    density: real balls around a fake, divided by k; may exceed 1. coverage: share of real balls
    with a fake inside; about 1 - 2^-k for perfect samples, so read all four against their floor.

    Args:
        real, fake: features (N, F) and (M, F), more than 5 of each.
    """
    if min(len(real), len(fake)) <= K_DENSITY:
        raise UsageError(
            f"neighbours of {len(real)} real and {len(fake)} fake examples: "
            f"at least {K_DENSITY + 1} of each are needed"
        )
    x, y = centred(real, fake)
    x_radius, x_ball = kth(x, (K_PRECISION, K_DENSITY))
    (y_radius,) = kth(y, (K_PRECISION,))
    inside_real = torch.zeros(len(y), dtype=torch.bool)
    balls = torch.zeros(len(y), dtype=torch.int64)
    recalled = covered = 0
    for rows in blocks(len(x), len(y)):
        d = squared(x[rows], y)
        inside_real |= (d < x_radius[rows, None]).any(0)
        in_ball = d < x_ball[rows, None]
        balls += in_ball.sum(0)
        covered += int(in_ball.any(1).sum())
        recalled += int((d < y_radius).any(1).sum())
    return Prdc(
        float(inside_real.double().mean()),
        recalled / len(x),
        float(balls.double().mean()) / K_DENSITY,
        covered / len(x),
        float(balls.double().std()) / K_DENSITY / len(y) ** 0.5,
    )
