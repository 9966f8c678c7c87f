"""ganforge runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ganforge.errors import DataError, DiskError
from ganforge.text import columns

if TYPE_CHECKING:
    from ganforge.runs.folder import Run

TITLES = ("run", "recipe", "state", "epochs", "kimg", "time", "loss_D", "loss_G", "score")


def runs(folder: Path = Path("runs"), /) -> str:
    """List the runs in a folder with state, progress, losses and scores.

    Parameters
    ----------
    folder
        A folder with run folders in it, at any depth.
    """
    from ganforge.runs.folder import find_runs

    found = find_runs(folder)
    if not found:
        raise DataError(f"{folder}: no runs here; `ganforge train` makes one")
    return columns([TITLES, *map(row, found)])


def row(run: Run) -> tuple[str, ...]:
    """A run's row of the table; for files that cannot be read, why not."""
    from ganforge.runs.folder import state

    path = str(run.path)
    try:
        info, log, score = run.info(), run.log(), newest_score(run)
    except (DataError, DiskError) as error:
        return (path, "?", str(error), *[""] * 6)
    last = log[-1] if log else {}
    seconds = int(info.get("seconds", 0))
    return (
        path, str(info.get("name", "?")), state(run),
        f"{last.get('epoch', info.get('epoch', 0)):.1f}",
        f"{last.get('samples_seen', 0) / 1000:.1f}",
        f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}",
        f"{last.get('loss_d', float('nan')):.3f}", f"{last.get('loss_g', float('nan')):.3f}",
        score,
    )  # fmt: skip


def newest_score(run: Run) -> str:
    """A run's newest Frechet distance, or its first other metric, with floor, split and N."""
    from ganforge.evaluation import store

    score = store.newest(run) or store.first(run)
    if score is None:
        return ""
    name = f"FD[{score.space}]" if score.name == "frechet" else score.name
    stamp = f"{score.split}, N {score.n:,}"
    return f"{name} {score.value:.4g}, floor {score.floor:.4g} ({stamp})"
