"""Several processes, one game: torch.distributed (NCCL, Gloo), a flat sum inside the step.

Each rank plays its slice of the global batch with draws that are functions of the global sample
index, and gradients are summed once a turn, flat. No hooks: DistributedDataParallel's fire on
`backward` alone and are silently wrong with penalties that differentiate the gradient.
"""

from __future__ import annotations

import logging
import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch import distributed as dist

from ganforge.errors import UsageError

if TYPE_CHECKING:
    from torch.distributed.distributed_c10d import Store

TIMEOUT = 600.0  # seconds that a process waits for the others


@dataclass(frozen=True)
class World:
    """rank of `size` processes; local: this one's number on its machine, of `here` processes."""

    rank: int = 0
    size: int = 1
    local: int = 0
    here: int = 1

    @property
    def is_main_process(self) -> bool:
        """Whether this process writes files and prints."""
        return self.rank == 0

    def part(self, batch: int) -> tuple[int, int]:
        """(first, count) of this rank's slice of a global batch."""
        if batch % self.size:
            raise UsageError(
                f"batch = {batch} cannot be split over {self.size} processes: "
                f"use a multiple, such as --batch {-(-batch // self.size) * self.size}"
            )
        count = batch // self.size
        return self.rank * count, count


ALONE = World()


def from_environment() -> World:
    """What torchrun says of this process; a world of one without it."""
    if os.environ.get("WORLD_SIZE", "1") == "1":
        return ALONE
    found = {key: os.environ.get(key, "") for key in ("RANK", "WORLD_SIZE", "LOCAL_RANK")}
    found["LOCAL_WORLD_SIZE"] = os.environ.get("LOCAL_WORLD_SIZE", found["WORLD_SIZE"])
    for key, value in found.items():
        if not value.isdecimal() or (key.endswith("SIZE") and int(value) < 1):
            raise UsageError(
                f"{key} = {value!r} beside WORLD_SIZE = {found['WORLD_SIZE']!r} in the environment:"
                " start the processes with torchrun or --gpus, or unset WORLD_SIZE to train in one"
            )
    rank, size, local, here = map(int, found.values())
    return World(rank, size, local, here)


def join(world: World, device: str, store: Store | None = None, timeout: float = TIMEOUT) -> None:
    """Make the process group, over NCCL on GPUs and Gloo elsewhere.

    Args:
        store: in which the ranks find each other; None for the one that the environment names.
        timeout: seconds, of every exchange.
    """
    if world.size > 1 and not dist.is_initialized():
        cuda = device.startswith("cuda")
        if cuda:
            torch.cuda.set_device(device)  # NCCL's barrier would take device 0 on every rank
        dist.init_process_group(
            "nccl" if cuda else "gloo",
            store=store,
            rank=world.rank,
            world_size=world.size,
            timeout=timedelta(seconds=timeout),
        )


def gather(rows: Tensor) -> Tensor:
    """The rows (b, ...) of all processes as (B, ...), in the order of their ranks."""
    parts = [torch.empty(rows.shape, dtype=rows.dtype, device=rows.device)
             for _ in range(dist.get_world_size())]  # fmt: skip
    dist.all_gather(parts, rows.contiguous())
    return torch.cat(parts)


def leave() -> None:
    """Part from the other processes, if there are any."""
    if dist.is_initialized():
        dist.destroy_process_group()


def launch(processes: int, words: list[str]) -> int:
    """Run `ganforge WORDS` in `processes` processes under torchrun; the first fault's exit code.

    A signal goes to all of them once; they save, and the code is 128 + its number. After SIGUSR1
    they save and go on.
    """
    from torch.distributed import run as torchrun
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    # each process has said in a line what is wrong; torchrun's tables would bury it
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    if hasattr(signal, "SIGUSR1"):  # torchrun knows nothing of it: the launcher would die of it
        signal.signal(signal.SIGUSR1, pass_on)
    options = ["--standalone", f"--nproc-per-node={processes}", "-m", "ganforge"]
    try:
        parsed = torchrun.parse_args([*options, *words])  # type: ignore[no-untyped-call]
        torchrun.run(parsed)  # type: ignore[no-untyped-call]
    except ChildFailedError as error:
        code = int(error.get_first_failure()[1].exitcode)
        return 128 - code if code < 0 else code  # as shells number a process that a signal ended
    except SignalException as error:
        return 128 + int(error.sigval)
    return 0


def pass_on(number: int, frame: FrameType | None) -> None:
    """Send a signal on to the processes that this one has started (as far as Linux lists them)."""
    for listed in Path("/proc/self/task").glob("*/children"):
        for child in listed.read_text().split():
            with suppress(ProcessLookupError):
                os.kill(int(child), number)


def all_reduce(tensors: list[Tensor]) -> None:
    """The sum of each tensor over all ranks, in place, in one flat message."""
    flat = torch.cat([t.reshape(-1) for t in tensors])
    dist.all_reduce(flat)
    for tensor, total in zip(tensors, torch.split(flat, [t.numel() for t in tensors]), strict=True):
        tensor.copy_(total.view(tensor.shape))


def any_rank(world: World, flags: list[bool], device: str) -> list[bool]:
    """For each flag, whether it is set on any rank; the same answer everywhere."""
    if world.size == 1:
        return flags
    numbers = torch.tensor([float(f) for f in flags], device=device)
    dist.all_reduce(numbers, dist.ReduceOp.MAX)
    return [bool(n) for n in numbers.tolist()]


def from_leader(world: World, value: Any, device: str) -> Any:
    """The leader's `value`, anything that can be pickled, on every rank.

    device: of the exchange.
    """
    sent = [value]
    if world.size > 1:
        dist.broadcast_object_list(sent, 0, device=torch.device(device))
    return sent[0]


def broadcast(world: World, tensors: list[Tensor], device: str) -> None:
    """Give every rank the leader's tensors, in place, whatever their strides and device.

    device: of the exchange.
    """
    if world.size > 1:
        for tensor in tensors:
            sent = tensor.detach().to(device).contiguous()
            dist.broadcast(sent, 0)
            tensor.copy_(sent)


def barrier(world: World) -> None:
    """Wait for the other processes, if there are any."""
    if world.size > 1:
        dist.barrier()
