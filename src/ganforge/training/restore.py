"""Where a run goes on: the leader reads the checkpoint, every process gets what it holds.

Only the leader looks into the run folder: other machines may have none, or an older one. What all
processes then have is compared, as sums over the gradients of different players are nobody's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ganforge import files
from ganforge.errors import DataError, UsageError
from ganforge.gan import state
from ganforge.runs import checkpoint, folder
from ganforge.runs.checkpoint import Checkpoint
from ganforge.training import build, distributed, meeting, transfer
from ganforge.training.device import Resolved
from ganforge.training.trainer import Trainer


def resume(t: Trainer) -> tuple[bool, list[str]]:
    """Load the newest good checkpoint into `t`, on every process.

    Returns whether there is one, and what the user should know. Raises UsageError if processes
    differ after it; nothing is written before that.
    """
    found: Checkpoint | None = None
    notes: list[str] = []
    if t.world.is_main_process:
        found, notes = checkpoint.newest(t.run.checkpoints)
    exists = bool(meeting.from_leader(t.meeting, found is not None))
    if exists:
        shared: Checkpoint = distributed.from_leader(t.world, found, t.resolved.device)
        known = load(t, shared)
        if t.state.step < t.steps:
            notes = [*notes, f"resumed at step {t.state.step:,} of {t.steps:,}"]
        notes = notes + known
    same_start(t)
    if t.world.is_main_process:
        step = t.state.step if exists else -1
        checkpoint.clean(t.run.checkpoints)
        checkpoint.set_aside(t.run.checkpoints, step)
        folder.cut_log(t.run.log_path, step)
        folder.cut_samples(t.run.samples, max(step, 0))
    return exists, notes


def foresee(t: Trainer) -> tuple[Path | None, list[str]]:
    """Bring `t` to where `resume` would, in one process and without a write.

    Returns the checkpoint and what the user should know. Raises what `resume` and
    `transfer.begin_from` raise.
    """
    found, notes = checkpoint.newest(t.run.checkpoints)
    if found is not None:
        return found.path, notes + load(t, found)
    if t.config.init_from:
        notes.append(transfer.copy_from(t))
    return None, notes


def load(t: Trainer, found: Checkpoint) -> list[str]:
    """Copy a checkpoint into `t`; what the user should know of the run from there."""
    saved = dict(found.tensors)
    log = {k[4:]: saved.pop(k) for k in list(saved) if k.startswith("log.")}
    if any(value.dim() for value in log.values()):
        raise DataError(f"{found.path}: its log is damaged: remove it to use the one before")
    device = torch.device(t.resolved.device)
    t.counted = int(log.pop("counted", torch.zeros(())))
    t.totals = {name: value.to(device) for name, value in log.items()}
    state.load(t.state, saved, str(found.path))
    t.state.step = found.step
    t.clock.seconds = float(found.manifest.get("seconds", 0.0))
    t.skipped = int(found.manifest.get("skipped", 0))
    t.pending = [record for record in t.pending if record["step"] <= found.step]
    t.rate_scale = float(found.manifest.get("rate_scale", 1.0))
    means = found.manifest.get("means", {})
    t.means = {k: v for k, v in means.items() if isinstance(v, int | float)}
    return outlook(t, int(found.manifest.get("steps", t.steps)))


def outlook(t: Trainer, planned: int) -> list[str]:
    """What the user should know of a run that goes on. planned: the budget before, in steps."""
    falls = min(t.config.generator.decay_from, t.config.discriminator.decay_from) < 1
    if not falls or planned == t.steps or t.state.step == 0:
        return []
    return [
        f"the budget was {planned:,} steps, and the learning rates fall with it: this is not "
        f"the run that {t.steps:,} steps from the start would have been"
    ]


def same_start(t: Trainer) -> None:
    """UsageError if a process stands elsewhere than the leader, or has another tensor."""
    if t.world.size == 1:
        return
    whole = files.digest(checkpoint.encode_tensors(state.tensors(t.state)))
    stands = meeting.gather(t.meeting, [t.state.step, t.rate_scale, whole])
    for rank, there in enumerate(stands):
        if there != stands[0]:
            what = "stands at another step" if there[0] != stands[0][0] else "has other players"
            raise UsageError(
                f"rank {rank} {what} than rank 0 before step {t.state.step + 1:,}: give every "
                "machine the same code, settings and kind of processor; nothing was written"
            )


def begin_again(t: Trainer) -> None:
    """Back to the state before the first step, the log too."""
    device = torch.device(t.resolved.device)
    fresh = build.initial(t.config, t.data.spec, device, t.resolved.precision, data=t.data)
    numbers = {"step": 0, "seconds": t.clock.seconds, "rate_scale": t.rate_scale}
    load(t, Checkpoint(Path("the first state"), numbers, state.tensors(fresh)))
    if t.config.init_from:
        transfer.begin_from(t)
    same_start(t)
    if t.world.is_main_process:
        folder.cut_log(t.run.log_path, -1)
        folder.cut_samples(t.run.samples, 0)


def same_machine(t: Trainer, before: dict[str, Any]) -> list[str]:
    """Note whether a resumed run goes on bit for bit; returns what the user should know.

    Asked when it is settled how steps are played. before: what was last known of the run
    (`runs.folder.last_known`), {} for a fresh one.
    """
    if not t.state.step:
        return []
    changed = different_machine(before, t.resolved)
    t.exact = bool(before.get("exact", True)) and not changed
    return [f"not bit-exact from here: {changed}"] if changed else []


def different_machine(before: dict[str, Any], now: Resolved) -> str:
    """What has changed of that on which bit-exactness depends, in words; empty if nothing."""
    old = before.get("versions", {}) | before.get("resolved", {})
    new: dict[str, Any] = folder.versions() | now.table()
    # step by step, a version goes on where another stood; what it compiles may round otherwise
    harmless = ("python",) if now.compile else ("python", "ganforge")
    return "; ".join(
        f"{key} was {old[key]}, is {value}"
        for key, value in new.items()
        if old.get(key, value) != value and key not in harmless
    )
