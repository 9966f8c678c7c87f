"""Any recipe as a LightningModule, trained by `L.Trainer` with the user's callbacks and loggers.

    config = gf.recipes.cdcgan()
    data = gf.lightning.GANData(config)
    module = gf.lightning.GANModule(config, data.spec)
    L.Trainer(max_epochs=5).fit(module, data)
    eights = module.sampler().sample(16, labels=8)

A step is `trainer.play_step`, as in `loop.train`, on the same random inputs (manual optimisation:
Lightning never sees a loss). Length, device, precision and checkpoints are the Trainer's; the rest
is the config's.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ganforge import registry
from ganforge.config import convert
from ganforge.config.schema import Config
from ganforge.data.batches import Batches
from ganforge.data.load import Dataset, load
from ganforge.data.spec import DataSpec
from ganforge.errors import DivergedError, UsageError, check, require_extra
from ganforge.gan import schedules
from ganforge.gan import state as states
from ganforge.gan import step as game
from ganforge.gan.batch import Batch
from ganforge.nets import norm
from ganforge.runs import model
from ganforge.sampling.sampler import Sampler
from ganforge.training import build, checks, divergence, trainer
from ganforge.training.distributed import ALONE, World
from ganforge.training.random_inputs import RandomInputSource
from ganforge.types import Array

try:
    import lightning as L
    from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy
except ModuleNotFoundError:
    require_extra("ganforge.lightning", "lightning", "lightning")
    raise

PRECISIONS = {"32-true": "fp32", "bf16-mixed": "bf16"}  # the Trainer's name -> ours
SHOWN = ("loss_d", "loss_g", "d_real", "d_fake")  # on the progress bar too


class GANModule(L.LightningModule):
    """A game for `L.Trainer`: players, average and optimisers, and the step that changes them.

    A training batch is (real,) or (real, label): real (k B, C, H, W) or (k B, F) model values for
    the k turns of D, label (k B,). `GANData` gives them; any loader of that batch size will do.
    One batch is one step of `trainer.global_step`, however many turns it holds.

    Args:
        config: of the run, or its table (`config.to_dict`).
        spec: of the data, or its table; if it is not given, the config's data are loaded.
        class_names: of the labels, for samples; with `GANData` they are those of its data.

    Raises UsageError or DataError for a config that cannot be played on the data.
    """

    def __init__(
        self,
        config: Config | Mapping[str, Any],
        spec: DataSpec | Mapping[str, Any] | None = None,
        class_names: Sequence[str] = (),
    ):
        super().__init__()
        self.automatic_optimization = False
        if not isinstance(config, Config):
            config = convert.from_dict(Config, config, registry.PARTS)
        if config.pairing:
            raise UsageError(
                f"{config.name} translates pictures, which the Lightning module does not: use "
                "`ganforge train` or gf.train"
            )
        data = None
        if spec is None:
            data = checks.require_data(config)
            spec, class_names = data.spec, data.class_names
        else:
            checks.require_config(config)
            spec = spec if isinstance(spec, DataSpec) else model.read_spec(dict(spec))
        self.config, self.spec, self.class_names = config, spec, tuple(class_names)
        # plain tables: a checkpoint stays readable with `weights_only=True`
        self.save_hyperparameters(
            {
                "config": convert.to_dict(config),
                "spec": json.loads(json.dumps(asdict(spec))),
                "class_names": list(class_names),
            }
        )
        self.state = checks.require_playable(config, spec, data)
        self.generator = self.state.players.generator
        self.discriminator = self.state.players.discriminator
        if self.state.average is not None:
            self.ema = self.state.average
        self.steps = 1.0
        self.inputs: RandomInputSource | None = None
        self.totals: dict[str, Tensor] = {}  # of the interval since the game was last checked
        self.counted = self.skipped = 0

    @property
    def samples_seen(self) -> int:
        """Real examples that D has seen."""
        return self.state.step * self.config.batch * int(self.config.game.d_steps)

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """z (N, Z), label (N,) -> model values (N, ...), by the generator one samples from."""
        x: Tensor = states.sampling_model(self.state)(z, label, None)
        return x

    def sampler(self) -> Sampler:
        """The generator as it is now (the averaged one if there is one)."""
        return trainer.sampler(self.config, self.spec, self.state, self.class_names)

    def grid(self) -> Array:
        """Samples from fixed noise: a picture (H, W, 3) uint8, rows = labels; or vectors (N, F)."""
        return trainer.grid(self.sampler(), self.config)

    def save_model(self, folder: Path | str) -> Path:
        """Write the model folder that `gf.load` and the command line read."""
        facts = {
            "step": self.state.step,
            "samples_seen": self.samples_seen,
            "averaged": self.state.average is not None,
        }
        return model.save(Path(folder), self.sampler(), self.config, facts)

    # What the Trainer calls, in the order in which it does.

    def setup(self, stage: str) -> None:
        """Use the Trainer's device and precision; UsageError for what would train another game."""
        data = getattr(self.trainer, "datamodule", None)
        if isinstance(data, GANData):
            check(data.spec == self.spec, "spec", self.spec, f"that of the data, {data.spec}")
            self.class_names = data.dataset.class_names
            checks.require_data(self.config, data.dataset)
        if stage != "fit":
            return
        strategy, precision = self.trainer.strategy, str(self.trainer.precision)
        known = isinstance(strategy, SingleDeviceStrategy | DDPStrategy)
        check(known, "strategy", type(strategy).__name__, "one device, or 'ddp'")
        names = " or ".join(map(repr, PRECISIONS))
        check(precision in PRECISIONS, "precision", precision, names)
        checks.require_fitting_passes(self.config, self.state, world_of(self.trainer))
        cast = build.autocast(strategy.root_device, PRECISIONS[precision])
        self.state.players = replace(self.state.players, autocast=cast)
        if self.config.sync_bn and self.trainer.world_size > 1:
            for module in self.children():
                norm.synchronise(module)

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """New optimisers of D and of G, where the Trainer has put the players.

        Lightning saves and restores what is returned here. It wraps them, too, and a wrapper would
        swallow the flag of `optimizers.guarded_step`: the step uses the optimisers themselves.
        """
        self.state.optimizers = build.player_optimizers(self.config, self.state.players)
        return [self.state.optimizers[side] for side in ("discriminator", "generator")]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["ganforge_aux"] = dict(self.state.aux)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.state.aux = dict(checkpoint.get("ganforge_aux", {}))

    def on_train_start(self) -> None:
        """Begin at the Trainer's step, which is 0 or that of the checkpoint."""
        world, state = world_of(self.trainer), self.state
        state.step = self.trainer.global_step
        state.aux = {name: tensor.to(self.device) for name, tensor in state.aux.items()}
        self.steps = float(self.trainer.estimated_stepping_batches)
        part = world.part(self.config.batch)
        self.inputs = RandomInputSource(self.config, self.spec, state.players, self.device, part)
        self.totals, self.counted, self.skipped = {}, 0, 0
        self.train()

    def training_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        """One iteration of Algorithm 1; returns what it logs, for callbacks."""
        state, config = self.state, self.config
        assert self.inputs is not None
        turns = self.turns(batch)
        hyper = schedules.hyperparameters(config, state.step, self.steps)
        options = trainer.step_options(config, world_of(self.trainer))
        # With manual optimisation `global_step` counts the calls of Lightning's wrapped optimisers,
        # k + 1 a step if each were called; these are the hooks that one such call runs. Progress,
        # profiler, `max_steps`, loggers and ModelCheckpoint count those.
        wrapped: Any = self.optimizers()
        wrapped[0]._on_before_step()
        # Lightning's autocast spans losses and penalties too, and its cache of cast weights lives
        # longer than D's update; ours spans one forward pass.
        with torch.autocast(self.device.type, enabled=False):
            log = trainer.play_step(config, state, turns, self.inputs, hyper, options)
        wrapped[0]._on_after_step()
        self.totals = game.sum_logs(self.totals, log)
        self.counted += 1
        if state.step % trainer.CHECK_STEPS == 0:
            self.check()
        for name, value in log.items():
            self.log(name, value, prog_bar=name in SHOWN, on_step=True, on_epoch=False)
        return log

    def on_train_epoch_end(self) -> None:
        """Log the grid; DivergedError if the game has diverged, before it is saved."""
        self.check()
        writers = [getattr(logger, "experiment", None) for logger in self.loggers]
        adders = [getattr(writer, "add_image", None) for writer in writers]
        if self.trainer.is_global_zero and self.spec.is_image and any(adders):
            picture = self.grid()
            for add in filter(None, adders):
                add("samples", picture, self.trainer.global_step, dataformats="HWC")

    def on_train_end(self) -> None:
        self.inputs = None  # a trained module can be pickled

    def turns(self, batch: Any) -> list[Batch]:
        """The k batches of D's turns; UsageError if the loader's batch is another."""
        rows = [batch] if isinstance(batch, Tensor) else list(batch)
        real, label = rows[0], rows[1] if len(rows) > 1 else None
        k, size = self.config.game.d_steps, world_of(self.trainer).part(self.config.batch)[1]
        if real.shape != (k * size, *self.spec.shape):
            raise UsageError(
                f"a training batch of shape {tuple(real.shape)}: expected "
                f"{(k * size, *self.spec.shape)}, {k} x {size} examples (batch = "
                f"{self.config.batch}, d_steps = {k}); use GANData, or a DataLoader with "
                f"batch_size={k * size} and drop_last=True"
            )
        if self.config.labels and label is None:
            raise UsageError(
                f"{self.config.name} is a conditional game and the training batch holds no labels: "
                "expected (real, label)"
            )
        if self.spec.is_image:
            real = real.contiguous(memory_format=torch.channels_last)
        parts = [slice(j * size, (j + 1) * size) for j in range(k)]
        return [Batch(real[p], None if label is None else label[p]) for p in parts]

    def check(self) -> None:
        """DivergedError if the game has diverged, on every process."""
        self.skipped += divergence.skipped_in(self.totals)
        world, now = world_of(self.trainer), self.state
        finite = divergence.finite_everywhere(now, world, str(self.device))
        if divergence.has_diverged(self.config.game, now.step, self.skipped, finite):
            player, what = divergence.described(
                now, self.skipped, finite, self.totals, self.counted
            )
            raise DivergedError(
                f"{what}. Try a lower rate ({player}.lr) or precision='32-true', from the last "
                "good checkpoint"
            )
        self.totals, self.counted = {}, 0


