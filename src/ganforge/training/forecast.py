"""What a run will take, by a few steps of a copy: its state and its folder are not touched."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib import import_module

import torch

from ganforge.training import threads
from ganforge.training.trainer import Trainer

SECONDS = 0.5  # of steps that are measured, at least
LONGEST = 4.0  # seconds after which no further steps are measured
WARM, MOST_STEPS = 16, 512  # of a measurement; WARM steps have every lazy penalty
SLOW = 0.1  # seconds of a step after which one is enough to warm up


@dataclass(frozen=True)
class Forecast:
    """Steps of a copy of a run.

    steps, seconds: that were measured. rate: real examples a second. memory: bytes of this process
    at its peak, of a GPU those of the tensors; None if the system does not say.
    """

    steps: int
    seconds: float
    rate: float
    memory: int | None


def forecast(t: Trainer, seconds: float = SECONDS) -> Forecast:
    """Measure steps of a copy of `t`, whose threads are settled.

    Args:
        t: of one process.
        seconds: of steps that are measured, at least, if these are fewer than MOST_STEPS.

    Raises:
        OutOfMemoryError: a step does not fit into the memory.
    """
    steps, spent, number = 0, 0.0, t.resolved.threads
    with threads.twin(t) as (measure, _):
        if measure(number, 0, 1) < SLOW:
            measure(number, 1, WARM - 1)
        while steps < MOST_STEPS and (spent < seconds or (steps < WARM and spent < LONGEST)):
            count = 1 if steps < WARM else WARM
            spent += measure(number, steps, count)
            steps += count
    return Forecast(steps, spent, steps * t.images_a_step / spent, peak_memory(t.resolved.device))


def peak_memory(device: str) -> int | None:
    """Bytes of this process at its peak; on a GPU of its tensors; None if that is not known."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated(torch.device(device))
    try:
        resource = import_module("resource")
    except ImportError:  # Windows
        return None
    peak = int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    return peak if sys.platform == "darwin" else 1024 * peak
