"""Where a run goes on: the leader reads the checkpoint, every process gets what it holds.

Only the leader looks into the run folder: other machines may have none, or an older one. What all
processes then have is compared, as sums over the gradients of different players are nobody's.
"""

from __future__ import annotations

import hashlib
from typing import Any

import torch
from torch import Tensor

from ganforge import checkpoint, distributed, meeting, runs, state
from ganforge.checkpoint import Checkpoint
from ganforge.devices import Resolved
from ganforge.errors import DataError, UsageError
from ganforge.progress import MEANS
from ganforge.training import Training

INTERVAL = (*MEANS, "skipped", "images_per_second")  # of a record: what an interval has brought


def resume(t: Training) -> tuple[bool, list[str]]:
    """Load the newest good checkpoint into `t`, on every process.

    Returns whether there is one, and what the user should know. Raises UsageError where processes
    differ after it; nothing is written before that.
    """
    notes: list[str] = []
    table: dict[str, Any] = {}
    if t.world.leads:
        found, notes = checkpoint.newest(t.run.checkpoints)
        if found is not None:
            load(t, found)
            table = position(t) | {"planned": int(found.manifest.get("steps", t.steps))}
    table = meeting.from_leader(t.meeting, table)
    if table:
        if not t.world.leads:
            follow(t, table)
        everything = [*state.tensors(t.state).values(), *t.totals.values()]
        distributed.broadcast(t.world, everything, t.resolved.device)
    same_start(t)
    if t.world.leads:
        step = t.state.step if table else -1
        checkpoint.clean(t.run.checkpoints)
        checkpoint.set_aside(t.run.checkpoints, step)
        runs.cut_log(t.run.log_path, step)
    return bool(table), notes + (outlook(t, table["planned"]) if table else [])


def load(t: Training, found: Checkpoint) -> None:
    """Copy a checkpoint into `t`."""
    saved = dict(found.tensors)
    log = {k[4:]: saved.pop(k) for k in list(saved) if k.startswith("log.")}
    if any(value.dim() for value in log.values()):
        raise DataError(f"{found.path}: its log is damaged: remove it to use the one before")
    device = torch.device(t.resolved.device)
    t.counted = int(log.pop("counted", torch.zeros(())))
    t.totals = {name: value.to(device) for name, value in log.items()}
    t.state.aux.update({k[4:]: v.to(device) for k, v in saved.items() if k.startswith("aux.")})
    state.load(t.state, saved, str(found.path))
    t.state.step = found.step
    t.seconds = float(found.manifest.get("seconds", 0.0))
    t.skipped = int(found.manifest.get("skipped", 0))
    t.pending = [record for record in t.pending if record["step"] <= found.step]
    t.rate_scale = float(found.manifest.get("rate_scale", 1.0))
    means = found.manifest.get("means", {})
    t.means = {k: v for k, v in means.items() if k in INTERVAL and runs.well_typed((k, v))}


NUMBERS = ("seconds", "skipped", "rate_scale", "counted", "means")  # of Training, beside tensors


def position(t: Training) -> dict[str, Any]:
    """Where `t` stands, as JSON: its numbers, and what tensors it has."""
    return {name: getattr(t, name) for name in NUMBERS} | {
        "step": t.state.step,
        "totals": kinds(t.totals),
        "aux": kinds(t.state.aux),
        "tensors": kinds(state.tensors(t.state)),
    }


def follow(t: Training, table: dict[str, Any]) -> None:
    """Make `t` ready for the leader's tensors. table: the leader's `position`."""
    device = torch.device(t.resolved.device)
    for name in NUMBERS:
        setattr(t, name, table[name])
    t.state.step = table["step"]
    for target, listed in ((t.totals, table["totals"]), (t.state.aux, table["aux"])):
        target.clear()
        for name, (shape, dtype) in listed.items():
            target[name] = torch.zeros(shape, dtype=getattr(torch, dtype), device=device)
    if kinds(state.tensors(t.state)) != table["tensors"]:
        raise UsageError(
            f"the networks of rank {t.world.rank} are not those of the leader's checkpoint: give "
            "every machine the same code and settings"
        )


def kinds(tensors: dict[str, Tensor]) -> dict[str, list[Any]]:
    """Shape and dtype of each tensor, as JSON holds them."""
    return {k: [list(v.shape), str(v.dtype).removeprefix("torch.")] for k, v in tensors.items()}


def outlook(t: Training, planned: int) -> list[str]:
    """What the user should know of a run that goes on. planned: the budget before, in steps."""
    notes = []
    if t.state.step < t.steps:
        notes.append(f"resumed at step {t.state.step:,} of {t.steps:,}")
    falls = min(t.config.generator.decay_from, t.config.discriminator.decay_from) < 1
    if falls and planned != t.steps and t.state.step > 0:
        notes.append(
            f"the budget was {planned:,} steps, and the learning rates fall with it: this is not "
            f"the run that {t.steps:,} steps from the start would have been"
        )
    return notes


def same_start(t: Training) -> None:
    """UsageError where a process stands elsewhere than the leader, or has another tensor."""
    if t.world.size == 1:
        return
    stands = meeting.gather(t.meeting, [t.state.step, t.rate_scale, digest(t)])
    for rank, there in enumerate(stands):
        if there != stands[0]:
            what = "stands at another step" if there[0] != stands[0][0] else "has other players"
            raise UsageError(
                f"rank {rank} {what} than rank 0 before step {t.state.step + 1:,}: give every "
                "machine the same code, settings and kind of processor; nothing was written"
            )


def digest(t: Training) -> str:
    """sha256 of every tensor of the state, with its name."""
    found = hashlib.sha256()
    for name, tensor in sorted(state.tensors(t.state).items()):
        found.update(name.encode())
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        found.update(flat.view(torch.uint8).numpy().data)
    return found.hexdigest()


def begin_again(t: Training) -> None:
    """Back to the state before the first step, the log too."""
    device = torch.device(t.resolved.device)
    fresh = state.initial(t.config, t.data.spec, device, t.resolved.precision, data=t.data)
    t.state.aux.clear()
    state.load(t.state, state.tensors(fresh), "the first state")
    t.state.step = t.skipped = t.counted = 0
    t.totals, t.means = {}, {}
    t.pending.clear()
    same_start(t)
    if t.world.leads:
        runs.cut_log(t.run.log_path, -1)


def same_machine(t: Training, before: dict[str, Any]) -> list[str]:
    """Note whether a resumed run goes on bit for bit; returns what the user should know.

    Asked when it is settled how steps are played. before: what was last known of the run
    (`runs.last_known`), {} for a fresh one.
    """
    if not t.state.step:
        return []
    changed = different_machine(before, t.resolved)
    t.exact = bool(before.get("exact", True)) and not changed
    return [f"not bit-exact from here: {changed}"] if changed else []


def different_machine(before: dict[str, Any], now: Resolved) -> str:
    """What has changed of that on which bit-exactness depends, in words; empty where nothing."""
    old = {**before.get("versions", {}), **before.get("resolved", {})}
    new: dict[str, Any] = {**runs.versions(), **now.table()}
    return "; ".join(
        f"{key} was {old[key]}, is {new[key]}"
        for key in new
        if key in old and old[key] != new[key] and key not in ("ganforge", "python")
    )
