"""Whether games can be stacked, shown by a step of two beside their single ones; what one costs."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from ganforge.config.schema import Config
from ganforge.data.load import Dataset
from ganforge.errors import GanforgeError
from ganforge.experiments.ensemble import stack
from ganforge.gan import state, step
from ganforge.gan.adversarial import Adversarial
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
STILL = StepHyperparameters(dict.fromkeys(SIDES, 0.0))


@dataclass(frozen=True)
class Cost:
    """Bytes of one more member, and those that all share (data, draws)."""

    member: int
    shared: int

    def total(self, count: int) -> int:
        """Bytes of so many members."""
        return self.shared + count * self.member


def why_alone(config: Config, resolved: Resolved, count: int) -> str:
    """Why these seeds are better trained one by one, as far as the settings tell; else empty."""
    if count == 1:
        return "it is one seed"
    if type(config.game) is not Adversarial:
        return f"games of kind {config.game.kind} are not stacked"
    for penalty in config.game.penalties:
        if type(penalty) not in (R1, R2, GradientPenalty):
            return f"the penalty {penalty.kind} is not stacked"
    if config.micro_batch:
        return "micro_batch asks for little memory at a time"
    if not resolved.device.startswith(("cpu", "cuda")):
        return f"games are not stacked on {resolved.device}"
    return ""


def trial(config: Config, data: Dataset, resolved: Resolved) -> tuple[str, Cost | None]:
    """(why the games cannot be stacked or it would not pay, "" where they can; the cost).

    The gradients of one step of two seeds, at rate 0, are held to those of their single steps:
    networks of a user's own may draw, or look at the whole batch. In double precision, for in
    single one the sums of a bias's gradient cancel; in single where a module cannot do otherwise.
    """
    first = build.initial(config, data.spec)
    count = sum(p.numel() for side in SIDES for p in getattr(first.players, side).parameters())
    if count > PAYS:
        return f"with {count:,} parameters a game, stacking does not pay", None
    why = ""
    for dtype, close in PRECISIONS:
        p = stack.build(config, (config.seed, config.seed + 1), data, device=resolved.device)
        for each in (p.state, *p.singles):
            convert(each, dtype)
        try:
            saved, same = compare(p, dtype, close)
        except GanforgeError:
            raise
        except Exception as error:  # whatever a user's own module does under vmap
            line = (str(error).splitlines() or [type(error).__name__])[0]
            why = f"these networks cannot be stacked ({line[:120]})"
            continue
        if not same:
            return "stacked, these networks give other gradients than alone", None
        return "", cost(p, first, saved * 4 // dtype.itemsize)
    return why, None


def convert(whole: State, dtype: torch.dtype) -> None:
    """Give a state's weights, buffers and moments a precision, in place."""
    for module in (whole.players.generator, whole.players.discriminator, whole.average):
        if module is not None:
            module.to(dtype)
    for optimizer in whole.optimizers.values():
        for held in optimizer.state.values():
            held.update({k: v.to(dtype) if v.dim() else v for k, v in held.items()})


def compare(p: stack.Ensemble, dtype: torch.dtype, close: float) -> tuple[int, bool]:
    """(bytes that a member keeps for the backward passes of a step, whether gradients agree)."""
    rows = [replace(b, real=b.real.to(dtype)) for b in p.batches()]
    draws = {
        side: [replace(turn, z=turn.z.to(dtype)) for turn in turns]
        for side, turns in p.random_inputs(0).items()
    }
    held: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        held[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        step.step(p.state, p.config.game, rows, draws, STILL, p.options)
    for i, seed in enumerate(p.seeds):
        one = p.singles[i]
        own = [b.map(partial(row_of, len(p.seeds), i)) for b in rows]
        mine = {
            side: [replace(turn, z=turn.z.to(dtype)) for turn in turns]
            for side, turns in p.sources[i].at(0).items()
        }
        seed_user_modules(one.players, seed, 0)
        step.step(one, p.config.game, own, mine, STILL)
        if not agree(p, i, close):
            return 0, False
    return sum(held.values()) // 2, True


def row_of(members: int, index: int, t: Tensor) -> Tensor:
    """A member's part of a tensor (M B, ...), copied."""
    return t.view(members, -1, *t.shape[1:])[index].clone()


def agree(p: stack.Ensemble, index: int, close: float) -> bool:
    """Whether a member's gradients are those of its own single step."""
    for side in SIDES:
        stacked = getattr(p.state.players, side)
        own = dict(getattr(p.singles[index].players, side).named_parameters())
        pairs = [
            (getattr(stacked, mangled).grad[index], own[name].grad)
            for name, mangled in stacked.names.items()
            if name in own and own[name].grad is not None
        ]
        scale = max((float(b.abs().max()) for _, b in pairs), default=0.0)
        for a, b in pairs:
            if not torch.allclose(a, b, rtol=0, atol=close * scale + 1e-12, equal_nan=True):
                return False
    return True


def cost(p: stack.Ensemble, one: State, saved: int) -> Cost:
    """What a member costs: its state, gradients, the forward pass's memory, its order of the data.

    saved: bytes kept for one member's backward passes in a step; as much again comes and goes.
    """
    tensors = sum(t.nbytes for t in state.tensors(one).values())
    gradients = sum(q.nbytes for side in SIDES for q in getattr(one.players, side).parameters())
    member = OBJECTS + tensors + gradients + 2 * saved + 2 * 8 * len(p.data)
    return Cost(member, p.values.nbytes + 4 * stack.BLOCK_NUMBERS * 4)


def free_memory(device: str = "cpu") -> int:
    """Bytes that may still be taken: of the machine and of this process's control group."""
    if device.startswith("cuda"):
        return int(torch.cuda.mem_get_info(torch.device(device))[0])
    found = []
    for line in _read("/proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            found.append(int(line.split()[1]) * 1024)
    for limit, used in (
        ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
        (
            "/sys/fs/cgroup/memory/memory.limit_in_bytes",
            "/sys/fs/cgroup/memory/memory.usage_in_bytes",
        ),
    ):
        texts = _read(limit).strip(), _read(used).strip()
        if texts[0].isdecimal() and texts[1].isdecimal():
            found.append(int(texts[0]) - int(texts[1]))
    if not found and hasattr(os, "sysconf"):
        found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2)
    return max(2**28, min(found, default=2**32))


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""
