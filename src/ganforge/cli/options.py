"""Options of several commands: their types, where to write, networks from a user's file."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from ganforge.errors import UsageError

if TYPE_CHECKING:
    from ganforge.runs.model import OwnNetworks

Flag = Parameter(negative="")
Count = Annotated[int, Parameter(alias="-n")]
Output = Annotated[Path | None, Parameter(alias="-o")]
Lines = Generator[str, None, int]  # the lines to print; returns the exit code


def user_networks(code: Path | None, path: Path) -> OwnNetworks | None:
    """The user's function in the file `code`, by the name that the model or run at `path` saved."""
    if code is None:
        return None
    from ganforge import files, registry
    from ganforge.runs import load

    run = load.run_of(path)
    folder = run.model if run else path
    try:
        name = json.loads(files.read_file(folder / "config.json"))["networks"]["name"]
    except (ValueError, KeyError, TypeError):
        name = "networks"
    found: OwnNetworks = registry.load_function(code, str(name))
    return found


def output_path(output: Path | None, default: Path, *kinds: str) -> Path:
    """`output`, else `default`; UsageError unless the file name ends in one of `kinds`."""
    out = output or default
    if out.suffix.lower() not in kinds:
        raise UsageError(f"{out}: expected a file name ending in {' or '.join(kinds)}")
    return out
