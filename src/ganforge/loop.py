"""`train(config, run)`: the loop that yields. Whoever iterates writes ordinary code in the body.

    for progress in loop.train(recipes.cdcgan(), "runs/a"):
        print(progress.step, progress.loss_d)

It resumes by itself: the same config and folder go on where the last good checkpoint stands, bit
for bit. It prints nothing and evaluates nothing.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ganforge import checkpoint, config, game, model, pictures, runs, state
from ganforge.config import Config
from ganforge.data.batches import Batches
from ganforge.data.source import Dataset, load
from ganforge.devices import Resolved, resolve
from ganforge.draws import Drawer
from ganforge.errors import DiskError, DivergedError
from ganforge.game import Batch, Knobs, State
from ganforge.runs import Run
from ganforge.sampling import Sampler

SAVE_SECONDS = 600.0  # a checkpoint at least this often
LEAST_GAP = 100  # steps between two grids or two checkpoints of tiny data sets


@dataclass(frozen=True)
class Progress:
    """One interval of a run: means over the steps since the record before.

    step of steps; samples_seen: real examples D has seen; epoch: passes over the data; seconds of
    training in all; images_per_second: over this interval, everything included; loss_d, loss_g
    for each example; d_real, d_fake: mean D(x) and D(G(z)); logit_*: their logits; gradient_*:
    norms; skipped: updates left out because a gradient was not finite.
    grid, saved: the files written at this step; note: a line worth showing; done: the last record.
    """

    step: int
    steps: int
    samples_seen: int
    epoch: float
    seconds: float = 0.0
    images_per_second: float = 0.0
    loss_d: float = math.nan
    loss_g: float = math.nan
    d_real: float = math.nan
    d_fake: float = math.nan
    logit_real: float = math.nan
    logit_fake: float = math.nan
    gradient_d: float = math.nan
    gradient_g: float = math.nan
    skipped: int = 0
    grid: Path | None = None
    saved: Path | None = None
    note: str = ""
    done: bool = False

    @property
    def seconds_left(self) -> float:
        """At the speed so far; infinite before the first step."""
        if not self.step or not self.seconds:
            return math.inf
        return self.seconds / self.step * (self.steps - self.step)


LOGGED = tuple(
    f.name for f in fields(Progress) if f.name not in ("grid", "saved", "note", "done", "steps")
)
MEANS = ("loss_d", "loss_g", "d_real", "d_fake", "logit_real", "logit_fake",
         "gradient_d", "gradient_g")  # fmt: skip
SUMS = ("skipped_d", "skipped_g")


@dataclass
class Control:
    """What the outside may ask of a running loop, between two steps.

    stop: finish the step, save and end. save: write a checkpoint and go on.
    """

    stop: bool = False
    save: bool = False


@dataclass
class Training:
    """A run in progress: what the loop holds. `train` makes one; read it, do not change it."""

    config: Config
    run: Run
    data: Dataset
    batches: Batches
    resolved: Resolved
    state: State
    drawer: Drawer
    steps: int
    seconds: float = 0.0
    totals: dict[str, Tensor] = field(default_factory=dict)
    counted: int = 0
    skipped: int = 0
    means: dict[str, Any] = field(default_factory=dict)
    timing: dict[str, float] = field(default_factory=dict)

    @property
    def samples_seen(self) -> int:
        return self.state.step * self.images_a_step

    @property
    def images_a_step(self) -> int:
        return self.config.batch * int(self.config.game.d_steps)

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


def train(
    wanted: Config,
    path: Path | str,
    control: Control | None = None,
    data: Dataset | None = None,
) -> Iterator[Progress]:
    """Train `wanted` in the run folder `path`, or go on with it; yields at every log interval.

    control: to stop or save from outside. data: in place of what `wanted.data` names.
    Raises UsageError, DataError, DivergedError, DiskError; the last good checkpoint stays.
    """
    for _, progress in training(wanted, path, control, data):
        yield progress


def training(
    wanted: Config,
    path: Path | str,
    control: Control | None = None,
    data: Dataset | None = None,
) -> Iterator[tuple[Training, Progress]]:
    """`train`, with the run in progress beside each record, for whoever samples or scores it."""
    control = control or Control()
    data = data or load(wanted.data, size=wanted.size)
    state.players_spec(wanted, data.spec)  # refused before a folder is made
    run = Run(Path(path))
    before = run.info() if run.exists() else {}
    resolved = resolve(wanted, before.get("resolved"))
    fresh = build(wanted, run, data, resolved)
    run = runs.prepare(path, wanted)
    with ExitStack() as stack:
        stack.callback(fresh.batches.close)
        stack.enter_context(runs.locked(run))
        notes = resume(fresh, before)
        if fresh.state.step >= fresh.steps and before.get("status") == "finished":
            yield fresh, report(fresh, note="already finished: nothing to do", done=True)
            return
        run.write_info(**facts(fresh, "running"))
        try:
            yield from play(fresh, control, notes)
        except DivergedError:
            run.write_info(**facts(fresh, "diverged"))
            raise


def build(wanted: Config, run: Run, data: Dataset, resolved: Resolved) -> Training:
    """Everything a run needs, in the state before its first step; nothing is written."""
    torch.set_num_threads(resolved.threads)
    device = torch.device(resolved.device)
    began = state.initial(wanted, data.spec, device, resolved.precision)
    steps = game.steps_for(wanted.images(len(data)), wanted.batch, wanted.game)
    return Training(
        wanted,
        run,
        data,
        Batches(data, device=device, seed=wanted.seed),
        resolved,
        began,
        Drawer(wanted, data.spec, began.players, device),
        steps,
    )


def resume(t: Training, before: dict[str, Any]) -> list[str]:
    """Load the newest good checkpoint into `t`; returns what the user should know."""
    checkpoint.clean(t.run.checkpoints)
    found, notes = checkpoint.newest(t.run.checkpoints)
    checkpoint.set_aside(t.run.checkpoints, found.step if found else -1)
    if found is None:
        runs.cut_log(t.run.log_path, -1)
        return notes
    saved = dict(found.tensors)
    log = {k: saved.pop(k) for k in list(saved) if k.startswith("log.")}
    t.state.aux.update({k[4:]: v for k, v in saved.items() if k.startswith("aux.")})
    state.load(t.state, saved, str(found.path))
    t.state.step = found.step
    t.counted = int(log.pop("log.counted", torch.zeros(())))
    t.totals = {k[4:]: v.to(t.resolved.device) for k, v in log.items()}
    t.seconds = float(found.manifest.get("seconds", 0.0))
    t.skipped = int(found.manifest.get("skipped", 0))
    runs.cut_log(t.run.log_path, found.step)
    if found.step < t.steps:
        notes.append(f"resumed at step {found.step:,} of {t.steps:,}")
    changed = different_machine(before, t.resolved)
    if changed:
        notes.append(f"not bit-exact from here: {changed}")
    return notes


def different_machine(before: dict[str, Any], now: Resolved) -> str:
    """What has changed of that on which bit-exactness depends, in words; empty where nothing."""
    old = {**before.get("versions", {}), **before.get("resolved", {})}
    new: dict[str, Any] = {**runs.versions(), **now.table()}
    return "; ".join(
        f"{key} was {old[key]}, is {new[key]}"
        for key in new
        if key in old and old[key] != new[key] and key not in ("ganforge", "python")
    )


def play(t: Training, control: Control, notes: list[str]) -> Iterator[tuple[Training, Progress]]:
    """The steps from where `t` stands to its last, with logs, grids and checkpoints between."""
    clock = Clock(t)
    for note in notes:
        yield t, report(t, note=note)
    if t.state.step == 0:
        yield t, report(t, grid=clock.timed("sample", save_grid, t))
    while t.state.step < t.steps and not control.stop:
        clock.timed("step", advance, t)
        step, due = t.state.step, t.state.step == t.steps
        logged = step % t.config.output.log_every == 0 or due
        drawn = due or passed(t, t.config.output.sample_every)
        if not (logged or drawn or control.save or clock.save_due()):
            continue
        if logged:
            clock.timed("log", log, t, clock)
        progress = report(t)
        if drawn:
            progress = replace(progress, grid=clock.timed("sample", save_grid, t))
        if control.save or clock.save_due() or due or passed(t, t.config.output.save_every):
            control.save = False
            progress = clock.timed("save", save, t, progress)
        yield t, replace(progress, seconds=clock.seconds())
    yield t, finish(t, clock)


class Clock:
    """Where the time of a run goes: training seconds over all its sessions, and by phase."""

    def __init__(self, t: Training):
        self.t = t
        self.start = time.perf_counter() - t.seconds
        self.marked = self.start + t.seconds
        self.marked_images = t.samples_seen
        self.saved = time.perf_counter()

    def timed(self, phase: str, function: Any, *arguments: Any) -> Any:
        began = time.perf_counter()
        out = function(*arguments)
        now = time.perf_counter()
        self.t.timing[phase] = self.t.timing.get(phase, 0.0) + now - began
        self.t.seconds = now - self.start
        if phase == "save":
            self.saved = now
        return out

    def seconds(self) -> float:
        return time.perf_counter() - self.start

    def save_due(self) -> bool:
        return time.perf_counter() - self.saved > SAVE_SECONDS

    def speed(self) -> float:
        """Real images a second since the last call, everything included."""
        now, images = time.perf_counter(), self.t.samples_seen
        rate = (images - self.marked_images) / max(now - self.marked, 1e-9)
        self.marked, self.marked_images = now, images
        return rate


def advance(t: Training) -> None:
    """One step of the game, its numbers added up on the device."""
    k, batch, step = t.config.game.d_steps, t.config.batch, t.state.step
    batches = [Batch(*t.batches.at((step * k + j) * batch, batch)) for j in range(k)]
    # Our players draw nothing; a user's own module may, and this makes what it draws a function
    # of the step too.
    torch.manual_seed(step)
    stats = game.step(t.state, t.config.game, batches, t.drawer.at(step), knobs(t, step))
    if t.totals:
        torch._foreach_add_([t.totals[name] for name in stats], list(stats.values()))
    else:
        t.totals = {name: value.clone() for name, value in stats.items()}
    t.counted += 1


def knobs(t: Training, step: int) -> Knobs:
    """What the schedules say at a step."""
    from ganforge import ema

    progress = step / t.steps
    rates = {
        "generator": t.config.generator.rate(progress),
        "discriminator": t.config.discriminator.rate(progress),
    }
    return Knobs(rates, ema.decay_at(t.config.ema, step))


def passed(t: Training, epochs: float) -> bool:
    """Whether this step crosses a multiple of `epochs` passes (at least LEAST_GAP steps apart)."""
    interval = max(LEAST_GAP, round(epochs * len(t.data) / t.images_a_step))
    return t.state.step % interval == 0


def report(t: Training, **more: Any) -> Progress:
    """A record of where the run stands, with the means of the newest interval."""
    position = (t.state.step, t.steps, t.samples_seen, t.epoch, t.seconds)
    return Progress(*position, **(t.means | more))


def log(t: Training, clock: Clock) -> None:
    """Means since the last record: logged, checked, and set back to zero."""
    names = list(t.totals)
    values = torch.stack([t.totals[n].double() for n in names]).tolist()
    totals, count = dict(zip(names, values, strict=True)), max(1, t.counted)
    skipped = int(sum(totals.get(name, 0.0) for name in SUMS))
    t.means = {name: totals[name] / count for name in MEANS if name in totals}
    t.means |= {"skipped": skipped, "images_per_second": clock.speed()}
    t.skipped += skipped
    t.totals, t.counted = {}, 0
    progress = report(t)
    runs.append_log(t.run.log_path, {name: getattr(progress, name) for name in LOGGED})
    check_health(t, progress)


def check_health(t: Training, progress: Progress) -> None:
    """Stop where the weights are not finite, or more than 1 % of the updates were skipped."""
    finite = state.all_finite(t.state)
    turns = t.state.step * (t.config.game.d_steps + t.config.game.g_steps)
    if finite and t.skipped <= max(10, 0.01 * turns):
        return
    player = "discriminator" if not math.isfinite(progress.loss_d) else "generator"
    what = f"{t.skipped} updates were not finite" if finite else "a weight is not finite"
    raise DivergedError(
        f"diverged by step {t.state.step:,}: {what} ({player}: loss_d {progress.loss_d:.4g}, "
        f"loss_g {progress.loss_g:.4g}). Try a lower rate (--{player}.lr "
        f"{getattr(t.config, player).lr / 3:.2g}) or --precision fp32; the last good checkpoint "
        "is kept"
    )


def save_grid(t: Training) -> Path:
    """Samples from the run's fixed noise, as samples/<step>.png, or .npz for vectors."""
    sampler, name = t.sampler(), f"{t.state.step:09d}"
    samples = sampler.grid(t.config.output.grid, t.config.seed)
    if sampler.spec.is_image:
        _, columns = pictures.layout(t.config.output.grid, sampler.spec.classes)
        data = pictures.png(pictures.grid(pictures.as_uint8(samples, sampler.spec), columns))
        return pictures.save(t.run.samples / f"{name}.png", data)
    return pictures.save(t.run.samples / f"{name}.npz", pictures.npz(samples=samples))


