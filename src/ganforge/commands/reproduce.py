"""`ganforge reproduce`: an experiment by name, in its folder."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from ganforge.errors import check, choice
from ganforge.experiments.seeds.plan import parse
from ganforge.reproduce import EXPERIMENTS


def reproduce(
    experiment: str, seeds: str | None, budget: float | None, out: Path | None, threads: int
) -> str:
    """The experiment's table, and where its runs are."""
    choice("experiment", experiment, list(EXPERIMENTS))
    check(budget is None or 0 < budget < math.inf, "budget", budget, "a number of epochs above 0")
    check(threads >= 0, "threads", threads, "0 (all) or more")
    folder = out or Path("runs") / f"reproduce-{experiment}"
    options: dict[str, Any] = {} if seeds is None else {"seeds": parse(seeds)}
    text = EXPERIMENTS[experiment](folder, budget=budget, threads=threads, **options)
    return f"{text}\nkept in {folder}"
