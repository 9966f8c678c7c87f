"""Steps of several sides by turns, so that what else the machine does falls on all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from statistics import median


def rates(
    sides: Mapping[str, Callable[[int], object]], rounds: int, steps: int, images: int
) -> dict[str, float]:
    """Pictures a CPU second of each side, the medians of the rounds.

    Args:
        sides: name -> one step, given its number.
        rounds: measured, after one that warms up.
        steps: of a side in a round.
        images: pictures of a step.
    """
    found: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(-1, rounds):
        for name, step in sides.items():
            began = time.process_time()
            for i in range(steps):
                step(max(0, number) * steps + i)
            if number >= 0:
                found[name].append(images * steps / (time.process_time() - began))
    return {name: median(each) for name, each in found.items()}
