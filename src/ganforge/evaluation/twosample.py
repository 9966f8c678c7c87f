"""Are two samples of one law? Tests whose answer is a p-value, and distances beside them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ganforge.errors import UsageError
from ganforge.evaluation.distances import blocks, centred, squared
from ganforge.evaluation.judges import HeldOut
from ganforge.rng import Stream
from ganforge.types import Array, Floats

PERMUTATIONS = 999
PROJECTIONS = 128


def classifier_test(held: HeldOut) -> ClassifierTest:
    """Classifier two-sample test (Lopez-Paz & Oquab 2017) on held-out logits.

    Under equal laws the accuracy is N(1/2, 1/4M) for M held-out examples; p is the upper tail.
    A logit of exactly 0 is half a hit.

    Arguments:
        held: logits of a fresh discriminator.
    """
    real = np.where(held.real == 0, 0.5, held.real > 0)
    fake = np.where(held.fake == 0, 0.5, held.fake < 0)
    m = len(real) + len(fake)
    accuracy = float((real.sum() + fake.sum()) / m)
    p = 0.5 * math.erfc((accuracy - 0.5) / math.sqrt(0.25 / m) / math.sqrt(2))
    return ClassifierTest(accuracy, p, math.sqrt(max(accuracy * (1 - accuracy), 0.0) / m))


def nearest_neighbour_test(real: Array, fake: Array) -> tuple[float, float]:
    """Leave-one-out accuracy of 1-NN in the pooled sample, on real and on fake apart.

    About 1/2 for equal laws of equal N; near 1 where the two lie apart; below 1/2 on real where
    every real example has a near copy among the fakes. Xu et al. 2018.

    Arguments:
        real, fake: features (N, F), equally many.
    """
    if len(real) != len(fake):
        raise UsageError(
            f"{len(real)} real and {len(fake)} fake examples: "
            "the 1-nearest-neighbour test takes equally many"
        )
    n = len(real)
    pool = torch.cat(centred(real, fake))
    hits = np.empty(2 * n, dtype=bool)
    for rows in blocks(2 * n, 2 * n):
        d = squared(pool[rows], pool)
        own = torch.arange(rows.start, rows.stop)
        d[own - rows.start, own] = torch.inf
        near_real, near_fake = d[:, :n].amin(1), d[:, n:].amin(1)
        hits[rows] = torch.where(own < n, near_real < near_fake, near_fake < near_real).numpy()
    return float(hits[:n].mean()), float(hits[n:].mean())


def mmd_test(real: Array, fake: Array, seed: int, permutations: int = PERMUTATIONS) -> Permuted:
    """Unbiased MMD^2 with a Gaussian kernel and its permutation p (Gretton et al. 2012).

    k(x, y) = exp(-|x - y|^2 / 2 h^2), h the median distance within the real half alone, so that no
    generator can widen the kernel that judges it.

    Arguments:
        real, fake: features (N, F), equally many; memory grows with N^2 (N = 2,000: 130 MB).
        seed: of the permutations.
        permutations: B, at least 999; p = (1 + #{permuted >= seen}) / (1 + B).
    """
    _check_permutations(permutations)
    k = _gaussian_kernel(real, fake)
    return _permuted(_statistics(k, _halves(len(k), seed, permutations), biased=False))


def energy_test(real: Array, fake: Array, seed: int, permutations: int = PERMUTATIONS) -> Permuted:
    """Energy distance and its permutation p (Szekely & Rizzo 2013).

    2 E|x - y| - E|x - x'| - E|y - y'|, each the mean over all pairs, own ones too.

    Arguments: as `mmd_test`.
    """
    _check_permutations(permutations)
    k = _negative_distance(real, fake)
    return _permuted(_statistics(k, _halves(len(k), seed, permutations), biased=True))


def gaussian_mmd2(real: Array, fake: Array) -> float:
    """The statistic of `mmd_test`, without its p."""
    k = _gaussian_kernel(real, fake)
    return float(_statistics(k, _halves(len(k), 0, 0), biased=False)[0])


def energy_distance(real: Array, fake: Array) -> float:
    """The statistic of `energy_test`, without its p."""
    k = _negative_distance(real, fake)
    return float(_statistics(k, _halves(len(k), 0, 0), biased=True)[0])


def sliced_wasserstein(real: Array, fake: Array, directions: Array) -> tuple[float, float]:
    """Sliced 2-Wasserstein distance and its standard error over directions.

    sqrt(mean_l mean_i (sort(x.u_l)_i - sort(y.u_l)_i)^2). Bonneel et al. 2015.

    Arguments:
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


def _pool(real: Array, fake: Array) -> Tensor:
    if len(real) != len(fake) or len(real) < 2:
        raise UsageError(
            f"{len(real)} real and {len(fake)} fake examples: "
            "permutation tests take equally many, at least 2"
        )
    return torch.cat(centred(real, fake))


def _check_permutations(permutations: int) -> None:
    if permutations < 999:
        raise UsageError(f"permutations = {permutations}: at least 999, or p cannot be small")


def _gaussian_kernel(real: Array, fake: Array) -> Tensor:
    """exp(-|x - y|^2 / 2 h^2) of the pool, 0 on the diagonal."""
    pool, n = _pool(real, fake), len(real)
    d2 = squared(pool, pool)
    width = float(d2[:n, :n][*torch.triu_indices(n, n, 1)].median())
    if width <= 0:
        raise UsageError("more than half of the real examples are identical: no kernel width")
    return d2.div_(-2 * width).exp_().fill_diagonal_(0)


def _negative_distance(real: Array, fake: Array) -> Tensor:
    """-|x - y| of the pool: the kernel whose MMD^2 is the energy distance."""
    pool = _pool(real, fake)
    return squared(pool, pool).sqrt_().neg_().fill_diagonal_(0)


def _halves(pooled: int, seed: int, permutations: int) -> Tensor:
    """(2N, 1 + B): 1 where an example is in the first half; column 0 is the true split."""
    n = pooled // 2
    halves = torch.zeros(pooled, permutations + 1, dtype=torch.float64)
    halves[:n, 0] = 1
    for i in range(1, permutations + 1):
        words = Stream(seed, f"permutation/{i}").words(0, pooled)
        halves[torch.from_numpy(np.argsort(words, kind="stable")[:n]), i] = 1
    return halves


def _statistics(k: Tensor, halves: Tensor, *, biased: bool) -> Tensor:
    """MMD^2 of every split, (1 + B,): a'Ka / n w + b'Kb / n w - 2 a'Kb / n^2.

    a and b = 1 - a mark the halves, w = n if biased else n - 1. One matrix product serves all
    splits, since Kb = K1 - Ka.
    """
    n = len(k) // 2
    ka = torch.mm(k, halves)
    aka = (halves * ka).sum(0)
    akb = ka.sum(0) - aka
    bkb = k.sum() - aka - 2 * akb
    return (aka + bkb) / (n * (n if biased else n - 1)) - 2 * akb / n**2


def _permuted(statistics: Tensor) -> Permuted:
    seen, rest = float(statistics[0]), statistics[1:]
    # Two equal splits must compare equal, whatever the order of their sums.
    as_far = int((rest >= seen - 1e-12 * abs(seen)).sum())
    return Permuted(seen, (1 + as_far) / (1 + len(rest)), float(rest.std()))


@dataclass(frozen=True)
class ClassifierTest:
    """Held-out accuracy in [0, 1], p-value, standard error of the accuracy."""

    accuracy: float
    p: float
    error: float


@dataclass(frozen=True)
class Permuted:
    """A statistic, its permutation p, and its standard deviation under permutation."""

    value: float
    p: float
    null_spread: float
