"""Principal directions of a generator: along which its samples differ most.

    w:  the eigenvectors of the covariance of w = mapping(z)
    z:  the first layer's outputs f are fitted by f = B z + c; the singular vectors of B on the side
        of z are ordered by how much of the variance of f each explains

Harkonen et al. 2020 (GANSpace). What a direction shows is for people to see and to name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from ganforge import files
from ganforge.errors import DataError, UsageError, check, did_you_mean
from ganforge.nets.base import evaluating
from ganforge.nets.stylegan import Generator
from ganforge.sampling import styles
from ganforge.types import Array, Floats

if TYPE_CHECKING:
    from ganforge.sampling.sampler import Labels, Sampler

FILE = "directions.json"
FORMAT = 1
FIRST_LAYERS = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)


@dataclass(frozen=True)
class Directions:
    """K directions in z or w.

    Args:
        space: "z" or "w".
        vectors: (K, Z) or (K, W), each as long as one standard deviation along it.
        shares: (K,) of the variance, in [0, 1], the largest first.
        names: K of them; d1, d2, ... before anybody gave others.
    """

    space: str
    vectors: Floats
    shares: Floats
    names: tuple[str, ...]

    def shift(self, amounts: Mapping[str, float]) -> Floats:
        """The sum of amounts times their directions; UsageError for a name that there is not."""
        total = np.zeros(self.vectors.shape[1], dtype=np.float32)
        for name, amount in amounts.items():
            if name not in self.names:
                raise UsageError(f"direction {name!r}: {did_you_mean(name, self.names)}")
            total += np.float32(amount) * self.vectors[self.names.index(name)]
        return total

    def named(self, names: Mapping[int, str]) -> Directions:
        """The same directions, some with other names, by their number from 1."""
        new = list(self.names)
        for number, name in names.items():
            check(1 <= number <= len(new), "direction", number, f"a number, 1 to {len(new)}")
            new[number - 1] = name
        check(len(set(new)) == len(new), "names", new, "different names")
        return replace(self, names=tuple(new))


def directions(sampler: Sampler, count: int = 8, samples: int = 4096, seed: int = 0) -> Directions:
    """The principal directions of w for style-based generators, else of the first layer in z.

    Args:
        sampler: of the generator.
        count: K, at least 1; fewer if the space has fewer.
        samples: of which the covariance is computed, at least 64.
        seed: of their noise.

    Raises:
        UsageError: the networks are without a layer, or an argument is out of range.
    """
    check(count >= 1, "count", count, "at least 1")
    check(64 <= samples <= 2**20, "samples", samples, "64 to 1,048,576")
    z = sampler.z(samples, seed, stream="directions/z")
    labels = sampler.labels(samples)
    if isinstance(sampler.model, Generator):
        space, found = "w", principal(styles.of_noise(sampler, z, labels))
    else:
        space, found = "z", fitted(sampler, z, labels)
    vectors, shares = (part[:count].cpu().numpy().astype(np.float32) for part in found)
    names = tuple(f"d{i}" for i in range(1, len(vectors) + 1))
    return Directions(space, vectors, shares, names)


def principal(w: Tensor) -> tuple[Tensor, Tensor]:
    """Directions (W, W) of one standard deviation each of w (N, W), and their shares (W,)."""
    centred = w.double() - w.double().mean(0)
    variances, vectors = torch.linalg.eigh(centred.T @ centred / (len(w) - 1))
    variances, vectors = variances.flip(0).clamp_min(0), oriented(vectors.flip(1).T)
    return vectors * variances.sqrt().unsqueeze(1), variances / variances.sum()


def fitted(sampler: Sampler, z: Tensor, labels: Array | None) -> tuple[Tensor, Tensor]:
    """Directions (K, Z) of one standard deviation each of z (N, Z), and their shares (K,).

    Codes are no part of a direction; the mean of each label is subtracted first.
    """
    features = first_features(sampler, z, labels).double()
    groups = np.zeros(len(z), dtype=np.int64) if labels is None else labels
    for label in np.unique(groups):
        features[groups == label] -= features[groups == label].mean(0)
    plain = z[:, : sampler.noise.plain].double()
    matrix = torch.linalg.lstsq(plain - plain.mean(0), features).solution  # (plain, F)
    sides, sizes, _ = torch.linalg.svd(matrix, full_matrices=False)
    deviation = 1.0 if sampler.noise.law == "normal" else 3**-0.5
    vectors = torch.zeros(len(sizes), z.shape[1], dtype=torch.float64, device=z.device)
    vectors[:, : plain.shape[1]] = oriented(sides.T) * deviation
    return vectors, sizes.square() / sizes.square().sum()


def first_features(sampler: Sampler, z: Tensor, labels: Array | None) -> Tensor:
    """What the first linear layer or convolution that is called gives for z; (N, F)."""
    seen: list[Tensor] = []
    layers = [m for m in sampler.model.modules() if isinstance(m, FIRST_LAYERS)]
    if not layers:
        raise UsageError(f"{sampler.name} has no linear layer and no convolution to look at")
    hooks = [
        layer.register_forward_hook(lambda _, __, out: seen.append(out.flatten(1).float()))
        for layer in layers
    ]
    found = []
    try:
        with evaluating(sampler.model):
            for start in range(0, len(z), 64):
                label = None
                if labels is not None:
                    label = torch.from_numpy(labels[start : start + 64]).to(z.device)
                seen.clear()
                sampler.model(z[start : start + 64], label, None, None)
                found.append(seen[0])
    finally:
        for hook in hooks:
            hook.remove()
    return torch.cat(found)


def oriented(vectors: Tensor) -> Tensor:
    """Vectors (K, D), each with its largest number positive: an eigenvector has no sign."""
    largest = vectors.gather(1, vectors.abs().argmax(1, keepdim=True))
    return vectors * largest.sign()


def strips(
    sampler: Sampler, found: Directions, steps: int, most: float, seed: int, label: Labels = None
) -> Array:
    """(K * steps, ...) samples: a direction a row, from -most to most standard deviations.

    All are sample 0 of the seed, moved.
    """
    made = []
    for name in found.names:
        for amount in np.linspace(-most, most, steps):
            made.append(sampler.moved(found, {name: float(amount)}).sample(1, label, seed))
    return np.concatenate(made)


# --- the file -----------------------------------------------------------------------------------


def save(path: Path, found: Directions, weights: str) -> Path:
    """Write directions as JSON; weights: the sha256 of those that they belong to."""
    rows = zip(found.names, found.shares, found.vectors, strict=True)
    table = {
        "format": FORMAT,
        "space": found.space,
        "weights_sha256": weights,
        "directions": [
            {"name": name, "share": float(share), "vector": [float(number) for number in vector]}
            for name, share, vector in rows
        ],
    }
    return files.write_json(path, table)


def load(path: Path, weights: str) -> Directions:
    """The directions in a file.

    Raises:
        DataError: none, a damaged file, or the directions of other weights.
    """
    if not path.is_file():
        raise DataError(f"{path}: no directions yet: ganforge directions {path.parent}")
    try:
        table: dict[str, Any] = json.loads(files.read_file(path))
        rows: Sequence[dict[str, Any]] = table["directions"]
        vectors = np.array([row["vector"] for row in rows], dtype=np.float32)
        shares = np.array([row["share"] for row in rows], dtype=np.float32)
        names, known = tuple(str(row["name"]) for row in rows), table["weights_sha256"]
        if vectors.ndim != 2 or not np.isfinite(vectors).all() or table["space"] not in ("z", "w"):
            raise ValueError("no list of vectors")
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: damaged ({error}): ganforge directions makes it again") from None
    if known != weights:
        raise DataError(
            f"{path}: of other weights: ganforge directions {path.parent} finds new ones"
        )
    return Directions(str(table["space"]), vectors, shares, names)
