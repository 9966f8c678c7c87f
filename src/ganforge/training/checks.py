"""May this config be trained on these data? Asked once, before anything is written, by every door.

`require_trainable` asks all of it: of scores and loggers, of the run folder, of the config on
the data, and of the networks that are built for both. `api.train` asks the same questions in the
same order, but waits for the other processes in between. Lightning has no run folder and asks
`require_playable`. Each question raises UsageError, DataError or DiskError with the remedy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from ganforge.config.schema import LOGGERS, Config
from ganforge.data.dataset import LEAST_PAIRS, LEAST_SCORED
from ganforge.data.load import Dataset
from ganforge.data.spec import DataSpec
from ganforge.errors import DataError, UsageError, require_extra
from ganforge.gan import state, step
from ganforge.gan.penalties import GradientPenalty
from ganforge.gan.state import State
from ganforge.nets import CycleNetworks, UNet
from ganforge.nets.base import TwoPartDiscriminator
from ganforge.nets.dcgan import DCGAN
from ganforge.nets.layers import Projection
from ganforge.runs import checkpoint, folder
from ganforge.runs import load as load_run
from ganforge.runs.folder import Run
from ganforge.text import on_disk, printable
from ganforge.training import build, device, pairing, transfer
from ganforge.training.device import Resolved
from ganforge.training.distributed import ALONE, World


@dataclass(frozen=True)
class Trainable:
    """Runs of one config that may be trained.

    data, validation: the examples; no validation part if nothing is scored during training.
    resolved: what `auto` means. begun: the state before the first step. steps: the budget.
    """

    data: Dataset
    validation: Dataset | None
    resolved: Resolved
    begun: State
    steps: int


def require_trainable(
    runs: Mapping[Path, Config],
    data: Dataset | None = None,
    validation: Dataset | None = None,
    world: World = ALONE,
) -> Trainable:
    """What is known before the first step of runs that may be trained; nothing is written.

    Args:
        runs: the config of each run folder; configs differ in their seed alone.
        data, validation: examples in place of those that the config names.
        world: the processes that share a batch.

    Raises:
        UsageError, DataError, DiskError: a run may not be trained.
    """
    config = next(iter(runs.values()))
    for path in runs:
        validation = require_callbacks(config, path, data, validation)
    before = {path: require_folder(Run(path), each) for path, each in runs.items()}
    data = require_data(config, data)
    for path, known in before.items():
        require_same_run(Run(path), config, known, data)
    chosen: dict[str, Any] = next(filter(None, before.values()), {})
    resolved = device.resolve(config, chosen.get("resolved", {}), world, data.spec)
    begun = require_playable(config, data.spec, data, resolved.device, resolved.precision, world)
    for path in runs:
        require_start(Run(path), config, begun)
    return Trainable(data, validation, resolved, begun, steps_of(config, data))


def steps_of(config: Config, data: Dataset) -> int:
    """The budget in steps."""
    return step.steps_for(config.images(data.epoch), config.batch, config.game)


# --- scores and loggers, which `loop.train` does not have --------------------------------


def require_callbacks(
    config: Config, path: Path, data: Dataset | None, validation: Dataset | None
) -> Dataset | None:
    """The validation part if scores are made during training, else `validation`.

    Raises:
        UsageError, DataError: see `validation_part` and `require_logger`.
    """
    for name in config.output.log:
        require_logger(name, path)
    scored = config.output.score_every > 0
    return validation_part(config, data, validation) if scored else validation


def validation_part(config: Config, data: Dataset | None, validation: Dataset | None) -> Dataset:
    """The examples to score by, `validation` or those that the config names.

    Raises:
        UsageError: `data` are given without `validation`.
        DataError: there are too few examples.
    """
    if validation is None:
        if data is not None:
            raise UsageError("scores need held-out real examples: give validation= with data=")
        validation = pairing.load_part(config, "validation")
    least = LEAST_PAIRS if config.pairing else LEAST_SCORED
    if len(validation) < least:
        raise DataError(
            f"{config.data}: {len(validation)} validation examples are too few to score, at least "
            f"{least} are needed (a new run on {config.data}@held_out=0.2 holds out a fifth)"
        )
    return validation


def require_logger(name: str, path: Path) -> None:
    """UsageError if a logger is not installed, or cannot write in the run folder `path`."""
    if name == "tensorboard" and printable(str(path)) != str(path):
        raise UsageError(
            f"{path}: tensorboard takes no path that is not UTF-8: choose another folder, or leave "
            "--log tensorboard out"
        )
    leave_out = f", or leave --log {name} out"
    require_extra(f"--log {name}", LOGGERS[name], name, otherwise=leave_out)


# --- the run folder -----------------------------------------------------------------------------


def require_folder(run: Run, config: Config) -> dict[str, Any]:
    """What was last known of the run, {} for a new one; raises if the folder is not for it."""
    folder.refuse_other(run, config)
    if config.init_from and not checkpoint.listed(run.checkpoints):
        load_run.saved_players(on_disk(Path(config.init_from)))
    return folder.last_known(run) if run.exists() else {}


def require_start(run: Run, config: Config, begun: State) -> None:
    """DataError if a new run is to begin from weights of which none fit its generator.

    begun: the run before its first step.
    """
    if config.init_from and not checkpoint.listed(run.checkpoints):
        transfer.fitting(config.init_from, state.tensors(begun))


def require_same_run(run: Run, config: Config, before: Mapping[str, Any], data: Dataset) -> None:
    """DataError if the run had other data, UsageError if it is past the budget."""
    if before.get("data_sha256", data.sha256) != data.sha256:
        raise DataError(
            f"{config.data}: not the data {run.path} was trained on (their sha256 differs): "
            "restore them, or give --out for a new run"
        )
    if steps_of(config, data) < int(before.get("step", 0)):
        raise UsageError(
            f"{run.path} has already gone {before['step']:,} steps and this budget is "
            f"{steps_of(config, data):,}: give a larger one, or --out for a new run"
        )


# --- the config on the data ---------------------------------------------------------------------


def require_data(config: Config, data: Dataset | None = None) -> Dataset:
    """`data`, or those that the config names, if the config may be trained on them.

    Raises:
        UsageError: see `require_config`; or the game is conditional and the data have no labels.
        DataError: a conditional game would train a label that has no examples.
    """
    require_config(config)
    data = data or pairing.load_part(config)
    if not data.spec.is_image:
        for key, used in (("mirror", config.mirror), ("game.augment", config.game.augment)):
            if used:
                raise UsageError(f"{key} changes pictures, and {config.data} are vectors")
    pairing.require_source(config, data.spec, data)
    build.players_spec(config, data.spec)
    if config.labels and data.labels is not None:
        counts = np.bincount(data.labels, minlength=data.spec.classes)
        empty = np.flatnonzero(counts == 0)
        if len(empty):
            names = data.class_names or range(data.spec.classes)
            shown = ", ".join(str(names[k]) for k in empty[:8]) + ", ..." * (len(empty) > 8)
            raise DataError(
                f"{config.data}: no training example has the label {shown}, of "
                f"{data.spec.classes} classes: add examples of it, or leave the class out"
            )
    return data


def require_config(config: Config) -> None:
    """UsageError for what the config alone can say, before data are loaded and resized for it."""
    if config.size is not None and isinstance(config.networks, DCGAN | UNet | CycleNetworks):
        config.networks.refuse_size(config.size, config.size)
    pairing.require_networks(config)
    if getattr(config.game, "infers", False) and not config.inferred:
        raise UsageError(
            f'noise has no codes: game.kind = "{config.game.kind}" infers them, give such as '
            """--noise.codes '[{name="digit", law="categorical", size=10}]'"""
        )
    mixing = any(isinstance(penalty, GradientPenalty) for penalty in config.game.penalties)
    if config.labels and mixing and config.game.fake_labels != "data":
        raise UsageError(
            f'fake_labels = "{config.game.fake_labels}": the gradient penalty mixes each real '
            "example with a fake of another label, and D would be shown the real one's: give "
            "--game.fake_labels data"
        )


def require_playable(
    config: Config,
    spec: DataSpec,
    data: Dataset | None = None,
    device: str = "cpu",
    precision: str = "fp32",
    world: World = ALONE,
) -> State:
    """The state before the first step, if networks and game go together (see `require_data`).

    Args:
        spec: of the data.
        data: the examples; None if only their spec is known.
        device, precision, world: where the game is played.

    Raises:
        UsageError: they do not.
    """
    begun = build.initial(config, spec, device, precision, data=data)
    require_logit_for_each_label(config, begun)
    require_fitting_passes(config, begun, world)
    return begun


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


def require_fitting_passes(config: Config, begun: State, world: World) -> None:
    """UsageError if the examples of a forward pass are too few for batch norm, or cut a group."""
    count = world.part(config.batch)[1]
    size = min(config.micro_batch or count, count)
    given = f"batch = {config.batch}, micro_batch = {config.micro_batch}"
    players = (begun.players.generator, begun.players.discriminator)
    normalised = any(isinstance(m, nn.BatchNorm1d) for player in players for m in player.modules())
    if min(size, count % size or size) == 1 and normalised:
        raise UsageError(
            f"{given}: a pass would hold one example, and batch norm needs 2: choose another size, "
            "or networks without batch norm"
        )
    d = begun.players.discriminator
    group = d.group if isinstance(d, TwoPartDiscriminator) else 1
    if size % group or count % group:
        raise UsageError(
            f"{given}: a forward pass of {size} examples would cut a group of the {group} that the "
            "discriminator compares: choose multiples of it, or another networks.group or game.pack"
        )
