"""Whether games can be stacked, shown by a step of two beside their single ones; what one costs."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from ganforge.config.schema import Config
from ganforge.data.load import Dataset
from ganforge.errors import GanforgeError, one_line
from ganforge.experiments.ensemble import stack
from ganforge.experiments.ensemble.stack import Ensemble
from ganforge.gan import state, step
from ganforge.gan.adversarial import Adversarial
from ganforge.gan.batch import Batch, RandomInputs
from ganforge.gan.penalties import R1, R2, GradientPenalty
from ganforge.gan.state import State, StepHyperparameters
from ganforge.nets import SIDES
from ganforge.training import build
from ganforge.training.device import Resolved
from ganforge.training.random_inputs import seed_user_modules

PAYS = 150_000  # parameters of both players beyond which stacking brings nothing
# of the largest gradient: by how much a stacked one may differ
PRECISIONS = ((torch.float64, 1e-6), (torch.float32, 2e-2))
OBJECTS = 200_000  # bytes of a member's modules, folders and streams
CONTROL_GROUPS = (  # files with the limit and with what is used, of both versions
    ("memory.max", "memory.current"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
)
STILL = StepHyperparameters(dict.fromkeys(SIDES, 0.0))

Drawn = Mapping[str, Sequence[RandomInputs]]


@dataclass(frozen=True)
class Cost:
    """Bytes of one more member, and those that all share (data, draws)."""

    member: int
    shared: int

    def total(self, count: int) -> int:
        """Bytes of so many members."""
        return self.shared + count * self.member

    def games(self, room: float) -> int:
        """How many members so many bytes hold, at least one."""
        return max(1, int((room - self.shared) / self.member))


def why_alone(config: Config, resolved: Resolved, count: int) -> str:
    """Why the settings say that these seeds are better trained one by one; else empty."""
    if count == 1:
        return "it is one seed"
    if type(config.game) is not Adversarial:
        return f"games of kind {config.game.kind} are not stacked"
    for penalty in config.game.penalties:
        if type(penalty) not in (R1, R2, GradientPenalty):
            return f"the penalty {penalty.kind} is not stacked"
    single = {
        "augmentation is not stacked": config.game.augment,
        "mirror images are not stacked": config.mirror,
        "weights of another run are not stacked": config.init_from,
        "micro_batch asks for little memory at a time": config.micro_batch,
    }
    for why, used in single.items():
        if used:
            return why
    if not resolved.device.startswith(("cpu", "cuda")):
        return f"games are not stacked on {resolved.device}"
    return ""


def trial(config: Config, data: Dataset, resolved: Resolved, count: int) -> tuple[str, Cost | None]:
    """(why so many seeds cannot be stacked or it would not pay, else ""; the cost).

    The gradients of one step of two seeds, at rate 0, are compared with those of their single
    steps: a user's networks may draw numbers, or read the whole batch. In double precision, as in
    single precision the sums of a bias's gradient cancel; in single precision if a module cannot
    do otherwise.
    """
    why = why_alone(config, resolved, count)
    if why:
        return why, None
    first = build.initial(config, data.spec)
    size = sum(p.numel() for side in SIDES for p in getattr(first.players, side).parameters())
    if size > PAYS:
        return f"with {size:,} parameters a game, stacking does not pay", None
    for dtype, close in PRECISIONS:
        p = Ensemble(config, (config.seed, config.seed + 1), data, device=resolved.device)
        for each in (p.state, *p.singles):
            convert(each, dtype)
        try:
            inputs = first_inputs(p, dtype)
            saved = stacked_step(p, *inputs)
            same = all(agrees(p, i, *inputs, close) for i in range(2))
        except GanforgeError:
            raise
        except Exception as error:  # whatever a user's module does under vmap
            why = f"these networks cannot be stacked ({one_line(error)})"
            continue
        if not same:
            return "stacked, these networks give other gradients than alone", None
        return "", cost(p, first, saved * 4 // dtype.itemsize)
    return why, None


def convert(whole: State, dtype: torch.dtype) -> None:
    """Give a state's weights, buffers and moments a precision, in place."""
    for module in stack.modules(whole).values():
        module.to(dtype)
    for optimizer in whole.optimizers.values():
        for moments in optimizer.state.values():
            moments.update({k: v.to(dtype) if v.dim() else v for k, v in moments.items()})


def first_inputs(p: Ensemble, dtype: torch.dtype) -> tuple[list[Batch], Drawn]:
    """The examples and the random inputs of the first step, in a precision."""
    drawn = p.random_inputs(0).items()
    return (
        [replace(b, real=b.real.to(dtype)) for b in p.batches()],
        {side: [replace(d, z=d.z.to(dtype)) for d in turns] for side, turns in drawn},
    )


def stacked_step(p: Ensemble, batches: list[Batch], drawn: Drawn) -> int:
    """Play the first step; returns the bytes that a member keeps for its backward passes."""
    sizes: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        step.step(p.state, p.config.game, batches, drawn, STILL, p.options)
    return sum(sizes.values()) // len(p.seeds)


def agrees(p: Ensemble, index: int, batches: list[Batch], drawn: Drawn, close: float) -> bool:
    """Whether a member's gradients of the first step are those of its single step."""

    def row(t: Tensor) -> Tensor:
        return p.by_member(t)[index].clone()

    one = p.singles[index]
    mine = {side: [d.map(row) for d in turns] for side, turns in drawn.items()}
    seed_user_modules(one.players, p.seeds[index], 0)
    step.step(one, p.config.game, [b.map(row) for b in batches], mine, STILL)
    for side in SIDES:
        networks = (getattr(s.players, side).parameters() for s in (p.state, one))
        pairs = [(a.grad[index], b.grad) for a, b in zip(*networks, strict=True)
                 if b.grad is not None]  # fmt: skip
        scale = max((float(b.abs().max()) for _, b in pairs), default=0.0)
        for a, b in pairs:
            if not torch.allclose(a, b, rtol=0, atol=close * scale + 1e-12, equal_nan=True):
                return False
    return True


def cost(p: Ensemble, one: State, saved: int) -> Cost:
    """What a member costs: its state, gradients, the forward pass's memory, its order of the data.

    saved: bytes that one member's backward passes need in a step; as much again comes and goes.
    """
    state_bytes = sum(t.nbytes for t in state.tensors(one).values())
    gradients = sum(q.nbytes for side in SIDES for q in getattr(one.players, side).parameters())
    member = OBJECTS + state_bytes + gradients + 2 * saved + 2 * 8 * len(p.data)
    return Cost(member, p.values.nbytes + 4 * stack.BLOCK_NUMBERS * 4)


def free_memory(device: str) -> int:
    """Bytes that are free: of the machine and of this process's control group."""
    if device.startswith("cuda"):
        return int(torch.cuda.mem_get_info(torch.device(device))[0])
    found = [1024 * int(n) for n in re.findall(r"MemAvailable: *(\d+)", read("/proc/meminfo"))]
    for names in CONTROL_GROUPS:
        limit, used = (read(f"/sys/fs/cgroup/{name}").strip() for name in names)
        if limit.isdecimal() and used.isdecimal():
            found.append(int(limit) - int(used))
    if not found and hasattr(os, "sysconf"):
        found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2)
    return max(2**28, min(found, default=2**32))


def read(path: str) -> str:
    """The text of a file of the system; "" if there is no such file."""
    try:
        return Path(path).read_text()
    except OSError:
        return ""
