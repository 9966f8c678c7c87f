"""Signals from fresh samples beside real examples: variety, modes, labels, copies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ganforge.diagnosis.log_signals import Figures
from ganforge.evaluation.distances import centred, squared
from ganforge.evaluation.inputs import Mixture
from ganforge.evaluation.metrics import METRICS, copying
from ganforge.evaluation.metrics.frechet import frechet
from ganforge.evaluation.metrics.neighbours import prdc
from ganforge.evaluation.score import NEAR, Floor, Measured, verdict
from ganforge.types import Array, Doubles

CELLS = 10  # groups of real examples if there are no classes and no known modes
EXPECTED = 15  # expected samples of a group, below which their absence means nothing


class Floors(NamedTuple):
    """Coverage, and Frechet distance with its errors, of training examples as if samples."""

    coverage: float
    distance: Floor


def floors(held_out: Array, stand_ins: Sequence[Array]) -> Floors:
    """Floors over subsets (N, F) of training examples, beside held-out ones (N, F)."""
    coverage = float(np.mean([prdc(held_out, x).coverage for x in stand_ins]))
    each = [frechet(held_out, x) for x in stand_ins]
    spread = float(np.std(each, ddof=1)) if len(each) > 1 else 0.0
    distance = Floor(float(np.mean(each)), spread, spread / len(each) ** 0.5)
    return Floors(coverage, distance)


def of_variety(held_out: Array, floor: Floors, fake: Array) -> Figures:
    """Variety of samples, compared with real examples.

    Args:
        held_out: (N, F) features of real examples.
        floor: of the training examples.
        fake: (N, F), of samples.

    Returns:
        spread: mean distance between two samples, divided by that between two real examples;
        near: median distance of a sample to the nearest other sample, divided by that of real
        examples; coverage of the samples; coverage_floor: of the training examples; distance,
        distance_floor: the same for the Frechet distance; apart: 1 if its verdict is neither
        "as real" nor "close", else 0.
    """
    real, made = distances(held_out), distances(fake)
    distance = frechet(held_out, fake)
    control = float(held_out.var(0, dtype=np.float64, ddof=1).sum())
    seen = verdict(METRICS["frechet"], Measured(distance, floor.distance, 0.0, control=control))
    return {
        "spread": _ratio(made.mean(), real.mean()),
        "near": _ratio(np.median(made.min(1)), np.median(real.min(1))),
        "coverage": prdc(held_out, fake).coverage,
        "coverage_floor": floor.coverage,
        "distance": distance,
        "distance_floor": floor.distance.value,
        "apart": float(seen not in NEAR),
    }


def distances(x: Array) -> Doubles:
    """From every row of (N, F), N >= 2, to all others: (N, N - 1)."""
    (rows,) = centred(x)
    d: Doubles = squared(rows, rows).sqrt().numpy()
    return d[~np.eye(len(d), dtype=bool)].reshape(len(d), len(d) - 1)


def _rows(x: Array) -> Tensor:
    return torch.from_numpy(x.astype(np.float64))


def _ratio(a: float, b: float) -> float:
    return float(a / b) if b > 0 else math.nan


class Groups(NamedTuple):
    """How many real examples and samples fall into each known mode, class or cell.

    kind: "modes", "classes" or "cells". real, fake: counts, (K,).
    """

    kind: str
    real: Doubles
    fake: Doubles

    def shares(self) -> Doubles:
        """(K,) samples divided by expected samples; nan for groups of few expected samples."""
        expected = self.real / self.real.sum() * self.fake.sum()
        return np.where(expected >= EXPECTED, self.fake / np.maximum(expected, 1e-12), np.nan)


def of_groups(groups: Groups) -> Figures:
    """Which groups of the data have few samples.

    Returns:
        {} if every group is too small to say; else
        least: smallest share of the expected samples that a group has; rarest: that group's number;
        missing, absent: share of the real data in groups with less than a third, and less than a
        tenth, of the expected samples; groups: how many; cells, modes: 1 if groups are such.
    """
    shares, weight = groups.shares(), groups.real / groups.real.sum()
    if np.isnan(shares).all():
        return {}
    return {
        "least": float(np.nanmin(shares)),
        "rarest": float(np.nanargmin(shares)),
        "missing": float(weight[shares < 1 / 3].sum()),
        "absent": float(weight[shares < 0.1].sum()),
        "groups": float(len(shares)),
        "cells": float(groups.kind == "cells"),
        "modes": float(groups.kind == "modes"),
    }


def by_mode(real: Array, fake: Array, mixture: Mixture) -> Groups:
    """Examples (N, F) and samples (M, F) by the nearest known mode, at any distance."""
    return _by_centre("modes", _rows(real), _rows(fake), _rows(mixture.centres))


def by_cell(real: Array, fake: Array) -> Groups:
    """Features (N, F) and (M, F) by k-means cell of the real ones; Richardson & Weiss 2018."""
    x, y = centred(real, fake)
    return _by_centre("cells", x, y, copying.k_means(x, CELLS, 0))


def _by_centre(kind: str, real: Tensor, fake: Tensor, centres: Tensor) -> Groups:
    near_real, near_fake = (squared(x, centres).argmin(1).numpy() for x in (real, fake))
    return by_class(near_real, near_fake, len(centres), kind)


def by_class(real: Array, fake: Array, classes: int, kind: str = "classes") -> Groups:
    """Labels (N,) of real examples and classified samples (M,), both in 0..K-1, by class."""
    return Groups(kind, *(np.bincount(x, minlength=classes).astype(float) for x in (real, fake)))


def of_labels(
    fake: Array, fake_labels: Array, real: Array, labels: Array, classified: Array | None
) -> Figures:
    """How much of the samples depends on the requested label.

    Args:
        fake, real: features (N, F).
        fake_labels: (N,), requested from the generator.
        labels: (N,), of the real examples.
        classified: (N,), the samples' classes for a trusted classifier, or None.

    Returns:
        label_effect, label_effect_real: share of the variance that labels explain;
        label_accuracy: share of samples of the requested class, if there is a classifier.
    """
    out = {
        "label_effect": explained_variance(fake, fake_labels),
        "label_effect_real": explained_variance(real, labels),
    }
    if classified is not None:
        out["label_accuracy"] = float((classified == fake_labels).mean())
    return out


def explained_variance(x: Array, labels: Array) -> float:
    """omega^2 = (between - (K - 1) w) / (total + w), w the variance within; 0 without effect."""
    rows = x.astype(np.float64)
    total = float(((rows - rows.mean(0)) ** 2).sum())
    groups = [rows[labels == k] for k in np.unique(labels)]
    between = float(sum(len(g) * ((g.mean(0) - rows.mean(0)) ** 2).sum() for g in groups))
    k, n = len(groups), len(rows)
    if k < 2 or n <= k or total <= 0:
        return math.nan
    within = (total - between) / (n - k)
    return (between - (k - 1) * within) / (total + within)


def of_copies(train: copying.Reference, held_out: Array, fake: Array) -> Figures:
    """How near samples are to training examples.

    Args:
        train: training examples to search.
        held_out: (N, F) features of real examples that did not train.
        fake: (M, F), of samples.

    Returns:
        authentic, authentic_held_out: see `copying.authentic`; c_t: see `copying.cell_scores`, in
        one cell; copied: share of samples nearer to a training example than 99 % of held-out
        examples are; searched: number of training examples.
    """
    placed, real = copying.place(train, fake), copying.place(train, held_out)
    return {
        "authentic": copying.authentic(train, placed),
        "authentic_held_out": copying.authentic(train, real),
        "c_t": copying.mann_whitney(placed.distance, real.distance),
        "searched": float(len(train.x)),
        "copied": float((placed.distance < np.quantile(real.distance, 0.01)).mean()),
    }
