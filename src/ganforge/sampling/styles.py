"""Samples by their styles w, of style-based generators: walks in w, and mixed styles.

    w = mapping(z),   w' = w_mean + t (w - w_mean),   picture = synthesis(w' of each layer)

Karras et al. 2019, 2020.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ganforge.errors import UsageError, check
from ganforge.nets.base import evaluating
from ganforge.nets.stylegan import Generator
from ganforge.sampling import paths
from ganforge.types import Array

if TYPE_CHECKING:
    from ganforge.sampling.sampler import Sampler


def generator(sampler: Sampler) -> Generator:
    """The style-based generator of a sampler; UsageError if it is another."""
    if not isinstance(sampler.model, Generator):
        raise UsageError(f"{sampler.name} has no styles w: train stylegan2, or stay in z")
    return sampler.model


def of_noise(sampler: Sampler, z: Tensor, labels: Array | None) -> Tensor:
    """z (N, Z), labels (N,) or None -> w (N, W)."""
    model = generator(sampler)
    label = None if labels is None else torch.from_numpy(labels).to(sampler.device)
    with evaluating(model):
        w: Tensor = model.mapping(z, label)
    return w


def pictures(sampler: Sampler, w: Tensor, truncation: float = 1.0) -> Array:
    """Styles w (N, W), or of each layer (N, layers, W), -> samples as they are stored."""
    model = generator(sampler)
    if w.dim() == 2:
        w = w.unsqueeze(1).expand(-1, model.count, -1)

    def made(w: Tensor) -> Tensor:
        return model.pictures(model.truncated(w, truncation) if truncation != 1 else w, None)

    return sampler.batched([w], made)


def moved(
    sampler: Sampler, z: Tensor, label: Tensor | None, shift: Tensor, truncation: float
) -> Tensor:
    """z (B, Z), label (B,) -> model values (B, ...), with a shift (W,) of all styles."""
    model = generator(sampler)
    ws = (model.mapping(z, label) + shift).unsqueeze(1).expand(-1, model.count, -1)
    return model.pictures(model.truncated(ws, truncation), None)


def walk(
    sampler: Sampler, ends: Tensor, labels: Array | None, t: Tensor, loop: bool, truncation: float
) -> Array:
    """Samples on lines in w, between the styles of noises `ends` (2 R, Z), at times t (S,).

        w(s) = (1 - s) w(a) + s w(b),   of a loop s = (1 - cos(2 pi t)) / 2

    labels: (R,) of the paths, or None.
    """
    a, b = (of_noise(sampler, z, labels).unsqueeze(1) for z in ends.chunk(2))
    s = (paths.there_and_back(t) if loop else t).unsqueeze(1)
    return pictures(sampler, ((1 - s) * a + s * b).flatten(0, 1), truncation)


def mix(
    sampler: Sampler, coarse: Tensor, fine: Tensor, cut: int | None, truncation: float
) -> Array:
    """Each style of `coarse` (R, W) up to a layer, with each of `fine` (C, W) from there on.

    Args:
        cut: the first layer with the style of `fine`; None for the middle.

    Returns:
        R C samples, row by row.
    """
    model = generator(sampler)
    cut = model.count // 2 if cut is None else cut
    check(0 < cut < model.count, "cut", cut, f"a layer, 1 to {model.count - 1}")
    rows, columns = len(coarse), len(fine)
    first = coarse.repeat_interleave(columns, 0).unsqueeze(1).expand(-1, cut, -1)
    second = fine.repeat(rows, 1).unsqueeze(1).expand(-1, model.count - cut, -1)
    return pictures(sampler, torch.cat([first, second], 1), truncation)
