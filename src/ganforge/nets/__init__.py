"""The networks of both sides, from `networks(spec, noise)`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from ganforge.config.schema import Config
from ganforge.data.spec import DataSpec
from ganforge.errors import UsageError
from ganforge.nets.base import Inputs, Network, PlainModule, RandomInput
from ganforge.nets.codes import inferring
from ganforge.nets.cycle import CycleNetworks
from ganforge.nets.dcgan import DCGAN
from ganforge.nets.infogan import InfoGAN
from ganforge.nets.init import Init
from ganforge.nets.mlp import MLP
from ganforge.nets.packing import Packed, packed_spec
from ganforge.nets.unet import UNet

SIDES = ("generator", "discriminator")


def for_config(config: Config, spec: DataSpec) -> dict[str, nn.Module]:
    """Both sides as a config describes them; see `build`.

    spec: as the players see it, with classes = 0 if the game has no labels.
    """
    sides = build(config.networks, spec, config.noise.size, config.game.pack)
    if config.inferred:
        sides["discriminator"] = inferring(sides["discriminator"], config.inferred, spec)
    return sides


def build(
    networks: Callable[[DataSpec, int], dict[str, Any]], spec: DataSpec, noise: int, pack: int = 1
) -> dict[str, nn.Module]:
    """Both sides; modules that are no `Network` are wrapped, so plain torch modules will do.

    Args:
        networks: a function of (spec, noise); a side may be a dictionary of several modules.
        spec: of the data, with classes = 0 for an unconditional game.
        noise: Z, the size of z.
        pack: examples that D judges together, at least 1 (see `packing`).

    Returns:
        {"generator": ..., "discriminator": ...}, a `Network` each, or an `nn.ModuleDict` of them.

    Raises:
        UsageError: the function does not return such sides, or a module does not fit its side.
    """
    if not callable(networks):
        raise UsageError(
            f"networks = {networks!r}: expected a function of (spec, noise) that returns "
            "{'generator': module, 'discriminator': module}"
        )
    modules = made(networks, spec, noise)
    if not isinstance(modules, dict) or set(modules) != set(SIDES):
        got = sorted(modules) if isinstance(modules, dict) else type(modules).__name__
        raise UsageError(
            f"networks returned {got}: expected {{'generator': module, 'discriminator': module}}"
        )
    sides = {side: wrapped(modules[side], spec.classes > 0) for side in SIDES}
    probe(sides, spec, noise)
    if pack > 1:
        sides["discriminator"] = packed(networks, spec, noise, pack)
    return sides


def packed(
    networks: Callable[[DataSpec, int], dict[str, Any]], spec: DataSpec, noise: int, pack: int
) -> Packed:
    """The discriminator of packs; UsageError if there is none."""
    if spec.classes:
        raise UsageError(
            f"pack = {pack}: a pack of examples has no label: add --labels false, or --game.pack 1"
        )
    module = wrapped(made(networks, packed_spec(spec, pack), noise)["discriminator"], False)
    if not isinstance(module, Network):
        raise UsageError(f"pack = {pack}: the discriminator must be one network: --game.pack 1")
    return Packed(module, pack)


def wrapped(side: nn.Module | Mapping[str, nn.Module], conditional: bool) -> nn.Module:
    """A side as a `Network`, or as an `nn.ModuleDict` of several."""
    if isinstance(side, Mapping):
        return nn.ModuleDict({name: wrapped(m, conditional) for name, m in side.items()})
    return side if isinstance(side, Network) else PlainModule(side, conditional)


def networks_of(side: nn.Module) -> list[Network]:
    """The networks of a side: one, or several in an `nn.ModuleDict`."""
    modules = side.values() if isinstance(side, nn.ModuleDict) else [side]
    return [m for m in modules if isinstance(m, Network)]


def is_built_in(networks: object) -> bool:
    """Whether `networks` is a dataclass of this package, or of a class made from one."""
    return any(kind.__module__.startswith(f"{__name__}.") for kind in type(networks).__mro__)


def made(
    networks: Callable[[DataSpec, int], dict[str, Any]], spec: DataSpec, noise: int
) -> dict[str, Any]:
    """The modules; UsageError if networks of this package cannot have such sizes."""
    try:
        return networks(spec, noise)
    except (RuntimeError, TypeError, ValueError, OverflowError, MemoryError) as error:
        if not is_built_in(networks):
            raise
        why = str(error).partition("\n")[0] or type(error).__name__
        raise UsageError(
            f"networks = {networks}: cannot be built for examples of shape {spec.shape} and a z of "
            f"{noise} ({why}): choose smaller sizes"
        ) from error


@torch.no_grad()
def probe(players: dict[str, nn.Module], spec: DataSpec, noise: int) -> None:
    """UsageError if a user's module does not take or give what its side must."""
    for side in SIDES:
        player = players[side]
        if not isinstance(player, PlainModule):
            continue
        player.eval()
        for count in (2, 3):
            shape = (noise,) if side == "generator" else spec.shape
            label = torch.zeros(count, dtype=torch.int64) if spec.classes else None
            x = torch.zeros(count, *shape)
            try:
                got = tuple(player(x, label).shape)
            except (RuntimeError, TypeError, ValueError, IndexError, AttributeError) as error:
                raise UsageError(
                    f"your {side} cannot take {'z' if side == 'generator' else 'x'} of shape "
                    f"{tuple(x.shape)}{' and labels' if spec.classes else ''}: {error}"
                ) from error
            wanted = (count, *spec.shape) if side == "generator" else (count, *got[1:])
            if got != wanted:
                raise UsageError(
                    f"your {side} gives {got} for {count} examples: expected {wanted}, a row each"
                )
        player.train()


__all__ = [
    "DCGAN", "MLP", "CycleNetworks", "InfoGAN", "Init", "Inputs", "Network", "PlainModule",
    "RandomInput", "UNet",
]  # fmt: skip