def save(t: Training, progress: Progress) -> Progress:
    """Write a checkpoint; weights that are not finite never become one."""
    if not state.all_finite(t.state):
        return progress
    tensors = state.tensors(t.state) | {f"log.{k}": v for k, v in t.totals.items()}
    tensors["log.counted"] = torch.tensor(t.counted)
    try:
        path = checkpoint.save(t.run.checkpoints, t.state.step, tensors, facts(t, "running"))
    except DiskError as error:
        return replace(progress, note=f"no checkpoint: {error}; training goes on")
    checkpoint.prune(t.run.checkpoints, t.config.output.keep)
    t.run.write_info(**facts(t, "running"))
    return replace(progress, saved=path)


def finish(t: Training, clock: Clock) -> Progress:
    """The last checkpoint, the model folder and the run's state."""
    stopped = t.state.step < t.steps
    progress = save(t, report(t, done=True))
    if progress.saved is None and not checkpoint.listed(t.run.checkpoints):
        raise DiskError(progress.note or f"{t.run.path}: nothing could be saved")
    if not stopped:
        model.save(t.run.model, t.sampler(), t.config, model_facts(t))
    t.run.write_info(**facts(t, "stopped" if stopped else "finished"))
    return replace(progress, seconds=clock.seconds())


def model_facts(t: Training) -> dict[str, Any]:
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
        "config_hash": config.config_hash(t.config),
        "data_sha256": t.data.sha256,
        "data_size": len(t.data),
        "resolved": t.resolved.table(),
        "versions": runs.versions(),
        "timing": {k: round(v, 3) for k, v in t.timing.items()},
    }


def stopped_early(progress: Progress) -> bool:
    """Whether the last record of a loop is that of a run with steps left."""
    return progress.done and progress.step < progress.steps
