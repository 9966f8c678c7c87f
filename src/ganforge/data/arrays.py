"""Arrays from .npy and .npz files, and the rules that say what an array means."""

from __future__ import annotations

from ganforge.codec import Array
from ganforge.errors import DataError

CHANNELS = (1, 2, 3, 4)


def pictures(values: Array, where: str) -> Array:
    """Pictures (N, H, W), (N, H, W, C) or (N, C, H, W) as (N, H, W, C).

    Four axes: the last holds the channels if its length is 1 to 4, else the second if its length
    is. Anything else is a DataError.
    """
    if values.ndim == 3:
        return values[..., None]
    if values.ndim == 4 and values.shape[-1] in CHANNELS:
        return values
    if values.ndim == 4 and values.shape[1] in CHANNELS:
        return values.transpose(0, 2, 3, 1)
    raise DataError(
        f"{where}: shape {values.shape}: give pictures as (N, H, W, C) with 1 to 4 channels last, "
        "or vectors as (N, F)"
    )
