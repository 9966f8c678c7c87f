"""The Lightning adapter: our game, resumed, with the user's callbacks, loggers and loaders."""

from __future__ import annotations

import csv
import importlib
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from ganforge import recipes
from ganforge.config.schema import Config
from ganforge.data.batches import Batches
from ganforge.data.dataset import Dataset
from ganforge.data.spec import DataSpec
from ganforge.errors import DivergedError, OutOfMemoryError, UsageError
from ganforge.gan import schedules, state
from ganforge.gan import step as game
from ganforge.gan.batch import Batch
from ganforge.gan.penalties import R1
from ganforge.nets import MLP
from ganforge.recipes import RECIPES
from ganforge.runs import model
from ganforge.training import build
from ganforge.training.random_inputs import RandomInputSource
from tests.helpers import tiny

L = pytest.importorskip("lightning")

from lightning.pytorch.callbacks import Callback, ModelCheckpoint  # noqa: E402
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger  # noqa: E402
from lightning.pytorch.strategies import SingleDeviceStrategy  # noqa: E402

from ganforge.training.lightning import GANData, GANModule  # noqa: E402

LIGHTNINGS_OWN = (
    ".*isinstance.treespec, LeafSpec.. is deprecated",
    "GPU available but not used",
    "The number of training batches .* is smaller than the logging interval",
    "The 'train_dataloader' does not have many workers",
    "Be aware that when using `ckpt_path`, callbacks used to create the checkpoint",
    "Using ModelCheckpoint with manual optimization and every_n_train_steps",
)
pytestmark = [pytest.mark.filterwarnings(f"ignore:{text}") for text in LIGHTNINGS_OWN]


def trainer(folder: Path, **options: Any) -> Any:
    """A Trainer on one CPU that shows and writes nothing but what a test asks for."""
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    chosen = {"enable_model_summary": False, "accelerator": "cpu", "devices": 1, **quiet}
    return L.Trainer(default_root_dir=folder, **(chosen | options))


def constant(config: Config) -> Config:
    """`config` with rates that do not depend on the length of the training."""
    rates = {s: replace(getattr(config, s), decay_from=1.0) for s in ("generator", "discriminator")}
    return replace(config, **rates)


def small(steps: int = 10, **changes: Any) -> tuple[Config, Dataset]:
    """The default recipe and 32 pictures: 4 steps an epoch."""
    config = replace(tiny.shortened(recipes.cdcgan(), steps), **changes)
    return config, tiny.data_for(config, count=32)


def by_hand(config: Config, data: Dataset, steps: int, precision: str = "fp32") -> state.State:
    """The state after `steps` calls of `gan.step.step`, with no Lightning in sight."""
    st = build.initial(config, data.spec, precision=precision)
    batches = Batches(data, device=torch.device("cpu"), seed=config.seed)
    drawer, k = RandomInputSource(config, data.spec, st.players), config.game.d_steps
    for step in range(steps):
        real = [Batch(*batches.at((step * k + j) * config.batch, config.batch)) for j in range(k)]
        knobs = schedules.hyperparameters(config, step, steps)
        game.step(st, config.game, real, drawer.at(step), knobs)
    return st


def assert_same(a: dict[str, Any], b: dict[str, Any], tolerance: float = 0.0) -> None:
    assert a.keys() == b.keys()
    for name, value in a.items():
        torch.testing.assert_close(value, b[name], rtol=tolerance, atol=tolerance, msg=name)


