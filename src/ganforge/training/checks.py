"""May this config be played on these data? Asked once, before anything is written, by every door.

Three questions, as soon as each can be answered: of the config alone, of the config on the data,
and of the networks that are built for both. Each raises UsageError or DataError with the remedy.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from ganforge.config.schema import Config
from ganforge.data.load import Dataset
from ganforge.data.spec import DataSpec
from ganforge.errors import DataError, UsageError
from ganforge.gan.penalties import GradientPenalty
from ganforge.gan.state import State
from ganforge.nets.dcgan import DCGAN
from ganforge.nets.layers import Projection
from ganforge.training import build
from ganforge.training.distributed import ALONE, World


def require_playable(
    config: Config,
    spec: DataSpec,
    data: Dataset | None = None,
    device: torch.device | str = "cpu",
    precision: str = "fp32",
    world: World = ALONE,
) -> State:
    """The state before the first step, if the config may be played on the data.

    Args:
        spec: of the data.
        data: the examples; None if only their spec is known.
        device, precision, world: where the game is played.

    Raises:
        UsageError, DataError: the config may not be played on the data.
    """
    require_playable_config(config)
    require_playable_data(config, spec, data)
    begun = build.initial(config, spec, device, precision, data=data)
    require_logit_for_each_label(config, begun)
    require_enough_for_batch_norm(config, begun, world)
    return begun


def require_playable_config(config: Config) -> None:
    """What the config alone can say, before data are loaded and resized for it."""
    if config.size is not None and isinstance(config.networks, DCGAN):
        config.networks.refuse_size(config.size, config.size)
    require_one_label_in_mixes(config)


def require_playable_data(config: Config, spec: DataSpec, data: Dataset | None) -> None:
    """What the data can say, before networks are built for them."""
    players_spec(config, spec)
    if config.labels and data is not None and data.labels is not None:
        require_examples_of_all_labels(config, data)


def players_spec(config: Config, spec: DataSpec) -> DataSpec:
    """`spec` as the players see it: without classes in an unconditional game."""
    if config.labels and not spec.classes:
        raise UsageError(
            f"{config.name} is a conditional game and needs labels, the data {config.data!r} have "
            "none: give labelled data (subfolders or a labels.csv), or --labels false"
        )
    return spec if config.labels else replace(spec, classes=0)


def require_examples_of_all_labels(config: Config, data: Dataset) -> None:
    """DataError if a conditional game would train a label that has no examples."""
    assert data.labels is not None
    counts = np.bincount(data.labels, minlength=data.spec.classes)
    empty = np.flatnonzero(counts == 0)
    if len(empty):
        shown = ", ".join(map(str, empty[:8])) + (", ..." if len(empty) > 8 else "")
        raise DataError(
            f"{config.data}: no training example has the label {shown}, of 0 to "
            f"{data.spec.classes - 1}: number the labels 0..K-1 without gaps, or add examples"
        )


def require_one_label_in_mixes(config: Config) -> None:
    """UsageError if a gradient penalty would mix examples of two labels."""
    mixing = any(isinstance(penalty, GradientPenalty) for penalty in config.game.penalties)
    if config.labels and mixing and config.game.fake_labels != "data":
        raise UsageError(
            f'fake_labels = "{config.game.fake_labels}": the gradient penalty mixes each real '
            "example with a fake of another label, and D would be shown the real one's: give "
            "--game.fake_labels data"
        )


def require_logit_for_each_label(config: Config, begun: State) -> None:
    """UsageError if the game classifies and the discriminator has no logit for each label."""
    weight = getattr(config.game, "classify", 0.0)
    projects = any(
        isinstance(layer, Projection) and layer.embedding is not None
        for layer in begun.players.discriminator.modules()
    )
    if weight and config.labels and not projects:
        raise UsageError(
            f"classify = {weight}: needs a discriminator that reads labels by projection: give "
            "--networks.label projection, or --game.classify 0"
        )


def require_enough_for_batch_norm(config: Config, begun: State, world: World) -> None:
    """UsageError if a forward pass would see one example, which has no variance."""
    count = world.part(config.batch)[1]
    size = min(config.micro_batch or count, count)
    sides = (begun.players.generator, begun.players.discriminator)
    normalised = any(isinstance(m, nn.BatchNorm1d) for side in sides for m in side.modules())
    if min(size, count % size or size) == 1 and normalised:
        raise UsageError(
            f"batch = {config.batch}, micro_batch = {config.micro_batch}: a pass would hold one "
            "example, and batch norm needs 2: choose another size, or networks without batch norm"
        )
