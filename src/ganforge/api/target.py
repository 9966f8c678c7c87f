"""What `ganforge train WHAT` names: a recipe, a run that goes on, or data for a recipe."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganforge.config import convert
from ganforge.config.schema import Config
from ganforge.config.user_code import Code
from ganforge.errors import DataError, UsageError, choice, did_you_mean
from ganforge.text import command_line


@dataclass(frozen=True)
class Target:
    """One of the three is set: a recipe by name or FILE.py:FUNCTION, a run folder, or data."""

    recipe: str | None = None
    run: Path | None = None
    data: str | None = None


def target(text: str | None) -> Target:
    """What a word on the command line names.

    A recipe's name comes first, then a known data set, then a path: `./dcgan` and `pictures/` are
    paths. A path is a run if it is a run folder.

    Raises:
        UsageError: nothing has this name.
        DataError: a path that does not exist.
    """
    from ganforge.data.load import NAMED, locate
    from ganforge.recipes import RECIPES
    from ganforge.runs.folder import Run

    if text is None or text in RECIPES or ".py" in text:
        return Target(recipe=text)
    if text in NAMED:
        return Target(data=text)
    path = Path(text)
    if Run(path).exists():
        return Target(run=path)
    try:
        locate(text)
    except UsageError:
        known = did_you_mean(text[:200], [*RECIPES, *NAMED])
        raise UsageError(
            f"{text[:200]!r} is no recipe, no data set and no path: {known} (`ganforge recipes` "
            "lists the recipes)"
        ) from None
    except DataError:
        if os.sep not in text:
            raise UsageError(f"{text[:200]!r}: no such recipe, file or folder") from None
        raise
    return Target(data=text)


@dataclass(frozen=True)
class Start:
    """The config that the settings of the command line change.

    run: the folder of a run that goes on. reasons: a line for each choice that was made.
    """

    config: Config
    run: Path | None = None
    reasons: tuple[str, ...] = ()

    def folder(self, out: Path | None) -> Path | None:
        """The run folder, if the user or the run says; UsageError if they say different ones."""
        if out is not None and self.run is not None:
            raise UsageError(f"--out {out}: the run {self.run} goes on in its folder: leave it out")
        return out or self.run


def start(
    what: str | None,
    file: Path | None,
    options: Mapping[str, Any],
    code: Path | str | Code | None = None,
) -> Start:
    """What a command begins with: a recipe with the settings of a file, a run, or data.

    Args:
        what: see `target`.
        file: TOML, all settings of a config or some of them.
        options: of the command line.
        code: the user's file or objects by name, for a run or a file with parts that are code.

    Raises:
        UsageError, DataError: see `target`, `base` and `fitting.fit`.
    """
    from ganforge.registry import load_code
    from ganforge.runs.folder import Run
    from ganforge.runs.load import load_config
    from ganforge.training.fitting import fit

    named = target(what)
    if (named.run or named.data) and file is not None:
        raise UsageError(f"--config {file} and {what}: the file is for a recipe: give one of them")
    if named.run is not None:
        config = load_config(Run(named.run), None if code is None else load_code(code))
        if "data" not in options:
            require_data_of_run(config.data)
        return Start(config, named.run)
    if named.data is not None:
        if "data" in options:
            raise UsageError(f"{what} and --data {options['data']} both name data: give one")
        size, device = options.get("size"), options.get("device", "auto")
        found = fit(named.data, size=size, device=device)
        return Start(found.config, None, found.reasons)
    return Start(base(named.recipe, file, "data" in options, code))


def require_data_of_run(data: str) -> None:
    """DataError for data that a run names without a path, and that are gone.

    The same name typed by a user is a UsageError: it is misspelt. A path that is gone is a
    DataError in both places, raised when it is read.
    """
    from ganforge.data.load import MOVED, NAMED, locate
    from ganforge.data.settings import folders_in, split_off

    for name in folders_in(split_off(data)[0]):
        try:
            if name not in NAMED:
                locate(name)
        except UsageError:
            raise DataError(f"data {name[:200]!r}: no such file or folder{MOVED}") from None
        except DataError:
            continue


def base(
    recipe: str | None, file: Path | None, data_given: bool, code: Path | str | Code | None = None
) -> Config:
    """The recipe with the settings of the file over it, or the config that is all in the file."""
    from ganforge import files, recipes, registry

    if file is None:
        return recipes.find(recipe or "cdcgan")
    try:
        table = tomllib.loads(files.read_file(file).decode())
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{file}: not valid TOML: {error}") from None
    data, name = str(table.get("data", "")), recipe or str(table.get("name", "cdcgan"))
    outside = any(
        Path(each).is_absolute() or ".." in Path(each).parts or each.startswith("~")
        for each in data.split("|")
    )
    if outside and not data_given:  # the file is perhaps a stranger's
        raise UsageError(
            f"{file}: data = {data!r} is outside this folder: if you mean it, say so with "
            f"{command_line(['--data', data])}"
        )
    whole = recipe is None and {"networks", "game"} <= table.keys()
    if recipe is None and not whole:  # a file may not name code that is run: only the user may
        choice("name", name, list(recipes.RECIPES))
    start = None if whole else recipes.find(name)
    parts = registry.with_code(code)
    try:
        if start is None:
            return convert.from_dict(Config, {"name": name, **table}, parts)
        return convert.merge(start, table, parts)
    except UsageError as error:
        raise UsageError(f"{file}: {error}") from None
