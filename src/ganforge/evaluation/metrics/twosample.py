"""Are two samples of one law? Two-sample tests: a statistic and its p-value."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ganforge.errors import UsageError
from ganforge.evaluation.distances import centred, squared, to_others
from ganforge.evaluation.inputs import Case, repeated_mean, subset
from ganforge.evaluation.judges import BLIND, HeldOut, discriminate
from ganforge.evaluation.score import Measured, share
from ganforge.rng import Stream
from ganforge.types import Array

PERMUTATIONS = 999
PERMUTED = 2000  # examples a side of the permutation tests, whose memory grows with N^2


def c2st(case: Case) -> Measured:
    """Held-out accuracy of a fresh discriminator of real against fake; note: p of both."""
    logits, others = case.both(discriminate, case.seed)
    seen, floors = classifier_test(logits), [classifier_test(x) for x in others]
    note = f"{_both_p(seen, floors)}; half held out"
    if logits.blind:
        note = f"{BLIND}; {note}"
    floor = case.floor(f.value for f in floors)
    return Measured(seen.value, floor, seen.spread, note, p=seen.p, blind=logits.blind)


def nn_real(case: Case) -> Measured:
    """Leave-one-out 1-NN accuracy on the real examples; spread: binomial standard error."""
    (seen, _), floors = case.both(nearest_neighbour_test)
    return share(seen, case.floor(real for real, _ in floors), case.n)


def nn_fake(case: Case) -> Measured:
    """Leave-one-out 1-NN accuracy on the samples; spread: binomial standard error."""
    (_, seen), floors = case.both(nearest_neighbour_test)
    return share(seen, case.floor(fake for _, fake in floors), case.n)


def mmd(case: Case) -> Measured:
    """Unbiased Gaussian MMD^2; spread: standard deviation under permutation."""
    return _permutation(case, mmd_test)


def energy(case: Case) -> Measured:
    """Energy distance; spread: standard deviation under permutation."""
    return _permutation(case, energy_test)


def _permutation(case: Case, test: Callable[..., Tested]) -> Measured:
    """A permutation test on at most `PERMUTED` of each side; note: both p."""
    n = min(case.n, PERMUTED)
    pick = subset(case.n, n, case.seed, "permuted")
    real, fake = (x[pick] for x in case.features)
    seen = test(real, fake, case.seed)
    floors = case.of_stand_ins(
        test, lambda i: test(real, case.stand_in_features[i][pick], case.seed)
    )
    note = _both_p(seen, floors)
    if n < case.n:
        note += f"; N = {n} of {case.n}, its cost grows with N^2"
    control = test(real, repeated_mean(real), 0, 0).value
    floor = case.floor(f.value for f in floors)
    return Measured(seen.value, floor, seen.spread, note, control, n, p=seen.p)


def _both_p(seen: Tested, floors: Sequence[Tested]) -> str:
    """The p of the samples and the median p of the stand-ins."""
    both = seen.p, float(np.median([f.p for f in floors]))
    return "; floor ".join(f"p = {p:.3g}" if p >= 1e-12 else "p < 1e-12" for p in both)


class Tested(NamedTuple):
    """A statistic, its p-value, and its standard error, or its deviation under permutation."""

    value: float
    p: float
    spread: float


def classifier_test(logits: HeldOut) -> Tested:
    """Classifier two-sample test (Lopez-Paz & Oquab 2017) on held-out logits.

    Under equal laws the accuracy is N(1/2, 1/4M) for M held-out examples; p is the upper tail.
    A logit of exactly 0 is half a hit.

    Args:
        logits: of a fresh discriminator.
    """
    real = np.where(logits.real == 0, 0.5, logits.real > 0)
    fake = np.where(logits.fake == 0, 0.5, logits.fake < 0)
    m = len(real) + len(fake)
    accuracy = float((real.sum() + fake.sum()) / m)
    p = 0.5 * math.erfc((accuracy - 0.5) / math.sqrt(0.25 / m) / math.sqrt(2))
    return Tested(accuracy, p, math.sqrt(accuracy * (1 - accuracy) / m))


def nearest_neighbour_test(real: Array, fake: Array) -> tuple[float, float]:
    """Leave-one-out accuracy of 1-NN in the pooled sample, on real and on fake apart.

    About 1/2 for equal laws of equal N; near 1 if the two lie apart; below 1/2 on real if every
    real example has a near copy among the fakes. Xu et al. 2018.

    Args:
        real, fake: features (N, F), equally many.
    """
    n, hits = len(real), []
    for row, d in to_others(_pool(real, fake)):
        near_real, near_fake = d[:, :n].amin(1), d[:, n:].amin(1)
        hits.append(torch.where(row < n, near_real < near_fake, near_fake < near_real))
    right = torch.cat(hits).numpy()
    return float(right[:n].mean()), float(right[n:].mean())


def mmd_test(real: Array, fake: Array, seed: int, permutations: int = PERMUTATIONS) -> Tested:
    """Unbiased MMD^2 with a Gaussian kernel and its permutation p (Gretton et al. 2012).

    k(x, y) = exp(-|x - y|^2 / 2 h^2), h the median distance within the real half only, so that no
    generator can widen the kernel that tests it.

    Args:
        real, fake: features (N, F), equally many; memory grows with N^2 (N = 2,000: 130 MB).
        seed: of the permutations.
        permutations: B, at least 999; p = (1 + #{permuted >= seen}) / (1 + B). 0 for the
            statistic alone.
    """
    pool, n = _pool(real, fake), len(real)
    d2 = squared(pool, pool)
    width = float(d2[:n, :n][*torch.triu_indices(n, n, 1)].median())
    if width <= 0:
        raise UsageError("more than half of the real examples are identical: no kernel width")
    kernel = d2.div_(-2 * width).exp_().fill_diagonal_(0)
    return _permuted(kernel, seed, permutations, n - 1)


def energy_test(real: Array, fake: Array, seed: int, permutations: int = PERMUTATIONS) -> Tested:
    """Energy distance and its permutation p (Szekely & Rizzo 2013).

    2 E|x - y| - E|x - x'| - E|y - y'|, each the mean over all pairs, an example with itself too.

    Args: as `mmd_test`.
    """
    pool = _pool(real, fake)
    kernel = squared(pool, pool).sqrt_().neg_().fill_diagonal_(0)
    return _permuted(kernel, seed, permutations, len(real))


def _pool(real: Array, fake: Array) -> Tensor:
    """Equally many features of real and fake examples, centred, as one set (2N, F)."""
    if len(real) != len(fake) or len(real) < 2:
        raise UsageError(
            f"{len(real)} real and {len(fake)} fake examples: "
            "two-sample tests take equally many, at least 2"
        )
    return torch.cat(centred(real, fake))


def _permuted(k: Tensor, seed: int, permutations: int, partners: int) -> Tested:
    """MMD^2 of the true split and of random ones: a'Ka / n w + b'Kb / n w - 2 a'Kb / n^2.

    a and b = 1 - a mark the halves. One matrix product serves all splits, since Kb = K1 - Ka.

    Args:
        k: kernel (2N, 2N) of the pool, 0 on the diagonal.
        seed: of the permutations.
        permutations: B.
        partners: w, of each example within its half: N, or N - 1 without itself.
    """
    if 0 < permutations < 999:
        raise UsageError(f"permutations = {permutations}: at least 999, or p cannot be small")
    n = len(k) // 2
    halves = torch.zeros(2 * n, permutations + 1, dtype=torch.float64)
    halves[:n, 0] = 1
    for i in range(1, permutations + 1):
        words = Stream(seed, f"permutation/{i}").words(0, 2 * n)
        halves[torch.from_numpy(np.argsort(words, kind="stable")[:n]), i] = 1
    ka = torch.mm(k, halves)
    aka = (halves * ka).sum(0)
    akb = ka.sum(0) - aka
    bkb = k.sum() - aka - 2 * akb
    statistics = (aka + bkb) / (n * partners) - 2 * akb / n**2
    seen, rest = float(statistics[0]), statistics[1:]
    # Two equal splits must compare equal, whatever the order of their sums.
    as_far = int((rest >= seen - 1e-12 * abs(seen)).sum())
    spread = float(rest.std()) if permutations else 0.0
    return Tested(seen, (1 + as_far) / (1 + permutations), spread)
