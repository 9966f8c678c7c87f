"""Toy laws: distributions that can be sampled, and whose log-density is known exactly.

Each law is a frozen dataclass with the number of features F, the exact mean (F,) and covariance
(F, F), the centres `modes` (K, F) of separate modes and the standard deviation `sigma` around one,
or None. `sample(count, stream, first)` gives samples first .. first + count - 1 of a stream, a
function of seed and position alone; `log_density(x)` is in nats per sample.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from ganforge.rng import Stream
from ganforge.types import Doubles, Floats, Words

Points = tuple[tuple[float, ...], ...]


def ring(modes: int = 8, radius: float = 1.0, sigma: float = 0.01) -> Mixture:
    """Equal Gaussians evenly spaced on a circle (Metz et al. 2017; Srivastava et al. 2017)."""
    angles = [2 * math.pi * k / modes for k in range(modes)]
    return Mixture(tuple((radius * math.cos(a), radius * math.sin(a)) for a in angles), sigma)


def grid(ticks: tuple[float, ...] = (-4.0, -2.0, 0.0, 2.0, 4.0), sigma: float = 0.05) -> Mixture:
    """Equal Gaussians on a square grid, 25 of them by default (Srivastava et al. 2017)."""
    return Mixture(tuple(product(ticks, repeat=2)), sigma)


def spirals(turns: float = 1.5, sigma: float = 0.02, points: int = 200) -> Mixture:
    """Two interleaved arms r = 0.1 + 0.9 t, as Gaussians at equal distances along each arm.

    Neighbouring centres are closer than 2 sigma, so the arms are smooth ribbons of width sigma
    and the density is still a sum that can be written down. There are no separate modes.
    """
    t = np.linspace(0, 1, 20_001)
    radius, angle = 0.1 + 0.9 * t, 2 * np.pi * turns * t
    arm = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(arm, axis=0), axis=1))])
    even = np.linspace(0, length[-1], points)
    arm = np.stack([np.interp(even, length, arm[:, k]) for k in range(2)], axis=1)
    means = np.concatenate([arm, -arm])
    return Mixture(tuple(map(tuple, means.tolist())), sigma, separate=False)


def _normal(words: Words) -> Doubles:
    """N(0, 1) by Box-Muller from words (N, 2k), float64 (N, 2k)."""
    u = (words.astype(np.float64) + 0.5) * 2.0**-32
    radius, angle = np.sqrt(-2 * np.log(u[:, 0::2])), 2 * np.pi * u[:, 1::2]
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=2).reshape(u.shape)


@dataclass(frozen=True)
class Gaussian:
    """x = z A + b with z ~ N(0, I), so the mean is b and the covariance A^T A.

    matrix: A, (F, F), invertible. shift: b, (F,).
    """

    matrix: Points
    shift: tuple[float, ...]
    modes = sigma = None

    @property
    def features(self) -> int:
        return len(self.shift)

    @property
    def mean(self) -> Doubles:
        return np.array(self.shift, dtype=np.float64)

    @property
    def covariance(self) -> Doubles:
        return np.asarray(self._matrix.T @ self._matrix)

    @property
    def _matrix(self) -> Doubles:
        return np.array(self.matrix, dtype=np.float64)

    def sample(self, count: int, stream: Stream, first: int = 0) -> Floats:
        """Samples first .. first + count - 1 of `stream`, float32 (count, F)."""
        z = stream.normal(first, count, self.features).astype(np.float64)
        return (z @ self._matrix + self.mean).astype(np.float32)

    def log_density(self, x: npt.ArrayLike) -> Doubles:
        """Log-density in nats at x (N, F), float64 (N,)."""
        z = np.linalg.solve(self._matrix.T, (np.asarray(x, dtype=np.float64) - self.mean).T)
        norm = self.features / 2 * math.log(2 * math.pi) + np.linalg.slogdet(self._matrix)[1]
        return np.asarray(-0.5 * np.sum(z * z, axis=0) - norm)


@dataclass(frozen=True)
class Mixture:
    """A mixture of K round Gaussians of one width.

    means: (K, F). sigma: standard deviation of each. weights: K probabilities; equal where empty.
    separate: the components are modes that can be distinguished and counted.
    """

    means: Points
    sigma: float
    weights: tuple[float, ...] = ()
    separate: bool = True

    @property
    def features(self) -> int:
        return len(self.means[0])

    @property
    def modes(self) -> Floats | None:
        """Centres of the modes, float32 (K, F), or None if they run into each other."""
        return np.array(self.means, dtype=np.float32) if self.separate else None

    @property
    def _weights(self) -> Doubles:
        return np.array(self.weights or (1 / len(self.means),) * len(self.means))

    @property
    def mean(self) -> Doubles:
        return np.asarray(self._weights @ np.array(self.means))

    @property
    def covariance(self) -> Doubles:
        centred = np.array(self.means) - self.mean
        between = (centred * self._weights[:, None]).T @ centred
        return np.asarray(between + self.sigma**2 * np.eye(self.features))

    def sample(self, count: int, stream: Stream, first: int = 0) -> Floats:
        """Samples first .. first + count - 1 of `stream`, float32 (count, F)."""
        even = self.features + self.features % 2
        width = even + 2  # one word chooses the component, one leaves the pairs aligned
        words = stream.words(first * width, count * width).reshape(count, width)
        edges = np.cumsum(self._weights)[:-1]
        which = np.searchsorted(edges, (words[:, 0] + 0.5) * 2.0**-32, side="right")
        z = _normal(words[:, 2:])[:, : self.features]
        return (np.array(self.means)[which] + self.sigma * z).astype(np.float32)

    def log_density(self, x: npt.ArrayLike) -> Doubles:
        """Log-density in nats at x (N, F), float64 (N,)."""
        points = np.asarray(x, dtype=np.float64)
        means, log_weights = np.array(self.means), np.log(self._weights)
        norm = self.features * (0.5 * math.log(2 * math.pi) + math.log(self.sigma))
        out = [np.empty(0)]
        for i in range(0, len(points), 4096):  # keeps the (N, K, F) differences small
            gap = (points[i : i + 4096, None, :] - means) / self.sigma
            terms = log_weights - 0.5 * np.sum(gap * gap, axis=2)
            top = terms.max(axis=1)
            out.append(top + np.log(np.exp(terms - top[:, None]).sum(axis=1)) - norm)
        return np.concatenate(out)


Law = Gaussian | Mixture

LAWS: dict[str, Law] = {
    "gaussian": Gaussian(matrix=((1.0, 2.0), (-0.1, 0.5)), shift=(1.0, 2.0)),
    "ring": ring(),
    "grid": grid(),
    "spirals": spirals(),
    "mixture1d": Mixture(means=((-1.5,), (1.5,)), sigma=0.5, weights=(0.6, 0.4)),
}

# Size of the train part; validation and test are HELD_OUT fresh draws each.
TRAIN = {
    "gaussian": 1_000,
    "ring": 100_000,
    "grid": 100_000,
    "spirals": 20_000,
    "mixture1d": 10_000,
}
HELD_OUT = 10_000


def draws(name: str, part: str, seed: int) -> Floats:
    """The data set of a law's name: its draws for one part, float32 (N, F)."""
    count = TRAIN[name] if part == "train" else HELD_OUT
    return LAWS[name].sample(count, Stream(seed, f"data/{name}/{part}"))
