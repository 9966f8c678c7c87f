"""Measures of translated pictures beside their targets, with floors, on arrays.

Measures of pairs compare each output with its target. Their floor is the best of what needs no
training: the source itself (copy), the mean training target (mean), the target of the nearest
training source (nearest). Measures of the whole set have real examples as their floor.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ganforge.evaluation.distances import closest
from ganforge.evaluation.inputs import subset
from ganforge.evaluation.score import Floor, Measured, Metric
from ganforge.rng import Stream
from ganforge.types import Array, Doubles, Ints, Pixels

BINS = 8  # of each colour channel
WHITE = 250  # pixels with all channels from here up are ground, not colour
WINDOW, SIGMA = 11, 1.5  # of SSIM
COLOURS = Metric("", "lower", 0.05, 0.3, "Colours unlike those of the targets")
ABOVE, BELOW = "above the floor", "below the floor"

Better = Literal["lower", "higher"]


@dataclass(frozen=True)
class PairCase:
    """One direction of a translator on held-out pictures.

    Args:
        source, output: uint8 (N, H, W, C), in the size of the targets.
        target: uint8 (N, H, W, C'); row i belongs to row i of source, if `paired`.
        train_source, train_target: training pictures in the same sizes; pairs if `train_paired`.
        paired, train_paired: whether rows belong together.
        again: uint8, the output translated back; None of a model with one direction.
        others: translations of the sources with other seeds, or ().
        seed: of the resamples.
    """

    source: Pixels
    output: Pixels
    target: Pixels
    train_source: Pixels
    train_target: Pixels
    paired: bool
    train_paired: bool
    again: Pixels | None = None
    others: tuple[Pixels, ...] = ()
    seed: int = 0

    @cached_property
    def baselines(self) -> dict[str, Pixels]:
        """What needs no training, by name: pictures (N, H, W, C') in the place of the outputs."""
        count, channels = len(self.target), self.target.shape[-1]
        found = {
            "copy": with_channels(self.source, channels),
            "mean": mean_picture(self.train_target, count),
        }
        if self.train_paired:
            found["nearest"] = self.train_target[nearest(self.source, self.train_source)]
        return found


# --- measures of each pair: (pictures, targets) -> one value a picture ----------------------------


def l1(x: Pixels, target: Pixels) -> Doubles:
    """The mean absolute difference in model values ([-1, 1]), (N,)."""
    gap = np.abs(x.astype(np.float32) - target.astype(np.float32))
    return np.asarray(gap.reshape(len(x), -1).mean(1, dtype=np.float64) / 127.5)


def psnr(x: Pixels, target: Pixels) -> Doubles:
    """10 log10(255^2 / mean squared difference), dB, (N,); rounding alone gives 59 dB, the most."""
    gap = np.square(x.astype(np.float32) - target.astype(np.float32))
    error = np.maximum(gap.reshape(len(x), -1).mean(1, dtype=np.float64), 1 / 12)
    return np.asarray(10 * np.log10(255**2 / error))


def ssim(x: Pixels, target: Pixels) -> Doubles:
    """Structural similarity, (N,), in a Gaussian window of 11 pixels. Wang et al. 2004."""
    size = min(WINDOW, x.shape[1] - 1 + x.shape[1] % 2, x.shape[2] - 1 + x.shape[2] % 2)
    line = torch.exp(-torch.arange(-(size // 2), size // 2 + 1).square() / (2 * SIGMA**2))
    line = line / line.sum()

    def blurred(values: Tensor) -> Tensor:
        flat = values.flatten(0, 1)[:, None]
        flat = functional.conv2d(flat, line.view(1, 1, -1, 1))
        return functional.conv2d(flat, line.view(1, 1, 1, -1)).view(*values.shape[:2], -1)

    out = []
    for i in range(0, len(x), 64):
        a, b = (
            torch.from_numpy(np.array(v[i : i + 64])).permute(0, 3, 1, 2).float()
            for v in (x, target)
        )
        mean_a, mean_b = blurred(a), blurred(b)
        var_a, var_b = blurred(a * a) - mean_a**2, blurred(b * b) - mean_b**2
        covariance = blurred(a * b) - mean_a * mean_b
        c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
        similar = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
        out.append((similar / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))).mean((1, 2)))
    return np.asarray(torch.cat(out).double().numpy())


def retrieval(x: Pixels, target: Pixels) -> Doubles:
    """1 for a picture that is nearer to its target than to all others, (N,); chance gives 1/N."""
    return np.asarray(nearest(x, target) == np.arange(len(x)), dtype=np.float64)


def nearest(x: Pixels, y: Pixels) -> Ints:
    """The number of the picture of y (M) that is nearest to each one of x (N), (N,)."""
    a, b = (torch.from_numpy(np.array(v)).flatten(1).double() for v in (x, y))
    return np.asarray(closest(a, b)[0].numpy())


OF_PAIRS: dict[str, tuple[Callable[[Pixels, Pixels], Doubles], Better]] = {
    "l1": (l1, "lower"),
    "ssim": (ssim, "higher"),
    "psnr": (psnr, "higher"),
    "retrieval": (retrieval, "higher"),
}


def of_pairs(case: PairCase, name: str) -> Measured:
    """A measure of the outputs, beside the best of what needs no training.

    The spread is the standard error of the difference to that floor, picture by picture.
    """
    function, better = OF_PAIRS[name]
    sign = 1.0 if better == "higher" else -1.0
    values = function(case.output, case.target)
    floors = {key: function(x, case.target) for key, x in case.baselines.items()}
    best = max(floors, key=lambda key: sign * float(floors[key].mean()))
    spread = standard_error(values - floors[best])
    note = ", ".join(f"{key} {found.mean():.4g}" for key, found in floors.items())
    floor = Floor(float(floors[best].mean()))
    return Measured(float(values.mean()), floor, spread, f"floors: {note}")


def against_floor(better: Better, found: Measured) -> str:
    """Above or below the floor; "unknown" within three spreads of it."""
    gap = found.value - found.floor.value
    gap = gap if better == "higher" else -gap
    if not math.isfinite(gap) or abs(gap) <= 3 * found.spread:
        return "unknown"
    return ABOVE if gap > 0 else BELOW


# --- measures of the whole set ------------------------------------------------------------------


def colours(pictures: Pixels) -> Doubles:
    """The share of each of 8^3 colours (8 greys) among pixels that are not white, (N, K)."""
    channels = pictures.shape[-1]
    cell = (pictures // (256 // BINS)).astype(np.int64) @ BINS ** np.arange(channels)
    ground: Array = np.asarray((pictures >= WHITE).all(-1))
    most = BINS**channels
    counts = [
        np.bincount(numbers[~white], minlength=most)
        for numbers, white in zip(cell, ground, strict=True)
    ]
    return np.stack(counts).astype(np.float64)


def unlike(a: Doubles, b: Doubles) -> float:
    """1 - the intersection of two sets' histograms of colours."""
    x, y = (h.sum(0) / max(1.0, float(h.sum())) for h in (a, b))
    return 1 - float(np.minimum(x, y).sum())


def of_colours(case: PairCase) -> Measured:
    """How far the outputs' colours are from the targets'. Isola et al. 2017, figure 6."""
    target, output = colours(case.target), colours(case.output)
    pick = subset(len(case.train_target), min(len(target), len(case.train_target)), 0, "colours")
    real = unlike(colours(case.train_target[pick]), target)
    copy = unlike(colours(case.baselines["copy"]), target)
    rows = Stream(case.seed, "colours").integers(0, 20 * len(output), len(output))
    spread = np.std([unlike(output[r], target) for r in rows.reshape(20, -1)])
    value = unlike(output, target)
    return Measured(value, Floor(real), float(spread), f"copy {copy:.4g}", control=copy)


def of_diversity(case: PairCase) -> Measured:
    """The mean absolute difference of translations of one source with other seeds."""
    made = [case.output, *case.others]
    gaps = [l1(a, b) for i, a in enumerate(made) for b in made[i + 1 :]]
    values = np.mean(gaps, 0)
    spread = standard_error(values)
    return Measured(float(values.mean()), Floor(0.0), spread, f"{len(made)} seeds")


def of_cycle(case: PairCase) -> Measured:
    """The mean absolute difference of a picture and its translation there and back."""
    assert case.again is not None
    values = l1(case.again, case.source)
    floor = l1(mean_picture(case.train_source, len(case.source)), case.source)
    spread = standard_error(values - floor)
    mean_floor = Floor(float(floor.mean()))
    return Measured(float(values.mean()), mean_floor, spread, "floor: the mean picture")


def measures(
    case: PairCase, random: bool
) -> dict[str, tuple[Literal["lower", "higher", "floor"], Measured]]:
    """Which way is good, and what was measured, by name."""
    found: dict[str, tuple[Literal["lower", "higher", "floor"], Measured]] = {}
    if case.paired:
        found |= {name: (better, of_pairs(case, name)) for name, (_, better) in OF_PAIRS.items()}
    found["colours"] = ("lower", of_colours(case))
    if random:
        found["diversity"] = ("floor", of_diversity(case))
    if case.again is not None:
        found["cycle"] = ("lower", of_cycle(case))
    return found


def standard_error(values: Doubles) -> float:
    """Of the mean of independent values (N,)."""
    return float(values.std(ddof=1)) / math.sqrt(len(values))


def mean_picture(pictures: Pixels, count: int) -> Pixels:
    """The mean of pictures, rounded, in the place of `count` pictures."""
    mean = pictures.mean(0, dtype=np.float64).round().astype(np.uint8)
    return np.broadcast_to(mean, (count, *mean.shape))


def with_channels(pictures: Pixels, channels: int) -> Pixels:
    """Grey pictures in so many channels, or the mean of colours as grey."""
    if pictures.shape[-1] == channels:
        return pictures
    grey = pictures.mean(-1, keepdims=True).round().astype(np.uint8)
    return np.repeat(grey, channels, -1)