class GANData(L.LightningDataModule):
    """The config's data, in the order of `loop.train`: batch n is a function of (seed, n).

    Args:
        config: of the run.
        data: in place of what `config.data` names.
    """

    def __init__(self, config: Config, data: Dataset | None = None):
        super().__init__()
        self.config = config
        if data is not None:
            self.dataset = data
        self._batches: Batches | None = None

    @cached_property
    def dataset(self) -> Dataset:
        """The training part, loaded when first asked for."""
        return load(self.config.data, size=self.config.size)

    @property
    def spec(self) -> DataSpec:
        """What one example looks like."""
        return self.dataset.spec

    def prepare_data(self) -> None:
        assert self.dataset is not None  # downloads, in one process only

    def train_dataloader(self) -> Steps:
        """An epoch of batches, made where they are used."""
        device = torch.device("cpu")
        if self.trainer is not None:
            device = self.trainer.strategy.root_device
        self.teardown("fit")
        self._batches = Batches(
            self.dataset, device=device, seed=self.config.seed, mirror=self.config.mirror
        )
        return Steps(self, self._batches)

    def teardown(self, stage: str) -> None:
        if self._batches is not None:
            self._batches.close()
            self._batches = None


class Steps:
    """The batches of one epoch, from the Trainer's global step on: so a resume finds its place."""

    def __init__(self, data: GANData, batches: Batches):
        self.data, self.batches = data, batches

    def __len__(self) -> int:
        """Steps in which D sees the whole data once."""
        config = self.data.config
        return game.steps_for(len(self.data.dataset), config.batch, config.game)

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        """(real (k B, ...), label (k B,)) of each step, or (real,) if the data have no labels."""
        running, config = self.data.trainer, self.data.config
        first = 0 if running is None else running.global_step
        world = ALONE if running is None else world_of(running)
        for step in range(first, first + len(self)):
            turns = trainer.examples(self.batches, config, world, step)
            labels = [turn.label for turn in turns if turn.label is not None]
            real = join([turn.real for turn in turns])
            yield (real, join(labels)) if labels else (real,)

    def state_dict(self) -> dict[str, Any]:
        """Nothing: the place follows from the global step. Lightning asks who can resume so."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to restore."""


def join(turns: Sequence[Tensor]) -> Tensor:
    """The rows of k turns as one batch, in the strides of the parts; no copy of a single one."""
    return turns[0] if len(turns) == 1 else torch.cat([*turns])


def world_of(trainer: L.Trainer) -> World:
    """The Trainer's processes, as our step knows them."""
    return World(trainer.global_rank, trainer.world_size, trainer.local_rank)
