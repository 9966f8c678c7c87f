"""Exact quantities of a toy game: densities, the best discriminator, C(G), its accuracy.

A line is cut into cells; p and q are the probabilities of each, so sums over cells are integrals.
The density of a generator on a line comes by change of variables: z at the quantiles of its law
goes through G, and each cell gets the share of z that lands in it. No sample is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from scipy.special import rel_entr
from torch import nn

from ganforge.data.toy import Gaussian, Law
from ganforge.types import Doubles

LOG4 = math.log(4)
QUANTILES = 2**16  # of z: a cell's share is right to about 2^-16


def cells(low: float, high: float, count: int) -> Doubles:
    """The edges of `count` equal cells of a line, (count + 1,)."""
    return np.linspace(low, high, count + 1)


def midpoints(edges: Doubles) -> Doubles:
    """The middle of each cell, (M,)."""
    return np.asarray((edges[1:] + edges[:-1]) / 2)


def law_cells(law: Law, edges: Doubles) -> Doubles:
    """The probability of each cell under a 1-D law, (M,): its density there times the width."""
    return np.asarray(np.exp(law.log_density(midpoints(edges)[:, None])) * np.diff(edges))


def quantiles(law: str, count: int = QUANTILES) -> torch.Tensor:
    """(count, 1): the noise at (i + 1/2) / count of its law, "normal" or "uniform"."""
    u = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    z = torch.special.ndtri(u) if law == "normal" else 2 * u - 1
    return z.float()[:, None]


@torch.no_grad()
def generator_cells(generator: Callable[..., torch.Tensor], law: str, edges: Doubles) -> Doubles:
    """The probability of each cell under p_g, (M,), for z of one number.

    The sum is less than 1 if G leaves the cells.
    """
    x = generator(quantiles(law), None, None).double().flatten().numpy()
    return np.asarray(np.histogram(x, edges)[0] / len(x))


def best_discriminator(p: Doubles, q: Doubles) -> Doubles:
    """D* = p / (p + q), Goodfellow et al. 2014, proposition 1; nan where both are 0."""
    total = p + q
    return np.divide(p, total, out=np.full_like(total, np.nan), where=total > 0)


def value(p: Doubles, q: Doubles, logit: Doubles) -> float:
    """V(D, G) = E_p log D + E_q log(1 - D) in nats, D given by its logit at each cell."""
    return float(-(p * np.logaddexp(0, -logit)).sum() - (q * np.logaddexp(0, logit)).sum())


def best_value(p: Doubles, q: Doubles) -> float:
    """C(G) = max_D V = -log 4 + 2 JSD(p, q) in nats, theorem 1."""
    return float(rel_entr(p, p + q).sum() + rel_entr(q, p + q).sum())


def jensen_shannon(p: Doubles, q: Doubles) -> float:
    """JSD(p, q) in nats, from 0 to log 2."""
    return (best_value(p, q) + LOG4) / 2


@torch.no_grad()
def logits(discriminator: nn.Module, points: Doubles) -> Doubles:
    """D's logits at (N, F) points in model values, (N,) float64."""
    x = torch.from_numpy(np.asarray(points, dtype=np.float32))
    found: Doubles = discriminator(x, None, None).double().flatten().numpy()
    return found


def linear_generator(generator: nn.Module) -> Gaussian:
    """p_g of a generator that is one linear layer on normal noise: x = z A + b."""
    (layer,) = [m for m in generator.modules() if isinstance(m, nn.Linear)]
    matrix = layer.weight.detach().double().numpy().T
    shift = layer.bias.detach().double().numpy()
    return Gaussian(tuple(map(tuple, matrix.tolist())), tuple(shift.tolist()))


def lattice(features: int) -> tuple[Doubles, Doubles]:
    """(N, F) points z and their probabilities under N(0, I), (N,): an integral as a sum."""
    line = np.linspace(-7, 7, 400)
    axes = np.meshgrid(*[line] * features, indexing="ij")
    z = np.stack([a.ravel() for a in axes], axis=1)
    weight = np.exp(-0.5 * (z * z).sum(1))
    return z, np.asarray(weight / weight.sum())


def best_accuracy(p: Gaussian, q: Gaussian) -> float:
    """The share of examples that D* assigns to their law, from 1/2 to 1, of two Gaussians.

    Each expectation is an integral over the z of its law, on a lattice that must resolve both laws.
    """
    z, weight = lattice(p.features)
    accuracy = 0.0
    for law, other in ((p, q), (q, p)):
        x = z @ np.array(law.matrix) + law.mean
        gap = law.log_density(x) - other.log_density(x)
        accuracy += 0.5 * float((weight * ((gap > 0) + 0.5 * (gap == 0))).sum())
    return accuracy
