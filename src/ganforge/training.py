"""A run in progress: built and saved. It goes on in `restore`, its steps are in `loop`."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ganforge import (
    checkpoint,
    config,
    distributed,
    game,
    lock,
    model,
    nets,
    pictures,
    runs,
    state,
)
from ganforge.accelerate.captured import Captured
from ganforge.accelerate.compiled import Compiled
from ganforge.accelerate.inputs import NotCompiledError
from ganforge.config import Config
from ganforge.data.batches import Batches
from ganforge.data.source import Dataset
from ganforge.devices import Resolved
from ganforge.distributed import World
from ganforge.draws import Drawer
from ganforge.errors import BusyError, DiskError, DivergedError, UsageError
from ganforge.game import How
from ganforge.meeting import NOBODY, Meeting
from ganforge.penalties import GradientPenalty
from ganforge.players import State
from ganforge.progress import LOGGED, Progress
from ganforge.runs import Run
from ganforge.sampling import Sampler

BEST = "best.json"


@dataclass
class Training:
    """What the loop holds. Read it; only the loop changes it.

    steps: the budget. seconds: of training, over all sessions. totals, counted: the statistics of
    the interval under way. skipped: updates left out so far. rate_scale: what rollbacks have made
    of the learning rates. meeting: the processes that share the batch. pending: log records that a
    full disk has not taken yet. compiled: plays several steps at a call, captured: one by a
    recording, where they can. rates: images a second by number of threads, as the race at the start
    found them (see `threads`); {} without one.
    """

    config: Config
    run: Run
    data: Dataset
    batches: Batches
    resolved: Resolved
    state: State
    drawer: Drawer
    steps: int
    meeting: Meeting = NOBODY
    seconds: float = 0.0
    totals: dict[str, Tensor] = field(default_factory=dict)
    counted: int = 0
    skipped: int = 0
    rate_scale: float = 1.0
    exact: bool = True
    means: dict[str, Any] = field(default_factory=dict)
    timing: dict[str, float] = field(default_factory=dict)
    pending: list[dict[str, Any]] = field(default_factory=list)
    disk: str = ""
    compiled: Compiled | None = None
    captured: Captured | None = None
    rates: dict[int, float] = field(default_factory=dict)

    @property
    def world(self) -> World:
        return self.meeting.world

    @property
    def images_a_step(self) -> int:
        return self.config.batch * int(self.config.game.d_steps)

    @property
    def samples_seen(self) -> int:
        return self.state.step * self.images_a_step

    @property
    def epoch(self) -> float:
        return self.samples_seen / len(self.data)

    def sampler(self) -> Sampler:
        """The generator as it is now (the averaged one where there is one)."""
        return Sampler(
            state.sampling_model(self.state),
            state.players_spec(self.config, self.data.spec),
            self.config.noise,
            self.config.name,
            self.data.class_names if self.config.labels else (),
        )

    def report(self, **more: Any) -> Progress:
        """A record of where the run stands, with the means of the newest interval."""
        position = (self.state.step, self.steps, self.samples_seen, self.epoch, self.seconds)
        return Progress(*position, **(self.means | more))


def build(
    wanted: Config, run: Run, data: Dataset, resolved: Resolved, meeting: Meeting = NOBODY
) -> Training:
    """Everything a run needs, in the state before its first step; nothing is written."""
    torch.set_num_threads(resolved.threads)
    device = torch.device(resolved.device)
    one_label_a_mix(wanted)
    began = state.initial(wanted, data.spec, device, resolved.precision, data=data)
    world = meeting.world
    enough_for_batch_norm(wanted, began, world)
    return Training(
        wanted,
        run,
        data,
        Batches(data, device=device, seed=wanted.seed),
        resolved,
        began,
        Drawer(wanted, data.spec, began.players, device, world.part(wanted.batch)),
        game.steps_for(wanted.images(len(data)), wanted.batch, wanted.game),
        meeting,
    )


def compile_step(t: Training) -> list[str]:
    """Let `t` play compiled or captured steps, or say why it does not."""
    if not t.config.compile:
        return []
    try:
        if t.world.size > 1:
            raise NotCompiledError("several processes share the batch")
        if torch.device(t.resolved.device).type == "cuda":
            if any(getattr(t.config, side).momentum_steps for side in nets.SIDES):
                raise NotCompiledError("a momentum that changes is not captured")
            how = How(batch=t.config.batch, micro=t.config.micro_batch)
            t.captured = Captured(t.state, t.config.game, how)
        else:
            t.compiled = Compiled(t.state, t.config)
        return []
    except NotCompiledError as reason:
        return eager(t, reason)


def eager(t: Training, reason: NotCompiledError) -> list[str]:
    """Play `t` step by step after all; returns what to tell."""
    t.compiled = t.captured = None
    t.resolved = replace(t.resolved, compile=False)
    return [f"not compiled: {reason}; training goes on without"]


def one_label_a_mix(wanted: Config) -> None:
    """UsageError where a gradient penalty would mix examples of two labels."""
    mixing = any(isinstance(penalty, GradientPenalty) for penalty in wanted.game.penalties)
    if wanted.labels and mixing and wanted.game.fake_labels != "data":
        raise UsageError(
            f'fake_labels = "{wanted.game.fake_labels}": the gradient penalty mixes each real '
            "example with a fake of another label, and D would be shown the real one's: give "
            "--game.fake_labels data"
        )


def enough_for_batch_norm(wanted: Config, began: State, world: World) -> None:
    """UsageError where a forward pass would see one example, of which there is no variance."""
    count = world.part(wanted.batch)[1]
    size = min(wanted.micro_batch or count, count)
    layers = [
        layer
        for player in (began.players.generator, began.players.discriminator)
        for layer in player.modules()
    ]
    if min(size, count % size or size) == 1 and any(
        isinstance(layer, nn.BatchNorm1d) for layer in layers
    ):
        raise UsageError(
            f"batch = {wanted.batch}, micro_batch = {wanted.micro_batch}: a pass would hold one "
            "example, and batch norm needs 2: choose another size, or networks without batch norm"
        )


def save(t: Training) -> Path | None:
    """Write a checkpoint and the model folder.

    Weights that are not finite never become one; a disk that takes none is remembered in `t.disk`
    and asked again at the next occasion.
    """
    distributed.broadcast(t.world, state.buffers(t.state), t.resolved.device)
    if not t.world.leads or not state.all_finite(t.state):
        return None
    if lock.lost(t.run.path / lock.LOCK):
        raise BusyError(
            f"{t.run.path} has been taken over by another process while this one gave no sign of "
            "life: nothing more is saved here"
        )
    tensors = state.tensors(t.state) | {f"log.{k}": v for k, v in t.totals.items()}
    tensors["log.counted"] = torch.tensor(t.counted)
    table = facts(t, "running") | {"means": t.means}
    return attempt(t, lambda: _save(t, tensors, table))


def _save(t: Training, tensors: dict[str, Tensor], table: dict[str, Any]) -> Path:
    path = checkpoint.save(t.run.checkpoints, t.state.step, tensors, table)
    every = t.config.output.keep_every
    kept = [int(p.name[5:]) for p in checkpoint.listed(t.run.checkpoints)]
    # the first of every n steps: checkpoints need not fall on multiples of n
    also = frozenset({s // every: s for s in kept if s >= every}.values() if every else ())
    checkpoint.prune(t.run.checkpoints, t.config.output.keep, also | {best(t.run)["step"]})
    model.save(t.run.model, t.sampler(), t.config, model_facts(t))
    t.run.write_info(**facts(t, "running"))
    return path


def best(run: Run) -> dict[str, Any]:
    """checkpoints/best.json: the step that scored best so far and its score; step -1 for none."""
    try:
        table = json.loads((run.checkpoints / BEST).read_bytes())
        return {"step": int(table["step"]), "frechet": float(table["frechet"])}
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return {"step": -1, "frechet": math.inf}


def attempt(t: Training, write: Callable[[], Path]) -> Path | None:
    """`write()`, or None where the disk refuses: training goes on, and `t.disk` says why."""
    try:
        path = write()
        t.disk = ""
        return path
    except DiskError as error:
        t.disk = str(error)
        return None


def save_grid(t: Training) -> Path | None:
    """Samples from the run's fixed noise, as samples/<step>.png, or .npz for vectors."""
    if not t.world.leads:
        return None
    sampler, name = t.sampler(), f"{t.state.step:09d}"
    samples = sampler.grid(t.config.output.grid, t.config.seed)
    if sampler.spec.is_image:
        _, columns = pictures.layout(t.config.output.grid, sampler.spec.classes)
        data = pictures.png(pictures.grid(pictures.as_uint8(samples, sampler.spec), columns))
        return attempt(t, lambda: pictures.save(t.run.samples / f"{name}.png", data))
    data = pictures.npz(samples=samples)
    return attempt(t, lambda: pictures.save(t.run.samples / f"{name}.npz", data))


