"""Figures from fresh samples beside real ones: variety, modes, labels, copies."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch

from ganforge.diagnosis.from_log import Figures
from ganforge.evaluation.distances import squared
from ganforge.evaluation.inputs import Mixture
from ganforge.evaluation.metrics import copying
from ganforge.evaluation.metrics.neighbours import prdc
from ganforge.types import Array, Doubles

CELLS = 10  # groups of real examples where there are no classes and no known modes
EXPECTED = 15  # samples due to a group, below which its absence says nothing


def of_variety(held: Array, stand_in: Array, fake: Array) -> Figures:
    """Is there as much variety as in the data? Features (N, F), as many of each.

    spread: the mean distance between two samples over that between two real ones. near: the median
    distance of a sample to the nearest other one, over that of real ones. recall, coverage,
    precision and their floors, of other real examples in the samples' place.
    """
    ours, floor = prdc(held, fake), prdc(held, stand_in)
    real, made = distances(held), distances(fake)
    return {
        "spread": _ratio(made.mean(), real.mean()),
        "near": _ratio(np.median(_nearest(made)), np.median(_nearest(real))),
        "near_low": _ratio(np.quantile(_nearest(made), 0.1), np.quantile(_nearest(real), 0.1)),
        "recall": ours.recall,
        "recall_floor": floor.recall,
        "coverage": ours.coverage,
        "coverage_floor": floor.coverage,
        "precision": ours.precision,
        "precision_floor": floor.precision,
    }


def distances(x: Array) -> Doubles:
    """From every row to all others, (N, N - 1), N >= 2."""
    rows = torch.from_numpy(x.astype(np.float64) - x.mean(0, dtype=np.float64))
    d: Doubles = squared(rows, rows).sqrt().numpy()
    return d[~np.eye(len(d), dtype=bool)].reshape(len(d), len(d) - 1)


def _nearest(d: Doubles) -> Doubles:
    return np.asarray(d.min(1))


def _ratio(a: float, b: float) -> float:
    return float(a / b) if b > 0 else math.nan


@dataclass(frozen=True)
class Groups:
    """Into what real examples fall: known modes, classes or cells. kind: of them, in words.

    names: of each. real, fake: how many of either fall into each. total: samples in all.
    """

    kind: str
    names: tuple[str, ...]
    real: Doubles = field(repr=False)
    fake: Doubles = field(repr=False)
    total: int

    def shares(self) -> Doubles:
        """Of each group, samples over those due to it; nan where few are due."""
        due = self.real / self.real.sum() * self.total
        return np.where(due >= EXPECTED, self.fake / np.maximum(due, 1e-12), np.nan)

    def missing(self, below: float) -> list[int]:
        """Groups that hold less than `below` of their due."""
        return [int(i) for i in np.flatnonzero(self.shares() < below)]


def of_groups(groups: Groups) -> Figures:
    """least: the smallest share of its due that a group holds. rarest: the number of that group.
    missing: what the groups under a third of their due make of the real data; absent: those under a
    tenth. cells, modes: 1 where the groups are cells, or known modes."""
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
    """By the nearest known mode, however far; what lies between the modes is not asked here."""
    names = tuple(f"mode {i}" for i in range(len(mixture.centres)))
    return Groups("modes", names, _near(real, mixture), _near(fake, mixture), len(fake))


def _near(x: Array, mixture: Mixture) -> Doubles:
    centres = torch.from_numpy(mixture.centres.astype(np.float64))
    nearest = squared(torch.from_numpy(x.astype(np.float64)), centres).argmin(1)
    return np.bincount(nearest.numpy(), minlength=len(centres)).astype(float)


def by_class(real: Array, fake: Array, names: tuple[str, ...], classes: int) -> Groups:
    """By what a classifier sees in them, (N,) and (M,) in 0..K-1."""
    counts = [np.bincount(x, minlength=classes).astype(float) for x in (real, fake)]
    shown = names or tuple(map(str, range(classes)))
    return Groups("classes", shown, counts[0], counts[1], len(fake))


def by_cell(real: Array, fake: Array) -> Groups:
    """In k-means cells of the real features (N, F); Richardson & Weiss 2018."""
    mean = real.mean(0, dtype=np.float64)
    x, y = (torch.from_numpy(a.astype(np.float64) - mean) for a in (real, fake))
    centres = copying.k_means(x, CELLS, 0)
    counts = [
        np.bincount(squared(rows, centres).argmin(1).numpy(), minlength=CELLS).astype(float)
        for rows in (x, y)
    ]
    names = tuple(f"cell {i}" for i in range(CELLS))
    return Groups("cells", names, counts[0], counts[1], len(fake))


def of_labels(fake: Array, asked: Array, real: Array, labels: Array, seen: Array | None) -> Figures:
    """label_effect: the share of the samples' variance that their labels explain, without bias;
    label_effect_real: of real examples. label_accuracy: of samples in which a trusted classifier
    sees what was asked for, where there is one.

    fake, real: features (N, F). asked, labels: (N,). seen: by the classifier, (N,), or None.
    """
    out = {"label_effect": explained(fake, asked), "label_effect_real": explained(real, labels)}
    if seen is not None:
        out["label_accuracy"] = float((seen == asked).mean())
    return out


def explained(x: Array, labels: Array) -> float:
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


def of_copies(reference: copying.Reference, held: Array, fake: Array) -> Figures:
    """authentic, authentic_held: see `copying.authentic`. c_t: of `copying.data_copying`, in one
    cell. copied: the share of samples nearer to a training example than 99 % of the held-out are.
    known: training examples among which the nearest were looked for.
    """
    placed, real = copying.place(reference, fake), copying.place(reference, held)
    return {
        "authentic": copying.authentic(reference, placed),
        "authentic_held": copying.authentic(reference, real),
        "c_t": copying.mann_whitney(placed.distance, real.distance),
        "known": float(len(reference.x)),
        "copied": float((placed.distance < np.quantile(real.distance, 0.01)).mean()),
    }
