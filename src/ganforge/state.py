"""The state of a game as named tensors and a counter: made, listed, and put back exactly."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ganforge import distributed, nets, optimizers
from ganforge.codec import DataSpec, encode
from ganforge.config import Config
from ganforge.data.source import Dataset
from ganforge.errors import DataError, UsageError
from ganforge.nets.layers import Projection
from ganforge.players import Players, State
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

    spec: of the data; its labels are hidden from the players of an unconditional game.
    precision: "fp32" or "bf16". fused: use torch's fused optimisers. data: for networks whose
    first weights depend on them; may be left out where saved weights will replace those.
    """
    device = torch.device(device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(Stream(config.seed, "init").words(0, 1)[0]))
        modules = nets.build(config.networks, players_spec(config, spec), config.noise.size)
    if data is not None:
        modules["generator"].start(partial(mean_example, data))
    for module in modules.values():
        module.to(device).train()
        if config.sync_bn and torch.distributed.is_initialized():
            distributed.synchronise(module)
        if spec.is_image:
            module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    players = Players(
        modules["generator"],
        modules["discriminator"],
        autocast(device, precision),
        classes=players_spec(config, spec).classes,
    )
    labels_can_be_told(config, players)
    choices = {"generator": config.generator, "discriminator": config.discriminator}
    return State(
        players,
        {
            side: optimizers.build(
                choices[side], [p for p in modules[side].parameters() if p.requires_grad], fused
            )
            for side in nets.SIDES
        },
        average=copy.deepcopy(players.generator).requires_grad_(False) if config.ema else None,
    )


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


def mean_example(data: Dataset) -> Tensor:
    """The mean of all examples, float64, in model values and of the spec's shape."""
    mean = torch.from_numpy(data.mean())[None]
    return encode(mean, data.spec)[0]


def players_spec(config: Config, spec: DataSpec) -> DataSpec:
    """`spec` as the players see it: without classes in an unconditional game."""
    if config.labels and not spec.classes:
        raise UsageError(
            f"{config.name} is a conditional game and needs labels, the data {config.data!r} have "
            "none: give labelled data (subfolders or a labels.csv), or --labels false"
        )
    return spec if config.labels else replace(spec, classes=0)


def autocast(device: torch.device, precision: str) -> Callable[[], AbstractContextManager[Any]]:
    """The context of a forward pass. No cache: it would outlive an update of the weights."""
    if precision == "fp32":
        return nullcontext
    return partial(torch.autocast, device.type, dtype=torch.bfloat16, cache_enabled=False)


def sampling_model(state: State) -> nn.Module:
    """The generator to sample from: the averaged one where there is one."""
    return state.average if state.average is not None else state.players.generator


def tensors(state: State) -> dict[str, Tensor]:
    """Every tensor of the state by name, as live references (no copies).

    generator.*, discriminator.*, ema.*, optimizer.<side>.<parameter>.<moment>, aux.*
    """
    players = {"generator": state.players.generator, "discriminator": state.players.discriminator}
    out: dict[str, Tensor] = {}
    for side, module in players.items():
        out |= {f"{side}.{name}": tensor for name, tensor in module.state_dict().items()}
        held = state.optimizers[side].state
        for name, parameter in module.named_parameters():
            for key, value in sorted(held.get(parameter, {}).items()):
                out[f"optimizer.{side}.{name}.{key}"] = value
    if state.average is not None:
        out |= {f"ema.{name}": tensor for name, tensor in state.average.state_dict().items()}
    out |= {f"aux.{name}": tensor for name, tensor in state.aux.items()}
    return out


@torch.no_grad()
def load(state: State, saved: Mapping[str, Tensor], source: str) -> None:
    """Copy `saved` into the state's own tensors, so their strides and alignment stay.

    Names, shapes and dtypes are compared before anything is changed; DataError names `source`.
    """
    own = tensors(state)
    compare(own, saved, source)
    for name, tensor in own.items():
        tensor.copy_(saved[name])


def compare(own: Mapping[str, Tensor], saved: Mapping[str, Tensor], source: str) -> None:
    """DataError unless `saved` has exactly the names, shapes and dtypes of `own`."""
    for name in [*own, *saved]:
        if name not in saved or name not in own:
            side = "lacks" if name not in saved else "holds an unknown"
            raise DataError(f"{source} {side} tensor {name!r}: it belongs to another configuration")
        a, b = own[name], saved[name]
        if a.shape != b.shape or a.dtype != b.dtype:
            raise DataError(
                f"{source}: tensor {name!r} is {tuple(b.shape)} {b.dtype}, expected "
                f"{tuple(a.shape)} {a.dtype}: it belongs to another configuration"
            )


def buffers(state: State) -> list[Tensor]:
    """Every buffer of the state (batch statistics), the average's too."""
    modules = [state.players.generator, state.players.discriminator]
    return [b for m in (*modules, *([state.average] if state.average else [])) for b in m.buffers()]


def all_finite(state: State) -> bool:
    """Whether every weight, buffer and moment is finite (waits for the device)."""
    floats = [t for t in tensors(state).values() if t.is_floating_point()]
    return not floats or bool(torch.isfinite(torch.stack([t.sum() for t in floats])).all())
