"""Players: `networks(spec, noise) -> {"generator": ..., "discriminator": ...}`."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from ganforge.data.spec import DataSpec
from ganforge.errors import UsageError
from ganforge.nets.base import Masks, Plain, Player
from ganforge.nets.dcgan import DCGAN
from ganforge.nets.init import Init
from ganforge.nets.mlp import MLP

SIDES = ("generator", "discriminator")


def build(
    networks: Callable[[DataSpec, int], dict[str, nn.Module]], spec: DataSpec, noise: int
) -> dict[str, Player]:
    """Both sides as `Player`s; modules that are none are wrapped, so plain torch modules will do.

    spec: with classes = 0 for an unconditional game. noise: size of z.
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
    players = {
        side: m if isinstance(m := modules[side], Player) else Plain(m, spec.classes > 0)
        for side in SIDES
    }
    probe(players, spec, noise)
    return players


def is_built_in(networks: object) -> bool:
    """Whether `networks` is a dataclass of this package, or of a class made from one."""
    return any(kind.__module__.startswith(f"{__name__}.") for kind in type(networks).__mro__)


def made(
    networks: Callable[[DataSpec, int], dict[str, nn.Module]], spec: DataSpec, noise: int
) -> dict[str, nn.Module]:
    """The modules; UsageError if networks of this package cannot have such sizes."""
    if not is_built_in(networks):
        return networks(spec, noise)
    try:
        return networks(spec, noise)
    except (RuntimeError, TypeError, ValueError, OverflowError, MemoryError) as error:
        why = str(error).partition("\n")[0] or type(error).__name__
        raise UsageError(
            f"networks = {networks}: cannot be built for examples of shape {spec.shape} and a z of "
            f"{noise} ({why}): choose smaller sizes"
        ) from error


@torch.no_grad()
def probe(players: dict[str, Player], spec: DataSpec, noise: int) -> None:
    """UsageError where a user's own module does not take or give what its side must."""
    for side in SIDES:
        player = players[side]
        if not isinstance(player, Plain):
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
    "DCGAN", "MLP", "SIDES", "Init", "Masks", "Plain", "Player", "build", "is_built_in",
]  # fmt: skip
