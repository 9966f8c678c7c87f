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
from torch import Tensor, nn
from torch import distributed as dist

from ganforge.errors import UsageError, lacks_peer
from ganforge.nets.layers import conv_like

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
    def leads(self) -> bool:
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
    for key, value in found.items():
        if not value.isdecimal():
            raise UsageError(
                f"{key} = {value!r} beside WORLD_SIZE = {found['WORLD_SIZE']!r} in the environment:"
                " start the processes with torchrun or --gpus, or unset WORLD_SIZE to train in one"
            )
    rank, size, local = map(int, found.values())
    return World(rank, size, local, here())


def here() -> int:
    """Processes of the run on this machine, by the environment; all of them if it names none."""
    size = os.environ.get("WORLD_SIZE", "1")
    number = os.environ.get("LOCAL_WORLD_SIZE", size)
    if not number.isdecimal() or int(number) < 1:
        raise UsageError(
            f"LOCAL_WORLD_SIZE = {number!r} beside WORLD_SIZE = {size!r} in the environment: start "
            "the processes with torchrun or --gpus, or unset both to train in one"
        )
    return int(number)


def join(world: World, device: str, store: Store | None = None, timeout: float = TIMEOUT) -> None:
    """Make the process group, over NCCL on GPUs and Gloo elsewhere.

    store: in which the ranks find each other; None for the one that the environment names. timeout:
    seconds, of every exchange.
    """
    if world.size > 1 and not dist.is_initialized():
        if device.startswith("cuda"):
            torch.cuda.set_device(device)  # NCCL's barrier would take device 0 on every rank
        try:
            dist.init_process_group(
                "nccl" if device.startswith("cuda") else "gloo",
                store=store,
                rank=world.rank if store is not None else -1,
                world_size=world.size if store is not None else -1,
                timeout=timedelta(seconds=timeout),
            )
        except (ValueError, RuntimeError) as error:
            if store is not None and lacks_peer(error):
                raise  # they have met before: one has gone since
            reason = " ".join(str(error).split())[:200]
            raise UsageError(
                f"the {world.size} processes do not meet ({reason}): start them with torchrun or "
                "--gpus"
            ) from None


def leave() -> None:
    """Part from the other processes, where there were any."""
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


def exchange(tensors: list[Tensor]) -> None:
    """The sum of each tensor over all ranks, in place, in one flat message."""
    flat = torch.cat([t.reshape(-1) for t in tensors])
    dist.all_reduce(flat)
    for tensor, total in zip(tensors, torch.split(flat, [t.numel() for t in tensors]), strict=True):
        tensor.copy_(total.view(tensor.shape))


def any_rank(world: World, flags: list[bool], device: str) -> list[bool]:
    """For each flag, whether it is set on any rank; the same answer everywhere."""
    if world.size == 1:
        return flags
    told = torch.tensor([float(f) for f in flags], device=device)
    dist.all_reduce(told, dist.ReduceOp.MAX)
    return [bool(f) for f in told.tolist()]


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
    """Wait for the other processes, where there are any."""
    if world.size > 1:
        dist.barrier()


class SumOverRanks(torch.autograd.Function):
    """The sum of a tensor over all ranks; its gradient is the sum of theirs, and so on."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return sum_over_ranks(gradients[0])


def sum_over_ranks(x: Tensor) -> Tensor:
    """`SumOverRanks`, applied."""
    total: Tensor = SumOverRanks.apply(x)  # type: ignore[no-untyped-call]
    return total


class SyncBatchNorm(nn.Module):
    """Batch norm over the batches of all ranks, twice differentiable, on any device.

    torch's own refuses the CPU. Two moments are summed by a differentiable all-reduce; every rank
    must hold as many examples. Parameters and buffers are those of the layer it replaces.
    """

    def __init__(self, layer: nn.modules.batchnorm._BatchNorm):
        super().__init__()
        self.weight, self.bias = layer.weight, layer.bias
        self.eps, self.momentum = layer.eps, layer.momentum or 0.1
        for name in ("running_mean", "running_var", "num_batches_tracked"):
            self.register_buffer(name, getattr(layer, name))

    def forward(self, x: Tensor) -> Tensor:
        running_mean, running_var = self.get_buffer("running_mean"), self.get_buffer("running_var")
        if not self.training:
            return nn.functional.batch_norm(
                x, running_mean, running_var, self.weight, self.bias, False, 0.0, self.eps
            )
        over = [d for d in range(x.dim()) if d != 1]
        wide = x.float() if x.dtype == torch.bfloat16 else x
        local = torch.stack([wide.mean(over), wide.square().mean(over)])
        mean, square = sum_over_ranks(local) / dist.get_world_size()
        var = square - mean.square()
        count = x.numel() // x.shape[1] * dist.get_world_size()
        with torch.no_grad():
            running_mean.lerp_(mean.to(running_mean.dtype), self.momentum)
            unbiased = var * count / max(1, count - 1)
            running_var.lerp_(unbiased.to(running_var.dtype), self.momentum)
            self.get_buffer("num_batches_tracked").add_(1)
        scale = self.weight * torch.rsqrt(var + self.eps)
        shift = self.bias - mean * scale
        return (wide * conv_like(scale, x) + conv_like(shift, x)).to(x.dtype)


def synchronise(module: nn.Module) -> None:
    """Replace every batch norm in `module` by one over all ranks, in place."""
    for name, child in module.named_children():
        if isinstance(child, nn.modules.batchnorm._BatchNorm):
            setattr(module, name, SyncBatchNorm(child))
        else:
            synchronise(child)
