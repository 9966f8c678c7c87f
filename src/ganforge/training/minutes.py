"""A budget in minutes, resolved once into images by a measurement on this machine.

The learning rates fall over the whole budget, so a run needs to know it at its start; the images
are stored with the run, and resuming it measures nothing.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ganforge.config.schema import Config
from ganforge.data.dataset import Dataset
from ganforge.errors import GanforgeError, UsageError
from ganforge.runs.folder import Run
from ganforge.training import distributed, forecast, pairing, threads
from ganforge.training.device import resolve
from ganforge.training.trainer import Trainer

LEAST_KIMG = 0.1
SECONDS = 3.0  # of the steps that are measured


def resolved(config: Config, path: Path, data: Dataset | None = None) -> Config:
    """`config` with `kimg` for its minutes: those of the run in `path`, else measured.

    Raises:
        UsageError: several processes, which do not share a measurement.
        UsageError, DataError: the config may not be trained.
    """
    if config.minutes is None or config.kimg is not None:
        return config
    known = stored(Run(path))
    if known is not None and known[0] == config.minutes:
        return replace(config, kimg=known[1])
    if distributed.from_environment().size > 1:
        raise UsageError(
            f"minutes = {config.minutes:g}: measured in one process only: give the budget as kimg"
        )
    kimg = config.minutes * 60 * rate(config, path, data) / 1000
    return replace(config, kimg=round(max(kimg, LEAST_KIMG), 1))


def estimate(config: Config, path: Path) -> str:
    """A line: how long this machine takes for the budget of a config, by a measurement."""
    data = pairing.load_part(config)
    a_second = rate(config, path, data)
    minutes = config.images(data.epoch) / a_second / 60
    return f"takes    about {minutes:,.0f} minutes here ({a_second:,.0f} pictures/s)"


def stored(run: Run) -> tuple[float, float] | None:
    """(minutes, kimg) of a run whose budget was measured; None for any other."""
    try:
        table = run.settings() if run.exists() else {}
    except GanforgeError:  # said when the run is resumed
        return None
    minutes, kimg = table.get("minutes"), table.get("kimg")
    if isinstance(minutes, int | float) and isinstance(kimg, int | float):
        return float(minutes), float(kimg)
    return None


def rate(config: Config, path: Path, data: Dataset | None = None) -> float:
    """Images a second that this machine trains, by steps of a copy of the run."""
    data = data or pairing.load_part(config)
    wanted = replace(config, minutes=None, kimg=1000.0)
    t = Trainer.build(wanted, Run(path), data, resolve(wanted, {}, distributed.ALONE, data.spec))
    try:
        threads.settle(t, {})
        return forecast.forecast(t, SECONDS).rate
    finally:
        t.batches.close()
