"""The state before the first step."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ganforge import nets
from ganforge.config.schema import Config
from ganforge.data.load import Dataset
from ganforge.data.spec import DataSpec, encode
from ganforge.errors import UsageError
from ganforge.gan import augmentation, optimizers
from ganforge.gan.batch import Aux
from ganforge.gan.players import Players
from ganforge.gan.state import State
from ganforge.nets import norm
from ganforge.rng import Stream


def initial(
    config: Config,
    spec: DataSpec,
    device: torch.device | str = "cpu",
    precision: str = "fp32",
    fused: bool = True,
    data: Dataset | None = None,
) -> State:
    """The state before the first step, a function of the config, its seed and the data.

    Whether the config may be played on the data is asked by `checks.require_playable`.

    Args:
        spec: of the data; its labels are hidden from the players of an unconditional game.
        precision: "fp32" or "bf16".
        fused: use torch's fused optimisers.
        data: for networks whose first weights depend on them; may be left out if saved weights
            will replace those.
    """
    device = torch.device(device)
    shown = players_spec(config, spec)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(Stream(config.seed, "init").words(0, 1)[0]))
        modules = nets.for_config(config, shown)
    if data is not None:
        for network in nets.networks_of(modules["generator"]):
            network.init_from_data(partial(mean_example, data))
    for side in nets.SIDES:
        module = modules[side].to(device).train()
        if config.sync_bn and torch.distributed.is_initialized():
            norm.synchronise(module)
        if spec.is_image and spec.source is None:  # translators normalise each picture by itself
            module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    players = Players(
        **modules,
        autocast=autocast(device, precision),
        classes=shown.classes,
        augment=config.game.augment,
    )
    return State(
        players,
        player_optimizers(config, players, fused),
        average=copy.deepcopy(players.generator).requires_grad_(False) if config.ema else None,
        aux={name: value.to(device) for name, value in initial_aux(config, shown).items()},
    )


def initial_aux(config: Config, spec: DataSpec) -> Aux:
    """The numbers and pictures between steps, before the first one: penalties, augmentations, game.

    spec: as the players see it.
    """
    game = config.game
    shapes = {"b": spec.shape} | ({} if spec.source is None else {"a": spec.source.shape})
    numbers: Aux = {name: torch.zeros(()) for penalty in game.penalties for name in penalty.aux}
    return {**numbers, **augmentation.initial(game.augment), **game.initial_aux(shapes)}


def player_optimizers(
    config: Config, players: Players, fused: bool = True
) -> dict[str, torch.optim.Optimizer]:
    """New optimisers of the weights that are trained, by player."""
    return {
        side: optimizers.build(
            getattr(config, side),
            [p for p in getattr(players, side).parameters() if p.requires_grad],
            fused,
        )
        for side in nets.SIDES
    }


def players_spec(config: Config, spec: DataSpec) -> DataSpec:
    """`spec` as the players see it: without classes in an unconditional game.

    Raises:
        UsageError: the game is conditional and the data have no labels.
    """
    if config.labels and not spec.classes:
        raise UsageError(
            f"{config.name} is a conditional game and needs labels, the data {config.data!r} have "
            "none: give labelled data (subfolders or a labels.csv), or --labels false"
        )
    return spec if config.labels else replace(spec, classes=0)


def mean_example(data: Dataset) -> Tensor:
    """The mean of all examples, float64, in model values and of the spec's shape."""
    mean = torch.from_numpy(data.mean())[None]
    return encode(mean, data.spec)[0]


def autocast(device: torch.device, precision: str) -> Callable[[], AbstractContextManager[Any]]:
    """The context of a forward pass. No cache: it would outlive an update of the weights."""
    if precision == "fp32":
        return nullcontext
    return partial(torch.autocast, device.type, dtype=torch.bfloat16, cache_enabled=False)
