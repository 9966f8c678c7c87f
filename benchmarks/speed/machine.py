"""What the machine can do: the rate of its matrix product, measured on the spot."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import torch

from ganforge.runs import folder

SIDE, TRIES = 2048, 8


def product(dtype: torch.dtype) -> float:
    """FLOP/s of a SIDE x SIDE matrix product, the best of a few tries."""
    a, b = (torch.randn(SIDE, SIDE).to(dtype) for _ in range(2))
    a @ b
    best = min(timed(a, b) for _ in range(TRIES))
    return 2 * SIDE**3 / best


def timed(a: torch.Tensor, b: torch.Tensor) -> float:
    """Seconds of one product."""
    began = time.perf_counter()
    a @ b
    return time.perf_counter() - began


def describe(threads: int) -> dict[str, Any]:
    """Machine, versions, date, and the rate of the matrix product in both precisions."""
    torch.set_num_threads(threads)
    return {
        "date": date.today().isoformat(),
        "machine": f"{os.cpu_count()} x {folder.cpu_name()}",
        "system": platform.platform(),
        "versions": folder.versions(),
        "threads": threads,
        "product": {"fp32": product(torch.float32), "bf16": product(torch.bfloat16)},
    }


def line(facts: Mapping[str, Any]) -> str:
    """The facts in a line."""
    peak = facts["product"]
    return (
        f"{facts['date']}, {facts['machine']}, {facts['threads']} thread(s), torch "
        f"{facts['versions']['torch']}; matrix product {peak['fp32'] / 1e9:.0f} GFLOP/s in fp32, "
        f"{peak['bf16'] / 1e9:.0f} in bf16."
    )


def keep(path: Path, found: Mapping[str, Any]) -> None:
    """Write what was found as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=1) + "\n")
