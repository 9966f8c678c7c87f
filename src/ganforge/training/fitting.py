"""The recipe for data: what `ganforge train PICTURES/` trains, and why.

    chosen = fit("photos/")
    print(*chosen.reasons, sep="\\n")

Pictures of 28 x 28 pixels keep `cdcgan`, which was made for them; all others get `pictures`, with
size, budget and augmentation by what the data are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from ganforge.augment.diffaugment import DiffAugment
from ganforge.config.schema import Config
from ganforge.data.survey import Survey, survey
from ganforge.errors import UsageError
from ganforge.nets.dcgan import LARGEST, SMALLEST
from ganforge.recipes import RECIPES
from ganforge.text import command_line

TRANSLATORS = ("pix2pix", "cyclegan")
CLASSIC = (28, 28)  # the size for which `cdcgan` was chosen
LARGEST_ON_CPU = 128
PASSES = 60  # over the pictures, if the least and the largest budget allow it
LEAST_KIMG, MOST_KIMG = 200, 600
PLENTY = 50_000  # pictures from which augmentation is off
FEW = 5_000  # pictures up to which colours are changed too


@dataclass(frozen=True)
class Fit:
    """A config for data, and a line for each choice."""

    config: Config
    reasons: tuple[str, ...]


def fit(data: str, *, size: int | None = None, device: str = "auto") -> Fit:
    """The recipe for data, with its settings.

    Args:
        data: a name or path.
        size: of the user, in pixels; None chooses.
        device: as in a config.

    Raises:
        UsageError: vectors, or translated pictures, of which the user names the recipe.
        UsageError, DataError, DiskError: the data cannot be read.
    """
    found = survey(data)
    if found.translated:
        train = [command_line(["ganforge", "train", r, "--data", data]) for r in TRANSLATORS]
        raise UsageError(
            f"data {data!r} are translated pictures: `{train[0]}` for pairs, `{train[1]}` for two "
            "domains without pairs"
        )
    if not found.pictures:
        raise UsageError(
            f"data {data!r} are vectors, and their recipe depends on what they are: name one, "
            f"such as {command_line(['ganforge', 'train', 'gaussian-stable', '--data', data])}"
        )
    shown = f"{found.examples:,} {'grey' if found.channels == 1 else 'colour'} pictures"
    labels = f"{found.classes} classes" if found.classes else "no labels"
    lines = [f"data     {data}: {shown} of {sizes(found)}, {labels}"]
    side, why = fitting_size(found, size, device)
    if side is None and found.size == CLASSIC:
        config = RECIPES["cdcgan"]()
        lines.append("recipe   cdcgan, made for pictures of 28 x 28")
    else:
        config = for_pictures(found)
        lines.append("recipe   pictures, made for folders of pictures")
        lines.append(f"size     {why}")
        lines += reasons(config, found)
    config = replace(config, data=data, size=side, labels=found.classes > 0)
    return Fit(config, tuple(lines))


def sizes(found: Survey) -> str:
    """In words: 64 x 64, or the most common one of several."""
    height, width = found.size
    if len(found.sizes) == 1:
        return f"{height} x {width}"
    return f"{len(found.sizes):,} sizes, {height} x {width} the most common"


def fitting_size(found: Survey, size: int | None, device: str) -> tuple[int | None, str]:
    """(the side to resize to, None for pictures as they are; why)."""
    if size is not None:
        return size, f"{size} x {size}, as asked for"
    height, width = found.size
    on_cpu = device == "cpu" or (device == "auto" and not torch.cuda.is_available())
    largest = LARGEST_ON_CPU if on_cpu else LARGEST
    if len(found.sizes) == 1 and SMALLEST <= min(height, width) <= max(height, width) <= largest:
        return None, f"{height} x {width}, as they are"
    side = 1 << (min(height, width) - 1).bit_length()
    side = min(max(side, SMALLEST), largest)
    limit = ", the largest on a CPU" if side == largest and on_cpu else ""
    return side, f"{side} x {side}{limit}: the central square of each picture is resized"


def for_pictures(found: Survey) -> Config:
    """`pictures` with budget and augmentation for so many pictures."""
    config = RECIPES["pictures"]()
    kimg = min(max(PASSES * found.examples / 1000, LEAST_KIMG), MOST_KIMG)
    augment = () if found.examples >= PLENTY else config.game.augment
    if found.examples < FEW and found.channels == 3:
        augment = tuple(
            replace(each, colour=1.0) if isinstance(each, DiffAugment) else each for each in augment
        )
    return replace(config, kimg=round(kimg), game=replace(config.game, augment=augment))


def reasons(config: Config, found: Survey) -> list[str]:
    """A line for the augmentation and the budget."""
    kimg = config.kimg or 0.0
    passes = 1000 * kimg / found.examples
    used = "every picture that D sees is changed: there are few" if config.game.augment else "none"
    return [
        f"augment  {used}" + ("" if config.game.augment else f", {PLENTY:,} pictures are plenty"),
        f"budget   {kimg:,.0f} thousand pictures, {passes:,.0f} passes",
    ]
