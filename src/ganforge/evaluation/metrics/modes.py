"""Mode counts if the modes are known: ring of 8, grid of 25, stacked digits, classes.

Criteria of Srivastava et al. 2017 and Lin et al. 2018 (PacGAN): 2,500 samples of the toys, 25,600
of stacked digits; a mode counts with one sample, which is why `heavy` stands beside it.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch

from ganforge.data import toy
from ganforge.evaluation import features
from ganforge.evaluation.distances import closest
from ganforge.evaluation.inputs import Case, Mixture
from ganforge.evaluation.metrics.labels import class_logits
from ganforge.evaluation.score import Measured, share
from ganforge.types import Array, Ints

SIGMAS = 3.0


def covered(case: Case) -> Measured:
    """Modes with at least one sample; the note counts those with one only."""
    seen, floors, space = case.once(_both)
    note = f"of {seen.modes}"
    if seen.single:
        note = f"one sample each in {seen.single} of {seen.covered}; {note}"
    floor = case.floor(x.covered for x in floors)
    return Measured(float(seen.covered), floor, 0.0, note, 0.0, space=space)


def heavy(case: Case) -> Measured:
    """Modes with at least a third of their share of all samples."""
    seen, floors, space = case.once(_both)
    note = f"of {seen.modes}; at least 1/{3 * seen.modes} of the samples each"
    floor = case.floor(x.heavy for x in floors)
    return Measured(float(seen.heavy), floor, 0.0, note, 0.0, space=space)


def kl(case: Case) -> Measured:
    """Reverse KL of the mode histogram to uniform, nats; spread: that of a perfect sampler."""
    seen, floors, space = case.once(_both)
    # 2n KL is about chi-square with K - 1 degrees of freedom for a perfect sampler
    spread = math.sqrt(2 * (seen.modes - 1)) / (2 * case.n)
    note = f"a perfect uniform sampler has {seen.kl_floor:.3g}"
    floor = case.floor(x.reverse_kl for x in floors)
    return Measured(seen.reverse_kl, floor, spread, note, space=space)


def high_quality(case: Case) -> Measured:
    """Share of samples within three sigma of a mode; spread: binomial standard error."""
    seen, floors, space = case.once(_both)
    floor = case.floor(x.high_quality for x in floors)
    return share(seen.high_quality, floor, case.n, space=space)


def _both(case: Case) -> tuple[Modes, list[Modes], tuple[str, str]]:
    """Modes of a known mixture, else classes by a classifier; of the stand-ins; the space."""
    if case.mixture is not None:
        law, flat = case.mixture, features.space("identity", case.spec)
        seen = count_modes(case.fake.values, law)
        floors = case.of_stand_ins(
            count_modes, lambda i: count_modes(case.stand_ins[i].values, law)
        )
        return seen, floors, (flat.name, flat.sha256)
    found, k = case.once(class_logits), case.spec.classes
    floors = case.of_stand_ins(
        count_classes,
        lambda i: count_classes(found.classify(case.stand_ins[i].values).argmax(1), k),
    )
    return count_classes(found.fake.argmax(1), k), floors, found.space


class Modes(NamedTuple):
    """How a set of samples lies on K known modes.

    covered: modes with at least one (high-quality) sample; single: with exactly one.
    heavy: modes with at least 1 / 3K of all samples, a third of their share.
    modes: K.
    high_quality: share of samples within 3 sigma, in [0, 1].
    reverse_kl: of the high-quality histogram to uniform, nats; NaN if no sample is good.
    kl_floor: (K - 1) / 2n, what a perfect sampler has.
    """

    covered: int
    single: int
    heavy: int
    modes: int
    high_quality: float
    reverse_kl: float
    kl_floor: float


def ring(modes: int = 8, radius: float = 1.0, sigma: float = 0.01) -> Mixture:
    """Equal Gaussians on a circle, the first at (radius, 0)."""
    return Mixture.of(toy.ring(modes, radius, sigma))


def grid() -> Mixture:
    """Equal Gaussians at {-4, -2, 0, 2, 4}^2."""
    return Mixture.of(toy.grid())


def count_modes(samples: Array, mixture: Mixture) -> Modes:
    """Covered modes, high-quality share and reverse KL of samples of a known mixture.

    A sample is of high quality within 3 sigma of its nearest centre; a perfect sampler in two
    dimensions has 98.89 % of them.

    Args:
        samples: (N, F), in data units.
        mixture: its centres (K, F) and sigma.
    """
    x = torch.from_numpy(samples.astype(np.float64))
    index, distance = closest(x, torch.from_numpy(mixture.centres))
    good = index[distance.sqrt() <= SIGMAS * mixture.sigma].numpy()
    return from_histogram(np.bincount(good, minlength=len(mixture.centres)), len(samples))


def count_classes(classes: Array, modes: int) -> Modes:
    """Mode counts if a classifier says which mode a sample shows; every sample counts.

    Args:
        classes: (N,), 0 .. modes - 1.
        modes: K.
    """
    return from_histogram(np.bincount(classes, minlength=modes), len(classes))


def count_stacked(digits: Array) -> Modes:
    """Mode counts of stacked digits: the three predicted digits are one of 1,000 modes.

    Args:
        digits: (N, 3), the class of each colour channel, 0..9.
    """
    return count_classes(digits.astype(np.int64) @ np.array([100, 10, 1]), 1000)


def from_histogram(histogram: Ints, total: int) -> Modes:
    """Mode counts from the number of (high-quality) samples in each of K modes.

    reverse KL = sum_k p_k log(K p_k) with p the histogram, normalised; a perfect sampler has about
    (K - 1) / 2n of it.

    Args:
        histogram: (K,).
        total: all samples, the poor ones too.
    """
    k, good = len(histogram), int(histogram.sum())
    kl = floor = math.nan  # no sample in any mode: there is no histogram to compare
    if good:
        p = histogram[histogram > 0] / good
        kl, floor = float((p * np.log(k * p)).sum()), (k - 1) / (2 * good)
    covered, single, heavy = (
        int(found.sum()) for found in (histogram > 0, histogram == 1, histogram >= total / (3 * k))
    )
    return Modes(covered, single, heavy, k, good / total, kl, floor)
