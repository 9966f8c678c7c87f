"""One run: built, stepped, logged, saved, resumed, finished. The loop that does so is `loop`."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ganforge import files, images, nets
from ganforge.config import convert
from ganforge.config.schema import Config
from ganforge.data import spec
from ganforge.data.batches import Batches
from ganforge.data.load import Dataset
from ganforge.data.spec import DataSpec
from ganforge.errors import (
    BusyError,
    DiskError,
    DivergedError,
    GanforgeError,
    OutOfMemoryError,
    lacks_memory,
)
from ganforge.gan import schedules, state, step
from ganforge.gan.batch import Batch, Log, same
from ganforge.gan.state import State, StepHyperparameters
from ganforge.gan.step import StepOptions
from ganforge.runs import checkpoint, folder, lock, model
from ganforge.runs.folder import Run
from ganforge.runs.records import Progress
from ganforge.sampling.sampler import Sampler
from ganforge.sampling.translate import Translator, sampler_of, triples
from ganforge.training import build, checks, distributed, pairing, random_inputs
from ganforge.training.clock import Clock
from ganforge.training.compiled.compile import Compiled
from ganforge.training.cuda_graph import Captured
from ganforge.training.device import Resolved
from ganforge.training.distributed import World
from ganforge.training.inputs import Inputs, NotCompiledError
from ganforge.training.meeting import NOBODY, Meeting
from ganforge.training.random_inputs import RandomInputSource
from ganforge.types import Array

BEST = "best.json"
TRIPLES = 6  # columns of a grid of translations: two rows of source, output, target
CHECK_STEPS = 50  # steps between two looks at whether all weights are finite
# of a run whose settings do not say how often: steps between records of the log at most, and
# the least number of records and of grids
LOG_STEPS, LEAST_RECORDS, LEAST_GRIDS = 50, 20, 8


class Trainer:
    """A run in progress. Read it; only the loop changes it.

    Args:
        config, data: of the run.
        run: its folder.
        resolved: what `auto` means for it.
        begun: its state before the first step, see `checks.require_playable`.
        meeting: the processes that share its batch.
        batches, inputs: where examples and random inputs come from, if they are shared.

    Attributes:
        steps: the budget.
        totals, counted: sums of what the steps of the current interval log, and their number.
        means: of the newest interval that has ended, by name.
        skipped: updates left out so far.
        rate_scale: the factor that rollbacks have put on the learning rates.
        exact: whether the run has gone on bit for bit at every resume.
        pending: log records that a full disk has not accepted yet. disk: the reason, or empty.
        rates: images a second by number of threads, as measured at the start (see `threads`).
    """

    def __init__(
        self,
        config: Config,
        data: Dataset,
        run: Run,
        resolved: Resolved,
        begun: State,
        meeting: Meeting = NOBODY,
        batches: Batches | None = None,
        inputs: RandomInputSource | None = None,
    ):
        torch.set_num_threads(resolved.threads)
        device = torch.device(resolved.device)
        self.config, self.data, self.run, self.resolved = config, data, run, resolved
        self.state, self.meeting = begun, meeting
        self.options = step_options(config, self.world)
        part = self.world.part(config.batch)
        self.batches = batches or Batches(
            data, device=device, seed=config.seed, mirror=config.mirror
        )
        self.inputs = inputs or RandomInputSource(config, data.spec, begun.players, device, part)
        self.steps = checks.steps_of(config, data)
        self.clock = Clock()
        self.totals: dict[str, Tensor] = {}
        self.means: dict[str, Any] = {}
        self.pending: list[dict[str, Any]] = []
        self.rates: dict[int, float] = {}
        self.counted = self.skipped = 0
        self.rate_scale, self.exact, self.disk = 1.0, True, ""
        self.compiled: Compiled | Captured | None = None

    @classmethod
    def build(
        cls,
        config: Config,
        run: Run,
        data: Dataset,
        resolved: Resolved,
        meeting: Meeting = NOBODY,
    ) -> Trainer:
        """The run before its first step, if its config may be played on the data.

        Nothing is written. Raises UsageError or DataError, see `checks.require_playable`.
        """
        device, precision = resolved.device, resolved.precision
        torch.set_num_threads(resolved.threads)
        begun = checks.require_playable(config, data.spec, data, device, precision, meeting.world)
        return cls(config, data, run, resolved, begun, meeting)

    @property
    def world(self) -> World:
        """The processes that share the batch."""
        return self.meeting.world

    @property
    def min_gap(self) -> int:
        """Steps between two checkpoints, or two grids of a stated interval, at least."""
        return self.config.output.min_gap

    @property
    def images_a_step(self) -> int:
        """Real examples that D sees in one step."""
        return self.config.batch * int(self.config.game.d_steps)

    @property
    def samples_seen(self) -> int:
        """Real examples that D has seen."""
        return self.state.step * self.images_a_step

    @property
    def epoch(self) -> float:
        """Passes over the data."""
        return self.samples_seen / self.data.epoch

    def sampler(self) -> Sampler:
        """The generator as it is now, or its average if there is one."""
        return sampler(self.config, self.data.spec, self.state, self.data.class_names)

    def progress(self, **more: Any) -> Progress:
        """A record of where the run stands, with the means of the newest interval."""
        means = dict(self.means)
        return Progress(
            self.state.step, self.steps, self.samples_seen, self.epoch, self.clock.seconds,
            means.pop("images_per_second", 0.0), means.pop("skipped", 0), means,
            unit=self.data.spec.unit, **more,
        )  # fmt: skip

    # --- a step -------------------------------------------------------------------------------

    def step(self) -> None:
        """One step of the game, or a block of compiled ones; what it logs is added up."""
        if self.compiled is not None:
            count = self.compiled.reach(self.next_event() - self.state.step)
            self.totals = self.compiled.play(self.inputs_of_steps(count), self.totals)
            self.counted += count
            return
        hyper = self.hyperparameters(self.state.step)
        log = play_step(self.config, self.state, self.examples(), self.inputs, hyper, self.options)
        self.totals = step.sum_logs(self.totals, log)
        self.counted += 1

    def examples(self) -> list[Batch]:
        """The k batches of the next step, this process's part of them."""
        return examples(self.batches, self.config, self.world, self.state.step)

    def hyperparameters(self, now: int) -> StepHyperparameters:
        """Learning rates and the like at a step."""
        return schedules.hyperparameters(self.config, now, self.steps, self.rate_scale)

    def inputs_of_steps(self, count: int) -> Inputs:
        """The inputs of the next `count` steps."""
        k, batch, now = self.config.game.d_steps, self.config.batch, self.state.step
        rows = Batch(*self.batches.at(now * k * batch, count * k * batch))
        split = rows.map(lambda t: t.view(count, k, batch, *t.shape[1:]))
        batches = [split.map(lambda t, j=j: t[:, j]) for j in range(k)]  # type: ignore[misc]
        place, block = self.inputs.block(now)
        drawn = random_inputs.inputs_of(block, self.inputs.turns, slice(place, place + count))
        return batches, drawn, [self.hyperparameters(now + i) for i in range(count)]

    def interval(self, epochs: float) -> int:
        """The steps of so many passes over the data, at least `output.min_gap`."""
        return max(self.min_gap, round(epochs * self.data.epoch / self.images_a_step))

    @property
    def log_interval(self) -> int:
        """Steps between two records of the log."""
        usual = max(1, min(LOG_STEPS, self.steps // LEAST_RECORDS))
        return self.config.output.log_every or usual

    @property
    def sample_interval(self) -> int:
        """Steps between two grids."""
        epochs = self.config.output.sample_every
        usual = max(1, min(self.interval(1.0), self.steps // LEAST_GRIDS))
        return self.interval(epochs) if epochs else usual

    def is_due(self, epochs: float) -> bool:
        """Whether this step completes another `epochs` passes; never for 0."""
        return epochs > 0 and self.state.step % self.interval(epochs) == 0

    def next_event(self) -> int:
        """The next step after which the loop has something to do, or new numbers are drawn."""
        output, now = self.config.output, self.state.step
        every = [self.log_interval, self.sample_interval, CHECK_STEPS, self.inputs.block_steps]
        every += [self.interval(e) for e in (output.save_every, output.score_every) if e]
        return min(self.steps, *(now - now % n + n for n in every))

    # --- compiled and recorded steps ----------------------------------------------------------

    def choose_steps(self) -> list[str]:
        """Let the run play compiled or recorded steps; returns why it does not."""
        if not self.config.compile:
            return []
        try:
            if self.world.size > 1:
                raise NotCompiledError("several processes share the batch")
            if torch.device(self.resolved.device).type != "cuda":
                self.compiled = Compiled(self.state, self.config)
            elif any(getattr(self.config, side).momentum_steps for side in nets.SIDES):
                raise NotCompiledError("a momentum that changes is not captured")
            else:
                self.compiled = Captured(self.state, self.config.game, self.options)
            return []
        except NotCompiledError as reason:
            return self._step_by_step(reason)

    def prepare_steps(self) -> list[str]:
        """Compile or record the coming steps, at the state that is loaded now."""
        if self.compiled is None:
            return []
        began = time.perf_counter()
        try:
            self.compiled.prepare(self.inputs_of_steps(1))
        except NotCompiledError as reason:
            return self._step_by_step(reason)
        return [f"compiled in {time.perf_counter() - began:.1f} s"]

    def _step_by_step(self, reason: NotCompiledError) -> list[str]:
        self.compiled = None
        self.resolved = replace(self.resolved, compile=False)
        return [f"not compiled: {reason}; training goes on without"]

    # --- what is written ----------------------------------------------------------------------

    def log(self) -> None:
        """End the interval: its means into the log; sums begin anew."""
        names = list(self.totals)
        values = torch.stack([self.totals[n].double() for n in names]).tolist()
        totals = dict(zip(names, values, strict=True))
        self.end_interval(totals, self.counted, self.clock.speed(self.samples_seen))
        self.totals, self.counted = {}, 0
        self.write_log()

    def first_look(self) -> str:
        """The losses of the steps since the last record, which stay part of the next record."""
        loss_d, loss_g = (
            f"{float(self.totals[name].double().mean()) / self.counted:.3f}"
            if name in self.totals
            else "-"
            for name in ("loss_d", "loss_g")
        )
        seconds = self.clock.timing["step"]
        return (
            f"step {self.state.step:,} of {self.steps:,} after {seconds:.0f} s: loss_D {loss_d}, "
            f"loss_G {loss_g}; the log has a record every {self.log_interval} steps"
        )

    def end_interval(self, totals: dict[str, float], counted: int, speed: float) -> None:
        """The means of an interval from its sums; a record of them is pending.

        speed: real examples a second.
        """
        skipped = {name for name in totals if name.startswith("skipped")}
        count = int(sum(totals[name] for name in skipped))
        names = sorted(set(totals) - skipped)  # in one order, also after a resume
        self.means = {name: totals[name] / max(1, counted) for name in names}
        self.means |= {"skipped": count, "images_per_second": speed}
        self.skipped += count
        if self.world.is_main_process:
            self.pending.append(self.progress().record())

    def write_log(self) -> None:
        """Write pending records; a full disk keeps them pending."""
        if self.pending:
            try:
                folder.append_log(self.run.log_path, self.pending)
                self.pending.clear()
            except DiskError as error:
                self.disk = str(error)

    def save_samples(self) -> Path | None:
        """Samples from the run's fixed noise, as samples/<step>.png, or .npz for vectors."""
        if not self.world.is_main_process:
            return None
        drawn_by = self.sampler()
        if isinstance(drawn_by, Translator):
            rows = triples(drawn_by, self.shown, max(1, self.config.output.grid // TRIPLES))
            samples = images.grid(rows, TRIPLES)
        else:
            samples = grid(drawn_by, self.config)
        picture = self.data.spec.is_image
        data = images.png(samples) if picture else files.npz(samples=samples)
        name = f"{self.state.step:09d}.{'png' if picture else 'npz'}"
        return self._attempt(lambda: files.save_file(self.run.samples / name, data))

    @cached_property
    def shown(self) -> Dataset:
        """Pictures to translate for the grids: held out if the config names such."""
        if self.data.name == self.config.data:
            with suppress(GanforgeError):
                return pairing.load_part(self.config, "validation")
        return self.data

    def save(self) -> Path | None:
        """Write a checkpoint and the model folder.

        Weights that are not finite are never saved. A disk that refuses is remembered in `disk`,
        and the next occasion tries again.
        """
        distributed.broadcast(self.world, state.buffers(self.state), self.resolved.device)
        if not self.world.is_main_process or not state.all_finite(self.state):
            return None
        if lock.lost(self.run.path / lock.LOCK):
            raise BusyError(
                f"{self.run.path} now belongs to another process, as this one gave no sign of "
                "life: nothing more is saved here"
            )
        return self._attempt(self._write_checkpoint)

    def _write_checkpoint(self) -> Path:
        tensors = state.tensors(self.state) | {f"log.{k}": v for k, v in self.totals.items()}
        tensors["log.counted"] = torch.tensor(self.counted)
        table = self.facts("running") | {"means": self.means}
        path = checkpoint.save(self.run.checkpoints, self.state.step, tensors, table)
        every = self.config.output.keep_every
        steps = [int(p.name[5:]) for p in checkpoint.listed(self.run.checkpoints)]
        # the first of every n steps: checkpoints need not fall on multiples of n
        also = frozenset({s // every: s for s in steps if s >= every}.values() if every else ())
        best_step = best(self.run)["step"]
        checkpoint.prune(self.run.checkpoints, self.config.output.keep, also | {best_step})
        model.save(self.run.model, self.sampler(), self.config, self.model_facts())
        self.run.write_info(**self.facts("running"))
        return path

    def _attempt(self, write: Callable[[], Path]) -> Path | None:
        """`write()`, or None if the disk refuses: training continues, and `disk` says why."""
        try:
            path = write()
            self.disk = ""
            return path
        except DiskError as error:
            self.disk = str(error)
            return None

    def finish(self, enough: bool = False) -> Progress:
        """The last checkpoint and the run's status.

        Args:
            enough: the run counts as finished before its last step.

        Raises:
            DivergedError: a weight is not finite.
            DiskError: the checkpoint or the log could not be written.
        """
        with self.clock.phase("save"):
            path = self.save()
        if not self.world.is_main_process:
            return self.progress(done=True)
        if path is None and not self.disk:
            raise DivergedError(
                f"diverged by step {self.state.step:,}: a weight is not finite, so nothing was "
                "saved. Try a lower rate, --precision fp32, or --on-nan rollback; the last good "
                "checkpoint stays"
            )
        if path is None:
            raise DiskError(f"the last checkpoint could not be written: {self.disk}")
        if self.pending:
            folder.append_log(self.run.log_path, self.pending)
            self.pending.clear()
        status = "stopped" if self.state.step < self.steps and not enough else "finished"
        self.run.write_info(**self.facts(status))
        return replace(self.progress(done=True), saved=path)

    def model_facts(self) -> dict[str, Any]:
        """What the model card says of the training."""
        return {
            "step": self.state.step,
            "samples_seen": self.samples_seen,
            "data_sha256": self.data.sha256,
            "averaged": self.state.average is not None,
        }

    def facts(self, status: str) -> dict[str, Any]:
        """What run.json and the manifests say of a run."""
        race = {str(n): round(rate, 1) for n, rate in self.rates.items()}
        return {
            "status": status,
            "name": self.config.name,
            "seed": self.config.seed,
            "step": self.state.step,
            "steps": self.steps,
            "samples_seen": self.samples_seen,
            "epoch": self.epoch,
            "seconds": self.clock.seconds,
            "skipped": self.skipped,
            "rate_scale": self.rate_scale,
            "exact": self.exact,
            "config_hash": convert.config_hash(self.config),
            "data_sha256": self.data.sha256,
            "data_size": len(self.data),
            "resolved": self.resolved.table(),
            **({"race": race} if race else {}),
            "versions": folder.versions(),
            "timing": {k: round(v, 3) for k, v in self.clock.timing.items()},
        }


def play_step(
    config: Config,
    now: State,
    batches: Sequence[Batch],
    inputs: RandomInputSource,
    hyper: StepHyperparameters,
    options: StepOptions,
) -> Log:
    """The step of every way of training: `gan.step.step` on the random inputs of its number.

    Raises:
        OutOfMemoryError: it names the largest micro-batch that fits.
    """
    random_inputs.seed_user_modules(now.players, config.seed, now.step)
    try:
        return step.step(now, config.game, batches, inputs.at(now.step), hyper, options)
    except (RuntimeError, MemoryError) as error:
        if not lacks_memory(error):
            raise
    # outside the except: the frames of the error reach all that filled the memory
    raise out_of_memory(config, now, batches[0], inputs)


def out_of_memory(
    config: Config, now: State, batch: Batch, inputs: RandomInputSource
) -> OutOfMemoryError:
    """The error of a step, with the largest micro-batch that fits, found by trying."""

    def fits(size: int) -> bool:
        """Whether the memory suffices for a turn of each player with so many examples."""
        part = slice(0, size)
        try:
            for side, drawn in inputs.at(now.step).items():
                for one in drawn[:1]:
                    step.turn(now, config.game, side, batch.rows(part), one.rows(part))
            return True
        except (RuntimeError, MemoryError):
            return False

    size = (config.micro_batch or config.batch) // 2
    while size and not fits(size):
        size //= 2
    if not size:
        return OutOfMemoryError(
            f"{inputs.device} cannot hold one example of this game: use smaller networks or --size"
        )
    return OutOfMemoryError(
        f"{inputs.device} cannot hold batch = {config.batch}: --micro-batch {size} fits and "
        f"gives the same update (batch norm aside), or use --batch {size}"
    )


def step_options(config: Config, world: World) -> StepOptions:
    """How a process of several plays its part of a step."""
    reduce = distributed.all_reduce if world.size > 1 else None
    gather = distributed.gather if world.size > 1 else same
    first, _ = world.part(config.batch)
    return StepOptions(config.batch, config.micro_batch, reduce, gather, first)


def examples(batches: Batches, config: Config, world: World, step: int) -> list[Batch]:
    """A process's part of the k batches of a step."""
    first, count = world.part(config.batch)
    turns = range(step * config.game.d_steps, (step + 1) * config.game.d_steps)
    return [Batch(*batches.at(turn * config.batch + first, count)) for turn in turns]


def sampler(config: Config, data: DataSpec, now: State, class_names: Sequence[str]) -> Sampler:
    """What draws from the generator, or its average if there is one. data: what D is shown."""
    seen, names = build.players_spec(config, data), class_names if config.labels else ()
    return sampler_of(state.sampling_model(now), seen, config.noise, config.name, tuple(names))


def grid(drawn_by: Sampler, config: Config) -> Array:
    """Samples from a run's fixed noise: a picture (H, W, 3) uint8, rows = labels; or vectors."""
    count, shown = config.output.grid, drawn_by.spec
    samples = drawn_by.grid(count, config.seed)
    if not shown.is_image:
        return samples
    return images.grid(spec.as_uint8(samples, shown), images.layout(count, shown.classes)[1])


def best(run: Run) -> dict[str, Any]:
    """checkpoints/best.json: the step that scored best so far and its score; step -1 for none."""
    try:
        table = json.loads((run.checkpoints / BEST).read_bytes())
        return {"step": int(table["step"]), "frechet": float(table["frechet"])}
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return {"step": -1, "frechet": math.inf}
