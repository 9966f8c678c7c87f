"""Are samples copies of the training data?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from ganforge import bar
from ganforge.errors import UsageError
from ganforge.evaluation.distances import closest, nearest
from ganforge.evaluation.inputs import FLOORS, Case, subset
from ganforge.evaluation.score import Floor, Measured, share, share_floor
from ganforge.rng import Stream
from ganforge.types import Array, Doubles, Ints

CELLS, LEAST_IN_CELL, ROUNDS = 5, 20, 25


def authentic_share(case: Case) -> Measured:
    """AuthPct as a share, against all training examples; spread: binomial standard error."""
    train, fake, real = case.once(_placed)
    note = f"{len(train.x)} training examples; floor is held-out real"
    floor = share_floor(authentic(train, real), case.n)
    return share(authentic(train, fake), floor, case.n, note)


def copying_score(case: Case) -> Measured:
    """C_T against all training examples; spread: its deviation if samples are real.

    Floor: the mean over five cuts of the held-out examples into halves, one against the other.
    """
    train, fake, real = case.once(_placed)
    found, floors = cell_scores(real, fake), []
    for i in range(FLOORS):
        half = subset(case.n, case.n // 2, case.seed, f"halves/{i}" if i else "halves")
        rest = np.setdiff1d(np.arange(case.n), half)
        floors.append(cell_scores(real.rows(half), real.rows(rest)))
    deviation = float(np.mean([f.deviation for f in floors]))
    floor = Floor(float(np.mean([f.c_t for f in floors])), deviation, deviation / FLOORS**0.5)
    note = f"{len(train.x)} training examples; floor at N = {case.n // 2}"
    return Measured(found.c_t, floor, found.deviation, note, unit=found.deviation)


def _placed(case: Case) -> tuple[Reference, Placed, Placed]:
    """All training examples, and samples and real examples placed among them."""
    with bar.phase("features of the training examples", len(case.train.values), "examples"):
        known = case.embed(case.train.values)
    train = reference(known, case.seed, CELLS if case.n >= 1000 else 1)
    real, fake = case.features
    return train, place(train, fake), place(train, real)


class Reference(NamedTuple):
    """Training features (T, F) less their mean (F,), and the centres (k, F) of their cells."""

    x: torch.Tensor
    mean: Doubles
    centres: torch.Tensor


@dataclass(frozen=True)
class Placed:
    """Samples against the training data, (N,) each.

    index: of the nearest training example, for showing it beside the sample.
    distance: to it.
    cell: 0 .. k - 1.
    """

    index: Ints
    distance: Doubles
    cell: Ints

    def rows(self, rows: Ints) -> Placed:
        """Some of the samples."""
        return Placed(self.index[rows], self.distance[rows], self.cell[rows])


def reference(train: Array, seed: int, cells: int = CELLS) -> Reference:
    """The training data, cut into k-means cells, with which samples are compared.

    Args:
        train: features (T, F), T >= 2.
        seed: of the k-means start.
        cells: how many; 1 for sets so small that a cell would hold fewer than 20 samples.
    """
    if len(train) < max(2, cells):
        raise UsageError(f"{len(train)} training examples: at least {max(2, cells)} are needed")
    mean = train.mean(0, dtype=np.float64)
    x = torch.from_numpy(train.astype(np.float64) - mean)
    return Reference(x, mean, k_means(x, cells, seed))


def place(train: Reference, samples: Array) -> Placed:
    """Nearest training example, its distance, and the cell of every sample (N, F)."""
    x = torch.from_numpy(samples.astype(np.float64) - train.mean)
    return Placed(*nearest(x, train.x), closest(x, train.centres)[0].numpy())


def authentic(train: Reference, fake: Placed) -> float:
    """AuthPct: share of samples that lie farther from the training data than the data do.

    A sample s with nearest training example t is authentic if min_{t' != t} |t - t'| < |s - t|
    (Alaa et al. 2022). Held-out real examples do not reach 1 either: read it beside theirs.

    Args:
        train: of `reference`.
        fake: of `place`.
    """
    used, inverse = np.unique(fake.index, return_inverse=True)
    _, gap = nearest(train.x[used], train.x, exclude=used)
    return float((gap[inverse] < fake.distance).mean())


class CellScores(NamedTuple):
    """C_T, and its standard deviation if samples are real."""

    c_t: float
    deviation: float


def cell_scores(held_out: Placed, fake: Placed) -> CellScores:
    """C_T of Meehan et al. 2020: a mean z score, far below 0 if samples hug the training data.

    In each cell a Mann-Whitney test compares distances to the nearest training example, generated
    against held-out; the cells' z scores are averaged with the held-out shares w as weights. Each
    is standard normal if samples are real, and they are independent, so the deviation of the mean
    is sqrt(sum w^2): 0.45 for five equal cells, 1 for one. Cells with fewer than 20 of either are
    left out. C_T grows with the square root of N.

    Args:
        held_out: real examples that did not train the generator, placed.
        fake: samples, placed.
    """
    scores, weights = [], []
    for cell in np.unique(held_out.cell):
        p = held_out.distance[held_out.cell == cell]
        q = fake.distance[fake.cell == cell]
        if min(len(p), len(q)) >= LEAST_IN_CELL:
            scores.append(mann_whitney(q, p))
            weights.append(len(p))
    if not scores:
        raise UsageError(
            f"no cell holds {LEAST_IN_CELL} of {len(fake.cell)} generated and "
            f"{len(held_out.cell)} held-out examples: give more, or ask for one cell"
        )
    w = np.array(weights) / sum(weights)
    return CellScores(float(w @ scores), float(np.sqrt(w @ w)))


def mann_whitney(x: Array, y: Array) -> float:
    """z score of the Mann-Whitney U of x over y, ties at half; below 0 if x is the smaller.

    (U - nm/2) / sqrt(nm (n + m + 1) / 12), U = #{x_i > y_j} + #{x_i = y_j} / 2.

    Args:
        x, y: (N,) and (M,).
    """
    from scipy.stats import rankdata

    n, m = len(x), len(y)
    u = float(rankdata(np.concatenate([x, y]))[:n].sum()) - n * (n + 1) / 2
    return (u - n * m / 2) / math.sqrt(n * m * (n + m + 1) / 12)


def k_means(x: torch.Tensor, k: int, seed: int) -> torch.Tensor:
    """Centres (k, F) of rows x (N, F) by at most 25 rounds of Lloyd's algorithm.

    Starts from a seeded choice, each next centre with probability as its squared distance to the
    ones before (k-means++). A cell that empties keeps its centre.
    """
    draws = Stream(seed, "k-means").uniform(0, k)[:, 0]
    centres = x[int(draws[0] * len(x))][None]
    for draw in draws[1:]:
        mass = closest(x, centres)[1].cumsum(0)
        centres = torch.cat(
            [centres, x[int(torch.searchsorted(mass, float(draw) * mass[-1]))][None]]
        )
    before = None
    for _ in range(ROUNDS):
        cell = closest(x, centres)[0]
        if before is not None and torch.equal(cell, before):
            break
        before = cell
        counts = torch.bincount(cell, minlength=k)
        sums = torch.zeros_like(centres).index_add_(0, cell, x)
        filled = counts > 0
        centres[filled] = sums[filled] / counts[filled, None]
    return centres