@pytest.mark.parametrize(
    "name", [*(n for n, make in RECIPES.items() if not make().pairing), "spectral"]
)
def test_ten_steps_are_ten_steps_of_the_game(name: str, tmp_path: Path) -> None:
    config = tiny.shortened(RECIPES.get(name, recipes.cdcgan)(), 10)
    if name == "spectral":
        networks = replace(config.networks, discriminator_norm="spectral")
        config = replace(config, networks=networks)
    data = tiny.data_for(config)
    module = GANModule(config, data.spec)
    lightning = trainer(tmp_path, max_steps=10)
    lightning.fit(module, GANData(config, data))
    assert lightning.global_step == module.state.step == 10
    expected = state.tensors(by_hand(config, data, 10))
    start = state.tensors(build.initial(config, data.spec))
    got = state.tensors(module.state)
    assert_same(got, expected, 1e-6)
    for side in ("generator", "discriminator", *(("ema",) if config.ema else ())):
        mine = [n for n in got if n.startswith(f"{side}.")]
        assert any(not torch.equal(got[n], start[n]) for n in mine)
    assert set(module.state_dict()) == {
        n for n in got if n.startswith(("generator.", "discriminator.", "ema."))
    }


SEEN: list[bool] = []


@dataclass(frozen=True)
class Looking(R1):
    """R1 that notes whether it is computed under an autocast."""

    def __call__(self, *arguments: Any) -> Any:
        SEEN.append(torch.is_autocast_enabled("cpu"))
        return super().__call__(*arguments)


def test_bf16_mixed_is_the_forward_passes_alone(tmp_path: Path) -> None:
    config, data = small()
    config = replace(config, game=replace(config.game, penalties=(Looking(0.1, 1),)))
    SEEN.clear()
    module = GANModule(config, data.spec)
    trainer(tmp_path, max_steps=4, precision="bf16-mixed").fit(module, GANData(config, data))
    assert SEEN == [False] * 4
    expected = by_hand(config, data, 4, "bf16")
    assert_same(state.tensors(module.state), state.tensors(expected), 1e-6)


def saving(folder: Path, **options: Any) -> ModelCheckpoint:
    return ModelCheckpoint(dirpath=folder, save_top_k=-1, filename="{step}", **options)


def test_two_epochs_and_two_more_are_four(tmp_path: Path) -> None:
    config, data = small()
    config = constant(config)
    whole = GANModule(config, data.spec)
    trainer(tmp_path, max_epochs=4).fit(whole, GANData(config, data))

    first = GANModule(config, data.spec)
    options = {"enable_checkpointing": True, "callbacks": [saving(tmp_path / "a")]}
    trainer(tmp_path, max_epochs=2, **options).fit(first, GANData(config, data))
    second = GANModule(config, data.spec)
    again = trainer(tmp_path, max_epochs=4)
    again.fit(second, GANData(config, data), ckpt_path=tmp_path / "a" / "step=8.ckpt")
    assert again.global_step == second.state.step == whole.state.step == 16
    assert_same(state.tensors(second.state), state.tensors(whole.state))


def test_a_checkpoint_within_an_epoch_resumes_at_its_step(tmp_path: Path) -> None:
    # rates that fall with the Trainer's length, and a game that was to last as long all along
    config, data = small()
    whole = GANModule(config, data.spec)
    options = {
        "enable_checkpointing": True,
        "callbacks": [saving(tmp_path / "a", every_n_train_steps=3)],
    }
    trainer(tmp_path, max_epochs=3, **options).fit(whole, GANData(config, data))
    second = GANModule(config, data.spec)
    again = trainer(tmp_path, max_epochs=3)
    again.fit(second, GANData(config, data), ckpt_path=tmp_path / "a" / "step=6.ckpt")
    assert again.global_step == 12
    assert_same(state.tensors(second.state), state.tensors(whole.state))
    assert_same(state.tensors(whole.state), state.tensors(by_hand(config, data, 12)), 1e-6)


class Watcher(Callback):
    """A user's callback, which counts and looks."""

    def __init__(self, name: str = "loss_d") -> None:
        self.name = name
        self.steps: list[int] = []
        self.values: list[float] = []
        self.epochs = 0

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, *_: Any) -> None:
        self.steps.append(trainer.global_step)
        self.values.append(float(outputs[self.name]))

    def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
        self.epochs += 1
        assert module.grid().dtype == np.uint8


