"""The Jensen-Shannon divergence that a fresh, held-out discriminator sees: a lower bound."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ganforge.evaluation.inputs import Case
from ganforge.evaluation.judges import BLIND, HeldOut, discriminate
from ganforge.evaluation.score import Measured


def jsd(case: Case) -> Measured:
    """Jensen-Shannon divergence in nats, a lower bound; note: C(G).

    Spread: the standard error over held-out examples and the deviation of one floor, together: the
    discriminators of the floors were trained afresh too.
    """
    logits, others = case.both(discriminate, case.seed)
    seen, floor = divergence(logits), case.floor(divergence(x).jsd for x in others)
    note = f"C(G) = {seen.c:.4f}; half held out"
    if logits.blind:
        note = f"{BLIND}; {note}"
    spread = math.hypot(seen.error / 2, floor.spread)
    return Measured(seen.jsd, floor, spread, note, blind=logits.blind)


class Divergence(NamedTuple):
    """C(G), at least -log 4 = -1.3863 in truth; JSD in nats; standard error of C."""

    c: float
    jsd: float
    error: float


def divergence(logits: HeldOut) -> Divergence:
    """C(G) and the Jensen-Shannon divergence from a fresh discriminator's held-out logits.

    C = E log D(real) + E log(1 - D(fake)), at most -log 4 + 2 JSD: a lower bound, whatever the
    discriminator. JSD = (C + log 4) / 2 nats, between 0 and log 2 = .693; the estimate may come
    out slightly negative and is reported as it is. Goodfellow et al. 2014, theorem 1.

    Args:
        logits: on examples that did not train the discriminator.
    """
    real = -np.logaddexp(0, -logits.real)
    fake = -np.logaddexp(0, logits.fake)
    c = float(real.mean() + fake.mean())
    variance = real.var(ddof=1) / len(real) + fake.var(ddof=1) / len(fake)
    return Divergence(c, (c + math.log(4)) / 2, float(np.sqrt(variance)))
