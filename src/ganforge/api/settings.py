"""What `gf.train` begins with, and its keywords as settings of a config."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from ganforge import recipes, registry
from ganforge.api import objects, target
from ganforge.config import convert
from ganforge.config.schema import Config
from ganforge.config.user_code import Code
from ganforge.errors import UsageError, did_you_mean

PLAYERS = ("generator", "discriminator")


def started(
    what: str | Path | Config | Callable[[], Config],
    out: Path | str | None,
    settings: Mapping[str, Any],
    data: Any = None,
    code: Path | str | Code | None = None,
) -> tuple[Config, Path | None]:
    """(the config of what is to be trained, the run folder if it is known).

    Args:
        what: a config, a recipe, or what `target.start` finds by its name or path.
        out: the run folder that the user names.
        settings: the keywords.
        data: beside them, in place of those that the config names.
        code: see `target.start`.

    Raises:
        UsageError: anything else, a run folder beside another one, data beside data.
        DataError: a path that does not exist, or data that cannot be read.
    """
    folder = None if out is None else Path(out)
    if isinstance(what, Config):
        return what, folder
    if isinstance(what, str | Path):
        options = {**settings, "data": objects.name_of(data)} if data is not None else settings
        begun = target.start(str(what), None, options, code)
        return begun.config, begun.folder(folder)
    made = what() if what in recipes.RECIPES.values() else what
    if not isinstance(made, Config):
        raise UsageError(
            f"{what!r}: expected a recipe's name such as 'cdcgan', a recipe, a Config, data, or a "
            "run folder"
        )
    return made, folder


def changed(config: Config, settings: Mapping[str, Any]) -> Config:
    """`config` with settings given as keywords.

    Args:
        config: the config to vary.
        settings: fields of `Config`, of its game, or lr for both players; a mapping changes the
            fields of a part, as generator={"lr": 1e-4}.

    Raises:
        UsageError: no such setting, or a value that it cannot have.
    """
    game = [f.name for f in fields(config.game)] if is_dataclass(config.game) else []
    known = [f.name for f in fields(Config)]
    plain: dict[str, Any] = {}
    of_game: dict[str, Any] = {}
    if "lr" in settings:  # before the settings of one player
        both = {player: {"lr": settings["lr"]} for player in PLAYERS}
        config = convert.merge(config, both, registry.PARTS)
    for key, value in settings.items():
        if key == "lr":
            continue
        if key in known and isinstance(value, Mapping):
            config = convert.merge(config, {key: value}, registry.PARTS)
        elif key in known:
            plain[key] = value
        elif key in game:
            of_game[key] = value
        elif "." in key:
            config = convert.override(config, {key: value}, registry.PARTS)
        else:
            raise UsageError(f"unknown setting {key!r}: {did_you_mean(key, [*known, *game, 'lr'])}")
    if of_game:
        values = {f"game.{key}": value for key, value in of_game.items()}
        config = convert.override(config, values, registry.PARTS)
    return replace(config, **plain)
