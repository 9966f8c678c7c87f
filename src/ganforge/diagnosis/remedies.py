"""What to do about a finding: a command for this very run that changes what it does."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganforge import registry
from ganforge.config import convert
from ganforge.config.schema import Config, Part
from ganforge.errors import UsageError


@dataclass(frozen=True)
class Change:
    """One thing to do.

    Args:
        words: what it is.
        settings: key -> the new value as text, or "/3": the run's value divided by 3. They change
            nothing if the run has these values already.
        options: of `ganforge train` in place of the settings, if those have shorter names.
        unless: a setting; if the run has one already, the change is none.
        command: a command in place of a new training, with {run} and {data}.
    """

    words: str
    settings: tuple[tuple[str, str], ...] = ()
    options: str = ""
    unless: str = ""
    command: str = ""


STABLE = '[{kind="r1", gamma=0.1, interval=4}, {kind="r2", gamma=0.1, interval=4}]'
LOWER_RATES = Change(
    "lower both learning rates to a third", (("generator.lr", "/3"), ("discriminator.lr", "/3"))
)
LOWER_D = Change("lower the learning rate of D to a third", (("discriminator.lr", "/3"),))
LOWER_G = Change("lower the learning rate of G to a third", (("generator.lr", "/3"),))
SEE_SOURCE = Change("let D see the source", (("networks.conditional", "true"),))
MORE_L1 = Change("give the distance to the target more weight", (("game.l1", "100"),))
MORE_CYCLE = Change("give the cycle more weight", (("game.cycle", "10"),))
LESS_CYCLE = Change("give the cycle less weight", (("game.cycle", "/2"),))
LESS_IDENTITY = Change("leave the identity out", (("game.identity", "0"),))
ONE_STEP = Change("give G one step to one of D", (("game.g_steps", "1"),))
PAIRS = Change(
    "compare real and fake in pairs, with R1 and R2 penalties",
    (("game.loss", "relativistic"), ("game.penalties", STABLE)),
    unless="game.penalties",
)
RELATIVISTIC = Change("compare real and fake in pairs", (("game.loss", "relativistic"),))
PENALTIES = Change(
    "add R1 and R2 penalties", (("game.penalties", STABLE),), unless="game.penalties"
)
AVERAGE = Change("average the generator", (("ema", "0.998"),), unless="ema")
STOP = Change(
    "stop by scores on held-out examples",
    (("output.score_every", "1.0"), ("output.patience", "5.0")),
    "--every 1 --stop auto",
    unless="output.patience",
)
SHORTER = (
    Change("train half as long", (("epochs", "/2"),)),
    Change("train half as long", (("kimg", "/2"),)),
)

LONGER = (
    Change("train twice as long", (("epochs", "/0.5"),)),
    Change("train twice as long", (("kimg", "/0.5"),)),
)


def advice(
    changes: Sequence[Change], config: Config | None = None, path: Path | str | None = None
) -> str:
    """The first change that this run can make, with its command.

    Args:
        changes: the best one first.
        config: of the run; None for the first change, as it stands.
        path: run folder.
    """
    for change in changes:
        if change.command:
            data = "DATA" if config is None else shlex.quote(config.data)
            run = "RUN" if path is None else shlex.quote(str(path))
            return f"{change.words}: {change.command.format(run=run, data=data)}"
        if config is None:
            return f"{change.words}: ganforge train {options_of(change, dict(change.settings))}"
        settings = changed(change, config)
        if settings:
            return f"{change.words}: {training(config, path, options_of(change, settings))}"
    return "nothing that is left can be set: change the data or the networks"


def changed(change: Change, config: Config) -> dict[str, str]:
    """The settings of a change for a run; {} if they change nothing, or cannot be."""
    if change.unless and value(config, change.unless):
        return {}
    settings = {}
    for key, text in change.settings:
        before = value(config, key)
        if text.startswith("/"):
            if not isinstance(before, int | float) or not before:
                return {}
            after = before / float(text[1:])
            settings[key] = f"{after:.3g}" if after % 1 else str(int(after))
        else:
            settings[key] = text
    try:
        other = convert.override(config, settings, registry.PARTS)
    except (UsageError, TypeError):  # no setting of this game or of these networks
        return {}
    return settings if other != config else {}


def value(config: Any, key: str) -> Any:
    """A setting by its dotted name, None if there is none."""
    for name in key.split("."):
        config = getattr(config, name, None)
    return config


def options_of(change: Change, settings: dict[str, str]) -> str:
    """The settings as options of a command."""
    return change.options or shlex.join(
        word for key, text in settings.items() for word in (f"--{key}", text)
    )


def training(config: Config, path: Path | str | None, options: str) -> str:
    """The command that trains a run again with other options, in a new folder."""
    folder = Path("runs") / config.name if path is None else Path(path)
    new = shlex.quote(f"{folder}-2")
    if not isinstance(config.networks, Part):  # code of the user's, which no file names
        return f"the same command with {options} --out {new}"
    file = shlex.quote(str(folder / "config.toml"))
    return f"ganforge train --config {file} --data {shlex.quote(config.data)} {options} --out {new}"
