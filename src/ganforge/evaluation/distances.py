"""Euclidean distances between large sets, a block of rows at a time, in float64."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from ganforge.types import Array, Doubles, Ints

ENTRIES = 2_000_000  # of a block: 16 MB, small enough for the allocator to use again


def blocks(rows: int, columns: int) -> Iterator[slice]:
    """Slices of 0 .. rows - 1 whose block of the (rows, columns) matrix has <= 2e6 entries."""
    step = max(1, ENTRIES // max(1, columns))
    return (slice(i, min(i + step, rows)) for i in range(0, rows, step))


def squared(x: Tensor, y: Tensor) -> Tensor:
    """|x_i - y_j|^2 = |x_i|^2 + |y_j|^2 - 2 x_i.y_j, never negative.

    Args:
        x, y: (N, F) and (M, F), float64.
    """
    out = torch.addmm(y.square().sum(1), x, y.T, alpha=-2)
    out += x.square().sum(1)[:, None]
    return out.clamp_(min=0)


def centred(x: Array, *others: Array) -> tuple[Tensor, ...]:
    """Float64 tensors of (N, F) arrays, all shifted by the mean of the first.

    Distances do not change, and the difference of large squares loses fewer digits.
    """
    mean = x.mean(0, dtype=np.float64)
    return tuple(torch.from_numpy(a.astype(np.float64) - mean) for a in (x, *others))


def to_others(x: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Row numbers, and their squared distances to all of x (N, F), inf to themselves, by blocks."""
    for rows in blocks(len(x), len(x)):
        d = squared(x[rows], x)
        row = torch.arange(rows.start, rows.stop)
        d[row - rows.start, row] = torch.inf
        yield row, d


def kth(x: Tensor, ks: tuple[int, ...]) -> Tensor:
    """Squared distance of every row to its k-th nearest other row, (len(ks), N).

    Args:
        x: (N, F), float64, N > max(ks).
        ks: neighbour numbers, from 1.
    """
    parts = [d.topk(max(ks), dim=1, largest=False).values for _, d in to_others(x)]
    return torch.cat(parts).T[[k - 1 for k in ks]]


def nearest(x: Tensor, y: Tensor, exclude: Ints | None = None) -> tuple[Ints, Doubles]:
    """Index and distance of the nearest row of y for every row of x.

    The search is in float32, without |x|^2, which is the same for all of y; the distance is
    computed in float64 from the difference of the two rows, so that a copy is at 0.

    Args:
        x, y: (N, F) and (M, F), float64.
        exclude: for every row of x the row of y that is the same example, left out; or None.
    """
    index = torch.empty(len(x), dtype=torch.int64)
    a, b = x.float(), y.float()
    norms = b.square().sum(1)
    for rows in blocks(len(x), len(y)):
        d = torch.addmm(norms, a[rows], b.T, alpha=-2)
        if exclude is not None:
            d[torch.arange(len(d)), torch.from_numpy(exclude[rows])] = torch.inf
        index[rows] = d.argmin(1)
    return index.numpy(), (x - y[index]).norm(dim=1).numpy()


def closest(x: Tensor, centres: Tensor) -> tuple[Tensor, Tensor]:
    """Index of the nearest centre (K, F) of every row (N, F), and its squared distance, (N,)."""
    least = [squared(x[rows], centres).min(1) for rows in blocks(len(x), len(centres))]
    return torch.cat([v.indices for v in least]), torch.cat([v.values for v in least])
