"""Frechet distance between Gaussians fitted to features (Heusel et al. 2017; Dowson 1982)."""

from __future__ import annotations

import numpy as np

from ganforge.evaluation.inputs import Case
from ganforge.evaluation.jackknife import jackknife
from ganforge.evaluation.score import Measured
from ganforge.types import Array, Doubles


def score(case: Case) -> Measured:
    """Frechet distance; spread: jackknife over five groups; control: trace of the covariance."""
    real, fake = case.features
    found, floors = case.both(frechet)
    return Measured(
        found,
        case.floor(floors),
        jackknife(frechet, real, fake, case.seed),
        control=float(real.var(0, dtype=np.float64, ddof=1).sum()),
    )


def frechet(real: Array, fake: Array) -> float:
    """Frechet distance of two samples; 0 if mean and covariance agree.

    Biased upward by an amount that depends on N, and blind to what mean and covariance do not show:
    a few repeated examples may score well.

    Args:
        real, fake: features (N, F) and (M, F).
    """
    return between(*moments(real), *moments(fake))


def moments(x: Array) -> tuple[Doubles, Doubles]:
    """Mean (F,) and unbiased covariance (F, F) of features (N, F), float64."""
    x = x.astype(np.float64)
    mean = x.mean(0)
    return mean, (x - mean).T @ (x - mean) / (len(x) - 1)


def between(mean1: Doubles, cov1: Doubles, mean2: Doubles, cov2: Doubles) -> float:
    """|m1 - m2|^2 + Tr(C1 + C2 - 2 (C1 C2)^1/2).

    C1 C2 has the eigenvalues of the symmetric C1^1/2 C2 C1^1/2, so two symmetric eigenproblems in
    float64 do what a matrix square root would.

    Args:
        mean1, mean2: (F,).
        cov1, cov2: (F, F), symmetric, positive semi-definite.
    """
    values, vectors = np.linalg.eigh(cov1)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    middle = np.linalg.eigvalsh(root @ cov2 @ root)
    cross = np.sqrt(np.maximum(middle, 0)).sum()
    gap = mean1 - mean2
    return float(gap @ gap + np.trace(cov1) + np.trace(cov2) - 2 * cross)
