"""May this config be played on these data?"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from torch import nn

from ganforge.config.schema import Config
from ganforge.data.load import Dataset
from ganforge.data.spec import DataSpec
from ganforge.errors import DataError, UsageError
from ganforge.gan.penalties import GradientPenalty
from ganforge.gan.players import Players
from ganforge.gan.state import State
from ganforge.nets.dcgan import DCGAN
from ganforge.nets.layers import Projection
from ganforge.training.distributed import World


def one_label_a_mix(wanted: Config) -> None:
    """UsageError where a gradient penalty would mix examples of two labels."""
    mixing = any(isinstance(penalty, GradientPenalty) for penalty in wanted.game.penalties)
    if wanted.labels and mixing and wanted.game.fake_labels != "data":
        raise UsageError(
            f'fake_labels = "{wanted.game.fake_labels}": the gradient penalty mixes each real '
            "example with a fake of another label, and D would be shown the real one's: give "
            "--game.fake_labels data"
        )


def enough_for_batch_norm(wanted: Config, began: State, world: World) -> None:
    """UsageError where a forward pass would see one example, of which there is no variance."""
    count = world.part(wanted.batch)[1]
    size = min(wanted.micro_batch or count, count)
    layers = [
        layer
        for player in (began.players.generator, began.players.discriminator)
        for layer in player.modules()
    ]
    if min(size, count % size or size) == 1 and any(
        isinstance(layer, nn.BatchNorm1d) for layer in layers
    ):
        raise UsageError(
            f"batch = {wanted.batch}, micro_batch = {wanted.micro_batch}: a pass would hold one "
            "example, and batch norm needs 2: choose another size, or networks without batch norm"
        )


def refuse_size(networks: object, size: int | None) -> None:
    """UsageError where the networks make no pictures of that size, before any are resized to it."""
    if size is not None and isinstance(networks, DCGAN):
        networks.refuse_size(size, size)


def labels_can_be_told(config: Config, players: Players) -> None:
    """UsageError where the game classifies and the discriminator has no logit for each label."""
    weight = getattr(config.game, "classify", 0.0)
    projects = any(
        isinstance(layer, Projection) and layer.embedding is not None
        for layer in players.discriminator.modules()
    )
    if weight and config.labels and not projects:
        raise UsageError(
            f"classify = {weight}: needs a discriminator that reads labels by projection: give "
            "--networks.label projection, or --game.classify 0"
        )


def players_spec(config: Config, spec: DataSpec) -> DataSpec:
    """`spec` as the players see it: without classes in an unconditional game."""
    if config.labels and not spec.classes:
        raise UsageError(
            f"{config.name} is a conditional game and needs labels, the data {config.data!r} have "
            "none: give labelled data (subfolders or a labels.csv), or --labels false"
        )
    return spec if config.labels else replace(spec, classes=0)


def every_class(wanted: Config, data: Dataset) -> None:
    """DataError where a conditional game would train a label that has no examples."""
    if data.labels is None:
        return
    counts = np.bincount(data.labels, minlength=data.spec.classes)
    empty = np.flatnonzero(counts == 0)
    if len(empty):
        shown = ", ".join(map(str, empty[:8])) + (", ..." if len(empty) > 8 else "")
        raise DataError(
            f"{wanted.data}: no training example has the label {shown}, of 0 to "
            f"{data.spec.classes - 1}: number the labels 0..K-1 without gaps, or add examples"
        )
