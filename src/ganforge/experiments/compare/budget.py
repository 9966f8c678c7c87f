"""The budget of a comparison: the same for every run, in passes, images or seconds of training."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ganforge import files
from ganforge.config.schema import Config
from ganforge.errors import DataError, UsageError, check
from ganforge.runs.records import Control
from ganforge.training import loop

MEASURE_SECONDS = 10.0  # in which a recipe's speed is measured, at most a tenth of the budget
SPEEDS = "speeds.json"


@dataclass(frozen=True)
class Budget:
    """What every run may use: passes over the data, thousands of real images, or seconds.

    At most one of them; none for those of the recipes, which must then be equal.
    """

    epochs: float | None = None
    kimg: float | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        given = {k: v for k, v in vars(self).items() if v is not None}
        if len(given) > 1:
            names = " and ".join(f"--{name}" for name in given)
            raise UsageError(f"{names} all state the budget: give one of them")
        for name, value in given.items():
            check(0 < value < float("inf"), name, value, "more than 0")


def with_budget(configs: Mapping[str, Config], budget: Budget, out: Path) -> dict[str, Config]:
    """The configs, each with the budget.

    Seconds become the number of images that this machine trains on in that time. It is measured
    once and saved in OUT/speeds.json, so that a comparison has the same budget when it continues.

    Raises:
        UsageError: the budgets of the recipes are needed and differ.
        DataError: speeds.json is damaged.
    """
    if budget.epochs is not None:
        return {k: replace(c, epochs=budget.epochs, kimg=None) for k, c in configs.items()}
    if budget.kimg is not None:
        return {k: replace(c, kimg=budget.kimg) for k, c in configs.items()}
    if budget.seconds is not None:
        seconds = budget.seconds
        return {k: replace(c, kimg=kimg_in(k, c, seconds, out)) for k, c in configs.items()}
    each = {k: f"{c.epochs:g} epochs" if c.kimg is None else f"{c.kimg:g} kimg"
            for k, c in configs.items()}  # fmt: skip
    if len(set(each.values())) > 1:
        raise UsageError(
            f"{', '.join(map(' '.join, each.items()))}: no equal budget; give one for all with "
            "--epochs, --kimg or --seconds"
        )
    return dict(configs)


def kimg_in(label: str, config: Config, seconds: float, out: Path) -> float:
    """Thousands of real images that a recipe trains on in so many seconds, measured once."""
    known = read_speeds(out / SPEEDS)
    if known.get(label, {}).get("seconds") != seconds:
        speed = images_a_second(config, min(MEASURE_SECONDS, seconds / 10))
        kimg = round(max(speed * seconds, config.batch) / 1000, 3)
        known[label] = {"seconds": seconds, "images_per_second": round(speed, 1), "kimg": kimg}
        files.write_json(out / SPEEDS, known)
    return known[label]["kimg"]


def read_speeds(path: Path) -> dict[str, dict[str, float]]:
    """The speeds that were measured before, by recipe; DataError if the file is damaged."""
    table = files.read_json(path, {})
    try:
        return {k: {n: float(x) for n, x in v.items()} for k, v in table.items()}
    except (ValueError, TypeError, AttributeError):
        raise DataError(f"{path}: damaged: remove it, the speeds are measured again") from None


def images_a_second(config: Config, seconds: float) -> float:
    """Real images that D sees in a second, measured by training for so many seconds."""
    output = replace(config.output, log_every=10, score_every=0.0, patience=0.0)
    trial = replace(config, epochs=1e6, kimg=None, output=output)
    control, seen = Control(), []
    with tempfile.TemporaryDirectory() as folder:
        for t, progress in loop.training(trial, Path(folder) / "trial", control, race=False):
            if t.state.step and not progress.saved:
                seen.append((t.samples_seen, t.clock.seconds))
                control.stop = t.clock.seconds > seconds and len(seen) > 1
    (first, began), (last, ended) = seen[0], seen[-1]
    return (last - first) / max(ended - began, 1e-9)
