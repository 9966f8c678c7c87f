"""Do a config's game, its networks and its data translate the same? Asked by `checks`."""

from __future__ import annotations

from ganforge import nets
from ganforge.config.schema import Config
from ganforge.data.dataset import Dataset
from ganforge.data.load import load
from ganforge.data.spec import DataSpec
from ganforge.errors import UsageError

KINDS = {"": "mlp", "paired": "unet", "unpaired": "cycle"}  # pairing of a game -> its networks


def load_part(config: Config, part: str = "train") -> Dataset:
    """A part of the data that the config names, as its game wants them."""
    return load(config.data, part=part, size=config.size, pairing=config.pairing)


def require_networks(config: Config) -> None:
    """UsageError if networks of this package and the game do not translate the same."""
    networks = config.networks
    if nets.is_built_in(networks) and getattr(networks, "translates", "") != config.pairing:
        raise UsageError(
            f'networks.kind = "{networks.kind}" with game.kind = "{config.game.kind}": give '
            f"--networks.kind {KINDS[config.pairing]}, or another game"
        )
    if config.pairing and config.sync_bn:
        raise UsageError(
            "sync_bn = true: a translator takes the statistics of each forward pass: leave it out"
        )


def require_source(config: Config, spec: DataSpec, data: Dataset | None) -> None:
    """UsageError if the game translates and the data have no source, or the reverse.

    Args:
        spec: of the data.
        data: the examples; None if only their spec is known.
    """
    wanted, named = config.pairing, f"the data {config.data!r}"
    if wanted and spec.source is None:
        forms = "two folders, as --data A/ B/" if wanted == "unpaired" else "pairs of pictures"
        raise UsageError(
            f"{config.name} translates pictures and {named} have no source: give {forms} "
            "(docs/translation.md)"
        )
    if not wanted and spec.source is not None and nets.is_built_in(config.networks):
        raise UsageError(
            f"{config.name} makes pictures from noise and {named} are translated pictures: train "
            "pix2pix or cyclegan, or give one folder"
        )
    if wanted and data is not None and data.unpaired != (wanted == "unpaired"):
        is_a, right = ("unpaired", "cyclegan") if data.unpaired else ("paired", "pix2pix")
        raise UsageError(
            f"{config.name} takes {wanted} pictures and {named} are {is_a}: train {right}, or load "
            f"them with pairing={wanted!r}"
        )
    if spec.source is not None and spec.source.shape[0] != spec.shape[0]:
        weight = getattr(config.game, "identity", 0)
        if weight:
            raise UsageError(
                f"identity = {weight}: the domains have {spec.source.shape[0]} and {spec.shape[0]} "
                "channels, and a picture of one is none of the other: give --game.identity 0"
            )
