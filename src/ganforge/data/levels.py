"""Whole numbers as the levels 0 to 255 of pictures."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ganforge.types import Array, Pixels

DARK = 64  # sets whose brightest pixel is below it are nearly black


def to_bytes(values: Array, white: int) -> Pixels:
    """Whole numbers scaled so that 0 stays and `white` and more become 255, rounded."""
    levels: npt.NDArray[np.uint64] = np.minimum(values, white).astype(np.uint64)
    return ((levels * 255 + white // 2) // white).astype(np.uint8)


def spread(values: Pixels, top: int) -> tuple[Pixels, tuple[str, ...]]:
    """Pictures of 0 and 1 as 0 and 255, others as they are; and what a user should know.

    top: the largest of the values.
    """
    if top == 1:
        out = values if values.flags.writeable else values.copy()
        out *= 255
        return out, ("the values 0 and 1 are shown as 0 and 255",)
    if 1 < top < DARK:
        return values, (
            f"the brightest pixel is {top} of 255, so the pictures are nearly black: say which "
            f"number is white, as @white={top} behind the name of the data",
        )
    return values, ()
