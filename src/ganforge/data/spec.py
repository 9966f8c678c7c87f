"""Stored values <-> model values: the only place that converts them.

Pictures are stored as uint8 (N, H, W, C) and seen by the networks as float32 (N, C, H, W) in
[-1, 1]. Vectors are stored as float32 (N, F) in data units and seen as (x - offset) / scale.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganforge.errors import DataError
from ganforge.types import Array, Pixels


@dataclass(frozen=True)
class DataSpec:
    """What one example looks like: all that a network may know of the data.

    shape: (C, H, W) for pictures, (F,) for vectors.
    classes: number of labels K, labels being 0..K-1; 0 without labels.
    dtype: of the stored values, "uint8" or "float32".
    bounded: model values lie in [-1, 1] (so a generator may end in tanh).
    offset, scale: model value = (stored value - offset) / scale; one number, or F of them.
    source: what one source of a translating game looks like; None if nothing is translated.
    """

    shape: tuple[int, ...]
    classes: int = 0
    dtype: str = "uint8"
    bounded: bool = True
    offset: tuple[float, ...] = (127.5,)
    scale: tuple[float, ...] = (127.5,)
    source: DataSpec | None = None

    def __post_init__(self) -> None:
        if len(self.shape) not in (1, 3) or min(self.shape) < 1:
            raise DataError(
                f"an example of shape {self.shape} is neither (F,) nor (C, H, W): "
                "give vectors as (N, F) and pictures as (N, H, W, C)"
            )
        if self.dtype not in ("uint8", "float32"):
            raise DataError(f"dtype {self.dtype!r}: stored values are uint8 or float32")
        if not all(0 < s < math.inf for s in self.scale):
            raise DataError(f"scale {self.scale}: must be positive and finite")
        if {len(self.offset), len(self.scale)} - {1, *(() if self.is_image else self.shape)}:
            raise DataError("offset and scale must be one number, or one for each feature")

    @property
    def unit(self) -> str:
        """What examples are, in a count of them."""
        return "pictures" if self.is_image else "examples"

    @property
    def is_image(self) -> bool:
        return len(self.shape) == 3

    @property
    def size(self) -> int:
        """Numbers in one example, C * H * W or F."""
        return math.prod(self.shape)

    @property
    def stored_shape(self) -> tuple[int, ...]:
        """(H, W, C) for pictures, (F,) for vectors."""
        return (*self.shape[1:], self.shape[0]) if self.is_image else self.shape


def spec_table(spec: DataSpec) -> dict[str, Any]:
    """`spec` as a table for files; a source stands in it only if there is one."""
    table = asdict(spec)
    return table if spec.source is not None else {k: v for k, v in table.items() if k != "source"}


def encode(stored: Tensor, spec: DataSpec) -> Tensor:
    """Stored (N, H, W, C) or (N, F) -> float32 model values (N, C, H, W) or (N, F).

    Pictures come out as a permuted view, so they are channels_last without a copy.
    """
    offset, scale = _affine(spec, stored.device)
    x = stored.to(torch.float32).sub_(offset) if stored.dtype == torch.uint8 else stored - offset
    x = x.div_(scale) if isinstance(scale, Tensor) or scale != 1 else x
    return x.permute(0, 3, 1, 2) if spec.is_image else x


def decode(x: Tensor, spec: DataSpec) -> Tensor:
    """Model values (N, C, H, W) or (N, F) -> stored values; the inverse of `encode`.

    uint8 pictures are clamped and rounded to the nearest level: the same round trip for real and
    generated ones, or a test would find the dequantisation instead of the fake.
    """
    offset, scale = _affine(spec, x.device)
    if spec.is_image:
        x = x.permute(0, 2, 3, 1)
    x = x.float() * scale + offset
    if spec.dtype == "uint8":
        x = x.round().clamp(0, 255).to(torch.uint8)
    return x.contiguous()


def _affine(spec: DataSpec, device: torch.device) -> tuple[Tensor | float, Tensor | float]:
    if len(spec.offset) == len(spec.scale) == 1:
        return spec.offset[0], spec.scale[0]
    offset, scale = (torch.tensor(numbers, device=device) for numbers in (spec.offset, spec.scale))
    return offset, scale


def as_uint8(images: Array, spec: DataSpec) -> Pixels:
    """Stored pictures as uint8: float ones are scaled from their range to 0..255."""
    if spec.dtype == "uint8":
        return images
    scaled = (images - spec.offset[0]) / spec.scale[0] * 127.5 + 127.5
    return np.asarray(scaled.round().clip(0, 255), dtype=np.uint8)