def append_log(t: Training, progress: Progress) -> None:
    """A record in the log, after those that a full disk has not taken."""
    if not t.world.leads:
        return
    t.pending.append({name: getattr(progress, name) for name in LOGGED})
    try:
        runs.append_log(t.run.log_path, t.pending)
        t.pending.clear()
    except DiskError as error:
        t.disk = str(error)


def finish(t: Training, enough: bool = False) -> Progress:
    """The last checkpoint and the run's state; DiskError where they could not be written.

    enough: it counts as finished before its last step.
    """
    began = time.perf_counter()
    path = save(t)
    took = time.perf_counter() - began  # counted here, for run.json to tell of it
    t.timing["save"] = t.timing.get("save", 0.0) + took
    t.seconds += took
    if not t.world.leads:
        return t.report(done=True)
    if path is None and not t.disk:
        raise DivergedError(
            f"diverged by step {t.state.step:,}: a weight is not finite, so nothing was saved. Try "
            "a lower rate, --precision fp32, or --on-nan rollback; the last good checkpoint is kept"
        )
    if path is None:
        raise DiskError(f"the last checkpoint could not be written: {t.disk}")
    if t.pending:
        runs.append_log(t.run.log_path, t.pending)
    status = "stopped" if t.state.step < t.steps and not enough else "finished"
    t.run.write_info(**facts(t, status))
    return replace(t.report(done=True), saved=path)


def model_facts(t: Training) -> dict[str, Any]:
    """What the model card tells of the training."""
    return {
        "step": t.state.step,
        "samples_seen": t.samples_seen,
        "data_sha256": t.data.sha256,
        "averaged": t.state.average is not None,
    }


def facts(t: Training, status: str) -> dict[str, Any]:
    """What run.json and the manifests say of a run."""
    return {
        "status": status,
        "name": t.config.name,
        "seed": t.config.seed,
        "step": t.state.step,
        "steps": t.steps,
        "samples_seen": t.samples_seen,
        "epoch": t.epoch,
        "seconds": t.seconds,
        "skipped": t.skipped,
        "rate_scale": t.rate_scale,
        "exact": t.exact,
        "config_hash": config.config_hash(t.config),
        "data_sha256": t.data.sha256,
        "data_size": len(t.data),
        "resolved": t.resolved.table(),
        **({"race": {str(n): round(rate, 1) for n, rate in t.rates.items()}} if t.rates else {}),
        "versions": runs.versions(),
        "timing": {k: round(v, 3) for k, v in t.timing.items()},
    }
