"""Players: `networks(spec, noise) -> {"generator": ..., "discriminator": ...}`."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from ganforge.codec import DataSpec
from ganforge.errors import UsageError
from ganforge.nets.dcgan import DCGAN
from ganforge.nets.layers import Init, Masks, Plain, Player
from ganforge.nets.mlp import MLP

NETWORKS: dict[str, type] = {"mlp": MLP, "dcgan": DCGAN}

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
    modules = networks(spec, noise)
    if not isinstance(modules, dict) or set(modules) != set(SIDES):
        got = sorted(modules) if isinstance(modules, dict) else type(modules).__name__
        raise UsageError(
            f"networks returned {got}: expected {{'generator': module, 'discriminator': module}}"
        )
    return {
        side: m if isinstance(m := modules[side], Player) else Plain(m, spec.classes > 0)
        for side in SIDES
    }


__all__ = ["DCGAN", "MLP", "NETWORKS", "SIDES", "Init", "Masks", "Plain", "Player", "build"]