def test_the_users_callback_and_logger(tmp_path: Path) -> None:
    config, data = small()
    watcher = Watcher()
    lightning = trainer(
        tmp_path,
        max_epochs=2,
        callbacks=[watcher],
        logger=CSVLogger(tmp_path, "logs"),
        log_every_n_steps=1,
        enable_progress_bar=True,
    )
    lightning.fit(GANModule(config, data.spec), GANData(config, data))
    assert watcher.steps == list(range(1, 9)) and watcher.epochs == 2
    lines = (Path(lightning.logger.log_dir) / "metrics.csv").read_text().splitlines()
    rows = list(csv.DictReader(lines))
    assert [int(r["step"]) for r in rows] == list(range(8))
    assert [float(r["loss_d"]) for r in rows] == pytest.approx(watcher.values, abs=1e-5)
    assert {"loss_g", "d_real", "d_fake", "gradient_d", "gradient_g"} <= set(rows[0])
    assert float(lightning.progress_bar_metrics["loss_d"]) == pytest.approx(watcher.values[-1])


def test_a_grid_from_fixed_noise_every_epoch(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    config, data = small()
    logger = TensorBoardLogger(tmp_path, "logs")
    module = GANModule(config, data.spec)
    trainer(tmp_path, max_epochs=3, logger=logger).fit(module, GANData(config, data))
    events = EventAccumulator(logger.log_dir).Reload()
    assert [e.step for e in events.Images("samples")] == [4, 8, 12]
    assert np.array_equal(module.grid(), module.grid())
    assert module.grid().shape == (10 * 30 + 2, 32, 3)  # ten labels, a row each


def test_points_have_no_picture_but_a_grid(tmp_path: Path) -> None:
    config = tiny.shortened(recipes.gaussian(), 5)
    module = GANModule(config)
    logger = CSVLogger(tmp_path, "logs")
    fit = trainer(tmp_path, max_epochs=1, limit_train_batches=2, logger=logger)
    fit.fit(module, GANData(config))
    assert module.grid().shape == (10, 2)


def test_a_checkpoint_is_a_module_and_a_model(tmp_path: Path) -> None:
    config, data = small()
    module = GANModule(config, data.spec)
    options = {"enable_checkpointing": True, "callbacks": [saving(tmp_path)]}
    trainer(tmp_path, max_epochs=1, **options).fit(module, GANData(config, data))
    again = GANModule.load_from_checkpoint(tmp_path / "step=4.ckpt", weights_only=True)
    assert again.config == config and again.spec == data.spec
    wanted = module.sampler().sample(5, labels=8)
    assert np.array_equal(again.sampler().sample(5, labels=8), wanted)
    loaded = model.load(module.save_model(tmp_path / "model"))
    assert np.array_equal(loaded.sample(5, labels=8), wanted)
    assert module(loaded.z(3), torch.arange(3)).shape == (3, 1, 28, 28)
    assert module.samples_seen == 32


def test_a_loader_of_the_users(tmp_path: Path) -> None:
    config = tiny.shortened(recipes.mnist_mlp(), 5)
    module = GANModule(config, tiny.pictures().spec)
    real = TensorDataset(torch.zeros(60, 1, 28, 28), torch.zeros(60, dtype=torch.int64))
    lightning = trainer(tmp_path, max_epochs=1)
    lightning.fit(module, DataLoader(real, batch_size=24, drop_last=True))
    assert lightning.global_step == 2
    wrong = DataLoader(real, batch_size=16, drop_last=True)
    with pytest.raises(UsageError, match="batch_size=24 and drop_last=True"):
        trainer(tmp_path, max_epochs=1).fit(module, wrong)
    config, data = small()
    unlabelled = DataLoader(torch.zeros(16, 1, 28, 28), batch_size=8)
    with pytest.raises(UsageError, match="holds no labels"):
        trainer(tmp_path, max_epochs=1).fit(GANModule(config, data.spec), unlabelled)


def test_what_would_train_something_else_is_refused(tmp_path: Path) -> None:
    config, data = small()
    other = GANData(config, tiny.pictures(32, side=16))
    with pytest.raises(UsageError, match=r"spec = .*expected that of the data"):
        trainer(tmp_path, max_epochs=1).fit(GANModule(config, data.spec), other)
    with pytest.raises(UsageError, match="precision = '64-true': expected '32-true' or"):
        trainer(tmp_path, max_epochs=1, precision="64-true").fit(
            GANModule(config, data.spec), GANData(config, data)
        )


def test_an_update_that_is_not_finite_is_skipped_and_counted(tmp_path: Path) -> None:
    config, data = small()
    real = torch.zeros(24, 1, 28, 28)
    real[8:16] = torch.inf  # the second batch
    loader = DataLoader(TensorDataset(real, torch.arange(24) % 10), batch_size=8)
    watcher, module = Watcher("skipped_d"), GANModule(config, data.spec)
    trainer(tmp_path, max_epochs=1, callbacks=[watcher]).fit(module, loader)
    assert watcher.values == [0, 1, 0] and int(module.skipped) == 2
    assert state.all_finite(module.state)


def test_a_diverged_game_is_not_saved(tmp_path: Path) -> None:
    config, data = small()
    module = GANModule(config, data.spec)
    with torch.no_grad():
        next(module.generator.parameters()).fill_(torch.nan)
    options = {"enable_checkpointing": True, "callbacks": [saving(tmp_path / "a")]}
    with pytest.raises(DivergedError, match="diverged by step 4: a weight is not finite"):
        trainer(tmp_path, max_epochs=2, **options).fit(module, GANData(config, data))
    assert not list((tmp_path / "a").glob("*.ckpt"))


def test_memory_that_is_too_small_is_named_as_in_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: Any) -> None:
        raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")

    config, data = small()
    monkeypatch.setattr(game, "step", full)
    with pytest.raises(OutOfMemoryError, match="cpu cannot hold batch = 8: --micro-batch 4 fits"):
        trainer(tmp_path, max_steps=1).fit(GANModule(config, data.spec), GANData(config, data))


