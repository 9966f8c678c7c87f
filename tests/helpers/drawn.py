"""Log records made by hand, and looking at what was drawn."""

import io
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from ganforge.plotting import plots
from ganforge.types import Array


def record(step: int, **values: Any) -> dict[str, Any]:
    """A log record; an epoch has 100 steps."""
    means = {"loss_d": 1.2, "loss_g": 0.8, "d_real": 0.6, "d_fake": 0.4,
             "logit_real": 0.5, "logit_fake": -0.5}  # fmt: skip
    return {"step": step, "samples_seen": step * 8, "epoch": step / 100, **means, **values}


def opened(data: bytes) -> Image.Image:
    """A picture file's bytes, decoded."""
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def pixels(data: bytes | Figure) -> Array:
    """Every pixel as one number, 0xRRGGBB, (H, W) int64."""
    image = opened(data if isinstance(data, bytes) else plots.png(data))
    rgb = np.asarray(image.convert("RGB"), dtype=np.int64)
    return np.asarray((rgb[..., 0] << 16) + (rgb[..., 1] << 8) + rgb[..., 2])


def line(figure: Figure, panel: int, label: str) -> Any:
    """The line of that name in one of the panels."""
    return next(x for x in figure.axes[panel].lines if x.get_label() == label)
