"""What several commands share: tables, where to write, the user's own networks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ganforge import files, registry
from ganforge.errors import UsageError
from ganforge.runs import load
from ganforge.runs.model import OwnNetworks


def own_networks(code: Path | None, path: Path) -> OwnNetworks | None:
    """The user's function from a file they named, by the name the model was saved with."""
    if code is None:
        return None
    import json

    run = load.run_of(path)
    folder = run.model if run else path
    try:
        name = json.loads(files.read_file(folder / "config.json"))["networks"]["name"]
    except (ValueError, KeyError, TypeError):
        name = "networks"
    found: OwnNetworks = registry.load_function(code, str(name))
    return found


def target(path: Path, output: Path | None, default: str, kinds: Sequence[str]) -> Path:
    """Where to write: `output`, or `default` in the run folder."""
    out = output or path / default
    if out.suffix.lower() not in kinds:
        raise UsageError(f"{out}: expected a file name ending in {' or '.join(kinds)}")
    return out
