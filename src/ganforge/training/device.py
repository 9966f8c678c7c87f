"""What `auto` means on this machine: device, precision, threads; resolved once for a run."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from typing import Any

import torch

from ganforge.config.schema import Config
from ganforge.data.spec import DataSpec
from ganforge.errors import UsageError
from ganforge.training.distributed import ALONE, World


@dataclass(frozen=True)
class Resolved:
    """device: "cpu", "cuda:0", "mps". precision: "fp32" or "bf16". threads: of the CPU.

    processes: that share the batch. compile: whether steps are compiled or captured. stacked: games
    in the ensemble that the run is trained in, 0 for a single run: sums over other shapes round
    differently.
    """

    device: str
    precision: str
    threads: int
    processes: int = 1
    compile: bool = False
    stacked: int = 0

    def table(self) -> dict[str, Any]:
        """As in run.json, with the model of the GPU, on which the bits of a result depend."""
        cuda = self.device.startswith("cuda")
        return asdict(self) | ({"gpu": torch.cuda.get_device_name(self.device)} if cuda else {})


def resolve(
    config: Config,
    before: dict[str, Any] | None = None,
    world: World = ALONE,
    spec: DataSpec | None = None,
) -> Resolved:
    """What every `auto` of a config means on this machine; what a run chose `before` stays.

    spec: of the data, pictures if None. If the device that `auto` chose no longer exists, it is the
    best of this machine. UsageError if the config names a device that this machine lacks.
    """
    chosen = before or {}
    device = config.device
    if device == "auto":
        device = chosen.get("device", "")
        if world.size > 1:  # each process has a separate GPU
            device = device.partition(":")[0]
        device = device if is_there(device) else kinds()[0]
    if device == "cuda" and world.size > 1:
        device = f"cuda:{world.local}"
    check_device(device)
    precision = config.precision
    if precision == "auto":
        precision = chosen.get("precision", best_precision(device, spec))
    threads = config.threads or chosen.get("threads") or max(1, cores() // world.here)
    return Resolved(device, precision, threads, world.size, config.compile)


def cores() -> int:
    """CPU cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def kinds() -> list[str]:
    """The kinds of device of this machine, the fastest first."""
    found = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    return [*(kind for kind in found if found[kind]), "cpu"]


def is_there(device: str) -> bool:
    """Whether tensors can be put on `device`."""
    kind, _, index = device.partition(":")
    numbered = kind == "cuda" and index.isdecimal() and int(index) < torch.cuda.device_count()
    return kind in kinds() and (numbered or ":" not in device)


def check_device(device: str) -> None:
    """UsageError unless tensors can be put on `device`."""
    have = f"this machine has {torch.cuda.device_count()} CUDA devices, from cuda:0"
    if device.partition(":")[0] not in kinds():
        have = f"not on this machine, which has {', '.join(reversed(kinds()))}"
    if not is_there(device):
        raise UsageError(f"device = {device!r}: {have}")


def best_precision(device: str, spec: DataSpec | None) -> str:
    """bf16 if the machine multiplies it natively and the data are pictures, fp32 elsewhere.

    Games on vectors are too narrow to gain by it: the casts cost more than the products save
    (docs/notes/performance.md), and three digits are few for points in a plane.
    """
    if spec is not None and not spec.is_image:
        return "fp32"
    if device.startswith("cuda"):
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    if device == "cpu":
        fast = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
        return "bf16" if fast else "fp32"
    return "fp32"
