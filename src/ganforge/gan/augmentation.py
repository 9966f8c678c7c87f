"""The augmentations of a game: their strengths come in with the random inputs, and move in aux."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ganforge.augment.base import Augmentation
from ganforge.gan.batch import Aux, Log, RandomInputs


def initial(augmentations: Sequence[Augmentation]) -> Aux:
    """The first state of every controller, by name: augment.<place>.<name>."""
    return {
        f"augment.{place}.{name}": value
        for place, augmentation in enumerate(augmentations)
        for name, value in augmentation.initial().items()
    }


def with_strengths(
    augmentations: Sequence[Augmentation], inputs: RandomInputs, aux: Mapping[str, Tensor]
) -> RandomInputs:
    """The random inputs of a turn with the strength of each augmentation in every pass of D."""
    strengths = {
        f"augment.{place}.strength": aux[f"augment.{place}.p"]
        for place, augmentation in enumerate(augmentations)
        if augmentation.controlled
    }
    if not strengths:
        return inputs
    networks = {
        name: dict(numbers) | {n: s.expand(len(inputs.z)) for n, s in strengths.items()}
        if any(key.startswith("augment.") for key in numbers)
        else numbers
        for name, numbers in inputs.networks.items()
    }
    return replace(inputs, networks=networks)


@torch.no_grad()
def adjust(
    augmentations: Sequence[Augmentation], aux: Aux, log: Log, step: int, images: int
) -> Log:
    """Move every controller after the step's last turn of D, in place; what there is to report.

    Args:
        log: of that turn, means over all processes.
        step: number of steps before this one.
        images: real examples in one step.
    """
    found: Log = {}
    for place, augmentation in enumerate(augmentations):
        if augmentation.controlled:
            names = {name: aux[f"augment.{place}.{name}"] for name in augmentation.initial()}
            for name, value in augmentation.adjusted(names, log, step, images).items():
                names[name].copy_(value)
            found["augment_p"] = names["p"].clone()
    return found
