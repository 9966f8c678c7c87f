"""Weights & Biases, offline in `wandb/` of a run folder unless WANDB_MODE says online.

`wandb sync RUN/wandb/offline-*` uploads what was logged. Every session of a run has the same id.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ganforge import files
from ganforge.callbacks.log import LoggedRun
from ganforge.evaluation.score import Score

FOLDER, ID = "wandb", "run-id"


class WandbLogger:
    """One run of wandb for each run folder."""

    def start(self, run: LoggedRun) -> None:
        mode = os.environ.get("WANDB_MODE", "offline")
        if mode != "online":  # before the import, which would set up reports of its errors
            os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        import wandb

        quiet = mode == "offline"
        self.picture = wandb.Image
        self.run: Any = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "ganforge"),
            dir=str(run.path),
            id=identity(run.path / FOLDER / ID),
            name=run.path.name,
            config=dict(run.config),
            mode=mode,
            resume="allow" if mode == "online" else None,
            reinit="create_new",
            settings=wandb.Settings(console="off", silent=quiet, disable_git=quiet),
        )

    def log(self, step: int, values: Mapping[str, float | Path]) -> None:
        shown = {
            name: self.picture(str(value)) if isinstance(value, Path) else value
            for name, value in values.items()
            if not (isinstance(value, Path) and value.suffix != ".png")
        }
        if shown:
            self.run.log(shown, step=step)

    def finish(self, scores: Sequence[Score]) -> None:
        self.run.summary.update({f"score/{score.name}": score.value for score in scores})
        self.run.finish()


def identity(path: Path) -> str:
    """The id of a run, made once and stored in its folder."""
    if not path.exists():
        files.save_file(path, secrets.token_hex(4).encode())
    return files.read_file(path).decode()