def test_a_game_that_diverges_within_an_epoch_stops_there(tmp_path: Path) -> None:
    config = tiny.shortened(recipes.gaussian(), 5)
    module = GANModule(config)
    with torch.no_grad():
        next(module.generator.parameters()).fill_(torch.nan)
    with pytest.raises(DivergedError, match=r"by step 50: .*in the generator .*generator\.lr"):
        trainer(tmp_path, max_epochs=1).fit(module, GANData(config))


@dataclass(frozen=True)
class Frozen(MLP):
    """Networks of which one layer is not trained."""

    def __call__(self, spec: DataSpec, noise: int) -> dict[str, Any]:
        players = super().__call__(spec, noise)
        next(players["generator"].parameters()).requires_grad_(False)
        return players


def test_weights_that_are_not_trained_stay(tmp_path: Path) -> None:
    config = tiny.shortened(recipes.gaussian(), 5)
    config = replace(config, networks=Frozen((4,), (4,)))
    module = GANModule(config, tiny.data_for(config).spec)
    before = [p.clone() for p in module.generator.parameters()]
    trainer(tmp_path, max_steps=2).fit(module, GANData(config))
    same = [torch.equal(a, b) for a, b in zip(before, module.generator.parameters(), strict=True)]
    assert same[0] and not any(same[1:])


def test_without_lightning_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "ganforge.training.lightning")
    monkeypatch.setitem(sys.modules, "lightning", None)
    with pytest.raises(UsageError, match=r"pip install 'ganforge\[lightning\]'"):
        importlib.import_module("ganforge.training.lightning")


def test_processes_that_would_cut_a_group_are_refused() -> None:
    """6 of 12 examples a process, of which the discriminator compares 4 at a time."""
    config = replace(tiny.shortened(recipes.stylegan2(), 2), batch=12)
    module = GANModule(config, tiny.data_for(config, count=12).spec)
    module.trainer = SimpleNamespace(
        strategy=SingleDeviceStrategy("cpu"), precision="32-true", global_rank=0, world_size=2,
        local_rank=0,
    )  # type: ignore[assignment]  # fmt: skip
    with pytest.raises(UsageError, match="cut a group of the 4"):
        module.setup("fit")
