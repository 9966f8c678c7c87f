"""Differentiable augmentation: colour, translation and cutout. Zhao et al. 2020."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ganforge.augment.base import Augmentation
from ganforge.errors import check, choice
from ganforge.nets.base import Inputs, RandomInput

BORDERS = ("edge", "zero", "reflect")


@dataclass(frozen=True)
class DiffAugment(Augmentation):
    """Colour, then translation, then cutout of every picture (B, C, H, W) in [-1, 1].

        colour       x + c U(-1/2, 1/2); (x - m) U(1 - c, 1 + c) + m with m the mean over the
                     channels (saturation), and with m the mean of the picture and c/2 (contrast)
        translation  by whole pixels, U{-s..s} in each direction, s = round(translation * side)
        cutout       a square of 0 with sides cutout * side, its centre anywhere

    Args:
        colour: strength c in [0, 1]; the published one is 1, 0 is none.
        translation: fraction of the side in [0, 1/2]; the published one is 1/8.
        cutout: fraction of the side in [0, 1); the published one is 1/2.
        border: what a translation uncovers: the border's values ("edge"), 0 as published ("zero"),
            or the mirrored picture ("reflect").
    """

    kind: ClassVar[str] = "diffaugment"
    colour: float = 0.0
    translation: float = 0.125
    cutout: float = 0.0
    border: str = "edge"

    def __post_init__(self) -> None:
        check(0 <= self.colour <= 1, "colour", self.colour, "a strength in [0, 1]")
        check(0 <= self.translation <= 0.5, "translation", self.translation, "in [0, 0.5]")
        check(0 <= self.cutout < 1, "cutout", self.cutout, "a fraction in [0, 1)")
        choice("border", self.border, BORDERS)

    def random_inputs(self) -> dict[str, RandomInput]:
        """Uniform numbers in [0, 1): 3 for the colour, 2 for each of the other two."""
        wanted = {"colour": (self.colour, 3), "shift": (self.translation, 2)}
        wanted["cutout"] = (self.cutout, 2)
        return {name: RandomInput("unit", (n,)) for name, (on, n) in wanted.items() if on}

    def __call__(self, x: Tensor, numbers: Inputs) -> Tensor:
        if self.colour:
            x = coloured(x, numbers["colour"], self.colour)
        if self.translation:
            x = translated(x, numbers["shift"], self.translation, self.border)
        if self.cutout:
            x = x * holes(x, numbers["cutout"], self.cutout)
        return x


def coloured(x: Tensor, u: Tensor, strength: float) -> Tensor:
    """Brightness, saturation, contrast: x (B, C, H, W), u (B, 3) in [0, 1)."""
    brightness, saturation, contrast = (strength * (u - 0.5)).view(*u.shape, 1, 1, 1).unbind(1)
    x = x + brightness
    grey = x.mean(1, keepdim=True)
    x = grey + (x - grey) * (1 + 2 * saturation)
    mean = x.mean((1, 2, 3), keepdim=True)
    return mean + (x - mean) * (1 + contrast)


def translated(x: Tensor, u: Tensor, fraction: float, border: str) -> Tensor:
    """Each picture moved by whole pixels: x (B, C, H, W), u (B, 2) in [0, 1)."""
    rows, columns = x.shape[2:]
    down = moves(u[:, 0], rows, fraction, border).to(x.dtype)
    right = moves(u[:, 1], columns, fraction, border).to(x.dtype)
    # products with matrices of 0 and 1: exact, and their derivatives are as fast as they are
    return down.unsqueeze(1) @ x @ right.unsqueeze(1).transpose(2, 3)


def moves(u: Tensor, side: int, fraction: float, border: str) -> Tensor:
    """(B, side, side): row i of each matrix picks the pixel that comes to i."""
    most = round(fraction * side)
    shift = torch.floor(u * (2 * most + 1)).long() - most
    source = torch.arange(side, device=u.device) - shift.unsqueeze(1)
    last = side - 1
    if border == "edge":
        source = source.clamp(0, last)
    elif border == "reflect":
        source = last - (last - source.abs()).abs()
    return source.unsqueeze(2) == torch.arange(side, device=u.device)


def holes(x: Tensor, u: Tensor, fraction: float) -> Tensor:
    """(B, 1, H, W): 0 in a square, 1 elsewhere; u (B, 2) in [0, 1) places its centre."""
    inside = []
    for axis in (2, 3):
        side = x.shape[axis]
        size = math.floor(fraction * side + 0.5)
        first = torch.floor(u[:, axis - 2] * (side + 1 - size % 2)).long() - size // 2
        place = torch.arange(side, device=x.device) - first.unsqueeze(1)
        inside.append((place >= 0) & (place < size))
    square = inside[0].unsqueeze(2) & inside[1].unsqueeze(1)
    return (~square).unsqueeze(1).to(x.dtype)
