"""Log-likelihood under a Parzen window, only for comparison with the table of 2014."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from ganforge.evaluation.distances import blocks, squared
from ganforge.evaluation.features import space
from ganforge.evaluation.inputs import Case, subset
from ganforge.evaluation.score import Measured
from ganforge.types import Array, Doubles

SIGMAS = np.logspace(-1, 0, 10)
CHOICE = 1000  # validation points that choose sigma


def score(case: Case) -> Measured:
    """Mean log-likelihood of real examples in nats; spread: standard error.

    Half of the real examples choose sigma, the other half is scored.
    """
    flat = space("identity", case.spec)
    real, fake = (flat.embed(x.values) for x in (case.real, case.fake))
    half = subset(case.n, case.n // 2, case.seed, "halves")
    choice, test = real[half], np.delete(real, half, 0)
    seen = parzen(fake, choice, test)
    floors = case.of_stand_ins(
        parzen, lambda i: parzen(flat.embed(case.stand_ins[i].values), choice, test)
    )
    note = f"for the 2014 table only; sigma {seen.sigma:.3f}; scored on {len(test)}"
    floor = case.floor(x.mean for x in floors)
    return Measured(seen.mean, floor, seen.error, note, space=(flat.name, flat.sha256))


@dataclass(frozen=True)
class Parzen:
    """Mean log-likelihood in nats, its standard error, and the sigma that was chosen."""

    mean: float
    error: float
    sigma: float


def log_likelihoods(centres: Array, points: Array, sigma: float | Doubles) -> Doubles:
    """Log density of points under a Parzen window, nats, (M,); of S windows for S widths, (S, M).

    log p(x) = logsumexp_i(-|x - c_i|^2 / 2 sigma^2) - log N - F/2 log(2 pi sigma^2).

    Args:
        centres: generated examples (N, F).
        points: (M, F).
        sigma: width of every Gaussian, or S widths.
    """
    c, x = (torch.from_numpy(a.astype(np.float64)) for a in (centres, points))
    widths, parts = np.reshape(sigma, (-1, 1)), []
    for rows in blocks(len(x), len(c)):
        d = squared(x[rows], c)
        # If 2 sigma^2 is small, every term underflows; logsumexp does not.
        parts.append(torch.stack([torch.logsumexp(d / (-2 * s**2), 1) for (s,) in widths]))
    constant = math.log(len(c)) + c.shape[1] / 2 * np.log(2 * math.pi * widths**2)
    return (torch.cat(parts, 1).numpy() - constant).reshape(*np.shape(sigma), -1)


def best_sigma(centres: Array, validation: Array) -> tuple[float, float]:
    """(sigma, mean log-likelihood): the best of ten in logspace(-1, 0) on the first 1,000 points.

    Args:
        centres: generated examples (N, F), pixels in [0, 1].
        validation: real examples (V, F).
    """
    means = log_likelihoods(centres, validation[:CHOICE], SIGMAS).mean(1)
    best = int(np.argmax(means))
    return float(SIGMAS[best]), float(means[best])


def parzen(centres: Array, validation: Array, test: Array) -> Parzen:
    """Mean log-likelihood of test points as in Goodfellow et al. 2014.

    Sigma is the best of ten in logspace(-1, 0) on the first 1,000 validation points. A figure for
    the 2014 table only: 10,000 real images reach 242.6 on MNIST and 50,000 memorised ones 318.4, so
    a value well above the first is a warning, not a win.

    Args:
        centres: generated examples (N, F), pixels in [0, 1].
        validation: real examples that choose sigma (V, F).
        test: real examples that are scored (M, F).
    """
    sigma, _ = best_sigma(centres, validation)
    logs = log_likelihoods(centres, test, sigma)
    return Parzen(float(logs.mean()), float(logs.std(ddof=1) / math.sqrt(len(logs))), sigma)
