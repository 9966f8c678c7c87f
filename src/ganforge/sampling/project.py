"""The place of a given picture in the space of z or w: a generator, run backwards by optimisation.

    z* = argmin over z of sum over scales s = 1, 1/2, 1/4 of mean (G(z) - x)^2 at scale s

Zhu et al. 2016 ("Generative visual manipulation on the natural image manifold"); in w Karras et al.
2020, with a plain distance of pixels instead of one of features. Several starts are tried, and the
best ones go on. z stays where its law has its mass: normal numbers in a ball of radius sqrt(Z) + 2,
uniform ones in [-1, 1]; categorical codes stay at the class of their start. How well the search
works is seen on samples of the generator itself, which have an exact z.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ganforge.data.spec import encode
from ganforge.errors import UsageError, check, choice
from ganforge.nets.base import evaluating
from ganforge.nets.stylegan import Generator
from ganforge.sampling import styles
from ganforge.types import Array, Floats

if TYPE_CHECKING:
    from ganforge.sampling.sampler import Labels, Sampler

EXPLORED = 0.25  # of the steps, with all starts
SURVIVORS = 4  # starts that go on
RATE = 0.1  # of Adam at the first step; it falls to 0 along a cosine
SCALES = (1, 2, 4)
REFERENCES = 4  # samples of the generator itself that give the floor


@dataclass(frozen=True)
class Projection:
    """What was found for N pictures.

    pictures: (N, H, W, C), the generator's nearest ones. latent: (N, Z) of z, or (N, W) of w.
    labels: (N,), or None. error: (N,) root mean square of the differences, in levels of 255. floor:
    the mean error for samples of the generator itself. space: "z" or "w".
    """

    pictures: Array
    latent: Floats
    labels: Array | None
    error: Floats
    floor: float
    space: str


@dataclass(frozen=True)
class Search:
    """One search: the generator, its number of steps and starts, and where it searches."""

    sampler: Sampler
    steps: int
    starts: int
    seed: int
    space: str

    def start(self, label: int | None) -> tuple[Tensor, Tensor | None]:
        """Latents (S, ...) and labels (S,) to begin with: all labels in turn if none is given."""
        sampler = self.sampler
        z = sampler.z(self.starts, self.seed, stream="project/z")
        labels = sampler.labels(self.starts, label)
        if self.space == "w":
            z = styles.of_noise(sampler, z, labels)
        return z, None if labels is None else torch.from_numpy(labels).to(sampler.device)

    def made(self, latent: Tensor, label: Tensor | None) -> Tensor:
        """Latents -> pictures (S, C, H, W) in model values."""
        model = self.sampler.model
        if self.space == "w":
            assert isinstance(model, Generator)
            return model.pictures(latent.unsqueeze(1).expand(-1, model.count, -1), None)
        out: Tensor = model(latent, label, None, None)
        return out

    @torch.no_grad()
    def limit(self, latent: Tensor) -> None:
        """Move z back to where its law has its mass, in place."""
        noise = self.sampler.noise
        if self.space == "w":
            return
        plain = latent[:, : noise.plain]
        if noise.law == "uniform":
            plain.clamp_(-1, 1)
        else:
            most = math.sqrt(noise.plain) + 2
            plain.mul_((most / plain.norm(dim=1, keepdim=True).clamp_min(1e-12)).clamp_max(1))
        for code in noise.codes or ():
            if code.law == "uniform":
                latent[:, noise.columns()[code.name]].clamp_(-1, 1)

    def moving(self, latent: Tensor) -> Tensor:
        """1 for the numbers of a latent that may change, 0 for categorical codes; (..., Z)."""
        mask = torch.ones_like(latent[:1])
        for code in self.sampler.noise.codes or () if self.space == "z" else ():
            if code.law == "categorical":
                mask[:, self.sampler.noise.columns()[code.name]] = 0
        return mask

    def run(self, picture: Array, label: int | None) -> tuple[Tensor, Tensor | None]:
        """The best latent (1, ...) for a picture (H, W, C), and its label (1,) or None."""
        target = encode(torch.from_numpy(picture[None].copy()), self.sampler.spec)
        target = target.to(self.sampler.device)
        latent, labels = self.start(label)
        first = math.ceil(EXPLORED * self.steps)
        latent, loss = self.descend(latent, labels, target, 0, first)
        best = loss.argsort()[:SURVIVORS]
        latent, labels = latent[best], None if labels is None else labels[best]
        latent, loss = self.descend(latent, labels, target, first, self.steps)
        one = loss.argsort()[:1]
        return latent[one], None if labels is None else labels[one]

    def descend(
        self, latent: Tensor, labels: Tensor | None, target: Tensor, first: int, last: int
    ) -> tuple[Tensor, Tensor]:
        """Steps first .. last - 1 of Adam; the latents, and the loss of each at the end."""
        latent, mask = latent.clone().requires_grad_(True), self.moving(latent)
        adam = torch.optim.Adam([latent], betas=(0.9, 0.99))
        for step in range(first, last):
            adam.param_groups[0]["lr"] = RATE * (1 + math.cos(math.pi * step / self.steps)) / 2
            loss = distances(self.made(latent, labels), target)
            (gradient,) = torch.autograd.grad(loss.sum(), latent)
            latent.grad = gradient * mask
            adam.step()
            self.limit(latent)
        with torch.no_grad():
            return latent.detach(), distances(self.made(latent, labels), target)


def distances(made: Tensor, target: Tensor) -> Tensor:
    """The sum over scales of the mean squared difference: (S, C, H, W), (1, C, H, W) -> (S,)."""
    wrong = made.float() - target
    total = torch.zeros(len(made), device=made.device)
    for scale in SCALES:
        if min(wrong.shape[2:]) >= scale:
            total = total + F.avg_pool2d(wrong, scale).square().mean((1, 2, 3))
    return total


def project(
    sampler: Sampler,
    pictures: Array,
    labels: Labels = None,
    steps: int = 200,
    starts: int = 16,
    seed: int = 0,
    space: str = "",
) -> Projection:
    """See `Sampler.project`."""
    check(steps >= 1, "steps", steps, "at least 1")
    check(starts >= 1, "starts", starts, "at least 1")
    shape = sampler.spec.stored_shape
    if not sampler.spec.is_image or pictures.shape[1:] != shape or not len(pictures):
        raise UsageError(
            f"pictures of shape {pictures.shape}: {sampler.name} makes {shape}, give (N, *{shape})"
        )
    usual = "w" if isinstance(sampler.model, Generator) else "z"
    choice("space", space or usual, ("z", "w"))
    if space == "w":
        styles.generator(sampler)
    search = Search(sampler, steps, starts, seed, space or usual)
    given = None if labels is None else sampler.labels(len(pictures), labels)
    reference = reference_samples(sampler, seed, given)
    with evaluating(sampler.model), torch.enable_grad():
        labelled = [None] * len(pictures) if given is None else given.tolist()
        found = [search.run(*one) for one in zip(pictures, labelled, strict=True)]
        again = [search.run(x, label) for x, label in reference]
    latent, used = joined(found)
    made = stored(search, latent, used)
    recovered = stored(search, *joined(again))
    floor = float(errors(recovered, np.stack([x for x, _ in reference])).mean())
    numbers = latent.cpu().numpy()
    return Projection(made, numbers, used, errors(made, pictures), floor, search.space)


def reference_samples(
    sampler: Sampler, seed: int, given: Array | None
) -> list[tuple[Array, int | None]]:
    """Samples of the generator itself, searched for with their label if those of pictures are."""
    z = sampler.z(REFERENCES, seed, stream="project/floor")
    labels = sampler.labels(REFERENCES) if given is None else np.resize(given, REFERENCES)
    labelled = (
        [None] * REFERENCES
        if given is None
        else [int(label) for label in np.resize(given, REFERENCES)]
    )
    return list(zip(sampler.generate(z, labels), labelled, strict=True))


def joined(found: list[tuple[Tensor, Tensor | None]]) -> tuple[Tensor, Array | None]:
    """Latents (N, ...) and labels (N,) of searches."""
    latents, labels = zip(*found, strict=True)
    known = [label for label in labels if label is not None]
    return torch.cat(latents), torch.cat(known).cpu().numpy() if known else None


def stored(search: Search, latent: Tensor, labels: Array | None) -> Array:
    """The pictures of latents, as they are stored."""
    sampler = search.sampler
    if search.space == "w":
        return styles.pictures(sampler, latent)
    return sampler.generate(latent, labels)


def errors(made: Array, wanted: Array) -> Floats:
    """The root mean square of the differences of pictures, in levels; (N, ...) -> (N,)."""
    wrong = made.astype(np.float64) - wanted.astype(np.float64)
    out: Floats = np.sqrt(np.square(wrong).mean(tuple(range(1, wrong.ndim))))
    return out
