"""Whole numbers as the levels 0 to 255 of pictures, and what to say of unusual ranges."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ganforge.types import Array, Pixels

DARK = 64  # pictures whose brightest pixel is below it are nearly black
SHARE = 0.5  # of the pictures, from which dark ones are not an exception
CHUNK = 1024  # pictures that are looked at together
SEEN = 2**20  # numbers by which the range of float pictures is looked at
TAIL, NARROW = 0.001, 4  # a range is wide if that without the tails is so many times narrower


def to_bytes(values: Array, white: int) -> Pixels:
    """Whole numbers scaled so that 0 stays and `white` and more become 255, rounded."""
    levels: npt.NDArray[np.uint64] = np.minimum(values, white).astype(np.uint64)
    return ((levels * 255 + white // 2) // white).astype(np.uint8)


def by_picture(values: Array, of: Callable[..., Any]) -> Array:
    """np.min or np.max of each picture, (N,)."""
    parts = (values[i : i + CHUNK] for i in range(0, len(values), CHUNK))
    return np.concatenate([of(part.reshape(len(part), -1), axis=1) for part in parts])


def dark(brightest: Array) -> int:
    """The brightest pixel of the dark pictures, if they are the greater part; 0 if they are not."""
    found = brightest[brightest < DARK]
    return int(found.max()) if len(found) > SHARE * len(brightest) else 0


def spread(values: Pixels) -> tuple[Pixels, tuple[str, ...]]:
    """Pictures of 0 and 1 as 0 and 255, others as they are; and what a user should know."""
    brightest = by_picture(values, np.max)
    if brightest.max() == 1:
        out = values if values.flags.writeable else values.copy()
        out *= 255
        return out, ("the values 0 and 1 are shown as 0 and 255",)
    if top := dark(brightest):
        few = int((brightest < DARK).sum())
        some = f" of {few} of the {len(values)} pictures" if few < len(values) else ""
        return values, (
            f"the brightest pixel{some} is {top} of 255, so the pictures are nearly black: say "
            f"which number is white, as @white={top} behind the name of the data",
        )
    return values, flat(values, brightest)


def flat(values: Array, brightest: Array) -> tuple[str, ...]:
    """A note on pictures of one number only, and on floats that use little of their range.

    Args:
        values: pictures (N, ...), bytes or floats, which `check_stored` asks to be finite.
        brightest: the largest number of each, (N,).
    """
    low, high = float(by_picture(values, np.min).min()), float(brightest.max())
    if low == high:
        return (f"every pixel is {low:g}",)
    if values.dtype.kind != "f":
        return ()
    rows = np.linspace(0, len(values) - 1, max(1, min(len(values), SEEN // values[0].size)))
    most = np.quantile(values[rows.astype(int)], (TAIL, 1 - TAIL))
    if not 0 < NARROW * (most[1] - most[0]) < high - low:
        return ()
    lie, clip = (f"{most[0]:.4g}{mark}{most[1]:.4g}" for mark in (" to ", ", "))
    return (
        f"nearly all numbers lie in {lie}, of a range from {low:.4g} to {high:.4g}, so the "
        f"pictures have little contrast: np.clip(a, {clip}) mends them",
    )
